//! From text to a syntax tree.
//!
//! The parser recurses as deep as the text is nested, and its own bound does not see every way of
//! nesting. So the text is bounded first, and read on a thread that has room for the worst of it.

use super::fault::Fault;
use super::slot::Slot;
use super::walk::Walk;
use super::{TEXT_BYTES_MAX, kind::Kind};
use cel::IdedExpr;
use cel::parser::{ParseError, Parser};
use std::thread;

/// Enough for a text that is one nesting from end to end. Only touched pages cost.
const STACK_BYTES: usize = 64 << 20;
/// What the parser takes before it gives up.
const NESTING_MAX: u16 = 64;
/// Faults of syntax that are told; what follows the first ones is guesswork.
const SYNTAX_FAULTS_MAX: usize = 2;

/// A tree that may be evaluated.
pub(super) struct Checked {
    pub(super) tree: IdedExpr,
    pub(super) slots: Vec<Slot>,
    pub(super) list_max: usize,
    pub(super) uses_proof: bool,
}

/// Reads and checks a text.
pub(super) fn checked(text: &str) -> Result<Checked, Vec<Fault>> {
    let whole = 0..text.len();
    if text.trim().is_empty() {
        return Err(vec![Fault::at(whole, "this expression is empty")]);
    }
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("this expression is longer than {TEXT_BYTES_MAX} bytes");
        return Err(vec![Fault::at(whole, message)]);
    }
    let unreadable = || vec![Fault::at(whole.clone(), "this expression cannot be read")];
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name("allow".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || read(text))
            .map_err(|_| unreadable())?;
        // A panic of the parser ends in a refusal like any other.
        reader.join().unwrap_or_else(|_| Err(unreadable()))
    })
}

fn read(text: &str) -> Result<Checked, Vec<Fault>> {
    let parser = Parser::new().max_recursion_depth(NESTING_MAX);
    let parsed = parser.parse_with_source_info(text);
    let (mut tree, info) = parsed.map_err(|errors| {
        let errors = errors.errors.iter().take(SYNTAX_FAULTS_MAX);
        let mut faults: Vec<_> = errors.map(|error| syntax(text, error)).collect();
        // A sign that is none explains what follows it.
        if let Some(told) = faults.iter().position(|fault| fault.help.is_some()) {
            faults = vec![faults.swap_remove(told)];
        }
        faults
    })?;
    let mut walk = Walk::new(text, &info);
    let kind = walk.visit(&mut tree);
    if !kind.may_be(&[Kind::Bool]) {
        walk.tell(
            Fault::at(0..text.len(), "this expression is neither true nor false")
                .label(format!("it is {}", kind.name())),
        );
    }
    walk.finish(tree)
}

fn syntax(text: &str, error: &ParseError) -> Fault {
    let at = place(text, error.pos);
    let fault = Fault::at(at.clone(), "this is no expression");
    if error.msg.contains("'<EOF>'") {
        let end = text.trim_end().len();
        return Fault {
            at: end..end,
            ..fault.label("it ends too early")
        };
    }
    if let Some(help) = sign(text.get(at.start..).unwrap_or_default()) {
        return fault.label("there is no such operator").help(help);
    }
    let detail = error.msg.strip_prefix("Syntax error: ");
    let detail = detail.unwrap_or(&error.msg);
    // The lists of what might follow instead are longer than what they are about.
    let detail = detail.split(" expecting ").next().unwrap_or(detail);
    fault.label(detail.to_owned())
}

/// What is meant by the sign at the beginning, where it is one of another language.
fn sign(rest: &str) -> Option<&'static str> {
    match rest.as_bytes() {
        [b'=', ..] => Some("`==` compares"),
        [b'&', ..] => Some("both: `&&`"),
        [b'|', ..] => Some("one of both: `||`"),
        _ => None,
    }
}

/// The bytes of a place that is told by line and column, both counted from one.
fn place(text: &str, (line, column): (isize, isize)) -> std::ops::Range<usize> {
    let skipped = usize::try_from(line - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let rest = text.get(before..).unwrap_or_default();
    let (start, length) = rest
        .char_indices()
        .nth(column)
        .map_or((rest.len(), 0), |(at, one)| (at, one.len_utf8()));
    before + start..before + start + length
}
