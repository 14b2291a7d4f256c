//! Who can log in, who asks for it, and what the provider offers.

use crate::client::ClientTlsSettings;
use crate::secret::Secret;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The stronger way to log in: a second factor, one more click. What a client asks for in
/// `acr_values`, and what stands in `acr` afterwards.
pub const ACR_MFA: &str = "urn:edgespan:mfa";

/// The way to log in that everybody has.
pub const ACR_PASSWORD: &str = "urn:edgespan:password";

/// How a provider is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it calls itself, without a slash at the end; None: `http://` and the address that it
    /// listens at. Its paths stand below the path of this.
    pub issuer: Option<String>,
    /// Who can log in.
    pub people: Vec<Person>,
    /// By what it signs. One key each; the first one signs ID tokens.
    pub algorithms: Vec<SigningAlgorithm>,
    /// How long access tokens are valid.
    pub access_lifetime: Duration,
    /// How long ID tokens are valid.
    pub id_lifetime: Duration,
    /// Whether requests for authorization can be left beforehand (RFC 9126).
    pub pushed: Pushed,
    /// Whether its answers name it (RFC 9207).
    pub names_itself: bool,
    /// What becomes of `prompt=select_account`.
    pub account_choice: AccountChoice,
    /// Whether ID tokens hold what userinfo tells: name, e-mail, groups.
    pub claims_in_id_token: bool,
    /// What its own cookie is called. Cookies ignore ports: it has to differ from those of
    /// whoever else is on the same host.
    pub cookie: String,
    /// Whom it believes when it tells clients of a logout, over TLS; None: plain HTTP alone.
    pub tls: Option<ClientTlsSettings>,
}

/// Whether requests for authorization can be left beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// They cannot.
    No,
    /// They can.
    Offered,
    /// They have to.
    Required,
}

/// What becomes of `prompt=select_account`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChoice {
    /// Somebody else can be chosen.
    Offered,
    /// It is not known, and such a request is refused.
    Refused,
    /// It is not among what the provider says that it knows, and whoever is logged in stays so.
    NotTold,
}

/// By what a provider signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits.
    Rs256,
}

/// Somebody who can log in.
#[derive(Clone, Debug)]
pub struct Person {
    /// `sub`
    pub subject: String,
    /// `name`
    pub name: String,
    /// `email`
    pub email: String,
    /// `email_verified`
    pub is_email_verified: bool,
    /// `groups`
    pub groups: Vec<String>,
    /// Whether there is a second factor.
    pub has_second_factor: bool,
    /// Further claims.
    pub more: Map<String, Value>,
}

/// A client of the provider.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`
    pub id: String,
    /// How it proves who it is. Several: any of them.
    pub proofs: Vec<Proof>,
    /// Where answers may go.
    pub redirects: Vec<Redirect>,
    /// Where a logout may lead back to.
    pub logout_redirects: Vec<Redirect>,
    /// Where it is told of logouts (Back-Channel Logout 1.0).
    pub backchannel_logout: Option<String>,
    /// What a browser loads at a logout (Front-Channel Logout 1.0).
    pub frontchannel_logout: Option<String>,
    /// Whom its access tokens are for. With it they are JWTs (RFC 9068); without it opaque.
    pub access_audience: Option<String>,
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A secret, in `Authorization` (`client_secret_basic`).
    Basic(Secret),
    /// A secret, in the body (`client_secret_post`).
    Post(Secret),
    /// A token that the owner of this JWK signs (`private_key_jwt`, RFC 7523).
    PrivateKeyJwt(Value),
    /// It does not (`none`).
    Nothing,
}

/// Where a browser may be sent back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// There, byte for byte.
    Exactly(String),
    /// This path on any port of a loopback host, `localhost` included (after RFC 8252, section
    /// 7.3).
    Loopback(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: None,
            people: vec![Person::ada(), Person::bob()],
            algorithms: vec![SigningAlgorithm::Es256],
            access_lifetime: Duration::from_secs(300),
            id_lifetime: Duration::from_secs(300),
            pushed: Pushed::Offered,
            names_itself: true,
            account_choice: AccountChoice::Offered,
            claims_in_id_token: true,
            cookie: "idp-session".to_owned(),
            tls: None,
        }
    }
}

impl SigningAlgorithm {
    /// `alg` of RFC 7518.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

impl Person {
    /// Somebody of the staff, with a second factor.
    pub fn ada() -> Self {
        Self::new("ada", "Ada Example", "staff", true)
    }

    /// A customer without one.
    pub fn bob() -> Self {
        Self::new("bob", "Bob Example", "customers", false)
    }

    fn new(subject: &str, name: &str, group: &str, has_second_factor: bool) -> Self {
        Self {
            subject: subject.to_owned(),
            name: name.to_owned(),
            email: format!("{subject}@example.com"),
            is_email_verified: true,
            groups: vec![group.to_owned()],
            has_second_factor,
            more: Map::new(),
        }
    }

    /// What is told of somebody to whoever has these scopes (OpenID Connect Core 1.0, section 5.4;
    /// `groups` goes with `profile`).
    pub(super) fn claims(&self, scopes: &[String]) -> Map<String, Value> {
        let has = |scope: &str| scopes.iter().any(|one| one == scope);
        let mut claims = Map::new();
        let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        if has("profile") {
            say("name", json!(self.name));
            say("preferred_username", json!(self.subject));
        }
        if has("profile") || has("groups") {
            say("groups", json!(self.groups));
        }
        if has("email") {
            say("email", json!(self.email));
            say("email_verified", json!(self.is_email_verified));
        }
        claims.extend(self.more.clone());
        claims
    }
}

impl Client {
    /// A client with a secret, to which a browser may be sent back here.
    pub fn new(id: &str, secret: &str, redirect: Redirect) -> Self {
        Self {
            id: id.to_owned(),
            proofs: vec![Proof::Basic(Secret::new(secret))],
            redirects: vec![redirect],
            logout_redirects: Vec::new(),
            backchannel_logout: None,
            frontchannel_logout: None,
            access_audience: None,
        }
    }
}

impl Redirect {
    /// Whether `address` is one of these.
    pub(super) fn any(allowed: &[Self], address: &str) -> bool {
        allowed.iter().any(|one| match one {
            Self::Exactly(exactly) => exactly == address,
            Self::Loopback(path) => is_loopback(address, path),
        })
    }
}

fn is_loopback(address: &str, path: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else {
        return false;
    };
    let is_host = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    // What was parsed has to be what was written: no other spelling of the same address.
    is_host && is_bare && url.path() == path && url.query().is_none() && url.as_str() == address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_redirect_is_that_path_on_any_port_and_nothing_else() {
        let allowed = [Redirect::Loopback("/oauth2/callback".to_owned())];
        for (address, expected) in [
            ("http://127.0.0.1:8080/oauth2/callback", true),
            ("http://localhost:1/oauth2/callback", true),
            ("http://app.localhost:1/oauth2/callback", true),
            ("http://[::1]:8080/oauth2/callback", true),
            ("http://127.0.0.1:8080/oauth2/callback?x=1", false),
            ("http://127.0.0.1:8080/oauth2/callback/", false),
            ("http://127.0.0.1:8080/x/../oauth2/callback", false),
            ("http://me@127.0.0.1:8080/oauth2/callback", false),
            ("http://127.0.0.1.example.com/oauth2/callback", false),
            ("http://example.com/oauth2/callback", false),
            ("/oauth2/callback", false),
        ] {
            assert_eq!(Redirect::any(&allowed, address), expected, "{address}");
        }
    }
}
