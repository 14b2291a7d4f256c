//! Traces are found and fetched from every backend alike, each as it documents its API.

use crate::support::backends::{ID, Jaeger, ROUTE, Tempo, asked, jaeger, tempo, zipkin};
use crate::support::origin::{Origin, text};
use edgespan::backend::{Access, Address, Backend, BackendError, Kind, Query};
use edgespan::client::Client;
use edgespan::clock;
use edgespan::view::{Kind as SpanKind, Status, Trace};
use opentelemetry::trace::TraceId;
use std::time::Duration;

fn access() -> Access {
    Access {
        client: Client::without_tls(),
        headers: http::HeaderMap::new(),
        timeout: Duration::from_secs(5),
    }
}

async fn reach(origin: &Origin) -> Result<Backend, BackendError> {
    let address: Address = format!("http://{}", origin.address).parse().unwrap();
    Backend::reach(&address, access()).await
}

/// Everything of the last minute.
fn query() -> Query {
    let now = clock::wall();
    Query {
        start: clock::Timestamp::from_unix_nanos(now.as_unix_nanos() - 60_000_000_000),
        end: now.plus(Duration::from_secs(60)),
        limit: 20,
        ..Query::default()
    }
}

fn id() -> TraceId {
    TraceId::from_hex(ID).unwrap()
}

/// Finds and fetches the one trace, whoever has it.
async fn check(origin: &Origin, kind: Kind) {
    let backend = reach(origin).await.unwrap();
    assert_eq!(backend.kind(), kind);

    let asked = Query {
        service: Some("payout".to_owned()),
        flow: Some("escrow".to_owned()),
        error: true,
        ..query()
    };
    let found = backend.find(&asked).await.unwrap();
    let ids = backend
        .ids("00f92f35", clock::wall().plus(Duration::from_secs(60)))
        .await
        .unwrap();
    let groups = backend.trace(id()).await.unwrap().unwrap();
    let unknown = backend
        .trace(TraceId::from_hex("1").unwrap())
        .await
        .unwrap();

    let [trace] = &found.traces[..] else {
        panic!("one trace: {found:?}");
    };
    assert_eq!((trace.id, trace.spans), (id(), Some(2)));
    assert_eq!((trace.is_error, trace.status), (Some(true), Some(502)));
    assert_eq!(trace.flow.as_deref(), Some("escrow"));
    assert_eq!(trace.root_service, "edgespan");
    assert!(
        trace
            .root_name
            .to_lowercase()
            .starts_with("post /api/v1/orders")
    );
    assert_eq!(found.incomplete, None);
    assert_eq!(ids, [id()]);
    let trace = Trace::of_resource_spans(id(), &groups);
    let [server, client] = [SpanKind::Server, SpanKind::Client]
        .map(|kind| trace.spans.iter().find(|span| span.kind == kind).unwrap());
    assert_eq!(client.parent, Some(server.id));
    assert_eq!(client.status, Status::Error);
    assert_eq!(
        (&*server.service, server.duration()),
        ("edgespan", 412_600_000)
    );
    assert_eq!(unknown, None);
}

#[tokio::test]
async fn tempo_of_any_age_is_asked_in_traceql_and_read_in_either_form() {
    for kind in [Tempo::Now, Tempo::Old, Tempo::Json] {
        check(&tempo(kind).await, Kind::Tempo).await;
    }
}

#[tokio::test]
async fn jaeger_is_asked_over_the_api_of_its_page_or_over_v3() {
    for kind in [Jaeger::Both, Jaeger::Page, Jaeger::V3] {
        check(&jaeger(kind).await, Kind::Jaeger).await;
    }
}

#[tokio::test]
async fn zipkin_is_asked_over_its_second_api() {
    check(&zipkin().await, Kind::Zipkin).await;
}

#[tokio::test]
async fn what_a_backend_cannot_be_asked_for_is_looked_at_again() {
    for origin in [jaeger(Jaeger::V3).await, zipkin().await] {
        let backend = reach(&origin).await.unwrap();
        let count = async |query: Query| backend.find(&query).await.unwrap().traces.len();

        assert_eq!(
            count(Query {
                route: Some(ROUTE.to_owned()),
                ..query()
            })
            .await,
            1
        );
        assert_eq!(
            count(Query {
                route: Some("/".to_owned()),
                ..query()
            })
            .await,
            0
        );
        let tags = vec![("http.response.status_code".to_owned(), "502".to_owned())];
        assert_eq!(
            count(Query {
                tags: tags.clone(),
                ..query()
            })
            .await,
            1
        );
        // The span that failed is another one than the one with that status.
        assert_eq!(
            count(Query {
                tags,
                error: true,
                ..query()
            })
            .await,
            0
        );
        let min = |millis| Some(Duration::from_millis(millis));
        assert_eq!(
            count(Query {
                min: min(412),
                ..query()
            })
            .await,
            1
        );
        assert_eq!(
            count(Query {
                min: min(413),
                ..query()
            })
            .await,
            0
        );
        assert_eq!(
            count(Query {
                max: min(412),
                ..query()
            })
            .await,
            0
        );
        let typed = Query {
            traceql: Some("{ }".to_owned()),
            ..query()
        };
        let refused = backend.find(&typed).await;
        assert!(matches!(refused, Err(BackendError::Unsupported { .. })));
    }
}

#[tokio::test]
async fn tempo_is_asked_for_exactly_what_is_wanted() {
    let origin = tempo(Tempo::Now).await;
    let backend = reach(&origin).await.unwrap();

    let wanted = Query {
        route: Some("/a\"b".to_owned()),
        limit: 7,
        ..query()
    };
    backend.find(&wanted).await.unwrap();

    let received = origin.received.lock().unwrap();
    let search = received
        .iter()
        .find(|one| one.uri.path() == "/api/search")
        .unwrap();
    assert_eq!(
        asked(search, "q").unwrap(),
        "{ span.http.route = \"/a\\\"b\" } | \
         select(span.http.response.status_code, span.flow, span.url.path, status)"
    );
    assert_eq!(asked(search, "limit").unwrap(), "7");
    assert_eq!(asked(search, "spss").unwrap(), "3");
}

#[tokio::test]
async fn a_limit_that_is_reached_is_told() {
    let backend = reach(&zipkin().await).await.unwrap();
    let at = async |limit| backend.find(&Query { limit, ..query() }).await.unwrap();

    assert_eq!(at(2).await.incomplete, None);
    let full = at(1).await;
    assert_eq!(full.traces.len(), 1);
    assert!(full.incomplete.unwrap().contains("newest 1"));
}

#[tokio::test]
async fn whoever_answers_otherwise_is_no_backend() {
    let page = Origin::answering(|_| text(200, "<!doctype html>")).await;
    let missing = Origin::answering(|_| text(404, "no")).await;
    let json = Origin::answering(|_| text(200, "{}")).await;
    for origin in [page, missing, json] {
        let error = reach(&origin).await.err().unwrap();
        assert!(matches!(error, BackendError::Unknown { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_an_error_and_no_panic() {
    let odd = Origin::answering(|received| match received.uri.path() {
        "/api/echo" => text(200, "echo"),
        "/api/search" => text(
            200,
            "{\"traces\": [{\"traceID\": 7}, null, {\"traceID\": \"xyz\"}]}",
        ),
        path if path.starts_with("/api/v2/traces/") => text(200, "[[[["),
        _ => text(500, "boom\nsecret stack"),
    })
    .await;
    let backend = reach(&odd).await.unwrap();

    assert!(backend.find(&query()).await.unwrap().traces.is_empty());
    let error = backend.trace(id()).await.unwrap_err();
    assert!(matches!(error, BackendError::Unreadable { .. }), "{error}");
}
