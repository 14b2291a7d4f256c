//! `edgespan exec -- COMMAND`: a root span for a job, a script or a step of a pipeline.
//!
//! The command must not notice: its streams, its exit code and its signals are its own, it starts
//! before anything is asked of a collector, and nothing of ours keeps it from running.

mod child;
mod placeholder;

use super::failure::{ExitStatus, Failure};
use super::job::JobArgs;
use super::job::context::{self, Place};
use super::job::deliver::deliver;
use super::job::origin::{self, Origin};
use super::job::setup::{self, Setup};
use super::runtime::runtime;
use super::{Console, say};
use crate::clock::Stopwatch;
use crate::config::Environment;
use crate::trace::span::{OpenSpan, SpanIds};
use child::Ended;
use clap::Args;
use opentelemetry::trace::SpanKind;
use std::ffi::OsString;
use std::process::ExitCode;

/// `edgespan exec`.
#[derive(Clone, Debug, Args)]
pub struct ExecArgs {
    /// Name of the span [default: the job's name, else the command's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What the span says, and where it goes.
    #[command(flatten)]
    pub job: JobArgs,
    /// Record the command's arguments, too: what looks like a secret is not
    #[arg(long)]
    pub record_args: bool,
    /// The command and its arguments, after `--`
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    #[arg(allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// Runs the command; its exit code is ours.
///
/// # Errors
/// If it cannot be run: 126 and 127, as shells have it, come as exit codes all the same.
pub fn run(args: &ExecArgs, console: &Console) -> Result<ExitCode, Failure> {
    let runtime = runtime()?;
    let code = runtime.block_on(executed(args, console));
    // A name that is being looked up for a collector must not hold up the end.
    runtime.shutdown_background();
    Ok(code)
}

async fn executed(args: &ExecArgs, console: &Console) -> ExitCode {
    let environment = Environment::of_process();
    let Some((program, arguments)) = args.command.split_first() else {
        return ExitCode::from(ExitStatus::Usage.code());
    };
    let executable = setup::program_name(program);
    let setup = Setup::new(&args.job, &environment, &executable);
    // OTEL_SDK_DISABLED: the caller's context passes as it came, and nothing is recorded.
    let setup = setup.filter(|setup| setup.tracing.recording);
    let place = setup
        .as_ref()
        .map(|setup| Place::under(context::of_environment(&environment), &setup.sampler()));
    let clock = Stopwatch::start();
    let filled = placeholder::filled(arguments, place.as_ref());
    let ended = match child::spawn(program, &filled, place.as_ref()) {
        Ok(spawned) => spawned.wait().await,
        Err(error) => Ended::NotRun(error),
    };
    if let Ended::NotRun(error) = &ended {
        let failure = Failure::new(ExitStatus::Failed, format!("cannot run {executable}"));
        say(&failure
            .because(crate::telemetry::plain_io(error))
            .render(&console.stderr));
    }
    if let (Some(setup), Some(place)) = (&setup, &place) {
        let tells = args.job.verbose || console.stderr.is_terminal;
        let mut told = setup.left.clone();
        if place.head.record {
            let span = span(
                args,
                &executable,
                setup,
                place,
                &environment,
                &clock,
                &ended,
            );
            told.extend(deliver(setup, span, clock.now()).await);
        }
        for line in told.iter().filter(|_| tells) {
            say(&format!("edgespan: {}\n", super::escape::shown(line)));
        }
    }
    ExitCode::from(ended.code())
}

/// The span, with all that is known at the end: a process that is killed has none.
fn span(
    args: &ExecArgs,
    executable: &str,
    setup: &Setup,
    place: &Place,
    environment: &Environment,
    clock: &Stopwatch,
    ended: &Ended,
) -> OpenSpan {
    let origin: Origin = origin::find(environment, has_terminal());
    let attributes = setup::attributes(&args.job, &origin);
    let job = attributes.iter().find(|(key, _)| key == "job.name");
    let name = args.name.as_deref().or(job.map(|(_, name)| name.as_str()));
    let head = &place.head;
    let ids = SpanIds {
        trace_id: head.trace_id,
        span_id: place.span_id,
        parent: head.parent_span_id,
        parent_is_remote: head.parent_span_id.is_some(),
        flags: head.flags,
    };
    let (kind, limits) = (SpanKind::Internal, setup.limits());
    let name = [name.unwrap_or(executable)];
    let mut span = OpenSpan::start(kind, ids, &head.state, &name, clock.started(), &limits);
    for (key, value) in &attributes {
        span.str(key, value);
    }
    span.str("process.executable.name", executable);
    if args.record_args {
        let shown = placeholder::without_secrets(&args.command);
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        span.str_array("process.command_args", &shown);
    }
    span.str("edgespan.sampling.reason", head.reason);
    for link in &args.job.links {
        let state = crate::trace::context::TraceState::EMPTY;
        span.link(link.trace_id, link.span_id, &state, link.flags);
    }
    ended.tell(&mut span);
    span
}

/// Whether a person may watch: any of the three streams is a terminal.
fn has_terminal() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdin().is_terminal()
        || std::io::stdout().is_terminal()
        || std::io::stderr().is_terminal()
}
