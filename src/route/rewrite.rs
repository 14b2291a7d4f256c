//! The path that an upstream, or a redirect, gets instead.

use std::borrow::Cow;

/// Replaces the first `matched_prefix_len` bytes of `path` by `new`, without doubling the slash
/// between them; or the whole path, if no prefix was matched. The query is not part of it.
///
/// `matched_prefix_len` is that of the route's match for this very `path`.
pub fn rewrite_path<'n>(
    new: &'n str,
    matched_prefix_len: Option<usize>,
    path: &str,
) -> Cow<'n, str> {
    let below = matched_prefix_len
        .and_then(|length| path.get(length..))
        .unwrap_or_default();
    match (new, below) {
        ("", "") => Cow::Borrowed("/"),
        (new, "") => Cow::Borrowed(new),
        (new, below) => {
            let new = new.strip_suffix('/').unwrap_or(new);
            Cow::Owned([new, below].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(new: &str, prefix: Option<&str>, path: &str, expected: &str) {
        let found = rewrite_path(new, prefix.map(str::len), path);

        assert_eq!(found, expected);
    }

    #[test]
    fn a_prefix_is_replaced_and_what_is_below_it_stays() {
        check("/v2", Some("/api"), "/api/users", "/v2/users");
        check("/v2/", Some("/api"), "/api/users", "/v2/users");
        check("/", Some("/api"), "/api/users", "/users");
        check("", Some("/api"), "/api/users", "/users");
        check("/v2", Some("/api"), "/api", "/v2");
        check("/v2", Some("/api"), "/api/", "/v2/");
        check("/", Some("/api"), "/api", "/");
        check("/", Some("/api"), "/api/", "/");
        check("", Some("/api"), "/api", "/");
        check("/v2", Some(""), "/users", "/v2/users");
        check("/v2", Some("/api"), "/api/a%2Fb", "/v2/a%2Fb");
    }

    #[test]
    fn without_a_prefix_the_whole_path_is_replaced() {
        check("/new", None, "/old/x", "/new");
        check("", None, "/old/x", "/");
    }

    proptest! {
        #[test]
        fn no_slash_is_doubled(new in "(/[a-z]{1,3}){0,3}/?", rest in "(/[a-z]{1,3}){0,3}/?") {
            let path = format!("/api{rest}");

            let found = rewrite_path(&new, Some(4), &path);

            prop_assert!(found.starts_with('/'));
            prop_assert!(!found.contains("//"));
        }
    }
}
