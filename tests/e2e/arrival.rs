//! The account of what arrived: exact, signed, for who has the secret, and for nobody else.

use crate::support::client::{get, patiently, raw, request, send, send_h2, with_body};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use crate::support::websocket::{Http, closed, open};
use edgespan::verify::arrival::{
    Account, BODY_BYTES_MAX, Fidelity, Inquiry, Nonce, Opened, PATH, SharedSecret,
};
use futures_util::StreamExt;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "a secret that both ends know";

fn secret() -> SharedSecret {
    SharedSecret::new(SECRET.as_bytes()).unwrap()
}

fn now() -> u64 {
    edgespan::clock::wall().as_unix_nanos() / 1_000_000_000
}

/// The value of `x-edgespan-verify`, and the nonce within.
fn question(secret: &SharedSecret, method: &Method, at: u64) -> (String, String) {
    let nonce = Nonce::fresh().unwrap();
    let value = Inquiry::sign(secret, method, at, nonce).unwrap();
    (value.to_str().unwrap().to_owned(), nonce.to_string())
}

fn ask(method: &Method) -> (String, String) {
    question(&secret(), method, now())
}

/// No route, and accounts of what arrived.
fn told(lines: &str) -> Setup {
    Setup::new(&format!("arrival: {{secrets: [{{env: SECRET}}]{lines}}}"))
        .variable("SECRET", SECRET)
}

#[track_caller]
fn opened(body: &str, signature: Option<&str>) -> Account {
    match Account::open(&secret(), body.as_bytes(), signature) {
        Opened::Account(account) => *account,
        other => panic!("{other:?}: {body}"),
    }
}

fn lines<'a>(account: &'a Account, name: &str) -> Vec<&'a str> {
    let same = account.headers.iter().filter(|(other, _)| other == name);
    same.map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn an_account_tells_names_with_their_case_and_lines_in_their_order() {
    let collector = Collector::start().await;
    let proxy = told("").export_to(&collector).start().await;
    let (value, nonce) = ask(&Method::GET);

    let answer = raw(
        proxy.address,
        format!(
            "GET {PATH}?a=%20b HTTP/1.1\r\nHost: App.example.com\r\nTraceState: a=1\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03\r\n\
             B3:0\r\ntracestate:  b=2 \r\nX-Edgespan-Verify: {value}\r\nCookie: session=1\r\n\
             AUTHORIZATION: Bearer x\r\nX-L: \u{fc}\r\nX-Forwarded-For: 192.0.2.1\r\n\
             Connection: close\r\n\r\n"
        )
        .as_bytes(),
    )
    .await;

    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find_map(|(other, value)| (other == name).then_some(value))
    };
    let account = opened(body, field("x-edgespan-signature"));
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(field("cache-control"), Some("no-store"));
    assert_eq!(field("cdn-cache-control"), Some("no-store"));
    assert_eq!(field("content-type"), Some("application/json"));
    let expected = [
        ("Host", "App.example.com"),
        ("TraceState", "a=1"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
        ),
        ("B3", "0"),
        ("tracestate", "b=2"),
        ("X-L", "\u{c3}\u{bc}"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Connection", "close"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(account.headers, expected);
    assert_eq!(
        account.removed,
        ["X-Edgespan-Verify", "Cookie", "AUTHORIZATION"]
    );
    assert_eq!((account.fidelity, account.nonce), (Fidelity::Exact, nonce));
    assert_eq!((&*account.listener, &*account.http), ("web", "1.1"));
    assert_eq!((&*account.method, &*account.path), ("GET", PATH));
    assert_eq!(account.query.as_deref(), Some("a=%20b"));
    assert_eq!(account.authority.as_deref(), Some("App.example.com"));
    assert!(account.peer.starts_with("127.0.0.1:"), "{}", account.peer);
    assert_eq!((account.tls, account.body), (None, None));
    // Nobody is trusted, so that the client is the peer, whatever it says.
    assert_eq!(
        (&*account.client.address, account.client.peer_trusted),
        ("127.0.0.1", false)
    );
    assert_eq!(account.client.by, None);
    assert!(account.context.valid && account.context.recorded);
    let span = collector.wait_for(1).await.remove(0);
    assert!(span.is_server());
    assert_eq!(span.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(account.context.trace_id.as_deref(), Some(&*span.trace_id()));
    assert_eq!(account.context.span_id.as_deref(), Some(&*span.span_id()));
}

#[tokio::test]
async fn the_second_request_of_a_connection_is_told_as_exactly() {
    let proxy = told("").start().await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let mut ask_in = async |pieces: &[&str]| {
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") && !answer.ends_with(b"}\n") {
            patiently(stream.read_buf(&mut answer)).await.unwrap();
        }
        String::from_utf8(answer).unwrap()
    };

    let other = ask_in(&["GET /other HTTP/1.1\r\nhost: a\r\n\r\n"]).await;
    let (value, _) = ask(&Method::GET);
    let head = format!("host: a\r\nX-One: 1\r\nx-edgespan-verify: {value}\r\nB3: 0\r\n\r\n");
    let own = ask_in(&["GE", "T ", PATH, " HTTP/1.1\r\n", &head]).await;

    assert!(other.starts_with("HTTP/1.1 404"), "{other}");
    let (top, body) = own.split_once("\r\n\r\n").unwrap();
    let signature = top
        .lines()
        .find_map(|line| line.strip_prefix("x-edgespan-signature: "));
    let account = opened(body, signature);
    assert_eq!(account.fidelity, Fidelity::Exact);
    assert_eq!(lines(&account, "X-One"), ["1"]);
    assert!(!account.context.valid);
}

#[tokio::test]
async fn over_http2_lines_of_a_name_keep_their_order_and_a_body_is_digested() {
    let proxy = told("").start().await;
    let (value, _) = ask(&Method::POST);
    let headers = [
        ("x-edgespan-verify", value.as_str()),
        ("tracestate", "a=1"),
        ("baggage", "k=v;p,l=w"),
        ("tracestate", "b=2"),
    ];

    let asked = with_body(request("POST", PATH, &headers), "abc");
    let reply = send_h2(proxy.address, asked).await;

    let account = opened(&reply.text(), reply.header("x-edgespan-signature"));
    assert_eq!((&*account.http, account.fidelity), ("2", Fidelity::Decoded));
    assert_eq!(lines(&account, "tracestate"), ["a=1", "b=2"]);
    assert_eq!(lines(&account, "baggage"), ["k=v;p,l=w"]);
    let body = account.body.unwrap();
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((body.bytes, &*body.sha256), (3, sum));
}

#[tokio::test]
async fn a_body_is_taken_up_to_its_bound() {
    let proxy = told("").start().await;
    for (length, status) in [
        (BODY_BYTES_MAX - 1, 200),
        (BODY_BYTES_MAX, 200),
        (BODY_BYTES_MAX + 1, 413),
    ] {
        let (value, _) = ask(&Method::POST);
        let asked = request("POST", PATH, &[("x-edgespan-verify", &value)]);
        let reply = send(proxy.address, with_body(asked, vec![b'a'; length])).await;

        assert_eq!(reply.status, status, "{length}");
        if status == 200 {
            let account = opened(&reply.text(), reply.header("x-edgespan-signature"));
            assert_eq!(account.body.unwrap().bytes, length as u64);
        }
    }
}

/// What differs between two answers for no reason that tells anything.
fn without_ids(reply: &crate::support::client::Reply) -> (u16, Vec<String>, String) {
    let mut json = reply.json();
    json["trace_id"] = "".into();
    let names = reply.headers.keys().map(ToString::to_string).collect();
    (reply.status.as_u16(), names, json.to_string())
}

#[tokio::test]
async fn without_a_signature_the_path_is_one_like_any_other() {
    let (told, none) = (told("").start().await, Setup::new("").start().await);
    let elsewhere = get(told.address, "/.well-known/edgespan/nothing", &[]).await;
    let (signed, _) = ask(&Method::GET);
    let other = SharedSecret::new(b"a secret of somebody else").unwrap();
    let (foreign, _) = question(&other, &Method::GET, now());
    let (post, _) = ask(&Method::POST);
    let cut = &signed[..signed.len() - 1];
    let values = [
        None,
        Some(""),
        Some("v1"),
        Some(&*foreign),
        Some(&*post),
        Some(cut),
    ];

    for value in values {
        let headers: Vec<_> = value
            .map(|value| ("x-edgespan-verify", value))
            .into_iter()
            .collect();
        let reply = get(told.address, PATH, &headers).await;
        assert_eq!(without_ids(&reply), without_ids(&elsewhere), "{value:?}");
    }
    let twice = [
        ("x-edgespan-verify", &*signed),
        ("x-edgespan-verify", &*signed),
    ];
    let reply = get(told.address, PATH, &twice).await;
    assert_eq!(without_ids(&reply), without_ids(&elsewhere));
    // Where it is not configured, who has the secret finds nothing, either.
    let reply = get(none.address, PATH, &[("x-edgespan-verify", &*signed)]).await;
    assert_eq!(without_ids(&reply), without_ids(&elsewhere));
}

#[tokio::test]
async fn a_route_takes_what_is_not_signed_and_a_policy_does_not_hold_up_what_is() {
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "auth: {nobody: {ip: [192.0.2.1/32]}}\n\
         upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         routes:\n  - {name: all, match: {prefix: /}, upstream: origin}\n  \
         - {name: shut, match: {prefix: /.well-known}, upstream: origin, auth: nobody}\n\
         arrival: {secrets: [{env: SECRET}]}",
    )
    .origin(&origin)
    .variable("SECRET", SECRET)
    .start()
    .await;
    let (value, _) = ask(&Method::GET);

    let refused = get(proxy.address, PATH, &[]).await;
    let told = get(proxy.address, PATH, &[("x-edgespan-verify", &value)]).await;

    assert_eq!((refused.status.as_u16(), told.status.as_u16()), (403, 200));
    assert_eq!(origin.received().len(), 0);
}

#[tokio::test]
async fn a_question_is_answered_once_and_only_while_it_is_fresh() {
    let proxy = told("").start().await;
    let (value, _) = ask(&Method::GET);
    let (old, _) = question(&secret(), &Method::GET, now() - 70);
    let (early, _) = question(&secret(), &Method::GET, now() + 70);

    let first = get(proxy.address, PATH, &[("x-edgespan-verify", &value)]).await;
    let again = get(proxy.address, PATH, &[("x-edgespan-verify", &value)]).await;

    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 409));
    assert_eq!(again.json()["code"], "arrival_replayed");
    for value in [old, early] {
        let stale = get(proxy.address, PATH, &[("x-edgespan-verify", &value)]).await;
        assert_eq!(stale.status, 403);
        assert_eq!(stale.json()["code"], "arrival_stale");
    }
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    for (result, count) in [
        ("answered", 1),
        ("replayed", 1),
        ("stale", 2),
        ("limited", 0),
    ] {
        let line = format!("edgespan_arrival_questions_total{{result=\"{result}\"}} {count}\n");
        assert!(page.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn too_many_questions_are_told_when_to_come_again_and_strangers_use_up_nothing() {
    let proxy = told(", rate: 2/h").start().await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let strange = get(proxy.address, PATH, &[("x-edgespan-verify", "v1")]).await;
        assert_eq!(strange.status, 404);
    }

    for _ in 0..3 {
        let (value, _) = ask(&Method::GET);
        let reply = get(proxy.address, PATH, &[("x-edgespan-verify", &value)]).await;
        statuses.push((reply.status.as_u16(), reply.header("retry-after").is_some()));
    }

    assert_eq!(statuses, [(200, false), (200, false), (429, true)]);
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_moment_in_which_neither_counts() {
    let mut proxy = told("").start().await;
    let new = SharedSecret::new(b"the secret that comes next").unwrap();
    let both = Setup::new("arrival: {secrets: [{env: SECRET}, {env: NEW}]}")
        .variable("SECRET", SECRET)
        .variable("NEW", "the secret that comes next\n");
    let (first, _) = ask(&Method::GET);
    assert_eq!(
        get(proxy.address, PATH, &[("x-edgespan-verify", &first)])
            .await
            .status,
        200
    );

    proxy.reload(both).await.unwrap();

    let (own, _) = ask(&Method::GET);
    let (next, _) = question(&new, &Method::GET, now());
    let own = get(proxy.address, PATH, &[("x-edgespan-verify", &own)]).await;
    let next = get(proxy.address, PATH, &[("x-edgespan-verify", &next)]).await;
    let again = get(proxy.address, PATH, &[("x-edgespan-verify", &first)]).await;
    assert!(
        own.header("x-edgespan-signature")
            .unwrap()
            .contains(&secret().id())
    );
    assert!(
        next.header("x-edgespan-signature")
            .unwrap()
            .contains(&new.id())
    );
    assert_eq!(
        again.status, 409,
        "what was answered before the reload stays answered"
    );
}

#[tokio::test]
async fn redirects_lead_to_the_account_by_references_without_a_host() {
    let proxy = told("").start().await;
    let mut target = format!("{PATH}?redirect=2");
    let mut seen = Vec::new();

    for _ in 0..3 {
        let (value, _) = ask(&Method::GET);
        let reply = get(proxy.address, &target, &[("x-edgespan-verify", &value)]).await;
        let location = reply.header("location").map(str::to_owned);
        seen.push((reply.status.as_u16(), location.clone()));
        target = format!("{PATH}{}", location.unwrap_or_default());
    }

    let to = |query: &str| Some(query.to_owned());
    assert_eq!(
        seen,
        [
            (302, to("?redirect=1")),
            (302, to("?redirect=0")),
            (200, None)
        ]
    );
    let (value, _) = ask(&Method::POST);
    let asked = request(
        "POST",
        &format!("{PATH}?redirect=1"),
        &[("x-edgespan-verify", &value)],
    );
    let reply = send(proxy.address, with_body(asked, "abc")).await;
    assert_eq!(reply.status, 307);
}

#[tokio::test]
async fn a_websocket_gets_the_account_as_its_first_message_on_either_version() {
    for http in [Http::One, Http::Two] {
        let collector = Collector::start().await;
        let proxy = told("").export_to(&collector).start().await;
        let (value, nonce) = ask(&Method::GET);
        let headers = [
            ("x-edgespan-verify", value.as_str()),
            ("baggage", "k=v"),
            ("cookie", "a=b"),
        ];

        let opened = open(proxy.address, http, PATH, &headers).await;
        assert!(opened.head.headers().contains_key("x-edgespan-signature"));
        let mut socket = opened.socket().await;
        let message = patiently(socket.next()).await.unwrap().unwrap();
        let code = closed(&mut socket).await;

        let Opened::Account(account) = Account::open_message(&secret(), message.to_text().unwrap())
        else {
            panic!("{message:?}");
        };
        assert_eq!((code, account.nonce), (Some(1000), nonce));
        assert_eq!(account.upgrade.as_deref(), Some("websocket"));
        assert_eq!(account.removed, ["x-edgespan-verify", "cookie"]);
        let span = collector.wait_for(1).await.remove(0);
        assert_eq!(span.int("edgespan.websocket.close_code"), Some(1000));
        assert_eq!(span.int("edgespan.websocket.messages_sent"), Some(1));
        proxy.stop().await;
    }
}

#[tokio::test]
async fn what_edgespan_makes_of_a_trusted_peers_word_is_told_beside_the_word() {
    let proxy = told("")
        .with("listeners: {web: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}}")
        .start()
        .await;
    let (value, _) = ask(&Method::GET);
    let headers = [
        ("x-edgespan-verify", value.as_str()),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
    ];

    let reply = get(proxy.address, PATH, &headers).await;

    let account = opened(&reply.text(), reply.header("x-edgespan-signature"));
    let client = account.client;
    assert_eq!((&*client.address, &*client.scheme), ("192.0.2.1", "https"));
    assert_eq!(
        (client.peer_trusted, client.by.as_deref()),
        (true, Some("x-forwarded-for"))
    );
}

#[tokio::test]
async fn other_methods_are_not_served_to_whoever_has_the_secret() {
    let proxy: Proxy = told("").start().await;
    let (value, _) = ask(&Method::DELETE);

    let reply = send(
        proxy.address,
        request("DELETE", PATH, &[("x-edgespan-verify", &value)]),
    )
    .await;

    assert_eq!(
        (reply.status.as_u16(), reply.header("allow")),
        (405, Some("GET, POST"))
    );
}
