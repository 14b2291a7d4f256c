//! The provider that logins are tested against, by itself: a browser and a client that do what
//! edgespan does, so that what is refused elsewhere is not refused for a fault of this one.

mod faults;

use crate::support::browser::{Browser, Page, parameter};
use crate::support::client::{Reply, request, send, with_body};
use crate::support::origin::Origin;
use crate::support::provider::{provider, provider_with};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use edgespan::idp::{
    ACR_MFA, BadIdToken, Client, Endpoint, Faults, IdentityProvider, Proof, Pushed, Redirect,
    Settings, SigningAlgorithm, Trouble,
};
use edgespan::secret::Secret;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};
use std::time::Duration;
use url::Url;

const BACK: &str = "http://app.test/cb";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn client() -> Client {
    let mut client = Client::new("app", "pa:ss word", Redirect::Exactly(BACK.to_owned()));
    client.logout_redirects = vec![Redirect::Exactly("http://app.test/bye".to_owned())];
    client
}

async fn started() -> IdentityProvider {
    let provider = provider().await;
    provider.register(client());
    provider
}

fn authorization(provider: &IdentityProvider, more: &[(&str, &str)]) -> String {
    let mut url = Url::parse(&provider.url(Endpoint::Authorization)).unwrap();
    let fixed = [
        ("client_id", "app"),
        ("response_type", "code"),
        ("redirect_uri", BACK),
        ("state", "st"),
        ("nonce", "no"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let has = |name: &str| more.iter().any(|(one, _)| *one == name);
    let fixed = fixed.into_iter().filter(|(name, _)| !has(name));
    url.query_pairs_mut().extend_pairs(fixed).extend_pairs(more);
    if !has("scope") {
        url.query_pairs_mut()
            .append_pair("scope", "openid profile email");
    }
    url.into()
}

/// A browser for which the application is a place that answers 200.
async fn browser() -> Browser {
    let app = Origin::start().await;
    Browser::new().at("http://app.test", app.address)
}

/// Somebody logs in; where that leads.
async fn logged_in(provider: &IdentityProvider, person: &str, more: &[(&str, &str)]) -> Page {
    let mut browser = browser().await;
    let page = browser.open(&authorization(provider, more)).await;
    browser.log_in(&page, person).await
}

async fn post(
    provider: &IdentityProvider,
    endpoint: Endpoint,
    headers: &[(&str, &str)],
    form: &[(&str, &str)],
) -> Reply {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let url = Url::parse(&provider.url(endpoint)).unwrap();
    let request = request("POST", url.path(), headers);
    send(provider.address(), with_body(request, body.finish())).await
}

/// As `client()`.
async fn ask(provider: &IdentityProvider, endpoint: Endpoint, form: &[(&str, &str)]) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode("app:pa%3Ass+word"));
    post(provider, endpoint, &[("authorization", &basic)], form).await
}

async fn redeem(provider: &IdentityProvider, page: &Page) -> Reply {
    let code = page.parameter("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    ask(provider, Endpoint::Token, &form).await
}

async fn refresh(provider: &IdentityProvider, token: &str) -> Reply {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    ask(provider, Endpoint::Token, &form).await
}

/// Its claims, if the published keys verify it.
fn verified(provider: &IdentityProvider, token: &str) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(provider.jwks()).unwrap();
    let key = DecodingKey::from_jwk(set.find(header.kid.as_deref()?)?).unwrap();
    let mut rules = Validation::new(header.alg);
    rules.set_audience(&["app"]);
    rules.set_issuer(&[provider.issuer()]);
    let data = jsonwebtoken::decode::<Value>(token, &key, &rules).ok()?;
    Some(data.claims)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

#[tokio::test]
async fn its_metadata_lead_to_endpoints_that_are_there() {
    let provider = started().await;
    let discovery = provider.url(Endpoint::Discovery);

    let metadata = Browser::new().open(&discovery).await.reply.json();

    assert_eq!(text(&metadata, "issuer"), provider.issuer());
    for name in metadata.as_object().unwrap().keys() {
        if name.ends_with("_endpoint") || name == "jwks_uri" {
            let status = Browser::new().step(text(&metadata, name)).await.status();
            assert_ne!(status, 404, "{name}");
        }
    }
}

#[tokio::test]
async fn a_login_gives_tokens_that_its_keys_verify() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
        let settings = Settings {
            algorithms: vec![algorithm],
            ..Settings::default()
        };
        let provider = provider_with(settings).await;
        provider.register(client());

        let back = logged_in(&provider, "ada", &[]).await;
        assert_eq!(back.parameter("state").as_deref(), Some("st"));
        assert_eq!(back.parameter("iss").as_deref(), Some(provider.issuer()));
        let tokens = redeem(&provider, &back).await.json();

        let claims = verified(&provider, text(&tokens, "id_token")).expect("a good token");
        assert_eq!(claims["sub"], "ada");
        assert_eq!(claims["nonce"], "no");
        assert_eq!(claims["groups"], json!(["staff"]));
        assert_eq!(claims["amr"], json!(["pwd"]));
    }
}

#[tokio::test]
async fn a_code_counts_once_and_coming_again_takes_everything_back() {
    let provider = started().await;
    let back = logged_in(&provider, "ada", &[]).await;
    let tokens = redeem(&provider, &back).await.json();

    let again = redeem(&provider, &back).await;

    assert_eq!(
        (again.status.as_u16(), text(&again.json(), "error")),
        (400, "invalid_grant")
    );
    let late = refresh(&provider, text(&tokens, "refresh_token")).await;
    assert_eq!(late.status, 400);
}

#[tokio::test]
async fn a_code_needs_its_verifier_its_redirect_and_its_client() {
    let provider = started().await;
    let mut other = client();
    other.id = "other".to_owned();
    other.proofs = vec![Proof::Nothing];
    provider.register(other);
    for (redirect, verifier, other) in [
        ("http://app.test/other", VERIFIER, false),
        (BACK, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK", false),
        (BACK, "", false),
        (BACK, VERIFIER, true),
    ] {
        let back = logged_in(&provider, "ada", &[]).await;
        let code = back.parameter("code").unwrap();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        let reply = if other {
            form.push(("client_id", "other"));
            post(&provider, Endpoint::Token, &[], &form).await
        } else {
            ask(&provider, Endpoint::Token, &form).await
        };
        assert_eq!(reply.status, 400, "{redirect} {verifier} {other}");
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_and_an_old_one_ends_the_family() {
    let provider = started().await;
    let back = logged_in(&provider, "ada", &[]).await;
    let first = redeem(&provider, &back).await.json();

    let second = refresh(&provider, text(&first, "refresh_token"))
        .await
        .json();
    let third = refresh(&provider, text(&second, "refresh_token"))
        .await
        .json();
    assert!(verified(&provider, text(&third, "id_token")).is_some());
    assert_eq!(provider.refreshes(), 2);

    let stolen = refresh(&provider, text(&first, "refresh_token")).await;
    assert_eq!(stolen.status, 400);
    let ended = refresh(&provider, text(&third, "refresh_token")).await;
    assert_eq!(ended.status, 400);
}

#[tokio::test]
async fn a_client_has_to_be_who_it_says() {
    let provider = started().await;
    let form = [("token", "x")];
    let wrong = format!("Basic {}", STANDARD.encode("app:wrong"));
    for headers in [vec![("authorization", wrong.as_str())], vec![]] {
        let reply = post(&provider, Endpoint::Introspection, &headers, &form).await;
        assert_eq!(reply.status, 401);
    }
    let both = [("token", "x"), ("client_id", "app"), ("client_secret", "s")];
    assert_eq!(
        ask(&provider, Endpoint::Introspection, &both).await.status,
        401
    );
}

#[tokio::test]
async fn a_secret_in_the_body_and_a_signed_assertion_prove_a_client_too() {
    let provider = started().await;
    // Any key of P-256 will do: that of a second provider.
    let signer = provider_with(Settings::default()).await;
    let mut own = client();
    own.proofs = vec![
        Proof::Post(Secret::new("in the body")),
        Proof::PrivateKeyJwt(signer.jwks()["keys"][0].clone()),
    ];
    provider.register(own);

    let post_form = [
        ("token", "x"),
        ("client_id", "app"),
        ("client_secret", "in the body"),
    ];
    let reply = post(&provider, Endpoint::Introspection, &[], &post_form).await;
    assert_eq!(reply.json(), json!({"active": false}));

    let now = edgespan::clock::wall().as_unix_nanos() / 1_000_000_000;
    let assertion = |aud: &str, jti: &str| {
        let claims = json!({"iss": "app", "sub": "app", "aud": aud, "jti": jti, "exp": now + 60});
        signer.sign(Map::new(), &claims).unwrap()
    };
    let right = assertion(provider.issuer(), "1");
    for (token, expected) in [
        (&right, 200),
        (&right, 401), // once
        (&assertion("https://other.example.com", "2"), 401),
    ] {
        let form = [
            ("token", "x"),
            ("client_assertion", token.as_str()),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
        ];
        let reply = post(&provider, Endpoint::Introspection, &[], &form).await;
        assert_eq!(reply.status, expected);
    }
}

#[tokio::test]
async fn a_second_login_needs_no_click_unless_it_is_asked_for() {
    let provider = started().await;
    let mut browser = browser().await;
    let page = browser.open(&authorization(&provider, &[])).await;
    browser.log_in(&page, "ada").await;

    for (more, expected) in [
        (vec![], "code"),
        (vec![("prompt", "none")], "code"),
        (vec![("max_age", "3600")], "code"),
        (vec![("prompt", "login")], "form"),
        (
            vec![("prompt", "none"), ("acr_values", ACR_MFA)],
            "interaction_required",
        ),
        (vec![("acr_values", ACR_MFA)], "form"),
    ] {
        let page = browser.open(&authorization(&provider, &more)).await;
        let found = page
            .parameter("error")
            .or_else(|| page.parameter("code").map(|_| "code".to_owned()))
            .unwrap_or_else(|| "form".to_owned());
        assert_eq!(found, expected, "{more:?}");
    }
    let stranger = &mut self::browser().await;
    let silent = authorization(&provider, &[("prompt", "none")]);
    let page = stranger.open(&silent).await;
    assert_eq!(page.parameter("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_step_up_shows_in_acr_for_whoever_has_a_second_factor() {
    let provider = started().await;
    for (person, expected) in [("ada", ACR_MFA), ("bob", edgespan::idp::ACR_PASSWORD)] {
        let back = logged_in(&provider, person, &[("acr_values", ACR_MFA)]).await;
        let tokens = redeem(&provider, &back).await.json();
        let claims = verified(&provider, text(&tokens, "id_token")).unwrap();
        assert_eq!(text(&claims, "acr"), expected, "{person}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_the_clients() {
    let provider = started().await;
    for more in [
        [("redirect_uri", "http://evil.test/cb")],
        [("redirect_uri", "http://app.test/cb/")],
        [("redirect_uri", "http://app.test/cb?x=1")],
        [("client_id", "nobody")],
    ] {
        let page = browser().await.step(&authorization(&provider, &more)).await;
        assert_eq!(page.status(), 400, "{more:?}");
    }
    for (more, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "profile"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
    ] {
        let page = browser()
            .await
            .open(&authorization(&provider, &[more]))
            .await;
        assert_eq!(page.parameter("error").as_deref(), Some(error));
    }
}

#[tokio::test]
async fn a_request_that_was_left_beforehand_is_used_once_and_by_its_client() {
    let settings = Settings {
        pushed: Pushed::Required,
        ..Settings::default()
    };
    let provider = provider_with(settings).await;
    provider.register(client());
    let plain = browser().await.open(&authorization(&provider, &[])).await;
    assert_eq!(plain.status(), 400);

    let left = Url::parse(&authorization(&provider, &[])).unwrap();
    let left: Vec<(String, String)> = left.query_pairs().into_owned().collect();
    let left: Vec<(&str, &str)> = left
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let reply = ask(&provider, Endpoint::Pushed, &left).await;
    assert_eq!(reply.status, 201);
    let mut url = Url::parse(&provider.url(Endpoint::Authorization)).unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", "app")
        .append_pair("request_uri", text(&reply.json(), "request_uri"));

    assert_eq!(browser().await.open(url.as_str()).await.status(), 200);
    assert_eq!(browser().await.open(url.as_str()).await.status(), 400);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_tells_the_clients() {
    let provider = started().await;
    let app = Origin::start().await;
    let mut own = client();
    own.backchannel_logout = Some(format!("http://{}/backchannel", app.address));
    provider.register(own);
    let mut browser = Browser::new().at("http://app.test", app.address);
    let page = browser.open(&authorization(&provider, &[])).await;
    let back = browser.log_in(&page, "ada").await;
    let tokens = redeem(&provider, &back).await.json();

    let mut logout = Url::parse(&provider.url(Endpoint::Logout)).unwrap();
    logout
        .query_pairs_mut()
        .append_pair("id_token_hint", text(&tokens, "id_token"))
        .append_pair("post_logout_redirect_uri", "http://app.test/bye")
        .append_pair("state", "later");
    let page = browser.open(logout.as_str()).await;

    assert_eq!(page.url.as_str(), "http://app.test/bye?state=later");
    let received = app.received();
    let told = received
        .iter()
        .find(|one| one.uri.path() == "/backchannel")
        .expect("the client is told");
    let told = String::from_utf8_lossy(&told.body).into_owned();
    let claims = verified(&provider, told.strip_prefix("logout_token=").unwrap()).unwrap();
    assert_eq!(claims["sub"], "ada");
    assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
    assert_eq!(
        refresh(&provider, text(&tokens, "refresh_token"))
            .await
            .status,
        400
    );
    let silent = authorization(&provider, &[("prompt", "none")]);
    let page = browser.open(&silent).await;
    assert_eq!(page.parameter("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_logout_leads_nowhere_but_to_where_the_client_said() {
    let provider = started().await;
    let mut logout = Url::parse(&provider.url(Endpoint::Logout)).unwrap();
    logout
        .query_pairs_mut()
        .append_pair("client_id", "app")
        .append_pair("post_logout_redirect_uri", "http://evil.test/");
    assert_eq!(browser().await.step(logout.as_str()).await.status(), 400);
}

#[tokio::test]
async fn introspection_and_userinfo_know_a_token_until_it_is_revoked() {
    let provider = started().await;
    let back = logged_in(&provider, "ada", &[]).await;
    let tokens = redeem(&provider, &back).await.json();
    let access = text(&tokens, "access_token");
    let known = ask(&provider, Endpoint::Introspection, &[("token", access)]).await;
    assert_eq!(known.json()["active"], true);
    assert_eq!(known.json()["sub"], "ada");
    let bearer = format!("Bearer {access}");
    let userinfo = [("authorization", bearer.as_str())];
    let told = send(provider.address(), request("GET", "/userinfo", &userinfo)).await;
    assert_eq!(told.json()["email"], "ada@example.com");

    ask(&provider, Endpoint::Revocation, &[("token", access)]).await;

    let known = ask(&provider, Endpoint::Introspection, &[("token", access)]).await;
    assert_eq!(known.json(), json!({"active": false}));
    let told = send(provider.address(), request("GET", "/userinfo", &userinfo)).await;
    assert_eq!(told.status, 401);
}

#[test]
fn the_browser_takes_cookies_by_the_rules_of_their_prefixes() {
    let (secure, plain) = ("https://a.example.com/x", "http://a.example.com/x");
    for (url, line, expected) in [
        (secure, "__Host-a=1; Secure; Path=/", true),
        (secure, "__Host-a=1; Secure; Path=/x", false),
        (secure, "__Host-a=1; Path=/", false),
        (
            secure,
            "__Host-a=1; Secure; Path=/; Domain=example.com",
            false,
        ),
        (secure, "__Secure-a=1; Secure; Domain=example.com", true),
        (secure, "__Secure-a=1", false),
        (plain, "__Host-a=1; Secure; Path=/", false),
        (plain, "a=1; Secure", false),
        (plain, "a=1; SameSite=None", false),
        (plain, "a=1", true),
        (secure, "a=1; Domain=other.com", false),
    ] {
        assert_eq!(
            Browser::new().set_cookie(url, line),
            expected,
            "{url} {line}"
        );
    }
    let mut browser = Browser::new();
    assert!(browser.set_cookie("http://127.0.0.1:1/", "a=1; Path=/"));
    assert_eq!(browser.cookie_names("http://127.0.0.1:2/"), ["a"]);
    let url = Url::parse("http://x.test/?a=b%20c").unwrap();
    assert_eq!(parameter(&url, "a").as_deref(), Some("b c"));
}
