//! Text from outside, made harmless for what reads our lines: a terminal, or a JSON parser.
//!
//! Both writers keep a line a line, and neither lets a control character through: an escape
//! sequence in a header must not drive the terminal in which somebody reads the log.

/// Appends `text` with control characters, line separators, direction marks and other characters
/// that nobody sees as escapes (`\n`, `\u{1b}`).
pub fn terminal_safe(out: &mut String, text: &str) {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        out.push_str(text);
        return;
    }
    for character in text.chars() {
        terminal_char(out, character);
    }
}

/// Appends one character, as an escape if it is hidden.
pub fn terminal_char(out: &mut String, character: char) {
    if is_hidden(character) {
        out.extend(character.escape_default());
    } else {
        out.push(character);
    }
}

/// Appends `text` as a JSON string with its quotes (RFC 8259 section 7). Beside what has to be
/// escaped, all other control characters are: people read JSON lines in terminals, too.
pub fn json_string(out: &mut String, text: &str) {
    out.push('"');
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push_str(text);
    } else {
        text.chars().for_each(|character| json_char(out, character));
    }
    out.push('"');
}

fn json_char(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        hidden if is_hidden(hidden) => {
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                out.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = char::from_digit(u32::from(*unit) >> shift & 0xf, 16);
                    out.push(digit.unwrap_or('0'));
                }
            }
        }
        shown => out.push(shown),
    }
}

/// Whether a terminal, or a reader's eye, would take this for something else than text.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}'                      // Arabic letter mark
            | '\u{200b}'..='\u{200f}'      // zero widths and direction marks
            | '\u{2028}'..='\u{202e}'      // line separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}'      // word joiner, isolates
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}') // tags: text that nobody sees
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, terminal: &str, json: &str) {
        let mut out = String::new();
        terminal_safe(&mut out, input);
        assert_eq!(out, terminal);
        out.clear();
        json_string(&mut out, input);
        assert_eq!(out, json);
    }

    #[test]
    fn hidden_characters_become_visible_and_the_rest_stays() {
        check("plain", "plain", r#""plain""#);
        check("a\nb", r"a\nb", r#""a\nb""#);
        check("\u{1b}[31mred", r"\u{1b}[31mred", "\"\\u001b[31mred\"");
        check("\u{9b}2J", r"\u{9b}2J", "\"\\u009b2J\"");
        check("\u{202e}drow", r"\u{202e}drow", "\"\\u202edrow\"");
        check("\u{e0041}", r"\u{e0041}", "\"\\udb40\\udc41\"");
        check("\u{7f}", r"\u{7f}", "\"\\u007f\"");
        check("quote\" back\\", "quote\" back\\", r#""quote\" back\\""#);
        check("grün 😀", "grün 😀", "\"grün 😀\"");
    }

    proptest::proptest! {
        #[test]
        fn json_reads_back_as_what_was_written(text in proptest::prelude::any::<String>()) {
            let mut out = String::new();
            json_string(&mut out, &text);
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
            proptest::prop_assert!(!out.chars().any(char::is_control));
        }

        #[test]
        fn nothing_hidden_reaches_a_terminal(text in proptest::prelude::any::<String>()) {
            let mut out = String::new();
            terminal_safe(&mut out, &text);
            proptest::prop_assert!(!out.chars().any(is_hidden));
        }
    }
}
