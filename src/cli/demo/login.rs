//! The demo's login service: takes any user, and refuses every fifth login. Its page tells who the
//! gateway says that somebody is.

use super::server::{Ask, Reply, Service};
use http::{HeaderName, Method, StatusCode};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the three kinds of user log in, by turns: user type, method, second factor.
const WAYS: [(&str, &str, bool); 3] = [
    ("buyer", "password", false),
    ("seller", "passkey", true),
    ("buyer", "password", true),
];

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:12vh auto;\
    padding:0 1rem}h1{font-size:1.5rem}table{border-collapse:collapse}th,td{text-align:left;\
    padding:.25rem 1rem .25rem 0;overflow-wrap:anywhere}td code{white-space:nowrap}\
    a{display:inline-block;min-height:44px;line-height:44px;margin-right:1rem}";

#[derive(Default)]
pub(super) struct Login {
    logins: AtomicU64,
}

impl Service for Login {
    fn answer(&self, ask: &Ask) -> Reply {
        match (ask.segments().as_slice(), &ask.method) {
            (["login"], &Method::POST) => self.login(ask),
            (["login"], _) => Reply::not_allowed("POST"),
            (["account", ..], &Method::GET) => Reply::page(9, account(ask)),
            (["account", ..], _) => Reply::not_allowed("GET"),
            _ => Reply::not_found("page"),
        }
    }
}

impl Login {
    fn login(&self, ask: &Ask) -> Reply {
        let turn = self.logins.fetch_add(1, Ordering::Relaxed);
        let way = usize::try_from(turn % 3)
            .ok()
            .and_then(|turn| WAYS.get(turn));
        let (user_type, method, mfa) = way.copied().unwrap_or(("buyer", "password", false));
        let user = ask.text("user").unwrap_or("guest");
        let reply = if turn % 5 == 4 {
            Reply::json(StatusCode::UNAUTHORIZED, 140, json!({"result": "denied"}))
                .with(HeaderName::from_static("x-login-result"), "denied")
        } else {
            // Hashing a password takes its time.
            Reply::json(
                StatusCode::OK,
                85,
                json!({"result": "granted", "user": user}),
            )
            .with(HeaderName::from_static("x-login-result"), "granted")
        };
        reply
            .with(HeaderName::from_static("x-user-type"), user_type)
            .with(HeaderName::from_static("x-auth-method"), method)
            .with(HeaderName::from_static("x-mfa-enabled"), mfa)
    }
}

/// What a service sees of a login: header fields that nobody else can set.
fn account(ask: &Ask) -> String {
    let told = |name: &str| escaped(ask.header(name).unwrap_or("nothing"));
    let rows: String = [
        ("subject", "x-user"),
        ("e-mail", "x-email"),
        ("groups", "x-groups"),
        ("logged in by", "x-acr"),
    ]
    .iter()
    .map(|(what, name)| {
        let value = told(name);
        format!(
            "<tr><th scope=\"row\">{what}</th><td>{value}</td><td><code>{name}</code></td></tr>\n"
        )
    })
    .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Your account</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Hello, {}</h1>\n\
         <p>This service knows nothing of logins. It was told who you are:</p>\n\
         <table>\n{rows}</table>\n<p><a href=\"/account\">Account</a>\n\
         <a href=\"/account/payouts\">Payouts (second factor)</a>\n\
         <a href=\"/oauth2/logout\">Log out</a></p>\n</main>\n</body>\n</html>\n",
        told("x-name"),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
