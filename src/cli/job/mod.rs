//! What `exec` and `span` share: the trace that their environment names, who started them, and
//! the way of a span to the collector.

pub(super) mod context;
pub(super) mod deliver;
pub(super) mod origin;
pub(super) mod setup;

use clap::Args;
use std::path::PathBuf;

/// What a span of a job says, and where it goes.
#[derive(Clone, Debug, Default, Args)]
pub struct JobArgs {
    /// Name of the service [default: OTEL_SERVICE_NAME, else the command's name]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Name of the job: the attribute `job.name`
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
    /// When it runs, as people say it: the attribute `schedule`
    #[arg(long, value_name = "TEXT")]
    pub schedule: Option<String>,
    /// What started it: the attribute `trigger` [default: found out]
    #[arg(long, value_name = "TEXT")]
    pub trigger: Option<String>,
    /// One more attribute of the span; may be repeated
    #[arg(long = "attribute", short = 'a', value_name = "KEY=VALUE", value_parser = pair)]
    pub attributes: Vec<(String, String)>,
    /// Link to a span elsewhere; may be repeated
    #[arg(long = "link", value_name = "TRACEPARENT", value_parser = context::remote)]
    pub links: Vec<context::Remote>,
    /// Take exporters and resource from this configuration
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub config: Option<PathBuf>,
    /// Longest wait for the collector after the end [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = setup::patience, hide_short_help = true)]
    pub flush: Option<std::time::Duration>,
    /// Say on stderr what kept a span from being exported, also where nobody watches
    #[arg(long, short, hide_short_help = true)]
    pub verbose: bool,
}

/// `key=value`; the value may be empty and have further `=`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}
