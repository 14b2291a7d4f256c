//! Requests received and attempts made, by the semantic conventions' HTTP metrics.
//!
//! `http.server.request.duration` and `http.client.request.duration` are Stable there; names
//! are in Prometheus form (OpenTelemetry's "Prometheus and OpenMetrics Compatibility").

use super::exposition::{Exposition, Family, Kind, Labels};
use super::histogram::{Bounds, ExemplarIds, Histogram, MILLIS, REQUEST_BOUNDS};
use super::series::{SeriesTable, hash_labels};
use crate::clock::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Label sets of one family that are kept apart; later ones share the overflow series. Twice
/// OpenTelemetry's default limit, at about a kilobyte each.
const SERIES_MAX: usize = 4_096;

const MICROS: u64 = 1_000;

/// Buckets of our own share of a request, 10 µs to 100 ms.
const INTERNAL_BOUNDS: Bounds = &[
    10 * MICROS,
    25 * MICROS,
    50 * MICROS,
    100 * MICROS,
    250 * MICROS,
    500 * MICROS,
    MILLIS,
    2_500 * MICROS,
    5 * MILLIS,
    10 * MILLIS,
    100 * MILLIS,
];

/// A request that has ended, on the server's side.
#[derive(Clone, Copy, Debug)]
pub struct ServerObservation<'a> {
    /// `http.route`: the template, if a route matched.
    pub route: Option<&'a Arc<str>>,
    /// `http.request.method`, of the list of known ones or `_OTHER`.
    pub method: &'a str,
    /// `http.response.status_code`, if an answer was begun.
    pub status: Option<u16>,
    /// `url.scheme`.
    pub scheme: &'static str,
    /// `network.protocol.version`: `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// `error.type`, of a short list.
    pub error_type: Option<&'a str>,
    /// From the first byte of the head to the last of the body.
    pub duration: Duration,
    /// The part of `duration` that edgespan itself took.
    pub internal: Duration,
    /// When it ended.
    pub ended: Timestamp,
    /// Its span, if that is recorded.
    pub exemplar: Option<ExemplarIds>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
}

/// One attempt at an upstream that has ended.
#[derive(Clone, Copy, Debug)]
pub struct ClientObservation<'a> {
    /// The upstream's name in the configuration.
    pub upstream: &'a Arc<str>,
    /// `http.request.method`, of the list of known ones or `_OTHER`.
    pub method: &'a str,
    /// `http.response.status_code`, if one was received.
    pub status: Option<u16>,
    /// `error.type`, of a short list.
    pub error_type: Option<&'a str>,
    /// From the first byte sent to the last received.
    pub duration: Duration,
    /// When it ended.
    pub ended: Timestamp,
    /// Its span, if that is recorded.
    pub exemplar: Option<ExemplarIds>,
}

/// All series of requests and attempts.
pub(super) struct HttpMetrics {
    server: SeriesTable<ServerSeries>,
    server_overflow: ServerSeries,
    internal: Histogram,
    client: SeriesTable<ClientSeries>,
    client_overflow: ClientSeries,
}

struct ServerSeries {
    route: Option<Arc<str>>,
    method: Box<str>,
    status: Option<u16>,
    scheme: &'static str,
    version: &'static str,
    error_type: Option<Box<str>>,
    duration: Histogram,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
}

struct ClientSeries {
    upstream: Arc<str>,
    method: Box<str>,
    status: Option<u16>,
    error_type: Option<Box<str>>,
    duration: Histogram,
}

impl HttpMetrics {
    pub(super) fn new() -> Self {
        Self {
            server: SeriesTable::new(SERIES_MAX),
            server_overflow: ServerSeries::overflow(),
            internal: Histogram::new(INTERNAL_BOUNDS),
            client: SeriesTable::new(SERIES_MAX),
            client_overflow: ClientSeries::overflow(),
        }
    }

    pub(super) fn server_request(&self, seen: &ServerObservation<'_>) {
        let route = seen.route.map(|route| &**route);
        let hash = hash_labels((
            (route, seen.method, seen.status),
            (seen.scheme, seen.version, seen.error_type),
        ));
        let series = self
            .server
            .find_or_insert(hash, |held| held.is_of(seen), || ServerSeries::of(seen))
            .unwrap_or(&self.server_overflow);
        series
            .duration
            .observe(seen.duration, seen.ended, seen.exemplar);
        // Most requests have no body: no write, no contended cache line.
        if seen.request_bytes > 0 {
            series
                .request_bytes
                .fetch_add(seen.request_bytes, Ordering::Relaxed);
        }
        if seen.response_bytes > 0 {
            series
                .response_bytes
                .fetch_add(seen.response_bytes, Ordering::Relaxed);
        }
        self.internal
            .observe(seen.internal, seen.ended, seen.exemplar);
    }

    pub(super) fn client_request(&self, seen: &ClientObservation<'_>) {
        let hash = hash_labels((&**seen.upstream, seen.method, seen.status, seen.error_type));
        self.client
            .find_or_insert(hash, |held| held.is_of(seen), || ClientSeries::of(seen))
            .unwrap_or(&self.client_overflow)
            .duration
            .observe(seen.duration, seen.ended, seen.exemplar);
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        self.render_server(page);
        page.family(Family {
            name: "edgespan_request_internal_duration_seconds",
            kind: Kind::Histogram,
            help: "Time that edgespan itself took of a request, upstream and client excluded.",
        });
        page.histogram(&[], &self.internal.snapshot());
        page.family(Family {
            name: "http_client_request_duration_seconds",
            kind: Kind::Histogram,
            help: "Duration of attempts at upstreams.",
        });
        for series in self.client.iter() {
            series.with_labels(|labels| page.histogram(labels, &series.duration.snapshot()));
        }
        let overflow = self.client_overflow.duration.snapshot();
        if overflow.buckets.iter().any(|bucket| bucket.count > 0) {
            page.histogram(&OVERFLOW, &overflow);
        }
    }

    fn render_server(&self, page: &mut Exposition) {
        page.family(Family {
            name: "http_server_request_duration_seconds",
            kind: Kind::Histogram,
            help: "Duration of requests received.",
        });
        for series in self.server.iter() {
            series.with_labels(|labels| page.histogram(labels, &series.duration.snapshot()));
        }
        let overflow = self.server_overflow.duration.snapshot();
        let overflowed = overflow.buckets.iter().any(|bucket| bucket.count > 0);
        if overflowed {
            page.histogram(&OVERFLOW, &overflow);
        }
        for (name, help, bytes) in BODY_FAMILIES {
            page.family(Family {
                name,
                kind: Kind::Counter,
                help,
            });
            for series in self.server.iter() {
                let bytes = bytes(series).load(Ordering::Relaxed);
                series.with_labels(|labels| page.sample(labels, bytes));
            }
            if overflowed {
                page.sample(
                    &OVERFLOW,
                    bytes(&self.server_overflow).load(Ordering::Relaxed),
                );
            }
        }
    }
}

/// The label set of what found no place, by the metrics SDK's "Cardinality limits".
const OVERFLOW: [(&str, &str); 1] = [("otel_metric_overflow", "true")];

type BodyFamily = (&'static str, &'static str, fn(&ServerSeries) -> &AtomicU64);

const BODY_FAMILIES: [BodyFamily; 2] = [
    (
        "edgespan_http_server_request_body_bytes",
        "Bytes of request bodies received.",
        |series| &series.request_bytes,
    ),
    (
        "edgespan_http_server_response_body_bytes",
        "Bytes of response bodies sent.",
        |series| &series.response_bytes,
    ),
];

impl ServerSeries {
    fn of(seen: &ServerObservation<'_>) -> Self {
        Self {
            route: seen.route.map(Arc::clone),
            method: seen.method.into(),
            status: seen.status,
            scheme: seen.scheme,
            version: seen.version,
            error_type: seen.error_type.map(Into::into),
            duration: Histogram::new(REQUEST_BOUNDS),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
        }
    }

    fn overflow() -> Self {
        Self {
            route: None,
            method: Box::default(),
            status: None,
            scheme: "",
            version: "",
            error_type: None,
            duration: Histogram::new(REQUEST_BOUNDS),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
        }
    }

    fn is_of(&self, seen: &ServerObservation<'_>) -> bool {
        self.status == seen.status
            && self.route.as_deref() == seen.route.map(|route| &**route)
            && *self.method == *seen.method
            && self.scheme == seen.scheme
            && self.version == seen.version
            && self.error_type.as_deref() == seen.error_type
    }

    fn with_labels(&self, write: impl FnOnce(&Labels<'_>)) {
        write(&[
            ("http_request_method", &self.method),
            ("http_route", self.route.as_deref().unwrap_or_default()),
            ("http_response_status_code", &status_text(self.status)),
            ("url_scheme", self.scheme),
            ("network_protocol_version", self.version),
            (
                "error_type",
                &error_text(&self.error_type, self.status, 500),
            ),
        ]);
    }
}

impl ClientSeries {
    fn of(seen: &ClientObservation<'_>) -> Self {
        Self {
            upstream: Arc::clone(seen.upstream),
            method: seen.method.into(),
            status: seen.status,
            error_type: seen.error_type.map(Into::into),
            duration: Histogram::new(REQUEST_BOUNDS),
        }
    }

    fn overflow() -> Self {
        Self {
            upstream: Arc::from(""),
            method: Box::default(),
            status: None,
            error_type: None,
            duration: Histogram::new(REQUEST_BOUNDS),
        }
    }

    fn is_of(&self, seen: &ClientObservation<'_>) -> bool {
        self.status == seen.status
            && *self.upstream == **seen.upstream
            && *self.method == *seen.method
            && self.error_type.as_deref() == seen.error_type
    }

    fn with_labels(&self, write: impl FnOnce(&Labels<'_>)) {
        write(&[
            ("upstream", &self.upstream),
            ("http_request_method", &self.method),
            ("http_response_status_code", &status_text(self.status)),
            (
                "error_type",
                &error_text(&self.error_type, self.status, 400),
            ),
        ]);
    }
}

/// `error.type` as label value: what went wrong, else the status if it is one of an error, as on
/// spans. Empty, so no label, where all went well.
fn error_text(error: &Option<Box<str>>, status: Option<u16>, errors_from: u16) -> String {
    match error {
        Some(error) => error.to_string(),
        None => status_text(status.filter(|&status| status >= errors_from)),
    }
}

/// A status as label value; empty, so no label, where there was none.
fn status_text(status: Option<u16>) -> String {
    status.map(|status| status.to_string()).unwrap_or_default()
}
