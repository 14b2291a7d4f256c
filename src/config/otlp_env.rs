//! `OTEL_EXPORTER_OTLP_*` and their forms for one signal (`_TRACES_`, `_METRICS_`, `_LOGS_`), which
//! win.

use super::compile::export::{plain, with_signal_path};
use super::diagnostic::{Code, Diagnostic, Findings};
use super::otel_env::{Reader, pairs};
use super::scalar::{self, Purpose};
use crate::export::{Compression, OtlpSettings, Protocol, Signal};
use http::{HeaderName, HeaderValue};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Where a collector is if nobody says (OTLP exporter specification).
const DEFAULT_HTTP: &str = "http://localhost:4318";
const DEFAULT_GRPC: &str = "http://localhost:4317";

/// What the variables of the OTLP exporter say.
pub(in crate::config) struct OtlpVariables {
    signal: Signal,
    pub(in crate::config) endpoint: Option<Endpoint>,
    protocol: Option<Protocol>,
    headers: Option<Vec<(HeaderName, HeaderValue)>>,
    timeout: Option<Duration>,
    export_timeout: Option<Duration>,
    compression: Option<Compression>,
    ca: Option<PathBuf>,
    client_chain: Option<PathBuf>,
    client_key: Option<PathBuf>,
}

/// A URL, and whether the signal's path has to be added to it.
pub(in crate::config) struct Endpoint {
    url: Url,
    base: bool,
    signal: Signal,
}

/// Headers are secrets, so nothing of this is told.
impl std::fmt::Debug for OtlpVariables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OtlpVariables")
            .finish_non_exhaustive()
    }
}

impl OtlpVariables {
    pub(in crate::config) fn read(signal: Signal, reader: &mut Reader<'_>) -> Self {
        let path = |reader: &Reader<'_>, suffix: &str| {
            of_signal(signal, reader, suffix).map(|(_, value)| PathBuf::from(value))
        };
        Self {
            signal,
            endpoint: endpoint(signal, reader),
            protocol: protocol(signal, reader),
            headers: headers(signal, reader),
            timeout: millis(signal, reader, "TIMEOUT"),
            export_timeout: reader.millis(match signal {
                Signal::Traces => "OTEL_BSP_EXPORT_TIMEOUT",
                Signal::Metrics => "OTEL_METRIC_EXPORT_TIMEOUT",
                Signal::Logs => "OTEL_BLRP_EXPORT_TIMEOUT",
            }),
            compression: compression(signal, reader),
            ca: path(reader, "CERTIFICATE"),
            client_chain: path(reader, "CLIENT_CERTIFICATE"),
            client_key: path(reader, "CLIENT_KEY"),
        }
    }

    /// Whether an endpoint is named for this signal alone, and not for all of them.
    pub(in crate::config) fn names_own_endpoint(&self) -> bool {
        self.endpoint
            .as_ref()
            .is_some_and(|endpoint| !endpoint.base)
    }

    /// Overrides a file's exporter where the variables say something.
    pub(in crate::config) fn apply(&self, settings: &mut OtlpSettings) {
        settings.protocol = self.protocol.unwrap_or(settings.protocol);
        if let Some(endpoint) = &self.endpoint {
            settings.endpoint = endpoint.for_protocol(settings.protocol);
        }
        if let Some(headers) = &self.headers {
            settings.headers.clone_from(headers);
        }
        if let Some(timeout) = self.timeout {
            settings.timeout = timeout;
        } else if let Some(longest) = self.export_timeout {
            settings.timeout = settings.timeout.min(longest);
        }
        settings.compression = self.compression.unwrap_or(settings.compression);
        if let Some(ca) = &self.ca {
            settings.tls.ca = Some(ca.clone());
        }
        if let (Some(chain), Some(key)) = (&self.client_chain, &self.client_key) {
            settings.tls.identity = Some((chain.clone(), key.clone()));
        }
    }

    /// An exporter that only variables describe.
    pub(in crate::config) fn alone(&self, findings: &mut Findings) -> Option<OtlpSettings> {
        let protocol = self.protocol.unwrap_or(Protocol::HttpProtobuf);
        let url = match &self.endpoint {
            Some(endpoint) => {
                if self.protocol.is_none() && endpoint.url.port() == Some(4317) {
                    findings.push(likely_grpc());
                }
                endpoint.for_protocol(protocol)
            }
            None => {
                let default = match protocol {
                    Protocol::HttpProtobuf => DEFAULT_HTTP,
                    Protocol::Grpc => DEFAULT_GRPC,
                };
                with_signal_path(Url::parse(default).ok()?, protocol, self.signal)
            }
        };
        let mut settings = plain(url, protocol);
        self.apply(&mut settings);
        Some(settings)
    }
}

impl Endpoint {
    /// A base URL gets the signal's path behind its own; a signal's URL is used as it is.
    fn for_protocol(&self, protocol: Protocol) -> Url {
        if protocol == Protocol::Grpc || !self.base {
            return self.url.clone();
        }
        let mut url = self.url.clone();
        let base = self.url.path().trim_end_matches('/');
        url.set_path(&format!("{base}{}", self.signal.http_path()));
        url
    }
}

fn likely_grpc() -> Diagnostic {
    let message =
        "OTEL_EXPORTER_OTLP_ENDPOINT: port 4317 usually speaks gRPC, and OTLP over HTTP is spoken";
    Diagnostic::new(Code::LikelyProtocol, message)
        .help("set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or http/protobuf if that is meant")
}

/// What the variables of one signal begin with.
const fn prefix(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "OTEL_EXPORTER_OTLP_TRACES_",
        Signal::Metrics => "OTEL_EXPORTER_OTLP_METRICS_",
        Signal::Logs => "OTEL_EXPORTER_OTLP_LOGS_",
    }
}

/// The signal's form if it is set, else the general one; with the name that it has.
fn of_signal(signal: Signal, reader: &Reader<'_>, suffix: &str) -> Option<(String, String)> {
    [prefix(signal), "OTEL_EXPORTER_OTLP_"]
        .iter()
        .map(|prefix| format!("{prefix}{suffix}"))
        .find_map(|name| reader.filled(&name).map(|value| (name, value)))
}

fn endpoint(signal: Signal, reader: &mut Reader<'_>) -> Option<Endpoint> {
    let (name, value) = of_signal(signal, reader, "ENDPOINT")?;
    match scalar::collector(&value) {
        Ok(url) => Some(Endpoint {
            url,
            base: !name.starts_with(prefix(signal)),
            signal,
        }),
        Err(_) => {
            // It may hold a password.
            reader.ignore(
                &name,
                None,
                "an http or https URL without a user",
                "it is ignored",
            );
            None
        }
    }
}

fn protocol(signal: Signal, reader: &mut Reader<'_>) -> Option<Protocol> {
    let (name, value) = of_signal(signal, reader, "PROTOCOL")?;
    match value.as_str() {
        "grpc" => Some(Protocol::Grpc),
        "http/protobuf" => Some(Protocol::HttpProtobuf),
        _ => {
            reader.ignore(
                &name,
                Some(&value),
                "grpc or http/protobuf",
                "it is ignored",
            );
            None
        }
    }
}

fn compression(signal: Signal, reader: &mut Reader<'_>) -> Option<Compression> {
    let (name, value) = of_signal(signal, reader, "COMPRESSION")?;
    match value.as_str() {
        "gzip" => Some(Compression::Gzip),
        "zstd" => Some(Compression::Zstd),
        "none" => Some(Compression::None),
        _ => {
            reader.ignore(&name, Some(&value), "gzip, zstd or none", "it is ignored");
            None
        }
    }
}

fn millis(signal: Signal, reader: &mut Reader<'_>, suffix: &str) -> Option<Duration> {
    let (name, _) = of_signal(signal, reader, suffix)?;
    reader.millis(&name)
}

fn headers(signal: Signal, reader: &mut Reader<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let (name, value) = of_signal(signal, reader, "HEADERS")?;
    let field = |(key, value): (String, String)| {
        let key = scalar::header_name(&key, Purpose::Edit).ok()?;
        let mut value = scalar::header_value(&value).ok()?;
        value.set_sensitive(true);
        Some((key, value))
    };
    let fields = pairs(&value).and_then(|pairs| pairs.into_iter().map(field).collect());
    if fields.is_none() {
        reader.ignore(
            &name,
            None,
            "a list of key=value, percent-encoded",
            "it is ignored",
        );
    }
    fields
}
