//! What a provider says of itself (OpenID Connect Discovery 1.0, RFC 8414).

use super::ProviderError;
use super::settings::{Endpoints, ProviderSettings};
use crate::client::Target;
use serde_json::{Map, Value};
use url::Url;

/// The members of a provider's metadata that are used. Addresses that the file gives win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `issuer`: exactly what the file says.
    pub issuer: String,
    /// Where a browser logs in.
    pub authorization: Option<Url>,
    /// Where a code becomes tokens.
    pub token: Option<Url>,
    /// Its keys.
    pub jwks: Option<Url>,
    /// What it knows of who logged in.
    pub userinfo: Option<Url>,
    /// Where a logout goes (RP-Initiated Logout 1.0).
    pub end_session: Option<Url>,
    /// Whether a token is valid (RFC 7662).
    pub introspection: Option<Url>,
    /// Where tokens are given back (RFC 7009).
    pub revocation: Option<Url>,
    /// Where a request for authorization is left beforehand (RFC 9126).
    pub pushed_authorization: Option<Url>,
    /// Whether it takes no request that was not left there before.
    pub requires_pushed: bool,
    /// Whether its answers name it: `authorization_response_iss_parameter_supported` (RFC 9207).
    pub names_itself: bool,
    /// `token_endpoint_auth_methods_supported`; empty: not told.
    pub token_auth_methods: Vec<String>,
    /// `token_endpoint_auth_signing_alg_values_supported`; empty: not told.
    pub token_auth_algorithms: Vec<String>,
    /// `id_token_signing_alg_values_supported`; empty: not told.
    pub id_token_algorithms: Vec<String>,
    /// `prompt_values_supported` (Initiating User Registration 1.0, section 5); empty: not told.
    pub prompts: Vec<String>,
}

/// Most values of a list that are read.
const VALUES_MAX: usize = 64;

impl Metadata {
    /// Reads what was fetched for this issuer.
    ///
    /// # Errors
    /// [`ProviderError::BadAnswer`], if it is another one's or none.
    pub fn parse(issuer: &str, json: &[u8]) -> Result<Self, ProviderError> {
        let read: Result<Map<String, Value>, _> = serde_json::from_slice(json);
        let members = read.map_err(|_| bad("it is no JSON object"))?;
        // Byte for byte: whoever answers for another issuer may be trusted with its tokens only
        // (OpenID Connect Discovery 1.0, section 4.3; RFC 8414, section 3.3).
        let its_own = members.get("issuer").and_then(Value::as_str);
        if its_own != Some(issuer) {
            return Err(bad(otherwise(issuer, its_own)));
        }
        let is_secure = issuer.starts_with("https:");
        let at = |name: &'static str| address(&members, name, is_secure);
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization: at("authorization_endpoint")?,
            token: at("token_endpoint")?,
            jwks: at("jwks_uri")?,
            userinfo: at("userinfo_endpoint")?,
            end_session: at("end_session_endpoint")?,
            introspection: at("introspection_endpoint")?,
            revocation: at("revocation_endpoint")?,
            pushed_authorization: at("pushed_authorization_request_endpoint")?,
            requires_pushed: flag(&members, "require_pushed_authorization_requests")?,
            names_itself: flag(&members, "authorization_response_iss_parameter_supported")?,
            token_auth_methods: texts(&members, "token_endpoint_auth_methods_supported")?,
            token_auth_algorithms: texts(
                &members,
                "token_endpoint_auth_signing_alg_values_supported",
            )?,
            id_token_algorithms: texts(&members, "id_token_signing_alg_values_supported")?,
            prompts: texts(&members, "prompt_values_supported")?,
        })
    }

    /// Of a provider that is asked for nothing about itself.
    pub(super) fn of(settings: &ProviderSettings) -> Self {
        let silent = Self {
            issuer: settings.issuer.to_string(),
            authorization: None,
            token: None,
            jwks: None,
            userinfo: None,
            end_session: None,
            introspection: None,
            revocation: None,
            pushed_authorization: None,
            requires_pushed: false,
            names_itself: false,
            token_auth_methods: Vec::new(),
            token_auth_algorithms: Vec::new(),
            id_token_algorithms: Vec::new(),
            prompts: Vec::new(),
        };
        silent.overridden(&settings.endpoints)
    }

    /// Addresses that the file gives win.
    pub(super) fn overridden(mut self, endpoints: &Endpoints) -> Self {
        let Endpoints {
            authorization,
            token,
            userinfo,
            end_session,
            introspection,
            revocation,
            pushed_authorization,
        } = endpoints;
        for (own, given) in [
            (&mut self.authorization, authorization),
            (&mut self.token, token),
            (&mut self.userinfo, userinfo),
            (&mut self.end_session, end_session),
            (&mut self.introspection, introspection),
            (&mut self.revocation, revocation),
            (&mut self.pushed_authorization, pushed_authorization),
        ] {
            if given.is_some() {
                own.clone_from(given);
            }
        }
        self
    }
}

/// Where an issuer's metadata is: as OpenID Connect Discovery 1.0 has it (section 4.1), and as RFC
/// 8414 has it (section 3.1). None: its name is no address.
pub(super) fn well_known(issuer: &str) -> Option<[Url; 2]> {
    let parsed: Url = issuer.parse().ok()?;
    Target::of(&parsed).ok()?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return None;
    }
    let path = parsed.path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = parsed.clone();
        url.set_path(&path);
        url
    };
    Some([
        at(format!("{path}/.well-known/openid-configuration")),
        at(format!("/.well-known/oauth-authorization-server{path}")),
    ])
}

fn bad(text: &str) -> ProviderError {
    ProviderError::BadAnswer(text.into())
}

/// `null` is as good as absent: some programs write every member.
fn member<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn address(
    members: &Map<String, Value>,
    name: &'static str,
    is_secure: bool,
) -> Result<Option<Url>, ProviderError> {
    let Some(value) = member(members, name) else {
        return Ok(None);
    };
    let no_address = || bad(&format!("its `{name}` is no address"));
    let text = value.as_str().ok_or_else(no_address)?;
    let url: Url = text.parse().map_err(|_| no_address())?;
    Target::of(&url).map_err(|_| no_address())?;
    if url.fragment().is_some() {
        return Err(no_address());
    }
    if is_secure && url.scheme() != "https" {
        let text = format!("its `{name}` is http, and its issuer https");
        return Err(bad(&text));
    }
    Ok(Some(url))
}

fn flag(members: &Map<String, Value>, name: &str) -> Result<bool, ProviderError> {
    let Some(value) = member(members, name) else {
        return Ok(false);
    };
    let no_flag = || bad(&format!("its `{name}` is neither true nor false"));
    value.as_bool().ok_or_else(no_flag)
}

fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, ProviderError> {
    let Some(value) = member(members, name) else {
        return Ok(Vec::new());
    };
    let no_list = || bad(&format!("its `{name}` is no list of texts"));
    let values = value.as_array().ok_or_else(no_list)?.iter();
    let texts = values
        .take(VALUES_MAX)
        .map(|value| value.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(no_list)
}

/// How its own name differs from the one of the file. Nothing of it is told: anybody may answer.
fn otherwise(configured: &str, told: Option<&str>) -> &'static str {
    match told {
        None => "it has no `issuer`",
        Some(told) if told.strip_suffix('/') == Some(configured) => {
            "its `issuer` has a `/` at the end, the configured one has none"
        }
        Some(told) if configured.strip_suffix('/') == Some(told) => {
            "its `issuer` has no `/` at the end, the configured one has"
        }
        Some(_) => "its `issuer` is not the configured one",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const ISSUER: &str = "https://id.example.com/realms/a";

    fn parsed(members: &Value) -> Result<Metadata, ProviderError> {
        Metadata::parse(ISSUER, members.to_string().as_bytes())
    }

    fn with(name: &str, value: Value) -> Result<Metadata, ProviderError> {
        parsed(&json!({"issuer": ISSUER, name: value}))
    }

    #[test]
    fn members_that_are_used_are_read_and_others_left() {
        let metadata = parsed(&json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.com/auth?theme=dark",
            "token_endpoint": "https://id.example.com/token",
            "jwks_uri": "https://keys.example.net/",
            "userinfo_endpoint": null,
            "require_pushed_authorization_requests": true,
            "authorization_response_iss_parameter_supported": true,
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "claims_supported": 7,
        }))
        .unwrap();

        let asked = metadata.authorization.unwrap();
        assert_eq!(asked.as_str(), "https://id.example.com/auth?theme=dark");
        assert_eq!(metadata.jwks.unwrap().as_str(), "https://keys.example.net/");
        assert_eq!(metadata.userinfo, None);
        assert!(metadata.requires_pushed && metadata.names_itself);
        assert_eq!(metadata.token_auth_methods, ["client_secret_basic"]);
    }

    #[test]
    fn an_issuer_that_differs_in_a_slash_is_told_of_as_such() {
        let check = |configured: &str, told: Value, expected: &str| {
            let text = json!({"issuer": told}).to_string();
            let fault = Metadata::parse(configured, text.as_bytes()).unwrap_err();
            assert!(fault.to_string().contains(expected), "{fault}");
        };
        let (with, without) = ("https://id.example/a/", "https://id.example/a");
        check(without, json!(with), "has a `/` at the end");
        check(with, json!(without), "has no `/` at the end");
        check(
            with,
            json!("https://other.example/SECRET"),
            "is not the configured one",
        );
        check(with, json!(7), "it has no `issuer`");
    }

    #[test]
    fn metadata_of_another_issuer_is_refused_byte_for_byte() {
        for other in [
            "https://id.example.com/realms/a/",
            "https://ID.example.com/realms/a",
            "https://id.example.com:443/realms/a",
            "https://id.example.com/realms/%61",
            "",
        ] {
            assert!(parsed(&json!({"issuer": other})).is_err(), "{other}");
        }
        assert!(parsed(&json!({})).is_err());
        assert!(with("issuer", json!([ISSUER])).is_err());
    }

    #[test]
    fn an_endpoint_without_tls_of_an_issuer_with_tls_is_refused() {
        let refused = with("token_endpoint", json!("http://id.example.com/token"));
        let words = "its `token_endpoint` is http, and its issuer https";
        assert_eq!(refused, Err(bad(words)));
        let local = Metadata::parse(
            "http://127.0.0.1:1",
            br#"{"issuer":"http://127.0.0.1:1","token_endpoint":"http://127.0.0.1:1/token"}"#,
        );
        assert!(local.unwrap().token.is_some());
    }

    #[test]
    fn a_member_of_the_wrong_kind_is_refused() {
        for (name, value) in [
            ("token_endpoint", json!(1)),
            ("token_endpoint", json!("/token")),
            ("token_endpoint", json!("ftp://id.example.com/")),
            ("token_endpoint", json!("https://user:word@id.example.com/")),
            ("token_endpoint", json!("https://id.example.com/#a")),
            ("jwks_uri", json!(["https://id.example.com/"])),
            ("require_pushed_authorization_requests", json!("true")),
            ("token_endpoint_auth_methods_supported", json!("none")),
            ("id_token_signing_alg_values_supported", json!([1])),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn addresses_of_the_file_win() {
        let own: Url = "http://10.0.0.1/token".parse().unwrap();
        let endpoints = Endpoints {
            token: Some(own.clone()),
            ..Endpoints::default()
        };
        let metadata = parsed(&json!({
            "issuer": ISSUER,
            "token_endpoint": "https://id.example.com/token",
            "userinfo_endpoint": "https://id.example.com/me",
        }));
        let metadata = metadata.unwrap().overridden(&endpoints);
        assert_eq!(metadata.token, Some(own));
        assert!(metadata.userinfo.is_some());
    }

    #[track_caller]
    fn check_well_known(issuer: &str, expected: [&str; 2]) {
        let found = well_known(issuer).unwrap();
        assert_eq!(found.map(String::from), expected);
    }

    #[test]
    fn metadata_is_looked_for_at_both_places() {
        check_well_known(
            "https://id.example.com",
            [
                "https://id.example.com/.well-known/openid-configuration",
                "https://id.example.com/.well-known/oauth-authorization-server",
            ],
        );
        check_well_known(
            "https://id.example.com/realms/a/",
            [
                "https://id.example.com/realms/a/.well-known/openid-configuration",
                "https://id.example.com/.well-known/oauth-authorization-server/realms/a",
            ],
        );
        for no_address in ["accounts.example.com", "https://a/?b", "https://a/#b", ""] {
            assert_eq!(well_known(no_address), None, "{no_address}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes: Vec<u8>, text in "\\PC*") {
            prop_assert!(Metadata::parse(ISSUER, &bytes).is_err());
            let any = json!({"issuer": ISSUER, "token_endpoint": text.clone()});
            if let Ok(metadata) = parsed(&any) {
                let url = metadata.token.unwrap();
                prop_assert_eq!(url.scheme(), "https");
            }
        }
    }
}
