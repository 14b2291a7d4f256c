//! What login spans and the audit say, and what they never say.

use super::{PARENT, STATE, TRACE, audits, log_in, server, trace_of, traced};
use crate::login::{SITE, world_with};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use crate::support::until;
use edgespan::idp::Settings;

#[tokio::test]
async fn what_finds_no_room_is_left_out_whole_and_that_is_said() {
    let (mut world, collector) = traced("").await;
    let large = format!("large={}", "x".repeat(3_000));
    let fields = [
        ("traceparent", PARENT),
        ("tracestate", STATE),
        ("baggage", &large),
    ];

    log_in(&mut world, "/a", &fields).await;

    let received = world.origin.sole();
    assert_eq!(trace_of(&received), TRACE);
    assert_eq!(received.one("tracestate"), STATE);
    assert!(received.all("baggage").is_empty());
    let refused = server(&collector, "/a", 302).await;
    assert_eq!(refused.text("edgespan.login.carried"), Some("partial"));
}

#[tokio::test]
async fn login_spans_say_what_kind_of_login_it_was() {
    let collector = Collector::start().await;
    let login = "login: {user_type: groups}";
    let change = |setup: Setup| setup.with(login).export_to(&collector);
    let stronger = ", acr_values: ['urn:edgespan:mfa']";
    let mut world = world_with(stronger, Settings::default(), change).await;
    assert!(
        world
            .browser
            .set_cookie(SITE, "rum.session_id=page-session-7; Path=/; Secure")
    );

    log_in(&mut world, "/a", &[]).await;

    let callback = server(&collector, "/oauth2/callback", 302).await;
    assert_eq!(callback.text("flow"), Some("login"));
    assert_eq!(callback.text("http.route"), Some("/oauth2/callback"));
    assert_eq!(callback.text("result"), Some("success"));
    assert_eq!(callback.text("auth_method"), Some("oidc"));
    assert_eq!(callback.text("edgespan.auth.policy"), Some("staff"));
    assert_eq!(callback.text("user_type"), Some("staff"));
    assert_eq!(callback.bool("mfa_enabled"), Some(true));
    assert_eq!(callback.text("rum.session_id"), Some("page-session-7"));
}

/// Everything that was exported, searched for what must not be in it.
#[tokio::test]
async fn no_span_says_who_somebody_is_or_how_to_be_them() {
    let (mut world, collector) = traced(", userinfo: true").await;
    log_in(&mut world, "/a", &[("traceparent", PARENT)]).await;
    let page = world.browser.open(&format!("{SITE}/oauth2/logout")).await;
    assert!(page.status() < 400, "{}", page.text());
    until("the logout's span", || {
        let spans = collector.spans();
        spans
            .iter()
            .any(|span| span.is_server() && span.text("url.path") == Some("/oauth2/logout"))
    })
    .await;

    let exported = format!("{:?}", collector.spans());
    let mut secrets = vec!["ada@example.com".to_owned(), "Ada Example".to_owned()];
    for hop in &world.browser.hops {
        secrets.extend(hop.cookies.iter().map(|(_, value)| value.clone()));
        let pairs = hop.url.query_pairs();
        let told = pairs.filter(|(name, _)| {
            ["code", "state", "id_token_hint", "nonce", "code_challenge"].contains(&&**name)
        });
        secrets.extend(told.map(|(_, value)| value.into_owned()));
    }
    secrets.retain(|secret| secret.len() > 8 && !secret.starts_with("http"));
    assert!(secrets.len() > 5, "{secrets:?}");
    for secret in secrets {
        assert!(!exported.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn logins_and_logouts_are_told_as_spans_and_to_the_webhook() {
    let collector = Collector::start().await;
    let hook = Origin::start().await;
    let login = format!(
        "login: {{webhook: {{url: 'http://{}/hook', secret: {{env: HOOK}}}}}}",
        hook.address
    );
    let change = |setup: Setup| {
        setup
            .with(&login)
            .variable("HOOK", "s3cret")
            .export_to(&collector)
    };
    let mut world = world_with("", Settings::default(), change).await;

    log_in(&mut world, "/a", &[("traceparent", PARENT)]).await;
    world.browser.open(&format!("{SITE}/oauth2/logout")).await;
    until("two events", || hook.received().len() >= 2).await;
    until("two spans", || audits(&collector).len() >= 2).await;

    let told: Vec<serde_json::Value> = hook
        .received()
        .iter()
        .map(|one| serde_json::from_slice(&one.body).unwrap())
        .collect();
    let find = |event: &str| told.iter().find(|one| one["event"] == event).unwrap();
    let (login, logout) = (find("login"), find("logout"));
    assert_eq!(login["result"], "success");
    assert_eq!(login["policy"], "staff");
    assert_eq!(login["host"], "app.example.com");
    assert_eq!(login["trace_id"], TRACE);
    assert_eq!(logout["logout"], "rp_initiated");
    assert_eq!(login["subject"], logout["subject"]);
    assert_eq!(login["session"], logout["session"]);
    let text = format!("{told:?}");
    assert_ne!(login["subject"], "ada");
    assert!(!text.contains("Ada") && !text.contains("ada@"), "{text}");
    for one in hook.received() {
        assert!(one.one("edgespan-signature").starts_with("t="));
        assert_eq!(one.method, "POST");
    }
    let callback = server(&collector, "/oauth2/callback", 302).await;
    let spans = audits(&collector);
    let own = spans
        .iter()
        .find(|span| span.parent_id() == callback.span_id())
        .unwrap();
    assert_eq!(own.text("edgespan.audit.event"), Some("login"));
    assert_eq!(own.text("flow"), Some("login"));
    assert_eq!(login["span_id"], own.span_id().as_str());
}
