//! Errors in plain words, for whoever reads a log or a terminal: what it means, no number.

use std::error::Error;
use std::io;

/// Causes of an error that are written; more would be a chain that bites its tail.
const CAUSES_MAX: usize = 8;

/// One error of a chain: an operating system's error by what it means, any other as it says.
pub fn plain_error(error: &(dyn Error + 'static)) -> String {
    error
        .downcast_ref::<io::Error>()
        .map_or_else(|| error.to_string(), plain_io)
}

/// `what failed: caused by: caused by`. A cause that its effect has told already is left out.
pub fn plain_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = plain_error(error);
    let mut cause = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(told) = cause else { break };
        let told_text = plain_error(told);
        if !text.ends_with(&told_text) {
            text.push_str(": ");
            text.push_str(&told_text);
        }
        cause = told.source();
    }
    text
}

/// An I/O error: `connection refused`, never `Os { code: 111 }` or `(os error 111)`.
pub fn plain_io(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match text.rfind(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(&text),
        None => &text,
    };
    // The system's messages begin like sentences; ours stand within one. Acronyms stay.
    let mut characters = text.chars();
    let first = characters.next();
    let is_word = characters.clone().next().is_some_and(char::is_lowercase);
    match first.filter(|_| is_word) {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_number_is_never_shown() {
        let check = |number, expected: &str| {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(plain_io(&error), expected);
            assert_eq!(plain_error(&error), expected);
        };
        check(111, "connection refused");
        check(98, "address already in use");
        check(24, "too many open files");
        check(5, "input/output error");
    }
}
