//! What a provider is asked for, and what is told of it.

use super::stand::{Act, Stand};
use super::traced::{TRACE, Traced};
use super::*;
use crate::secret::Secret;
use crate::trace::oracle::lines;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener};

fn client(auth: ClientAuth) -> OidcClient {
    OidcClient {
        audience: Audience::Issuer,
        id: "app".into(),
        auth,
    }
}

const GRANTED: &str = r#"{"access_token":"ACCESS","token_type":"Bearer","id_token":"ID.ID.ID",
    "refresh_token":"REFRESH","expires_in":60}"#;

fn pairs(body: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_code_is_redeemed_once_with_its_verifier_and_told_to_nobody() {
    let stand = Stand::open().await;
    stand.set("/token", Act::Say(200, "", GRANTED.to_owned()));
    let (provider, counts) = stand.provider().await;
    let client = client(ClientAuth::Basic(Secret::new("HUNTER2")));
    let mut traced = Traced::new();

    let tokens = traced
        .decide(async |span| {
            let back = "https://app.example.com/back";
            let redeemed = provider.redeem(&client, "CODE", "VERIFIER", back, Some(span));
            redeemed.await.unwrap()
        })
        .await;

    assert_eq!(tokens.access.expose(), "ACCESS");
    let heard = stand.heard_once("/token");
    assert!(heard.head.starts_with("POST /token HTTP/1.1\r\n"));
    assert!(heard.head.contains("application/x-www-form-urlencoded"));
    assert_eq!(
        pairs(&heard.body),
        [
            pair("grant_type", "authorization_code"),
            pair("code", "CODE"),
            pair("redirect_uri", "https://app.example.com/back"),
            pair("code_verifier", "VERIFIER"),
        ]
    );
    let span = traced.calls().remove(0);
    assert_eq!(span.name, "POST");
    let told = lines(&span);
    for line in [
        "service.peer.name=127.0.0.1",
        "edgespan.provider.call=token",
        "http.response.status_code=200",
    ] {
        assert!(told.contains(&line.to_owned()), "{told:?}");
    }
    // The provider can go on with the trace, and learns nothing else of it.
    let id = span.span_id.iter().map(|byte| format!("{byte:02x}"));
    let parent = format!("traceparent: 00-{TRACE}-{}-01", id.collect::<String>());
    assert!(heard.head.contains(&parent), "{}", heard.head);
    let text = format!("{} {tokens:?} {client:?}", traced.text());
    for secret in ["CODE", "VERIFIER", "HUNTER2", "ACCESS", "REFRESH", "ID.ID"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(counts.calls(ProviderCall::Token, ProviderOutcome::Ok), 1);
}

#[tokio::test]
async fn a_code_whose_answer_is_lost_is_not_redeemed_again() {
    let stand = Stand::open().await;
    let (provider, _) = stand.provider().await;
    let client = client(ClientAuth::Nothing);
    for act in [Act::Close, Act::Half(GRANTED.to_owned()), Act::Hang] {
        let before = stand.heard("/token").len();
        stand.set("/token", act);
        let redeemed = provider.redeem(&client, "c", "v", "https://a/", None).await;
        assert!(redeemed.unwrap_err().is_temporary());
        assert_eq!(stand.heard("/token").len() - before, 1);
    }
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_tried_once_more_and_both_are_told() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let stand = Stand::open().await;
    let mut metadata = stand.metadata();
    metadata["token_endpoint"] = json!(format!("http://{address}/token"));
    stand.json(DISCOVERY, &metadata);
    let (provider, _) = stand.provider().await;
    let (client, refresh) = (client(ClientAuth::Nothing), Secret::new("REFRESH"));
    let mut traced = Traced::new();

    let refreshed = traced
        .decide(async |span| provider.refresh(&client, &refresh, Some(span)).await)
        .await;

    assert!(refreshed.unwrap_err().is_temporary());
    let calls = traced.calls();
    assert_eq!(calls.len(), 2);
    let told = lines(&calls[1]);
    assert!(told.contains(&"http.request.resend_count=1".to_owned()));
    assert!(told.contains(&"error.type=connect_error".to_owned()));
}

#[tokio::test]
async fn what_is_refused_is_told_by_a_word_of_the_specification() {
    let stand = Stand::open().await;
    let words = r#"{"error":"invalid_grant","error_description":"PRIVATE"}"#;
    stand.set("/token", Act::Say(400, "", words.to_owned()));
    let (provider, counts) = stand.provider().await;
    let (client, refresh) = (client(ClientAuth::Nothing), Secret::new("REFRESH"));
    let mut traced = Traced::new();

    let refused = traced
        .decide(async |span| provider.refresh(&client, &refresh, Some(span)).await)
        .await;

    assert_eq!(
        refused.unwrap_err(),
        ProviderError::Refused("invalid_grant")
    );
    assert!(!traced.text().contains("PRIVATE"));
    let refusals = counts.calls(ProviderCall::Refresh, ProviderOutcome::Refused);
    assert_eq!(refusals, 1);
}

#[tokio::test]
async fn a_pushed_request_names_its_client_once() {
    let stand = Stand::open().await;
    let pushed = r#"{"request_uri":"urn:ietf:params:oauth:request_uri:a","expires_in":60}"#;
    stand.set("/par", Act::Say(201, "", pushed.to_owned()));
    let (provider, _) = stand.provider().await;
    let parameters = [("client_id", "app"), ("state", "s")];
    for (auth, named) in [
        (ClientAuth::Post(Secret::new("w")), 1),
        (ClientAuth::Nothing, 1),
        (ClientAuth::Basic(Secret::new("w")), 1),
    ] {
        let uri = provider.push(&client(auth), &parameters, None).await;
        assert_eq!(uri.unwrap(), "urn:ietf:params:oauth:request_uri:a");
        let body = stand.heard("/par").pop().unwrap().body;
        let pairs = pairs(&body);
        let count = pairs.iter().filter(|(name, _)| name == "client_id");
        assert_eq!(count.count(), named, "{body}");
    }
}

/// Header and claims of the token that the last form at `path` proves its client by.
fn assertion(stand: &Stand, path: &str) -> (Value, Value) {
    let body = stand.heard(path).pop().unwrap().body;
    let pairs = pairs(&body);
    let token = pairs.iter().find(|(name, _)| name == "client_assertion");
    let parts: Vec<Value> = token
        .unwrap()
        .1
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    (parts[0].clone(), parts[1].clone())
}

#[tokio::test]
async fn a_token_of_our_own_is_for_whom_and_signed_by_what_the_provider_takes() {
    let stand = Stand::open().await;
    let pushed = r#"{"request_uri":"urn:a","expires_in":60}"#;
    stand.set("/par", Act::Say(201, "", pushed.to_owned()));
    let mut metadata = stand.metadata();
    metadata["token_endpoint_auth_signing_alg_values_supported"] = json!(["ES256", "PS256"]);
    stand.json(DISCOVERY, &metadata);
    let (provider, _) = stand.provider().await;
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let key = Arc::new(ClientKey::from_pem(pem.serialize_pem().as_bytes()).unwrap());

    for (audience, expected) in [
        (Audience::Issuer, stand.issuer()),
        (Audience::TokenEndpoint, format!("{}/token", stand.issuer())),
    ] {
        let client = OidcClient {
            audience,
            ..client(ClientAuth::PrivateKeyJwt(Arc::clone(&key)))
        };
        provider
            .push(&client, &[("state", "s")], None)
            .await
            .unwrap();

        let (header, claims) = assertion(&stand, "/par");
        assert_eq!(header["alg"], "PS256");
        assert_eq!(header["kid"], key.kid());
        assert_eq!(claims["aud"], expected);
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("app"), &json!("app"))
        );
    }
}

#[tokio::test]
async fn who_logged_in_is_asked_with_the_token_in_a_header() {
    let stand = Stand::open().await;
    stand.json("/me", &json!({"sub": "ada", "email": "ada@example.com"}));
    let (provider, _) = stand.provider().await;
    let mut traced = Traced::new();
    let access = Secret::new("ACCESS");

    let claims = traced
        .decide(async |span| provider.userinfo(&access, Some(span)).await.unwrap())
        .await;

    assert_eq!(claims["sub"], "ada");
    let heard = stand.heard_once("/me");
    assert!(heard.head.starts_with("GET /me "));
    assert!(heard.head.contains("authorization: Bearer ACCESS"));
    let text = traced.text();
    assert!(!text.contains("ACCESS") && !text.contains("ada"));
}

#[tokio::test]
async fn a_token_is_asked_about_and_given_back() {
    let stand = Stand::open().await;
    stand.json("/introspect", &json!({"active": true, "sub": "ada"}));
    stand.set("/revoke", Act::Say(200, "", String::new()));
    let (provider, _) = stand.provider().await;
    let client = client(ClientAuth::Post(Secret::new("w")));

    let said = provider.introspect(&client, "OPAQUE", None).await.unwrap();
    assert_eq!(said["active"], true);
    let body = stand.heard_once("/introspect").body;
    assert!(pairs(&body).contains(&pair("token", "OPAQUE")));

    let token = Secret::new("REFRESH");
    provider.revoke(&client, &token, None).await.unwrap();
    let body = stand.heard_once("/revoke").body;
    assert!(pairs(&body).contains(&pair("token", "REFRESH")));
}

#[tokio::test]
async fn what_a_provider_lacks_is_told_by_its_name() {
    let stand = Stand::open().await;
    stand.json(
        DISCOVERY,
        &json!({"issuer": stand.issuer(), "jwks_uri": format!("{}/jwks", stand.issuer())}),
    );
    let (provider, _) = stand.provider().await;
    let client = client(ClientAuth::Nothing);

    let redeemed = provider.redeem(&client, "c", "v", "https://a/", None).await;
    let lacks = |name| ProviderError::NoEndpoint(name);
    assert_eq!(redeemed.unwrap_err(), lacks("token endpoint"));
    let asked = provider.introspect(&client, "t", None).await;
    assert_eq!(asked.unwrap_err(), lacks("introspection endpoint"));
    let asked = provider.userinfo(&Secret::new("t"), None).await;
    assert_eq!(asked.unwrap_err(), lacks("userinfo endpoint"));
}

#[tokio::test]
async fn with_all_addresses_told_nothing_is_asked_of_it() {
    let stand = Stand::open().await;
    let at = |path: &str| Some(format!("{}{path}", stand.issuer()).parse().unwrap());
    let provider = Provider::start(ProviderSettings {
        keys: KeySource::Url(at("/jwks").unwrap()),
        endpoints: Endpoints {
            authorization: at("/auth"),
            token: at("/token"),
            ..Endpoints::default()
        },
        ..stand.settings()
    });
    provider.came().await;

    let metadata = provider.metadata(None).await.unwrap();
    assert_eq!(metadata.authorization, at("/auth"));
    assert!(stand.heard(DISCOVERY).is_empty());
}
