//! The messages against what another language's generated code writes, and both readings of them.

mod properties;
mod replies;
mod service;

use super::messages::*;
use super::question::{self, Telling};
use super::reply::{self, Nonsense, Reply};
use crate::auth::Asked;
use crate::auth::forward::FieldPattern;
use crate::clock::Timestamp;
use crate::message::held::HeldBody;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, Method, Version};
use prost::Message as _;

/// Written by the generated Python of the published definition.
const REQUEST: &str = "0ab1010a220a120a10120b3230332e302e3131332e3918e724220c7370696666653a2f2f612f62120c0a0a12080a062f72756e2f7822550a0408071008124d0a02696412034745541a0d0a06636f6f6b69651203613d3122042f703f712a03683a313205687474707348ffffffffffffffffff015206485454502f325a01626201ff6a080a060a016b1a01fe52060a01781201795a170a150a016612100a0e0a016e120911000000000000f83f62050a03736e69";
const ALLOWING: &str = "0a0312016d1a5a12130a0d0a06782d75736572120361646118022001120a0a060a01721a01ff12001a0b0a090a036f6c64120220012a06785f7573657232170a110a0a7365742d636f6f6b69651203613d31120208013a060a016b120176420174220c0a0a0a036e657712031a0178";
const REFUSING: &str = "0a020807121f0a0308ae0212140a120a086c6f636174696f6e12062f6c6f67696e1a026e6f";
const FAILING: &str = "0a02080e2a050a0308f703";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn field(key: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        ..HeaderValueOption::default()
    }
}

fn status(code: i32) -> Option<Status> {
    Some(Status {
        code,
        message: String::new(),
    })
}

#[test]
fn a_question_of_another_language_is_read_field_by_field_and_written_alike() {
    let read = CheckRequest::decode(&*bytes(REQUEST)).unwrap();

    let attributes = read.attributes.clone().unwrap();
    let source = attributes.source.unwrap();
    let Some(AddressKind::SocketAddress(address)) = source.address.unwrap().address else {
        panic!("a socket's address");
    };
    assert_eq!(
        (&*address.address, address.port_value),
        ("203.0.113.9", 4711)
    );
    assert_eq!(source.principal, "spiffe://a/b");
    let request = attributes.request.unwrap();
    assert_eq!(request.time.unwrap().nanos, 8);
    let http = request.http.unwrap();
    assert_eq!((&*http.id, &*http.method), ("id", "GET"));
    assert_eq!((&*http.path, &*http.host), ("/p?q", "h:1"));
    assert_eq!((&*http.scheme, http.size), ("https", -1));
    assert_eq!((&*http.protocol, &*http.body), ("HTTP/2", "b"));
    assert_eq!(
        (&*http.raw_body, &*http.headers["cookie"]),
        (&b"\xff"[..], "a=1")
    );
    assert_eq!(http.header_map.unwrap().headers[0].raw_value, b"\xfe");
    assert_eq!(attributes.context_extensions["x"], "y");
    assert_eq!(attributes.tls_session.unwrap().sni, "sni");
    let metadata = attributes.metadata_context.unwrap();
    assert!(metadata.filter_metadata["f"].fields.contains_key("n"));
    assert_eq!(read.encoded_len(), bytes(REQUEST).len());
    assert_eq!(CheckRequest::decode(&*read.encode_to_vec()), Ok(read));
}

#[test]
fn answers_of_another_language_are_read_field_by_field() {
    let read = |hex| CheckResponse::decode(&*bytes(hex)).unwrap();

    let allowing = read(ALLOWING);
    let Some(HttpResponse::Ok(ok)) = allowing.http_response.clone() else {
        panic!("it allows");
    };
    assert_eq!(
        ok.headers[0].append_action(),
        AppendAction::OverwriteIfExistsOrAdd
    );
    assert!(ok.headers[0].keep_empty_value);
    assert_eq!(ok.headers[1].append, Some(false));
    assert_eq!(ok.headers[1].header.as_ref().unwrap().raw_value, b"\xff");
    assert_eq!(ok.headers_to_remove, ["x_user"]);
    assert_eq!(ok.response_headers_to_add[0].append, Some(true));
    assert_eq!(ok.query_parameters_to_set[0].value, "v");
    assert_eq!(ok.query_parameters_to_remove, ["t"]);
    assert!(ok.dynamic_metadata.unwrap().fields.contains_key("old"));
    let metadata = allowing.dynamic_metadata.clone().unwrap();
    assert!(metadata.fields.contains_key("new"));
    assert_eq!(allowing.encode_to_vec(), bytes(ALLOWING));

    let refusing = read(REFUSING);
    let Some(HttpResponse::Denied(denied)) = &refusing.http_response else {
        panic!("it refuses");
    };
    assert_eq!((denied.status.unwrap().code, &*denied.body), (302, "no"));
    assert!(matches!(
        read(FAILING).http_response,
        Some(HttpResponse::Error(_))
    ));
}

/// What a test asks about, and the parts that it lives in.
fn with_asked<T>(fields: &[(&str, &str)], told: impl FnOnce(&Asked<'_>) -> T) -> T {
    let mut headers = http::HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).unwrap();
        headers.append(
            name,
            http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    let target = PathAndQuery::from_static("/a%20b?q=1");
    told(&Asked {
        method: &Method::POST,
        scheme: "https",
        host: "app.example.com",
        port: Some(8443),
        target: &target,
        version: Version::HTTP_2,
        headers: &headers,
        client: "203.0.113.9".parse().unwrap(),
        peer: "203.0.113.9:4711".parse().unwrap(),
        certificate: None,
        route: "all",
        listener: "web",
        upgrades: false,
        is_preflight: false,
        body: None,
    })
}

fn question(asked: &Asked<'_>, body_bytes: Option<usize>) -> HttpRequest {
    let context = [(
        HeaderName::from_static("tenant"),
        http::HeaderValue::from_static("7"),
    )];
    let telling = Telling {
        headers: &[FieldPattern::All],
        context: &context,
        body_bytes,
    };
    let asked = question::of(asked, &telling, Timestamp::from_unix_nanos(7_000_000_008));
    let attributes = asked.attributes.unwrap();
    assert_eq!(attributes.context_extensions["tenant"], "7");
    let request = attributes.request.unwrap();
    assert_eq!(request.time.unwrap().seconds, 7);
    request.http.unwrap()
}

/// CVE-2021-32777
#[test]
fn an_authorizer_sees_every_line_of_a_repeated_header() {
    let fields = [
        ("host", "app.example.com:8443"),
        ("x-role", "user"),
        ("x-role", "admin"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-request-id", "r"),
        ("content-length", "3"),
        ("x-raw", "a\u{e4}"),
    ];
    let http = with_asked(&fields, |asked| question(asked, None));

    assert_eq!(http.headers["x-role"], "user,admin");
    assert_eq!(http.headers["cookie"], "a=1; b=2");
    assert_eq!(http.headers[":path"], "/a%20b?q=1");
    assert_eq!(http.headers[":authority"], "app.example.com:8443");
    assert!(!http.headers.contains_key("host"));
    assert!(!http.headers.contains_key("x-envoy-auth-partial-body"));
    assert_eq!(
        (&*http.path, &*http.host),
        ("/a%20b?q=1", "app.example.com:8443")
    );
    assert_eq!((&*http.method, &*http.scheme), ("POST", "https"));
    assert_eq!((&*http.protocol, &*http.id, http.size), ("HTTP/2", "r", 3));
    assert_eq!(http.headers["x-raw"], "a\u{e4}");
}

#[test]
fn a_body_is_told_up_to_its_bound_as_text_or_as_bytes() {
    let told = |body: &'static [u8], bound| {
        let body = HeldBody::new(Bytes::from_static(body), true);
        with_asked(&[], |asked| {
            let body = Some(&body);
            let http = question(&Asked { body, ..*asked }, Some(bound));
            let partial = http.headers["x-envoy-auth-partial-body"].clone();
            (http.body, http.raw_body, partial)
        })
    };
    let text = |text: &str, partial: &str| (text.to_owned(), Bytes::new(), partial.to_owned());

    assert_eq!(told(b"abc", 3), text("abc", "false"));
    assert_eq!(told(b"abc", 2), text("ab", "true"));
    let raw = (
        String::new(),
        Bytes::from_static(b"\xff"),
        "false".to_owned(),
    );
    assert_eq!(told(b"\xff", 3), raw);
    let unseen = with_asked(&[], |asked| question(asked, Some(3)));
    assert!(!unseen.headers.contains_key("x-envoy-auth-partial-body"));
}

fn read(answer: CheckResponse) -> Result<Reply, Nonsense> {
    reply::read(answer)
}
