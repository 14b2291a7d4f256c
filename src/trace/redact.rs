//! What must not leave in a span or a log: values of sensitive query keys, and userinfo.
//!
//! Keys stay, values become `REDACTED` (HTTP semantic conventions 1.44, `url.query` and
//! `url.full`). When in doubt it redacts: a lost value costs a question, a leaked one an account.

use super::percent::{decode, decoded_bytes};
use std::borrow::Cow;
use std::sync::Arc;

const REDACTED: &str = "REDACTED";

/// Longest key of ours, folded.
const OWN_KEY_BYTES_MAX: usize = 15;

/// The keys of the semantic conventions, compared with their case.
const fn is_standard(key: &[u8]) -> bool {
    matches!(
        key,
        b"AWSAccessKeyId"
            | b"Signature"
            | b"X-Amz-Credential"
            | b"X-Amz-Security-Token"
            | b"X-Amz-Signature"
            | b"X-Goog-Signature"
            | b"sig"
    )
}

/// Our own keys, folded: credentials, and what OAuth 2.0, OpenID Connect and SAML put into URLs.
const fn is_own(folded: &[u8]) -> bool {
    matches!(
        folded,
        b"accesstoken"
            | b"apikey"
            | b"assertion"
            | b"authorization"
            | b"clientassertion"
            | b"clientsecret"
            | b"code"
            | b"codeverifier"
            | b"email"
            | b"idtoken"
            | b"idtokenhint"
            | b"jwt"
            | b"key"
            | b"loginhint"
            | b"logouttoken"
            | b"passwd"
            | b"password"
            | b"pwd"
            | b"refreshtoken"
            | b"samlresponse"
            | b"secret"
            | b"session"
            | b"sessionid"
            | b"sessionstate"
            | b"sid"
            | b"signature"
            | b"state"
            | b"token"
    )
}

/// Which query keys are sensitive.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    /// Configured beside the built-in ones, folded.
    more: Arc<[Box<[u8]>]>,
}

impl Redaction {
    /// The built-in keys and these, which are compared as our own are.
    pub fn new<'a>(more: impl IntoIterator<Item = &'a str>) -> Self {
        let fold = |key: &str| key.bytes().filter_map(folded).collect();
        Self {
            more: more.into_iter().map(fold).collect(),
        }
    }

    /// A query string (without its `?`), redacted. Borrowed if nothing had to be.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        let mut redacted = String::new();
        let mut copied = 0;
        let mut at = 0;
        for pair in query.split('&') {
            if let Some(kept) = self.harmless_start(pair) {
                let value = at + kept;
                redacted.push_str(query.get(copied..value).unwrap_or_default());
                redacted.push_str(REDACTED);
                copied = at + pair.len();
            }
            at += pair.len() + 1;
        }
        if copied == 0 {
            return Cow::Borrowed(query);
        }
        redacted.push_str(query.get(copied..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// A whole URL: query values redacted, userinfo replaced. Borrowed if nothing had to be.
    pub fn url<'a>(&self, url: &'a str) -> Cow<'a, str> {
        let (before_query, query) = match url.split_once('?') {
            Some((before, query)) => (before, Some(query)),
            None => (url, None),
        };
        let safe_query = query.map(|query| self.query(query));
        let userinfo = userinfo(before_query);
        if userinfo.is_none() && !matches!(safe_query, Some(Cow::Owned(_))) {
            return Cow::Borrowed(url);
        }
        let mut redacted = match userinfo {
            Some((scheme, rest)) => format!("{scheme}{REDACTED}:{REDACTED}@{rest}"),
            None => before_query.to_owned(),
        };
        if let Some(query) = safe_query {
            redacted.push('?');
            redacted.push_str(&query);
        }
        Cow::Owned(redacted)
    }

    /// How many bytes of a pair may be shown before its value, if it has one to hide.
    ///
    /// A value may hold pairs of its own: some servers split at `;`, and a URL within a URL has a
    /// query, escaped or not. What follows a sensitive key in there is hidden to the pair's end.
    fn harmless_start(&self, pair: &str) -> Option<usize> {
        let mut at = 0;
        for inner in pair.split_inclusive([';', '?']) {
            if let Some(equals) = inner.find('=') {
                let (key, value) = inner.split_at(equals);
                if value != "=" && self.is_sensitive(key) {
                    return Some(at + equals + 1);
                }
            }
            at += inner.len();
        }
        let equals = pair.find('=')?;
        let (_, value) = pair.split_at(equals + 1);
        self.hides_a_pair(value).then_some(equals + 1)
    }

    /// Whether a percent-encoded value holds a sensitive pair.
    fn hides_a_pair(&self, value: &str) -> bool {
        if !value.contains("%3D") && !value.contains("%3d") {
            return false;
        }
        let value = decode(value);
        let mut pairs = value.split(['&', ';', '?', '#']);
        pairs.any(|pair| {
            pair.split_once('=')
                .is_some_and(|(key, _)| self.is_sensitive(key))
        })
    }

    /// Whether a key, percent-encoded or not, or one of its parts (`user[password]`) is sensitive.
    fn is_sensitive(&self, key: &str) -> bool {
        let plain = !key.contains(['%', '+', '[']);
        if plain {
            return self.is_sensitive_part(key.as_bytes());
        }
        let decoded: Vec<u8> = decoded_bytes(key).map(plus_is_space).collect();
        let mut parts = decoded.split(|byte| matches!(byte, b'[' | b']'));
        parts.any(|part| self.is_sensitive_part(part))
    }

    fn is_sensitive_part(&self, key: &[u8]) -> bool {
        let key = key.trim_ascii();
        let folded = || key.iter().copied().filter_map(folded);
        let mut bytes = [0; OWN_KEY_BYTES_MAX];
        let mut own = 0;
        for byte in folded() {
            let Some(place) = bytes.get_mut(own) else {
                // Longer than any key of ours.
                own = 0;
                break;
            };
            *place = byte;
            own += 1;
        }
        is_standard(key)
            || bytes.get(..own).is_some_and(is_own)
            || self
                .more
                .iter()
                .any(|more| folded().eq(more.iter().copied()))
    }
}

/// Lower case; nothing for the separators in which spellings of one key differ: `accessToken` is
/// `access_token`.
const fn folded(byte: u8) -> Option<u8> {
    match byte {
        b'-' | b'_' => None,
        _ => Some(byte.to_ascii_lowercase()),
    }
}

const fn plus_is_space(byte: u8) -> u8 {
    if byte == b'+' { b' ' } else { byte }
}

/// What stands before and after a URL's userinfo.
fn userinfo(before_query: &str) -> Option<(&str, &str)> {
    let authority = before_query.find("://")? + 3;
    let (scheme, rest) = before_query.split_at_checked(authority)?;
    let end = rest.find(['/', '#']).unwrap_or(rest.len());
    // The last `@` ends the userinfo: a password may hold one.
    let at = rest.get(..end)?.rfind('@')?;
    Some((scheme, rest.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let redaction = Redaction::new(["tenant_pin"]);
        let redacted = redaction.query(query);
        assert_eq!(redacted, expected);
        assert_eq!(
            matches!(redacted, Cow::Borrowed(_)),
            query == expected,
            "allocates only to redact"
        );
    }

    #[test]
    fn values_of_sensitive_keys_are_redacted_and_keys_stay() {
        check("", "");
        check("page=2&q=shoes", "page=2&q=shoes");
        check("token=abc", "token=REDACTED");
        check("a=1&token=abc&b=2", "a=1&token=REDACTED&b=2");
        check("a=1&code=x&state=y", "a=1&code=REDACTED&state=REDACTED");
        check("tenant_pin=1234", "tenant_pin=REDACTED");
        check("Tenant-Pin=1234", "Tenant-Pin=REDACTED");
        check("token=a=b", "token=REDACTED");
        check("token=&a=1", "token=&a=1");
        check("token&a=1", "token&a=1");
        check("tokens=3&monkey=1", "tokens=3&monkey=1");
    }

    #[test]
    fn keys_of_the_conventions_are_compared_with_their_case() {
        for key in [
            "AWSAccessKeyId",
            "Signature",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "X-Goog-Signature",
            "sig",
        ] {
            check(&format!("{key}=s3cr3t&a=1"), &format!("{key}=REDACTED&a=1"));
        }
        check("SIG=1", "SIG=1");
        check("client_assertion=x", "client_assertion=REDACTED");
    }

    #[test]
    fn another_spelling_of_a_sensitive_key_hides_nothing() {
        check("ACCESS_TOKEN=x", "ACCESS_TOKEN=REDACTED");
        check("accessToken=x", "accessToken=REDACTED");
        check("api-key=x", "api-key=REDACTED");
        check("%74oken=x", "%74oken=REDACTED");
        check("t%6Fken=x", "t%6Fken=REDACTED");
        check("si%67=x", "si%67=REDACTED");
        check("+token=x", "+token=REDACTED");
        check("user[password]=x", "user[password]=REDACTED");
        check("user%5Bpassword%5D=x", "user%5Bpassword%5D=REDACTED");
        check("token[]=x", "token[]=REDACTED");
    }

    #[test]
    fn a_pair_within_a_value_is_found() {
        check("a=1;token=x;y&b=2", "a=1;token=REDACTED&b=2");
        check("token=x;y=1", "token=REDACTED");
        check("next=/cb?code=x", "next=/cb?code=REDACTED");
        check("next=%2Fcb%3Fcode%3Dx&b=2", "next=REDACTED&b=2");
        check("next=%2Fcb%3Fpage%3D2", "next=%2Fcb%3Fpage%3D2");
    }

    #[test]
    fn a_url_shows_neither_userinfo_nor_sensitive_values() {
        let url = |url: &str| Redaction::default().url(url).into_owned();

        assert_eq!(url("http://a.example/p?q=1#f"), "http://a.example/p?q=1#f");
        assert_eq!(
            url("http://u:p@a.example/p"),
            "http://REDACTED:REDACTED@a.example/p"
        );
        assert_eq!(
            url("http://u@a.example"),
            "http://REDACTED:REDACTED@a.example"
        );
        assert_eq!(
            url("http://u:p@ss@a.example/@x"),
            "http://REDACTED:REDACTED@a.example/@x"
        );
        assert_eq!(
            url("http://a.example/@x?token=1"),
            "http://a.example/@x?token=REDACTED"
        );
        assert_eq!(url("/p?token=1"), "/p?token=REDACTED");
    }

    proptest! {
        #[test]
        fn a_secret_never_survives_and_the_rest_stays(
            before in "([a-z]{1,5}=[a-z0-9%;?]{0,8}&){0,3}",
            key in prop::sample::select(vec!["token", "sig", "api_key", "PassWord", "X-Amz-Signature"]),
            encode in any::<[bool; 15]>(),
            after in "(&b[a-z]{1,5}=[a-z0-9]{0,8}){0,3}",
        ) {
            let spelt: String = key
                .bytes()
                .zip(encode)
                .map(|(byte, encode)| if encode { format!("%{byte:02x}") } else { char::from(byte).to_string() })
                .collect();

            let redacted = Redaction::default().query(&format!("{before}{spelt}=S3CR3T{after}")).into_owned();

            prop_assert!(!redacted.contains("S3CR3T"), "{redacted}");
            prop_assert!(redacted.ends_with(&after));
        }

        #[test]
        fn any_text_can_be_redacted_and_redacting_twice_changes_nothing(query in ".{0,60}") {
            let redaction = Redaction::default();
            let once = redaction.query(&query).into_owned();

            prop_assert_eq!(redaction.query(&once).into_owned(), once.clone());
            prop_assert!(redaction.url(&query).len() <= query.len() + 400);
        }
    }
}
