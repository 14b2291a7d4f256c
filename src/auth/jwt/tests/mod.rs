//! What becomes of requests by their tokens.

mod opaque;

use super::introspect::tests::told;
use super::verify::Unproved;
use super::*;
use crate::auth::cache::tests::asked;
use crate::auth::jose::tests::{
    AUDIENCE, ISSUER, P256, Signer, claims as good_claims, encoded, jwks,
};
use crate::auth::jose::{Algorithm, TokenError};
use crate::auth::provider::{
    Audience, ClientAuth, Endpoints, KeySource, OidcClient, ProviderSettings,
};
use crate::auth::{HeaderChange, Identity, Proof, Recorder};
use crate::client::ClientTlsSettings;
use crate::clock::{self, Stopwatch};
use crate::tls::{CertificateFacts, ClientIdentity};
use crate::trace::flags::FeatureFlags;
use crate::trace::propagate::Propagators;
use crate::trace::redact::Redaction;
use crate::trace::settings::{KnownMethods, TraceSettings};
use crate::trace::sink::FinishedSpans;
use crate::trace::span::SpanLimits;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Method};
use opentelemetry::trace::SpanId;
use serde_json::{Value, json};
use std::io::Write;
use tempfile::NamedTempFile;

/// The keys of the issuer, in a file.
fn keys() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    write!(file, "{}", jwks()).unwrap();
    file
}

fn issuer(file: &NamedTempFile, name: &str) -> JwtIssuer {
    JwtIssuer {
        provider: ProviderSettings {
            issuer: Arc::from(name),
            keys: KeySource::File(file.path().to_owned()),
            endpoints: Endpoints::default(),
            tls: ClientTlsSettings::default(),
            timeout: Duration::from_secs(5),
            refresh: Duration::from_secs(100),
            cooldown: Duration::from_secs(30),
            is_rehearsed: false,
        },
        audiences: vec![Arc::from(AUDIENCE)],
        algorithms: Algorithm::ALL.to_vec(),
        introspection: None,
    }
}

fn rules() -> Introspection {
    Introspection {
        client: OidcClient {
            id: Arc::from("edge"),
            auth: ClientAuth::Nothing,
            audience: Audience::Issuer,
        },
        ttl: Duration::from_secs(60),
        negative_ttl: Duration::from_secs(5),
        jwts_too: false,
        audience_required: true,
    }
}

fn settings(file: &NamedTempFile) -> JwtSettings {
    JwtSettings {
        issuers: vec![issuer(file, ISSUER)],
        from: vec![TokenPlace::Bearer],
        types: Vec::new(),
        leeway: Duration::from_secs(30),
        age_max: None,
        entries: 100,
        subject: [Box::from("sub")].into(),
        groups: vec![[Box::from("realm"), Box::from("roles")].into()],
        forward: true,
    }
}

/// A policy of tokens, and the file of its issuer's keys.
struct Scene {
    tokens: Tokens,
    settings: JwtSettings,
    _file: NamedTempFile,
}

impl Scene {
    fn new(change: impl FnOnce(&mut JwtSettings)) -> Self {
        let file = keys();
        let mut settings = settings(&file);
        change(&mut settings);
        let providers = settings.issuers.iter().map(|one| one.provider.clone());
        let metrics = crate::telemetry::metrics::Metrics::new();
        let providers = Providers::start(providers, &metrics, None);
        let counts = AuthCounts::unlisted(&Arc::from("api"));
        Self {
            tokens: Tokens::new(("api", None), &settings, &providers, counts),
            settings,
            _file: file,
        }
    }

    async fn decide(&self, headers: &[(&str, &str)]) -> Verdict {
        self.decide_shown(None, headers).await
    }

    /// For a client that shows this certificate.
    async fn decide_shown(
        &self,
        certificate: Option<&ClientIdentity>,
        headers: &[(&str, &str)],
    ) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let target = "/orders".parse().unwrap();
        let asked = Asked {
            certificate,
            ..asked(&Method::GET, &target, &map)
        };
        let check = async |span: &mut DecisionSpan<'_, '_>| {
            let name = Arc::from("api");
            let (tokens, settings) = (&self.tokens, &self.settings);
            tokens
                .check(&name, settings, &asked, clock::instant(), span)
                .await
        };
        spanned(check).await
    }

    async fn decide_by(&self, claims: &Value) -> Verdict {
        self.decide(&[("authorization", &format!("Bearer {}", signed(claims)))])
            .await
    }
}

/// Under the span of a decision that nobody records.
async fn spanned(check: impl AsyncFnOnce(&mut DecisionSpan<'_, '_>) -> Verdict) -> Verdict {
    let settings = TraceSettings {
        limits: SpanLimits {
            attribute_count_max: 128,
            attribute_value_max: None,
        },
        redaction: Redaction::default(),
        known_methods: KnownMethods::new(None),
        peer_service: true,
        synthetic: true,
    };
    let flags = FeatureFlags::new(&[], &settings.limits);
    let mut spans = FinishedSpans::default();
    let mut recorder = Recorder {
        settings: &settings,
        propagators: &Propagators::from_names(["tracecontext"]),
        head: None,
        server_id: SpanId::INVALID,
        watch: Stopwatch::start(),
        read: Duration::ZERO,
        flow: None,
        flags: &flags,
        spans: &mut spans,
    };
    let mut span = recorder.decision("api");
    check(&mut span).await
}

fn wall() -> u64 {
    clock::wall().as_unix_nanos() / 1_000_000_000
}

/// Claims that are good now, but for these.
fn claims(changes: Value) -> Value {
    let mut claims = good_claims();
    let object = claims.as_object_mut().unwrap();
    let times = json!({"iat": wall(), "nbf": wall(), "exp": wall() + 600});
    for more in [times, changes] {
        object.extend(more.as_object().unwrap().clone());
    }
    claims
}

fn signed_as(header: &Value, claims: &Value) -> String {
    P256.sign(Algorithm::Es256, &header.to_string(), &claims.to_string())
}

fn signed(claims: &Value) -> String {
    signed_as(&json!({"alg": "ES256", "kid": "p"}), claims)
}

#[track_caller]
fn identity(verdict: &Verdict) -> &Identity {
    let Verdict::Allow(grant) = verdict else {
        panic!("{verdict:?}");
    };
    grant.identity.as_deref().unwrap()
}

#[track_caller]
fn challenge_of(verdict: &Verdict) -> &str {
    let (Verdict::Deny(denial) | Verdict::Abstain(denial)) = verdict else {
        panic!("{verdict:?}");
    };
    let DenialAnswer::Own(challenges) = &denial.answer else {
        panic!("{denial:?}");
    };
    assert_eq!(challenges.len(), 1);
    challenges[0].to_str().unwrap()
}

#[tokio::test]
async fn a_token_names_its_client_with_groups_from_wherever_they_stand() {
    let scene = Scene::new(|_| {});
    let told = claims(json!({"realm": {"roles": ["ops", 7, "dev"]}, "org": {"unit": "a"}}));

    let verdict = scene.decide_by(&told).await;

    let found = identity(&verdict);
    assert_eq!(found.subject.as_deref(), Some("ada"));
    assert_eq!(found.groups, [Arc::from("ops"), Arc::from("dev")]);
    assert_eq!(found.claims["org"]["unit"], "a");
    assert_eq!((found.proof, &*found.policy), (Proof::Jwt, "api"));
}

#[tokio::test]
async fn without_a_token_there_is_a_challenge_without_an_error() {
    let scene = Scene::new(|_| {});
    for headers in [&[][..], &[("authorization", "Basic YTpi")]] {
        let verdict = scene.decide(headers).await;
        assert!(matches!(verdict, Verdict::Abstain(_)));
        assert_eq!(verdict.reason(), Some(Reason::NoCredential));
        assert_eq!(challenge_of(&verdict), "Bearer realm=\"api\"");
    }
}

#[tokio::test]
async fn a_token_that_is_no_good_is_refused_and_told_why_in_fixed_words() {
    let scene = Scene::new(|settings| {
        settings.from.push(TokenPlace::Cookie("t".into()));
    });
    let bearer = |token: String| format!("Bearer {token}");
    let good = signed(&claims(json!({})));
    let unsigned = |alg: &str| {
        let header = json!({"alg": alg}).to_string();
        format!(
            "{}.{}.AAAA",
            encoded(header),
            encoded(claims(json!({})).to_string())
        )
    };
    for (token, why) in [
        (
            unsigned("none"),
            "the token is signed by an algorithm that is not allowed",
        ),
        (
            unsigned("HS256"),
            "the token is signed by an algorithm that is not allowed",
        ),
        (unsigned("ES256"), "the token is not signed by its issuer"),
        (
            signed(&claims(json!({"exp": wall() - 31}))),
            "the token has expired",
        ),
        (
            signed(&claims(json!({"nbf": wall() + 60}))),
            "the token is not valid yet",
        ),
        (
            signed(&claims(json!({"aud": "x"}))),
            "a claim of the token is missing or wrong",
        ),
        (
            signed(&claims(json!({"iss": null}))),
            "a claim of the token is missing or wrong",
        ),
        (
            signed_as(&json!({"alg": "ES256", "kid": "x"}), &claims(json!({}))),
            "the token is not signed by its issuer",
        ),
        (
            signed_as(
                &json!({"alg": "ES256", "typ": "logout+jwt"}),
                &claims(json!({})),
            ),
            "a claim of the token is missing or wrong",
        ),
    ] {
        let verdict = scene.decide(&[("authorization", &bearer(token))]).await;
        assert!(matches!(verdict, Verdict::Deny(_)), "{verdict:?}");
        assert_eq!(verdict.reason(), Some(Reason::BadCredential));
        let wanted =
            format!("Bearer realm=\"api\", error=\"invalid_token\", error_description=\"{why}\"");
        assert_eq!(challenge_of(&verdict), wanted);
    }
    let twice = [
        ("authorization", bearer(good.clone())),
        ("cookie", format!("t={good}")),
    ];
    let twice = twice
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let verdict = scene.decide(&twice).await;
    assert!(matches!(verdict, Verdict::Deny(_)));
    assert!(challenge_of(&verdict).contains("error=\"invalid_request\""));
    let verdict = scene.decide(&[("authorization", "Bearer a b")]).await;
    assert!(challenge_of(&verdict).contains("the token cannot be read"));
}

#[tokio::test]
async fn cve_2021_21378_a_token_of_another_issuer_is_left_to_whoever_knows_it() {
    let scene = Scene::new(|_| {});
    let foreign = signed(&claims(json!({"iss": "https://other.example.com"})));
    for token in [foreign.as_str(), "opaque", "a.b.c", "a.b.c.d.e"] {
        let verdict = scene
            .decide(&[("authorization", &format!("Bearer {token}"))])
            .await;
        assert!(matches!(verdict, Verdict::Abstain(_)), "{token}");
        assert_eq!(verdict.reason(), Some(Reason::BadCredential));
        assert!(challenge_of(&verdict).contains("error=\"invalid_token\""));
    }
}

#[tokio::test]
async fn of_several_issuers_each_signs_its_own_tokens_only() {
    let other_keys = {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    };
    let mut file = NamedTempFile::new().unwrap();
    let set = json!({"keys": [other_keys.jwk_with(json!({"kid": "p"}))]});
    write!(file, "{set}").unwrap();
    let other = "https://other.example.com";
    let scene = Scene::new(|settings| {
        settings.issuers.push(JwtIssuer {
            audiences: vec![Arc::from("billing")],
            ..issuer(&file, other)
        });
    });
    let by = |signer: &Signer, iss: &str, aud: &str| {
        let claims = claims(json!({"iss": iss, "aud": aud})).to_string();
        let header = r#"{"alg":"ES256","kid":"p"}"#;
        format!("Bearer {}", signer.sign(Algorithm::Es256, header, &claims))
    };
    for (token, passes) in [
        (by(&P256, ISSUER, AUDIENCE), true),
        (by(&other_keys, other, "billing"), true),
        (by(&other_keys, ISSUER, AUDIENCE), false),
        (by(&P256, other, "billing"), false),
        (by(&other_keys, other, AUDIENCE), false),
        (by(&P256, ISSUER, "billing"), false),
    ] {
        let verdict = scene.decide(&[("authorization", &token)]).await;
        assert_eq!(matches!(verdict, Verdict::Allow(_)), passes, "{verdict:?}");
    }
}

#[tokio::test]
async fn cve_2026_33496_what_one_policy_verified_says_nothing_in_another() {
    let orders = Scene::new(|_| {});
    let billing = Scene::new(|settings| {
        settings.issuers[0].audiences = vec![Arc::from("billing")];
    });
    let told = claims(json!({}));

    for _ in 0..2 {
        assert!(matches!(orders.decide_by(&told).await, Verdict::Allow(_)));
        assert!(matches!(billing.decide_by(&told).await, Verdict::Deny(_)));
    }
}

#[tokio::test]
async fn a_remembered_token_is_refused_once_it_has_expired() {
    let scene = Scene::new(|settings| settings.leeway = Duration::ZERO);
    let token = format!("Bearer {}", signed(&claims(json!({"exp": wall() + 2}))));
    let headers = [("authorization", token.as_str())];
    assert!(matches!(scene.decide(&headers).await, Verdict::Allow(_)));
    assert!(matches!(scene.decide(&headers).await, Verdict::Allow(_)));

    let end = clock::instant() + Duration::from_secs(10);
    while matches!(scene.decide(&headers).await, Verdict::Allow(_)) {
        assert!(clock::instant() < end, "it never ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_token_goes_no_further_where_it_is_not_to() {
    let header = HeaderName::from_static("x-token");
    let scene = Scene::new(|settings| {
        settings.forward = false;
        settings.from = vec![
            TokenPlace::Bearer,
            TokenPlace::Header(header.clone()),
            TokenPlace::Cookie("t".into()),
            TokenPlace::Query("t".into()),
        ];
    });
    let Verdict::Allow(grant) = scene.decide_by(&claims(json!({}))).await else {
        panic!("it is good");
    };
    for name in [AUTHORIZATION, header.clone()] {
        assert!(grant.request.contains(&HeaderChange::Remove(name)));
    }
    assert_eq!(grant.cookies_remove, [Box::from("t")]);
    assert_eq!(grant.query_remove, [Box::from("t")]);

    let mut of_another = crate::auth::Grant::default();
    scene.settings.take_out(&mut of_another);
    scene.settings.take_out(&mut of_another);
    assert_eq!(of_another.request, [HeaderChange::Remove(header)]);
    assert_eq!(of_another.cookies_remove, [Box::from("t")]);

    let forwards = Scene::new(|_| {});
    let Verdict::Allow(grant) = forwards.decide_by(&claims(json!({}))).await else {
        panic!("it is good");
    };
    assert!(grant.request.is_empty());
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    let scene = Scene::new(|_| {});
    // SHA-256 of a certificate of all zeros, and the same as a token has it.
    let zeros = encoded([0; 32]);
    let shown = |sha256: &str| ClientIdentity {
        facts: CertificateFacts {
            uris: Vec::new(),
            hosts: Vec::new(),
            emails: Vec::new(),
            subject: "".into(),
            issuer: "".into(),
            not_after: 0,
        },
        sha256: sha256.into(),
        header: None,
    };
    let (right, wrong) = (shown(&"00".repeat(32)), shown(&"01".repeat(32)));
    for (confirmation, certificate, passes) in [
        (json!({"x5t#S256": zeros}), Some(&right), true),
        (json!({"x5t#S256": zeros}), Some(&wrong), false),
        (json!({"x5t#S256": zeros}), None, false),
        (json!({"x5t#S256": zeros, "jkt": "a"}), Some(&right), false),
        (json!({"jkt": zeros}), Some(&right), false),
        (json!({}), Some(&right), false),
        (json!(null), None, false),
        (json!(zeros), Some(&right), false),
    ] {
        let token = signed(&claims(json!({"cnf": confirmation})));
        let headers = [("authorization", &*format!("Bearer {token}"))];
        // Verified, then remembered; and what is remembered is good for nobody else.
        for (certificate, passes) in [(certificate, passes), (certificate, passes), (None, false)] {
            let verdict = scene.decide_shown(certificate, &headers).await;
            let is_let_in = matches!(verdict, Verdict::Allow(_));
            assert_eq!(is_let_in, passes, "{confirmation}");
        }
    }
}

#[test]
fn what_a_challenge_says_is_quoted_or_left_out() {
    for (policy, parameters, wanted) in [
        ("api", &[][..], "Bearer realm=\"api\""),
        (
            "a\"b",
            &[("scope", "x y")],
            "Bearer realm=\"a\\\"b\", scope=\"x y\"",
        ),
        (
            "Büro",
            &[("error", "e"), ("scope", "")],
            "Bearer error=\"e\"",
        ),
        ("Büro", &[], "Bearer"),
    ] {
        assert_eq!(challenge::bearer(policy, parameters), wanted);
    }
}
