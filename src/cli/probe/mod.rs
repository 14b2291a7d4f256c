//! `edgespan probe`: key flows are asked through, and what came of them is held against a file.

mod json;
mod progress;
#[cfg(test)]
mod tests;
mod text;
mod xml;

pub(super) use json::schema;

use super::failure::{ExitStatus, Failure};
use super::http_url::http_url;
use super::runtime::runtime;
use super::style::process_variable;
use super::trace::source::{SourceArgs, TOKEN_VARIABLE};
use super::trust::TrustArgs;
use super::{Console, answer, say};
use crate::backend::Address;
use crate::config::{Environment, LoadedProbe, load_probe};
use crate::probe::{End, Outcome, Plan, RemoteSpans, Runner, SpanSource};
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// Where spans are asked for if nobody says.
const SPANS_FROM: &str = "http://127.0.0.1:9901";

/// What `probe` is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeArgs {
    /// The file with the steps
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What paths are below, in place of the file's `base`
    #[arg(long, value_name = "URL")]
    pub base: Option<String>,
    /// Whom to ask for spans: an edgespan, Tempo, Jaeger or Zipkin [env: EDGESPAN_URL, after the
    /// file's `spans.from`] [default: http://127.0.0.1:9901]
    #[arg(long, value_name = "URL")]
    pub spans: Option<Address>,
    /// Whose certificates are believed.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Only tell what is wrong with the file; nothing is sent
    #[arg(long, conflicts_with_all = ["json", "junit"])]
    pub check: bool,
    /// Print the report as JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Write the report as JUnit's XML, too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

/// A run and the file it is of, for every report.
struct Ran<'a> {
    file: String,
    plan: &'a Plan,
    outcome: Outcome,
}

/// Probes; the report goes to stdout.
///
/// # Errors
/// [`Failure`]: wrong usage, a wrong file, nobody answers, or something does not hold.
pub fn run(args: &ProbeArgs, console: &Console) -> Result<(), Failure> {
    let base = args.base.as_deref().map(base).transpose()?;
    let loaded = load(args, base.is_some(), console)?;
    if args.check {
        let steps = steps(loaded.plan.steps.len());
        return answer(&format!("{}: no errors, {steps}\n", args.file.display()));
    }
    let runner = runner(args, &loaded.plan, base)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(progress::shown(&runner, &loaded.plan, args, console));
    let ran = Ran {
        file: args.file.display().to_string(),
        plan: &loaded.plan,
        outcome,
    };
    if let Some(file) = &args.junit {
        xml::suite(&ran).write(file).map_err(|error| {
            let message = format!("cannot write {}", file.display());
            Failure::new(ExitStatus::Failed, message).because(error)
        })?;
    }
    if args.json {
        answer(&format!("{:#}\n", json::render(&ran)))?;
    } else {
        answer(&text::render(&ran, &console.program, &console.stdout))?;
    }
    ended(&ran, args)
}

/// The file, or everything that is wrong with it.
fn load(args: &ProbeArgs, has_base: bool, console: &Console) -> Result<LoadedProbe, Failure> {
    let environment = Environment::of_process();
    match load_probe(&args.file, &environment, has_base) {
        Ok(loaded) => {
            say(&loaded.warnings.render(console.stderr.look()));
            Ok(loaded)
        }
        Err(refused) => {
            say(&refused.report.render(console.stderr.look()));
            let summary = refused.report.summary();
            say(&format!("{}\n", summary.replace("started", "sent")));
            Err(Failure::told(ExitStatus::Configuration))
        }
    }
}

fn base(text: &str) -> Result<Url, Failure> {
    http_url(text).map_err(|why| {
        let message = format!("--base takes no `{text}`: {why}");
        Failure::new(ExitStatus::Usage, message).help("such as: --base http://127.0.0.1:8080")
    })
}

fn runner(args: &ProbeArgs, plan: &Plan, base: Option<Url>) -> Result<Runner, Failure> {
    let client = args.trust.client_or_plain()?;
    let spans: Option<Arc<dyn SpanSource>> = if plan.asks_for_spans() {
        Some(Arc::new(source(args, plan)?))
    } else {
        None
    };
    Ok(Runner {
        client,
        spans,
        base,
    })
}

/// Whom to ask for spans: the flag, the file, the variable, this machine.
fn source(args: &ProbeArgs, plan: &Plan) -> Result<RemoteSpans, Failure> {
    let variable = process_variable("EDGESPAN_URL").filter(|url| !url.is_empty());
    let named = args.spans.clone().or_else(|| plan.spans_from.clone());
    let url = match named {
        Some(url) => url,
        None => {
            let text = variable.as_deref().unwrap_or(SPANS_FROM);
            text.parse().map_err(|error: crate::backend::BadAddress| {
                let message = format!("EDGESPAN_URL is no backend: {error}");
                Failure::new(ExitStatus::Usage, message)
            })?
        }
    };
    let asked = SourceArgs {
        url: url.clone(),
        headers: Vec::new(),
        tenant: None,
        trust: args.trust.clone(),
    };
    let access = asked.access(process_variable(TOKEN_VARIABLE).as_deref())?;
    Ok(RemoteSpans::new(url, access))
}

fn ended(ran: &Ran<'_>, args: &ProbeArgs) -> Result<(), Failure> {
    if ran.outcome.held() {
        return Ok(());
    }
    if !ran.outcome.is_unreachable() {
        return Err(Failure::told(ExitStatus::Failed));
    }
    if args.json {
        return Err(Failure::told(ExitStatus::Unreachable));
    }
    let first = ran.outcome.first_failed();
    let why = match first.map(|step| &step.end) {
        Some(End::Unanswered { why, .. }) => why.clone(),
        Some(End::Held | End::Failed(_) | End::Skipped) | None => String::new(),
    };
    let help = "is it running, and is this its address? --base names another";
    Err(Failure::new(ExitStatus::Unreachable, why).help(help))
}

fn steps(count: usize) -> String {
    match count {
        1 => "1 step".to_owned(),
        count => format!("{count} steps"),
    }
}
