//! Searches, traces and tags, as one asks a Tempo.

use super::{HOST, PROTOBUF, ask, message, post, spans_of};
use crate::support::client::get;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use std::io::Read;

#[tokio::test]
async fn a_request_is_found_at_the_first_try_by_search_and_by_id() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("service: {name: shop}")
        .start()
        .await;

    for round in 1..=20_usize {
        let path = format!("/orders/{round}");
        assert_eq!(get(proxy.address, &path, &[]).await.status, 200);

        let found = ask(&proxy, "/api/search?q=%7B%7D&limit=100").await.json();
        let traces = found["traces"].as_array().unwrap();
        assert_eq!(traces.len(), round);
        let newest = &traces[0];
        let id = newest["traceID"].as_str().unwrap();
        assert_eq!(id.len(), 32);
        assert_eq!(newest["rootServiceName"], "shop");
        let start: u64 = newest["startTimeUnixNano"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(start > 1_700_000_000_000_000_000);
        let trace = ask(&proxy, &format!("/api/v2/traces/{id}")).await.json();
        let spans = spans_of(&trace["trace"]["resourceSpans"]);
        assert_eq!(spans.len(), 2);
        assert!(spans.iter().any(|span| span["kind"] == "SPAN_KIND_SERVER"));
        assert!(spans.iter().any(|span| span["kind"] == "SPAN_KIND_CLIENT"));
    }
}

#[tokio::test]
async fn both_versions_tell_a_trace_as_protobuf_and_as_json() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let sent = message("billing", 1, 2, 0);
    let taken = post(proxy.admin, &[HOST, PROTOBUF], sent.encode_to_vec()).await;
    assert_eq!(taken.status, 200);
    let id = "01".repeat(16);
    let accept = ("accept", "application/protobuf");

    let first = get(proxy.admin, &format!("/api/traces/{id}"), &[HOST, accept]).await;
    let second = get(
        proxy.admin,
        &format!("/api/v2/traces/{id}"),
        &[HOST, accept],
    )
    .await;
    let json = ask(&proxy, &format!("/api/traces/{id}?start=1&end=2")).await;

    let data = TracesData::decode(first.body).unwrap();
    assert_eq!(data.resource_spans, sent.resource_spans);
    assert_eq!(second.header("content-type"), Some("application/protobuf"));
    // `TraceByIDResponse` has it as its field 1.
    let inner = TracesData::decode(&second.body[second.body.len() - data.encoded_len()..]).unwrap();
    assert_eq!((second.body[0], inner), (0x0a, data));
    let spans = spans_of(&json.json()["batches"]);
    assert_eq!(spans[0]["traceId"], "AQEBAQEBAQEBAQEBAQEBAQ==");
    assert_eq!(spans[0]["startTimeUnixNano"], "1900000000000000001");
}

#[tokio::test]
async fn an_id_may_be_short_and_an_unknown_one_is_404() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let mut sent = message("billing", 1, 2, 0);
    let span = &mut sent.resource_spans[0].scope_spans[0].spans[0];
    span.trace_id = [[0; 8], [7; 8]].concat();
    post(proxy.admin, &[HOST, PROTOBUF], sent.encode_to_vec()).await;

    let status = async |id: &str| {
        let reply = ask(&proxy, &format!("/api/v2/traces/{id}")).await;
        let old = ask(&proxy, &format!("/api/traces/{id}")).await;
        assert_eq!(reply.status, old.status, "{id}");
        reply.status.as_u16()
    };
    assert_eq!(status("707070707070707").await, 200);
    assert_eq!(status("0707070707070707").await, 200);
    assert_eq!(status("00000000000000000707070707070707").await, 200);
    assert_eq!(status("0707070707070708").await, 404);
    for hostile in [
        "0",
        "x",
        "%00",
        "%2e%2e%2f",
        "..%2fconfig",
        "0707070707070707%20",
        &"7".repeat(33),
        &"7".repeat(4_000),
    ] {
        assert_eq!(status(hostile).await, 400, "{hostile}");
    }
}

#[tokio::test]
async fn hostile_questions_are_refused_in_words() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    get(proxy.address, "/", &[]).await;

    for query in [
        "q=%7B",
        "q=%7B%20.a%20%3D%20%7D",
        "q=%7B%7D&tags=a%3Db",
        "q=%FF%FE",
        "limit=0",
        "limit=5001",
        "limit=x",
        "start=9&end=9",
        "start=-1",
        "minDuration=5",
        "maxDuration=1s&minDuration=2s",
        "spss=-1",
    ] {
        let reply = ask(&proxy, &format!("/api/search?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        assert!(reply.text().ends_with('\n'));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    let nested = format!("/api/search?q=%7B{}1%3D1", "(".repeat(5_000));
    assert_eq!(ask(&proxy, &nested).await.status, 400);
    let expression = format!("/api/search?q=%7Bname%3D~%22{}%22%7D", "(a*)*".repeat(500));
    assert!(ask(&proxy, &expression).await.status.as_u16() <= 400);
    for target in [
        "/api/v2/search/tag/nosuch/values",
        "/api/v2/search/tags?scope=nosuch",
        "/api/search/tags?limit=x",
        "/api/edgespan/traces?prefix=xyz",
        "/api/edgespan/tail?after=x",
    ] {
        assert_eq!(ask(&proxy, target).await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn large_answers_are_packed_for_those_who_take_that() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    for trace in 1..=30 {
        let sent = message("billing", trace, 1, 0).encode_to_vec();
        post(proxy.admin, &[HOST, PROTOBUF], sent).await;
    }

    let plain = ask(&proxy, "/api/search?q=%7B%7D&limit=50").await;
    let target = "/api/search?q=%7B%7D&limit=50";
    let packed = get(
        proxy.admin,
        target,
        &[HOST, ("accept-encoding", "gzip, br")],
    )
    .await;

    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut unpacked = String::new();
    let mut reader = flate2::read::GzDecoder::new(packed.body.as_ref());
    reader.read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.text());
    assert_eq!(plain.json()["traces"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn whom_grafana_asks_first_answers() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let echo = ask(&proxy, "/api/echo").await;
    assert_eq!((echo.status.as_u16(), echo.text().as_str()), (200, "echo"));
    let info = ask(&proxy, "/api/status/buildinfo").await;
    assert_eq!(info.header("content-type"), Some("application/json"));
    assert_eq!(info.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ask(&proxy, "/ready").await.status, 200);
    let index = ask(&proxy, "/").await.text();
    assert!(index.contains("/api/v2/traces/TRACE_ID"), "{index}");
}

#[tokio::test]
async fn names_and_values_of_attributes_are_listed() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("service: {name: shop}")
        .start()
        .await;
    get(proxy.address, "/orders/7", &[]).await;

    let names = ask(&proxy, "/api/v2/search/tags").await.json();
    let scopes = names["scopes"].as_array().unwrap();
    let scope = |name: &str| scopes.iter().find(|scope| scope["name"] == name).unwrap();
    assert!(
        scope("resource")["tags"]
            .as_array()
            .unwrap()
            .contains(&"service.name".into())
    );
    assert!(
        scope("span")["tags"]
            .as_array()
            .unwrap()
            .contains(&"http.route".into())
    );
    let flat = ask(&proxy, "/api/search/tags?scope=span").await.json();
    assert!(
        flat["tagNames"]
            .as_array()
            .unwrap()
            .contains(&"http.request.method".into())
    );
    let values = ask(&proxy, "/api/v2/search/tag/resource.service.name/values")
        .await
        .json();
    assert_eq!(
        values["tagValues"],
        serde_json::json!([{"type": "string", "value": "shop"}])
    );
    let code = "/api/v2/search/tag/span.http.response.status_code/values";
    let values = ask(&proxy, code).await.json();
    assert_eq!(
        values["tagValues"],
        serde_json::json!([{"type": "int", "value": "200"}])
    );
    let plain = ask(&proxy, "/api/search/tag/service.name/values")
        .await
        .json();
    assert_eq!(plain["tagValues"], serde_json::json!(["shop"]));
    let status = ask(&proxy, "/api/v2/search/tag/status/values").await.json();
    assert_eq!(
        status["tagValues"][0],
        serde_json::json!({"type": "keyword", "value": "error"})
    );
}
