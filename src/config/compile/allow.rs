//! Expressions of `allow`, and where in the document they are wrong.

use super::Compiler;
use crate::auth::{Allow, Fault};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::suggest::nearest;
use std::sync::Arc;

/// Compiles a route's expression.
pub(super) fn compile(
    route: &raw::Route,
    has_auth: bool,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<Allow>> {
    let written = route.allow.as_ref()?;
    let text = &written.value.0;
    let allow = match Allow::compile(text) {
        Ok(allow) => allow,
        Err(faults) => {
            for fault in faults {
                compiler.tell(diagnostic(&fault, written));
            }
            return None;
        }
    };
    if allow.uses_proof() && !has_auth {
        let message = "nothing proves what this expression asks for";
        let diagnostic = Diagnostic::at(Code::NothingProved, &written.span, message);
        compiler.tell(diagnostic.label("the route has no `auth`"));
    }
    Some(Arc::new(allow))
}

fn diagnostic(fault: &Fault, written: &Spanned<raw::ExpressionText>) -> Diagnostic {
    let (span, is_exact) = place(fault, written);
    let mut diagnostic = Diagnostic::at(Code::Expression, &span, fault.message.as_str());
    diagnostic.label.clone_from(&fault.label);
    diagnostic.help.clone_from(&fault.help);
    if let Some((wrong, known)) = &fault.unknown
        && let Some(meant) = nearest(wrong, known.iter().map(String::as_str))
    {
        let suggested = diagnostic.suggest(meant);
        if is_exact {
            return suggested;
        }
        // The replacement would take the place of the whole expression.
        diagnostic = suggested;
        diagnostic.replacement = None;
    } else if !is_exact && fault.label.is_none() {
        let column = written.value.0.get(..fault.at.start);
        let column = column.map_or(0, |before| before.chars().count()) + 1;
        diagnostic.label = Some(format!("at its character {column}"));
    }
    diagnostic
}

/// The bytes of the document that a fault is about, and whether they are exactly these: where the
/// text stands in the document as it is, its places are places of the document.
fn place(fault: &Fault, written: &Spanned<raw::ExpressionText>) -> (Span, bool) {
    let span = &written.span;
    if span.len() != written.value.0.len() || fault.at.is_empty() {
        return (span.clone(), false);
    }
    (span.start + fault.at.start..span.start + fault.at.end, true)
}
