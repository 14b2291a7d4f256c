//! Text from elsewhere, made fit for a terminal.
//!
//! A span's name or a header's value may hold escapes that drive a terminal, or marks that turn
//! the reading direction around. They are shown, never obeyed, with colour and without.

use crate::telemetry::{is_hidden, terminal_char, terminal_safe};
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` with control and direction characters spelt out (`\n`, `\u{1b}`).
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    terminal_safe(&mut out, text);
    Cow::Owned(out)
}

/// `text` in double quotes, with quotes, backslashes and control characters escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            other => terminal_char(&mut out, other),
        }
    }
    out.push('"');
    out
}

/// `text` as one word of a line: as it is if it holds nothing that would end the word, else
/// [`quoted`].
pub fn word(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '=') || is_hidden(c);
    if text.is_empty() || text.contains(breaks) {
        Cow::Owned(quoted(text))
    } else {
        Cow::Borrowed(text)
    }
}

/// How many columns `text` takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// `text` on at most `max` columns, `ellipsis` standing for what was cut off at the end.
pub fn cut(text: &str, max: usize, ellipsis: &str) -> String {
    if columns(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(columns(ellipsis));
    let mut used = 0_usize;
    let mut out = String::new();
    for character in text.chars() {
        used = used.saturating_add(character.width().unwrap_or(0));
        if used > room {
            break;
        }
        out.push(character);
    }
    if columns(ellipsis) <= max {
        out.push_str(ellipsis);
    }
    out
}

/// A span name on at most `max` columns: whole leading path segments go first
/// (`POST …/{order_id}/release`), then it is cut at its end.
pub fn shorten_name(name: &str, max: usize, ellipsis: &str) -> String {
    if columns(name) <= max {
        return name.to_owned();
    }
    let Some((method, path)) = name
        .split_once(' ')
        .filter(|(_, path)| path.starts_with('/'))
    else {
        return cut(name, max, ellipsis);
    };
    let tails = path.match_indices('/').filter_map(|(at, _)| path.get(at..));
    let mut fitting = tails
        .skip(1)
        .map(|tail| format!("{method} {ellipsis}{tail}"))
        .filter(|short| columns(short) <= max);
    fitting.next().unwrap_or_else(|| cut(name, max, ellipsis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_and_direction_characters_are_shown_and_never_obeyed() {
        assert_eq!(shown("GET /\u{1b}[2J"), "GET /\\u{1b}[2J");
        assert_eq!(shown("a\nb\u{202e}c\u{9b}d"), "a\\nb\\u{202e}c\\u{9b}d");
        assert_eq!(shown("größe ✓"), "größe ✓");
    }

    #[test]
    fn a_quoted_text_cannot_end_its_quotes() {
        assert_eq!(quoted(r#"a" status=200 \"#), r#""a\" status=200 \\""#);
        assert_eq!(word("escrow"), "escrow");
        assert_eq!(word("two words"), "\"two words\"");
        assert_eq!(word(""), "\"\"");
    }

    #[test]
    fn a_name_loses_leading_segments_before_its_end() {
        let name = "POST /api/v1/orders/{order_id}/release";
        assert_eq!(shorten_name(name, 38, "…"), name);
        assert_eq!(shorten_name(name, 30, "…"), "POST …/{order_id}/release");
        assert_eq!(shorten_name(name, 20, "…"), "POST …/release");
        assert_eq!(shorten_name(name, 9, "…"), "POST /ap…");
        assert_eq!(shorten_name("api.login.with.much", 10, "..."), "api.log...");
    }

    proptest! {
        #[test]
        fn nothing_that_is_cut_is_wider_than_asked(text in "\\PC{0,40}", max in 0_usize..30) {
            prop_assert!(columns(&cut(&text, max, "…")) <= max);
            prop_assert!(columns(&shorten_name(&text, max, "...")) <= max);
        }

        #[test]
        fn nothing_that_is_shown_drives_a_terminal(text in any::<String>()) {
            prop_assert!(!shown(&text).contains(is_hidden));
            prop_assert!(!quoted(&text).contains(is_hidden));
        }
    }
}
