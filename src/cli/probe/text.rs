//! The report for a person: a line a step, and below it what did not hold and where that stands.

use super::{Ran, steps};
use crate::cli::duration::duration_text;
use crate::cli::escape;
use crate::cli::layout::Line;
use crate::cli::style::{Painted, Surface};
use crate::probe::{End, Failed, StepOutcome};

/// Characters of a trace id that tell it from others for a person.
const ID_SHOWN: usize = 12;
/// Columns of a step's name at most.
const NAME_MAX: usize = 32;

/// The whole report.
pub(super) fn render(ran: &Ran<'_>, program: &str, surface: &Surface) -> String {
    let outcomes = &ran.outcome.steps;
    let title = format!("{}: {}", ran.plan.name, steps(outcomes.len()));
    let mut out = Line::new(0)
        .whole(surface.paint.bold(&title))
        .render(surface);
    let names = outcomes.iter().map(|step| escape::columns(&step.name));
    let names = names.max().unwrap_or(0).min(NAME_MAX);
    for step in outcomes {
        out.push_str(&row(step, names, surface));
        match &step.end {
            End::Failed(failed) => {
                for one in failed {
                    out.push_str(&reason(one, &ran.file, surface));
                }
            }
            End::Unanswered { why, .. } => {
                let line = Line::new(6).text("      ").text(&escape::shown(why));
                out.push_str(&line.render(surface));
            }
            End::Held | End::Skipped => {}
        }
    }
    out.push_str(&last(ran, program, surface));
    out
}

fn row(step: &StepOutcome, names: usize, surface: &Surface) -> String {
    let paint = surface.paint;
    let name = escape::shown(&step.name);
    let name = surface.cut(&name, names);
    let padding = " ".repeat(names.saturating_sub(escape::columns(&name)));
    let failed = step.failed();
    let sign = match &step.end {
        End::Held => "ok",
        End::Failed(_) | End::Unanswered { .. } => surface.glyphs.cross,
        End::Skipped => "-",
    };
    let sign = format!("{sign:<2}");
    let sign = if failed {
        paint.red(&sign)
    } else {
        paint.dim(&sign)
    };
    let mut line = Line::new(names + 6).text("  ").whole(sign).text("  ");
    line = line.whole(paint.bold(&name)).text(&padding).text("  ");
    if step.end == End::Skipped {
        return line.text("not run").render(surface);
    }
    let status = step
        .status
        .map_or_else(|| "-  ".to_owned(), |status| status.to_string());
    let took = format!("{:>8}", duration_text(step.took));
    line = line.whole(of_status(step.status, &status, surface));
    line = line.text("  ").text(&took);
    if step.tries > 1 {
        line = line.text(&format!("  {} tries", step.tries));
    }
    if let Some(trace) = &step.trace {
        let short = trace.get(..ID_SHOWN).unwrap_or(trace);
        line = line.text("  ").whole(paint.dim(short));
    }
    line.render(surface)
}

fn of_status<'a>(status: Option<u16>, text: &'a str, surface: &Surface) -> Painted<'a> {
    match status {
        Some(500..) => surface.paint.red(text),
        Some(400..) => surface.paint.yellow(text),
        Some(_) | None => surface.paint.dim(text),
    }
}

/// What was looked at, what was wanted, what was there, and where it stands.
fn reason(failed: &Failed, file: &str, surface: &Surface) -> String {
    let paint = surface.paint;
    let place = format!("{file}:{}:{}", failed.place.line, failed.place.column);
    let place = escape::shown(&place);
    let what = escape::shown(&failed.what);
    let expected = escape::shown(&failed.expected);
    let got = escape::shown(&failed.got);
    let head = Line::new(8)
        .text("      ")
        .whole(paint.red(&what))
        .text("  ")
        .whole(paint.dim(&place));
    let expected = Line::new(18).text("        expected  ").text(&expected);
    let got = Line::new(18).text("        got       ").text(&got);
    [head, expected, got]
        .map(|line| line.render(surface))
        .concat()
}

fn last(ran: &Ran<'_>, program: &str, surface: &Surface) -> String {
    let outcome = &ran.outcome;
    let took = duration_text(outcome.took);
    let failed = outcome.steps.iter().filter(|step| step.failed()).count();
    let total = steps(outcome.steps.len());
    let text = if failed == 0 {
        format!("{total} held in {took}")
    } else {
        format!("{failed} of {total} failed in {took}")
    };
    let mut out = format!("\n{text}\n");
    // What nobody answered is in no trace.
    let asked = outcome.first_failed().filter(|step| step.was_reached());
    if let Some(trace) = asked.and_then(|step| step.trace.as_ref()) {
        let line = Line::new(5)
            .text("see  ")
            .whole(surface.paint.bold(program))
            .text(&format!(" trace show {trace}"));
        out.push_str(&line.render(surface));
    }
    out
}
