//! The report for people: a table, then what was found of each header that does not survive.
//!
//! Where the table is too wide, a row a header, and a line a way where ways differ.

use crate::cli::escape;
use crate::cli::style::Surface;
use crate::verify::obstacle::Obstacle;
use crate::verify::report::{Blocked, Cell, Ending, Report, Row};
use crate::verify::verdict::{How, Verdict};
use crate::verify::way::{Column, Way};

/// Columns before the first cell, at least.
const LABEL_MIN: usize = 20;
/// Space between cells.
const GAP: usize = 2;
/// Where values stand below a finding.
const VALUE_AT: usize = 13;
/// Behind rows whose changes are right.
const ALLOWED: &str = "(allowed)";

/// The whole report.
pub(super) fn render(report: &Report, surface: &Surface) -> String {
    let mut out = wrapped(surface, 0, &heading(report));
    if report.rows.iter().any(|row| !row.verdicts.is_empty()) {
        let table = table(report, surface);
        let widest = table.iter().map(|line| line.columns).max().unwrap_or(0);
        let lines = if surface.is_terminal && widest > surface.columns() {
            stacked(report, surface)
        } else {
            table
        };
        out.extend(
            lines
                .into_iter()
                .flat_map(|line| [line.text, "\n".to_owned()]),
        );
        for row in report.rows.iter().filter(|row| !row.survives()) {
            out.push_str(&finding(report, row, surface));
        }
    }
    for blocked in &report.obstacles {
        out.push_str(&obstacle(report, blocked, surface));
    }
    out.push_str(&wrapped(surface, 0, &ending(report)));
    out
}

fn heading(report: &Report) -> String {
    let requests = plural(report.requests, "request");
    let took = format!("{requests}, {:.1} s; ", report.took.as_secs_f64());
    let reached = match &report.reached {
        Some(reached) => format!(
            "reached edgespan {} {}, account signed (key {})",
            escape::quoted(&reached.listener),
            escape::shown(&reached.version),
            reached.key
        ),
        None if report.echoed && !report.rows.iter().all(|row| row.verdicts.is_empty()) => {
            "as the service echoes, unsigned".to_owned()
        }
        None => "no account came back".to_owned(),
    };
    took + &reached
}

/// One line and its width without escapes.
struct Drawn {
    text: String,
    columns: usize,
}

impl Drawn {
    fn new() -> Self {
        Self {
            text: String::new(),
            columns: 0,
        }
    }

    fn push(&mut self, text: &str, painted: &str) {
        self.columns += escape::columns(text);
        self.text.push_str(painted);
    }

    /// Spaces up to column `at`.
    fn pad_to(&mut self, at: usize) {
        let missing = at.saturating_sub(self.columns);
        self.text.push_str(&" ".repeat(missing));
        self.columns += missing;
    }
}

fn table(report: &Report, surface: &Surface) -> Vec<Drawn> {
    let labels = report
        .rows
        .iter()
        .map(|row| escape::columns(&row.check.label));
    let first = labels
        .max()
        .map_or(LABEL_MIN, |widest| LABEL_MIN.max(widest + 2 + GAP));
    let mut at = first;
    let mut head = Drawn::new();
    let mut starts = Vec::with_capacity(report.columns.len());
    for column in &report.columns {
        starts.push(at);
        head.pad_to(at);
        head.push(column.name(), column.name());
        let cells = report
            .rows
            .iter()
            .map(|row| word(report, row, *column).len());
        let widest = cells.max().unwrap_or(0).max(column.name().len());
        at += (widest + GAP).max(narrowest(*column));
    }
    let mut lines = vec![head];
    for row in &report.rows {
        let mut line = label(row, surface);
        for (column, start) in report.columns.iter().zip(&starts) {
            line.pad_to(*start);
            cell(&mut line, report, row, *column, surface);
        }
        if row.is_allowed() {
            line.pad_to(at);
            line.push(ALLOWED, ALLOWED);
        }
        lines.push(line);
    }
    lines
}

/// How wide a column is where nothing in it is wider.
const fn narrowest(column: Column) -> usize {
    match column {
        Column::Http1 | Column::WebSocket => 11,
        Column::Http2 | Column::Redirect => 10,
    }
}

fn stacked(report: &Report, surface: &Surface) -> Vec<Drawn> {
    let labels = report
        .rows
        .iter()
        .map(|row| escape::columns(&row.check.label));
    let at = 2 + labels.max().unwrap_or(0) + GAP;
    let mut lines = Vec::new();
    for row in &report.rows {
        let words = report
            .columns
            .iter()
            .map(|column| word(report, row, *column));
        let words: Vec<String> = words.collect();
        let alike = words
            .windows(2)
            .all(|pair| matches!(pair, [one, other] if one == other));
        let mut line = label(row, surface);
        if let Some(column) = report.columns.first().filter(|_| alike) {
            line.pad_to(at);
            cell(&mut line, report, row, *column, surface);
        }
        let fits = line.columns + 1 + ALLOWED.len() <= surface.columns();
        if row.is_allowed() && fits {
            line.push(" ", " ");
            line.push(ALLOWED, ALLOWED);
        }
        lines.push(line);
        if row.is_allowed() && !fits {
            let mut below = Drawn::new();
            below.pad_to(4);
            below.push(ALLOWED, ALLOWED);
            lines.push(below);
        }
        for column in report.columns.iter().filter(|_| !alike) {
            let mut line = Drawn::new();
            line.pad_to(4);
            line.push(column.name(), column.name());
            line.pad_to(at);
            cell(&mut line, report, row, *column, surface);
            lines.push(line);
        }
    }
    lines
}

fn label(row: &Row, surface: &Surface) -> Drawn {
    let mut line = Drawn::new();
    if !row.survives() {
        let cross = surface.glyphs.cross;
        line.push(cross, &surface.paint.red(cross).to_string());
    }
    line.pad_to(2);
    let label = shown_label(row, surface);
    line.push(&label, &label);
    line
}

/// `×` where the terminal has it.
fn shown_label(row: &Row, surface: &Surface) -> String {
    let label = escape::shown(&row.check.label).into_owned();
    if surface.glyphs.ellipsis == "…" {
        label
    } else {
        label.replace('×', "x")
    }
}

fn cell(line: &mut Drawn, report: &Report, row: &Row, column: Column, surface: &Surface) {
    let word = word(report, row, column);
    if row.cell(column).failed > 0 {
        line.push(&word, &surface.paint.red(&word).to_string());
    } else {
        line.push(&word, &word);
    }
}

fn word(report: &Report, row: &Row, column: Column) -> String {
    let Cell {
        worst,
        failed,
        tried,
    } = row.cell(column);
    let Some(worst) = worst else {
        let blocked = report.blocked(column).map(|blocked| &blocked.obstacle);
        return match blocked {
            Some(Obstacle::NoHttp2) => "-".to_owned(),
            Some(_) | None => "no account".to_owned(),
        };
    };
    if failed == 0 {
        return worst.word().to_owned();
    }
    let word = worst.word().to_ascii_uppercase();
    // GET and POST are two in one column, so only repetitions make counts worth a look.
    if failed < tried && tried > 2 {
        format!("{word} {failed}/{tried}")
    } else {
        word
    }
}

/// What was found of a header that does not survive. That nothing arrived, or that values differ
/// from way to way, stands in the table; it is said once more where there is more to say.
fn finding(report: &Report, row: &Row, surface: &Surface) -> String {
    let Some(worst) = row.worst() else {
        return String::new();
    };
    let to_do = report.what_to_do(row);
    if *worst == Verdict::Lost && to_do.is_none() {
        return String::new();
    }
    let cross = surface.paint.red(surface.glyphs.cross);
    let header = escape::shown(&row.check.header).into_owned();
    let what = format!("{header}: {}{}", sentence(worst), on_ways(row));
    let mut out = format!("{cross} {}", wrapped(surface, 2, &escape::shown(&what)));
    if let Verdict::Changed(change) = worst {
        let (sent, arrived) = sides(&change.sent, &change.arrived, surface);
        out.push_str(&format!("    sent     {sent}\n    arrived  {arrived}\n"));
    }
    if let Some(likely) = report.likely() {
        out.push_str(&said("likely", &likely, surface));
    }
    if let Some(to_do) = to_do {
        out.push_str(&said("do", &to_do, surface));
    }
    out
}

fn sentence(verdict: &Verdict) -> String {
    if let Verdict::Changed(change) = verdict
        && !matches!(change.how, How::Cut { .. })
    {
        return format!("{verdict}, from byte {} on", change.at + 1);
    }
    verdict.to_string()
}

/// ` (GET over HTTP/2, WebSocket)` where it survives on other ways.
fn on_ways(row: &Row) -> String {
    let ways = row.failing_ways();
    let mut names: Vec<&str> = Vec::new();
    for column in Column::ALL {
        let own: Vec<Way> = ways
            .iter()
            .copied()
            .filter(|way| way.column() == column)
            .collect();
        let all = Way::ALL.iter().filter(|way| way.column() == column).count();
        if own.len() == all {
            names.push(column.name());
        } else {
            names.extend(own.iter().map(|way| way.name()));
        }
    }
    if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", names.join(", "))
    }
}

/// Both values on a line each, shortened alike from the left so that they stay comparable.
fn sides(sent: &str, arrived: &str, surface: &Surface) -> (String, String) {
    let room = if surface.is_terminal {
        surface.columns().saturating_sub(VALUE_AT).max(8)
    } else {
        usize::MAX
    };
    let ellipsis = surface.glyphs.ellipsis;
    let own = |text: &str| escape::shown(text).replace('…', ellipsis);
    let (sent, arrived) = (own(sent), own(arrived));
    let widest = escape::columns(&sent).max(escape::columns(&arrived));
    let alike = sent.chars().zip(arrived.chars());
    let alike = alike.take_while(|(one, other)| one == other).count();
    // The place where they part stays, with a few characters before it.
    let over = widest.saturating_sub(room);
    let leave = (over + escape::columns(ellipsis)).min(alike.saturating_sub(4));
    let shortened = |text: &str| {
        if over == 0 || leave == 0 {
            return surface.cut(text, room);
        }
        let rest: String = text.chars().skip(leave).collect();
        surface.cut(&format!("{ellipsis}{rest}"), room)
    };
    (shortened(&sent), shortened(&arrived))
}

fn obstacle(report: &Report, blocked: &Blocked, surface: &Surface) -> String {
    let Blocked {
        obstacle,
        ways,
        fails,
        ..
    } = blocked;
    let mut names: Vec<&str> = ways.iter().map(|way| way.column().name()).collect();
    names.dedup();
    let what = if *fails && names.len() < report.columns.len() {
        format!("{}: {obstacle}", names.join(", "))
    } else {
        obstacle.to_string()
    };
    let sign = if *fails {
        surface.paint.red(surface.glyphs.cross).to_string()
    } else {
        " ".to_owned()
    };
    let mut out = format!("{sign} {}", wrapped(surface, 2, &escape::shown(&what)));
    if *fails && !obstacle.what_to_do().is_empty() {
        out.push_str(&said("do", obstacle.what_to_do(), surface));
    }
    out
}

fn said(word: &str, text: &str, surface: &Surface) -> String {
    let text = wrapped(surface, VALUE_AT, &escape::shown(text));
    format!("    {word:<9}{text}")
}

fn ending(report: &Report) -> String {
    let all = report.rows.len();
    match report.ending() {
        Ending::Survives => {
            let changed = report.rows.iter().filter(|row| row.is_allowed()).count();
            let changed = match changed {
                0 => String::new(),
                changed => format!(", {changed} of them changed as allowed"),
            };
            format!("{all} of {all} headers survive{changed} (exit 0)")
        }
        Ending::Changed => {
            let lost = report.lost();
            let verb = if lost == 1 { "does" } else { "do" };
            format!("{lost} of {all} headers {verb} not survive (exit 1)")
        }
        Ending::NoAccount if report.rows.iter().all(|row| row.verdicts.is_empty()) => {
            "no account could be had, so nothing is known (exit 1)".to_owned()
        }
        Ending::NoAccount => "what arrived is not known on every way (exit 1)".to_owned(),
        Ending::Unreachable => "nobody answers (exit 69)".to_owned(),
    }
}

fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// Text that goes on below itself at column `at` where the terminal ends; the first line begins
/// at that column already.
fn wrapped(surface: &Surface, at: usize, text: &str) -> String {
    let room = if surface.is_terminal {
        surface.columns()
    } else {
        usize::MAX
    };
    let mut out = String::new();
    let mut used = at;
    for (number, word) in text.split(' ').enumerate() {
        let width = escape::columns(word);
        if number > 0 && used + 1 + width > room {
            out.push('\n');
            out.push_str(&" ".repeat(at));
            used = at;
        } else if number > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += width;
    }
    out.push('\n');
    out
}
