//! From the command line to a run: everything that can be wrong about it is told here.

use super::VerifyArgs;
use crate::cli::failure::{ExitStatus, Failure};
use crate::cli::http_url::http_url;
use crate::client::TIMEOUT;
use crate::config;
use crate::message::credential::is_credential;
use crate::verify::allow::Allowance;
use crate::verify::arrival::SharedSecret;
use crate::verify::check::Check;
use crate::verify::choice;
use crate::verify::echo::Echo;
use crate::verify::run::{REPEAT_MAX, Run};
use crate::verify::send::{Behind, Sender};
use crate::verify::way::{Column, Way};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};
use std::time::Duration;

/// The variable with the secret itself.
const SECRET_VARIABLE: &str = "EDGESPAN_VERIFY_SECRET";
/// Least time between two runs of `--every`.
const EVERY_MIN: Duration = Duration::from_secs(1);

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(ExitStatus::Usage, message)
}

/// The run that is asked for.
pub(super) fn run_of(
    args: &VerifyArgs,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Run, Failure> {
    let url = address(&args.url)?;
    let behind = behind(args, variable)?;
    let (always, given) = headers(&args.headers)?;
    let echoed = matches!(behind, Behind::Echo(_));
    let (checks, ways) = chosen(&args.only, given, echoed)?;
    let ways = of_version(args.http.as_deref(), ways)?;
    if ways.is_empty() {
        return Err(usage("nothing is left to try")
            .help("an echo answers over http/1.1 and http/2 alone; --http leaves one of them"));
    }
    let allowed = allowed(&args.allow, &checks)?;
    if args.repeat == 0 || args.repeat > REPEAT_MAX {
        return Err(usage(format!("--repeat takes 1 to {REPEAT_MAX}")));
    }
    let timeout = match &args.timeout {
        Some(text) => time("--timeout", text, Duration::from_millis(1))?,
        None => TIMEOUT,
    };
    let client = args.trust.client()?;
    let named = |column: Column| args.only.iter().any(|word| column.is_named(word.trim()));
    Ok(Run {
        sender: Sender {
            client,
            url,
            behind,
            always,
            timeout,
        },
        checks,
        ways,
        repeat: args.repeat,
        allowed,
        needs_http2: args.http.as_deref() == Some("2") || named(Column::Http2),
    })
}

/// The time of `--every`.
pub(super) fn every(text: &str) -> Result<Duration, Failure> {
    time("--every", text, EVERY_MIN)
}

fn time(flag: &str, text: &str, least: Duration) -> Result<Duration, Failure> {
    let time = config::duration(text).map_err(|error| usage(format!("{flag}: {error}")))?;
    if time < least {
        return Err(usage(format!("{flag} takes {least:?} at least")));
    }
    Ok(time)
}

fn address(text: &str) -> Result<url::Url, Failure> {
    http_url(text).map_err(|why| {
        usage(format!("`{text}` cannot be verified: {why}"))
            .help("such as: verify https://app.example.com")
    })
}

fn behind(args: &VerifyArgs, variable: &dyn Fn(&str) -> Option<String>) -> Result<Behind, Failure> {
    if let Some(form) = &args.echo {
        let echo = form.parse::<Echo>();
        return echo
            .map(Behind::Echo)
            .map_err(|error| usage(format!("--echo: {error}")));
    }
    if let Some(pattern) = &args.echo_header {
        let echo = Echo::of_header(pattern);
        let refused = |error| usage(format!("--echo-header: {error}"));
        return echo.map(Behind::Echo).map_err(refused);
    }
    let content = match &args.secret {
        Some(file) => std::fs::read(file).map_err(|error| {
            let failed = usage(format!("cannot read the secret's file {}", file.display()));
            failed.because(error)
        })?,
        None => match variable(SECRET_VARIABLE).filter(|value| !value.is_empty()) {
            Some(value) => value.into_bytes(),
            None => {
                return Err(usage("the secret of the edgespan behind is missing")
                    .help(format!(
                        "--secret FILE, or the variable {SECRET_VARIABLE}; never on the command line"
                    ))
                    .help("no edgespan behind? --echo body works with a service that echoes headers"));
            }
        },
    };
    let secret = SharedSecret::new(&content).map_err(|error| usage(error.to_string()))?;
    Ok(Behind::Edgespan(Box::new(secret)))
}

type Given = (Vec<(HeaderName, HeaderValue)>, Vec<Check>);

/// What is sent with every request, and what of it is looked for: credentials are for hops.
fn headers(written: &[String]) -> Result<Given, Failure> {
    let mut always: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for text in written {
        always.push(header(text)?);
    }
    let mut checks: Vec<Check> = Vec::new();
    for (name, _) in &always {
        let known = checks.iter().any(|check| check.header == name.as_str());
        if known || is_credential(name.as_str()) {
            continue;
        }
        let own = always.iter().filter(|(other, _)| other == name);
        checks.push(Check::given(
            name,
            own.map(|(_, value)| value.clone()).collect(),
        ));
    }
    Ok((always, checks))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    // Its value may be a secret: only the name is told.
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| usage("a header needs a colon").help("such as: -H 'x-tenant: acme'"))?;
    let name = name.trim();
    let refused = || usage(format!("`{name}` is no header that can be sent"));
    let parsed = HeaderName::try_from(name).map_err(|_| refused())?;
    let ours = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE];
    let taken = ["traceparent", "tracestate", "baggage", "b3"];
    if ours.contains(&parsed)
        || taken.contains(&parsed.as_str())
        || parsed.as_str().starts_with("x-b3-")
    {
        return Err(usage(format!("`{name}` is sent by verify itself")));
    }
    let value = HeaderValue::try_from(value.trim())
        .map_err(|_| usage(format!("the value of `{name}` cannot be sent")))?;
    Ok((parsed, value))
}

/// The checks and ways that `--only` leaves.
fn chosen(
    only: &[String],
    given: Vec<Check>,
    echoed: bool,
) -> Result<(Vec<Check>, Vec<Way>), Failure> {
    let words = only.iter().map(|word| word.trim());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    choice::chosen(&words, given, echoed).map_err(|unknown| {
        let known = format!("one of {}", unknown.known.join(", "));
        usage(format!("--only: {unknown}")).help(known)
    })
}

fn of_version(version: Option<&str>, ways: Vec<Way>) -> Result<Vec<Way>, Failure> {
    let keeps: fn(&Way) -> bool = match version {
        None => return Ok(ways),
        Some("1.1" | "1") => |way| matches!(way.column(), Column::Http1 | Column::WebSocket),
        Some("2") => |way| way.column() == Column::Http2,
        Some(other) => return Err(usage(format!("--http takes 1.1 or 2, not `{other}`"))),
    };
    Ok(ways.into_iter().filter(keeps).collect())
}

fn allowed(written: &[String], checks: &[Check]) -> Result<Vec<Allowance>, Failure> {
    let mut allowed = Vec::with_capacity(written.len());
    for text in written {
        let one: Allowance =
            text.parse()
                .map_err(|error: crate::verify::allow::BadAllowance| {
                    usage(format!("--allow: {error}"))
                })?;
        if !one.fits_one_of(checks) {
            return Err(usage(format!(
                "--allow: nothing called `{}` is sent",
                one.header()
            )));
        }
        allowed.push(one);
    }
    Ok(allowed)
}
