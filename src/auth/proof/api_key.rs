//! Proof by an API key, in a header, a query parameter or a cookie.
//!
//! Two keys in one request are refused, also if they are equal: which one somebody behind us reads
//! would be anybody's guess.

use super::basic::quoted;
use super::keys::{ApiKeys, KeyHolder};
use super::{Asked, Grant, Identity, Proof, Reason, Verdict, challenged};
use crate::auth::HeaderChange;
use crate::auth::places::{in_cookies, in_query};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Map;
use std::borrow::Cow;
use std::sync::Arc;

/// Longest key, in bytes. A longer one is nobody's.
const KEY_BYTES_MAX: usize = 1_024;

/// Who has which key, and where a request carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeySettings {
    /// The file.
    pub keys: ApiKeys,
    /// The header that carries it.
    pub header: Option<HeaderName>,
    /// The query parameter that carries it.
    pub query: Option<Box<str>>,
    /// The cookie that carries it.
    pub cookie: Option<Box<str>>,
    /// What a key has to be good for: all of these.
    pub scopes: Vec<Arc<str>>,
    /// What a client without a key is told, as a challenge has it.
    pub challenge: HeaderValue,
    /// Whether the upstream gets the key, too.
    pub forward: bool,
}

impl ApiKeySettings {
    /// The challenge of a policy. There is no registered scheme for API keys, and an answer of 401
    /// needs some (RFC 9110 section 11.6.1).
    pub fn challenge(policy: &str) -> HeaderValue {
        let challenge = quoted(policy)
            .and_then(|realm| HeaderValue::try_from(format!("ApiKey realm={realm}")).ok());
        challenge.unwrap_or(HeaderValue::from_static("ApiKey"))
    }

    /// Has its places emptied where another policy allowed. `Authorization` is left alone: it may
    /// hold that one's credential.
    pub(in crate::auth) fn take_out(&self, grant: &mut Grant) {
        if self.forward {
            return;
        }
        let header = self.header.iter().filter(|name| **name != AUTHORIZATION);
        for remove in header.cloned().map(HeaderChange::Remove) {
            if !grant.request.contains(&remove) {
                // Before what others write there.
                grant.request.insert(0, remove);
            }
        }
        for (own, all) in [
            (&self.query, &mut grant.query_remove),
            (&self.cookie, &mut grant.cookies_remove),
        ] {
            let own = own.iter().filter(|one| !all.contains(one));
            let own: Vec<Box<str>> = own.cloned().collect();
            all.extend(own);
        }
    }
}

/// What a request carries.
#[derive(Debug, PartialEq, Eq)]
enum Carried<'a> {
    Nothing,
    /// More than one.
    Several,
    Key(Cow<'a, [u8]>),
}

pub(super) fn check(policy: &Arc<str>, settings: &ApiKeySettings, asked: &Asked<'_>) -> Verdict {
    let challenge = Some(&settings.challenge);
    let key = match carried(settings, asked.headers, asked.target.query()) {
        Carried::Nothing => return Verdict::Abstain(challenged(Reason::NoCredential, challenge)),
        Carried::Several => return Verdict::Deny(challenged(Reason::BadCredential, challenge)),
        Carried::Key(key) => key,
    };
    let known = (key.len() <= KEY_BYTES_MAX).then(|| settings.keys.holder(&key));
    let Some(holder) = known.flatten() else {
        return Verdict::Deny(challenged(Reason::BadCredential, challenge));
    };
    let mut required = settings.scopes.iter();
    if !required.all(|scope| holder.scopes.contains(scope)) {
        return Verdict::deny(Reason::Forbidden);
    }
    Verdict::Allow(Box::new(grant(policy, settings, holder)))
}

fn grant(policy: &Arc<str>, settings: &ApiKeySettings, holder: &KeyHolder) -> Grant {
    let mut claims = Map::new();
    claims.insert("key_id".into(), (&*holder.key_id).into());
    let identity = Identity {
        subject: Some(Arc::clone(&holder.name)),
        groups: holder.scopes.clone(),
        claims,
        proof: Proof::ApiKey,
        policy: Arc::clone(policy),
    };
    let mut grant = Grant {
        identity: Some(Arc::new(identity)),
        ..Grant::default()
    };
    if !settings.forward {
        let header = settings.header.iter().cloned();
        grant.request.extend(header.map(HeaderChange::Remove));
        grant.query_remove.extend(settings.query.clone());
        grant.cookies_remove.extend(settings.cookie.clone());
    }
    grant
}

fn carried<'a>(
    settings: &ApiKeySettings,
    headers: &'a HeaderMap,
    query: Option<&'a str>,
) -> Carried<'a> {
    let header = settings.header.iter();
    let header = header.flat_map(|name| headers.get_all(name));
    let header = header.map(|value| Cow::Borrowed(value.as_bytes().trim_ascii()));
    let name = settings.query.as_deref();
    let query = name.into_iter().flat_map(|name| in_query(name, query));
    let name = settings.cookie.as_deref();
    let cookie = name.into_iter().flat_map(|name| in_cookies(name, headers));
    let mut all = header.chain(query).chain(cookie);
    match (all.next(), all.next()) {
        (None, _) => Carried::Nothing,
        (Some(key), None) => Carried::Key(key),
        (Some(_), Some(_)) => Carried::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::cache::tests::asked;
    use http::Method;
    use proptest::prelude::*;

    /// `printf %s sesame | sha256sum`
    const SESAME: &str = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";

    fn settings() -> ApiKeySettings {
        ApiKeySettings {
            keys: ApiKeys::read(&format!("acme:{SESAME}:read,write")).unwrap(),
            header: Some(HeaderName::from_static("x-api-key")),
            query: Some("key".into()),
            cookie: Some("api".into()),
            scopes: vec![Arc::from("read")],
            challenge: ApiKeySettings::challenge("partners"),
            forward: false,
        }
    }

    fn decide(settings: &ApiKeySettings, target: &str, headers: &[(&str, &str)]) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let target = target.parse().unwrap();
        let asked = asked(&Method::GET, &target, &map);
        check(&Arc::from("partners"), settings, &asked)
    }

    #[track_caller]
    fn passes(target: &str, headers: &[(&str, &str)]) {
        let verdict = decide(&settings(), target, headers);
        assert_eq!(verdict.reason(), None, "{target} {headers:?}");
    }

    #[track_caller]
    fn refuses(target: &str, headers: &[(&str, &str)]) {
        let verdict = decide(&settings(), target, headers);
        let Verdict::Deny(denial) = &verdict else {
            panic!("{target} {headers:?}: {verdict:?}")
        };
        assert_eq!(denial.reason, Reason::BadCredential);
        assert!(matches!(&denial.answer, super::super::DenialAnswer::Own(one) if one.len() == 1));
    }

    #[test]
    fn a_key_is_read_from_header_query_and_cookie() {
        passes("/", &[("x-api-key", "sesame")]);
        passes("/", &[("x-api-key", " sesame ")]);
        passes("/?a=1&key=sesame", &[]);
        passes("/?key=%73esame", &[]);
        passes("/?k%65y=sesame", &[]);
        passes("/", &[("cookie", "theme=dark; api=sesame")]);
        passes("/", &[("cookie", "theme=dark"), ("cookie", "api=sesame")]);
    }

    #[test]
    fn a_wrong_key_is_refused_and_none_is_left_to_others() {
        refuses("/", &[("x-api-key", "wrong")]);
        refuses("/", &[("x-api-key", "")]);
        refuses("/", &[("x-api-key", SESAME)]);
        refuses("/", &[("x-api-key", &"x".repeat(5_000))]);
        refuses("/?key=", &[]);
        for (target, headers) in [
            ("/", &[][..]),
            ("/?key", &[]),
            ("/?akey=sesame&Key=sesame", &[]),
            ("/", &[("x_api_key", "sesame")]),
            ("/", &[("cookie", "xapi=sesame; API=sesame")]),
        ] {
            let verdict = decide(&settings(), target, headers);
            assert!(
                matches!(verdict, Verdict::Abstain(_)),
                "{target} {headers:?}"
            );
            assert_eq!(verdict.reason(), Some(Reason::NoCredential));
        }
    }

    #[test]
    fn two_keys_in_one_request_are_refused() {
        refuses("/", &[("x-api-key", "sesame"), ("x-api-key", "sesame")]);
        refuses("/?key=sesame", &[("x-api-key", "sesame")]);
        refuses("/?key=sesame&key=wrong", &[]);
        refuses("/", &[("cookie", "api=sesame; api=wrong")]);
        refuses("/", &[("x-api-key", "sesame"), ("cookie", "api=wrong")]);
    }

    #[test]
    fn a_place_that_is_not_asked_for_is_not_read() {
        let settings = ApiKeySettings {
            query: None,
            cookie: None,
            ..settings()
        };
        for (target, headers) in [
            ("/?key=sesame", &[][..]),
            ("/", &[("cookie", "api=sesame")]),
        ] {
            let verdict = decide(&settings, target, headers);
            assert!(matches!(verdict, Verdict::Abstain(_)));
        }
    }

    #[test]
    fn every_required_scope_has_to_be_there() {
        let requires = |scopes: &[&str]| {
            let settings = ApiKeySettings {
                scopes: scopes.iter().map(|one| Arc::from(*one)).collect(),
                ..settings()
            };
            decide(&settings, "/", &[("x-api-key", "sesame")]).reason()
        };

        assert_eq!(requires(&[]), None);
        assert_eq!(requires(&["write", "read"]), None);
        assert_eq!(requires(&["read", "admin"]), Some(Reason::Forbidden));
    }

    #[test]
    fn who_has_the_key_is_told_and_the_key_goes_no_further_unless_it_is_to() {
        let granted =
            |settings: &ApiKeySettings| match decide(settings, "/", &[("x-api-key", "sesame")]) {
                Verdict::Allow(grant) => grant,
                other @ (Verdict::Deny(_) | Verdict::Abstain(_)) => panic!("{other:?}"),
            };
        let grant = granted(&settings());
        let identity = grant.identity.unwrap();

        assert_eq!(identity.subject.as_deref(), Some("acme"));
        assert_eq!(identity.groups, ["read".into(), Arc::from("write")]);
        assert_eq!(identity.claims["key_id"], "d0c04f4b");
        assert_eq!(identity.proof, Proof::ApiKey);
        let header = HeaderName::from_static("x-api-key");
        assert_eq!(grant.request, [HeaderChange::Remove(header)]);
        assert_eq!(grant.query_remove, [Box::from("key")]);
        assert_eq!(grant.cookies_remove, [Box::from("api")]);
        let forwards = ApiKeySettings {
            forward: true,
            ..settings()
        };
        let grant = granted(&forwards);
        assert!(grant.request.is_empty() && grant.query_remove.is_empty());
        assert!(grant.cookies_remove.is_empty());
    }

    #[test]
    fn a_key_that_another_policy_passed_over_goes_no_further_and_is_taken_out_once() {
        let theirs = HeaderName::from_static("x-api-key");
        let set = HeaderChange::Set(theirs.clone(), HeaderValue::from_static("ours"));
        let mut grant = Grant {
            request: vec![set.clone()],
            ..Grant::default()
        };

        settings().take_out(&mut grant);
        settings().take_out(&mut grant);

        assert_eq!(grant.request, [HeaderChange::Remove(theirs), set]);
        assert_eq!(grant.query_remove, [Box::from("key")]);
        assert_eq!(grant.cookies_remove, [Box::from("api")]);
        let shares = ApiKeySettings {
            header: Some(AUTHORIZATION),
            ..settings()
        };
        let mut grant = Grant::default();
        shares.take_out(&mut grant);
        assert!(grant.request.is_empty(), "it may be the other one's");
    }

    #[test]
    fn a_policy_of_any_name_has_a_challenge() {
        assert_eq!(
            ApiKeySettings::challenge("partners"),
            "ApiKey realm=\"partners\""
        );
        assert_eq!(ApiKeySettings::challenge("Büro"), "ApiKey");
    }

    proptest! {
        #[test]
        fn nothing_but_the_key_is_allowed(
            query in "[a-z=&%0-9+;]{0,40}",
            value in "[ -~]{0,40}",
        ) {
            let target = format!("/?{query}");
            let verdict = decide(&settings(), &target, &[("x-api-key", &value)]);
            let is_key = value.trim() == "sesame" && !query.contains("k");
            prop_assert!(is_key || !matches!(verdict, Verdict::Allow(_)));
        }
    }
}
