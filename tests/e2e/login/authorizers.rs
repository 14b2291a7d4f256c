//! Others that see a request beside its origin: whoever has one of our cookies has the session, so
//! none of them does.

use super::{SITE, World, world_with};
use crate::ext_authz::{allowing, authorizer, question};
use crate::support::origin::{Origin, Received, text};
use crate::support::proxy::Setup;
use crate::support::until;
use edgespan::auth::ext_authz::messages::OkHttpResponse;
use edgespan::idp::Settings;

/// A world whose route asks this authorizer, too, and copies requests to a shadow.
async fn beside(dialect: &str, asked: &Origin, shadow: &Origin) -> World {
    let forward = format!(
        "auth: {{asked: {{forward: {{url: 'http://{}/auth', timeout: 5s, dialect: {dialect}, \
         request_headers: ['*']}}}}, staff:",
        asked.address
    );
    // One over gRPC has no path.
    let forward = if dialect == "grpc" {
        forward.replace("/auth'", "'")
    } else {
        forward
    };
    let shadow = format!(
        "upstreams: {{shadow: {{endpoints: ['http://{}']}}, origin:",
        shadow.address
    );
    let change = |setup: Setup| {
        setup
            .replace("auth: {staff:", &forward)
            .replace("upstreams: {origin:", &shadow)
            .replace(
                "auth: staff}]",
                "auth: [{all: [staff, asked]}], mirror: {upstream: shadow}}]",
            )
    };
    world_with("", Settings::default(), change).await
}

/// Logs in, has cookies of every kind, and opens a page: what an authorizer was asked with then.
async fn opened(world: &mut World, asked: &Origin) -> Received {
    assert_eq!(world.log_in("/a").await.status(), 200);
    let browser = &mut world.browser;
    for line in [
        "theme=dark; Path=/",
        "__Host-edgespan-flow-AAAAAAAA=f; Path=/; Secure",
        "__Host-edgespan-ticket-AAAAAAAAAAAAAA=t; Path=/; Secure",
        "__Secure-edgespan-other=o; Path=/; Secure",
        "edgespan-staff=s; Path=/",
    ] {
        assert!(browser.set_cookie(SITE, line), "{line}");
    }
    assert_eq!(browser.step(&format!("{SITE}/b")).await.status(), 200);
    asked.received().pop().expect("a question")
}

#[tokio::test]
async fn no_authorizer_over_http_sees_a_cookie_of_a_login() {
    for dialect in ["auth_request", "traefik", "envoy"] {
        let asked = Origin::answering(|_| text(200, "")).await;
        let shadow = Origin::start().await;
        let mut world = beside(dialect, &asked, &shadow).await;

        let question = opened(&mut world, &asked).await;

        assert_eq!(question.all("cookie"), ["theme=dark"], "{dialect}");
        let whole = format!("{:?}", asked.received());
        assert!(!whole.contains("edgespan-staff"), "{dialect}: {whole}");
    }
}

#[tokio::test]
async fn no_authorizer_over_grpc_sees_a_cookie_of_a_login() {
    let asked = authorizer(|_| allowing(OkHttpResponse::default())).await;
    let shadow = Origin::start().await;
    let mut world = beside("grpc", &asked, &shadow).await;

    let received = opened(&mut world, &asked).await;

    let http = question(&received).request.unwrap().http.unwrap();
    assert_eq!(http.headers["cookie"], "theme=dark");
    assert!(!format!("{http:?}").contains("edgespan-"), "{http:?}");
}

#[tokio::test]
async fn no_shadow_sees_a_cookie_of_a_login() {
    let asked = Origin::answering(|_| text(200, "")).await;
    let shadow = Origin::start().await;
    let mut world = beside("traefik", &asked, &shadow).await;

    opened(&mut world, &asked).await;

    until("the copy", || shadow.received().len() == 2).await;
    let copies = shadow.received();
    let last = copies.iter().find(|copy| copy.uri.path() == "/b");
    assert_eq!(last.unwrap().all("cookie"), ["theme=dark"]);
    let whole = format!("{copies:?}");
    assert!(!whole.contains("edgespan-"), "{whole}");
}
