//! The standard variables of OpenTelemetry, less those of the OTLP exporter.
//!
//! As the specification asks: an empty variable is unset, and a value that cannot be used is
//! warned of and ignored.

use super::diagnostic::{Code, Diagnostic, Findings};
use super::env::Environment;
use super::otlp_env::OtlpVariables;
use crate::export::{BatchSettings, Signal};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Most attributes of a span if nobody says (OpenTelemetry specification, span limits).
const ATTRIBUTES_MAX: usize = 128;

/// What the standard variables say.
#[derive(Debug)]
pub(in crate::config) struct OtelVariables {
    /// `OTEL_SDK_DISABLED`
    pub(in crate::config) disabled: bool,
    /// `TRACE_DEBUG`
    pub(in crate::config) trace_debug: bool,
    /// `OTEL_SERVICE_NAME`
    pub(in crate::config) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`
    pub(in crate::config) resource: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER` and `_ARG`
    pub(in crate::config) sampler: Option<Sampler>,
    /// `OTEL_PROPAGATORS`
    pub(in crate::config) propagators: Option<Vec<Arc<str>>>,
    /// `OTEL_TRACES_EXPORTER`
    pub(in crate::config) exporters: Option<Exporters>,
    /// `OTEL_EXPORTER_OTLP_*`
    pub(in crate::config) otlp: OtlpVariables,
    /// `OTEL_BSP_*`
    pub(in crate::config) batch: BatchVariables,
    /// `OTEL_METRICS_EXPORTER` and what belongs to it
    pub(in crate::config) metrics: SignalVariables,
    /// `OTEL_METRIC_EXPORT_INTERVAL`
    pub(in crate::config) metric_interval: Option<Duration>,
    /// `OTEL_LOGS_EXPORTER` and what belongs to it, `OTEL_BLRP_*` among it
    pub(in crate::config) logs: SignalVariables,
    /// `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`
    pub(in crate::config) attribute_count_max: usize,
    /// `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`
    pub(in crate::config) attribute_value_max: Option<usize>,
    /// `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`
    pub(in crate::config) known_methods: Option<Vec<Arc<str>>>,
}

/// What the variables say of a signal that edgespan sends about itself.
#[derive(Debug)]
pub(in crate::config) struct SignalVariables {
    /// Whether it is sent over OTLP; None: nobody says.
    pub(in crate::config) over_otlp: Option<bool>,
    pub(in crate::config) otlp: OtlpVariables,
    pub(in crate::config) batch: BatchVariables,
}

/// A sampler as `OTEL_TRACES_SAMPLER` names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) struct Sampler {
    pub(in crate::config) ratio: f64,
    pub(in crate::config) parent_based: bool,
}

/// `OTEL_TRACES_EXPORTER`: a list, in which `none` adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Exporters {
    pub(in crate::config) otlp: bool,
    pub(in crate::config) console: bool,
}

/// `OTEL_BSP_*`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct BatchVariables {
    delay: Option<Duration>,
    queue: Option<usize>,
    batch: Option<usize>,
}

impl BatchVariables {
    /// These win over the file.
    pub(in crate::config) fn apply(self, settings: &mut BatchSettings) {
        settings.delay = self.delay.unwrap_or(settings.delay);
        settings.queue_spans_max = self.queue.unwrap_or(settings.queue_spans_max);
        let batch = self.batch.unwrap_or(settings.batch_spans_max);
        settings.batch_spans_max = batch.min(settings.queue_spans_max);
    }
}

impl OtelVariables {
    /// Reads all of them, and warns of each that cannot be used.
    pub(in crate::config) fn read(environment: &Environment, findings: &mut Findings) -> Self {
        let mut reader = Reader {
            environment,
            findings,
        };
        Self {
            disabled: reader.flag("OTEL_SDK_DISABLED"),
            trace_debug: matches!(environment.filled("TRACE_DEBUG"), Some("1" | "true")),
            service_name: environment.filled("OTEL_SERVICE_NAME").map(str::to_owned),
            resource: reader.resource(),
            sampler: reader.sampler(),
            propagators: reader.propagators(),
            exporters: reader.exporters("OTEL_TRACES_EXPORTER"),
            otlp: OtlpVariables::read(Signal::Traces, &mut reader),
            batch: BatchVariables {
                delay: reader.millis("OTEL_BSP_SCHEDULE_DELAY"),
                queue: reader.count("OTEL_BSP_MAX_QUEUE_SIZE"),
                batch: reader.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
            },
            metrics: SignalVariables {
                over_otlp: reader.over_otlp("OTEL_METRICS_EXPORTER"),
                otlp: OtlpVariables::read(Signal::Metrics, &mut reader),
                batch: BatchVariables::default(),
            },
            metric_interval: reader.millis("OTEL_METRIC_EXPORT_INTERVAL"),
            logs: SignalVariables {
                over_otlp: reader.over_otlp("OTEL_LOGS_EXPORTER"),
                otlp: OtlpVariables::read(Signal::Logs, &mut reader),
                batch: BatchVariables {
                    delay: reader.millis("OTEL_BLRP_SCHEDULE_DELAY"),
                    queue: reader.count("OTEL_BLRP_MAX_QUEUE_SIZE"),
                    batch: reader.count("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"),
                },
            },
            attribute_count_max: reader
                .count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")
                .or_else(|| reader.count("OTEL_ATTRIBUTE_COUNT_LIMIT"))
                .unwrap_or(ATTRIBUTES_MAX),
            attribute_value_max: reader
                .count("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")
                .or_else(|| reader.count("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")),
            known_methods: reader.known_methods(),
        }
    }
}

/// Reads variables and warns of those that cannot be used.
pub(in crate::config) struct Reader<'a> {
    pub(in crate::config) environment: &'a Environment,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    /// Says that a variable is ignored. `value` is None where it may be a secret.
    pub(in crate::config) fn ignore(
        &mut self,
        name: &str,
        value: Option<&str>,
        what: &str,
        used: &str,
    ) {
        let message = match value {
            Some(value) => {
                let shown: String = value.chars().take(60).collect();
                format!("{name}: `{shown}` is not {what}")
            }
            None => format!("{name}: its value is not {what}"),
        };
        self.findings
            .push(Diagnostic::new(Code::VariableIgnored, message).help(used));
    }

    pub(in crate::config) fn filled(&self, name: &str) -> Option<String> {
        self.environment.filled(name).map(str::to_owned)
    }

    /// Milliseconds; zero cannot be meant.
    pub(in crate::config) fn millis(&mut self, name: &str) -> Option<Duration> {
        let millis = self.number::<u32>(name, "a number of milliseconds above zero")?;
        Some(Duration::from_millis(u64::from(millis)))
    }

    fn count(&mut self, name: &str) -> Option<usize> {
        let count = self.number::<u32>(name, "a number above zero")?;
        usize::try_from(count).ok()
    }

    fn number<T: FromStr + Default + PartialEq>(&mut self, name: &str, what: &str) -> Option<T> {
        let value = self.filled(name)?;
        let number = value.parse().ok().filter(|number| *number != T::default());
        if number.is_none() {
            self.ignore(name, Some(&value), what, "the default is used");
        }
        number
    }

    fn flag(&mut self, name: &str) -> bool {
        let Some(value) = self.filled(name) else {
            return false;
        };
        if !value.eq_ignore_ascii_case("true") && !value.eq_ignore_ascii_case("false") {
            self.ignore(name, Some(&value), "true or false", "false is used");
        }
        self.environment.is_true(name)
    }

    /// `key=value,key=value`, percent-decoded. Of a list with an error nothing is taken.
    fn resource(&mut self) -> Vec<(String, String)> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let Some(value) = self.filled(name) else {
            return Vec::new();
        };
        pairs(&value).unwrap_or_else(|| {
            let what = "a list of key=value, percent-encoded";
            self.ignore(name, Some(&value), what, "nothing of it is used");
            Vec::new()
        })
    }

    fn sampler(&mut self) -> Option<Sampler> {
        let name = "OTEL_TRACES_SAMPLER";
        let value = self.filled(name)?;
        let sampler = |ratio, parent_based| {
            Some(Sampler {
                ratio,
                parent_based,
            })
        };
        match value.as_str() {
            "always_on" => sampler(1.0, false),
            "always_off" => sampler(0.0, false),
            "traceidratio" => sampler(self.ratio(), false),
            "parentbased_always_on" => sampler(1.0, true),
            "parentbased_always_off" => sampler(0.0, true),
            "parentbased_traceidratio" => sampler(self.ratio(), true),
            _ => {
                self.ignore(
                    name,
                    Some(&value),
                    "a sampler known here",
                    "the file's rate is used",
                );
                None
            }
        }
    }

    fn ratio(&mut self) -> f64 {
        let name = "OTEL_TRACES_SAMPLER_ARG";
        let Some(value) = self.filled(name) else {
            return 1.0;
        };
        let ratio: Option<f64> = value.parse().ok();
        ratio
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .unwrap_or_else(|| {
                self.ignore(name, Some(&value), "a number from 0 to 1", "1.0 is used");
                1.0
            })
    }

    fn propagators(&mut self) -> Option<Vec<Arc<str>>> {
        let name = "OTEL_PROPAGATORS";
        let value = self.filled(name)?;
        let mut known: Vec<Arc<str>> = Vec::new();
        let mut none = false;
        let mut unknown = false;
        for one in value
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            match one {
                "tracecontext" | "baggage" | "b3" | "b3multi" => {
                    if !known.iter().any(|other| &**other == one) {
                        known.push(Arc::from(one));
                    }
                }
                "none" => none = true,
                _ => {
                    unknown = true;
                    self.ignore(name, Some(one), "a propagator known here", "it is left out");
                }
            }
        }
        // Nothing but unknown names must not mean that all propagation ends.
        if known.is_empty() && unknown && !none {
            None
        } else {
            Some(known)
        }
    }

    /// Whether a list of exporters has OTLP. What else there may be is there anyway: `console` is
    /// the log on stderr, `prometheus` is `/metrics`.
    fn over_otlp(&mut self, name: &str) -> Option<bool> {
        let value = self.filled(name)?;
        let mut known = None;
        for one in value
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            match one {
                "otlp" => known = Some(true),
                "none" | "console" | "prometheus" => known = known.or(Some(false)),
                _ => self.ignore(name, Some(one), "an exporter known here", "it is left out"),
            }
        }
        known
    }

    fn exporters(&mut self, name: &str) -> Option<Exporters> {
        let value = self.filled(name)?;
        let mut chosen: Option<Exporters> = None;
        for one in value
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            match one {
                "otlp" => chosen.get_or_insert_default().otlp = true,
                "console" => chosen.get_or_insert_default().console = true,
                "none" => chosen = chosen.or_else(|| Some(Exporters::default())),
                _ => self.ignore(name, Some(one), "an exporter known here", "it is left out"),
            }
        }
        chosen
    }

    fn known_methods(&mut self) -> Option<Vec<Arc<str>>> {
        let value = self.filled("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS")?;
        let methods = value
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty());
        Some(methods.map(Arc::from).collect())
    }
}

/// `key=value` pairs with commas between, percent-decoded; None if any of it is malformed.
pub(in crate::config) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let members = text
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty());
    let pair = |member: &str| {
        let (key, value) = member.split_once('=')?;
        let key = percent_decoded(key.trim())?;
        (!key.is_empty()).then_some(())?;
        Some((key, percent_decoded(value.trim())?))
    };
    members.map(pair).collect()
}

/// None if an escape is malformed or the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
