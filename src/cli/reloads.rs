//! The configuration read anew while `run --config` serves: on SIGHUP, and when a file changed.

use super::args::LogForm;
use super::{Console, run};
use crate::app::{Changes, Hangups, Running, StartError, service_manager};
use crate::config::{
    Environment, Loaded, Look, Overrides, ReadFiles, Refused, Report, Watch, load,
};
use crate::telemetry::metrics::ReloadOutcome;
use crate::telemetry::plain_chain;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::{error, info, warn};

/// What is read, and when.
pub(super) struct Reloads {
    source: Arc<Source>,
    form: LogForm,
    hangups: Hangups,
    /// None where only a signal counts.
    watch: Option<Watch>,
}

struct Source {
    file: PathBuf,
    environment: Environment,
    overrides: Overrides,
}

impl Reloads {
    /// Waits for signals, and watches what was read of the file, unless that is switched off.
    pub(super) fn begin(
        file: &Path,
        overrides: Overrides,
        form: LogForm,
        hangups: Hangups,
        read: Option<ReadFiles>,
    ) -> Self {
        let source = Source {
            file: file.to_owned(),
            environment: Environment::of_process(),
            overrides,
        };
        Self {
            hangups,
            watch: read.map(Watch::begin),
            source: Arc::new(source),
            form,
        }
    }

    /// Resolves when the configuration is to be read. May be dropped and called again.
    pub(super) async fn due(&mut self) {
        let Some(watch) = &mut self.watch else {
            return self.hangups.next().await;
        };
        tokio::select! {
            () = self.hangups.next() => {}
            () = watch.changed() => {}
        }
    }

    /// Reads it and puts it in force, or says why not.
    pub(super) async fn reload(&mut self, running: &mut Running, console: &Console) {
        service_manager::reloading();
        let (outcome, report) = self.read_anew(running, console).await;
        running.reloaded(outcome, report);
        service_manager::ready(false, "serving");
    }

    /// What came of it, and what there is to say of that.
    async fn read_anew(
        &mut self,
        running: &mut Running,
        console: &Console,
    ) -> (ReloadOutcome, String) {
        let (source, watches) = (Arc::clone(&self.source), self.watch.is_some());
        let file = source.file.display().to_string();
        let read = tokio::task::spawn_blocking(move || {
            let read = load(&source.file, &source.environment, &source.overrides);
            let files = match &read {
                Ok(loaded) => &loaded.files,
                Err(refused) => &refused.files,
            };
            let watch = watches.then(|| Watch::begin(files.clone()));
            (read, watch)
        });
        let (loaded, watch) = match read.await {
            Ok(read) => read,
            Err(panicked) => {
                error!(file, error = %panicked, "the configuration could not be read");
                return (ReloadOutcome::Failed, panicked.to_string());
            }
        };
        self.watch = watch;
        let Loaded { plan, warnings, .. } = match loaded {
            Ok(loaded) => loaded,
            Err(refused) => {
                running.renew_certificates().await;
                self.tell_refused(&refused, &file, running.admin, console);
                return (ReloadOutcome::Refused, page(&refused.report));
            }
        };
        run::tell(&warnings, self.form, console);
        match running.reload(plan).await {
            Ok(changes) => {
                tell_changes(&changes, running, &file);
                (ReloadOutcome::Applied, page(&warnings))
            }
            Err(failed) => {
                tell_failed(&failed, &file);
                (ReloadOutcome::Failed, plain_chain(&failed))
            }
        }
    }

    fn tell_refused(
        &self,
        refused: &Refused,
        file: &str,
        admin: Option<SocketAddr>,
        console: &Console,
    ) {
        run::tell(&refused.report, self.form, console);
        let counts = refused.report.counts().unwrap_or_default();
        error!(
            file,
            "configuration refused, the last good one stays: {counts}{}",
            admin.map_or_else(String::new, |address| {
                format!("; whole report: http://{address}/config")
            })
        );
    }
}

fn tell_changes(changes: &Changes, running: &Running, file: &str) {
    let names = |names: &[Arc<str>]| names.join(",");
    info!(
        file,
        listeners.opened = names(&changes.opened),
        listeners.closed = names(&changes.closed),
        listeners.changed = names(&changes.changed),
        upstreams.kept = changes.upstreams_kept,
        upstreams.made = changes.upstreams_made,
        exporters.made = changes.exporters_made,
        "configuration in force"
    );
    let opened = running.listeners().into_iter();
    for (listener, address) in opened.filter(|(name, _)| changes.opened.contains(name)) {
        info!(%listener, %address, "listening");
    }
    for key in &changes.at_next_start {
        warn!(file, key, "this change takes effect at the next start");
    }
}

/// A report as the operator's page has it: whole, without colour.
fn page(report: &Report) -> String {
    report.render(Look {
        all: true,
        ..Look::default()
    })
}

fn tell_failed(failed: &StartError, file: &str) {
    let failed: &(dyn Error + 'static) = failed;
    error!(
        file,
        error = failed,
        "configuration cannot be put in force, the last one stays"
    );
}
