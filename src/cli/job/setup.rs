//! What the environment, and a configuration if one is named, say of a job's spans.
//!
//! Nothing here may keep a command from running: what cannot be used is told, and left.

use super::JobArgs;
use super::origin::Origin;
use crate::config::{self, Environment, Overrides, TracingPlan};
use crate::export::{BatchSettings, Compression, OtlpSettings, Protocol, TlsSettings};
use crate::trace::sampler::HeadSampler;
use crate::trace::span::SpanLimits;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// How long the collector may take after the end, unless said otherwise.
const FLUSH: Duration = Duration::from_secs(2);
/// Most that can be asked for.
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// How a job's spans are made and where they go.
pub(in crate::cli) struct Setup {
    /// Resource, sampling and bounds.
    pub(in crate::cli) tracing: TracingPlan,
    /// Collectors; none: nobody gets them.
    pub(in crate::cli) export: Vec<OtlpSettings>,
    /// The bound of the flush at the end.
    pub(in crate::cli) flush: Duration,
    /// What could not be used, in words.
    pub(in crate::cli) left: Vec<String>,
}

/// `--flush`: `500ms`, `2s`; 60 s at most.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let found = config::duration(text)?;
    if found > FLUSH_MAX {
        return Err("60 s at most: a job is not to wait for its own trace".to_owned());
    }
    Ok(found)
}

impl Setup {
    /// For a job that calls itself `name`.
    pub(in crate::cli) fn new(
        args: &JobArgs,
        environment: &Environment,
        name: &str,
    ) -> Option<Self> {
        let given = args.service.clone();
        let fallback = || {
            let named = environment.filled("OTEL_SERVICE_NAME").is_some()
                || environment
                    .filled("OTEL_RESOURCE_ATTRIBUTES")
                    .is_some_and(|all| all.contains("service.name="));
            (!named && args.config.is_none()).then(|| name.to_owned())
        };
        let overrides = Overrides {
            service: given.or_else(fallback),
            ..Overrides::default()
        };
        let mut left = Vec::new();
        let alone = || config::run_to(NOWHERE, UNUSED, environment, &overrides);
        let loaded = match &args.config {
            Some(file) => config::load(file, environment, &overrides).or_else(|refused| {
                left.push(format!("{}: {refused}", file.display()));
                alone()
            }),
            None => alone(),
        };
        let plan = loaded.ok()?.plan;
        let mut export = plan.export;
        if export.is_empty() {
            export.extend(beside(environment));
        }
        // Nothing failed, so only who asks is told.
        if export.is_empty() && args.verbose {
            left.push(SENT_NOWHERE.to_owned());
        }
        Some(Self {
            tracing: plan.tracing,
            export,
            flush: args.flush.unwrap_or(FLUSH),
            left,
        })
    }

    /// Who decides about sampling.
    pub(in crate::cli) fn sampler(&self) -> HeadSampler {
        HeadSampler::new(&self.tracing.default_sampling)
    }

    /// Bounds of the span.
    pub(in crate::cli) const fn limits(&self) -> SpanLimits {
        SpanLimits {
            attribute_count_max: self.tracing.attribute_count_max,
            attribute_value_max: self.tracing.attribute_value_max,
        }
    }
}

/// A proxy is compiled with its defaults, so that the variables mean here what they mean there;
/// its listener and its upstream are never made.
const NOWHERE: &str = "http://127.0.0.1:9";
const UNUSED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The edgespan that `EDGESPAN_URL` names takes spans on its admin listener.
fn beside(environment: &Environment) -> Option<OtlpSettings> {
    let mut endpoint: url::Url = environment.filled("EDGESPAN_URL")?.parse().ok()?;
    endpoint.set_path("/v1/traces");
    Some(OtlpSettings {
        endpoint,
        protocol: Protocol::HttpProtobuf,
        compression: Compression::None,
        headers: Vec::new(),
        timeout: Duration::from_secs(10),
        tls: TlsSettings::default(),
        batch: BatchSettings::default(),
    })
}

const SENT_NOWHERE: &str = "the span is sent nowhere: OTEL_EXPORTER_OTLP_ENDPOINT or EDGESPAN_URL names \
                            who takes it, or a file by --config";

/// What a job is called if nobody says: its program's file name.
pub(in crate::cli) fn program_name(program: &std::ffi::OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().into_owned()
}

/// `job.name`, `schedule`, `trigger` and what the surroundings say more.
pub(in crate::cli) fn attributes(args: &JobArgs, origin: &Origin) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    let mut tell = |key: &str, value: Option<&String>| {
        told.extend(value.map(|value| (key.to_owned(), value.clone())));
    };
    tell("job.name", args.job.as_ref().or(origin.job.as_ref()));
    tell("schedule", args.schedule.as_ref());
    tell("trigger", args.trigger.as_ref().or(origin.trigger.as_ref()));
    for (key, value) in &origin.attributes {
        tell(key, Some(value));
    }
    // Keys must not repeat; what was said last, and by hand, counts.
    for (key, value) in &args.attributes {
        told.retain(|(known, _)| known != key);
        told.push((key.clone(), value.clone()));
    }
    told
}
