//! Another configuration while requests run: what goes on, what changes, what ends.

use crate::support::client::{begin, get, patiently, request, send, whole};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, streamed, text};
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;

fn answering(body: &str) -> Setup {
    let route = "routes: [{name: all, match: {prefix: /}, answer: {status: 200, body: '${body}'}}]";
    Setup::new(route).fill("body", body)
}

/// A keep-alive connection.
async fn connection(to: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>) -> (http::HeaderMap, String) {
    patiently(async {
        sender.ready().await.unwrap();
        let asked = request("GET", "/", &[]).map(|_| Empty::new());
        let answer = sender.send_request(asked).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.headers, String::from_utf8(body.to_vec()).unwrap())
    })
    .await
}

/// PEM that holds a certificate by its form alone.
const NOT_AN_AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

fn names(listeners: &[Arc<str>]) -> Vec<&str> {
    listeners.iter().map(AsRef::as_ref).collect()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn closes(address: SocketAddr) {
    patiently(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_finishes_on_what_it_began_with_and_the_next_one_is_new() {
    let (frames, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let mut proxy = Setup::front(&origin).start().await;
    let begun = begin(proxy.address, request("GET", "/", &[])).await;

    proxy.reload(answering("second")).await.unwrap();

    assert_eq!(get(proxy.address, "/", &[]).await.text(), "second");
    frames.send(Frame::data("first".into())).await.unwrap();
    drop(frames);
    assert_eq!(whole(begun).await.text(), "first");
    assert!(proxy.stop().await.clean);
}

#[tokio::test]
async fn a_connection_outlives_a_reload() {
    let mut proxy = answering("first").start().await;
    let mut client = connection(proxy.address).await;
    assert_eq!(ask(&mut client).await.1, "first");

    proxy.reload(answering("second")).await.unwrap();

    let (headers, body) = ask(&mut client).await;
    assert_eq!(body, "second");
    assert!(!headers.contains_key("connection"));
}

#[tokio::test]
async fn listeners_come_and_go_and_who_is_on_one_that_goes_gets_a_last_answer() {
    let two = "listeners: {web: {address: '127.0.0.1:0'}, other: {address: '127.0.0.1:0'}}";
    let mut proxy = answering("first").with(two).start().await;
    let (web, other) = (proxy.listener("web"), proxy.listener("other"));
    let mut client = connection(other).await;
    ask(&mut client).await;

    let third = "listeners: {web: {address: '127.0.0.1:0'}, third: {address: '127.0.0.1:0'}}";
    let changes = proxy.reload(answering("second").with(third)).await.unwrap();

    assert_eq!(names(&changes.opened), ["third"]);
    assert_eq!(names(&changes.closed), ["other"]);
    assert_eq!(proxy.listener("web"), web);
    assert_eq!(get(proxy.listener("third"), "/", &[]).await.status, 200);
    closes(other).await;
    let (headers, body) = ask(&mut client).await;
    assert_eq!(body, "second");
    assert_eq!(headers["connection"], "close");
    assert!(proxy.stop().await.clean);
}

#[tokio::test]
async fn changed_settings_keep_the_socket_and_concern_new_connections() {
    let with = |max: u32| {
        let text = "listeners: {web: {address: '127.0.0.1:0', limits: {body_bytes: ${max}B}}}";
        answering("ok").with(text).fill("max", &max.to_string())
    };
    let mut proxy = with(10).start().await;
    let address = proxy.address;
    let post = |length: usize| {
        let body = vec![b'x'; length];
        crate::support::client::with_body(request("POST", "/", &[]), body)
    };
    assert_eq!(send(address, post(11)).await.status, 413);

    let changes = proxy.reload(with(20)).await.unwrap();

    assert_eq!(names(&changes.changed), ["web"]);
    assert_eq!(proxy.address, address);
    assert_eq!(send(address, post(11)).await.status, 200);
    assert_eq!(send(address, post(21)).await.status, 413);
}

#[tokio::test]
async fn fewer_connections_are_let_in_once_some_have_left() {
    let with = |most: u32| {
        let text = "listeners: {web: {address: '127.0.0.1:0', limits: {connections: ${n}}}}";
        answering("ok").with(text).fill("n", &most.to_string())
    };
    let mut proxy = with(2).start().await;
    let (mut first, mut second) = (
        connection(proxy.address).await,
        connection(proxy.address).await,
    );
    ask(&mut first).await;
    ask(&mut second).await;

    proxy.reload(with(1)).await.unwrap();

    // Nobody is thrown out.
    ask(&mut first).await;
    ask(&mut second).await;
    drop((first, second));
    let mut third = connection(proxy.address).await;
    ask(&mut third).await;
    let mut fourth = connection(proxy.address).await;
    {
        let waiting = ask(&mut fourth);
        let soon = tokio::time::timeout(std::time::Duration::from_millis(100), waiting);
        assert!(soon.await.is_err());
    }
    drop(third);
    drop(fourth);
    ask(&mut connection(proxy.address).await).await;
}

#[tokio::test]
async fn a_listener_may_be_renamed_on_its_socket() {
    let port = free_port().to_string();
    let named = |name: &str| {
        let text = "listeners: {${name}: {address: '127.0.0.1:${port}'}}";
        let with = answering("ok").with(text);
        with.fill("name", name).fill("port", &port)
    };
    let mut proxy = named("before").start().await;
    let address = proxy.address;

    let changes = proxy.reload(named("after")).await.unwrap();

    assert_eq!(names(&changes.opened), ["after"]);
    assert_eq!(names(&changes.closed), ["before"]);
    assert_eq!(proxy.listener("after"), address);
    assert_eq!(get(address, "/", &[]).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_put_in_force_changes_nothing() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().port().to_string();
    let mut proxy = answering("first").start().await;

    let text = "listeners: {web: {address: '127.0.0.1:0'}, no: {address: '127.0.0.1:${port}'}}";
    let failed = proxy
        .reload(answering("second").with(text).fill("port", &taken))
        .await;

    assert!(failed.is_err());
    assert_eq!(get(proxy.address, "/", &[]).await.text(), "first");
    drop(held);
}

#[tokio::test]
async fn a_reload_that_fails_leaves_an_upstreams_numbers_as_they_are() {
    let (origin, other) = (Origin::start().await, Origin::start().await);
    let route = |upstreams: &str, more: &str| {
        Setup::new(&format!(
            "upstreams: {{origin: {{endpoints: [{upstreams}]}}}}\n\
             routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n{more}"
        ))
    };
    let both = format!("'http://{}', 'http://{}'", origin.address, other.address);
    let one = format!("'http://{}'", origin.address);
    let mut proxy = route(&both, "").start().await;
    let there_are = |count: u32| {
        format!("edgespan_upstream_endpoints{{upstream=\"origin\",state=\"available\"}} {count}\n")
    };
    let page = async |proxy: &Proxy| {
        let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
        page.text()
    };

    // Its upstreams are made, and then its collector's authority is not to be had.
    let missing = "export: [{otlp: {endpoint: 'https://127.0.0.1:1', tls: {ca: '${ca}'}}}]";
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, NOT_AN_AUTHORITY).unwrap();
    let failing = route(&one, missing).fill("ca", &ca.display().to_string());
    assert!(proxy.reload(failing).await.is_err());

    assert!(page(&proxy).await.contains(&there_are(2)));
    proxy.reload(route(&one, "")).await.unwrap();
    assert!(page(&proxy).await.contains(&there_are(1)));
}

#[tokio::test]
async fn an_upstream_whose_settings_stay_keeps_its_connections() {
    let origin = Origin::start().await;
    let mut proxy = Setup::front(&origin).start().await;
    get(proxy.address, "/", &[]).await;

    let changes = proxy
        .reload(Setup::front(&origin).with("feature_flags: {a: b}"))
        .await
        .unwrap();
    get(proxy.address, "/", &[]).await;

    assert_eq!((changes.upstreams_kept, changes.upstreams_made), (1, 0));
    let reused = "edgespan_upstream_connections_reused_total{upstream=\"origin\"} 1";
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    assert!(page.text().contains(reused), "{}", page.text());
}

#[tokio::test]
async fn an_upstream_whose_settings_change_begins_anew() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    let mut proxy = Setup::front(&first).start().await;
    get(proxy.address, "/", &[]).await;

    let changes = proxy.reload(Setup::front(&second)).await.unwrap();
    get(proxy.address, "/", &[]).await;

    assert_eq!((changes.upstreams_kept, changes.upstreams_made), (0, 1));
    assert_eq!(second.received.lock().unwrap().len(), 1);
}

/// Spans as `/metrics` counts them.
async fn counted(proxy: &Proxy, column: &str) -> u64 {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    let page = page.text();
    let start = format!("edgespan_spans_{column}");
    let samples = page.lines().filter(|line| line.starts_with(&start));
    let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

#[tokio::test]
async fn a_replaced_exporter_sends_what_it_has_and_no_span_leaves_the_account() {
    let (before, after) = (Collector::start().await, Collector::start().await);
    let (frames, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| {
        let slow = answer.lock().unwrap().take();
        slow.unwrap_or_else(|| text(200, "quick"))
    })
    .await;
    let mut proxy = Setup::front(&origin).export_to(&before).start().await;
    let slow = begin(proxy.address, request("GET", "/slow", &[])).await;
    get(proxy.address, "/", &[]).await;

    let changes = proxy
        .reload(Setup::front(&origin).export_to(&after))
        .await
        .unwrap();
    get(proxy.address, "/", &[]).await;
    drop(frames);
    whole(slow).await;

    assert_eq!((changes.exporters_made, changes.upstreams_kept), (1, 1));
    until("the last spans at the first collector", || {
        before.spans().len() == 4
    })
    .await;
    until("the new ones at the second", || after.spans().len() == 2).await;
    assert_eq!(counted(&proxy, "accepted_total").await, 6);
    let accounts = proxy.stop().await.accounts;
    assert_eq!(accounts.len(), 1);
    assert_eq!((accounts[0].accepted, accounts[0].exported), (6, 6));
}

#[tokio::test]
async fn a_replaced_exporter_waits_for_requests_that_began_two_reloads_ago() {
    let (before, after) = (Collector::start().await, Collector::start().await);
    let (frames, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let setup = || Setup::front(&origin).export_to(&before);
    let mut proxy = setup().start().await;
    let slow = begin(proxy.address, request("GET", "/slow", &[])).await;

    let kept = proxy
        .reload(setup().with("feature_flags: {a: b}"))
        .await
        .unwrap();
    let made = proxy.reload(Setup::front(&origin).export_to(&after)).await;
    // Longer than it takes to see that the requests of the second configuration have ended.
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    drop(frames);
    whole(slow).await;

    assert_eq!((kept.exporters_made, made.unwrap().exporters_made), (0, 1));
    until("the last spans at the first collector", || {
        before.spans().len() == 2
    })
    .await;
}

#[tokio::test]
async fn an_exporter_that_stays_keeps_its_queue() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let setup = || Setup::front(&origin).export_to(&collector);
    let mut proxy = setup().start().await;
    get(proxy.address, "/", &[]).await;

    let changes = proxy.reload(setup().with("feature_flags: {a: b}")).await;

    assert_eq!(changes.unwrap().exporters_made, 0);
    get(proxy.address, "/", &[]).await;
    let accounts = proxy.stop().await.accounts;
    assert_eq!(accounts[0].exported, 4);
}

#[tokio::test]
async fn what_waits_for_the_next_start_is_named() {
    let mut proxy = answering("ok").start().await;

    let changes = proxy
        .reload(answering("ok").with("admin: {address: off}"))
        .await
        .unwrap();

    assert_eq!(changes.at_next_start, ["admin.address"]);
    let ready = get(proxy.admin, "/ready", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 200);
}

#[tokio::test]
async fn during_the_pause_before_the_end_requests_are_taken_and_sent_elsewhere() {
    let proxy = answering("ok")
        .with("drain: {delay: 1h, timeout: 1s}")
        .start()
        .await;
    let (address, admin) = (proxy.address, proxy.admin);
    let mut early = connection(address).await;
    ask(&mut early).await;

    let stopping = tokio::spawn(proxy.stop());
    patiently(async {
        while get(admin, "/ready", &[("host", "localhost")]).await.status != 503 {}
    })
    .await;

    assert_eq!(ask(&mut early).await.0["connection"], "close");
    let late = get(address, "/", &[]).await;
    assert_eq!(late.status, 200);
    assert_eq!(late.headers["connection"], "close");
    stopping.abort();
}
