//! `edgespan explain`: what would happen to a request, stage by stage.

mod auth;
mod curl;
mod json;
mod target;
mod text;

#[cfg(test)]
mod tests;

pub(super) use json::schema;

use super::failure::{ExitStatus, Failure};
use super::runtime::runtime;
use super::style::Surface;
use crate::app::explain::{ExplainError, Question, explain};
use crate::config::{self, Environment, Overrides, Places};
use crate::listener::Dialect;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use target::Target;

/// Longest line that is read from standard input, in bytes.
const STDIN_BYTES_MAX: u64 = 64 * 1024;

/// What `explain` is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// Configuration file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The request, such as `GET https://app.example.com/api`; `-` reads a curl line from stdin
    #[arg(value_name = "REQUEST")]
    pub request: String,
    /// A header of the request; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Address of the client that holds the connection [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    pub from: Option<IpAddr>,
    /// The listener it comes in by [default: by the URL's scheme and port]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// The host proxy that asks about it: nginx, traefik, caddy, envoy or haproxy; a listener in
    /// decision mode answers
    #[arg(long = "as", value_name = "HOST", value_parser = host_proxy)]
    pub host_proxy: Option<Dialect>,
    /// Print the explanation as JSON
    #[arg(long)]
    pub json: bool,
}

/// Explains; the explanation goes to `stdout`.
///
/// # Errors
/// [`Failure`]: no request, a refused file, or a stream that cannot be written to.
pub fn run(
    args: &ExplainArgs,
    environment: &Environment,
    surface: &Surface,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<(), Failure> {
    let question = question(args, stdin)?;
    let text = std::fs::read_to_string(&args.file).unwrap_or_default();
    let loaded = match config::load(&args.file, environment, &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(refused) => {
            let told =
                super::check::told(&refused.report, surface.look(), super::check::EXIT_REFUSED);
            write(stderr, &told)?;
            return Err(Failure::told(ExitStatus::Configuration));
        }
    };
    let runtime = runtime()?;
    let told = runtime
        .block_on(explain(&loaded.plan, &question))
        .map_err(failed)?;
    let places = Places::of(&text);
    let told = if args.json {
        format!("{:#}\n", json::render(&told, &places))
    } else {
        text::render(&told, &places, surface)
    };
    write(stdout, &told)
}

fn write(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitStatus::Failed, "cannot write").because(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn question(args: &ExplainArgs, stdin: &mut dyn Read) -> Result<Question, Failure> {
    let usage = |error: target::NoTarget| {
        Failure::new(ExitStatus::Usage, error.to_string())
            .help("such as: explain edgespan.yaml 'GET https://app.example.com/api/v1/orders/7'")
    };
    let mut target = if args.request == "-" {
        let mut line = String::new();
        stdin
            .take(STDIN_BYTES_MAX)
            .read_to_string(&mut line)
            .map_err(|error| {
                Failure::new(ExitStatus::Usage, "cannot read standard input").because(error)
            })?;
        Target::of_curl(&line).map_err(usage)?
    } else {
        Target::parse(&args.request).map_err(usage)?
    };
    for header in &args.headers {
        target.add_header(header).map_err(usage)?;
    }
    let peer = args.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(Question {
        method: target.method,
        secure: target.secure,
        authority: target.authority,
        path: target.path,
        headers: target.headers,
        listener: args.listener.clone(),
        peer: SocketAddr::new(peer, 50_000),
        host_proxy: args.host_proxy,
    })
}

fn host_proxy(text: &str) -> Result<Dialect, String> {
    let named = Dialect::ALL.into_iter().find(|one| one.name() == text);
    named.ok_or_else(|| {
        let names = Dialect::ALL.map(Dialect::name);
        format!("one of {} is needed", names.join(", "))
    })
}

fn failed(error: ExplainError) -> Failure {
    match error {
        ExplainError::NoListener { .. } | ExplainError::Request(_) | ExplainError::Host(_) => {
            Failure::new(ExitStatus::Usage, error.to_string())
        }
        ExplainError::Decides(_) => Failure::new(ExitStatus::Usage, error.to_string())
            .help("`--as nginx` asks as that proxy does; also traefik, caddy, envoy, haproxy"),
        ExplainError::Start(source) => {
            Failure::new(ExitStatus::Configuration, "the configuration cannot be run")
                .because(source)
        }
        ExplainError::Stuck => Failure::new(ExitStatus::Failed, error.to_string()),
    }
}
