//! Promises of `normalize`, over whole requests.

use super::*;
use proptest::prelude::*;

const POLICY: NormalizePolicy = NormalizePolicy {
    path: PathRules {
        allow_encoded_slash: false,
        allow_empty_segment: false,
    },
    header_bytes_max: 200,
    header_count_max: 8,
};

fn request(method: &str, version: Version, target: &str, lines: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .version(version)
        .uri(target);
    for (name, value) in lines {
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request.body(()).unwrap()
}

/// Checks what an HTTP/1.1 GET becomes: its target and its host.
#[track_caller]
fn check(target: &str, lines: &[(&str, &str)], expected: Result<(&str, &str), Refusal>) {
    check_as("GET", Version::HTTP_11, target, lines, expected);
}

#[track_caller]
fn check_as(
    method: &str,
    version: Version,
    target: &str,
    lines: &[(&str, &str)],
    expected: Result<(&str, &str), Refusal>,
) {
    let mut request = request(method, version, target, lines);

    let found = normalize(&mut request, &POLICY);

    let target = request.uri().to_string();
    let found = found
        .as_ref()
        .map(|normalized| (target.as_str(), normalized.host()));
    assert_eq!(found, expected.as_ref().copied(), "{lines:?}");
}

#[test]
fn a_request_in_order_stays_as_it_is() {
    check("/a?b=%zz", &[("host", "a")], Ok(("/a?b=%zz", "a")));
    check_as(
        "OPTIONS",
        Version::HTTP_11,
        "*",
        &[("host", "a")],
        Ok(("*", "a")),
    );
    check_as("GET", Version::HTTP_10, "/", &[], Ok(("/", "")));
    check_as("GET", Version::HTTP_2, "http://a/b", &[], Ok(("/b", "a")));
    check_as(
        "GET",
        Version::HTTP_2,
        "/b",
        &[("host", "a")],
        Ok(("/b", "a")),
    );
}

#[test]
fn there_is_exactly_one_host() {
    check("/", &[], Err(Refusal::HostMissing));
    check("http://a/", &[], Err(Refusal::HostMissing));
    check(
        "/",
        &[("host", "a"), ("host", "a")],
        Err(Refusal::HostRepeated),
    );
    check("/", &[("host", "")], Err(Refusal::HostInvalid));
    check("/", &[("host", "a/b")], Err(Refusal::HostInvalid));
    check_as("GET", Version::HTTP_2, "/", &[], Err(Refusal::HostMissing));
    check_as(
        "GET",
        Version::HTTP_10,
        "/",
        &[("host", "a"), ("host", "b")],
        Err(Refusal::HostRepeated),
    );
}

#[test]
fn host_and_target_agree() {
    check("http://A/b?c", &[("host", "a:80")], Ok(("/b?c", "a")));
    check("http://a", &[("host", "a")], Ok(("/", "a")));
    check("http://a?b", &[("host", "a")], Ok(("/?b", "a")));
    check("http://a/", &[("host", "b")], Err(Refusal::HostMismatch));
    check("http://a:81/", &[("host", "a")], Err(Refusal::HostMismatch));
    check("http://u:p@a/", &[("host", "a")], Err(Refusal::UserInfo));
    check("ftp://a/", &[("host", "a")], Err(Refusal::Scheme));
    check_as(
        "GET",
        Version::HTTP_2,
        "https://a/",
        &[("host", "b")],
        Err(Refusal::HostMismatch),
    );
}

#[test]
fn the_upstream_is_told_the_host_that_was_matched() {
    let mut request = request(
        "GET",
        Version::HTTP_11,
        "/",
        &[("host", "App.Example.COM.:080")],
    );

    let normalized = normalize(&mut request, &POLICY).unwrap();

    assert_eq!(normalized.host(), "app.example.com");
    assert_eq!(normalized.port(), Some(80));
    assert_eq!(request.headers()["host"], "app.example.com:80");
}

#[test]
fn an_authority_of_http2_becomes_a_host_header() {
    let mut request = request("GET", Version::HTTP_2, "https://[::1]:8443/", &[]);

    let normalized = normalize(&mut request, &POLICY).unwrap();

    assert_eq!(normalized.host(), "[::1]");
    assert_eq!(request.headers()["host"], "[::1]:8443");
}

#[test]
fn a_targets_form_fits_its_method() {
    check("*", &[("host", "a")], Err(Refusal::TargetForm));
    check("a:80", &[("host", "a")], Err(Refusal::TargetForm));
    check_as(
        "CONNECT",
        Version::HTTP_11,
        "a:80",
        &[("host", "a")],
        Err(Refusal::Connect),
    );
    check_as(
        "CONNECT",
        Version::HTTP_2,
        "https://a/",
        &[],
        Err(Refusal::Connect),
    );
}

#[test]
fn a_path_has_one_reading_and_its_query_stays() {
    let host = [("host", "a")];

    check("/%61?b=%61", &host, Ok(("/a?b=%61", "a")));
    check("/a/%2e%2e/b", &host, Err(Refusal::DotSegment));
    check("/a\\b", &host, Err(Refusal::TargetCharacter));
    check("/?a=ü", &host, Err(Refusal::TargetCharacter));
    check("/a//b", &host, Err(Refusal::EmptySegment));
}

#[test]
fn a_body_is_framed_in_one_way() {
    let with = |lines: &[(&'static str, &'static str)], expected| {
        let lines: Vec<_> = [("host", "a")].iter().chain(lines).copied().collect();
        check("/", &lines, expected);
    };
    let fine = Ok(("/", "a"));

    with(&[("transfer-encoding", "Chunked")], fine);
    with(&[("content-length", "5"), ("content-length", "5")], fine);
    for coding in [
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "xchunked",
        "chunked ",
    ] {
        with(
            &[("transfer-encoding", coding)],
            Err(Refusal::TransferEncoding),
        );
    }
    with(
        &[
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ],
        Err(Refusal::TransferEncoding),
    );
    with(
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        Err(Refusal::LengthAndEncoding),
    );
    for length in ["", "+5", "5, 5", "0x5", "-1"] {
        with(&[("content-length", length)], Err(Refusal::ContentLength));
    }
    with(
        &[("content-length", "5"), ("content-length", "6")],
        Err(Refusal::ContentLength),
    );
    check_as(
        "POST",
        Version::HTTP_10,
        "/",
        &[("transfer-encoding", "chunked")],
        Err(Refusal::TransferEncoding),
    );
}

#[test]
fn equal_lengths_become_one() {
    let lines = [
        ("host", "a"),
        ("content-length", "5"),
        ("content-length", "5"),
    ];
    let mut request = request("POST", Version::HTTP_11, "/", &lines);

    normalize(&mut request, &POLICY).unwrap();

    assert_eq!(request.headers().get_all(CONTENT_LENGTH).iter().count(), 1);
}

#[test]
fn http2_has_no_headers_of_a_connection() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        check_as(
            "GET",
            Version::HTTP_2,
            "http://a/",
            &[(name, "x")],
            Err(Refusal::ConnectionHeader),
        );
    }
    check_as(
        "GET",
        Version::HTTP_2,
        "http://a/",
        &[("te", "gzip")],
        Err(Refusal::ConnectionHeader),
    );
    check_as(
        "GET",
        Version::HTTP_2,
        "http://a/",
        &[("te", "trailers")],
        Ok(("/", "a")),
    );
}

#[test]
fn headers_beyond_the_limits_are_431() {
    let large = "x".repeat(201);
    let many = [("a", "b"); 9];

    check(
        "/",
        &[("host", "a"), ("b", &large)],
        Err(Refusal::HeadersTooLarge),
    );
    check("/", &many, Err(Refusal::TooManyHeaders));

    assert_eq!(Refusal::HeadersTooLarge.status(), 431);
    assert_eq!(Refusal::TooManyHeaders.status(), 431);
    assert_eq!(Refusal::Connect.status(), 405);
    assert_eq!(Refusal::DotSegment.status(), 400);
}

proptest! {
    #[test]
    fn normalising_twice_is_the_same_as_once(
        target in "(http://[aA]{0,2})?(/|%2[eEfF]|%61|[ab.;?*]){0,12}",
        host in "[aA]{1,2}\\.?(:[0-9]{0,3})?",
        http2: bool,
    ) {
        let version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        let mut request = request("GET", version, "/", &[("host", &host)]);
        *request.uri_mut() = uri;

        if let Ok(once) = normalize(&mut request, &POLICY) {
            let (target, headers) = (request.uri().clone(), request.headers().clone());
            prop_assert!(target.path().starts_with('/'));
            prop_assert_eq!(normalize(&mut request, &POLICY), Ok(once));
            prop_assert_eq!(request.uri(), &target);
            prop_assert_eq!(request.headers(), &headers);
        }
    }
}
