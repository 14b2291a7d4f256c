//! What is told of a request and read of an answer, without a socket.

use super::question::{Told, ToldFields};
use super::reading::{Reading, read};
use super::*;
use crate::auth::{HeaderChange, Identity};
use crate::message::forwarded;
use crate::message::held::HeldBody;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

fn settings(dialect: Dialect) -> ForwardSettings {
    let patterns = |texts: &[&str]| {
        let texts = texts.iter();
        texts
            .map(|text| FieldPattern::parse(text).unwrap())
            .collect()
    };
    ForwardSettings {
        metadata_attributes: Vec::new(),
        cache: None,
        upstream: "auth.a".into(),
        path: PathAndQuery::from_static("/auth"),
        dialect,
        retries: 1,
        request_headers: patterns(&["*"]),
        identity_headers: patterns(&["x-user", "x-group-*"]),
        answer_headers: vec![HeaderName::from_static("set-cookie")],
        identity: IdentityFields {
            subject: Some(HeaderName::from_static("x-user")),
            groups: Some(HeaderName::from_static("x-groups")),
        },
        rules: ForwardRules {
            timeout: Duration::from_secs(1),
            body: Some(BodyRule {
                bytes_max: 4,
                refuses_larger: false,
            }),
            on_failure: OnFailure::Closed,
            failure_status: None,
            passes_server_errors: false,
            context: Vec::new(),
        },
        overrides: BTreeMap::new(),
    }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let lines = lines.iter().map(|(name, value)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        )
    });
    lines.collect()
}

struct Request {
    method: Method,
    scheme: &'static str,
    port: Option<u16>,
    target: PathAndQuery,
    headers: HeaderMap,
    body: Option<HeldBody>,
    upgrades: bool,
}

impl Request {
    fn to(target: &str) -> Self {
        Self {
            method: Method::POST,
            scheme: "https",
            port: None,
            target: target.parse().unwrap(),
            headers: HeaderMap::new(),
            body: None,
            upgrades: false,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: &self.method,
            scheme: self.scheme,
            host: "app.example.com",
            port: self.port,
            target: &self.target,
            version: Version::HTTP_11,
            headers: &self.headers,
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            peer: SocketAddr::from(([10, 0, 0, 1], 1)),
            certificate: None,
            route: "r",
            listener: "web",
            upgrades: self.upgrades,
            is_preflight: false,
            body: self.body.as_ref(),
        }
    }

    fn told(&self, dialect: Dialect) -> Told {
        let settings = settings(dialect);
        tell(&settings, &self.asked()).unwrap()
    }

    fn read(&self, dialect: Dialect, status: u16, lines: &[(&str, &str)]) -> Reading {
        let settings = settings(dialect);
        let mut response = Response::new(Bytes::from_static(b"body"));
        *response.status_mut() = status.try_into().unwrap();
        *response.headers_mut() = headers(lines);
        read(
            &"a".into(),
            &settings,
            &settings.rules,
            &self.asked(),
            response,
        )
    }
}

fn tell(settings: &ForwardSettings, asked: &Asked<'_>) -> Option<Told> {
    question::tell(settings, &ToldFields::of(settings), &settings.rules, asked)
}

fn identity(reading: Reading) -> Identity {
    let Reading::Allow(grant) = reading else {
        panic!("{reading:?}");
    };
    Arc::unwrap_or_clone(grant.identity.unwrap())
}

#[test]
fn a_port_is_told_unless_the_scheme_has_it_anyway() {
    for (scheme, port, expected) in [
        ("https", None, "https://app.example.com/x?y"),
        ("https", Some(443), "https://app.example.com/x?y"),
        ("https", Some(80), "https://app.example.com:80/x?y"),
        ("http", Some(80), "http://app.example.com/x?y"),
        ("http", Some(8080), "http://app.example.com:8080/x?y"),
    ] {
        let request = Request {
            scheme,
            port,
            ..Request::to("/x?y")
        };

        let told = request.told(Dialect::AuthRequest);

        assert_eq!(told.request.headers()["x-original-url"], expected);
    }
}

#[test]
fn a_prefix_of_envoys_stands_before_the_path_as_it_is() {
    for (prefix, target, expected) in [
        ("/", "/x?y", "/x?y"),
        ("/auth", "/x?y", "/auth/x?y"),
        ("/auth/", "/x?y", "/auth//x?y"),
        ("/auth/", "*", "/auth/"),
        ("/auth", "/", "/auth/"),
        ("/auth", "*", "/auth"),
        ("/auth", "/a//b/%2e%2e/c", "/auth/a//b/%2e%2e/c"),
    ] {
        let settings = ForwardSettings {
            path: prefix.parse().unwrap(),
            ..settings(Dialect::Envoy)
        };
        let request = Request::to(target);

        let told = tell(&settings, &request.asked()).unwrap();

        assert_eq!(told.request.uri().to_string(), expected);
        assert_eq!(told.request.method(), Method::POST);
        assert_eq!(told.host.unwrap(), "app.example.com");
    }
}

#[test]
fn a_body_is_shown_up_to_the_policys_own_bound() {
    for (body, whole, seen, cut) in [
        ("", true, "", false),
        ("abcd", true, "abcd", false),
        ("abcde", true, "abcd", true),
        ("abc", false, "abc", true),
    ] {
        let request = Request {
            body: Some(HeldBody::new(Bytes::from_static(body.as_bytes()), whole)),
            ..Request::to("/")
        };

        let told = request.told(Dialect::AuthRequest);

        assert_eq!(
            (&**told.request.body(), told.is_cut),
            (seen.as_bytes(), cut)
        );
    }
}

#[test]
fn who_it_is_stands_in_the_fields_that_were_named() {
    let allowed = [
        ("x-user", "zoë"),
        ("x-groups", "a, b,,c"),
        ("x-groups", " d "),
    ];

    let found = identity(Request::to("/").read(Dialect::AuthRequest, 202, &allowed));

    assert_eq!(found.subject.as_deref(), Some("zoë"));
    let groups: Vec<&str> = found.groups.iter().map(AsRef::as_ref).collect();
    assert_eq!(groups, ["a", "b", "c", "d"]);
    let nobody = identity(Request::to("/").read(Dialect::AuthRequest, 200, &[("x-user", "")]));
    assert_eq!((nobody.subject, nobody.groups.len()), (None, 0));
}

/// LemonLDAP::NG's handler for Traefik writes each of its fields twice.
#[test]
fn a_line_that_stands_twice_says_it_once() {
    let allowed = [
        ("x-user", "zoe"),
        ("x-groups", "a,b"),
        ("x-groups", "c"),
        ("x-user", "zoe"),
        ("x-groups", "a,b"),
        ("set-cookie", "s=1"),
        ("set-cookie", "s=1"),
    ];

    let reading = Request::to("/").read(Dialect::Traefik, 200, &allowed);

    let Reading::Allow(grant) = reading else {
        panic!("{reading:?}");
    };
    let found = grant.identity.unwrap();
    assert_eq!(found.subject.as_deref(), Some("zoe"));
    let groups: Vec<&str> = found.groups.iter().map(AsRef::as_ref).collect();
    assert_eq!(groups, ["a", "b", "c"]);
    let user = HeaderName::from_static("x-user");
    let set = HeaderChange::Set(user.clone(), HeaderValue::from_static("zoe"));
    let written = grant.request.iter();
    let written: Vec<_> = written
        .filter(|change| !matches!(change, HeaderChange::Remove(_)))
        .collect();
    assert_eq!(written, [&set]);
    assert_eq!(grant.answer.len(), 2);
    let two = [("x-user", "zoe"), ("x-user", "zoe"), ("x-user", "mallory")];
    let reading = Request::to("/").read(Dialect::Traefik, 200, &two);
    assert!(matches!(reading, Reading::Nothing(Reason::BadAnswer)));
}

#[test]
fn an_answer_that_is_no_text_names_nobody() {
    let mut response = Response::new(Bytes::new());
    let latin1 = HeaderValue::from_bytes(b"zo\xeb").unwrap();
    response.headers_mut().insert("x-user", latin1);
    let settings = settings(Dialect::AuthRequest);
    let request = Request::to("/");

    let reading = read(
        &"a".into(),
        &settings,
        &settings.rules,
        &request.asked(),
        response,
    );

    assert!(matches!(reading, Reading::Nothing(Reason::BadAnswer)));
}

#[test]
fn a_prefix_takes_nothing_that_frames_the_answer() {
    let settings = ForwardSettings {
        identity_headers: vec![FieldPattern::parse("co*").unwrap()],
        ..settings(Dialect::AuthRequest)
    };
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = headers(&[
        ("content-length", "0"),
        ("content-type", "text/html"),
        ("connection", "close"),
        ("cost-centre", "7"),
    ]);
    let mut request = Request::to("/");
    request.headers = headers(&[
        ("content-length", "3"),
        ("content_length", "3"),
        ("content-type", "text/html"),
        ("cost_centre", "mallory"),
    ]);

    let reading = read(
        &"a".into(),
        &settings,
        &settings.rules,
        &request.asked(),
        response,
    );

    let Reading::Allow(grant) = reading else {
        panic!("{reading:?}");
    };
    let gone = HeaderChange::Remove(HeaderName::from_static("cost_centre"));
    let set = HeaderChange::Set(HeaderName::from_static("cost-centre"), "7".parse().unwrap());
    assert_eq!(grant.request, [gone, set]);
}

#[test]
fn a_wide_prefix_leaves_what_says_where_a_request_came_from() {
    let removed = |pattern: &str| {
        let settings = ForwardSettings {
            identity_headers: vec![FieldPattern::parse(pattern).unwrap()],
            ..settings(Dialect::Traefik)
        };
        let sent = headers(&[("x-forwarded-for", "192.0.2.1"), ("x-user", "mallory")]);
        reading::removals(&settings, &sent).len()
    };

    assert_eq!(removed("x-*"), 1);
    assert_eq!(removed("x-forwarded-*"), 1);
}

#[test]
fn a_field_that_frames_a_message_is_not_told_whoever_names_it() {
    let named = [
        "content-length",
        "transfer-encoding",
        "expect",
        "host",
        "te",
        "upgrade",
    ];
    let settings = ForwardSettings {
        request_headers: named
            .iter()
            .filter_map(|name| FieldPattern::parse(name))
            .collect(),
        ..settings(Dialect::AuthRequest)
    };
    let mut request = Request::to("/");
    request.headers = named
        .iter()
        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("5")))
        .collect();

    let told = tell(&settings, &request.asked()).unwrap();

    let headers = told.request.headers();
    assert!(
        named.iter().all(|name| !headers.contains_key(*name)),
        "{headers:?}"
    );
}

#[test]
fn a_status_that_nobody_knows_says_nothing() {
    for status in [100, 101, 199, 600, 999] {
        for dialect in [Dialect::AuthRequest, Dialect::Traefik, Dialect::Envoy] {
            let reading = Request::to("/").read(dialect, status, &[]);
            assert!(
                matches!(reading, Reading::Nothing(Reason::BadAnswer)),
                "{status}"
            );
        }
    }
}

proptest! {
    /// Whatever a request carries, the question says our reading of it, and nobody else's.
    #[test]
    fn what_speaks_for_the_client_is_ours(
        names in proptest::collection::vec(
            "(x[-_.]forwarded[-_](for|host|uri|proto|method|prefix)|x[-_]original[-_](url|method)|forwarded|x-real-ip|[a-z-]{1,12})",
            0..12,
        ),
        path in "/[ -~&&[^#?]]{0,20}",
    ) {
        let mut request = Request::to("/");
        for name in &names {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            request.headers.append(name, HeaderValue::from_static("mallory"));
        }
        if let Ok(target) = path.parse() {
            request.target = target;
        }
        for dialect in [Dialect::AuthRequest, Dialect::Traefik, Dialect::Envoy] {
            let settings = settings(dialect);
            let Some(told) = tell(&settings, &request.asked()) else { continue };
            for (name, value) in told.request.headers() {
                prop_assert!(!forwarded::is_claim(name.as_str()) || value != "mallory", "{}", name);
            }
            if dialect == Dialect::Envoy {
                prop_assert_eq!(told.request.uri().to_string(), format!("/auth{}", request.target));
            } else {
                prop_assert_eq!(&told.request.headers()["x-forwarded-uri"], request.target.as_str());
            }
        }
    }

    /// Whatever an answer carries, only what allows in its dialect allows, and a client's identity
    /// header is always taken away.
    #[test]
    fn no_other_answer_allows(
        status in 100_u16..1000,
        name in "[a-z-]{1,10}",
        value in "[ -~]{0,20}",
    ) {
        let mut request = Request::to("/");
        request.headers = headers(&[("x_user", "mallory"), ("x-group_1", "root")]);
        for dialect in [Dialect::AuthRequest, Dialect::Traefik, Dialect::Envoy] {
            let allowed = if dialect == Dialect::Envoy { status == 200 } else { (200..300).contains(&status) };
            match request.read(dialect, status, &[(&name, &value)]) {
                Reading::Allow(grant) => {
                    prop_assert!(allowed);
                    for gone in ["x_user", "x-group_1", "x-user"] {
                        let removed = HeaderChange::Remove(HeaderName::from_static(gone));
                        prop_assert!(grant.request.contains(&removed), "{}", gone);
                    }
                }
                Reading::Refuse(denial) => {
                    prop_assert!(!allowed);
                    if let DenialAnswer::Theirs(answer) = denial.answer {
                        prop_assert_eq!(answer.status().as_u16(), status);
                    }
                }
                Reading::Nothing(_) => prop_assert!(!allowed),
            }
        }
    }
}
