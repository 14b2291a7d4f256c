//! What each operator and function takes and gives, and what a macro was before it was expanded.

use super::kind::Kind::{self, Any, Bool, List, Number, Text};
use super::pattern::MATCHES;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators as op};

/// Functions and macros, for those who look for one.
pub(super) const FUNCTIONS: [&str; 14] = [
    "all",
    "contains",
    "double",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "has",
    "int",
    "lowerAscii",
    "matches",
    "size",
    "startsWith",
    "string",
];

/// Whether a function is known, so that what is wrong is what it is given.
pub(super) fn is_known(name: &str) -> bool {
    is_operator(name) || name == MATCHES || FUNCTIONS.contains(&name)
}

/// Whether the parser made this name of an operator.
pub(super) fn is_operator(name: &str) -> bool {
    sign(name) != name
}

/// An operator as it is written.
fn sign(name: &str) -> &str {
    match name {
        op::IN => "in",
        op::INDEX => "[ ]",
        op::CONDITIONAL => "? :",
        name => name.trim_matches('_'),
    }
}

/// What kind of value a call gives.
///
/// # Errors
/// Why it cannot be called so, in words.
pub(super) fn result(name: &str, is_member: bool, given: &[Kind]) -> Result<Kind, String> {
    let takes = |wanted: &[Kind], kind: Kind| {
        let wrong = given.iter().find(|given| !given.may_be(wanted));
        wrong.map_or(Ok(kind), |wrong| Err(unfit(name, wanted, *wrong)))
    };
    match (name, is_member, given) {
        (op::LOGICAL_AND | op::LOGICAL_OR, false, [_, _]) | (op::LOGICAL_NOT, false, [_]) => {
            takes(&[Bool], Bool)
        }
        (op::CONDITIONAL, false, [condition, then, otherwise]) => {
            if condition.may_be(&[Bool]) {
                Ok(then.or(*otherwise))
            } else {
                Err(unfit(name, &[Bool], *condition))
            }
        }
        (op::EQUALS | op::NOT_EQUALS, false, [left, right]) if !left.may_equal(*right) => {
            Err(format!("{} never equals {}", left.name(), right.name()))
        }
        (op::EQUALS | op::NOT_EQUALS, false, [_, _]) => Ok(Bool),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, false, [left, right])
            if left.may_equal(*right) =>
        {
            takes(&[Number, Text], Bool)
        }
        (op::ADD, false, [left, right]) if left.may_equal(*right) => {
            takes(&[Number, Text], left.or(*right))
        }
        (op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, false, [_, _])
        | (op::NEGATE, false, [_]) => takes(&[Number], Number),
        (op::IN, false, [_, list]) if list.may_be(&[List]) => Ok(Bool),
        (op::INDEX, false, [list, at]) if list.may_be(&[List]) && at.may_be(&[Number, Text]) => {
            Ok(Any)
        }
        ("size", _, [_]) => takes(&[Text, List], Number),
        ("startsWith" | "endsWith" | "contains", true, [_, _]) => takes(&[Text], Bool),
        ("lowerAscii", true, [_]) => takes(&[Text], Text),
        ("int" | "double", false, [_]) => takes(&[Number, Text], Number),
        ("string", false, [_]) => takes(&[Number, Text, Bool], Text),
        (name, ..) if is_operator(name) => {
            let kinds: Vec<&str> = given.iter().map(|kind| kind.name()).collect();
            Err(format!(
                "`{}` does not fit {}",
                sign(name),
                kinds.join(" and ")
            ))
        }
        (name, ..) if is_known(name) => Err(format!("`{name}` is not called like that")),
        (name, ..) => Err(format!("no function is called `{name}`")),
    }
}

fn unfit(name: &str, wanted: &[Kind], given: Kind) -> String {
    let wanted: Vec<&str> = wanted.iter().map(|kind| kind.name()).collect();
    format!(
        "`{}` takes {}, and this is {}",
        sign(name),
        wanted.join(" or "),
        given.name()
    )
}

/// What is indexed, and by which literal text.
pub(super) fn literal_index(call: &CallExpr) -> Option<(&IdedExpr, &str)> {
    let [of, index] = call.args.as_slice() else {
        return None;
    };
    let Expr::Literal(LiteralValue::String(name)) = &index.expr else {
        return None;
    };
    (call.func_name == op::INDEX).then(|| (of, name.inner()))
}

/// Whether a comprehension may go over it: nothing that makes a list longer than those it is
/// made of.
pub(super) fn may_be_range(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Call(call) => call.func_name == op::INDEX,
        Expr::Ident(_)
        | Expr::Select(_)
        | Expr::List(_)
        | Expr::Comprehension(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Unspecified => true,
    }
}

/// The condition of an expanded `exists`, `all`, `exists_one` or `filter`, and what it gives;
/// None for `map`, which makes values of any size.
pub(super) fn predicate(over: &mut ComprehensionExpr) -> Option<(&mut IdedExpr, Kind)> {
    let variable = over.iter_var.as_str();
    let Expr::Call(step) = &mut over.loop_step.expr else {
        return None;
    };
    let kind = match (step.func_name.as_str(), step.args.as_slice()) {
        (op::LOGICAL_OR | op::LOGICAL_AND, [_, _]) => Bool,
        (op::CONDITIONAL, [_, then, _]) => made(then, variable)?,
        _ => return None,
    };
    let place = usize::from(step.func_name != op::CONDITIONAL);
    step.args.get_mut(place).map(|predicate| (predicate, kind))
}

/// What a step adds to: the count of `exists_one`, or the list of `filter`.
fn made(step: &IdedExpr, variable: &str) -> Option<Kind> {
    let Expr::Call(add) = &step.expr else {
        return None;
    };
    let (op::ADD, [_, added]) = (add.func_name.as_str(), add.args.as_slice()) else {
        return None;
    };
    if let Expr::Literal(LiteralValue::Int(_)) = &added.expr {
        return Some(Bool);
    }
    let Expr::List(list) = &added.expr else {
        return None;
    };
    let [element] = list.elements.as_slice() else {
        return None;
    };
    matches!(&element.expr, Expr::Ident(name) if name == variable).then_some(List)
}
