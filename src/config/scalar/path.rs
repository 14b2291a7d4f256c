//! Paths that are put in the place of others.

use super::Misread;

/// Checks a path without captures: what a rewrite or redirect puts in the place of another.
pub(in crate::config) fn plain_path(text: &str) -> Result<&str, Misread> {
    if !text.starts_with('/') {
        return Err(Misread::new("a path starts with `/`"));
    }
    if text.contains(['{', '}']) {
        return Err(Misread::new("this path takes no captures").label("plain text only"));
    }
    if text.contains(['?', '#']) {
        return Err(Misread::new("a path has no query and no fragment")
            .label("the request's own query stays"));
    }
    if text
        .bytes()
        .any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'\\')
    {
        return Err(Misread::new("a path is written as in a request")
            .label("blanks and other letters percent-encoded"));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Misread::new("a path has no `.` or `..` segment"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_path_starts_with_a_slash_and_takes_no_captures() {
        assert_eq!(plain_path("/static/a%20b"), Ok("/static/a%20b"));
        for text in [
            "", "a", "/{a}", "/a?b", "/a#b", "/a/../b", "/\u{e4}", "/a b", "/a\\b",
        ] {
            assert!(plain_path(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            prop_assert!(plain_path(&text).is_ok() || plain_path(&text).is_err());
        }
    }
}
