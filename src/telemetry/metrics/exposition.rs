//! The page that Prometheus reads: OpenMetrics 1.0 text, or the older text format.
//!
//! Written here and not by a library: numbers live in atomics of our own, and what is left of a
//! library then is the escaping of three characters.

use super::histogram::{Exemplar, Snapshot};
use super::reading::{self, FamilyReading, Value};
use crate::telemetry::rfc3339::unix_seconds;
use std::fmt::{self, Display, Write};

/// Which text a scraper gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
    /// Prometheus text 0.0.4: no exemplars, no units.
    Prometheus,
}

impl TextFormat {
    /// The one that suits an `Accept` header: OpenMetrics unless only other text is asked for.
    /// A browser, which asks for HTML, gets the one that it shows instead of saving it.
    pub fn accepted_by(accept: Option<&str>) -> Self {
        let Some(accept) = accept else {
            return Self::OpenMetrics;
        };
        let asks_for = |kind: &str| {
            accept
                .split(',')
                .filter_map(|range| range.split(';').next())
                .any(|range| range.trim().eq_ignore_ascii_case(kind))
        };
        if asks_for("application/openmetrics-text") {
            Self::OpenMetrics
        } else if asks_for("text/plain") || asks_for("text/html") || asks_for("text/*") {
            Self::Prometheus
        } else {
            Self::OpenMetrics
        }
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What kind of numbers a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its samples end in `_total`, its family name does not.
    Counter,
    /// Comes and goes.
    Gauge,
    /// Buckets, count and sum.
    Histogram,
    /// Always one; its labels tell something. Samples and, in the older format, family end in
    /// `_info`.
    Info,
}

/// One family: what stands above its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Without the suffixes of its samples. Ends in its unit, if it has one.
    pub name: &'static str,
    /// Kind of its numbers.
    pub kind: Kind,
    /// One sentence without a line break.
    pub help: &'static str,
}

/// Labels of one sample, in the order in which they are written. An empty value is no label.
pub type Labels<'l> = [(&'l str, &'l str)];

/// A page being written. Families follow each other; samples belong to the last family begun.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    format: TextFormat,
    family: Option<Family>,
    /// Where numbers go instead of into the text.
    gathered: Option<Vec<FamilyReading>>,
}

impl Exposition {
    /// An empty page.
    pub const fn new(format: TextFormat) -> Self {
        Self {
            text: String::new(),
            format,
            family: None,
            gathered: None,
        }
    }

    /// Gathers the numbers that `render` writes, instead of their text: whoever sends them
    /// elsewhere sends exactly what is on the page.
    pub fn gather(render: impl FnOnce(&mut Self)) -> Vec<FamilyReading> {
        let mut page = Self {
            gathered: Some(Vec::new()),
            ..Self::new(TextFormat::OpenMetrics)
        };
        render(&mut page);
        page.gathered.unwrap_or_default()
    }

    /// Begins a family. Each is begun once, with all its samples after it.
    pub fn family(&mut self, family: Family) {
        if let Some(gathered) = &mut self.gathered {
            gathered.push(FamilyReading::of(family));
            return;
        }
        let suffix = match (self.format, family.kind) {
            (TextFormat::Prometheus, Kind::Counter | Kind::Info) => sample_suffix(family.kind),
            _ => "",
        };
        let kind = match (self.format, family.kind) {
            (_, Kind::Counter) => "counter",
            (_, Kind::Histogram) => "histogram",
            (TextFormat::OpenMetrics, Kind::Info) => "info",
            (_, Kind::Gauge | Kind::Info) => "gauge",
        };
        let Family { name, help, .. } = family;
        self.put(format_args!("# TYPE {name}{suffix} {kind}\n"));
        if let Some(unit) = unit_of(name)
            && self.format == TextFormat::OpenMetrics
        {
            self.put(format_args!("# UNIT {name} {unit}\n"));
        }
        self.put(format_args!("# HELP {name}{suffix} {help}\n"));
        self.family = Some(family);
    }

    /// One number of the family begun last; for histograms see `histogram`.
    pub fn sample(&mut self, labels: &Labels<'_>, value: impl Display) {
        if let Some(gathered) = &mut self.gathered {
            let value = Value::read(&value.to_string());
            reading::point(gathered, labels, value);
            return;
        }
        let Some(family) = self.family else { return };
        self.name_and_labels(family.name, sample_suffix(family.kind), labels, None);
        self.put(format_args!(" {value}\n"));
    }

    /// One histogram of the family begun last, in seconds.
    pub(super) fn histogram(&mut self, labels: &Labels<'_>, histogram: &Snapshot) {
        if let Some(gathered) = &mut self.gathered {
            let value = Value::Histogram(reading::histogram(histogram));
            reading::point(gathered, labels, value);
            return;
        }
        let Some(family) = self.family else { return };
        let mut cumulative = 0_u64;
        for bucket in &histogram.buckets {
            cumulative += bucket.count;
            let bound = Bound(bucket.upper_seconds, self.format);
            self.name_and_labels(family.name, "_bucket", labels, Some(bound));
            self.put(format_args!(" {cumulative}"));
            if let Some(exemplar) = &bucket.exemplar
                && self.format == TextFormat::OpenMetrics
            {
                self.exemplar(exemplar);
            }
            self.text.push('\n');
        }
        self.name_and_labels(family.name, "_count", labels, None);
        self.put(format_args!(" {cumulative}\n"));
        self.name_and_labels(family.name, "_sum", labels, None);
        self.put(format_args!(" {}\n", histogram.sum_seconds));
    }

    /// The finished page.
    pub fn finish(mut self) -> String {
        if self.format == TextFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        let Exemplar {
            trace_id,
            span_id,
            seconds,
            at,
        } = exemplar;
        self.put(format_args!(
            " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {seconds} {}",
            unix_seconds(*at)
        ));
    }

    fn name_and_labels(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &Labels<'_>,
        bound: Option<Bound>,
    ) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let mut opened = false;
        for (label, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            self.text.push(if opened { ',' } else { '{' });
            opened = true;
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape_label(&mut self.text, value);
            self.text.push('"');
        }
        if let Some(bound) = bound {
            self.text.push(if opened { ',' } else { '{' });
            opened = true;
            self.put(format_args!("le=\"{bound}\""));
        }
        if opened {
            self.text.push('}');
        }
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        self.text.write_fmt(text).unwrap_or_default();
    }
}

/// What the samples of a family end in.
const fn sample_suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        Kind::Gauge | Kind::Histogram => "",
    }
}

/// The unit that a family's name ends in, as OpenMetrics wants it told once more.
fn unit_of(name: &str) -> Option<&'static str> {
    ["seconds", "bytes"].into_iter().find(|unit| {
        name.strip_suffix(unit)
            .is_some_and(|rest| rest.ends_with('_'))
    })
}

/// Label values escape three characters (OpenMetrics 1.0, "ABNF"; the same in the older format).
fn escape_label(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// Upper bound of a bucket: OpenMetrics wants its canonical number (`1.0`), the older format
/// has the shortest (`1`).
struct Bound(f64, TextFormat);

impl Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(bound, _) if bound.is_infinite() => f.write_str("+Inf"),
            Self(bound, TextFormat::OpenMetrics) => write!(f, "{bound:?}"),
            Self(bound, TextFormat::Prometheus) => write!(f, "{bound}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: Family = Family {
        name: "edgespan_things",
        kind: Kind::Counter,
        help: "Things.",
    };

    #[track_caller]
    fn check_accept(accept: Option<&str>, expected: TextFormat) {
        assert_eq!(TextFormat::accepted_by(accept), expected, "{accept:?}");
    }

    #[test]
    fn the_older_text_is_given_to_those_who_ask_for_nothing_better() {
        use TextFormat::{OpenMetrics, Prometheus};
        check_accept(None, OpenMetrics);
        check_accept(Some("*/*"), OpenMetrics);
        check_accept(
            Some(
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            ),
            OpenMetrics,
        );
        check_accept(Some("text/plain"), Prometheus);
        check_accept(Some("Text/Plain; version=0.0.4"), Prometheus);
        check_accept(
            Some("text/html,application/xhtml+xml,*/*;q=0.8"),
            Prometheus,
        );
    }

    #[test]
    fn a_counter_is_named_as_each_format_wants_it() {
        let write = |format| {
            let mut page = Exposition::new(format);
            page.family(COUNTER);
            page.sample(&[("a", "x"), ("b", "")], 7);
            page.finish()
        };

        assert_eq!(
            write(TextFormat::OpenMetrics),
            "# TYPE edgespan_things counter\n# HELP edgespan_things Things.\n\
             edgespan_things_total{a=\"x\"} 7\n# EOF\n"
        );
        assert_eq!(
            write(TextFormat::Prometheus),
            "# TYPE edgespan_things_total counter\n# HELP edgespan_things_total Things.\n\
             edgespan_things_total{a=\"x\"} 7\n"
        );
    }

    #[test]
    fn a_label_cannot_end_its_line_or_its_quotes() {
        let mut page = Exposition::new(TextFormat::OpenMetrics);
        page.family(COUNTER);
        page.sample(&[("a", "x\"} 1\ny\\")], 7);

        assert!(
            page.finish()
                .contains("edgespan_things_total{a=\"x\\\"} 1\\ny\\\\\"} 7\n")
        );
    }

    #[test]
    fn a_unit_is_told_where_the_name_has_one() {
        assert_eq!(
            unit_of("http_server_request_duration_seconds"),
            Some("seconds")
        );
        assert_eq!(unit_of("process_resident_memory_bytes"), Some("bytes"));
        assert_eq!(unit_of("process_open_fds"), None);
        assert_eq!(unit_of("seconds"), None);
    }
}
