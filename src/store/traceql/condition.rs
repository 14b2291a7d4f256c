//! What stands in braces: conditions on a span. Types are checked here, so that a query that can
//! never fit is refused instead of finding nothing.

use super::QueryError;
use super::ast::{AttributeScope, Compare, Condition, Field, Intrinsic, Literal, Op};
use super::lex::Token;
use super::parse::{COMPARES_MAX, Parser};
use super::print::{KINDS, status_name};
use crate::view::Status;
use std::sync::Arc;

/// Most bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A side of a comparison.
enum Side {
    Field(Field),
    Literal(Literal),
}

impl Parser {
    pub(super) fn condition(&mut self) -> Result<Condition, QueryError> {
        let mut left = self.unary()?;
        loop {
            if self.takes("&&") {
                left = Condition::And(Box::new(left), Box::new(self.unary()?));
            } else if self.takes("||") {
                left = Condition::Or(Box::new(left), Box::new(self.unary()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn unary(&mut self) -> Result<Condition, QueryError> {
        if self.takes("!") {
            let at = self.at();
            let inner = self.deeper(Self::unary)?;
            let is_explicit = if let Condition::Compare(compare) = &inner {
                self.ended_with_parenthesis(compare, at)
            } else {
                true
            };
            return if is_explicit {
                Ok(Condition::Not(Box::new(inner)))
            } else {
                Err(QueryError::new(
                    at,
                    "what `!` is the opposite of stands in parentheses: `!(.a = 1)`",
                ))
            };
        }
        if self.takes("(") {
            let inner = self.deeper(Self::condition)?;
            self.expects(")")?;
            return Ok(inner);
        }
        self.comparison()
    }

    /// Whether what `!` negates, beginning at `at`, was in parentheses or a bare attribute.
    fn ended_with_parenthesis(&self, compare: &Compare, at: usize) -> bool {
        let begins = self.token_at(at);
        let bare = compare.op == Op::Equal
            && compare.with == Literal::Bool(true)
            && self.token_before() == begins;
        matches!(begins, Some(Token::Sign("("))) || bare
    }

    fn comparison(&mut self) -> Result<Condition, QueryError> {
        let at = self.at();
        if self.compares == COMPARES_MAX {
            let message = format!("a query has at most {COMPARES_MAX} comparisons");
            return Err(QueryError::new(at, message));
        }
        self.compares += 1;
        let left = self.side()?;
        let op = match self.peek() {
            Some(Token::Sign("==")) => {
                return Err(self.wrong("`==` is written `=` in TraceQL"));
            }
            Some(Token::Sign(sign)) => Op::of(sign),
            _ => None,
        };
        let Some(op) = op else {
            return match left {
                Side::Literal(Literal::Bool(truth)) => Ok(Condition::Always(truth)),
                Side::Field(field @ Field::Attribute(..)) => {
                    compare(field, Op::Equal, Literal::Bool(true), at)
                }
                Side::Field(_) | Side::Literal(_) => {
                    Err(self.wrong("a comparison is missing, like `= \"value\"`"))
                }
            };
        };
        self.advance();
        let right_at = self.at();
        match (left, self.side()?) {
            (Side::Field(field), Side::Literal(with)) => compare(field, op, with, right_at),
            (Side::Literal(with), Side::Field(field)) => {
                if matches!(op, Op::Matches | Op::MatchesNot) {
                    return Err(QueryError::new(at, "the pattern stands on the right"));
                }
                compare(field, op.turned(), with, at)
            }
            (Side::Field(_), Side::Field(_)) => Err(QueryError::new(
                right_at,
                "two fields cannot be compared with each other here, only a field with a value",
            )),
            (Side::Literal(_), Side::Literal(_)) => {
                Err(QueryError::new(at, "a value is compared with a field"))
            }
        }
    }

    /// A field.
    pub(super) fn field(&mut self) -> Result<Field, QueryError> {
        let at = self.at();
        match self.side()? {
            Side::Field(field) => Ok(field),
            Side::Literal(_) => Err(QueryError::new(at, "a field is missing, like duration")),
        }
    }

    fn side(&mut self) -> Result<Side, QueryError> {
        let at = self.at();
        match self.advance() {
            Some(Token::Literal(literal)) => Ok(Side::Literal(literal)),
            Some(Token::Attribute(scope, key)) => Ok(Side::Field(Field::Attribute(scope, key))),
            Some(Token::Name(name)) => {
                named(&name).ok_or_else(|| QueryError::new(at, unknown(&name)))
            }
            Some(Token::Sign(_)) | None => Err(QueryError::new(
                at,
                "a field or a value is missing, like `.http.route`, duration or \"text\"",
            )),
        }
    }
}

fn named(name: &str) -> Option<Side> {
    if let Some(intrinsic) = Intrinsic::named(name) {
        return Some(Side::Field(Field::Intrinsic(intrinsic)));
    }
    let literal = match name {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        "nil" => Literal::Nil,
        "error" => Literal::Status(Status::Error),
        "ok" => Literal::Status(Status::Ok),
        "unset" => Literal::Status(Status::Unset),
        _ => {
            let kind = KINDS
                .iter()
                .find(|kind| kind.name().to_ascii_lowercase() == name)?;
            Literal::Kind(*kind)
        }
    };
    Some(Side::Literal(literal))
}

fn unknown(name: &str) -> String {
    if name.contains(':')
        || matches!(name, "parent" | "childCount")
        || name.starts_with("nestedSet")
    {
        return format!("`{name}` is not supported here");
    }
    let known = Intrinsic::SPELLINGS.iter().map(|(known, _)| *known);
    let near = known.filter(|known| strsim::jaro_winkler(known, name) > 0.85);
    match near
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
    {
        Some(near) => format!("`{name}` is not known; did you mean `{near}`?"),
        None => format!(
            "`{name}` is not known: an attribute begins with a dot (`.{name}`), a text stands in \
             quotes (`\"{name}\"`)"
        ),
    }
}

/// A comparison whose types fit.
pub(super) fn compare(
    field: Field,
    op: Op,
    with: Literal,
    at: usize,
) -> Result<Condition, QueryError> {
    let wrong = |message: String| Err(QueryError::new(at, message));
    if let Some(message) = mismatch(&field, &with) {
        return wrong(message);
    }
    let ordered = matches!(
        op,
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual
    );
    if ordered
        && matches!(
            with,
            Literal::Nil | Literal::Bool(_) | Literal::Status(_) | Literal::Kind(_)
        )
    {
        return wrong(format!("`{with}` has no order: use `=` or `!=`"));
    }
    let pattern = match (op, &with) {
        (Op::Matches | Op::MatchesNot, Literal::Text(text)) => match pattern(text) {
            Ok(pattern) => Some(Arc::new(pattern)),
            Err(error) => return wrong(error),
        },
        (Op::Matches | Op::MatchesNot, _) => {
            return wrong("a pattern is a text in quotes".to_owned());
        }
        _ => None,
    };
    Ok(Condition::Compare(Compare {
        field,
        op,
        with,
        pattern,
    }))
}

fn pattern(text: &str) -> Result<regex::Regex, String> {
    let built = regex::RegexBuilder::new(&format!("^(?:{text})$"))
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    built.map_err(|error| {
        let last = error.to_string();
        let last = last.lines().last().unwrap_or_default().trim();
        format!(
            "not a pattern: {}",
            last.strip_prefix("error: ").unwrap_or(last)
        )
    })
}

/// Why a field can never have that value.
fn mismatch(field: &Field, with: &Literal) -> Option<String> {
    let Field::Intrinsic(intrinsic) = field else {
        return None;
    };
    let (fits, wanted) = match intrinsic {
        Intrinsic::Status => (
            matches!(with, Literal::Status(_)),
            "one of error, ok, unset, without quotes",
        ),
        Intrinsic::Kind => (
            matches!(with, Literal::Kind(_)),
            "one of server, client, internal, producer, consumer, unspecified, without quotes",
        ),
        Intrinsic::Duration | Intrinsic::TraceDuration => (
            matches!(
                with,
                Literal::Duration(_) | Literal::Int(_) | Literal::Float(_)
            ),
            "a duration like 1.5s or 300ms, without quotes",
        ),
        Intrinsic::Name
        | Intrinsic::StatusMessage
        | Intrinsic::SpanId
        | Intrinsic::ParentId
        | Intrinsic::TraceId
        | Intrinsic::RootName
        | Intrinsic::RootService
        | Intrinsic::EventName
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId => (
            matches!(with, Literal::Text(_) | Literal::Nil),
            "a text in quotes",
        ),
    };
    if fits {
        return None;
    }
    let got = if let Literal::Status(status) = with {
        format!("`{}`", status_name(*status))
    } else {
        format!("`{with}`")
    };
    Some(format!("{} is {wanted}, not {got}", intrinsic.name()))
}

impl Field {
    /// Whether a figure can be made of it.
    pub(super) const fn may_be_number(&self) -> bool {
        match self {
            Self::Attribute(scope, _) => {
                !matches!(scope, AttributeScope::Event | AttributeScope::Link)
            }
            Self::Intrinsic(intrinsic) => {
                matches!(intrinsic, Intrinsic::Duration | Intrinsic::TraceDuration)
            }
        }
    }
}
