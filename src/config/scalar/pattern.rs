//! Regular expressions that match a whole text in linear time.

use super::Misread;
use regex::{Regex, RegexBuilder};

/// Largest compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Compiles an expression so that it has to match the whole text.
pub(in crate::config) fn pattern(text: &str) -> Result<Regex, Misread> {
    // First as it stands: `a)(b` must not become right by what is put around it.
    compile(text)?;
    compile(&format!("^(?:{text})$"))
}

fn compile(text: &str) -> Result<Regex, Misread> {
    RegexBuilder::new(text)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(64)
        .build()
        .map_err(|error| {
            let misread = Misread::new("this is not a regular expression");
            match error {
                regex::Error::CompiledTooBig(_) => {
                    Misread::new("this expression is too large").label("more than 1 MiB compiled")
                }
                // The parser draws a picture of its own; its last line says what is wrong.
                error => match error.to_string().lines().last() {
                    Some(reason) => misread.label(reason.trim_start_matches("error: ")),
                    None => misread,
                },
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_expression_matches_the_whole_text() {
        let regex = pattern("a|b").unwrap();

        assert!(regex.is_match("a"));
        assert!(!regex.is_match("ab"));
        assert!(!regex.is_match("a\n"));
    }

    #[test]
    fn what_cannot_be_compiled_is_refused_in_one_line() {
        let misread = pattern("a(").unwrap_err();

        assert_eq!(misread.label.as_deref(), Some("unclosed group"));
        assert!(pattern("a)(b").is_err());
        assert!(pattern(r"(\w{200}){200}").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = pattern(&text).is_ok();
        }
    }
}
