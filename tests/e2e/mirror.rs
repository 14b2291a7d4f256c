//! Copies for a shadow upstream: they arrive, and nothing that happens to them is felt.

use crate::support::client::{get, request, send, with_body, with_stream};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, text};
use crate::support::proxy::{Proxy, Setup};
use crate::support::spans::SeenSpan;
use crate::support::until;
use bytes::Bytes;
use http_body::Frame;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

async fn mirrored(origin: &Origin, shadow: &Origin, more: &str, collector: &Collector) -> Proxy {
    Setup::new(&format!(
        "upstreams:\n  origin: {{endpoints: ['http://${{origin}}']}}\n  \
         shadow: {{service: shadow, endpoints: ['http://${{shadow}}']}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, \
         mirror: {{upstream: shadow{more}}}}}]\n"
    ))
    .origin(origin)
    .fill("shadow", &shadow.address.to_string())
    .export_to(collector)
    .start()
    .await
}

async fn counted(proxy: &Proxy, outcome: &str, count: usize) {
    let line = format!("edgespan_mirrored_requests_total{{outcome=\"{outcome}\"}} {count}\n");
    let end = tokio::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let metrics = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
        if metrics.text().contains(&line) {
            return;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{line} in {}",
            metrics.text()
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn is_mirror(span: &SeenSpan) -> bool {
    span.bool("edgespan.mirror") == Some(true)
}

#[tokio::test]
async fn the_shadow_gets_what_the_upstream_gets_and_its_span_says_so() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let shadow = Origin::answering(|_| text(500, "broken on purpose")).await;
    let proxy = mirrored(&origin, &shadow, "", &collector).await;
    let asked = request("POST", "/orders?x=1", &[("x-tenant", "7")]);

    let reply = send(proxy.address, with_body(asked, "order")).await;

    assert_eq!((reply.status.as_u16(), reply.text()), (200, "hello".into()));
    counted(&proxy, "answered", 1).await;
    let (real, copy) = (origin.sole(), shadow.sole());
    assert_eq!(
        (&copy.method, &copy.uri, &copy.body),
        (&real.method, &real.uri, &real.body)
    );
    for name in [
        "host",
        "x-tenant",
        "x-forwarded-for",
        "content-length",
        "via",
    ] {
        assert_eq!(copy.one(name), real.one(name), "{name}");
    }
    let spans = collector.wait_for(3).await;
    let server = spans.iter().find(|span| span.is_server()).unwrap();
    let mirror = spans.iter().find(|span| is_mirror(span)).unwrap();
    assert_eq!(mirror.parent_id(), server.span_id());
    assert_eq!(mirror.text("service.peer.name"), Some("shadow"));
    assert_eq!(mirror.status(), StatusCode::Error);
    assert_eq!(server.status(), StatusCode::Unset);
    assert!(
        server.int("edgespan.attempts").is_none(),
        "a copy is no attempt"
    );
    let context = copy.one("traceparent");
    assert_eq!(
        context,
        format!("00-{}-{}-03", server.trace_id(), mirror.span_id())
    );
}

#[tokio::test]
async fn a_shadow_that_never_answers_delays_nobody_and_ends_at_its_deadline() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let shadow = Origin::that_never_answers().await;
    let more = ", timeout: 300ms, requests: 2";
    let proxy = mirrored(&origin, &shadow, more, &collector).await;

    for _ in 0..3 {
        assert_eq!(get(proxy.address, "/", &[]).await.text(), "hello");
    }

    // The third finds both places taken.
    counted(&proxy, "busy", 1).await;
    counted(&proxy, "timeout", 2).await;
    let spans = collector.wait_for(8).await;
    let mirrors: Vec<_> = spans.iter().filter(|span| is_mirror(span)).collect();
    assert_eq!(mirrors.len(), 2);
    assert!(
        mirrors
            .iter()
            .all(|span| span.text("error.type") == Some("timeout"))
    );
}

#[tokio::test]
async fn a_shadow_that_is_not_there_is_counted() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let gone = Origin {
        address: {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        },
        ..Origin::start().await
    };
    let proxy = mirrored(&origin, &gone, "", &collector).await;

    assert_eq!(get(proxy.address, "/", &[]).await.text(), "hello");

    counted(&proxy, "failed", 1).await;
}

#[tokio::test]
async fn a_body_is_copied_up_to_the_bound_and_not_beyond() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let shadow = Origin::start().await;
    let proxy = mirrored(&origin, &shadow, ", body_bytes: 1000", &collector).await;
    let post = |length| with_body(request("POST", "/", &[]), Bytes::from(vec![b'x'; length]));

    for length in [999, 1000, 1001] {
        assert_eq!(send(proxy.address, post(length)).await.status, 200);
    }
    // The same without a length told beforehand.
    let (frames, sent) = with_stream(request("POST", "/", &[]));
    for _ in 0..3 {
        frames
            .send(Frame::data(vec![b'x'; 400].into()))
            .await
            .unwrap();
    }
    drop(frames);
    assert_eq!(send(proxy.address, sent).await.status, 200);

    counted(&proxy, "answered", 2).await;
    counted(&proxy, "body_too_large", 2).await;
    let mut lengths: Vec<usize> = shadow.received().iter().map(|one| one.body.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [999, 1000]);
    assert_eq!(origin.received().len(), 4);
}

#[tokio::test]
async fn a_body_that_its_client_breaks_off_is_not_copied() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let shadow = Origin::start().await;
    let proxy = mirrored(&origin, &shadow, "", &collector).await;
    let (frames, sent) = with_stream(request("POST", "/", &[]));
    let address = proxy.address;
    let asking = tokio::spawn(async move { send(address, sent).await });
    frames.send(Frame::data("part".into())).await.unwrap();
    origin.wait_for_heads(1).await;

    asking.abort();

    counted(&proxy, "body_broken", 1).await;
    assert!(shadow.received().is_empty());
}

#[tokio::test]
async fn a_share_of_nothing_copies_nothing_and_the_hosts_name_can_tell() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let shadow = Origin::start().await;
    let never = mirrored(&origin, &shadow, ", share: 0", &collector).await;
    let named = mirrored(&origin, &shadow, ", host: shadow", &collector).await;

    for _ in 0..20 {
        get(never.address, "/never", &[]).await;
    }
    get(named.address, "/named", &[]).await;

    until("the copy", || !shadow.received().is_empty()).await;
    assert_eq!(shadow.sole().one("host"), "app.example.com-shadow");
}

#[tokio::test]
async fn an_answer_that_cannot_be_passed_on_counts_against_no_shadow() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let bad = || Origin::raw(|_| Some(b"HTTP/1.1 101 Switching\r\n\r\n".to_vec()));
    let (one, other) = (bad().await, bad().await);
    let proxy = Setup::new(&format!(
        "upstreams:\n  origin: {{endpoints: ['http://${{origin}}']}}\n  \
         shadow: {{endpoints: ['http://{}', 'http://{}'], \
         outlier: {{consecutive_errors: 2, consecutive_failures: 2}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, \
         mirror: {{upstream: shadow}}}}]\n",
        one.address, other.address
    ))
    .origin(&origin)
    .export_to(&collector)
    .start()
    .await;

    for sent in 1..=8 {
        get(proxy.address, "/", &[]).await;
        counted(&proxy, "failed", sent).await;
    }

    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    let page = page.text();
    let mut ejections = page
        .lines()
        .filter(|line| line.starts_with("edgespan_upstream_ejections_total{"));
    assert!(ejections.all(|line| line.ends_with(" 0")), "{page}");
}
