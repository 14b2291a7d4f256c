//! Refusals, as the audit tells them.

use super::{PARENT, TRACE, audits, log_in, server};
use crate::login::{SITE, World, world_with};
use crate::support::client::{request, send, with_body};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::until;
use edgespan::idp::Settings;
use serde_json::Value;

/// A world whose audit goes to a webhook, too.
async fn audited(further: &str) -> (World, Collector, Origin) {
    let (collector, hook) = (Collector::start().await, Origin::start().await);
    let login = format!(
        "login: {{webhook: {{url: 'http://{}/hook', secret: {{env: HOOK}}}}}}",
        hook.address
    );
    let world = world_with(further, Settings::default(), |setup| {
        let setup = setup.with(&login).variable("HOOK", "s3cret");
        setup.export_to(&collector)
    });
    (world.await, collector, hook)
}

/// The refusal with this reason that the webhook got, once it is there.
async fn refusal(hook: &Origin, reason: &str) -> Value {
    let found = || {
        let events = hook.received();
        let events = events.iter().map(|one| serde_json::from_slice(&one.body));
        let mut events = events.map(Result::<Value, _>::unwrap);
        events.find(|one| one["event"] == "refusal" && one["reason"] == reason)
    };
    until(&format!("a refusal by {reason}"), || found().is_some()).await;
    found().unwrap()
}

#[tokio::test]
async fn who_may_not_pass_is_told_of_with_route_policy_and_reason_and_by_no_name() {
    let (mut world, collector, hook) = audited(", require: {groups: [nobody-is-in-it]}").await;
    let url = format!("{SITE}/a?secret=s3cr3t");
    let page = world
        .browser
        .open_with(&url, &[("traceparent", PARENT)])
        .await;
    let page = world.browser.log_in(&page, "ada").await;
    assert_eq!(page.status(), 403, "{}", page.text());

    let told = refusal(&hook, "forbidden").await;

    assert_eq!(told["result"], "denied");
    assert_eq!(
        (&told["policy"], &told["route"]),
        (&"staff".into(), &"all".into())
    );
    assert_eq!(told["auth_method"], "oidc");
    assert_eq!(told["issuer"], world.provider.issuer());
    assert_eq!(told["host"], "app.example.com");
    assert_eq!(told["trace_id"], TRACE);
    let login = hook.received().iter().find_map(|one| {
        let event: Value = serde_json::from_slice(&one.body).unwrap();
        (event["event"] == "login").then_some(event)
    });
    assert_eq!(
        told["subject"],
        login.unwrap()["subject"],
        "the same person"
    );
    let text = told.to_string();
    // Three letters alone may be part of a digest.
    for secret in ["\"ada", "ada@", "s3cr3t", "eyJ", "/a"] {
        assert!(!text.contains(secret), "{text}");
    }
    until("its span", || {
        audits(&collector).iter().any(|span| {
            span.text("edgespan.audit.reason") == Some("forbidden")
                && span.text("edgespan.route") == Some("all")
                && span.text("edgespan.audit.event") == Some("refusal")
        })
    })
    .await;
}

#[tokio::test]
async fn a_program_without_a_session_is_refused_and_a_browser_that_is_sent_to_log_in_is_not() {
    let (mut world, _collector, hook) = audited("").await;

    world.browser.step(&format!("{SITE}/page")).await;
    world.browser.fetch(&format!("{SITE}/data"), &[]).await;

    let told = refusal(&hook, "no_credential").await;
    assert_eq!(told["policy"], "staff");
    assert_eq!(told.get("subject"), None);
    // Events leave in their order as far as they begin.
    assert_eq!(hook.received().len(), 1, "{:?}", hook.received());
}

#[tokio::test]
async fn while_the_provider_is_away_nobody_has_decided() {
    let (world, collector, hook) = audited("").await;
    let World {
        provider,
        origin: _origin,
        proxy: _proxy,
        mut browser,
    } = world;
    drop(provider);

    let page = browser.step(&format!("{SITE}/a")).await;

    assert_eq!(page.status(), 503, "{}", page.text());
    let told = refusal(&hook, "unavailable").await;
    assert_eq!(told["result"], "error");
    let refused = server(&collector, "/a", 503).await;
    assert_eq!(refused.text("edgespan.auth.decision"), Some("error"));
    assert_eq!(refused.text("edgespan.auth.reason"), Some("unavailable"));
}

/// A way back that this browser did not begin: its code is not redeemed, and somebody hears of it.
#[tokio::test]
async fn a_callback_that_nobody_here_waits_for_is_told_of() {
    let (mut world, _collector, hook) = audited("").await;
    let state = "A".repeat(32);

    let callback = format!("{SITE}/oauth2/callback?code=stolen&state={state}");
    world.browser.step(&callback).await;

    let told = refusal(&hook, "unknown_state").await;
    assert_eq!(told["result"], "denied");
    assert!(!told.to_string().contains("stolen"));
}

#[tokio::test]
async fn a_state_that_comes_again_is_told_of() {
    let (mut world, _collector, hook) = audited("").await;
    log_in(&mut world, "/a", &[]).await;
    let callback = world.browser.last("/oauth2/callback").clone();
    let cookies = callback.cookies.iter();
    let cookies: Vec<String> = cookies
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookies = cookies.join("; ");
    let target = format!("/oauth2/callback?{}", callback.url.query().unwrap());
    let fields = [
        ("host", "app.example.com"),
        ("x-forwarded-proto", "https"),
        ("cookie", &*cookies),
    ];

    send(world.proxy.address, request("GET", &target, &fields)).await;

    let told = refusal(&hook, "used_state").await;
    assert_eq!(told["policy"], "staff");
}

#[tokio::test]
async fn a_word_of_a_provider_that_is_none_is_told_of() {
    let (world, _collector, hook) = audited("").await;
    for (body, reason) in [("", "no_token"), ("logout_token=a.b.c", "nobodys_here")] {
        let asked = request("POST", "/oauth2/backchannel", &[]);
        let reply = send(world.proxy.address, with_body(asked, body.to_owned())).await;
        assert_eq!(reply.status, 400);

        let told = refusal(&hook, reason).await;
        assert_eq!(told["logout"], "back_channel");
        assert_eq!(told.get("policy"), None);
    }
    let front = "/oauth2/frontchannel?iss=https://other.example&sid=s";
    let fields = [("host", "app.example.com"), ("x-forwarded-proto", "https")];
    send(world.proxy.address, request("GET", front, &fields)).await;
    assert_eq!(refusal(&hook, "iss_sid").await["logout"], "front_channel");
}
