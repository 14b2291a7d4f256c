//! Where spans go: the file's collectors, and what the environment says of the first of them.

use super::{Compiler, headers};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::otel_env::{Exporters, OtelVariables};
use crate::config::plan::TerminalExport;
use crate::config::raw;
use crate::config::scalar::{self, Purpose};
use crate::export::{BatchSettings, Compression, OtlpSettings, Protocol, Signal, TlsSettings};
use std::time::Duration;
use url::Url;

/// How long one attempt may take if nobody says (OTLP exporter specification).
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn compile(
    written: &[Spanned<raw::Exporter>],
    variables: &OtelVariables,
    compiler: &mut Compiler<'_>,
) -> Vec<OtlpSettings> {
    let mut compiled: Vec<OtlpSettings> = Vec::with_capacity(written.len());
    for exporter in written {
        if let Some(otlp) = &exporter.value.otlp {
            compiled.extend(one(Signal::Traces, otlp, compiler));
        }
    }
    let over_otlp = variables.exporters.map(|exporters| exporters.otlp);
    if over_otlp == Some(false) {
        return Vec::new();
    }
    let asked = variables.otlp.endpoint.is_some() || over_otlp == Some(true);
    if let Some(first) = compiled.first_mut() {
        variables.otlp.apply(first);
        variables.batch.apply(&mut first.batch);
    } else if asked && written.is_empty() {
        compiled.extend(variables.otlp.alone(compiler.findings).map(|mut settings| {
            variables.batch.apply(&mut settings.batch);
            settings
        }));
    }
    compiled
}

/// Whether the terminal counts as an exporter beside those.
pub(super) const fn terminal(variables: &OtelVariables) -> TerminalExport {
    match variables.exporters {
        Some(Exporters { console: true, .. }) => TerminalExport::Always,
        Some(Exporters { otlp: false, .. }) => TerminalExport::Never,
        Some(Exporters { otlp: true, .. }) | None => TerminalExport::WithoutCollector,
    }
}

/// Adds the signal's path to a URL of OTLP over HTTP that has none.
pub(in crate::config) fn with_signal_path(mut url: Url, protocol: Protocol, signal: Signal) -> Url {
    if protocol == Protocol::HttpProtobuf && matches!(url.path(), "" | "/") {
        url.set_path(signal.http_path());
    }
    url
}

/// An exporter with defaults alone.
pub(in crate::config) fn plain(endpoint: Url, protocol: Protocol) -> OtlpSettings {
    OtlpSettings {
        endpoint,
        protocol,
        compression: Compression::default(),
        headers: Vec::new(),
        timeout: TIMEOUT,
        tls: TlsSettings::default(),
        batch: BatchSettings::default(),
    }
}

/// A collector that the file names.
pub(super) fn one(
    signal: Signal,
    otlp: &Spanned<raw::Otlp>,
    compiler: &mut Compiler<'_>,
) -> Option<OtlpSettings> {
    let written = &otlp.value;
    let protocol = match written.protocol.as_ref().map(|protocol| protocol.value) {
        Some(raw::OtlpProtocol::Grpc) => Protocol::Grpc,
        Some(raw::OtlpProtocol::HttpProtobuf) | None => Protocol::HttpProtobuf,
    };
    let url = written.endpoint.as_ref().and_then(|endpoint| {
        let url = compiler.value(
            &endpoint.span,
            Code::Url,
            scalar::collector(&endpoint.value),
        )?;
        if written.protocol.is_none() && url.port() == Some(4317) {
            compiler.tell(likely_grpc(&endpoint.span));
        }
        Some(url)
    });
    let tls = written.tls.as_ref();
    if let (Some(tls), Some(url)) = (tls, &url)
        && url.scheme() == "http"
    {
        let diagnostic = Diagnostic::at(Code::NoEffect, &tls.span, "`tls` has no effect here");
        compiler.tell(diagnostic.label("the endpoint is not `https`"));
    }
    let settings = OtlpSettings {
        compression: match written.compression.unwrap_or_default() {
            raw::OtlpCompression::None => Compression::None,
            raw::OtlpCompression::Gzip => Compression::Gzip,
            raw::OtlpCompression::Zstd => Compression::Zstd,
        },
        headers: secret_headers(written, compiler),
        timeout: compiler.duration_or(written.timeout.as_ref(), TIMEOUT),
        tls: tls
            .map(|tls| tls_settings(&tls.value, compiler))
            .unwrap_or_default(),
        batch: batch(&written.queue, compiler),
        // Read last: everything else of an exporter without an endpoint is looked at, too.
        ..plain(with_signal_path(url?, protocol, signal), protocol)
    };
    Some(settings)
}

fn likely_grpc(span: &Span) -> Diagnostic {
    Diagnostic::at(Code::LikelyProtocol, span, "port 4317 usually speaks gRPC")
        .label("OTLP over HTTP is spoken here")
        .help("add `protocol: grpc`, or `protocol: http/protobuf` if it is meant")
}

fn secret_headers(
    written: &raw::Otlp,
    compiler: &mut Compiler<'_>,
) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let mut fields = Vec::with_capacity(written.headers.0.len());
    for (name, value) in written.headers.iter() {
        let read = scalar::header_name(&name.value, Purpose::Edit);
        let name = compiler.value(&name.span, Code::Header, read);
        let value = headers::header_value(&value.span, &value.value, true, compiler);
        fields.extend(name.zip(value));
    }
    fields
}

fn tls_settings(written: &raw::ExporterTls, compiler: &mut Compiler<'_>) -> TlsSettings {
    TlsSettings {
        ca: compiler.authority(written.ca.as_ref()),
        identity: written
            .certificate
            .as_ref()
            .and_then(|files| compiler.certificate(files)),
    }
}

fn batch(written: &raw::ExporterQueue, compiler: &mut Compiler<'_>) -> BatchSettings {
    let default = BatchSettings::default();
    let count = |count: &Option<Spanned<raw::Count>>, default: usize| {
        count.as_ref().map_or(default, |count| count.value.0)
    };
    let settings = BatchSettings {
        queue_spans_max: count(&written.spans, default.queue_spans_max),
        batch_spans_max: count(&written.batch, default.batch_spans_max),
        delay: compiler.duration_or(written.delay.as_ref(), default.delay),
    };
    let place = written.batch.as_ref().or(written.spans.as_ref());
    if let Some(place) = place
        && settings.batch_spans_max > settings.queue_spans_max
    {
        let message = format!(
            "a batch of {} spans never fills from a queue of {}",
            settings.batch_spans_max, settings.queue_spans_max
        );
        compiler.tell(Diagnostic::at(Code::OutOfRange, &place.span, message));
    }
    settings
}
