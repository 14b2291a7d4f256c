//! The demo's login service: takes any user, and refuses every fifth login.

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

#[derive(Default)]
pub(super) struct Login {
    logins: AtomicU64,
}

impl Service for Login {
    fn answer(&self, ask: &Ask) -> Reply {
        match (ask.segments().as_slice(), &ask.method) {
            (["login"], &Method::POST) => self.login(ask),
            (["login"], _) => Reply::not_allowed("POST"),
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
