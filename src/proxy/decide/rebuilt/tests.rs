//! One reading of what a host tells, whichever way it tells it.

use super::*;
use crate::listener::Dialect;
use crate::message::hop_by_hop;
use crate::message::target::PathRules;
use crate::proxy::decide::told::{self, Outer};
use http::{HeaderValue, Method};
use proptest::prelude::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Those that tell by header fields and paths.
const TELLING: [Dialect; 5] = [
    Dialect::Nginx,
    Dialect::Traefik,
    Dialect::Caddy,
    Dialect::Envoy,
    Dialect::Haproxy,
];

/// A request as its client writes it.
#[derive(Clone, Debug)]
struct Sent {
    method: Method,
    target: String,
    host: String,
    fields: Vec<(String, String)>,
}

impl Sent {
    fn get(host: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            method: Method::GET,
            target: target.to_owned(),
            host: host.to_owned(),
            fields: fields.iter().map(owned).collect(),
        }
    }

    fn request(&self, target: &str, more: &[(&str, &str)]) -> Option<Request<()>> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target.parse().ok()?;
        let own = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(more.iter().copied()) {
            let name = HeaderName::try_from(name).ok()?;
            request
                .headers_mut()
                .append(name, HeaderValue::from_str(value).ok()?);
        }
        Some(request)
    }

    /// The request in gateway mode, after its gate. The outer None: no parser would take it.
    fn at_gateway(&self) -> Option<Option<Parts>> {
        let mut request = self.request(&self.target, &[("host", &self.host)])?;
        let Ok(normalized) = normalize(&mut request, &policy()) else {
            return Some(None);
        };
        let (mut parts, ()) = request.into_parts();
        hop_by_hop::strip_request(&mut parts.headers, &[]);
        let host = normalized.authority().map(Authority::header);
        let trusted = TrustedPeers::default();
        let policy = ForwardedPolicy {
            trusted: &trusted,
            client_address_header: None,
            cloudflare: None,
            peer_text: None,
        };
        let client = SocketAddr::new(CLIENT, 4711);
        forwarded::apply_request(&mut parts.headers, client, "https", host, &policy);
        Some(Some(parts))
    }

    /// The same, told by a host. None: nothing is decided.
    fn told_by(&self, dialect: Dialect) -> Option<Rebuilt> {
        let url = format!("https://{}{}", self.host, self.target);
        let (host, endpoint) = (self.host.as_str(), dialect.default_path());
        let behind = format!("{endpoint}{}", self.target);
        let method = self.method.as_str();
        let (target, told): (&str, Vec<(&str, &str)>) = match dialect {
            Dialect::Nginx => (
                endpoint,
                vec![
                    ("x-original-method", method),
                    ("x-original-url", &url),
                    ("host", "edgespan"),
                ],
            ),
            Dialect::Envoy => (
                &behind,
                vec![("x-forwarded-proto", "https"), ("host", host)],
            ),
            Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy | Dialect::EnvoyGrpc => (
                endpoint,
                vec![
                    ("x-forwarded-method", method),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", host),
                    ("x-forwarded-uri", &self.target),
                    ("host", "edgespan"),
                ],
            ),
        };
        // A host replaces what its client sent under the names that it tells by.
        let tells = |name: &str| told.iter().any(|(own, _)| *own == name);
        let mut honest = self.clone();
        honest
            .fields
            .retain(|(name, _)| !tells(name) && name != "x-forwarded-for");
        let mut more = told.clone();
        more.push(("x-forwarded-for", "6.6.6.6, 192.0.2.7"));
        let mut outer = honest.request(target, &more)?;
        let raw = outer.uri().path_and_query().cloned()?;
        let normalized = normalize(&mut outer, &policy()).ok()?;
        let (mut parts, ()) = outer.into_parts();
        hop_by_hop::strip_told(&mut parts.headers);
        let outer = Outer {
            parts: &parts,
            raw: &raw,
            host: normalized.authority().map(Authority::header),
            scheme: "http",
        };
        let told = told::read(dialect, endpoint, &outer).ok()?;
        let (rebuilt, client) = rebuild(parts.headers, &told);
        assert_eq!(client, CLIENT, "{dialect:?}");
        rebuilt.normalized.is_ok().then_some(rebuilt)
    }
}

fn policy() -> NormalizePolicy {
    NormalizePolicy {
        path: PathRules::default(),
        header_bytes_max: 64 * 1024,
        header_count_max: 100,
    }
}

fn rebuild(mut headers: HeaderMap, told: &Told) -> (Rebuilt, IpAddr) {
    headers.remove(FORWARDED);
    let trusted = TrustedPeers::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let reading = Reading {
        trusted: &trusted,
        client_address_header: None,
        certificate_header: Some(HeaderName::from_static("client-cert")),
        policy: policy(),
    };
    let client = reading.client_of(&headers);
    (
        reading.rebuild(headers, told, SocketAddr::new(client, 0)),
        client,
    )
}

/// Path, host and fields as in gateway mode, or nothing decided where gateway mode refuses.
fn differs(sent: &Sent) -> Option<String> {
    let at_gateway = sent.at_gateway()?;
    TELLING.into_iter().find_map(|dialect| {
        let told = sent.told_by(dialect);
        let (method, uri, headers) = match (&at_gateway, &told) {
            (Some(own), Some(told)) => (
                own.method == told.parts.method,
                own.uri == told.parts.uri,
                own.headers == told.parts.headers,
            ),
            (None, None) => return None,
            (Some(_), None) | (None, Some(_)) => {
                return Some(format!("{dialect:?}: {at_gateway:?} but {told:?}"));
            }
        };
        (!(method && uri && headers)).then(|| format!("{dialect:?}: {at_gateway:#?} but {told:#?}"))
    })
}

#[track_caller]
fn same(sent: &Sent) {
    assert_eq!(differs(sent), None, "{sent:?}");
}

fn rebuilt(dialect: Dialect, sent: &Sent) -> Rebuilt {
    sent.told_by(dialect).expect("a request")
}

/// CVE-2026-33494 and GHSA-6jwx-7vp4-9847
#[test]
fn a_path_of_any_spelling_is_read_as_in_gateway_mode_or_not_at_all() {
    let stems = ["/public/{}admin", "/{}", "/a{}b", "/a/{}"];
    let middles = [
        "",
        "../",
        "%2e%2e/",
        ".%2E/",
        "..%2f",
        "%2F",
        "%5c",
        "\\",
        "/",
        "//",
        "..;/",
        ";x=1/",
        "%61",
        "%00",
        "%",
        "%zz",
        "%252e%252e/",
        "%C3%BC",
        "*",
        "?",
        "?a=/../b",
        "+",
        "~",
        "%7e",
    ];
    for stem in stems {
        for middle in middles {
            same(&Sent::get(
                "app.example.com",
                &stem.replace("{}", middle),
                &[],
            ));
        }
    }
}

/// CVE-2026-48794
#[test]
fn a_host_of_any_spelling_is_one_host_or_none() {
    for host in [
        "App.EXAMPLE.com",
        "app.example.com.",
        "app.example.com:443",
        "app.example.com:0443",
        "xn--bcher-kva.example",
        "a@b",
        "a,b",
        "[::1]:80",
        "a..b",
        "a_b",
    ] {
        same(&Sent::get(host, "/a", &[]));
    }
    let found = rebuilt(Dialect::Nginx, &Sent::get("A.B.Example.Com.", "/", &[]));
    assert_eq!(found.normalized.unwrap().host(), "a.b.example.com");
}

/// CVE-2024-47070
#[test]
fn a_client_address_that_cannot_be_read_is_nobodys() {
    let told = Told {
        method: Method::GET,
        scheme: "http",
        host: HeaderValue::from_static("a"),
        target: "/".parse().unwrap(),
    };
    for (line, expected) in [
        ("a", "0.0.0.0"),
        ("", "0.0.0.0"),
        ("192.0.2.7, unix:", "0.0.0.0"),
        ("6.6.6.6, 192.0.2.7, 10.9.9.9", "192.0.2.7"),
        ("[2001:db8::1]:80", "2001:db8::1"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        headers.insert("forwarded", HeaderValue::from_static("for=6.6.6.6"));

        let (_, client) = rebuild(headers, &told);

        assert_eq!(client.to_string(), expected, "{line}");
    }
}

/// CVE-2026-39858, CVE-2026-52845 and GHSA-6384-m2mw-rf54
#[test]
fn nothing_that_speaks_for_others_is_left_of_what_a_client_sent() {
    let claims = [
        "x_forwarded_user",
        "x-forwarded_user",
        "X_Forwarded_For",
        "x-forwarded-prefix",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-original-forwarded-for",
        "x_original_url",
        "forwarded",
        "x-real-ip",
        "x_real_ip",
        "client-cert",
        "client_cert",
        "cf-connecting-ip",
    ];
    let fields: Vec<_> = claims.iter().map(|name| (*name, "evil")).collect();
    let sent = Sent::get("app.example.com", "/a", &fields);

    for dialect in TELLING {
        let found = rebuilt(dialect, &sent);

        let values: Vec<_> = found.parts.headers.iter().collect();
        assert_eq!(
            values.len(),
            4,
            "host and what we say ourselves: {values:?}"
        );
        assert_eq!(found.parts.headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(found.parts.headers["x-forwarded-host"], "app.example.com");
        assert_eq!(found.parts.headers["x-forwarded-proto"], "https");
    }
}

/// CVE-2024-45410
#[test]
fn no_nomination_takes_away_what_a_host_tells_or_a_client_proves() {
    let nominated = "close, x-forwarded-uri, x-original-url, x-forwarded-for, cookie, \
                     authorization, traceparent";
    let fields = [
        ("connection", nominated),
        ("cookie", "a=1"),
        ("authorization", "Bearer x"),
        ("traceparent", "00-1-2-01"),
    ];
    let sent = Sent::get("app.example.com", "/admin", &fields);

    for dialect in TELLING {
        let found = rebuilt(dialect, &sent);

        assert_eq!(found.parts.uri.path(), "/admin", "{dialect:?}");
        for name in ["cookie", "authorization", "traceparent"] {
            assert!(found.parts.headers.contains_key(name), "{dialect:?} {name}");
        }
    }
    same(&sent);
}

proptest! {
    #[test]
    fn what_is_asked_about_is_what_gateway_mode_would_see(
        method in "GET|POST|OPTIONS|BREW",
        target in "/([a-z./;~%\\\\*+=&!-]|%[0-9a-fA-F]{2}|\\?){0,16}",
        host in "[a-zA-Z.]{1,6}(:[0-9]{0,5})?",
        fields in proptest::collection::vec(
            (
                "x-[a-z_-]{1,8}|x[-_]forwarded[-_](for|uri|host|user)|cookie|forwarded|connection",
                "[a-z0-9=, .;-]{0,12}",
            ),
            0..4,
        ),
    ) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        // A connection's own fields are the host's to read, who sends what is left of them.
        let fields = fields.into_iter().filter(|(name, _)| name != "connection").collect();
        let sent = Sent { method, target, host, fields };

        prop_assert_eq!(differs(&sent), None);
    }

    /// CVE-2025-54576
    #[test]
    fn the_path_does_not_hang_on_the_query(query in "[!-\"$-~]{0,30}") {
        let sent = Sent::get("a", &format!("/foo/secret?{query}"), &[]);

        for dialect in TELLING {
            if let Some(found) = sent.told_by(dialect) {
                prop_assert_eq!(found.parts.uri.path(), "/foo/secret");
            }
        }
    }
}
