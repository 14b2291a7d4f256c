//! Words as a query: spansets and what follows them. Conditions are in [`super::condition`].
//!
//! As in Tempo, `&&` and `||` bind alike, from left to right, and kinship binds tighter.

use super::QueryError;
use super::ast::{Condition, Field, Function, Literal, Op, Query, Spanset, SpansetOp, Stage};
use super::lex::{Token, Word, words};

/// Most characters of a query.
const TEXT_MAX: usize = 8192;

/// Most brackets within brackets.
const DEPTH_MAX: usize = 32;

/// Most `{ … }` of a query: a span's answers to them are the bits of one number.
pub(in crate::store) const FILTERS_MAX: usize = 32;

/// Most comparisons of a query, for the same reason.
pub(in crate::store) const COMPARES_MAX: usize = 64;

/// Reads a whole query.
pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    if text.chars().nth(TEXT_MAX).is_some() {
        let message = format!("a query has at most {TEXT_MAX} characters");
        return Err(QueryError::new(TEXT_MAX, message));
    }
    let mut parser = Parser {
        words: words(text)?,
        next: 0,
        end: text.chars().count(),
        depth: 0,
        filters: 0,
        compares: 0,
    };
    let query = parser.pipeline()?;
    match parser.peek() {
        None => Ok(query),
        Some(Token::Sign("|")) => Err(parser.wrong("a stage of the pipeline is missing")),
        Some(_) => Err(parser.wrong("the query should end here, or go on with `&&`, `||` or `|`")),
    }
}

pub(super) struct Parser {
    words: Vec<Word>,
    next: usize,
    end: usize,
    depth: usize,
    filters: usize,
    pub(super) compares: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.words.get(self.next).map(|word| &word.token)
    }

    pub(super) fn at(&self) -> usize {
        self.words.get(self.next).map_or(self.end, |word| word.at)
    }

    pub(super) fn advance(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += 1;
        token
    }

    /// The word that begins at that character.
    pub(super) fn token_at(&self, at: usize) -> Option<&Token> {
        let word = self.words.iter().find(|word| word.at == at);
        word.map(|word| &word.token)
    }

    /// The word that was read last.
    pub(super) fn token_before(&self) -> Option<&Token> {
        let index = self.next.checked_sub(1)?;
        self.words.get(index).map(|word| &word.token)
    }

    pub(super) fn wrong(&self, message: impl Into<String>) -> QueryError {
        QueryError::new(self.at(), message)
    }

    pub(super) fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(here)) if *here == sign);
        if found {
            self.next += 1;
        }
        found
    }

    pub(super) fn expects(&mut self, sign: &str) -> Result<(), QueryError> {
        if self.takes(sign) {
            Ok(())
        } else {
            Err(self.wrong(format!("`{sign}` is missing here")))
        }
    }

    pub(super) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        if self.depth == DEPTH_MAX {
            return Err(self.wrong("too many brackets within brackets"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn pipeline(&mut self) -> Result<Query, QueryError> {
        let root = self.spansets()?;
        let mut stages = Vec::new();
        while self.takes("|") {
            stages.extend(self.stage()?);
        }
        if matches!(self.peek(), Some(Token::Name(name)) if name == "with") {
            self.hints()?;
        }
        Ok(Query { root, stages })
    }

    fn spansets(&mut self) -> Result<Spanset, QueryError> {
        let mut left = self.related()?;
        while let Some(op) = self.spanset_op(|op| !matches!(op, SpansetOp::Related(..))) {
            let right = self.related()?;
            left = Spanset::Combined(Box::new(left), op, Box::new(right));
        }
        Ok(left)
    }

    fn related(&mut self) -> Result<Spanset, QueryError> {
        let mut left = self.spanset()?;
        while let Some(op) = self.spanset_op(|op| matches!(op, SpansetOp::Related(..))) {
            let right = self.spanset()?;
            left = Spanset::Combined(Box::new(left), op, Box::new(right));
        }
        Ok(left)
    }

    fn spanset_op(&mut self, fits: impl Fn(SpansetOp) -> bool) -> Option<SpansetOp> {
        let Some(Token::Sign(sign)) = self.peek() else {
            return None;
        };
        let (_, op) = SpansetOp::SIGNS.iter().find(|(known, _)| known == sign)?;
        if fits(*op) {
            self.next += 1;
            return Some(*op);
        }
        None
    }

    fn spanset(&mut self) -> Result<Spanset, QueryError> {
        if self.takes("(") {
            let inner = self.deeper(Self::pipeline)?;
            self.expects(")")?;
            return Ok(if inner.stages.is_empty() {
                inner.root
            } else {
                Spanset::Piped(Box::new(inner))
            });
        }
        match self.peek() {
            Some(Token::Sign("{")) => self.filter().map(Spanset::Filter),
            Some(Token::Attribute(..)) => Err(self.wrong("conditions stand in braces: `{ … }`")),
            Some(Token::Name(name)) if Function::NAMES.iter().any(|(known, _)| known == name) => {
                let message = "a figure follows the spans it is of: `{ … } | count() > 2`";
                Err(self.wrong(message))
            }
            _ => Err(self.wrong("a query begins with `{`, like `{ .flow = \"escrow\" }`")),
        }
    }

    fn filter(&mut self) -> Result<Option<Condition>, QueryError> {
        if self.filters == FILTERS_MAX {
            let message = format!("a query has at most {FILTERS_MAX} pairs of braces");
            return Err(self.wrong(message));
        }
        self.filters += 1;
        self.expects("{")?;
        if self.takes("}") {
            return Ok(None);
        }
        let condition = self.condition()?;
        self.expects("}")?;
        Ok(Some(condition))
    }

    /// What follows a `|`; None for what changes nothing.
    fn stage(&mut self) -> Result<Option<Stage>, QueryError> {
        if matches!(self.peek(), Some(Token::Sign("{"))) {
            return Ok(Some(Stage::Filter(self.filter()?)));
        }
        let Some(Token::Name(name)) = self.peek().cloned() else {
            let message = "after `|` comes `{ … }`, count, avg, min, max, sum or select";
            return Err(self.wrong(message));
        };
        if let Some((_, function)) = Function::NAMES.iter().find(|(known, _)| *known == name) {
            self.next += 1;
            return self.aggregate(*function).map(Some);
        }
        match name.as_str() {
            "select" => {
                self.next += 1;
                self.select().map(Some)
            }
            "coalesce" => {
                self.next += 1;
                self.expects("(")?;
                self.expects(")")?;
                Ok(None)
            }
            "by" => Err(self.wrong(
                "`by(…)` is not supported: spans are not grouped here; put the value into the \
                 braces, like `{ .key = \"value\" }`",
            )),
            "rate" | "compare" | "topk" | "bottomk" | "histogram_over_time" => {
                Err(self.wrong("metrics of traces are not supported: this is a search"))
            }
            over if over.ends_with("_over_time") => {
                Err(self.wrong("metrics of traces are not supported: this is a search"))
            }
            _ => Err(self.wrong(format!(
                "`{name}` is no stage: there are count, avg, min, max, sum and select"
            ))),
        }
    }

    fn aggregate(&mut self, function: Function) -> Result<Stage, QueryError> {
        self.expects("(")?;
        let of = match function {
            Function::Count => None,
            Function::Avg | Function::Min | Function::Max | Function::Sum => {
                let at = self.at();
                let field = self.field()?;
                if !field.may_be_number() {
                    let message = format!("`{field}` is no number: try duration");
                    return Err(QueryError::new(at, message));
                }
                Some(field)
            }
        };
        self.expects(")")?;
        let Some(Token::Sign(sign)) = self.peek().cloned() else {
            return Err(self.wrong("a comparison is missing, like `> 2`"));
        };
        let Some(op) = Op::of(sign).filter(|op| !matches!(op, Op::Matches | Op::MatchesNot)) else {
            return Err(self.wrong("a comparison is missing, like `> 2`"));
        };
        self.next += 1;
        let at = self.at();
        let Some(Token::Literal(with)) = self.advance() else {
            return Err(QueryError::new(at, "a number is missing here"));
        };
        let fits = matches!(with, Literal::Int(_) | Literal::Float(_))
            || (matches!(with, Literal::Duration(_)) && of.is_some());
        if !fits {
            return Err(QueryError::new(at, "a number has to stand here"));
        }
        Ok(Stage::Aggregate {
            function,
            of,
            op,
            with,
        })
    }

    fn select(&mut self) -> Result<Stage, QueryError> {
        self.expects("(")?;
        let mut fields: Vec<Field> = vec![self.field()?];
        while self.takes(",") {
            fields.push(self.field()?);
        }
        self.expects(")")?;
        Ok(Stage::Select(fields))
    }

    /// `with (most_recent=true)`: what it asks for is so anyway, or does not matter here.
    fn hints(&mut self) -> Result<(), QueryError> {
        self.next += 1;
        self.expects("(")?;
        loop {
            let Some(Token::Name(_)) = self.advance() else {
                self.next -= 1;
                return Err(self.wrong("the name of a hint is missing"));
            };
            self.expects("=")?;
            let Some(Token::Literal(_) | Token::Name(_)) = self.advance() else {
                self.next -= 1;
                return Err(self.wrong("the value of a hint is missing"));
            };
            if !self.takes(",") {
                return self.expects(")");
            }
        }
    }
}
