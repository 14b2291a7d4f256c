//! Who a client is cannot be said by the client, whatever it sends; and what was proved of it
//! reaches the origin whole. The classes of mistakes that other proxies made are named tests here.

use crate::support::client::{Reply, get, raw, request, send_h2, with_stream};
use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Received, with_headers};
use crate::support::proxy::{Proxy, Setup};
use http::HeaderMap;
use http_body::Frame;

/// An authorizer, an origin, and a proxy that asks the one before the other.
pub struct Scene {
    pub origin: Origin,
    pub authorizer: Origin,
    pub collector: Collector,
    pub proxy: Proxy,
}

/// Whoever shows `letmein` is Ada.
fn ada(asked: &Received) -> Answer {
    if asked
        .headers
        .get("authorization")
        .is_some_and(|value| value == "letmein")
    {
        let told = [("x-auth-user", "ada"), ("x-auth-groups", "ops,admins")];
        with_headers(200, &told, "")
    } else {
        with_headers(401, &[("www-authenticate", "Basic")], "who are you?")
    }
}

/// With policy `legacy`, which asks the authorizer, and these lines.
pub async fn scene(lines: &str) -> Scene {
    let (origin, authorizer) = (Origin::start().await, Origin::answering(ada).await);
    let collector = Collector::start().await;
    let policy = "{url: 'http://${authorizer}/auth', identity_headers: [x-auth-user], \
                  request_headers: [authorization, x-tag], \
                  identity: {subject: x-auth-user, groups: x-auth-groups}}";
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth: {{legacy: {{forward: {policy}}}, shadow: {{ip: [192.0.2.0/24], shadow: true}}}}\n\
         {lines}\n"
    ))
    .origin(&origin)
    .fill("authorizer", &authorizer.address.to_string())
    .export_to(&collector)
    .start()
    .await;
    Scene {
        origin,
        authorizer,
        collector,
        proxy,
    }
}

/// A guarded route and an open one, and headers made of the identity.
const HEADERS: &str = "identity: {headers: {x-user: subject, x-groups: groups, x-by: proof}}\n\
     routes:\n\
     - {name: open, match: {prefix: /open}, upstream: origin}\n\
     - {name: all, match: {prefix: /}, upstream: origin, auth: legacy}";

impl Scene {
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        get(self.proxy.address, path, headers).await
    }

    /// What the origin got last.
    pub fn got(&self) -> Received {
        self.origin
            .received()
            .pop()
            .expect("a request at the origin")
    }
}

/// The values that a server sees which reads all punctuation of names alike (CGI, WSGI, PHP).
pub fn folded(headers: &HeaderMap, name: &str) -> Vec<String> {
    let fold = |name: &str| {
        let fold = |one: char| {
            if one.is_ascii_alphanumeric() {
                one
            } else {
                '_'
            }
        };
        name.to_ascii_uppercase()
            .chars()
            .map(fold)
            .collect::<String>()
    };
    let meant = headers
        .iter()
        .filter(|(one, _)| fold(one.as_str()) == fold(name));
    meant
        .map(|(_, value)| value.to_str().unwrap().to_owned())
        .collect()
}

const SPELLINGS: [&str; 5] = ["x-user", "X-User", "X_User", "x.user", "x~user"];

#[tokio::test]
async fn what_was_proved_becomes_headers() {
    let scene = scene(HEADERS).await;

    let reply = scene.get("/", &[("authorization", "letmein")]).await;

    let got = scene.got();
    assert_eq!(reply.status, 200);
    assert_eq!(got.one("x-user"), "ada");
    assert_eq!(got.one("x-groups"), "ops,admins");
    assert_eq!(got.one("x-by"), "forward");
    assert_eq!(got.one("x-auth-user"), "ada");
}

/// CVE-2025-64484, CVE-2026-39858, CVE-2026-54763, CVE-2026-52845: an alias survives stripping.
#[tokio::test]
async fn no_spelling_of_an_identity_header_survives_beside_ours() {
    let scene = scene(HEADERS).await;
    for spelling in SPELLINGS {
        let sent = [
            (spelling, "mallory"),
            (spelling, "mallory"),
            ("x_auth_user", "mallory"),
            ("authorization", "letmein"),
        ];

        scene.get("/", &sent).await;
        let guarded = scene.got();
        scene.get("/open", &sent).await;
        let open = scene.got();

        assert_eq!(folded(&guarded.headers, "x-user"), ["ada"], "{spelling}");
        assert_eq!(folded(&guarded.headers, "x-auth-user"), ["ada"]);
        for name in ["x-user", "x-auth-user"] {
            assert_eq!(folded(&open.headers, name), [""; 0], "{spelling}: {name}");
        }
    }
    let asked = scene.authorizer.received();
    let claims = asked
        .iter()
        .flat_map(|asked| folded(&asked.headers, "x-user"));
    assert_eq!(claims.count(), 0, "nor does the authorizer see it");
}

/// CVE-2026-30851: an authorizer that does not tell a name leaves the client's own.
#[tokio::test]
async fn a_name_that_nobody_told_is_absent_and_not_the_clients() {
    let (origin, authorizer) = (Origin::start().await, Origin::start().await);
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         identity: {headers: {x-user: subject}}\n\
         auth: {legacy: {forward: {url: 'http://${authorizer}', identity_headers: [x-auth-*]}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin, auth: legacy}]\n",
    )
    .origin(&origin)
    .fill("authorizer", &authorizer.address.to_string())
    .start()
    .await;
    let sent = [
        ("x-user", "mallory"),
        ("x-auth-user", "mallory"),
        ("x_auth_groups", "admins"),
    ];

    let reply = get(proxy.address, "/", &sent).await;

    assert_eq!(reply.status, 200);
    for name in ["x-user", "x-auth-user", "x-auth-groups"] {
        assert_eq!(folded(&origin.sole().headers, name), [""; 0], "{name}");
    }
}

/// CVE-2024-45410, CVE-2025-48865: what `Connection` names is deleted as hop-by-hop.
#[tokio::test]
async fn connection_nominates_no_identity_away() {
    let scene = scene(HEADERS).await;
    let nominations = "keep-alive, X-User, x-groups, X-Auth-User, x-forwarded-for, traceparent";
    let sent = [
        ("connection", nominations),
        ("x-user", "mallory"),
        ("authorization", "letmein"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];

    scene.get("/", &sent).await;

    let got = scene.got();
    assert_eq!(got.one("x-user"), "ada");
    assert_eq!(got.one("x-groups"), "ops,admins");
    assert_eq!(got.one("x-auth-user"), "ada");
    assert_eq!(got.one("x-forwarded-for"), "127.0.0.1");
    assert!(
        got.one("traceparent")
            .contains("0af7651916cd43dd8448eb211c80319c")
    );
}

/// GHSA-6384-m2mw-rf54: some field of the family is passed on though nobody trusts its sender.
#[tokio::test]
async fn what_a_stranger_says_it_forwards_reaches_neither_authorizer_nor_origin() {
    let scene = scene(HEADERS).await;
    let mut sent = vec![("authorization", "letmein")];
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-uri",
        "x-forwarded-method",
        "x-forwarded-user",
        "x_forwarded_user",
        "x-original-url",
        "x-original-method",
        "forwarded",
        "x-real-ip",
    ] {
        sent.push((name, "evil.example"));
    }

    scene.get("/", &sent).await;

    let (asked, got) = (scene.authorizer.sole(), scene.got());
    for headers in [&asked.headers, &got.headers] {
        for (name, value) in headers {
            assert!(!value.as_bytes().starts_with(b"evil"), "{name}");
        }
    }
}

/// CVE-2021-32777, CVE-2021-32779: the authorizer sees the last of several fields, and a fragment
/// is read by one and not by the other.
#[tokio::test]
async fn authorizer_and_origin_see_the_same_list_and_nobody_a_fragment() {
    let scene = scene(HEADERS).await;
    let sent = [
        ("authorization", "letmein"),
        ("x-tag", "a"),
        ("x-tag", "b"),
        ("x-tag", "c"),
    ];

    scene.get("/", &sent).await;
    let address = scene.proxy.address;
    let (asked, got) = (scene.authorizer.sole(), scene.got());
    let line = "GET /open#/../admin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    raw(address, line.as_bytes()).await;

    assert_eq!(asked.all("x-tag"), ["a", "b", "c"]);
    assert_eq!(got.all("x-tag"), ["a", "b", "c"]);
    // What stands behind `#` is gone before a route is looked for.
    assert_eq!(scene.got().uri, "/open");
}

/// CVE-2025-54576, CVE-2026-34457: a query or a user agent chooses the rule.
#[tokio::test]
async fn neither_query_nor_user_agent_opens_a_guarded_path() {
    let scene = scene(HEADERS).await;
    for (path, agent) in [
        ("/admin?x=/open", "curl"),
        ("/admin?/open/", "curl"),
        ("/admin", "kube-probe/1.30"),
        ("/admin", "GoogleHC/1.0"),
    ] {
        let reply = scene.get(path, &[("user-agent", agent)]).await;

        assert_eq!(reply.status, 401, "{path}");
    }
    assert!(scene.origin.received().is_empty());
}

/// CVE-2026-33494: `/public/../admin` is taken for what begins with `/public`.
#[tokio::test]
async fn no_way_of_writing_a_path_leads_round_its_policy() {
    let scene = scene(HEADERS).await;
    for path in [
        "/open/../admin",
        "/open/%2e%2e/admin",
        "/open/.%2E/admin",
        "/open//../admin",
        "/open/..;/admin",
        "/open%2f..%2fadmin",
        "/%6fpen/../admin",
        "/open/..%5cadmin",
    ] {
        let sent = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");

        let answer = raw(scene.proxy.address, sent.as_bytes()).await;

        let refused = ["HTTP/1.1 400", "HTTP/1.1 401"].iter();
        assert!(
            refused.clone().any(|line| answer.starts_with(line)),
            "{path}: {answer}"
        );
    }
    assert!(scene.origin.received().is_empty());
}

/// CVE-2026-48794: a host in other letters misses its rule.
#[tokio::test]
async fn a_host_is_one_host_however_it_is_written() {
    let scene = scene(
        "routes:\n\
         - {name: admin, match: {host: a.example.com}, upstream: origin, auth: legacy}\n\
         - {name: rest, upstream: origin}",
    )
    .await;
    for host in [
        "a.example.com",
        "a.EXAMPLE.com",
        "A.Example.Com:8080",
        "a.example.com.",
    ] {
        let reply = scene.get("/", &[("host", host)]).await;

        assert!(
            [400, 401].contains(&reply.status.as_u16()),
            "{host}: {}",
            reply.status
        );
    }
    assert!(scene.origin.received().is_empty());
}

/// CVE-2024-47070: an address that cannot be read lets the policy be skipped.
#[tokio::test]
async fn an_address_that_is_none_does_not_skip_a_policy() {
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "listeners: {web: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}}\n\
         upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         auth: {office: {ip: [10.0.0.0/8]}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin, auth: office}]\n",
    )
    .origin(&origin)
    .start()
    .await;
    for address in [
        "a",
        "",
        "10.0.0.1.",
        "10.0.0.1, a",
        "010.0.0.1",
        "[10.0.0.1",
    ] {
        let reply = get(proxy.address, "/", &[("x-forwarded-for", address)]).await;

        assert_eq!(reply.status, 403, "{address}");
    }
    assert!(origin.received().is_empty());
}

/// CVE-2026-25748: what cannot be read lets the request pass as nobody.
#[tokio::test]
async fn a_credential_that_makes_no_sense_is_none() {
    let scene = scene(HEADERS).await;
    for credential in [
        "",
        "\t",
        "letmein2",
        "letmei",
        "Bearer \u{fe}",
        "letmein, letmein",
    ] {
        let reply = scene.get("/", &[("authorization", credential)]).await;

        assert_eq!(reply.status, 401, "{credential:?}");
    }
    assert!(scene.origin.received().is_empty());
}

#[tokio::test]
async fn a_trailer_says_nothing_of_who_sent_it() {
    let scene = scene(HEADERS).await;
    let sent = [
        ("te", "trailers"),
        ("trailer", "x-user, x_user, x-sum"),
        ("authorization", "letmein"),
    ];
    for path in ["/", "/open"] {
        let (frames, sent) = with_stream(request("POST", path, &sent));
        frames.try_send(Frame::data("a".into())).unwrap();
        let mut trailers = HeaderMap::new();
        for name in ["x-user", "x_user", "x.auth.user", "x-sum"] {
            trailers.insert(name, "mallory".parse().unwrap());
        }
        frames.try_send(Frame::trailers(trailers)).unwrap();
        drop(frames);

        let reply = send_h2(scene.proxy.address, sent).await;

        assert_eq!(reply.status, 200);
        let trailers = scene.got().trailers.expect("trailers");
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"], "{path}");
    }
}
