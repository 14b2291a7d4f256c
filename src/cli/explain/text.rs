//! An explanation as a person reads it: a row for each stage, the file's line at the right.

use super::auth::{allow_text, asked_text};
use crate::app::explain::{Explanation, Fate, HeaderChange};
use crate::cli::escape;
use crate::cli::style::Surface;
use crate::config::Places;
use std::time::Duration;

/// Where the text of a stage begins.
const LABEL_COLUMNS: usize = 11;
/// Columns kept free at the right for `:1234`.
const PLACE_COLUMNS: usize = 6;
/// Wider than this, a row is not read as one.
const COLUMNS_MAX: usize = 100;

/// Rows being written.
struct Page<'a> {
    out: String,
    surface: &'a Surface,
    columns: usize,
}

/// Writes an explanation.
pub(super) fn render(told: &Explanation, places: &Places, surface: &Surface) -> String {
    let mut page = Page {
        out: String::new(),
        surface,
        columns: surface.columns().min(COLUMNS_MAX),
    };
    page.listener(told, places);
    page.normalise(told);
    page.route(told, places);
    page.trace(told, places);
    page.limits(told, places);
    page.auth(told, places);
    page.upstream(told, places);
    page.answer(told);
    page.headers(told);
    page.spans(told);
    let took = duration_text(told.took);
    let routes = match told.routes {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    };
    page.out
        .push_str(&format!("Nothing was sent. {routes}, {took}.\n"));
    page.out
}

impl Page<'_> {
    /// One row: what stage, what happened, which line of the file says so.
    fn row(&mut self, label: &str, text: &str, place: Option<usize>) {
        let text = escape::shown(text);
        let place = place.map(|line| format!(":{line}")).unwrap_or_default();
        let room = self
            .columns
            .saturating_sub(LABEL_COLUMNS + PLACE_COLUMNS)
            .max(16);
        let indent = " ".repeat(LABEL_COLUMNS);
        for (at, line) in wrap(&text, room).iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let painted = self.surface.paint.bold(label).to_string();
            let gap = " ".repeat(LABEL_COLUMNS.saturating_sub(escape::columns(label)));
            let head = if label.is_empty() {
                indent.clone()
            } else {
                format!("{painted}{gap}")
            };
            let deeper = if at == 0 { "" } else { "  " };
            self.out.push_str(&format!("{head}{deeper}{line}"));
            if at == 0 && !place.is_empty() {
                let used = LABEL_COLUMNS + escape::columns(line) + place.len();
                let gap = self.columns.saturating_sub(used).max(1);
                let place = self.surface.paint.dim(&place);
                self.out.push_str(&format!("{}{place}", " ".repeat(gap)));
            }
            self.out.push('\n');
        }
    }

    fn listener(&mut self, told: &Explanation, places: &Places) {
        let tls = match told.tls_name.as_deref() {
            Some("") => ", TLS".to_owned(),
            Some(name) => format!(", TLS as {name}"),
            None => String::new(),
        };
        let place = places.line("listeners", &told.listener);
        self.row("listener", &format!("{}{tls}", told.listener), place);
        if told.without_tls {
            let text =
                "  no TLS here: behind a proxy that ends it, `-H 'x-forwarded-proto: https'`";
            self.row("", text, None);
        }
    }

    fn normalise(&mut self, told: &Explanation) {
        match &told.read_as {
            Err(reason) => self.row("normalise", &format!("refused: {reason}"), None),
            Ok(read) => {
                let host = if read.host.is_empty() {
                    "no host".to_owned()
                } else {
                    read.host.clone()
                };
                self.row("normalise", &format!("{host}  {}", read.path), None);
            }
        }
        let removed: Vec<&HeaderChange> = told
            .headers
            .iter()
            .filter(|change| change.fate == Fate::Removed && !change.reason.is_empty())
            .collect();
        for reason in ["clients may not say who they are", "ends at each hop"] {
            let names: Vec<&str> = removed
                .iter()
                .filter(|change| change.reason == reason)
                .map(|change| change.name.as_str())
                .collect();
            if !names.is_empty() {
                self.row("", &format!("removed {}: {reason}", names.join(", ")), None);
            }
        }
    }

    fn route(&mut self, told: &Explanation, places: &Places) {
        let Some(route) = &told.route else {
            if told.serves_login {
                let text = "none is asked: edgespan answers here, since `login` has the path";
                self.row("route", text, None);
            } else if told.read_as.is_ok() {
                self.row("route", "none takes it", None);
            }
            self.arrivals(told);
            for near in &told.nearest {
                let place = places.line("routes", &near.name);
                let text = format!("  not {}: another {}", near.name, near.missed);
                self.row("", &text, place);
            }
            return;
        };
        let captures: String = route
            .captures
            .iter()
            .map(|(name, text)| format!("   {name}={text}"))
            .collect();
        let text = format!("{}    {}{captures}", route.name, route.template);
        self.row("route", &text, places.line("routes", &route.name));
        self.arrivals(told);
        for (name, template) in &route.also {
            let text = format!("  not {name}: {template} also matches but is less specific");
            self.row("", &text, places.line("routes", name));
        }
        if route.also_more > 0 {
            self.row(
                "",
                &format!("  and {} more that match", route.also_more),
                None,
            );
        }
    }

    fn arrivals(&mut self, told: &Explanation) {
        if told.tells_arrivals {
            let text =
                "  edgespan tells here what arrived, to who signs with a secret of `arrival`";
            self.row("", text, None);
        }
    }

    fn trace(&mut self, told: &Explanation, places: &Places) {
        let trace = &told.trace;
        if !trace.recording {
            self.row(
                "trace",
                "nothing is recorded; context passes untouched",
                None,
            );
            return;
        }
        let rate = trace.rate;
        let text = match (&trace.joins, trace.reason) {
            (Some(id), "parent") => {
                let short = id.get(..8).unwrap_or(id);
                let sampled = if trace.caller_sampled == Some(true) {
                    "sampled"
                } else {
                    "not sampled"
                };
                format!("joins {short}… of the caller; {sampled}, the caller decided")
            }
            (Some(id), reason) => {
                let short = id.get(..8).unwrap_or(id);
                format!(
                    "joins {short}… of the caller; {}",
                    decision(trace.kept, rate, reason)
                )
            }
            (None, reason) => {
                let root = trace.root.as_ref();
                let root = root.map(|(id, name)| {
                    let short = id.get(..8).unwrap_or(id);
                    format!(" as {short}… from {name}")
                });
                let decided = decision(trace.kept, rate, reason);
                format!("begins here{}; {decided}", root.unwrap_or_default())
            }
        };
        self.row("trace", &text, None);
        let mut more = Vec::new();
        if let Some(flow) = &trace.flow {
            more.push(format!("flow {flow}"));
        }
        if trace.reason == "parent" {
            more.push(format!("own rate {rate} not asked"));
        }
        if !trace.flags.is_empty() {
            more.push(format!("feature flags {}", trace.flags.join(", ")));
        }
        if !more.is_empty() {
            let place = trace
                .flow
                .as_ref()
                .and_then(|flow| places.line("flows", flow));
            self.row("", &more.join("; "), place);
        }
    }

    /// The limit that says most, as the span has it.
    fn limits(&mut self, told: &Explanation, places: &Places) {
        let said = |key: &str| {
            let limit = told.limits.iter().find(|limit| limit.key == key);
            limit.map_or("", |limit| limit.value.as_str())
        };
        let rule = said("ratelimit.rule");
        if rule.is_empty() {
            return;
        }
        let word = match said("ratelimit.allowed") {
            "true" => "allowed",
            _ => "refused",
        };
        let (left, burst) = (said("ratelimit.remaining"), said("ratelimit.limit"));
        let text = format!("{rule}  {word}, {left} of {burst} left");
        self.row("limits", &text, places.line("rate_limits", rule));
    }

    /// Policies in the order in which they were asked, then the route's expression.
    fn auth(&mut self, told: &Explanation, places: &Places) {
        let Some(auth) = &told.auth else { return };
        let mut label = "auth";
        for asked in &auth.asked {
            let place = places.line("auth", &asked.policy);
            self.row(label, &asked_text(asked), place);
            label = "";
        }
        if auth.asked.is_empty() {
            self.row(label, "nobody is asked", None);
        }
        if let Some(text) = allow_text(auth) {
            self.row("allow", &text, None);
        }
    }

    fn upstream(&mut self, told: &Explanation, places: &Places) {
        let Some(upstream) = &told.upstream else {
            return;
        };
        let text = format!(
            "{}  {}, first byte {}, {}",
            upstream.name,
            upstream.endpoints.join(" "),
            duration_text(upstream.first_byte),
            match upstream.retries {
                1 => "1 retry".to_owned(),
                count => format!("{count} retries"),
            }
        );
        self.row("upstream", &text, places.line("upstreams", &upstream.name));
        if !upstream.target.is_empty() {
            self.row("", &upstream.target, None);
        }
    }

    fn answer(&mut self, told: &Explanation) {
        let Some(answer) = &told.answer else { return };
        let to = match &answer.location {
            Some(location) => format!(" to {location}"),
            None => String::new(),
        };
        let by = match (&told.route, &answer.error_type) {
            (_, Some(kind)) => format!("  ({kind})"),
            (Some(route), None) if route.action == "decide" => match answer.status {
                200 => "  (it may pass)".to_owned(),
                _ => "  (it may not)".to_owned(),
            },
            (Some(route), None) if route.action != "forward" => format!("  ({})", route.action),
            (_, None) => String::new(),
        };
        self.row("answer", &format!("{}{to}{by}", answer.status), None);
        let by_others = told.auth.iter().flat_map(|auth| &auth.asked);
        let empty = match by_others.clone().find(|asked| asked.question.is_some()) {
            Some(asked) => format!("(empty unless {} tells it)", asked.policy),
            None => "(empty)".to_owned(),
        };
        for (at, (name, value)) in answer.told.iter().enumerate() {
            let label = if at == 0 { "host gets" } else { "" };
            let value = if value.is_empty() { &empty } else { value };
            self.row(label, &format!("{name} {value}"), None);
        }
    }

    fn headers(&mut self, told: &Explanation) {
        let mut label = "headers";
        for change in &told.headers {
            let text = match change.fate {
                Fate::Added => format!("+ {} {}", change.name, change.value),
                Fate::Changed => format!("~ {} {}", change.name, change.value),
                Fate::Kept | Fate::Removed => continue,
            };
            self.row(label, &text, None);
            label = "";
        }
        for (fate, sign, note) in [
            (Fate::Kept, '=', " (byte for byte)"),
            (Fate::Removed, '-', ""),
        ] {
            let names: Vec<&str> = told
                .headers
                .iter()
                .filter(|change| change.fate == fate)
                .map(|change| change.name.as_str())
                .collect();
            if !names.is_empty() {
                self.row(label, &format!("{sign} {}{note}", names.join(", ")), None);
                label = "";
            }
        }
    }

    fn spans(&mut self, told: &Explanation) {
        let names: Vec<String> = told
            .spans
            .iter()
            .map(|span| format!("{} \"{}\"", span.kind, span.name))
            .collect();
        if !names.is_empty() {
            self.row("spans", &names.join("   "), None);
        }
    }
}

fn decision(kept: Option<bool>, rate: f64, reason: &str) -> String {
    match (kept, reason) {
        (None, _) => format!("kept by chance, at the rate {rate}"),
        (Some(true), "debug") => "kept, the caller asked for debugging".to_owned(),
        (Some(true), "unsampled_parent_record") => {
            "kept, though the caller did not sample".to_owned()
        }
        (Some(true), _) => format!("kept, at the rate {rate}"),
        (Some(false), _) => format!("not kept, at the rate {rate}"),
    }
}

fn duration_text(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if millis < 1000.0 {
        format!("{} ms", (millis * 10.0).round() / 10.0)
    } else {
        format!("{} s", (millis / 100.0).round() / 10.0)
    }
}

/// Breaks a text at spaces so that no row is wider than `room`, if a word allows it.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let indent = text.len() - text.trim_start().len();
    for word in text.trim_start().split_inclusive(' ') {
        let is_first = rows.len() == 1;
        let Some(row) = rows.last_mut() else { break };
        let wide = escape::columns(row) + escape::columns(word.trim_end());
        let bound = if is_first {
            room
        } else {
            room.saturating_sub(2)
        };
        if wide > bound && !row.trim().is_empty() {
            rows.push(word.to_owned());
        } else {
            if row.is_empty() && is_first {
                row.push_str(&" ".repeat(indent));
            }
            row.push_str(word);
        }
    }
    for row in &mut rows {
        row.truncate(row.trim_end().len());
    }
    rows
}
