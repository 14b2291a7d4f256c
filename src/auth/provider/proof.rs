//! How a client proves to a provider who it is (RFC 6749 section 2.3; RFC 7523).

use super::ClientKey;
use super::ProviderError;
use super::settings::{ClientAuth, OidcClient};
use crate::auth::random;
use crate::clock;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use std::time::Duration;
use url::form_urlencoded::{Serializer, byte_serialize};

/// How long a token that proves who we are is valid.
const ASSERTION_LIFE: Duration = Duration::from_mins(1);
/// `client_assertion_type` of RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// To whom it is proved.
#[derive(Clone, Copy)]
pub(super) struct Towards<'a> {
    /// `aud` of a token of our own.
    pub(super) audience: &'a str,
    /// By which algorithms it may be signed; empty: nobody has said.
    pub(super) algorithms: &'a [String],
}

/// Adds the proof to a form and its header fields.
pub(super) fn prove(
    client: &OidcClient,
    towards: Towards<'_>,
    headers: &mut HeaderMap,
    form: &mut Serializer<'_, String>,
) -> Result<(), ProviderError> {
    match &client.auth {
        ClientAuth::Basic(secret) => {
            headers.insert(AUTHORIZATION, basic(&client.id, secret)?);
            return Ok(());
        }
        ClientAuth::Post(secret) => {
            form.append_pair("client_secret", secret.expose());
        }
        ClientAuth::PrivateKeyJwt(key) => {
            form.append_pair("client_assertion_type", ASSERTION_TYPE);
            let assertion = assertion(&client.id, towards, key)?;
            form.append_pair("client_assertion", assertion.expose());
        }
        ClientAuth::Nothing => {}
    }
    form.append_pair("client_id", &client.id);
    Ok(())
}

/// Name and secret are encoded as in a form before they are joined (RFC 6749 section 2.3.1), so
/// that a colon in the name does not end it.
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, ProviderError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    bearing("Basic", &STANDARD.encode(pair))
}

/// A field of `Authorization`, which no log of headers shows.
pub(super) fn bearing(scheme: &str, value: &str) -> Result<HeaderValue, ProviderError> {
    let unfit = |_| ProviderError::BadAnswer("a token that no header field can hold".into());
    let mut value = HeaderValue::try_from(format!("{scheme} {value}")).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A token of our own: for one alone, for a minute, and never twice the same.
fn assertion(id: &str, towards: Towards<'_>, key: &ClientKey) -> Result<Secret, ProviderError> {
    let unsigned = || ProviderError::Unavailable("our own token could not be signed".into());
    let name = random::text::<16>().ok_or_else(unsigned)?;
    let now = Duration::from_nanos(clock::wall().as_unix_nanos());
    let mut claims = Map::new();
    for (name, value) in [
        ("iss", Value::from(id)),
        ("sub", Value::from(id)),
        ("aud", Value::from(towards.audience)),
        ("jti", Value::from(name)),
        ("iat", Value::from(now.as_secs())),
        ("exp", Value::from((now + ASSERTION_LIFE).as_secs())),
    ] {
        claims.insert(name.to_owned(), value);
    }
    let signed = key.sign(&claims, towards.algorithms);
    signed.map(Secret::new).ok_or_else(unsigned)
}

#[cfg(test)]
mod tests {
    use super::super::Audience;
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::sync::Arc;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    fn proved(auth: ClientAuth) -> (Option<String>, String) {
        let client = OidcClient {
            id: Arc::from("app:1 ä"),
            auth,
            audience: Audience::Issuer,
        };
        let towards = Towards {
            audience: "https://id.example.com",
            algorithms: &[],
        };
        let (mut headers, mut form) = (HeaderMap::new(), Serializer::new(String::new()));
        prove(&client, towards, &mut headers, &mut form).unwrap();
        let header = headers.get(AUTHORIZATION).map(|value| {
            assert!(value.is_sensitive());
            value.to_str().unwrap().to_owned()
        });
        (header, form.finish())
    }

    #[test]
    fn name_and_secret_are_form_encoded_before_they_are_joined() {
        let (header, form) = proved(ClientAuth::Basic(Secret::new("p:w &%")));
        let encoded = header.unwrap();
        let pair = STANDARD.decode(encoded.strip_prefix("Basic ").unwrap());
        assert_eq!(pair.unwrap(), b"app%3A1+%C3%A4:p%3Aw+%26%25");
        assert_eq!(form, "");
    }

    #[test]
    fn a_secret_in_the_body_is_in_no_header() {
        let proved = proved(ClientAuth::Post(Secret::new("p&w")));
        let form = "client_secret=p%26w&client_id=app%3A1+%C3%A4".to_owned();
        assert_eq!(proved, (None, form));
        let proved = self::proved(ClientAuth::Nothing);
        assert_eq!(proved, (None, "client_id=app%3A1+%C3%A4".to_owned()));
    }

    #[test]
    fn a_token_of_our_own_is_for_one_issuer_and_never_twice_the_same() {
        let key = Arc::new(ClientKey::from_pem(KEY.as_bytes()).unwrap());
        let tokens: Vec<String> = (0..2)
            .map(|_| {
                let (header, form) = proved(ClientAuth::PrivateKeyJwt(Arc::clone(&key)));
                assert_eq!(header, None);
                let pairs = url::form_urlencoded::parse(form.as_bytes()).into_owned();
                let pairs: Vec<(String, String)> = pairs.collect();
                assert_eq!(pairs[0].1, ASSERTION_TYPE);
                pairs[1].1.clone()
            })
            .collect();
        assert_ne!(tokens[0], tokens[1]);
        let middle = tokens[0].split('.').nth(1).unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap();
        assert_eq!(claims["iss"], "app:1 ä");
        assert_eq!(claims["sub"], "app:1 ä");
        assert_eq!(claims["aud"], "https://id.example.com");
        let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!(life, 60);
    }
}
