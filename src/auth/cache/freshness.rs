//! What an authorizer says of how long its answer may be kept (RFC 9111).
//!
//! It can only shorten what the configuration allows, never prolong it. What cannot be read means
//! that nothing is kept.

use super::{CacheKeyPart, CacheSettings, Keep};
use http::header::{AGE, CACHE_CONTROL, PRAGMA, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

impl Keep {
    /// By the head of an answer.
    pub(in crate::auth) fn by_answer(answer: &HeaderMap, settings: &CacheSettings) -> Self {
        if !answer
            .get_all(VARY)
            .iter()
            .all(|value| covers(settings, value))
        {
            return Self::Own;
        }
        let mut directives = Directives::default();
        for value in answer.get_all(CACHE_CONTROL) {
            directives.read(value);
        }
        let has_control = answer.contains_key(CACHE_CONTROL);
        if !has_control && answer.contains_key(PRAGMA) {
            return Self::Own;
        }
        if directives.forbids {
            return Self::Own;
        }
        // For caches that serve several clients, `s-maxage` stands in for `max-age`.
        let Some(lifetime) = directives.shared_max_age.or(directives.max_age) else {
            return Self::Stored { at_most: None };
        };
        let left = lifetime.saturating_sub(age(answer));
        if left == 0 {
            return Self::Own;
        }
        Self::Stored {
            at_most: Some(Duration::from_secs(left)),
        }
    }
}

/// Whether every field that the answer depends on is part of the key.
fn covers(settings: &CacheSettings, vary: &HeaderValue) -> bool {
    let Ok(vary) = vary.to_str() else {
        return false;
    };
    let mut names = vary.split(',').map(str::trim);
    names.all(|name| match &settings.key {
        _ if name.is_empty() => true,
        _ if name == "*" => false,
        // Everything that the authorizer got is in the key.
        None => true,
        Some(parts) => HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| {
            parts
                .iter()
                .any(|part| matches!(part, CacheKeyPart::Header(one) if *one == name))
        }),
    })
}

/// Seconds that the answer was under way or in another cache already.
fn age(answer: &HeaderMap) -> u64 {
    let Some(value) = answer.get(AGE) else {
        return 0;
    };
    let read = value.to_str().ok().and_then(|text| seconds(text.trim()));
    // One that cannot be read may be any.
    read.unwrap_or(u64::MAX)
}

/// What `Cache-Control` says, as far as it matters here.
#[derive(Default)]
struct Directives {
    forbids: bool,
    max_age: Option<u64>,
    shared_max_age: Option<u64>,
}

impl Directives {
    fn read(&mut self, value: &HeaderValue) {
        let Ok(text) = value.to_str() else {
            self.forbids = true;
            return;
        };
        for directive in text.split(',') {
            let (name, argument) = match directive.split_once('=') {
                Some((name, argument)) => (name.trim(), Some(argument.trim())),
                None => (directive.trim(), None),
            };
            let is = |word: &str| name.eq_ignore_ascii_case(word);
            // With a list of fields they forbid less; to know how much is not worth a parser.
            if is("no-store") || is("no-cache") || is("private") {
                self.forbids = true;
            } else if is("max-age") {
                self.lifetime(argument, |own| &mut own.max_age);
            } else if is("s-maxage") {
                self.lifetime(argument, |own| &mut own.shared_max_age);
            }
        }
    }

    /// Of several the shortest; one that cannot be read is as short as can be (section 4.2.1).
    fn lifetime(&mut self, argument: Option<&str>, field: fn(&mut Self) -> &mut Option<u64>) {
        let unquoted = argument.map(|text| text.trim_matches('"'));
        let read = unquoted.and_then(seconds).unwrap_or(0);
        let field = field(self);
        *field = Some(field.map_or(read, |earlier| earlier.min(read)));
    }
}

/// A number of seconds; a longer one than can be held is as long as can be.
fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keep(answer: &[(&str, &str)], key: Option<Vec<CacheKeyPart>>) -> Keep {
        let mut headers = HeaderMap::new();
        for (name, value) in answer {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let settings = CacheSettings {
            key,
            ..CacheSettings::default()
        };
        Keep::by_answer(&headers, &settings)
    }

    #[track_caller]
    fn check(answer: &[(&str, &str)], seconds: Option<Option<u64>>) {
        let expected = match seconds {
            Some(at_most) => Keep::Stored {
                at_most: at_most.map(Duration::from_secs),
            },
            None => Keep::Own,
        };
        assert_eq!(keep(answer, None), expected, "{answer:?}");
    }

    #[test]
    fn an_authorizer_that_says_nothing_leaves_it_to_the_configuration() {
        check(&[], Some(None));
        check(&[("cache-control", "")], Some(None));
        check(&[("cache-control", "must-revalidate, public")], Some(None));
        check(&[("vary", "cookie, accept")], Some(None));
    }

    #[test]
    fn an_authorizer_that_forbids_it_is_obeyed() {
        for control in [
            "no-store",
            "NO-STORE",
            "no-cache",
            "private",
            "private=\"set-cookie\"",
            "max-age=60, no-store",
            "max-age=0",
            "max-age=",
            "max-age",
            "max-age=-1",
            "max-age=1.5",
            "max-age=sixty",
            "s-maxage=0, max-age=60",
            "max-age=60, max-age=0",
        ] {
            check(&[("cache-control", control)], None);
        }
        check(
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "no-store"),
            ],
            None,
        );
        check(&[("cache-control", "max-age=60\u{e9}")], None);
        check(&[("pragma", "no-cache")], None);
        check(&[("vary", "*")], None);
        check(&[("vary", "cookie"), ("vary", "accept, *")], None);
    }

    #[test]
    fn a_lifetime_counts_from_when_the_answer_was_made() {
        check(&[("cache-control", "max-age=5")], Some(Some(5)));
        check(&[("cache-control", "max-age=\"5\"")], Some(Some(5)));
        check(
            &[("cache-control", "max-age=60, s-maxage=5")],
            Some(Some(5)),
        );
        let far = "max-age=99999999999999999999999";
        check(&[("cache-control", far)], Some(Some(u64::MAX)));
        check(
            &[("cache-control", "max-age=5"), ("age", "3")],
            Some(Some(2)),
        );
        check(&[("cache-control", "max-age=5"), ("age", "5")], None);
        check(&[("cache-control", "max-age=5"), ("age", "?")], None);
        check(
            &[("cache-control", "max-age=5"), ("pragma", "no-cache")],
            Some(Some(5)),
        );
    }

    #[test]
    fn an_answer_that_varies_by_what_the_key_lacks_is_not_kept() {
        let key = || {
            Some(vec![CacheKeyPart::Header(HeaderName::from_static(
                "accept",
            ))])
        };

        assert_eq!(
            keep(&[("vary", "Accept")], key()),
            Keep::Stored { at_most: None }
        );
        assert_eq!(keep(&[("vary", "accept, cookie")], key()), Keep::Own);
        assert_eq!(keep(&[("vary", "no token")], key()), Keep::Own);
    }

    proptest! {
        #[test]
        fn no_text_makes_an_answer_live_longer_than_it_says(
            control in "[ -~]{0,40}",
            age in 0u64..100,
        ) {
            let text = format!("{control},max-age=50");
            let age = age.to_string();
            let kept = keep(&[("cache-control", &text), ("age", &age)], None);
            if let Keep::Stored { at_most } = kept {
                let fits = at_most.is_some_and(|most| most <= Duration::from_secs(50));
                prop_assert!(fits || control.contains("s-maxage"), "{:?}", at_most);
            }
        }
    }
}
