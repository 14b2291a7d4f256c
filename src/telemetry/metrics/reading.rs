//! The numbers of the page as numbers, for whoever sends them elsewhere.

use super::exposition::{Family, Labels};
use super::histogram::Snapshot;
use crate::clock::Timestamp;
use opentelemetry::trace::{SpanId, TraceId};

/// One family with all its points.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyReading {
    /// What stands above its points.
    pub family: Family,
    /// Its points.
    pub points: Vec<PointReading>,
}

/// One number, or one histogram, under its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct PointReading {
    /// Labels, without those that are empty.
    pub labels: Vec<(String, String)>,
    /// What it says.
    pub value: Value,
}

/// What a point says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// Any other.
    Double(f64),
    /// A histogram of durations.
    Histogram(HistogramReading),
}

/// A histogram of durations, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramReading {
    /// Upper bounds, ascending, without the infinite one.
    pub bounds: Vec<f64>,
    /// Each bucket's own count; one more than there are bounds.
    pub counts: Vec<u64>,
    /// All durations together.
    pub sum: f64,
    /// Requests that can be shown, at most one a bucket. Their traces are recorded.
    pub exemplars: Vec<ExemplarReading>,
}

/// A request that can be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExemplarReading {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span measured.
    pub span_id: SpanId,
    /// Its duration in seconds.
    pub seconds: f64,
    /// When it ended.
    pub at: Timestamp,
}

impl FamilyReading {
    pub(super) const fn of(family: Family) -> Self {
        Self {
            family,
            points: Vec::new(),
        }
    }
}

impl Value {
    /// From the text that would stand on the page.
    pub(super) fn read(text: &str) -> Self {
        match text.parse() {
            Ok(whole) => Self::Int(whole),
            Err(_) => Self::Double(text.parse().unwrap_or(f64::NAN)),
        }
    }
}

pub(super) fn point(gathered: &mut [FamilyReading], labels: &Labels<'_>, value: Value) {
    let Some(family) = gathered.last_mut() else {
        return;
    };
    let labels = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|&(label, value)| (label.to_owned(), value.to_owned()))
        .collect();
    family.points.push(PointReading { labels, value });
}

pub(super) fn histogram(snapshot: &Snapshot) -> HistogramReading {
    let buckets = &snapshot.buckets;
    HistogramReading {
        bounds: buckets
            .iter()
            .map(|bucket| bucket.upper_seconds)
            .filter(|bound| bound.is_finite())
            .collect(),
        counts: buckets.iter().map(|bucket| bucket.count).collect(),
        sum: snapshot.sum_seconds,
        exemplars: buckets
            .iter()
            .filter_map(|bucket| bucket.exemplar)
            .map(|held| ExemplarReading {
                trace_id: held.trace_id,
                span_id: held.span_id,
                seconds: held.seconds,
                at: held.at,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::exposition::Exposition;
    use super::super::{Kind, Metrics};
    use super::*;

    #[test]
    fn a_number_is_read_as_what_it_is() {
        assert_eq!(
            Value::read("18446744073709551615"),
            Value::Double(18_446_744_073_709_552_000.0)
        );
        assert_eq!(Value::read("-7"), Value::Int(-7));
        assert_eq!(Value::read("1.5"), Value::Double(1.5));
    }

    #[test]
    fn what_is_gathered_is_what_is_on_the_page() {
        let metrics = Metrics::new();
        metrics.shed("listener");

        let families = Exposition::gather(|page| metrics.render(page));

        let shed = families
            .iter()
            .find(|one| one.family.name == "edgespan_requests_shed")
            .unwrap();
        assert_eq!(shed.family.kind, Kind::Counter);
        let labels = vec![("reason".to_owned(), "listener".to_owned())];
        assert_eq!(
            shed.points,
            [PointReading {
                labels,
                value: Value::Int(1)
            }]
        );
    }
}
