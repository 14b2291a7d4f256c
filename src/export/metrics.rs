//! edgespan's own metrics over OTLP: what is on `/metrics`, under OpenTelemetry's names.
//!
//! Sums are cumulative, since the start of the process: what an outage of the collector loses, the
//! next export makes good. Through the same queue, lanes and account as spans; seldom enough that
//! the generated types serve.

use super::account::{Account, AccountSnapshot};
use super::exporter::{ExportError, Exporter};
use super::settings::{OtlpSettings, Signal};
use crate::clock::Timestamp;
use crate::telemetry::metrics::{FamilyReading, HistogramReading, Kind, PointReading, Value};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::AggregationTemporality::Cumulative;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;

/// Points in one record. A family with more is told in several: a record is what fits into one
/// request at least, and a histogram's point has about half a kilobyte.
const POINTS_MAX: usize = 1_000;

/// Sends readings of metrics to one collector. A cheap clone.
#[derive(Clone, Debug)]
pub struct MetricsExporter(Exporter);

impl MetricsExporter {
    /// Starts to export to the collector of `settings`; see [`Exporter::start`].
    ///
    /// # Errors
    /// As there.
    pub fn start(settings: &OtlpSettings, resource: &[u8]) -> Result<Self, ExportError> {
        Exporter::start_for(Signal::Metrics, settings, resource).map(Self)
    }

    /// Takes what was read at `now` of a process that counts since `started`. Never waits.
    pub fn send(&self, families: &[FamilyReading], started: Timestamp, now: Timestamp) {
        for record in records(families, started, now) {
            self.0.push(record);
        }
    }

    /// Where every record is.
    pub fn account(&self) -> &Arc<Account> {
        self.0.account()
    }

    /// One last try for what waits, within `limit`.
    pub async fn shutdown(&self, limit: Duration) -> AccountSnapshot {
        self.0.shutdown(limit).await
    }
}

/// Each an encoded field 2 of `ScopeMetrics`.
fn records(
    families: &[FamilyReading],
    started: Timestamp,
    now: Timestamp,
) -> impl Iterator<Item = Vec<u8>> {
    families.iter().flat_map(move |reading| {
        let told = reading.points.chunks(POINTS_MAX);
        told.map(move |points| {
            let metrics = vec![metric(reading, points, started, now)];
            let scope = otlp::ScopeMetrics {
                metrics,
                ..otlp::ScopeMetrics::default()
            };
            scope.encode_to_vec()
        })
    })
}

fn metric(
    reading: &FamilyReading,
    points: &[PointReading],
    started: Timestamp,
    now: Timestamp,
) -> otlp::Metric {
    let (name, unit) = name_and_unit(reading.family.name);
    let number = |point: &PointReading, start| number(point, start, now);
    let data = match reading.family.kind {
        Kind::Counter => otlp::metric::Data::Sum(otlp::Sum {
            data_points: points
                .iter()
                .filter_map(|point| number(point, started.as_unix_nanos()))
                .collect(),
            aggregation_temporality: Cumulative.into(),
            is_monotonic: true,
        }),
        Kind::Gauge | Kind::Info => otlp::metric::Data::Gauge(otlp::Gauge {
            data_points: points.iter().filter_map(|point| number(point, 0)).collect(),
        }),
        Kind::Histogram => otlp::metric::Data::Histogram(otlp::Histogram {
            data_points: points
                .iter()
                .filter_map(|point| histogram(point, started, now))
                .collect(),
            aggregation_temporality: Cumulative.into(),
        }),
    };
    otlp::Metric {
        name,
        description: reading.family.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..otlp::Metric::default()
    }
}

fn number(point: &PointReading, start: u64, now: Timestamp) -> Option<otlp::NumberDataPoint> {
    let value = match point.value {
        Value::Int(whole) => otlp::number_data_point::Value::AsInt(whole),
        Value::Double(number) => otlp::number_data_point::Value::AsDouble(number),
        Value::Histogram(_) => return None,
    };
    Some(otlp::NumberDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: start,
        time_unix_nano: now.as_unix_nanos(),
        value: Some(value),
        ..otlp::NumberDataPoint::default()
    })
}

fn histogram(
    point: &PointReading,
    started: Timestamp,
    now: Timestamp,
) -> Option<otlp::HistogramDataPoint> {
    let Value::Histogram(read) = &point.value else {
        return None;
    };
    Some(otlp::HistogramDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: started.as_unix_nanos(),
        time_unix_nano: now.as_unix_nanos(),
        count: read.counts.iter().sum(),
        sum: Some(read.sum),
        bucket_counts: read.counts.clone(),
        explicit_bounds: read.bounds.clone(),
        exemplars: exemplars(read),
        ..otlp::HistogramDataPoint::default()
    })
}

fn exemplars(read: &HistogramReading) -> Vec<otlp::Exemplar> {
    let told = read.exemplars.iter().map(|held| otlp::Exemplar {
        time_unix_nano: held.at.as_unix_nanos(),
        span_id: held.span_id.to_bytes().to_vec(),
        trace_id: held.trace_id.to_bytes().to_vec(),
        value: Some(otlp::exemplar::Value::AsDouble(held.seconds)),
        ..otlp::Exemplar::default()
    });
    told.collect()
}

fn attributes(point: &PointReading) -> Vec<KeyValue> {
    let told = point.labels.iter().map(|(label, text)| {
        let key = attribute(label);
        let value = match (key, text.parse()) {
            ("http.response.status_code", Ok(status)) => Any::IntValue(status),
            ("otel.metric.overflow", _) => Any::BoolValue(text == "true"),
            _ => Any::StringValue(text.clone()),
        };
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    });
    told.collect()
}

/// A label by OpenTelemetry's name, if it has one.
fn attribute(label: &str) -> &str {
    match label {
        "http_request_method" => "http.request.method",
        "http_route" => "http.route",
        "http_response_status_code" => "http.response.status_code",
        "url_scheme" => "url.scheme",
        "network_protocol_version" => "network.protocol.version",
        "error_type" => "error.type",
        "otel_component_name" => "otel.component.name",
        "otel_metric_overflow" => "otel.metric.overflow",
        "version" => "service.version",
        other => other,
    }
}

/// A family by OpenTelemetry's name. Of what the semantic conventions do not name, only the first
/// word becomes a name space: what Prometheus then makes of it is the name on `/metrics` again.
fn name_and_unit(family: &str) -> (String, &'static str) {
    let named = match family {
        "http_server_request_duration_seconds" => ("http.server.request.duration", "s"),
        "http_server_active_requests" => ("http.server.active_requests", "{request}"),
        "http_client_request_duration_seconds" => ("http.client.request.duration", "s"),
        "process_cpu_seconds" => ("process.cpu.time", "s"),
        "process_resident_memory_bytes" => ("process.memory.usage", "By"),
        "process_virtual_memory_bytes" => ("process.memory.virtual", "By"),
        "process_threads" => ("process.thread.count", "{thread}"),
        "process_open_fds" => ("process.unix.file_descriptor.count", "{file_descriptor}"),
        "otel_sdk_exporter_span_exported" => ("otel.sdk.exporter.span.exported", "{span}"),
        "otel_sdk_processor_span_queue_size" => ("otel.sdk.processor.span.queue.size", "{span}"),
        "otel_sdk_processor_span_queue_capacity" => {
            ("otel.sdk.processor.span.queue.capacity", "{span}")
        }
        _ => ("", ""),
    };
    if !named.0.is_empty() {
        return (named.0.to_owned(), named.1);
    }
    let (bare, unit) = match family.rsplit_once('_') {
        Some((bare, "seconds")) => (bare, "s"),
        Some((bare, "bytes")) => (bare, "By"),
        _ => (family, ""),
    };
    (bare.replacen('_', ".", 1), unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{ExemplarIds, Exposition, Metrics, ServerObservation};
    use opentelemetry::trace::{SpanId, TraceId};

    fn read(families: &[FamilyReading]) -> Vec<otlp::Metric> {
        let (started, now) = (Timestamp::from_unix_nanos(1), Timestamp::from_unix_nanos(9));
        let bytes: Vec<u8> = records(families, started, now).flatten().collect();
        otlp::ScopeMetrics::decode(bytes.as_slice())
            .unwrap()
            .metrics
    }

    #[test]
    fn a_request_is_a_histogram_with_its_exemplar_under_the_names_of_the_conventions() {
        let metrics = Metrics::new();
        let route = Arc::from("/orders/{id}");
        let (trace_id, span_id) = (TraceId::from(7), SpanId::from(8));
        metrics.server_request(&ServerObservation {
            route: Some(&route),
            method: "GET",
            status: Some(200),
            scheme: "https",
            version: "2",
            error_type: None,
            duration: Duration::from_millis(7),
            internal: Duration::from_micros(20),
            ended: Timestamp::from_unix_nanos(5_000_000_000),
            exemplar: Some(ExemplarIds { trace_id, span_id }),
            request_bytes: 3,
            response_bytes: 0,
        });

        let all = read(&Exposition::gather(|page| metrics.render(page)));

        let metric = all
            .iter()
            .find(|one| one.name == "http.server.request.duration");
        let metric = metric.unwrap();
        assert_eq!(metric.unit, "s");
        let Some(otlp::metric::Data::Histogram(histogram)) = &metric.data else {
            panic!("{metric:?}");
        };
        assert_eq!(histogram.aggregation_temporality, i32::from(Cumulative));
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (1, Some(0.007)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 9));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!(point.bucket_counts[1], 1);
        let exemplar = &point.exemplars[0];
        assert_eq!(exemplar.trace_id, trace_id.to_bytes());
        assert_eq!(exemplar.span_id, span_id.to_bytes());
        let keys: Vec<&str> = point.attributes.iter().map(|one| &*one.key).collect();
        assert_eq!(
            keys,
            [
                "http.request.method",
                "http.route",
                "http.response.status_code",
                "url.scheme",
                "network.protocol.version",
            ]
        );
        let status = point.attributes[2].value.as_ref().unwrap();
        assert_eq!(status.value, Some(Any::IntValue(200)));
        let bytes = all
            .iter()
            .find(|one| one.name == "edgespan.http_server_request_body")
            .unwrap();
        assert_eq!(bytes.unit, "By");
    }

    #[test]
    fn a_family_with_many_points_is_told_in_several_records() {
        let point = |label: usize| PointReading {
            labels: vec![("n".to_owned(), label.to_string())],
            value: Value::Int(1),
        };
        let family = Exposition::gather(|page| Metrics::new().render(page)).remove(0);
        let reading = |count: usize| {
            let mut family = family.clone();
            family.family.kind = Kind::Counter;
            family.points = (0..count).map(point).collect();
            read(&[family]).len()
        };

        assert_eq!(reading(0), 0);
        assert_eq!(reading(POINTS_MAX), 1);
        assert_eq!(reading(POINTS_MAX + 1), 2);
    }
}
