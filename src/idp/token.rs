//! Codes and refresh tokens become tokens (RFC 6749, sections 4.1.3 and 6), and requests are left
//! beforehand (RFC 9126).

use super::ask::{Ask, Parameters, Refusal, Reply, json};
use super::authorize::REQUEST_URI;
use super::faults::BadIdToken;
use super::keys::{self, SignedBy};
use super::settings::{ACR_MFA, ACR_PASSWORD, Client, Proof, Pushed, Redirect};
use super::shelf::handle;
use super::state::{Grant, State};
use super::{Faults, Provider};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Map, Value, json};

/// `client_assertion_type` of RFC 7523, section 2.2.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An hour, for times that are wrong.
const HOUR: u64 = 3600;

impl Provider {
    pub(super) fn token(&self, ask: &Ask) -> Reply {
        self.exchange(ask).unwrap_or_else(Refusal::reply)
    }

    fn exchange(&self, ask: &Ask) -> Result<Reply, Refusal> {
        let mut state = self.state();
        let client = self.authenticated(&mut state, ask)?;
        let (faults, parameters) = (self.faults(), &ask.parameters);
        match parameters.get("grant_type") {
            Some("authorization_code") => {
                let grant = redeemed(&mut state, &client, parameters)?;
                self.give(&mut state, &client, grant, &faults, false)
            }
            Some("refresh_token") => {
                let grant = refreshed(&mut state, &client, parameters, &faults)?;
                self.give(&mut state, &client, grant, &faults, true)
            }
            _ => Err(Refusal::new(
                "unsupported_grant_type",
                "a code or a refresh token",
            )),
        }
    }

    /// The client that asks, if it is who it says.
    pub(super) fn authenticated(&self, state: &mut State, ask: &Ask) -> Result<Client, Refusal> {
        if ask.parameters.has_twins() {
            return Err(Refusal::new("invalid_request", "a parameter stands twice"));
        }
        let shown = Shown::by(ask).ok_or(Refusal::client())?;
        let client = state.clients.get(shown.id()).cloned();
        let client = client.ok_or(Refusal::client())?;
        let now = self.now();
        let is_proved = client.proofs.iter().any(|proof| match (proof, &shown) {
            (Proof::Basic(own), Shown::Basic(_, secret))
            | (Proof::Post(own), Shown::Post(_, secret)) => {
                verify_slices_are_equal(own.expose().as_bytes(), secret.as_bytes()).is_ok()
            }
            (Proof::Nothing, Shown::Nothing(_)) => true,
            (Proof::PrivateKeyJwt(jwk), Shown::Assertion(id, token)) => {
                let claims = keys::verify(token, jwk).unwrap_or_default();
                self.is_assertion_of(id, &claims, now)
                    && is_first_use(state, claims.get("jti").and_then(Value::as_str))
            }
            _ => false,
        });
        is_proved.then_some(client).ok_or(Refusal::client())
    }

    /// RFC 7523, section 3.
    fn is_assertion_of(&self, id: &str, claims: &Map<String, Value>, now: u64) -> bool {
        let is = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
        let own = [self.issuer.clone(), self.url(super::Endpoint::Token)];
        let is_for_us = match claims.get("aud") {
            Some(Value::String(one)) => own.contains(one),
            Some(Value::Array(all)) => all.iter().any(|one| {
                one.as_str()
                    .is_some_and(|one| own.iter().any(|own| own == one))
            }),
            _ => false,
        };
        let until = claims.get("exp").and_then(Value::as_u64).unwrap_or(0);
        is("iss", id) && is("sub", id) && is_for_us && until > now && until <= now + HOUR
    }

    /// Tokens for what a client may have.
    fn give(
        &self,
        state: &mut State,
        client: &Client,
        grant: Grant,
        faults: &Faults,
        is_refresh: bool,
    ) -> Result<Reply, Refusal> {
        let access = self.access_token(client, &grant)?;
        state.access.put_as(access.clone(), grant.clone());
        let mut body = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.settings.access_lifetime.as_secs(),
            "scope": grant.scopes.join(" "),
        });
        let gives_less = is_refresh && faults.refresh_gives_less;
        let mut say = |name: &str, value: String| {
            if let Some(body) = body.as_object_mut() {
                body.insert(name.to_owned(), json!(value));
            }
        };
        if !gives_less && faults.id_token != Some(BadIdToken::Missing) {
            say(
                "id_token",
                self.id_token(&grant, &access, faults, is_refresh)?,
            );
        }
        if !gives_less {
            say("refresh_token", state.refresh.put(grant)?);
        }
        Ok(json(StatusCode::OK, &body))
    }

    /// A JWT (RFC 9068) for clients with an audience, else a handle.
    fn access_token(&self, client: &Client, grant: &Grant) -> Result<String, Refusal> {
        let Some(audience) = &client.access_audience else {
            return Ok(handle()?);
        };
        let mut claims = self.common(grant, self.settings.access_lifetime.as_secs());
        claims.insert("aud".to_owned(), json!(audience));
        claims.insert("client_id".to_owned(), json!(client.id));
        claims.insert("scope".to_owned(), json!(grant.scopes.join(" ")));
        claims.insert("jti".to_owned(), json!(handle()?));
        claims.extend(self.told(grant));
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!("at+jwt"));
        let keys = self.keys();
        Ok(keys.sign(SignedBy::First, header, &Value::Object(claims))?)
    }

    /// What every token says of a login.
    fn common(&self, grant: &Grant, lifetime: u64) -> Map<String, Value> {
        let (now, login) = (self.now(), &grant.login);
        let (acr, amr) = if login.has_factor {
            (ACR_MFA, json!(["pwd", "mfa"]))
        } else {
            (ACR_PASSWORD, json!(["pwd"]))
        };
        let claims = json!({
            "iss": self.issuer,
            "sub": login.subject,
            "iat": now,
            "exp": now + lifetime,
            "auth_time": login.at,
            "acr": acr,
            "amr": amr,
            "sid": login.sid,
        });
        claims.as_object().cloned().unwrap_or_default()
    }

    /// What is told of whoever logged in.
    pub(super) fn told(&self, grant: &Grant) -> Map<String, Value> {
        self.person(&grant.login.subject)
            .map(|person| person.claims(&grant.scopes))
            .unwrap_or_default()
    }

    fn id_token(
        &self,
        grant: &Grant,
        access: &str,
        faults: &Faults,
        is_refresh: bool,
    ) -> Result<String, Refusal> {
        let mut claims = self.common(grant, self.settings.id_lifetime.as_secs());
        claims.insert("aud".to_owned(), json!(grant.client));
        claims.insert("at_hash".to_owned(), json!(half_hash(access)));
        // A refreshed one need not have it (OpenID Connect Core 1.0, section 12.2).
        if let Some(nonce) = grant.nonce.as_ref().filter(|_| !is_refresh) {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        if self.settings.claims_in_id_token {
            claims.extend(self.told(grant));
        }
        if is_refresh && faults.refresh_of_another {
            claims.insert("sub".to_owned(), json!("somebody-else"));
        }
        let by = spoil(&mut claims, faults.id_token.as_ref(), self.now());
        let keys = self.keys();
        let token = keys.sign(by, Map::new(), &Value::Object(claims))?;
        Ok(if faults.id_token == Some(BadIdToken::Signature) {
            other_signature(&token)
        } else {
            token
        })
    }

    /// RFC 9126, section 2.
    pub(super) fn push(&self, ask: &Ask) -> Reply {
        self.pushed(ask).unwrap_or_else(Refusal::reply)
    }

    fn pushed(&self, ask: &Ask) -> Result<Reply, Refusal> {
        if self.settings.pushed == Pushed::No {
            return Err(Refusal::new("invalid_request", "nothing can be left here"));
        }
        let mut state = self.state();
        let client = self.authenticated(&mut state, ask)?;
        let to = ask.parameters.get("redirect_uri").unwrap_or_default();
        if !Redirect::any(&client.redirects, to) || ask.parameters.get("request_uri").is_some() {
            return Err(Refusal::new("invalid_request", "redirect_uri"));
        }
        self.read(&client, to, &ask.parameters)?;
        let handle = state.pushed.put((client.id, ask.parameters.clone()))?;
        let body = json!({"request_uri": format!("{REQUEST_URI}{handle}"), "expires_in": 60});
        Ok(json(StatusCode::CREATED, &body))
    }
}

/// What a client shows of itself.
enum Shown {
    Basic(String, String),
    Post(String, String),
    Assertion(String, String),
    Nothing(String),
}

impl Shown {
    /// One way and no other (RFC 6749, section 2.3).
    fn by(ask: &Ask) -> Option<Self> {
        let own = |name: &str| ask.parameters.get(name).map(str::to_owned);
        let basic = ask.headers.contains_key(http::header::AUTHORIZATION);
        match (basic, own("client_secret"), own("client_assertion")) {
            (true, None, None) => Self::basic(ask),
            (false, Some(secret), None) => Some(Self::Post(own("client_id")?, secret)),
            (false, None, Some(token)) => {
                let is_known = ask.parameters.get("client_assertion_type") == Some(ASSERTION);
                let payload = token.split('.').nth(1).unwrap_or_default();
                let payload = URL_SAFE_NO_PAD.decode(payload).ok().filter(|_| is_known)?;
                let claims: Value = serde_json::from_slice(&payload).ok()?;
                Some(Self::Assertion(
                    claims.get("sub")?.as_str()?.to_owned(),
                    token,
                ))
            }
            (false, None, None) => Some(Self::Nothing(own("client_id")?)),
            _ => None,
        }
    }

    /// Both halves are form-encoded (RFC 6749, section 2.3.1).
    fn basic(ask: &Ask) -> Option<Self> {
        let text = STANDARD.decode(ask.authorization("basic")?).ok()?;
        let text = String::from_utf8(text).ok()?;
        let (id, secret) = text.split_once(':')?;
        let plain = |text: &str| {
            let mut pairs = url::form_urlencoded::parse(text.as_bytes());
            pairs.next().map(|(name, _)| name.into_owned())
        };
        Some(Self::Basic(plain(id)?, plain(secret).unwrap_or_default()))
    }

    fn id(&self) -> &str {
        match self {
            Self::Basic(id, _) | Self::Post(id, _) | Self::Assertion(id, _) | Self::Nothing(id) => {
                id
            }
        }
    }
}

fn is_first_use(state: &mut State, jti: Option<&str>) -> bool {
    let Some(jti) = jti.filter(|jti| state.used_proofs.get(jti).is_none()) else {
        return false;
    };
    state.used_proofs.put_as(jti.to_owned(), ());
    true
}

/// What a code stands for. It counts once: who comes with it again takes everything back.
fn redeemed(state: &mut State, client: &Client, parameters: &Parameters) -> Result<Grant, Refusal> {
    let bad = |words| Refusal::new("invalid_grant", words);
    let text = parameters.get("code").unwrap_or_default();
    let Some(code) = state.codes.take(text) else {
        if let Some(family) = state.used_codes.get(text).cloned() {
            state.revoke(&family);
        }
        return Err(bad("no such code, or not any more"));
    };
    let family = code.grant.family.clone();
    state.used_codes.put_as(text.to_owned(), family);
    if code.grant.client != client.id {
        return Err(bad("the code is another client's"));
    }
    if parameters.get("redirect_uri") != Some(code.redirect.as_str()) {
        return Err(bad("the redirect_uri is another one"));
    }
    let verifier = parameters.get("code_verifier").unwrap_or_default();
    let hash = digest(&SHA256, verifier.as_bytes());
    if URL_SAFE_NO_PAD.encode(hash.as_ref()) != code.challenge {
        return Err(bad("the code_verifier is not that of the challenge"));
    }
    Ok(code.grant)
}

/// What a refresh token stands for. It counts once, too.
fn refreshed(
    state: &mut State,
    client: &Client,
    parameters: &Parameters,
    faults: &Faults,
) -> Result<Grant, Refusal> {
    let bad = |words| Refusal::new("invalid_grant", words);
    let text = parameters.get("refresh_token").unwrap_or_default();
    let own = state.refresh.get(text);
    let is_own = own.is_some_and(|grant| grant.client == client.id);
    if faults.refuses_refresh || (own.is_some() && !is_own) {
        return Err(bad("the refresh token is refused"));
    }
    if faults.refresh_gives_less
        && let Some(grant) = own
    {
        return Ok(grant.clone());
    }
    let Some(grant) = state.refresh.take(text) else {
        if let Some(family) = state.used_refresh.get(text).cloned() {
            state.revoke(&family);
        }
        return Err(bad("no such refresh token, or not any more"));
    };
    let family = grant.family.clone();
    state.used_refresh.put_as(text.to_owned(), family);
    Ok(grant)
}

/// `at_hash` (OpenID Connect Core 1.0, section 3.1.3.6), of algorithms with SHA-256.
fn half_hash(access: &str) -> String {
    let hash = digest(&SHA256, access.as_bytes());
    let half = hash.as_ref().get(..16).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(half)
}

/// Makes an ID token wrong; by which key it is signed.
fn spoil(claims: &mut Map<String, Value>, how: Option<&BadIdToken>, now: u64) -> SignedBy {
    let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    match how {
        None | Some(BadIdToken::Missing | BadIdToken::Signature) => {}
        Some(BadIdToken::Nonce) => drop(say("nonce", json!("of-another-login"))),
        Some(BadIdToken::NoNonce) => drop(claims.remove("nonce")),
        Some(BadIdToken::Audience) => drop(say("aud", json!("another-client"))),
        Some(BadIdToken::Issuer) => drop(say("iss", json!("https://evil.example.com"))),
        Some(BadIdToken::Expired) => {
            say("iat", json!(now.saturating_sub(2 * HOUR)));
            say("exp", json!(now.saturating_sub(HOUR)));
        }
        Some(BadIdToken::Future) => {
            say("iat", json!(now + HOUR));
            say("exp", json!(now + 2 * HOUR));
        }
        Some(BadIdToken::NoExpiry) => drop(claims.remove("exp")),
        Some(BadIdToken::NoSubject) => drop(claims.remove("sub")),
        Some(BadIdToken::AccessHash) => drop(say("at_hash", json!(half_hash("another")))),
        Some(BadIdToken::AuthorizedParty) => {
            let own = say("aud", Value::Null).unwrap_or_default();
            say("aud", json!([own, "another-client"]));
            say("azp", json!("another-client"));
        }
        Some(BadIdToken::NoAuthTime) => drop(claims.remove("auth_time")),
        Some(BadIdToken::AlgNone) => return SignedBy::Nobody,
        Some(BadIdToken::HmacOfPublicKey) => return SignedBy::PublicKeyAsSecret,
        Some(BadIdToken::UnknownKey) => return SignedBy::Unknown,
    }
    SignedBy::First
}

/// The same token with one bit of its signature turned.
fn other_signature(token: &str) -> String {
    let Some((text, signature)) = token.rsplit_once('.') else {
        return token.to_owned();
    };
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if let Some(first) = signature.first_mut() {
        *first ^= 1;
    }
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
