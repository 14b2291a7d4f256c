//! A query's characters as words.

use super::QueryError;
use super::ast::{AttributeScope, Literal};

/// Signs of more than one character, the longest first.
const SIGNS: [&str; 31] = [
    "&>>", "&<<", "!>>", "!<<", "&&", "||", ">=", "<=", "!=", "=~", "!~", "==", ">>", "<<", "&>",
    "&<", "&~", "!>", "!<", "=", ">", "<", "~", "!", "|", "{", "}", "(", ")", ",", "&",
];

/// Signs of arithmetic, which is not known here.
const ARITHMETIC: [char; 6] = ['+', '-', '*', '/', '%', '^'];

/// Characters that end the name of an attribute.
const ENDS: &str = "{}()=~!<>&|^,\"`";

/// A word and where it begins, in characters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) at: usize,
    pub(super) token: Token,
}

/// What a word is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Signs and brackets.
    Sign(&'static str),
    /// A name, with its scope if it has one: `count`, `trace:id`.
    Name(String),
    /// An attribute.
    Attribute(AttributeScope, String),
    /// A value.
    Literal(Literal),
}

/// All words of `text`.
pub(super) fn words(text: &str) -> Result<Vec<Word>, QueryError> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
    };
    let mut words = Vec::new();
    while let Some(word) = lexer.word()? {
        words.push(word);
    }
    Ok(words)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn starts_with(&self, sign: &str) -> bool {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        sign.chars().count() <= rest.len() && sign.chars().zip(rest).all(|(a, b)| a == *b)
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let taken: String = rest.iter().copied().take_while(|one| fits(*one)).collect();
        self.at += taken.chars().count();
        taken
    }

    fn word(&mut self) -> Result<Option<Word>, QueryError> {
        self.take_while(char::is_whitespace);
        let at = self.at;
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let next_is_digit = self.chars.get(at + 1).is_some_and(char::is_ascii_digit);
        let token = if first == '"' || first == '`' {
            Token::Literal(Literal::Text(self.quoted()?))
        } else if first == '.' && !next_is_digit {
            self.at += 1;
            self.attribute(AttributeScope::Any)?
        } else if first.is_ascii_digit() || (matches!(first, '-' | '.') && next_is_digit) {
            Token::Literal(self.number()?)
        } else if first.is_alphabetic() || first == '_' {
            self.name()?
        } else if let Some(sign) = SIGNS.iter().find(|sign| self.starts_with(sign)) {
            self.at += sign.chars().count();
            Token::Sign(sign)
        } else if ARITHMETIC.contains(&first) {
            return Err(QueryError::new(at, "arithmetic is not supported"));
        } else {
            let message = format!("`{first}` means nothing here");
            return Err(QueryError::new(at, message));
        };
        Ok(Some(Word { at, token }))
    }

    fn name(&mut self) -> Result<Token, QueryError> {
        let at = self.at;
        let name = self.take_while(|one| one.is_alphanumeric() || one == '_');
        let scope = match name.as_str() {
            "span" => Some(AttributeScope::Span),
            "resource" => Some(AttributeScope::Resource),
            "event" => Some(AttributeScope::Event),
            "link" => Some(AttributeScope::Link),
            _ => None,
        };
        match (self.peek(), scope) {
            (Some('.'), Some(scope)) => {
                self.at += 1;
                self.attribute(scope)
            }
            (Some('.'), None) => Err(QueryError::new(
                at,
                format!(
                    "`{name}.` is no scope that is known here: write `.`, `span.`, `resource.`, \
                     `event.` or `link.` before an attribute's name"
                ),
            )),
            (Some(':'), _) => {
                self.at += 1;
                let rest = self.take_while(|one| one.is_alphanumeric() || one == '_');
                Ok(Token::Name(format!("{name}:{rest}")))
            }
            _ => Ok(Token::Name(name)),
        }
    }

    /// What follows the dot: plain characters, and texts in quotes for all others.
    fn attribute(&mut self, scope: AttributeScope) -> Result<Token, QueryError> {
        let at = self.at;
        let mut key = String::new();
        loop {
            let plain = self.take_while(|one| !one.is_whitespace() && !ENDS.contains(one));
            key.push_str(&plain);
            if self.peek() == Some('"') {
                key.push_str(&self.quoted()?);
            } else {
                break;
            }
        }
        if key.is_empty() {
            return Err(QueryError::new(at, "an attribute's name is missing"));
        }
        Ok(Token::Attribute(scope, key))
    }

    fn quoted(&mut self) -> Result<String, QueryError> {
        let begin = self.at;
        let quote = self.peek();
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(one) = self.peek() else {
                return Err(QueryError::new(begin, "this quote is never closed"));
            };
            self.at += 1;
            if Some(one) == quote {
                return Ok(text);
            }
            if one != '\\' || quote == Some('`') {
                text.push(one);
                continue;
            }
            let escaped = self.peek();
            self.at += 1;
            text.push(match escaped {
                Some(same @ ('"' | '\\' | '\'')) => same,
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                _ => {
                    let message = "after `\\` comes one of `\"`, `\\`, `n`, `t`, `r`; in backquotes \
                                   nothing has to be escaped";
                    return Err(QueryError::new(self.at - 2, message));
                }
            });
        }
    }

    fn number(&mut self) -> Result<Literal, QueryError> {
        let at = self.at;
        let minus = self.peek() == Some('-');
        if minus {
            self.at += 1;
        }
        let text = self.take_while(|one| one.is_alphanumeric() || matches!(one, '.' | 'µ' | 'μ'));
        let signed = format!("{}{text}", if minus { "-" } else { "" });
        let is_plain = text.chars().all(|one| one.is_ascii_digit() || one == '.');
        if is_plain && let Ok(number) = signed.parse() {
            return Ok(Literal::Int(number));
        }
        if is_plain
            && let Ok(number) = signed.parse::<f64>()
            && number.is_finite()
        {
            return Ok(Literal::Float(number));
        }
        let nanos = duration(&text).and_then(|nanos| i64::try_from(nanos).ok());
        let nanos = nanos.map(|nanos| if minus { -nanos } else { nanos });
        nanos.map(Literal::Duration).ok_or_else(|| {
            let message =
                format!("`{signed}` is neither a number nor a duration like 1.5s or 300ms");
            QueryError::new(at, message)
        })
    }
}

/// Units of a duration and their nanoseconds.
pub(super) const UNITS: [(&str, u64); 9] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("µs", 1000),
    ("μs", 1000),
    ("ns", 1),
];

/// A duration as Go writes it, in nanoseconds: `1h30m`, `1.5s`.
pub(super) fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let (number, tail) = rest.split_at_checked(unit_at)?;
        let unit_ends = tail.find(|one: char| one.is_ascii_digit() || one == '.');
        let (unit, tail) = tail.split_at_checked(unit_ends.unwrap_or(tail.len()))?;
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *nanos)?)?;
        rest = tail;
    }
    Some(total)
}

/// A decimal number times `by`, exactly; digits beyond a nanosecond are cut.
fn scaled(number: &str, by: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && part.is_empty()) || part.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    let mut total = whole.checked_mul(by)?;
    let mut weight = by;
    for digit in part.chars() {
        weight /= 10;
        total = total.checked_add(u64::from(digit.to_digit(10)?) * weight)?;
    }
    Some(total)
}
