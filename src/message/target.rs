//! One reading of a path.
//!
//! Used by `normalize` for what a client sent and by `route` for what a configuration says, so
//! that both spell a path alike. Whatever servers are known to read in two ways is refused; what
//! is left differs only in spelling, and is spelt as RFC 3986 section 6.2.2 asks.
//!
//! A query is not touched: nothing is matched by its raw spelling, and its bytes may be signed.

use super::refusal::Refusal;
use std::borrow::Cow;

/// What to do with paths that servers read in two ways. The default refuses both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathRules {
    /// Let `%2F` and `%5C` pass as part of a segment; they stay escaped.
    pub allow_encoded_slash: bool,
    /// Let `//` pass as an empty segment.
    pub allow_empty_segment: bool,
}

/// The path as it is matched and forwarded: escaped unreserved characters are unescaped, the hex
/// digits of the other escapes are upper case. Borrows when nothing had to change.
///
/// # Errors
/// [`Refusal`] for a path that does not start with `/` or that servers read in two ways.
pub fn normalize_path(path: &str, rules: PathRules) -> Result<Cow<'_, str>, Refusal> {
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    check_characters(path.as_bytes())?;
    let path = unescape_unreserved(path, rules)?;
    check_segments(&path, rules)?;
    Ok(path)
}

/// Whether a raw query holds only what may stand in a request line. A backslash may: the URL
/// standard leaves it unescaped there, so browsers send it, and no server takes it for a separator.
///
/// # Errors
/// [`Refusal::TargetCharacter`] for anything beyond visible ASCII, and for `#`.
pub fn check_query(query: &str) -> Result<(), Refusal> {
    let passes = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if query.bytes().all(passes) {
        Ok(())
    } else {
        Err(Refusal::TargetCharacter)
    }
}

/// The common case in one pass: no escape, nothing strange, no segment that starts with a dot.
fn is_plain(path: &[u8]) -> bool {
    let Some((b'/', rest)) = path.split_first() else {
        return false;
    };
    let mut after_slash = true;
    for &byte in rest {
        match byte {
            b'/' | b'.' if after_slash => return false,
            b'/' => after_slash = true,
            b'%' | b'\\' | b'#' | b'?' => return false,
            _ if !byte.is_ascii_graphic() => return false,
            _ => after_slash = false,
        }
    }
    true
}

fn check_characters(path: &[u8]) -> Result<(), Refusal> {
    if path.first() != Some(&b'/') {
        return Err(Refusal::TargetForm);
    }
    let passes = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'?');
    if path.iter().all(passes) {
        Ok(())
    } else {
        Err(Refusal::TargetCharacter)
    }
}

/// RFC 3986 sections 6.2.2.1 and 6.2.2.2. `path` is ASCII.
fn unescape_unreserved(path: &str, rules: PathRules) -> Result<Cow<'_, str>, Refusal> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len());
    let mut parts = path.split('%');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (escape, rest) = part.split_at_checked(2).ok_or(Refusal::PercentEscape)?;
        let byte = hex_byte(escape.as_bytes()).ok_or(Refusal::PercentEscape)?;
        match byte {
            0 => return Err(Refusal::EscapedNul),
            b'/' | b'\\' if !rules.allow_encoded_slash => return Err(Refusal::EncodedSlash),
            _ if is_unreserved(byte) => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.extend(escape.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        out.push_str(rest);
    }
    if out == path {
        return Ok(Cow::Borrowed(path));
    }
    Ok(Cow::Owned(out))
}

fn check_segments(path: &str, rules: PathRules) -> Result<(), Refusal> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // Servlet containers cut `;parameters` off before they resolve dots: `/a/..;/b` is `/b`.
        let name = segment.split(';').next().unwrap_or_default();
        if matches!(name, "." | "..") {
            return Err(Refusal::DotSegment);
        }
        let inner = segments.peek().is_some();
        if segment.is_empty() && inner && !rules.allow_empty_segment {
            return Err(Refusal::EmptySegment);
        }
    }
    Ok(())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let &[high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STRICT: PathRules = PathRules {
        allow_encoded_slash: false,
        allow_empty_segment: false,
    };
    const LENIENT: PathRules = PathRules {
        allow_encoded_slash: true,
        allow_empty_segment: true,
    };

    #[track_caller]
    fn check(path: &str, expected: Result<&str, Refusal>) {
        let found = normalize_path(path, STRICT);

        assert_eq!(found.as_deref(), expected.as_ref().copied(), "{path}");
    }

    #[test]
    fn a_path_in_order_stays_as_it_is_without_allocation() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/.well-known/x",
            "/..a",
            "/...",
            "/a;b=c/d",
            "/a%2Cb",
        ] {
            let found = normalize_path(path, STRICT);

            assert!(
                matches!(found, Ok(Cow::Borrowed(same)) if same == path),
                "{path}"
            );
        }
    }

    #[test]
    fn spellings_of_one_path_become_one_path() {
        check("/%61dmin", Ok("/admin"));
        check("/%7euser", Ok("/~user"));
        check("/a%2cb", Ok("/a%2Cb"));
        check("/%c3%bc", Ok("/%C3%BC"));
        check("/a%2Eb", Ok("/a.b"));
        check("/a%252e%252e/b", Ok("/a%252e%252e/b"));
    }

    #[test]
    fn what_servers_read_in_two_ways_is_refused() {
        check("/a/../b", Err(Refusal::DotSegment));
        check("/a/.", Err(Refusal::DotSegment));
        check("/..", Err(Refusal::DotSegment));
        check("/%2e%2E/b", Err(Refusal::DotSegment));
        check("/a/.%2e", Err(Refusal::DotSegment));
        check("/a/..;/b", Err(Refusal::DotSegment));
        check("/a/%2e;x=1", Err(Refusal::DotSegment));
        check("/a%2fb", Err(Refusal::EncodedSlash));
        check("/a%5Cb", Err(Refusal::EncodedSlash));
        check("/a\\b", Err(Refusal::TargetCharacter));
        check("/a#b", Err(Refusal::TargetCharacter));
        check("/ü", Err(Refusal::TargetCharacter));
        check("/a\u{7f}", Err(Refusal::TargetCharacter));
        check("/a b", Err(Refusal::TargetCharacter));
        check("/a%00", Err(Refusal::EscapedNul));
        check("//", Err(Refusal::EmptySegment));
        check("//a", Err(Refusal::EmptySegment));
        check("/a//", Err(Refusal::EmptySegment));
        check("/%", Err(Refusal::PercentEscape));
        check("/%4", Err(Refusal::PercentEscape));
        check("/%4g", Err(Refusal::PercentEscape));
        check("/%+1", Err(Refusal::PercentEscape));
        check("", Err(Refusal::TargetForm));
        check("a/b", Err(Refusal::TargetForm));
    }

    #[test]
    fn what_the_operator_allows_passes_and_stays_escaped() {
        let found = normalize_path("/a%2fb//c%5cd", LENIENT);

        assert_eq!(found.as_deref(), Ok("/a%2Fb//c%5Cd"));
    }

    #[test]
    fn a_query_may_hold_a_backslash_but_nothing_unprintable() {
        assert_eq!(check_query("path=C:\\temp&share=50%"), Ok(()));
        assert_eq!(check_query("q=ü"), Err(Refusal::TargetCharacter));
        assert_eq!(check_query("q=\u{1}"), Err(Refusal::TargetCharacter));
    }

    proptest! {
        #[test]
        fn normalising_twice_is_the_same_as_once(
            path in "(/|%[0-9a-fA-F]{2}|[a-z.;~%\\\\]|ü){0,24}",
            lenient: bool,
        ) {
            let rules = if lenient { LENIENT } else { STRICT };

            if let Ok(once) = normalize_path(&path, rules) {
                let twice = normalize_path(&once, rules);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
            }
        }

        #[test]
        fn a_path_that_passes_has_no_dots_left_for_a_server_to_resolve(
            path in "(/|%2[eEfF]|%5[cC]|[a.;]){1,24}",
        ) {
            if let Ok(path) = normalize_path(&path, STRICT) {
                let resolved = url::Url::parse(&format!("http://h{path}")).unwrap();
                prop_assert_eq!(resolved.path(), &*path);
            }
        }

        #[test]
        fn the_fast_pass_agrees_with_the_slow_ones(path in "[/a.%;]{0,12}") {
            if is_plain(path.as_bytes()) {
                prop_assert_eq!(check_characters(path.as_bytes()), Ok(()));
                prop_assert_eq!(check_segments(&path, STRICT), Ok(()));
                prop_assert!(!path.contains('%'));
            }
        }
    }
}
