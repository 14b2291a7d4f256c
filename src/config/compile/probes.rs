//! Probes on a schedule.

use super::{Compiler, probe};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::probe_file::load_probe;
use crate::config::raw;
use crate::probe::{Plan, Schedule};
use std::sync::Arc;
use std::time::Duration;

/// Least time between two runs.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// Most probes of a configuration: each is a few series of metrics.
const PROBES_MAX: usize = 50;

pub(super) fn compile(
    written: &[Spanned<raw::ScheduledProbe>],
    compiler: &mut Compiler<'_>,
) -> Vec<Schedule> {
    let mut schedules: Vec<Schedule> = Vec::with_capacity(written.len());
    if let Some(first) = written.get(PROBES_MAX) {
        let message = format!("there are more than {PROBES_MAX} probes");
        compiler.tell(Diagnostic::at(Code::OutOfRange, &first.span, message));
    }
    for scheduled in written {
        let raw = &scheduled.value;
        let every = raw.every.as_ref();
        let every = every.and_then(|every| compiler.duration(&every.span, &every.value.0));
        if let (Some(every), Some(place)) = (every, &raw.every)
            && every < EVERY_MIN
        {
            let diagnostic = Diagnostic::at(Code::OutOfRange, &place.span, "this is too often");
            compiler.tell(diagnostic.label("1s at least"));
        }
        let keys = [
            ("file", raw.file.is_some()),
            ("inline", raw.inline.is_some()),
        ];
        compiler.exactly_one(&scheduled.span, &keys);
        let plan = match (&raw.file, &raw.inline) {
            (Some(file), None) => of_file(file, compiler),
            (None, Some(inline)) => probe::compile(&inline.value, &inline.span, false, compiler),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let Some((plan, every)) = plan.zip(every) else {
            continue;
        };
        if schedules.iter().any(|other| other.plan.name == plan.name) {
            let message = format!("two probes are called `{}`", plan.name);
            compiler.tell(Diagnostic::at(
                Code::DuplicateName,
                &scheduled.span,
                message,
            ));
        }
        schedules.push(Schedule {
            plan: Arc::new(plan),
            every,
        });
    }
    schedules
}

fn of_file(file: &Spanned<raw::FileText>, compiler: &mut Compiler<'_>) -> Option<Plan> {
    let path = compiler.folder.join(&file.value.0);
    match load_probe(&path, compiler.environment, false) {
        Ok(loaded) => {
            compiler.files.extend(loaded.files);
            Some(loaded.plan)
        }
        Err(refused) => {
            compiler.files.extend(refused.files);
            let errors = refused.report.errors();
            let mut told = refused.report.diagnostics().iter();
            let first = told.find(|one| one.is_error());
            let first = first.map_or("it cannot be used", |one| one.message.as_str());
            let message = format!("the probe's file has {errors} errors: {first}");
            let message = message.replace(" 1 errors", " 1 error");
            let diagnostic = Diagnostic::at(Code::ProbeFile, &file.span, message);
            let help = format!("`edgespan probe --check {}` tells them all", path.display());
            compiler.tell(diagnostic.help(help));
            None
        }
    }
}
