//! Which checks and ways are tried.

use super::check::{self, Check};
use super::way::{Column, Way};

/// A word that names neither a check nor a way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no check or way called `{word}`")]
pub struct Unknown {
    /// What was written.
    pub word: String,
    /// What could have been.
    pub known: Vec<String>,
}

/// The checks and ways that `only` leaves; a kind of which it names none stays whole. An echo
/// answers on fewer ways.
///
/// # Errors
/// [`Unknown`].
pub fn chosen(
    only: &[&str],
    given: Vec<Check>,
    echoed: bool,
) -> Result<(Vec<Check>, Vec<Way>), Unknown> {
    let checks = check::every(given);
    let is_column = |word: &str| Column::ALL.iter().any(|column| column.is_named(word));
    let is_check = |word: &str| checks.iter().any(|check| check.is_named(word));
    if let Some(word) = only.iter().find(|word| !is_check(word) && !is_column(word)) {
        let known = checks.iter().map(|check| check.id.clone());
        let ways = Column::ALL.map(|column| column.name().to_ascii_lowercase());
        return Err(Unknown {
            word: (*word).to_owned(),
            known: known.chain(ways).collect(),
        });
    }
    let any_check = only.iter().any(|word| is_check(word));
    let any_way = only.iter().any(|word| is_column(word));
    let ways = Way::ALL.into_iter().filter(|way| {
        let named = only.iter().any(|word| way.column().is_named(word));
        (named || !any_way) && (!echoed || way.is_echoed())
    });
    let ways = ways.collect();
    let names = |check: &Check| only.iter().any(|word| check.is_named(word));
    let checks = checks.into_iter();
    let checks = checks.filter(|check| !any_check || names(check));
    Ok((checks.collect(), ways))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(only: &[&str], checks: usize, ways: usize) {
        let (found, tried) = chosen(only, Vec::new(), false).unwrap();
        assert_eq!((found.len(), tried.len()), (checks, ways), "{only:?}");
    }

    #[test]
    fn words_leave_checks_and_ways_and_kinds_they_do_not_name_stay() {
        check(&[], 10, 6);
        check(&["baggage"], 3, 6);
        check(&["baggage-8k"], 1, 6);
        check(&["HTTP/2"], 10, 2);
        check(&["b3", "x-b3", "websocket"], 2, 1);
    }

    #[test]
    fn an_unknown_word_is_told_with_those_that_are_known() {
        let unknown = chosen(&["traceparents"], Vec::new(), false).unwrap_err();
        assert_eq!(unknown.word, "traceparents");
        assert!(unknown.known.iter().any(|word| word == "websocket"));
    }
}
