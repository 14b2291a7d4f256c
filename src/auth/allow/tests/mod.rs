//! Promises of expressions: what is refused when they are read, and what they say of requests.

mod bounds;
mod reference;

use super::{Allow, AllowError, Inquiry, Refused};
use crate::auth::{Asked, Identity, Proof};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A request and who sent it.
struct Request {
    target: PathAndQuery,
    headers: HeaderMap,
    identity: Option<Identity>,
    flow: Option<&'static str>,
}

impl Request {
    fn to(target: &str) -> Self {
        Self {
            target: target.parse().unwrap(),
            headers: HeaderMap::new(),
            identity: None,
            flow: Some("escrow"),
        }
    }

    fn by(mut self, claims: Value) -> Self {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        self.identity = Some(identity(claims));
        self
    }

    fn with(mut self, name: &'static str, value: &[u8]) -> Self {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_bytes(value).unwrap();
        self.headers.append(name, value);
        self
    }

    fn ask(&self, expression: &str) -> Result<(), Refused> {
        let allow = Allow::compile(expression).unwrap();
        let asked = Asked {
            method: &Method::GET,
            scheme: "https",
            host: "app.example.com",
            port: None,
            target: &self.target,
            version: Version::HTTP_2,
            headers: &self.headers,
            client: "192.0.2.7".parse().unwrap(),
            peer: "127.0.0.1:9".parse().unwrap(),
            certificate: None,
            route: "orders",
            listener: "web",
            upgrades: false,
            is_preflight: false,
            body: None,
        };
        allow.check(&Inquiry {
            asked: &asked,
            identity: self.identity.as_ref(),
            flow: self.flow,
        })
    }
}

fn identity(claims: Map<String, Value>) -> Identity {
    Identity {
        subject: Some(Arc::from("ada")),
        groups: vec![Arc::from("ops"), Arc::from("dev")],
        claims,
        proof: Proof::ApiKey,
        policy: Arc::from("partners"),
    }
}

fn sample() -> Request {
    Request::to("/api/orders/7?dry=1&tag=a&tag=b&x=%C3%A4+b")
        .by(json!({
            "groups": ["ops", "dev"],
            "org": {"id": 7, "tier": "gold"},
            "https://example.com/roles": ["admin"],
            "verified": true,
            "score": 0.5,
            "teams": [{"name": "core", "lead": true}, {"name": "web"}],
            "nothing": null,
        }))
        .with("x-tenant", b"acme")
        .with("x-many", b"a")
        .with("x-many", b"b")
        .with("cookie", b"a=1")
        .with("cookie", b"b=2")
        .with("x-bytes", b"\xff")
}

#[track_caller]
fn says(expression: &str, expected: Result<(), Refused>) {
    assert_eq!(sample().ask(expression), expected, "{expression}");
}

#[track_caller]
fn fails(expression: &str, error: AllowError) {
    says(expression, Err(Refused::Failed(error)));
}

/// The message of the only fault, and the text that it points at.
#[track_caller]
fn refused(expression: &str, message: &str, place: &str) {
    let faults = Allow::compile(expression).unwrap_err();
    let [fault] = faults.as_slice() else {
        panic!("not one fault of {expression}: {faults:?}");
    };
    assert_eq!(fault.message, message, "{expression}");
    let pointed = expression.get(fault.at.clone());
    assert_eq!(pointed, Some(place), "{expression}: {fault:?}");
}

#[test]
fn every_variable_says_what_the_request_is() {
    for expression in [
        "request.method == 'GET'",
        "request.path == '/api/orders/7'",
        "request.host == 'app.example.com'",
        "request.scheme == \"https\" && request.protocol == 'HTTP/2'",
        "request.client_ip == '192.0.2.7'",
        "request.headers['x-tenant'] == 'acme'",
        "request.headers['x-many'] == 'a, b'",
        "request.headers.cookie == 'a=1; b=2'",
        "request.query.dry == '1' && request.query['x'] == 'ä b'",
        "has(request.query.tag) && !has(request.query.nope)",
        "'x-tenant' in request.headers && !('x-nope' in request.headers)",
        "'dry' in request.query && 'org' in claims && !('nope' in claims)",
        "route.name == 'orders' && route.flow == 'escrow' && has(route.flow)",
        "identity.subject == 'ada' && identity.proof == 'api_key'",
        "identity.policy == 'partners' && 'ops' in identity.groups",
        "identity != null && !(identity == null) && has(identity.subject)",
        "claims.sub == 'ada'",
        "claims.groups.exists(g, g == \"ops\")",
        "claims[\"https://example.com/roles\"].all(r, r == 'admin')",
        "claims.org.id == 7 && claims['org'].tier == 'gold' && claims.org['tier'] == 'gold'",
        "has(claims.org.id) && !has(claims.org.nope) && has(claims.nothing)",
        "claims.nothing == null && claims.verified && claims.score < 1.0",
        "claims.teams[0].name == 'core' && claims.teams.exists_one(t, has(t.lead))",
        "size(claims.teams) == 2 && claims.groups.filter(g, g != 'dev').size() == 1",
        "claims.teams.exists(t, claims.groups.exists(g, g + 's' == 'devs' && t.name == 'web'))",
        "request.path.startsWith('/api/') && request.path.endsWith('7')",
        "request.path.contains('orders') && request.host.lowerAscii() == request.host",
        "request.path.matches('^/api/orders/[0-9]+$') && matches(request.host, 'example')",
        "int(request.query.dry) + 1 == 2 && string(claims.org.id) == '7'",
        "request.method in ['GET', 'HEAD'] ? claims.verified : false",
        "claims.groups == ['ops', 'dev']",
    ] {
        says(expression, Ok(()));
    }
}

#[test]
fn what_is_false_is_not_allowed_and_what_cannot_be_said_fails_with_its_kind() {
    says(
        "claims.groups.exists(g, g == 'root')",
        Err(Refused::NotAllowed),
    );
    says("false", Err(Refused::NotAllowed));
    fails("claims.nope == 'x'", AllowError::Missing);
    fails("claims.teams[1].lead", AllowError::Missing);
    fails("request.headers['x-nope'] == ''", AllowError::Missing);
    fails("claims.org", AllowError::NotBoolean);
    fails("claims.score", AllowError::NotBoolean);
    fails("claims.score > 'a'", AllowError::TypeMismatch);
    fails("claims.groups.startsWith('a')", AllowError::TypeMismatch);
    fails("claims.score.exists(s, true)", AllowError::TypeMismatch);
    fails("1 / (claims.org.id - 7) == 1", AllowError::Arithmetic);
    fails("claims.groups[9] == ''", AllowError::IndexOutOfBounds);
    fails("int(request.path) == 1", AllowError::Function);
    fails("request.headers['x-bytes'] == ''", AllowError::NotText);
}

#[test]
fn a_parameter_that_comes_twice_has_no_value_whatever_else_holds() {
    fails("request.query.tag == 'a'", AllowError::RepeatedParameter);
    fails(
        "request.query.tag == 'z' || true",
        AllowError::RepeatedParameter,
    );
    fails("!(request.query.tag == 'z')", AllowError::RepeatedParameter);
}

#[test]
fn without_an_identity_nothing_is_there_and_nothing_is_allowed_by_its_absence() {
    let check = |expression: &str, expected| {
        let request = Request::to("/public");
        assert_eq!(request.ask(expression), expected, "{expression}");
    };
    let missing = Err(Refused::Failed(AllowError::Missing));
    check("identity == null", Ok(()));
    check(
        "has(identity.subject) || has(claims.sub)",
        Err(Refused::NotAllowed),
    );
    check("!('banned' in identity.groups)", missing);
    check("!claims.groups.exists(g, g == 'banned')", missing);
    check("identity.subject != 'mallory'", missing);
    check("request.path == '/public' || claims.verified", Ok(()));
}

#[test]
fn groups_stand_for_claims_of_that_name_where_the_proof_has_none() {
    let request = Request::to("/").by(json!({}));

    assert_eq!(request.ask("claims.groups.exists(g, g == 'ops')"), Ok(()));
    assert_eq!(request.ask("has(claims.groups) && has(claims.sub)"), Ok(()));
}

#[test]
fn what_is_unknown_is_refused_where_it_stands() {
    refused("foo.bar == 1", "no variable is called `foo`", "foo");
    refused(
        "claim.groups == 1",
        "no variable is called `claim`",
        "claim",
    );
    refused(
        "true && request.pth == ''",
        "`request` has no member `pth`",
        "pth",
    );
    refused(
        "has(identity.email)",
        "`identity` has no member `email`",
        "email",
    );
    refused("route.nme == ''", "`route` has no member `nme`", "nme");
    refused(
        "request.path.upper() == ''",
        "no function is called `upper`",
        "upper",
    );
    refused("now() == 1", "no function is called `now`", "now");
    refused(
        "claims.groups.exist(g, g == 'ops')",
        "no function is called `exist`",
        "exist",
    );
    refused(
        "request.path.length == 1",
        "a text has no member `length`",
        "length",
    );
    refused(
        "'ä' == request.host || 'ö' == request.hst",
        "`request` has no member `hst`",
        "hst",
    );
    refused(
        "request.headers['X-Tenant'] == ''",
        "no header is called `X-Tenant`",
        "X-Tenant",
    );
    refused(
        "claims == null",
        "`claims` is no value of its own",
        "claims",
    );
}
