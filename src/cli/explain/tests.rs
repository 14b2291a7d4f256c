//! What `explain` says, literally.

use super::*;
use crate::cli::holds::check;
use crate::cli::style::{Glyphs, Paint};
use clap::Parser;
use std::fs;

const FILE: &str = "\
listeners:
  web: {address: \"127.0.0.1:8080\"}
upstreams: {content: {endpoints: [\"http://127.0.0.1:3000\"]}}
rate_limits: {per-client: {rate: 10/s}}
flows: {escrow: {attributes: {order_id: {path: order_id}}}}
routes:
  - name: orders
    match: {host: app.example.com, path: \"/api/v1/orders/{order_id}\", methods: [GET, POST]}
    upstream: content
    flow: escrow
    rate_limits: [per-client]
  - name: all-api
    match: {prefix: /api}
    upstream: content
  - name: old
    match: {prefix: /old}
    redirect: {path: /new}
";
const TRACEPARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    explain: ExplainArgs,
}

/// What stdout gets, with what changes each time made alike; or the failure.
fn explained(columns: usize, request: &[&str], stdin: &str) -> Result<String, Failure> {
    explained_by(FILE, columns, request, stdin)
}

/// The same by another file.
fn explained_by(
    file: &str,
    columns: usize,
    request: &[&str],
    stdin: &str,
) -> Result<String, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edgespan.yaml");
    fs::write(&path, file).unwrap();
    let mut arguments = vec!["explain", path.to_str().unwrap()];
    arguments.extend(request);
    let line = Line::try_parse_from(arguments).unwrap();
    let surface = Surface::fixed(columns, Paint::new(false), Glyphs::UNICODE);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    run(
        &line.explain,
        &Environment::default(),
        &surface,
        &mut stdin.as_bytes(),
        &mut stdout,
        &mut stderr,
    )?;
    let text = String::from_utf8(stdout).unwrap();
    let took = regex::Regex::new(r"routes, [0-9.]+ m?s").unwrap();
    let span = regex::Regex::new(r"4736-[0-9a-f]{16}-").unwrap();
    let text = took.replace_all(&text, "routes, 0.4 ms");
    Ok(span.replace_all(&text, "4736-(new)-").into_owned())
}

#[test]
fn a_request_is_told_stage_by_stage_with_the_lines_of_the_file() {
    for columns in [80, 60, 40] {
        let request = ["POST http://app.example.com:8080/api/v1/orders/7"];
        let headers = [
            "-H",
            TRACEPARENT,
            "-H",
            "x-forwarded-for: 1.2.3.4",
            "-H",
            "baggage: a=1",
        ];
        let text = explained(columns, &[&request[..], &headers[..]].concat(), "").unwrap();

        insta::assert_snapshot!(format!("a_request_at_{columns}_columns"), text);
        // What has no space in it is never parted: it is there to be copied.
        let fits = |line: &str| line.chars().count() <= columns || line.trim().contains("00-");
        assert!(text.lines().all(fits), "{text}");
    }
}

#[test]
fn without_a_route_the_nearest_say_what_they_missed() {
    let text = explained(80, &["PUT http://app.example.com/api2/v1"], "").unwrap();

    insta::assert_snapshot!(text);
}

#[test]
fn an_answer_of_our_own_is_told_with_where_it_leads() {
    let text = explained(80, &["/old/page?q=1", "-H", "host: a.example"], "").unwrap();

    assert!(
        text.contains("answer     308 to http://a.example/new/page?q=1  (redirect)\n"),
        "{text}"
    );
}

#[test]
fn a_path_with_two_readings_is_refused_with_the_reason() {
    let text = explained(80, &["http://a.example/api/../etc"], "").unwrap();

    assert!(
        text.contains("normalise  refused: the path holds a dot segment\n"),
        "{text}"
    );
    assert!(text.contains("answer     400\n"), "{text}");
}

#[test]
fn a_pasted_curl_line_is_explained_and_its_secrets_are_not_shown() {
    let line =
        "curl 'http://app.example.com/api/1' -H 'Authorization: Bearer hunter2' --compressed";
    let text = explained(80, &["-"], line).unwrap();
    let json = explained(80, &["-", "--json"], line).unwrap();

    assert!(text.contains("route      all-api"), "{text}");
    assert!(!text.contains("hunter2") && !json.contains("hunter2"));
    let json = check(&json, super::schema());
    assert_eq!(json["route"]["name"], "all-api");
    assert_eq!(json["route"]["line"], 12);
    assert_eq!(json["upstream"]["endpoints"][0], "http://127.0.0.1:3000");
}

#[test]
fn what_is_no_request_and_what_is_no_listener_is_wrong_usage() {
    let no_request = explained(80, &["GET ftp://a/"], "").unwrap_err();
    let no_listener = explained(80, &["/", "--listener", "wep"], "").unwrap_err();

    assert_eq!(no_request.status(), ExitStatus::Usage);
    assert_eq!(no_listener.status(), ExitStatus::Usage);
}

#[test]
fn whoever_is_asked_who_may_pass_is_told_and_an_authorizer_is_assumed_to_allow() {
    let guarded = "\
listeners: {web: {address: \"127.0.0.1:8080\"}}
upstreams: {content: {endpoints: [\"http://127.0.0.1:3000\"]}}
auth:
  office: {ip: [10.0.0.0/8]}
  legacy: {forward: {url: \"http://127.0.0.1:4180/check\"}}
  rules: {forward: {url: \"http://127.0.0.1:9191\", dialect: grpc}}
routes:
  - {name: ruled, match: {prefix: /ruled}, upstream: content, auth: rules}
  - {name: app, match: {prefix: /app}, upstream: content, auth: [office, legacy]}
  - {name: inside, match: {prefix: /inside}, upstream: content, auth: office}
";
    let passed = explained_by(guarded, 80, &["http://a.example/app"], "").unwrap();
    let json = explained_by(guarded, 80, &["http://a.example/app", "--json"], "").unwrap();
    let refused = explained_by(guarded, 80, &["http://a.example/inside"], "").unwrap();

    let json = check(&json, super::schema());
    assert!(
        passed.contains("auth       office  ip  abstain, forbidden "),
        "{passed}"
    );
    let asked = "           legacy  forward  GET /check  assumed to allow ";
    assert!(passed.contains(asked), "{passed}");
    assert!(passed.contains("GET /app\n"), "{passed}");
    let ruled = explained_by(guarded, 80, &["http://a.example/ruled"], "").unwrap();
    assert!(ruled.contains("assumed to allow"), "{ruled}");
    assert_eq!(json["auth"]["decision"], "allow");
    assert_eq!(json["auth"]["asked"][1]["assumed"], true);
    assert_eq!(json["auth"]["asked"][1]["line"], 5);
    assert!(refused.contains("answer     403"), "{refused}");
}

const DECIDING: &str = "\
listeners:
  authz: {address: \"127.0.0.1:9000\", mode: decision, trusted_proxies: [127.0.0.1]}
auth:
  office: {ip: [10.0.0.0/8]}
  login: {forward: {url: \"http://127.0.0.1:4180/auth\", identity_headers: [x-auth-user]}}
routes:
  - {name: health, match: {host: app.example.com, path: /health}}
  - {name: inside, match: {host: app.example.com, prefix: /inside}, auth: office}
  - {name: app, match: {host: app.example.com, prefix: /}, auth: login}
";

#[test]
fn every_host_proxy_gets_an_explanation_of_what_it_is_answered() {
    let hosts = ["nginx", "traefik", "caddy", "envoy", "haproxy"];
    let told = hosts.map(|host| {
        let request = ["GET https://app.example.com/orders/7", "--as", host];
        let told = explained_by(DECIDING, 80, &request, "").unwrap();
        format!("--as {host}\n{told}")
    });

    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_refusal_is_told_as_the_host_gets_it() {
    let ask = |path: &str, host: &str| {
        let url = format!("GET https://app.example.com{path}");
        explained_by(DECIDING, 80, &[&url, "--as", host], "").unwrap()
    };
    let (inside, outside) = (ask("/inside", "nginx"), ask("/inside", "traefik"));
    let nowhere = explained_by(
        DECIDING,
        80,
        &["http://other.example/", "--as", "nginx"],
        "",
    );

    assert!(inside.contains("answer     403"), "{inside}");
    assert!(outside.contains("answer     403"), "{outside}");
    assert!(nowhere.unwrap().contains("answer     403"));
}

#[test]
fn paths_of_logins_are_told_as_edgespans_own_and_bodies_not_at_all() {
    let logging_in = |listener: &str| {
        format!(
            "listeners: {{web: {{address: '127.0.0.1:8080'{listener}}}}}\n\
             upstreams: {{content: {{endpoints: ['http://127.0.0.1:3000']}}}}\n\
             auth: {{staff: {{oidc: {{issuer: 'https://id.example.com', client_id: a}}}}}}\n\
             routes: [{{name: all, match: {{prefix: /}}, upstream: content, auth: staff}}]\n"
        )
    };
    let gateway = logging_in("");
    let deciding = logging_in(", mode: decision, trusted_proxies: [127.0.0.1]");
    let ask = |file: &str, request: &[&str]| explained_by(file, 100, request, "").unwrap();
    let out = "http://localhost:8080/oauth2/logout";

    for file in [&gateway, &deciding] {
        let told = ask(file, &[out]);
        assert!(told.contains("edgespan answers here"), "{told}");
        assert!(!told.contains("another path"), "{told}");
    }
    let https = ask(&gateway, &["https://app.example.com/a"]);
    assert!(https.contains("x-forwarded-proto: https"), "{https}");
    let program = ask(&gateway, &["http://localhost:8080/a"]);
    assert!(program.contains("is sent to log in"), "{program}");
    let decisions = program.matches("staff  oidc").count();
    assert_eq!(decisions, 1, "what is told of a refusal is none: {program}");
    let hosted = ask(&deciding, &["http://localhost:8080/a", "--as", "nginx"]);
    assert!(hosted.contains("edgespan-login"), "{hosted}");
    assert!(!hosted.contains("about:blank"), "{hosted}");
}

#[test]
fn who_cannot_ask_is_told_why() {
    let why = |file: &str, request: &[&str]| {
        let failure = explained_by(file, 80, request, "").unwrap_err();
        assert_eq!(failure.status(), ExitStatus::Usage);
        failure.render(&Surface::fixed(80, Paint::new(false), Glyphs::UNICODE))
    };
    let url = "https://app.example.com/";

    let no_listener = why(FILE, &[url, "--as", "nginx"]);
    let grpc = why(DECIDING, &[url, "--as", "envoy_grpc"]);
    let client = why(DECIDING, &[url]);

    assert!(no_listener.contains("no listener is in mode: decision"));
    assert!(grpc.contains("`envoy` asks the same over HTTP"), "{grpc}");
    assert!(client.contains("`--as nginx` asks as"), "{client}");
}

/// A request that is only thought of must not redeem a code, push a login or ask about a token.
#[test]
fn no_issuer_hears_of_a_request_that_is_explained() {
    let provider = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    provider.set_nonblocking(true).unwrap();
    let file = "\
listeners: {web: {address: '127.0.0.1:8080'}}
upstreams: {content: {endpoints: ['http://127.0.0.1:3000']}}
auth:
  staff: {oidc: {issuer: 'http://ISSUER', client_id: a, pushed: always, userinfo: true}}
  api: {jwt: {issuer: 'http://ISSUER', audiences: a, introspection: {client_id: a, client_secret: b}}}
login: {webhook: {url: 'http://ISSUER/told', secret: {file: edgespan.yaml}}}
routes: [{name: all, match: {prefix: /}, upstream: content, auth: [api, staff]}]
";
    let file = file.replace("ISSUER", &provider.local_addr().unwrap().to_string());
    let page = ["-H", "accept: text/html", "-H", "sec-fetch-mode: navigate"];
    let signed = "authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln";
    let handle = "A".repeat(32);
    let back = format!("http://localhost:8080/oauth2/callback?code=a&state={handle}");
    let cookie = format!("cookie: edgespan-flow-AAAAAAAA={handle}; edgespan-staff={handle}");
    for (request, told) in [
        ([&["http://localhost:8080/a"][..], &page].concat(), "302"),
        (vec!["http://localhost:8080/a"], "401"),
        (vec!["http://localhost:8080/a", "-H", signed], "401"),
        (
            vec![
                "http://localhost:8080/a",
                "-H",
                "authorization: Bearer opaque",
            ],
            "",
        ),
        (vec!["http://localhost:8080/oauth2/start"], "302"),
        (
            vec!["http://localhost:8080/oauth2/logout", "-H", &cookie],
            "200",
        ),
        (vec![&*back, "-H", &cookie], "302"),
    ] {
        let text = explained_by(&file, 100, &request, "").unwrap();

        assert!(text.contains(told), "{request:?}: {text}");
        let asked = provider.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock), "{request:?}");
    }
}
