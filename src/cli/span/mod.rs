//! `edgespan span start|event|end`: spans for the steps of a shell script.
//!
//! Between the calls there is no process: a span waits in a file that only its owner reads, and
//! is sent when it ends.

mod shell;
mod state;

use super::failure::{ExitStatus, Failure};
use super::job::context::{self, Place};
use super::job::deliver::deliver;
use super::job::origin;
use super::job::setup::{self, Setup};
use super::job::{JobArgs, pair};
use super::runtime::runtime;
use super::{Console, answer, say};
use crate::clock;
use crate::config::Environment;
use crate::trace::context::TraceState;
use crate::trace::span::{AttrValue, OpenSpan, SpanIds};
use clap::{Args, Subcommand, ValueEnum};
use opentelemetry::trace::SpanKind;
use shell::{Assignments, Form};
use state::{Folder, Record, Step};
use std::path::PathBuf;

/// Names the open span for `event` and `end`.
const VARIABLE: &str = "EDGESPAN_SPAN";
/// What a span is called if nobody says.
const UNNAMED: &str = "step";

/// `edgespan span`.
#[derive(Clone, Debug, Args)]
pub struct SpanArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done to a span.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Start a span; prints what the shell has to set
    Start(StartArgs),
    /// Note something that happened within it
    Event(EventArgs),
    /// End it and send it; prints what the shell has to set back
    End(EndArgs),
}

/// What `start` and `end` print.
#[derive(Clone, Copy, Debug, Args)]
pub struct PrintedArgs {
    /// What is printed: for sh, for fish, or nothing but lines in $GITHUB_ENV
    #[arg(
        long,
        value_name = "FORM",
        default_value = "sh",
        hide_possible_values = true
    )]
    pub format: Form,
}

/// Which open span is meant.
#[derive(Clone, Debug, Args)]
pub struct OpenArgs {
    /// Which span [default: the one that EDGESPAN_SPAN names]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub span: Option<PathBuf>,
}

/// `edgespan span start`.
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// Name of the span [default: the job's name, else `step`]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Stand under this span instead of the one of TRACEPARENT
    #[arg(long, value_name = "TRACEPARENT", value_parser = context::remote)]
    pub parent: Option<context::Remote>,
    /// What the span says, and where it goes.
    #[command(flatten)]
    pub job: JobArgs,
    /// What it prints.
    #[command(flatten)]
    pub printed: PrintedArgs,
    /// Folder in which open spans wait [default: $XDG_RUNTIME_DIR/edgespan]
    #[arg(long, value_name = "FOLDER", hide_short_help = true)]
    pub state: Option<PathBuf>,
}

/// `edgespan span event`.
#[derive(Clone, Debug, Args)]
pub struct EventArgs {
    /// What happened
    pub name: String,
    /// An attribute of the event; may be repeated
    #[arg(long = "attribute", short = 'a', value_name = "KEY=VALUE", value_parser = pair)]
    pub attributes: Vec<(String, String)>,
    /// Which one.
    #[command(flatten)]
    pub open: OpenArgs,
}

/// `edgespan span end`.
#[derive(Clone, Debug, Args)]
pub struct EndArgs {
    /// Whether it went well [default: by the exit code]
    #[arg(long, value_name = "STATUS", hide_possible_values = true)]
    pub status: Option<EndStatus>,
    /// Exit code of the step: `$?`
    #[arg(long, value_name = "CODE")]
    pub exit_code: Option<u8>,
    /// What the span says more, and where it goes.
    #[command(flatten)]
    pub job: JobArgs,
    /// What it prints.
    #[command(flatten)]
    pub printed: PrintedArgs,
    /// Which one.
    #[command(flatten)]
    pub open: OpenArgs,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EndStatus {
    /// It went well.
    Ok,
    /// It did not.
    Error,
}

/// Does it.
///
/// # Errors
/// If there is no such span, or its file cannot be written.
pub fn run(args: &SpanArgs, console: &Console) -> Result<(), Failure> {
    let environment = Environment::of_process();
    match &args.action {
        Action::Start(args) => start(args, &environment, console),
        Action::Event(args) => event(args, &environment),
        Action::End(args) => end(args, &environment, console),
    }
}

fn start(args: &StartArgs, environment: &Environment, console: &Console) -> Result<(), Failure> {
    let Some(setup) = setup_of(&args.job, environment, console) else {
        return Ok(());
    };
    let given = args.parent.map(|remote| {
        let text = remote.traceparent();
        context::parent([("traceparent", text.as_str())])
    });
    let parent = given.unwrap_or_else(|| context::of_environment(environment));
    let place = Place::under(parent, &setup.sampler());
    let origin = origin::find(environment, console.stderr.is_terminal);
    let attributes = setup::attributes(&args.job, &origin);
    let job = attributes.iter().find(|(key, _)| key == "job.name");
    let name = args.name.clone().or(job.map(|(_, name)| name.clone()));
    let record = Record {
        traceparent: place.traceparent(),
        tracestate: place.tracestate(),
        parent: place.head.parent_span_id.map(|id| id.to_string()),
        recorded: place.head.record,
        reason: place.head.reason.to_owned(),
        name: name.unwrap_or_else(|| UNNAMED.to_owned()),
        started: clock::wall().as_unix_nanos(),
        attributes,
        links: args
            .job
            .links
            .iter()
            .map(context::Remote::traceparent)
            .collect(),
        service: args.job.service.clone(),
        before: ["TRACEPARENT", "TRACESTATE", VARIABLE]
            .map(|name| environment.get(name).map(str::to_owned)),
    };
    let folder = Folder::open(args.state.as_deref(), environment)?;
    let file = folder.keep(&place.span_id.to_string(), &record)?;
    let mut set = Assignments::default();
    set.set("TRACEPARENT", &record.traceparent);
    set.set_or_unset(
        "TRACESTATE",
        Some(record.tracestate.as_str()).filter(|s| !s.is_empty()),
    );
    set.set(VARIABLE, &file.to_string_lossy());
    give(&set, args.printed.format, environment)
}

fn event(args: &EventArgs, environment: &Environment) -> Result<(), Failure> {
    if environment.is_true("OTEL_SDK_DISABLED") {
        return Ok(());
    }
    let file = named(args.open.span.as_ref(), environment)?;
    let step = Step {
        name: args.name.clone(),
        at: clock::wall().as_unix_nanos(),
        attributes: args.attributes.clone(),
    };
    state::add(&file, &step)
}

fn end(args: &EndArgs, environment: &Environment, console: &Console) -> Result<(), Failure> {
    if environment.is_true("OTEL_SDK_DISABLED") {
        return Ok(());
    }
    let file = named(args.open.span.as_ref(), environment)?;
    let (record, steps) = state::read(&file)?;
    let mut job = args.job.clone();
    job.service = job.service.or_else(|| record.service.clone());
    let setup = setup_of(&job, environment, console);
    let mut set = Assignments::default();
    let [traceparent, tracestate, variable] = &record.before;
    set.set_or_unset("TRACEPARENT", traceparent.as_deref());
    set.set_or_unset("TRACESTATE", tracestate.as_deref());
    set.set_or_unset(VARIABLE, variable.as_deref());
    state::forget(&file)?;
    // First, so that the script goes on while the span is sent.
    give(&set, args.printed.format, environment)?;
    let Some(setup) = setup.filter(|_| record.recorded) else {
        return Ok(());
    };
    let span = ended(args, &record, &steps, &setup)?;
    let runtime = runtime()?;
    let mut told = setup.left.clone();
    told.extend(runtime.block_on(deliver(&setup, span, clock::wall())));
    runtime.shutdown_background();
    let tells = args.job.verbose || console.stderr.is_terminal;
    for line in told.iter().filter(|_| tells) {
        say(&format!("edgespan: {}\n", super::escape::shown(line)));
    }
    Ok(())
}

/// The span of a record, with what happened within it.
fn ended(
    args: &EndArgs,
    record: &Record,
    steps: &[Step],
    setup: &Setup,
) -> Result<OpenSpan, Failure> {
    let lines = [
        ("traceparent", record.traceparent.as_str()),
        ("tracestate", record.tracestate.as_str()),
    ];
    let lines = lines.into_iter().filter(|(_, value)| !value.is_empty());
    let own = context::parent(lines).ok_or_else(state::damaged)?;
    let parent = record
        .parent
        .as_deref()
        .map(|id| opentelemetry::trace::SpanId::from_hex(id).map_err(|_| state::damaged()));
    let parent = parent.transpose()?;
    let ids = SpanIds {
        trace_id: own.trace_id,
        span_id: own.span_id,
        parent,
        parent_is_remote: parent.is_some(),
        flags: own.flags,
    };
    let (started, limits) = (
        clock::Timestamp::from_unix_nanos(record.started),
        setup.limits(),
    );
    let kind = SpanKind::Internal;
    let mut span = OpenSpan::start(kind, ids, &own.state, &[&record.name], started, &limits);
    let mut attributes = record.attributes.clone();
    for (key, value) in &args.job.attributes {
        attributes.retain(|(known, _)| known != key);
        attributes.push((key.clone(), value.clone()));
    }
    for (key, value) in &attributes {
        span.str(key, value);
    }
    span.str("edgespan.sampling.reason", &record.reason);
    for link in record
        .links
        .iter()
        .filter_map(|link| context::remote(link).ok())
    {
        span.link(link.trace_id, link.span_id, &TraceState::EMPTY, link.flags);
    }
    for step in steps {
        let told: Vec<(&str, AttrValue<'_>)> = step
            .attributes
            .iter()
            .map(|(key, value)| (key.as_str(), AttrValue::Str(value)))
            .collect();
        let at = clock::Timestamp::from_unix_nanos(step.at);
        span.event(&step.name, at, &told);
    }
    if let Some(code) = args.exit_code {
        span.int("process.exit.code", i64::from(code));
    }
    let failed = args.exit_code.filter(|&code| code != 0);
    match (args.status, failed) {
        (Some(EndStatus::Ok), _) | (None, None) => {}
        (Some(EndStatus::Error), None) => {
            span.str("error.type", "_OTHER");
            span.set_error();
        }
        (_, Some(code)) => {
            span.str("error.type", &code.to_string());
            span.set_error();
        }
    }
    Ok(span)
}

/// None under `OTEL_SDK_DISABLED`: nothing is recorded, and nothing is set.
fn setup_of(args: &JobArgs, environment: &Environment, console: &Console) -> Option<Setup> {
    let program = &console.program;
    let name = setup::program_name(std::ffi::OsStr::new(program));
    Setup::new(args, environment, &name).filter(|setup| setup.tracing.recording)
}

fn named(given: Option<&PathBuf>, environment: &Environment) -> Result<PathBuf, Failure> {
    let variable = || environment.filled(VARIABLE).map(PathBuf::from);
    given.cloned().or_else(variable).ok_or_else(|| {
        Failure::new(
            ExitStatus::Usage,
            "no span is open here: EDGESPAN_SPAN is not set",
        )
        .help("begin one with eval \"$(edgespan span start --name NAME)\"")
    })
}

/// To the shell, or into the file that the next steps of a workflow read.
fn give(set: &Assignments, form: Form, environment: &Environment) -> Result<(), Failure> {
    match form {
        Form::Sh | Form::Fish => answer(&set.text(form)),
        Form::Github => {
            let file = environment.filled("GITHUB_ENV").ok_or_else(|| {
                Failure::new(
                    ExitStatus::Usage,
                    "GITHUB_ENV is not set: this is no step of a workflow",
                )
            })?;
            state::append(std::path::Path::new(file), &set.text(form))
        }
    }
}
