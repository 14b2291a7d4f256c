//! What an expression may say: every name is known, kinds fit, and its cost has a bound.
//!
//! Each variable is replaced by a slot, so that what cannot be resolved is known here and not
//! when a request comes.

use super::fault::Fault;
use super::kind::Kind;
use super::meter::{self, ROUND, USE};
use super::pattern::{MATCHES, Pattern};
use super::read::Checked;
use super::rules::{self, literal_index};
use super::run::LOWER;
use super::slot::{self, Slot};
use super::variable;
use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use std::mem;
use std::ops::Range;

/// Deepest nesting of a tree.
const DEPTH_MAX: usize = 64;
/// Deepest nesting of comprehensions.
const NESTED_MAX: usize = 2;
/// Comprehensions in one expression.
const COMPREHENSIONS_MAX: usize = 16;
/// Additions within comprehensions, and in all: each may copy texts as long as a request's head.
const ADDITIONS_MAX_WITHIN: usize = 4;
const ADDITIONS_MAX: usize = 32;
/// Longest list where comprehensions nest, and where they do not.
const LIST_MAX_NESTED: usize = 100;
const LIST_MAX: usize = 1000;

/// A walk over a tree.
pub(super) struct Walk<'t> {
    pub(super) text: &'t str,
    pub(super) info: &'t SourceInfo,
    faults: Vec<Fault>,
    slots: Vec<Slot>,
    /// Variables of comprehensions around the place that is walked.
    scopes: Vec<String>,
    depth: usize,
    /// Nodes walked so far.
    nodes: i64,
    nested: usize,
    deepest: usize,
    comprehensions: usize,
    additions: usize,
    additions_within: usize,
    longest_literal: usize,
}

impl<'t> Walk<'t> {
    pub(super) const fn new(text: &'t str, info: &'t SourceInfo) -> Self {
        Self {
            text,
            info,
            faults: Vec::new(),
            slots: Vec::new(),
            scopes: Vec::new(),
            depth: 0,
            nodes: 0,
            nested: 0,
            deepest: 0,
            comprehensions: 0,
            additions: 0,
            additions_within: 0,
            longest_literal: 0,
        }
    }

    pub(super) fn tell(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// The tree, if nothing was told.
    pub(super) fn finish(mut self, tree: IdedExpr) -> Result<Checked, Vec<Fault>> {
        let list_max = if self.deepest > 1 {
            LIST_MAX_NESTED
        } else {
            LIST_MAX
        };
        if self.longest_literal > list_max {
            let whole = 0..self.text.len();
            self.tell(Fault::at(
                whole,
                format!("a list of this expression has more than {list_max} elements"),
            ));
        }
        if !self.faults.is_empty() {
            self.faults.sort_by_key(|fault| fault.at.start);
            return Err(self.faults);
        }
        Ok(Checked {
            tree,
            list_max,
            uses_proof: self.slots.iter().any(variable::is_of_proof),
            slots: self.slots,
        })
    }

    /// Checks a tree and fills in its slots; says what kind of value it gives.
    pub(super) fn visit(&mut self, node: &mut IdedExpr) -> Kind {
        self.depth += 1;
        self.nodes += 1;
        let kind = if self.depth > DEPTH_MAX {
            let at = self.place(node.id);
            if self.depth == DEPTH_MAX + 1 {
                self.tell(Fault::at(at, "this expression is nested too deeply"));
            }
            Kind::Any
        } else {
            self.inner(node)
        };
        self.depth -= 1;
        kind
    }

    fn inner(&mut self, node: &mut IdedExpr) -> Kind {
        if let Some((path, has)) = self.path(node) {
            return self.variable(node, &path, has);
        }
        let at = self.place(node.id);
        match &mut node.expr {
            Expr::Literal(literal) => Kind::of(literal).unwrap_or_else(|| {
                self.tell(Fault::at(at, "bytes are not for this expression"));
                Kind::Any
            }),
            // Variables of comprehensions; every other name is a path.
            Expr::Ident(_) => {
                let variable = node.clone();
                node.expr = meter::call(node.id, USE, [variable]);
                Kind::Any
            }
            Expr::Select(select) => self.select(select, at),
            Expr::Call(_) => self.call(node, at),
            Expr::List(list) => self.list(list),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, at),
            Expr::Map(_) | Expr::Struct(_) => {
                self.tell(Fault::at(at, "maps cannot be written in this expression"));
                Kind::Any
            }
            Expr::Unspecified => {
                self.tell(Fault::at(at, "this is no expression"));
                Kind::Any
            }
        }
    }

    /// A name and its members, literal indexes among them, unless it begins with a variable of a
    /// comprehension. And whether `has` asks for it.
    fn path(&self, node: &IdedExpr) -> Option<(Vec<String>, bool)> {
        let mut names = Vec::new();
        let mut has = false;
        let mut at = node;
        loop {
            match &at.expr {
                Expr::Ident(name) if self.scopes.contains(name) => return None,
                Expr::Ident(name) => names.push(name.clone()),
                Expr::Select(select) if !select.test || names.is_empty() => {
                    has |= select.test;
                    names.push(select.field.clone());
                    at = &select.operand;
                    continue;
                }
                Expr::Call(call) => {
                    let (of, name) = literal_index(call)?;
                    names.push(name.to_owned());
                    at = of;
                    continue;
                }
                Expr::Select(_)
                | Expr::Comprehension(_)
                | Expr::List(_)
                | Expr::Literal(_)
                | Expr::Map(_)
                | Expr::Struct(_)
                | Expr::Unspecified => return None,
            }
            names.reverse();
            return Some((names, has));
        }
    }

    fn variable(&mut self, node: &mut IdedExpr, path: &[String], has: bool) -> Kind {
        let scopes = self.scopes.iter().map(String::as_str);
        match variable::find(path, scopes) {
            Ok((variable, kind)) => {
                let (slot, kind) = if has {
                    (Slot::Has(variable), Kind::Bool)
                } else {
                    (Slot::Value(variable), kind)
                };
                self.put(node, slot);
                kind
            }
            Err((name, mut fault)) => {
                fault.at = self.place_of_name(node, name);
                self.tell(*fault);
                Kind::Any
            }
        }
    }

    /// Replaces a node by a slot.
    fn put(&mut self, node: &mut IdedExpr, slot: Slot) {
        node.expr = self.slot(slot);
    }

    fn slot(&mut self, slot: Slot) -> Expr {
        let same = self.slots.iter().position(|other| slot.is(other));
        let index = same.unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
        Expr::Ident(slot::name(index))
    }

    fn select(&mut self, select: &mut SelectExpr, at: Range<usize>) -> Kind {
        let of = self.visit(&mut select.operand);
        if of != Kind::Any {
            let message = format!("{} has no member `{}`", of.name(), select.field);
            self.tell(Fault::at(at, message));
        }
        if select.test { Kind::Bool } else { Kind::Any }
    }

    fn list(&mut self, list: &mut ListExpr) -> Kind {
        self.longest_literal = self.longest_literal.max(list.elements.len());
        for element in &mut list.elements {
            self.visit(element);
        }
        Kind::List
    }

    fn call(&mut self, node: &mut IdedExpr, at: Range<usize>) -> Kind {
        let Expr::Call(call) = &mut node.expr else {
            return Kind::Any;
        };
        if let Some(slot) = self.question(call) {
            match slot {
                Ok(slot) => self.put(node, slot),
                Err(mut fault) => {
                    fault.at = at;
                    self.tell(fault);
                }
            }
            return Kind::Bool;
        }
        if call.func_name == "matches" {
            return self.matches(node, at);
        }
        if !rules::is_operator(&call.func_name) && !rules::is_known(&call.func_name) {
            return self.no_function(call, at);
        }
        let target = call.target.as_deref_mut();
        let is_member = target.is_some();
        let mut kinds = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = target {
            kinds.push(self.visit(target));
        }
        for argument in &mut call.args {
            kinds.push(self.visit(argument));
        }
        if call.func_name == operators::ADD {
            self.addition(&at);
        }
        match rules::result(&call.func_name, is_member, &kinds) {
            Ok(kind) => {
                if call.func_name == "lowerAscii"
                    && let Some(text) = call.target.take()
                {
                    node.expr = meter::call(node.id, LOWER, [*text]);
                }
                kind
            }
            Err(message) => {
                let name = call.func_name.clone();
                let at = if rules::is_operator(&name) {
                    at
                } else {
                    self.word_from(at, &name)
                };
                self.tell(Fault::at(at, message));
                Kind::Any
            }
        }
    }

    /// A function that there is not. What it takes is not looked at: where `exists` is misspelt,
    /// its variable would be another error.
    fn no_function(&mut self, call: &mut CallExpr, at: Range<usize>) -> Kind {
        if let Some(target) = call.target.as_deref_mut() {
            self.visit(target);
        }
        let name = &call.func_name;
        let at = self.word_from(at, name);
        let message = format!("no function is called `{name}`");
        self.tell(Fault::at(at, message).known(name, rules::FUNCTIONS));
        Kind::Any
    }

    fn addition(&mut self, at: &Range<usize>) {
        self.additions += 1;
        self.additions_within += usize::from(self.nested > 0);
        if self.nested > 0 && self.additions_within > ADDITIONS_MAX_WITHIN {
            let message = "there are more than four additions within `exists` and its like";
            self.tell(Fault::at(at.clone(), message));
        } else if self.additions == ADDITIONS_MAX + 1 {
            let message = format!("there are more than {ADDITIONS_MAX} additions");
            self.tell(Fault::at(at.clone(), message));
        }
    }

    /// What is asked of a name as a whole: whether there is an identity, or a claim of a name.
    fn question(&self, call: &CallExpr) -> Option<Result<Slot, Fault>> {
        let [left, right] = call.args.as_slice() else {
            return None;
        };
        let is_identity = |node: &IdedExpr| matches!(&node.expr, Expr::Ident(name) if name == "identity" && !self.scopes.contains(name));
        let is_null = |node: &IdedExpr| matches!(&node.expr, Expr::Literal(LiteralValue::Null));
        let asks_null = is_identity(left) && is_null(right) || is_null(left) && is_identity(right);
        match call.func_name.as_str() {
            operators::EQUALS if asks_null => Some(Ok(Slot::Anonymous(true))),
            operators::NOT_EQUALS if asks_null => Some(Ok(Slot::Anonymous(false))),
            operators::IN => {
                let (mut path, false) = self.path(right)? else {
                    return None;
                };
                if !variable::is_container(&path) {
                    return None;
                }
                let Expr::Literal(LiteralValue::String(name)) = &left.expr else {
                    let message =
                        format!("what is looked for in `{}` is no literal", path.join("."));
                    return Some(Err(Fault::at(0..0, message)));
                };
                path.push(name.inner().to_owned());
                let found = variable::find(&path, std::iter::empty());
                Some(
                    found
                        .map(|(variable, _)| Slot::Has(variable))
                        .map_err(|(_, fault)| *fault),
                )
            }
            _ => None,
        }
    }

    fn matches(&mut self, node: &mut IdedExpr, at: Range<usize>) -> Kind {
        let Expr::Call(call) = &mut node.expr else {
            return Kind::Any;
        };
        let target = call.target.take().map(|target| *target);
        let mut arguments: Vec<IdedExpr> = target.into_iter().collect();
        arguments.append(&mut call.args);
        let at = self.word_from(at, "matches");
        let Ok([mut text, mut pattern]) = <[IdedExpr; 2]>::try_from(arguments) else {
            let message = "`matches` takes a text and a pattern";
            self.tell(Fault::at(at, message).label("as in `request.path.matches(\"^/api/\")`"));
            return Kind::Bool;
        };
        let kind = self.visit(&mut text);
        if !kind.may_be(&[Kind::Text]) {
            let message = format!("`matches` takes a text, and this is {}", kind.name());
            self.tell(Fault::at(at.clone(), message));
        }
        if let Expr::Literal(LiteralValue::String(source)) = &pattern.expr {
            match Pattern::new(source.inner()) {
                Ok(compiled) => self.put(&mut pattern, Slot::Pattern(compiled)),
                Err(why) => {
                    let at = self.place(pattern.id);
                    self.tell(Fault::at(at, "this pattern cannot be compiled").label(why));
                }
            }
        } else {
            let message = "the pattern of `matches` is no literal";
            let help = "write the pattern here, so that it is compiled once";
            self.tell(Fault::at(at, message).help(help));
        }
        node.expr = meter::call(node.id, MATCHES, [text, pattern]);
        Kind::Bool
    }

    fn comprehension(&mut self, over: &mut ComprehensionExpr, at: Range<usize>) -> Kind {
        let at = self.name_before(at);
        self.comprehensions += 1;
        if self.comprehensions == COMPREHENSIONS_MAX + 1 {
            let message =
                format!("there are more than {COMPREHENSIONS_MAX} of `exists` and its like");
            self.tell(Fault::at(at.clone(), message));
        }
        if !rules::may_be_range(&over.iter_range) {
            let message = "this list is made here, so that nothing bounds its length";
            let help = "`exists` and its like go over a claim, `identity.groups` or a list";
            self.tell(Fault::at(at.clone(), message).help(help));
        }
        let range = self.visit(&mut over.iter_range);
        if !range.may_be(&[Kind::List]) {
            let message = format!(
                "`exists` and its like go over a list, and this is {}",
                range.name()
            );
            self.tell(Fault::at(at.clone(), message));
        }
        let taken = variable::ROOTS.contains(&over.iter_var.as_str())
            || self.scopes.contains(&over.iter_var);
        if taken {
            let message = format!("`{}` has a meaning already", over.iter_var);
            self.tell(Fault::at(at.clone(), message).label("take another name"));
        }
        let variable = over.iter_var.clone();
        let Some((predicate, kind)) = rules::predicate(over) else {
            let message = "`map` is not known";
            let help = "`exists`, `all`, `exists_one` and `filter` take any condition";
            self.tell(Fault::at(at, message).help(help));
            return Kind::Any;
        };
        self.nested += 1;
        self.deepest = self.deepest.max(self.nested);
        if self.nested == NESTED_MAX + 1 {
            let message = format!("more than {NESTED_MAX} of `exists` and its like are nested");
            self.tell(Fault::at(at.clone(), message).label("its cost would be a third power"));
        }
        self.scopes.push(variable);
        let before = self.nodes;
        let condition = self.visit(predicate);
        self.pay_for_rounds(predicate, before);
        self.scopes.pop();
        self.nested -= 1;
        if !condition.may_be(&[Kind::Bool]) {
            let message = "the condition is neither true nor false";
            self.tell(Fault::at(at, message).label(format!("it is {}", condition.name())));
        }
        kind
    }

    /// Each round takes from the budget before its condition is looked at.
    fn pay_for_rounds(&mut self, predicate: &mut IdedExpr, nodes_before: i64) {
        let round = Slot::Round(ROUND + self.nodes - nodes_before);
        let id = predicate.id;
        let paid = IdedExpr {
            id,
            expr: self.slot(round),
        };
        let condition = IdedExpr {
            id,
            expr: mem::replace(&mut predicate.expr, Expr::Unspecified),
        };
        predicate.expr = Expr::Call(CallExpr {
            func_name: operators::LOGICAL_AND.to_owned(),
            target: None,
            args: vec![paid, condition],
        });
    }
}
