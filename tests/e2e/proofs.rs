//! Proofs that need no other program, and decisions that are remembered, on real sockets.

use crate::support::client::{get, request, send, with_body};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, streamed, text, with_headers};
use crate::support::proxy::{Proxy, Setup};
use http_body::Frame;
use std::sync::Mutex;
use tempfile::TempDir;

/// `printf %s sesame | sha256sum`
const SESAME: &str = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";
/// `htpasswd -nbB ada lovelace`, as cheap as it goes, made by the library.
const ADA: &str = "ada:lovelace";

/// A proxy before an origin, with a collector and a folder for files.
struct Scene {
    origin: Origin,
    collector: Collector,
    folder: TempDir,
    proxy: Proxy,
}

fn setup(folder: &TempDir, origin: &Origin, auth: &str, route: &str) -> Setup {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth: {auth}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, {route}}}]\n"
    ))
    .origin(origin)
    .fill("folder", &folder.path().display().to_string())
}

async fn scene(files: &[(&str, &str)], auth: &str, route: &str) -> Scene {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let proxy = setup(&folder, &origin, auth, route)
        .export_to(&collector)
        .start()
        .await;
    Scene {
        origin,
        collector,
        folder,
        proxy,
    }
}

#[tokio::test]
async fn an_api_key_passes_and_goes_no_further_not_even_in_a_span() {
    let keys = format!("acme:{SESAME}:orders\n");
    let policies = "{partners: {api_key: {file: '${folder}/keys.txt', query: pass, cookie: api}}}";
    let scene = scene(&[("keys.txt", &keys)], policies, "auth: partners").await;
    let to = scene.proxy.address;

    let by_header = get(to, "/", &[("x-api-key", "sesame"), ("X_Api_Key", "x")]).await;
    let by_query = get(to, "/?a=1&pass=sesame&b=2", &[]).await;
    let edges = scene.collector.next_edges().await;
    let more = scene.collector.next_edges().await;
    let by_cookie = get(to, "/", &[("cookie", "theme=dark; api=sesame")]).await;

    for reply in [by_header, by_query, by_cookie] {
        assert_eq!(reply.status, 200);
    }
    let received = scene.origin.received();
    assert!(!format!("{received:?}").contains("sesame"), "{received:?}");
    assert_eq!(received[0].all("x_api_key"), Vec::<String>::new());
    assert_eq!(received[2].one("cookie"), "theme=dark");
    let spans = format!("{edges:?} {more:?}");
    assert!(!spans.contains("sesame"), "{spans}");
    assert_eq!(
        edges.decision().text("edgespan.auth.decision"),
        Some("allow")
    );
}

#[tokio::test]
async fn without_a_key_there_is_a_challenge_and_a_wrong_key_is_not_left_to_the_next_policy() {
    let keys = format!("acme:{SESAME}\n");
    let policies = "{partners: {api_key: {file: '${folder}/keys.txt'}}, all: {ip: [0.0.0.0/0]}}";
    let alone = scene(&[("keys.txt", &keys)], policies, "auth: partners").await;
    let either = scene(&[("keys.txt", &keys)], policies, "auth: [partners, all]").await;

    let nothing = get(alone.proxy.address, "/", &[]).await;
    let wrong = get(either.proxy.address, "/", &[("x-api-key", "wrong")]).await;
    let other = get(either.proxy.address, "/", &[]).await;

    assert_eq!(nothing.status, 401);
    assert_eq!(
        nothing.header("www-authenticate"),
        Some("ApiKey realm=\"partners\"")
    );
    assert_eq!(nothing.json()["code"], "unauthenticated");
    assert_eq!(wrong.status, 401);
    assert_eq!(other.status, 200);
    let edges = either.collector.next_edges().await;
    let reason = edges.decision().text("edgespan.auth.reason");
    assert_eq!(reason, Some("bad_credential"));
}

#[tokio::test]
async fn a_key_that_nobody_had_to_look_at_goes_no_further_either() {
    let keys = format!("acme:{SESAME}\n");
    let policies = "{all: {ip: [0.0.0.0/0]}, \
        partners: {api_key: {file: '${folder}/keys.txt', query: pass, cookie: api}}}";
    let scene = scene(&[("keys.txt", &keys)], policies, "auth: [all, partners]").await;

    let fields = [
        ("x-api-key", "sesame"),
        ("cookie", "theme=dark; api=sesame"),
    ];
    let reply = get(scene.proxy.address, "/?a=1&pass=sesame", &fields).await;

    assert_eq!(reply.status, 200);
    let received = scene.origin.sole();
    assert!(!format!("{received:?}").contains("sesame"), "{received:?}");
    assert_eq!(received.one("cookie"), "theme=dark");
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_the_file_is_refused_after_a_reload() {
    let keys = format!("acme:{SESAME}\n");
    let policies = "{partners: {api_key: {file: '${folder}/keys.txt'}}}";
    let mut scene = scene(&[("keys.txt", &keys)], policies, "auth: partners").await;
    let to = scene.proxy.address;
    let sesame = [("x-api-key", "sesame")];
    assert_eq!(get(to, "/", &sesame).await.status, 200);

    let other = format!("acme:{}\n", SESAME.replacen('d', "e", 1));
    std::fs::write(scene.folder.path().join("keys.txt"), other).unwrap();
    let again = setup(&scene.folder, &scene.origin, policies, "auth: partners");
    scene.proxy.reload(again).await.unwrap();

    assert_eq!(get(to, "/", &sesame).await.status, 401);
}

fn htpasswd() -> String {
    let (name, password) = ADA.split_once(':').unwrap();
    format!("{name}:{}:ops\n", bcrypt::hash(password, 4).unwrap())
}

fn basic(credentials: &str) -> String {
    use base64::Engine;
    let token = base64::engine::general_purpose::STANDARD.encode(credentials);
    format!("Basic {token}")
}

#[tokio::test]
async fn a_password_is_checked_once_and_then_remembered() {
    let policies = "{ops: {basic: {file: '${folder}/htpasswd', realm: Operators}}}";
    let scene = scene(&[("htpasswd", &htpasswd())], policies, "auth: ops").await;
    let to = scene.proxy.address;
    let (right, wrong) = (basic(ADA), basic("ada:byron"));

    let nothing = get(to, "/", &[]).await;
    let refused = get(to, "/", &[("authorization", &wrong)]).await;
    let twice = [("authorization", &*right), ("authorization", &*right)];
    let ambiguous = get(to, "/", &twice).await;
    for _ in 0..3 {
        scene.collector.next_edges().await;
    }
    let mut caches = Vec::new();
    for _ in 0..2 {
        let reply = get(to, "/", &[("authorization", &right)]).await;
        assert_eq!(reply.status, 200);
        let edges = scene.collector.next_edges().await;
        let cache = edges.decision().text("edgespan.auth.cache");
        caches.push(cache.map(ToOwned::to_owned));
    }

    let challenge = Some("Basic realm=\"Operators\", charset=\"UTF-8\"");
    for reply in [nothing, refused, ambiguous] {
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("www-authenticate"), challenge);
    }
    assert_eq!(caches, [Some("miss".to_owned()), Some("hit".to_owned())]);
    let received = scene.origin.received();
    assert_eq!(received.len(), 2);
    assert!(
        received
            .iter()
            .all(|one| one.all("authorization").is_empty())
    );
}

/// Everything behind the policy `legacy`, whose decisions are remembered.
async fn remembering(authorizer: &Origin, cache: &str, routes: &str) -> (Origin, Collector, Proxy) {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth: {{legacy: {{forward: {{url: 'http://${{auth}}/auth', timeout: 5s, \
         identity_headers: ['x-auth-*'], cache: {cache}}}}}}}\n\
         default_auth: legacy\n\
         routes: {routes}\n"
    ))
    .origin(&origin)
    .fill("auth", &authorizer.address.to_string())
    .export_to(&collector)
    .start()
    .await;
    (origin, collector, proxy)
}

const ALL: &str = "[{name: all, match: {prefix: /}, upstream: origin}]";

#[tokio::test]
async fn a_hundred_equal_requests_are_one_call_and_the_waiters_point_at_it() {
    let (frames, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let authorizer = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let (origin, collector, proxy) = remembering(&authorizer, "{ttl: 1m}", ALL).await;

    let requests: Vec<_> = (0..100)
        .map(|_| tokio::spawn(send(proxy.address, request("GET", "/", &[]))))
        .collect();
    authorizer.wait_for_heads(1).await;
    frames.send(Frame::data("yes".into())).await.unwrap();
    drop(frames);
    for request in requests {
        assert_eq!(request.await.unwrap().status, 200);
    }

    assert_eq!(authorizer.received().len(), 1);
    assert_eq!(origin.received().len(), 100);
    let mut misses = Vec::new();
    let mut links = Vec::new();
    for _ in 0..100 {
        let edges = collector.next_edges().await;
        let span = edges.decision();
        match span.text("edgespan.auth.cache") {
            Some("miss") => misses.push(span.span_id()),
            Some("shared" | "hit") => {
                let [link] = span.0.links.as_slice() else {
                    panic!("one link")
                };
                links.push(crate::support::spans::hex(&link.span_id));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(misses.len(), 1);
    assert!(links.iter().all(|link| *link == misses[0]));
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_gone_when_the_decision_is_remembered_too() {
    let answer = |_: &_| with_headers(200, &[("x-auth-user", "ada")], "");
    let authorizer = Origin::answering(answer).await;
    let (origin, _collector, proxy) = remembering(&authorizer, "{ttl: 1m}", ALL).await;

    get(proxy.address, "/", &[]).await;
    for (name, value) in [
        ("x-auth-user", "mallory"),
        ("X_Auth_User", "mallory"),
        ("x-auth-groups", "admin"),
        ("x_auth_groups", "admin"),
        ("connection", "x-auth-user"),
    ] {
        assert_eq!(get(proxy.address, "/", &[(name, value)]).await.status, 200);
    }

    assert_eq!(authorizer.received().len(), 1);
    for received in origin.received() {
        assert_eq!(received.all("x-auth-user"), ["ada"], "{received:?}");
        let text = format!("{received:?}");
        assert!(
            !text.contains("mallory") && !text.contains("admin"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn cve_2026_33496_one_routes_permission_is_none_on_another() {
    let answer = |received: &crate::support::origin::Received| {
        let is_admin = received.one("x-wants") == "admin";
        text(if is_admin { 403 } else { 200 }, "")
    };
    let authorizer = Origin::answering(answer).await;
    let routes = "[{name: all, match: {prefix: /}, upstream: origin, \
                   auth: [{policy: legacy, context: {x-wants: read}}]}, \
                   {name: admin, match: {prefix: /admin}, upstream: origin, \
                   auth: [{policy: legacy, context: {x-wants: admin}}]}]";
    let key = "{ttl: 1m, negative_ttl: 1m, key: [{header: authorization}]}";
    let (_origin, _collector, proxy) = remembering(&authorizer, key, routes).await;
    let token = [("authorization", "Bearer x")];

    for _ in 0..2 {
        assert_eq!(get(proxy.address, "/", &token).await.status, 200);
        assert_eq!(get(proxy.address, "/admin", &token).await.status, 403);
    }

    assert_eq!(authorizer.received().len(), 2);
}

#[tokio::test]
async fn an_authorizer_that_forbids_to_remember_is_asked_each_time() {
    let answer = |_: &_| with_headers(200, &[("cache-control", "no-store")], "");
    let authorizer = Origin::answering(answer).await;
    let (_origin, collector, proxy) = remembering(&authorizer, "{ttl: 1m}", ALL).await;

    for _ in 0..2 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
        let edges = collector.next_edges().await;
        let cache = edges
            .decision()
            .text("edgespan.auth.cache")
            .map(ToOwned::to_owned);
        assert_eq!(cache.as_deref(), Some("miss"));
    }

    assert_eq!(authorizer.received().len(), 2);
}

#[tokio::test]
async fn where_bodies_are_shown_what_has_none_is_remembered() {
    let authorizer = Origin::answering(|_| text(200, "")).await;
    let settings = "{ttl: 1m}, body: {bytes: 1KiB}";
    let (_origin, _collector, proxy) = remembering(&authorizer, settings, ALL).await;
    let post = |body: &str| with_body(request("POST", "/", &[]), body.to_owned());

    for _ in 0..2 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
        assert_eq!(send(proxy.address, post("{}")).await.status, 200);
    }
    let html = [("content-type", "text/html")];
    assert_eq!(get(proxy.address, "/", &html).await.status, 200);

    assert_eq!(authorizer.received().len(), 4);
}
