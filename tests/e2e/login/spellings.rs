//! Who is not logged in, and tries it in other words: spellings of paths, hosts and cookies that one
//! part of a proxy might read differently from another.

use super::{SITE, World, cookie_line, world, world_with};
use crate::support::client::{get, raw, request, send};
use crate::support::origin::Received;
use crate::support::proxy::Setup;
use edgespan::idp::{Endpoint, Settings};

/// A world where `/public` is open to everybody, and all else is not.
async fn half_open() -> World {
    let open = |setup: Setup| {
        let more = "auth: staff}, {name: open, match: {prefix: /public}, upstream: origin}]";
        setup.replace("auth: staff}]", more)
    };
    world_with("", Settings::default(), open).await
}

/// Whether a request that reached the origin is one that anybody may make, as the laxest of origins
/// reads its path.
fn is_open(received: &Received) -> bool {
    let path = received.uri.path().to_ascii_lowercase();
    let path = path.replace("%2e", ".").replace("%2f", "/");
    let path = path.replace(['\\'], "/").replace("%5c", "/");
    let mut segments = path.split('/').map(|one| one.split(';').next().unwrap());
    path.starts_with("/public") && segments.all(|one| one != ".." && one != ".")
}

/// CVE-2023-33189: a request so made that it was authorized as another one than it was. And
/// CVE-2026-33494's like, with the paths of logins, which need no session, in front.
#[tokio::test]
async fn no_spelling_of_a_path_leads_past_a_login() {
    let world = half_open().await;
    let in_front = [
        "/public",
        "/oauth2",
        "/oauth2/callback",
        "/oauth2/start",
        "/oauth2/userinfo",
        "/.well-known",
    ];
    let behind = [
        "/../secret",
        "/..;/secret",
        "/..;a=b/secret",
        "/.;/../secret",
        "/%2e%2e/secret",
        "/%2E./secret",
        "/..%2fsecret",
        "/..%5csecret",
        "%2f..%2fsecret",
        "//../secret",
        "/../../secret",
        "\\..\\secret",
        "/%00/../secret",
        "#/../secret",
        "/%252e%252e/secret",
    ];
    let mut targets: Vec<String> = in_front
        .iter()
        .flat_map(|one| behind.iter().map(move |other| format!("{one}{other}")))
        .collect();
    let plain = [
        "/secret",
        "//secret",
        "/secret?/public",
        "/secret;/public",
        "/PUBLIC/a",
        "/%50ublic/a",
        "//public",
        "/oauth2//callback",
        "/oauth2/callback/",
        "/oauth2/callback;a",
        "/oauth2;/callback",
        "/OAuth2/callback",
        "/oauth2%2fcallback",
        "/oauth2/Userinfo",
        "http://app.example.com/secret",
        "http://other.example.com/secret",
        "http://app.example.com/public/../secret",
        "http://app.example.com@evil.example/secret",
        "https://app.example.com/secret",
        "//app.example.com/secret",
        "secret",
        "*",
    ];
    targets.extend(plain.map(str::to_owned));

    for target in &targets {
        let asked = format!(
            "GET {target} HTTP/1.1\r\nhost: app.example.com\r\nx-forwarded-proto: https\r\n\
             connection: close\r\n\r\n"
        );
        let answer = raw(world.proxy.address, asked.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(status != "101" && status != "500", "{target}: {answer}");
    }

    let received = world.origin.received();
    let passed = received.iter().filter(|one| !is_open(one));
    let passed: Vec<_> = passed.map(|one| one.uri.to_string()).collect();
    assert!(passed.is_empty(), "{passed:?}");
}

#[tokio::test]
async fn no_other_host_and_no_other_field_leads_past_a_login() {
    let world = half_open().await;
    let further = [
        "x-original-url: /public\r\n",
        "x-rewrite-url: /public\r\n",
        "x-forwarded-uri: /public\r\n",
        "x-forwarded-prefix: /public\r\n",
        "x-http-method-override: OPTIONS\r\n",
        "x-forwarded-host: other.example.com\r\n",
        "x-forwarded-user: ada\r\n",
        "x-remote-user: ada\r\n",
        "authorization: Bearer e30.e30.\r\n",
        "cookie: edgespan-staff=x; __host-edgespan-staff=x\r\n",
        "connection: cookie, authorization\r\n",
        "forwarded: host=other.example.com\r\n",
    ];
    for host in ["app.example.com", "APP.example.com.", "127.0.0.1", "a.b"] {
        for field in further {
            let asked = format!(
                "GET /secret HTTP/1.1\r\nhost: {host}\r\nx-forwarded-proto: https\r\n{field}\
                 connection: close\r\n\r\n"
            );
            let answer = raw(world.proxy.address, asked.as_bytes()).await;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(["400", "401"].contains(&status), "{host} {field}: {answer}");
        }
    }
    assert!(world.origin.received().is_empty());
}

/// A callback belongs to a browser by its cookie, not to a host by its name.
#[tokio::test]
async fn a_callback_under_another_host_redeems_nothing_without_the_cookie_of_its_own() {
    let mut world = world("").await;
    world.browser.open(&format!("{SITE}/a")).await;
    let cookies = cookie_line(&world.browser);
    let flow = cookies.split("edgespan-flow-").nth(1).unwrap();
    let id = flow.split('=').next().unwrap();
    for (host, cookie) in [
        ("evil.example", ""),
        ("evil.example", &*cookies.replace("__Host-", "")),
        ("evil.example", &cookies.replace("__Host-", "__Secure-")),
        ("app.example.com", &cookies.replace(id, "AAAAAAAA")),
        ("app.example.com", &format!("{cookies}; {cookies}")),
    ] {
        let state = format!("{id}{}", "A".repeat(24));
        let target = format!("/oauth2/callback?code=stolen&state={state}");
        let fields = [
            ("host", host),
            ("x-forwarded-proto", "https"),
            ("cookie", cookie),
        ];
        let reply = get(world.proxy.address, &target, &fields).await;
        assert!(
            reply.status.is_redirection() || reply.status.is_client_error(),
            "{host}: {}",
            reply.status
        );
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
}

/// Of two cookies with one name some servers take the first, some the last: here it is neither, so
/// that nobody who can plant one chooses.
#[tokio::test]
async fn a_session_beside_another_cookie_of_its_name_is_none_in_either_order() {
    let mut world = world("").await;
    assert_eq!(world.log_in("/a").await.status(), 200);
    let cookies = world.browser.cookies(SITE);
    let value = |name: &str| {
        let mut all = cookies.iter();
        all.find(|(own, _)| own == name).unwrap().1.clone()
    };
    let name = "__Host-edgespan-staff";
    let session = value(name);
    let (own, piece) = (format!("{name}={session}"), format!("{name}.0=2.AAAA"));
    let (front, back) = session.split_at(session.len() / 2);
    let before = world.origin.received().len();
    for cookie in [
        format!("{own}; {name}=A"),
        format!("{name}=A; {own}"),
        format!("{own}; {own}"),
        format!("{own}; {name}="),
        format!("{own}; {piece}"),
        format!("{piece}; {own}"),
        // Pieces with a gap, out of number, or more than there are.
        format!("{name}.0=2.{front}"),
        format!("{name}.1={back}"),
        format!("{name}.0=3.{front}; {name}.2={back}"),
        format!("{name}.0=1.{session}"),
        format!("{name}.0=9.{front}; {name}.1={back}"),
        format!("{name}.0=2.{front}; {name}.1={back}; {name}.1={back}"),
        // Of another purpose, of another policy, and of another scheme.
        format!("{name}={}", value("__Host-edgespan-tries")),
        format!("__Host-edgespan-guests={session}"),
        format!("edgespan-staff={session}"),
        format!("__Secure-edgespan-staff={session}"),
        format!("__host-edgespan-staff={session}"),
        format!("$Version=1, {own}"),
        format!("x=\"; {own}\""),
    ] {
        let fields = [("cookie", &*cookie), ("x-forwarded-proto", "https")];
        let reply = get(world.proxy.address, "/b", &fields).await;
        assert_eq!(reply.status, 401, "{cookie}");
    }
    assert_eq!(world.origin.received().len(), before);
    let whole = format!("{name}.0=2.{front}; {name}.1={back}");
    let fields = [("cookie", &*whole), ("x-forwarded-proto", "https")];
    assert_eq!(get(world.proxy.address, "/b", &fields).await.status, 200);
}

/// CVE-2026-50285, CVE-2024-24814: what a browser brings back is held to its bound before anything is
/// made of it. Nothing is packed, so that nothing is unpacked.
#[tokio::test]
async fn whatever_is_too_large_to_be_ours_ends_with_a_refusal() {
    let mut world = world("").await;
    world.browser.open(&format!("{SITE}/a")).await;
    let id = "AAAAAAAA";
    let state = format!("{id}{}", "A".repeat(24));
    for (state, cookie) in [
        ("A".repeat(7_000), String::new()),
        (
            state.clone(),
            format!("__Host-edgespan-flow-{id}={}", "A".repeat(9_000)),
        ),
        (
            state.clone(),
            format!("__Host-edgespan-staff={}", "A".repeat(20_000)),
        ),
        (
            state.clone(),
            (0..400)
                .map(|at| format!("__Host-edgespan-flow-{at:08}=A; "))
                .collect(),
        ),
        (
            state,
            (0..300)
                .map(|at| format!("__Host-edgespan-staff.{at}=9.A; "))
                .collect(),
        ),
    ] {
        let target = format!("/oauth2/callback?code=a&state={state}");
        let fields = [("cookie", &*cookie), ("x-forwarded-proto", "https")];
        let asked = request("GET", &target, &fields);
        let reply = send(world.proxy.address, asked).await;
        let status = reply.status.as_u16();
        assert!(matches!(status, 302 | 400 | 414 | 431), "{status}");
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    assert_eq!(world.log_in("/b").await.status(), 200, "and it goes on");
}

#[tokio::test]
async fn a_websocket_without_a_session_that_counts_is_not_opened() {
    let world = world("").await;
    for cookie in ["", "__Host-edgespan-staff=AAAA", "edgespan-staff=AAAA"] {
        let fields = [
            ("x-forwarded-proto", "https"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("accept", "text/html"),
            ("cookie", cookie),
        ];
        let reply = get(world.proxy.address, "/live", &fields).await;
        assert_eq!(reply.status, 401, "{cookie}");
    }
    assert!(world.origin.received().is_empty());
}

/// A cookie of the application beside ours, in letters beyond ASCII.
#[tokio::test]
async fn whatever_other_cookies_hold_somebody_can_log_in() {
    let mut world = world("").await;
    assert!(world.browser.set_cookie(SITE, "name=Jos\u{e9}; Path=/"));

    let page = world.log_in("/a").await;

    assert_eq!(page.status(), 200, "{:?}", world.browser.paths());
    assert_eq!(world.origin.sole().all("cookie"), ["name=Jos\u{e9}"]);
}
