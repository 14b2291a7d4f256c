//! Authelia, by the very lines of docs/auth-forward.md, before a browser that comes over TLS.

use crate::support::authelia::{Authelia, COOKIE, PORTAL};
use crate::support::client::{Reply, Sending, request, send, send_over, with_body};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, text};
use crate::support::proxy::{Proxy, Setup};
use crate::tls::{Authority, connect_to};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use rcgen::CertificateParams;
use serde_json::json;
use std::sync::Mutex;

const PAGE: &str = include_str!("../../../docs/auth-forward.md");
const HTML: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);
/// A route that the page leaves to its reader, and one with a rule of edgespan's own.
const ROUTES: &str = "\
routes:
  - {name: admins, match: {host: app.example.com, prefix: /admin}, upstream: app, auth: sso, \
allow: '\"admins\" in identity.groups && identity.subject != \"\"'}
";

/// The example of the page: what stands under this heading, in its first block of YAML.
fn documented(heading: &str) -> &'static str {
    let section = PAGE.split_once(heading).expect("the section").1;
    let block = section.split_once("```yaml\n").expect("an example").1;
    block.split_once("```").expect("its end").0
}

struct Site {
    authelia: Authelia,
    origin: Origin,
    collector: Collector,
    proxy: Proxy,
    authority: Authority,
    /// What the browser keeps for all of `example.com`.
    session: Mutex<Option<String>>,
}

impl Site {
    async fn documented() -> Self {
        Self::with(|example| example).await
    }

    /// The same, with the example changed.
    async fn with(change: impl Fn(String) -> String) -> Self {
        let (authelia, origin) = (Authelia::start().await, Origin::start().await);
        let (collector, authority) = (Collector::start().await, Authority::new());
        let names = ["app.example.com", "auth.example.com"].map(str::to_owned);
        let signed = authority.sign_as("site", &CertificateParams::new(names).unwrap());
        let app = "upstreams:\n  app: {endpoints: [\"http://${origin}\"]}\n";
        let text = change(documented("## Authelia\n").to_owned())
            .replace("127.0.0.1:9091", "${authelia}")
            .replace("upstreams:\n", app)
            .replace("routes:\n", ROUTES);
        let proxy = Setup::new(&text)
            .with(&format!(
                "listeners: {{web: {{address: '127.0.0.1:0', tls: {{certificates: \
                 [{{chain: '{}', key: '{}'}}]}}}}, plain: {{address: '127.0.0.1:0'}}}}",
                signed.chain.display(),
                signed.key.display()
            ))
            .origin(&origin)
            .fill("authelia", &authelia.origin.address.to_string())
            .export_to(&collector)
            .start()
            .await;
        Self {
            authelia,
            origin,
            collector,
            proxy,
            authority,
            session: Mutex::default(),
        }
    }

    /// One request of the browser, with the cookie that it has.
    async fn ask(&self, host: &str, mut request: Request<Sending>) -> Reply {
        let headers = request.headers_mut();
        headers.insert("host", host.parse().unwrap());
        if let Some(session) = &*self.session.lock().unwrap() {
            let line = format!("theme=dark; {COOKIE}={session}");
            headers.insert("cookie", line.parse().unwrap());
        }
        let to = self.proxy.listener("web");
        let name = host.to_lowercase();
        let name = name.trim_end_matches(":443").trim_end_matches('.');
        let stream = connect_to(&self.authority, to, name, &[]).await;
        let reply = send_over(stream, request).await;
        for line in reply.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let value = line
                .strip_prefix(&format!("{COOKIE}="))
                .expect("its cookie");
            assert!(line.contains("; domain=example.com; HttpOnly; secure"));
            let value = value.split(';').next().unwrap();
            *self.session.lock().unwrap() = Some(value.to_owned());
        }
        reply
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask("app.example.com", request("GET", target, headers))
            .await
    }

    /// What the portal's page sends when somebody has filled it in.
    async fn sign_in(&self, name: &str, password: &str, target: &str) -> Reply {
        let said = json!({
            "username": name, "password": password, "keepMeLoggedIn": false,
            "targetURL": target, "requestMethod": "GET",
        });
        let request = request("POST", "/api/firstfactor", &[]);
        let request = with_body(request, said.to_string());
        self.ask("auth.example.com", request).await
    }
}

/// What the redirect to the portal says under a name.
fn said(location: &str, name: &str) -> String {
    let query = location.strip_prefix(PORTAL).expect("the portal, absolute");
    let query = query.strip_prefix('?').unwrap();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(key, _)| key == name).expect("the parameter");
    found.1.into_owned()
}

#[tokio::test]
async fn the_pages_own_lines_sign_a_browser_in_and_tell_the_origin_who_it_is() {
    let site = Site::documented().await;

    let sent_off = site.get("/a?b=c%20d&e", &[HTML]).await;
    assert_eq!(sent_off.status, 302);
    let location = sent_off.header("location").unwrap();
    assert_eq!(said(location, "rd"), "https://app.example.com/a?b=c%20d&e");
    assert_eq!(said(location, "rm"), "GET");
    assert!(site.origin.received().is_empty());
    let edges = site.collector.next_edges().await;
    let decision = edges.server().text("edgespan.auth.decision");
    assert_eq!(decision, Some("redirect"));

    let target = location.strip_prefix("https://auth.example.com").unwrap();
    let portal = site
        .ask("auth.example.com", request("GET", target, &[HTML]))
        .await;
    assert!(portal.text().contains("Login - Authelia"));
    let wrong = site.sign_in("john", "wrong", "").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.header("set-cookie")),
        (401, None)
    );
    let signed_in = site
        .sign_in("john", "correct horse", &said(location, "rd"))
        .await;
    let back = signed_in.json()["data"]["redirect"]
        .as_str()
        .unwrap()
        .to_owned();

    let target = back.strip_prefix("https://app.example.com").unwrap();
    let spoofs = [
        HTML,
        ("remote-user", "mallory"),
        ("Remote_User", "mallory"),
        ("remote_groups", "mallory"),
        ("remote-email", "mallory"),
        ("remote-name", "mallory"),
        ("connection", "close, remote-user"),
    ];
    let page = site.get(target, &spoofs).await;

    assert_eq!((page.status.as_u16(), &*page.text()), (200, "hello"));
    assert!(page.header("set-cookie").unwrap().starts_with(COOKIE));
    let sent = site.origin.sole();
    assert_eq!(sent.uri, "/a?b=c%20d&e");
    assert_eq!(sent.one("remote-user"), "john");
    assert_eq!(sent.one("remote-groups"), "admins,dev");
    assert_eq!(sent.one("remote-name"), "John Doe");
    assert_eq!(sent.one("remote-email"), "john@example.com");
    assert!(!format!("{:?}", sent.headers).contains("mallory"));
    site.authelia.forget();
    assert_eq!(site.get("/a", &[HTML]).await.status, 302);
}

#[tokio::test]
async fn a_visitor_gets_what_a_browser_or_a_program_can_use() {
    let site = Site::documented().await;
    let script = ("x-requested-with", "XMLHttpRequest");
    for (method, headers, status) in [
        ("GET", &[HTML][..], 302),
        ("HEAD", &[HTML], 302),
        ("OPTIONS", &[HTML], 302),
        ("POST", &[HTML], 303),
        ("PUT", &[HTML], 303),
        ("DELETE", &[HTML], 303),
        ("GET", &[("accept", "*/*")], 302),
        ("GET", &[HTML, script], 401),
        ("GET", &[("accept", "application/json")], 401),
        ("GET", &[], 401),
    ] {
        let asked = request(method, "/a", headers);
        let reply = site.ask("app.example.com", asked).await;

        assert_eq!(reply.status, status, "{method} {headers:?}");
        let location = reply.header("location").unwrap();
        assert_eq!(said(location, "rd"), "https://app.example.com/a");
        assert_eq!(said(location, "rm"), method);
    }
    assert!(site.origin.received().is_empty());
}

#[tokio::test]
async fn where_authelia_names_nobody_nobody_is_named() {
    let site = Site::documented().await;

    let reply = site
        .get(
            "/public",
            &[("remote-user", "mallory"), ("REMOTE_GROUPS", "mallory")],
        )
        .await;

    assert_eq!(reply.status, 200);
    let sent = site.origin.sole();
    assert!(!format!("{:?}", sent.headers).contains("mallory"));
    assert!(sent.all("remote-user").is_empty());
}

#[tokio::test]
async fn groups_decide_at_authelia_and_in_allow() {
    for (name, password, finance, admin) in [
        ("john", "correct horse", 200, 200),
        ("harry", "battery", 403, 403),
    ] {
        let site = Site::documented().await;
        site.sign_in(name, password, "").await;

        assert_eq!(
            site.get("/finance", &[HTML]).await.status,
            finance,
            "{name}"
        );
        assert_eq!(site.get("/admin", &[HTML]).await.status, admin, "{name}");
        assert_eq!(site.get("/", &[HTML]).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_visitor_cannot_say_what_authelia_is_asked_about() {
    let site = Site::documented().await;
    let lies = [
        HTML,
        ("x-forwarded-uri", "/public"),
        ("X_Forwarded_Uri", "/public"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-host", "auth.example.com"),
        ("x-original-url", "https://app.example.com/public"),
        ("x-authelia-url", "https://evil.example.com/"),
    ];

    let reply = site.get("/private", &lies).await;

    assert_eq!(reply.status, 302);
    let location = reply.header("location").unwrap();
    assert_eq!(said(location, "rd"), "https://app.example.com/private");
    assert_eq!(said(location, "rm"), "GET");
}

/// CVE-2026-48794: a rule for a host was missed by a host in capitals.
#[tokio::test]
async fn a_host_in_capitals_is_asked_about_as_the_rules_write_it() {
    let site = Site::documented().await;

    for host in ["APP.example.COM", "app.example.com.", "app.example.com:443"] {
        let reply = site.ask(host, request("GET", "/a", &[HTML])).await;

        let location = reply.header("location").unwrap_or_default();
        assert_eq!(said(location, "rd"), "https://app.example.com/a", "{host}");
    }
}

#[tokio::test]
async fn a_target_over_plain_http_is_refused_as_the_page_says() {
    let site = Site::documented().await;

    let reply = send(site.proxy.listener("plain"), request("GET", "/a", &[HTML])).await;

    assert_eq!(reply.status, 400);
    assert!(site.origin.received().is_empty());
}

#[tokio::test]
async fn a_program_signs_in_with_basic_credentials() {
    let site = Site::documented().await;
    for (pair, status) in [("harry:battery", 200), ("harry:horse", 401)] {
        let line = format!("Basic {}", STANDARD.encode(pair));

        let reply = site.get("/", &[("authorization", &line)]).await;

        assert_eq!(reply.status, status);
        assert_eq!(
            reply.headers.contains_key("www-authenticate"),
            status == 401
        );
    }
    let sent = site.origin.sole();
    assert_eq!(
        (sent.one("remote-user"), sent.one("remote-email")),
        ("harry".into(), String::new())
    );
}

#[tokio::test]
async fn its_other_endpoints_answer_as_the_table_says() {
    let envoy = "dialect: envoy\n      request_headers: \
                 [accept, authorization, cookie, x-requested-with]";
    for (path, dialect, status, target) in [
        ("authz/ext-authz/", envoy, 302, "https://app.example.com/a"),
        (
            "authz/auth-request",
            "dialect: auth_request",
            401,
            "https://app.example.com/a?b=c",
        ),
        ("verify", "dialect: auth_request", 401, ""),
        ("verify", "dialect: traefik", 401, ""),
        (
            "verify?rd=https://auth.example.com/",
            "dialect: traefik",
            302,
            "https://app.example.com/a?b=c",
        ),
    ] {
        let change = |example: String| {
            example
                .replace("authz/forward-auth", path)
                .replace("dialect: traefik", dialect)
        };
        let site = Site::with(change).await;

        let reply = site.get("/a?b=c", &[HTML]).await;

        assert_eq!(reply.status, status, "{path} {dialect}");
        match reply.header("location") {
            Some(location) => assert_eq!(said(location, "rd"), target, "{path}"),
            None => assert_eq!("", target, "{path}"),
        }
        let script = ("x-requested-with", "XMLHttpRequest");
        assert_eq!(site.get("/a", &[HTML, script]).await.status, 401);
        site.sign_in("john", "correct horse", "").await;
        assert_eq!(site.get("/a?b=c", &[HTML]).await.status, 200, "{path}");
        assert_eq!(site.origin.sole().one("remote-groups"), "admins,dev");
    }
}

#[tokio::test]
async fn an_authelia_that_is_broken_lets_nobody_in() {
    let broken = Origin::answering(|_| text(500, "")).await;
    let address = broken.address.to_string();
    let site =
        Site::with(move |example| example.replace("127.0.0.1:9091/api", &format!("{address}/api")))
            .await;
    *site.session.lock().unwrap() = Some("0".repeat(32));

    assert_eq!(site.get("/public", &[HTML]).await.status, 503);
    assert!(site.origin.received().is_empty());
}
