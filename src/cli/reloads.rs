//! The configuration read anew while `run --config` serves: on SIGHUP, and when a file changed.

use super::args::LogForm;
use super::{Console, run};
use crate::app::{Changes, Hangups, Running, StartError, service_manager};
use crate::config::{
    Environment, Fingerprint, Loaded, Look, Overrides, Refused, Report, Watch, load,
};
use crate::telemetry::metrics::ReloadOutcome;
use crate::telemetry::plain_chain;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::{error, info, warn};

/// How often in a row the document may change while it is being read.
const IN_A_ROW_MAX: usize = 3;

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
    /// Begins to wait for signals, and to watch the file and `files`, which it names, unless that
    /// is switched off.
    pub(super) fn begin(
        file: &Path,
        overrides: Overrides,
        form: LogForm,
        files: Option<Vec<PathBuf>>,
    ) -> io::Result<Self> {
        let source = Source {
            file: file.to_owned(),
            environment: Environment::of_process(),
            overrides,
        };
        Ok(Self {
            hangups: Hangups::listen()?,
            watch: files.map(|files| source.watch(files)),
            source: Arc::new(source),
            form,
        })
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
        for _ in 0..IN_A_ROW_MAX {
            let document = self.source.document();
            let (outcome, report) = self.reload_once(running, console).await;
            running.reloaded(outcome, report);
            if self.watch.is_none() || self.source.document() == document {
                break;
            }
        }
        service_manager::ready(false, "serving");
    }

    /// What came of it, and what there is to say of that.
    async fn reload_once(
        &mut self,
        running: &mut Running,
        console: &Console,
    ) -> (ReloadOutcome, String) {
        let source = Arc::clone(&self.source);
        let file = source.file.display().to_string();
        let read = tokio::task::spawn_blocking(move || {
            load(&source.file, &source.environment, &source.overrides)
        });
        let loaded = match read.await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(refused)) => {
                running.renew_certificates().await;
                self.tell_refused(&refused, &file, running.admin, console);
                return (ReloadOutcome::Refused, page(&refused.report));
            }
            Err(panicked) => {
                error!(file, error = %panicked, "the configuration could not be read");
                return (ReloadOutcome::Failed, panicked.to_string());
            }
        };
        let Loaded {
            plan,
            warnings,
            files,
        } = loaded;
        run::tell(&warnings, self.form, console);
        if self.watch.is_some() {
            self.watch = Some(self.source.watch(files));
        }
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

impl Source {
    fn watch(&self, mut files: Vec<PathBuf>) -> Watch {
        files.push(self.file.clone());
        Watch::begin(files)
    }

    fn document(&self) -> Fingerprint {
        Fingerprint::of([self.file.as_path()])
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
