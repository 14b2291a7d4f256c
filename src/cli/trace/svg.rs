//! A trace as a picture for documents: SVG that stands alone.
//!
//! It runs no script, asks for nothing from elsewhere, follows the reader's light or dark theme,
//! and is text all through. What is written in it is what a terminal shows; the bars are shapes.
//! A bar is tall where the critical path led through it and low beside that, so that no colour
//! says what the shape does not.

use super::super::branch::Trail;
use super::super::style::{Glyphs, Paint, Surface};
use super::waterfall::beside::numbers;
use super::waterfall::ending;
use super::waterfall::head;
use super::waterfall::label::Label;
use super::waterfall::{Options, Picture};
use super::{Canvas, Zone};
use crate::cli::{bar, escape};
use crate::view::{Trace, Weight};
use std::collections::HashMap;

/// Columns of text that the picture is wide.
const COLUMNS: usize = 132;
/// Of them, those of a row's parts.
const SERVICE: usize = 16;
const LABEL: usize = 42;
const BAR: usize = 46;
const TIME: usize = 13;
const OWN: usize = 10;
const MARK: usize = 2;
/// Levels that are indented.
const DEPTH_MAX: usize = 10;
/// Tenths of a pixel, so that no fraction is written out: a column's width, a line's height.
const COLUMN: usize = 73;
const LINE: usize = 190;
const MARGIN: usize = 120;
/// Bars are placed on so many steps.
const STEPS: usize = 4600;
/// Services told apart by colour; further ones share the first colours.
const COLOURS: usize = 6;

const STYLE: &str = "\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
white-space:pre;fill:#1b1b1b}
.back{fill:#fff}.head{font-weight:bold}.bad{fill:#b3261e}.grid{stroke:#999;stroke-width:.5}
.gap{stroke:#666;stroke-width:2;stroke-dasharray:2 4}
.c0{fill:#004285}.c1{fill:#3994ef}.c2{fill:#3f8361}.c3{fill:#673242}.c4{fill:#293eff}.c5{fill:#c67d10}
@media (prefers-color-scheme:dark){text{fill:#e8e8e8}.back{fill:#16181c}.bad{fill:#ff8a80}\
.grid{stroke:#777}.gap{stroke:#aaa}
.c0{fill:#0da5a5}.c1{fill:#d1bdff}.c2{fill:#416a86}.c3{fill:#ab57ff}.c4{fill:#18ecc2}.c5{fill:#b8420f}}
@media (forced-colors:active){text,.c0,.c1,.c2,.c3,.c4,.c5{fill:CanvasText}.back{fill:Canvas}}
";

/// The whole picture.
pub fn draw(trace: &Trace, zone: &Zone, options: Options) -> String {
    let glyphs = Glyphs {
        eighths: ["▆"; 8],
        beside: "▂",
        ..Glyphs::UNICODE
    };
    let surface = Surface::fixed(COLUMNS, Paint::new(false), glyphs);
    let canvas = Canvas {
        surface: &surface,
        zone,
        program: "edgespan",
    };
    let picture = Picture::of(trace, options);
    let mut above = String::new();
    head::wide(&picture, &canvas, &mut above);
    let mut below = String::new();
    ending::draw(&picture, &canvas, &mut below);

    let mut sheet = Sheet::default();
    for (at, line) in above.lines().enumerate() {
        sheet.line(line, if at == 0 { "head" } else { "" });
    }
    sheet.skip();
    rows(&picture, &surface, &mut sheet);
    sheet.skip();
    for line in below.lines() {
        let is_error = line.starts_with("error");
        sheet.line(line, if is_error { "bad" } else { "" });
    }
    sheet.whole(above.lines().next().unwrap_or_default(), &below)
}

fn rows(picture: &Picture<'_>, surface: &Surface, sheet: &mut Sheet) {
    let labels = Label::all(picture, surface);
    let mut colours: HashMap<String, usize> = HashMap::new();
    let mut trail = Trail::below_nothing();
    let left = MARK + SERVICE + LABEL;
    let third = |third: usize| MARGIN + left * COLUMN + BAR * COLUMN * third / 3;
    let (from, to) = picture.window;
    for (at, number) in (0..).zip(numbers(to.saturating_sub(from))) {
        sheet.text_at(third(at), &number, "", "middle");
    }
    sheet.text(left + BAR + TIME, "time", "", true);
    sheet.text(left + BAR + TIME + OWN, "self", "", true);
    sheet.skip();
    let top = sheet.lines;
    for label in &labels {
        let branch = trail.branch(label.place(), DEPTH_MAX, &surface.glyphs);
        let next = colours.len() % COLOURS;
        let colour = *colours.entry(label.service.clone()).or_insert(next);
        row(label, &branch, colour, picture.window, surface, sheet);
    }
    let (from, to) = (y(top) - LINE + 40, y(sheet.lines) - LINE + 40);
    for at in 0..=3 {
        let x = tenths(third(at));
        sheet.marks.push_str(&format!(
            "<path class=\"grid\" d=\"M{x} {}V{}\"/>\n",
            tenths(from),
            tenths(to)
        ));
    }
}

fn row(
    label: &Label,
    branch: &str,
    colour: usize,
    window: (u64, u64),
    surface: &Surface,
    sheet: &mut Sheet,
) {
    let service = surface.cut(&label.service, SERVICE - 1);
    let text = label.text(branch, LABEL - 1, surface);
    let (weight, class) = match label.weight {
        Weight::Failure => (surface.glyphs.cross, "bad"),
        Weight::Fine | Weight::Caution => ("", ""),
    };
    let title = format!("{} {} {}", label.service, label.words(), label.duration);
    sheet
        .body
        .push_str(&format!("<g><title>{}</title>\n", escaped(title.trim())));
    sheet.text(0, weight, class, false);
    sheet.text(MARK, &service, "", false);
    sheet.text(MARK + SERVICE, text.trim_end(), class, false);
    let left = MARK + SERVICE + LABEL;
    sheet.text(left + BAR + TIME, &label.duration, "", true);
    sheet.text(left + BAR + TIME + OWN, &label.own, "", true);
    let middle = y(sheet.lines) - 42;
    let x = |step: usize| MARGIN + left * COLUMN + step * BAR * COLUMN / STEPS;
    let (first, count) = bar::cells(label.time.0, label.time.1, window, STEPS);
    if label.is_gap {
        let (from, to) = (tenths(x(first)), tenths(x(first + count)));
        let middle = tenths(middle);
        sheet.body.push_str(&format!(
            "<path class=\"gap\" d=\"M{from} {middle}H{to}\"/>\n"
        ));
    } else {
        sheet.bar((x(first), x(first + count)), middle, 40, colour);
        if let Some((from, to)) = label.on_path {
            let (first, count) = bar::cells(from, to, window, STEPS);
            sheet.bar((x(first), x(first + count)), middle, 120, colour);
        }
    }
    sheet.body.push_str("</g>\n");
    sheet.lines += 1;
}

/// The picture as it grows, line by line.
#[derive(Default)]
struct Sheet {
    body: String,
    /// Behind all else.
    marks: String,
    lines: usize,
}

impl Sheet {
    const fn skip(&mut self) {
        self.lines += 1;
    }

    fn line(&mut self, text: &str, class: &str) {
        self.text(0, text, class, false);
        self.lines += 1;
    }

    /// Text that begins at a column, or ends before it.
    fn text(&mut self, column: usize, text: &str, class: &str, is_end: bool) {
        let anchor = if is_end { "end" } else { "" };
        self.text_at(MARGIN + column * COLUMN, text, class, anchor);
    }

    fn text_at(&mut self, x: usize, text: &str, class: &str, anchor: &str) {
        if text.is_empty() {
            return;
        }
        let class = match class {
            "" => String::new(),
            class => format!(" class=\"{class}\""),
        };
        let anchor = match anchor {
            "" => String::new(),
            anchor => format!(" text-anchor=\"{anchor}\""),
        };
        self.body.push_str(&format!(
            "<text x=\"{}\" y=\"{}\"{class}{anchor}>{}</text>\n",
            tenths(x),
            tenths(y(self.lines)),
            escaped(text)
        ));
    }

    /// At least a pixel wide, or nobody sees it.
    fn bar(&mut self, (from, to): (usize, usize), middle: usize, height: usize, colour: usize) {
        self.body.push_str(&format!(
            "<rect class=\"c{colour}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
            tenths(from),
            tenths(middle.saturating_sub(height / 2)),
            tenths(to.saturating_sub(from).max(10)),
            tenths(height)
        ));
    }

    fn whole(&self, title: &str, description: &str) -> String {
        let (width, height) = (
            tenths(MARGIN * 2 + COLUMNS * COLUMN),
            tenths(y(self.lines) + MARGIN),
        );
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title told\">\n\
             <title id=\"title\">{}</title>\n<desc id=\"told\">{}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n{}{}</svg>\n",
            escaped(title),
            escaped(description.trim_end()),
            self.marks,
            self.body
        )
    }
}

/// Where a line's text stands, in tenths of a pixel.
const fn y(line: usize) -> usize {
    MARGIN + (line + 1) * LINE
}

/// `12.3` of 123.
fn tenths(number: usize) -> String {
    match (number / 10, number % 10) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest}"),
    }
}

/// Text between tags: no markup in it, nothing that drives a viewer, and no character that XML
/// cannot hold. Ends of lines stay.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for character in escape::shown(line).chars() {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                // Not characters of XML 1.0 (section 2.2), and not shown in any other way.
                '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
                other => out.push(other),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    fn drawn(trace: &Trace) -> String {
        draw(trace, &fixtures::zone(), Options::default())
    }

    #[test]
    fn a_trace_is_a_picture() {
        insta::assert_snapshot!(drawn(&fixtures::release()));
    }

    #[test]
    fn it_runs_nothing_and_asks_for_nothing() {
        for trace in [fixtures::release(), fixtures::hostile(), fixtures::alike()] {
            let picture = drawn(&trace);
            for bad in [
                "<script", "href", "url(", "@import", "onload", "<image", "<foreign",
            ] {
                assert!(!picture.contains(bad), "{bad}: {picture}");
            }
            assert_eq!(picture.matches("http").count(), 1, "its namespace alone");
        }
    }

    #[test]
    fn span_data_stays_text() {
        let picture = drawn(&fixtures::hostile());

        assert!(picture.contains("&lt;script&gt;"), "{picture}");
        let bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{9b}\u{ffff}".contains(c);
        assert!(!picture.contains(bad));
        assert!(
            picture.len() < 16_000,
            "a long name is cut: {}",
            picture.len()
        );
        assert_eq!(
            picture.matches("<text").count(),
            picture.matches("</text>").count()
        );
        assert_eq!(
            picture.matches("<title").count(),
            picture.matches("</title>").count()
        );
    }

    #[test]
    fn any_trace_has_a_picture() {
        for trace in [
            fixtures::trace(Vec::new()),
            fixtures::circle(),
            fixtures::chain(3_000),
            fixtures::large(20_000),
        ] {
            let picture = drawn(&trace);
            assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        }
    }
}
