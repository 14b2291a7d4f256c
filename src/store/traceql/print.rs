//! A query as text again. What was read and printed reads the same.

use super::ast::{
    AttributeScope, Condition, Field, Function, Literal, Query, Spanset, SpansetOp, Stage,
};
use super::lex::UNITS;
use crate::view::{Kind, Status};
use std::fmt::{Display, Formatter, Result, Write as _};

impl Display for Query {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        self.root.fmt(out)?;
        for stage in &self.stages {
            write!(out, " | {stage}")?;
        }
        Ok(())
    }
}

impl Display for Spanset {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self {
            Self::Filter(condition) => filter(out, condition.as_ref()),
            Self::Combined(left, op, right) => {
                operand(out, left)?;
                write!(out, " {op} ")?;
                operand(out, right)
            }
            Self::Piped(query) => write!(out, "({query})"),
        }
    }
}

/// A combination within a combination stands in parentheses: nobody has to know what binds tighter.
fn operand(out: &mut Formatter<'_>, spanset: &Spanset) -> Result {
    match spanset {
        Spanset::Combined(..) => write!(out, "({spanset})"),
        Spanset::Filter(_) | Spanset::Piped(_) => spanset.fmt(out),
    }
}

fn filter(out: &mut Formatter<'_>, condition: Option<&Condition>) -> Result {
    match condition {
        Some(condition) => write!(out, "{{ {condition} }}"),
        None => out.write_str("{ }"),
    }
}

impl Display for SpansetOp {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let found = Self::SIGNS.iter().find(|(_, known)| known == self);
        out.write_str(found.map_or("", |(sign, _)| sign))
    }
}

impl Display for Stage {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self {
            Self::Filter(condition) => filter(out, condition.as_ref()),
            Self::Aggregate {
                function,
                of,
                op,
                with,
            } => {
                write!(out, "{function}(")?;
                if let Some(field) = of {
                    write!(out, "{field}")?;
                }
                write!(out, ") {} {with}", op.sign())
            }
            Self::Select(fields) => {
                out.write_str("select(")?;
                for (index, field) in fields.iter().enumerate() {
                    write!(out, "{}{field}", if index == 0 { "" } else { ", " })?;
                }
                out.write_char(')')
            }
        }
    }
}

impl Display for Function {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let found = Self::NAMES.iter().find(|(_, known)| known == self);
        out.write_str(found.map_or("", |(name, _)| name))
    }
}

impl Display for Condition {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self {
            Self::Always(truth) => write!(out, "{truth}"),
            Self::Compare(compare) => {
                write!(
                    out,
                    "{} {} {}",
                    compare.field,
                    compare.op.sign(),
                    compare.with
                )
            }
            Self::Not(inner) => write!(out, "!({inner})"),
            Self::And(left, right) => {
                part(out, left)?;
                out.write_str(" && ")?;
                part(out, right)
            }
            Self::Or(left, right) => {
                part(out, left)?;
                out.write_str(" || ")?;
                part(out, right)
            }
        }
    }
}

fn part(out: &mut Formatter<'_>, condition: &Condition) -> Result {
    match condition {
        Condition::And(..) | Condition::Or(..) => write!(out, "({condition})"),
        Condition::Always(_) | Condition::Compare(_) | Condition::Not(_) => condition.fmt(out),
    }
}

impl Display for Field {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let (scope, key) = match self {
            Self::Intrinsic(intrinsic) => return out.write_str(intrinsic.name()),
            Self::Attribute(scope, key) => (scope, key),
        };
        out.write_str(match scope {
            AttributeScope::Any => ".",
            AttributeScope::Resource => "resource.",
            AttributeScope::Span => "span.",
            AttributeScope::Event => "event.",
            AttributeScope::Link => "link.",
        })?;
        // A digit first would be read as a number.
        let is_plain =
            |one: char| one.is_alphanumeric() || matches!(one, '.' | '_' | '-' | '/' | ':');
        let begins_plain = key.chars().next().is_some_and(|one| !one.is_numeric());
        if begins_plain && key.chars().all(is_plain) {
            out.write_str(key)
        } else {
            quoted(out, key)
        }
    }
}

impl Display for Literal {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(text) => quoted(out, text),
            Self::Int(number) => write!(out, "{number}"),
            // With a point, or it would be read as an integer.
            Self::Float(number) if number.fract() == 0.0 => write!(out, "{number:.1}"),
            Self::Float(number) => write!(out, "{number}"),
            Self::Duration(nanos) => {
                let whole = |(_, unit): &&(&str, u64)| nanos.unsigned_abs().is_multiple_of(*unit);
                let (name, unit) = UNITS.iter().find(whole).copied().unwrap_or(("ns", 1));
                let sign = if *nanos < 0 { "-" } else { "" };
                match *nanos {
                    0 => out.write_str("0s"),
                    _ => write!(out, "{sign}{}{name}", nanos.unsigned_abs() / unit),
                }
            }
            Self::Bool(truth) => write!(out, "{truth}"),
            Self::Status(status) => out.write_str(status_name(*status)),
            Self::Kind(kind) => out.write_str(&kind.name().to_ascii_lowercase()),
            Self::Nil => out.write_str("nil"),
        }
    }
}

/// A status as TraceQL writes it.
pub(in crate::store) const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error => "error",
    }
}

/// Every kind of a span.
pub(in crate::store) const KINDS: [Kind; 6] = [
    Kind::Unspecified,
    Kind::Internal,
    Kind::Server,
    Kind::Client,
    Kind::Producer,
    Kind::Consumer,
];

fn quoted(out: &mut Formatter<'_>, text: &str) -> Result {
    out.write_char('"')?;
    for one in text.chars() {
        match one {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\t' => out.write_str("\\t")?,
            '\r' => out.write_str("\\r")?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}
