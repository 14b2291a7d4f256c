//! One event, and its three forms. The names of its fields are a contract with whoever reads
//! them; docs/auth-trace.md lists them.

use crate::auth::Recorder;
use crate::clock::Timestamp;
use crate::telemetry::rfc3339;
use crate::trace::span::OpenSpan;
use opentelemetry::trace::{SpanId, TraceId};
use serde_json::{Map, Value};
use std::net::IpAddr;
use tracing::info;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditKind {
    /// A login came to an end, one way or another.
    Login,
    /// Somebody who is logged in, or asked to be, may not pass.
    Refusal,
    /// A session's tokens were renewed, or were to be.
    Refresh,
    /// A session ended before its time.
    Logout,
}

impl AuditKind {
    /// As `event` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Refusal => "refusal",
            Self::Refresh => "refresh",
            Self::Logout => "logout",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditResult {
    /// It was done.
    Success,
    /// Somebody decided against it: the provider, a rule, the person.
    Denied,
    /// It came too late.
    Expired,
    /// It broke.
    Error,
}

impl AuditResult {
    /// As `result` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Error => "error",
        }
    }
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutKind {
    /// The browser, here alone.
    Local,
    /// The browser, here and at the provider (RP-Initiated Logout 1.0).
    RpInitiated,
    /// The provider, by a call (Back-Channel Logout 1.0).
    BackChannel,
    /// The provider, by a page in the browser (Front-Channel Logout 1.0).
    FrontChannel,
}

impl LogoutKind {
    /// As `logout` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::RpInitiated => "rp_initiated",
            Self::BackChannel => "back_channel",
            Self::FrontChannel => "front_channel",
        }
    }
}

/// An event, as it is known where it happens.
#[derive(Clone, Copy, Debug)]
pub struct AuditEvent<'a> {
    /// What happened.
    pub kind: AuditKind,
    /// What came of it.
    pub result: AuditResult,
    /// Why not: a word in the source.
    pub reason: Option<&'static str>,
    /// Who ended the session, of a logout.
    pub logout: Option<LogoutKind>,
    /// The policy, if one was meant that is there.
    pub policy: Option<&'a str>,
    /// The route of a request that was refused.
    pub route: Option<&'a str>,
    /// The provider.
    pub issuer: Option<&'a str>,
    /// Whom it is about: told as a digest, unless the file asks for it.
    pub subject: Option<&'a str>,
    /// The session's id: told as a digest.
    pub session: Option<&'a str>,
    /// `oidc`, or the kind of the policy that refused.
    pub auth_method: &'static str,
    /// Whether more than one factor was shown, where the provider tells.
    pub mfa_enabled: Option<bool>,
    /// What kind of user it is, by the claim that `login.user_type` names.
    pub user_type: Option<&'a str>,
    /// Where the request came from.
    pub client: Option<IpAddr>,
    /// The host that was asked for.
    pub host: Option<&'a str>,
}

impl<'a> AuditEvent<'a> {
    /// One of which nothing more is known.
    pub const fn new(kind: AuditKind, result: AuditResult, policy: Option<&'a str>) -> Self {
        Self {
            kind,
            result,
            reason: None,
            logout: None,
            policy,
            route: None,
            issuer: None,
            subject: None,
            session: None,
            auth_method: "oidc",
            mfa_enabled: None,
            user_type: None,
            client: None,
            host: None,
        }
    }

    /// Its span; the ids under which it is found, if there is a trace.
    pub(super) fn record(&self, recorder: &mut Recorder<'_>) -> Option<(TraceId, SpanId)> {
        recorder.moment("sso.audit", |span| self.write(span))
    }

    fn write(&self, span: &mut OpenSpan) {
        span.str("flow", "login");
        span.str("edgespan.audit.event", self.kind.name());
        span.str("result", self.result.name());
        if let Some(reason) = self.reason {
            span.str("edgespan.audit.reason", reason);
        }
        if let Some(logout) = self.logout {
            span.str("edgespan.audit.logout", logout.name());
        }
        if let Some(policy) = self.policy {
            span.str("edgespan.auth.policy", policy);
        }
        if let Some(route) = self.route {
            span.str("edgespan.route", route);
        }
        span.str("auth_method", self.auth_method);
        if let Some(mfa) = self.mfa_enabled {
            span.bool("mfa_enabled", mfa);
        }
        if let Some(user_type) = self.user_type {
            span.str("user_type", user_type);
        }
    }
}

/// An event on its way out.
pub(super) struct Told<'a> {
    pub(super) event: &'a AuditEvent<'a>,
    pub(super) id: &'a str,
    pub(super) subject: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) trace: Option<(TraceId, SpanId)>,
    pub(super) at: Timestamp,
}

impl Told<'_> {
    /// As a line of the log.
    pub(super) fn log(&self) {
        let event = self.event;
        info!(
            target: "edgespan::audit",
            event = event.kind.name(),
            result = event.result.name(),
            reason = event.reason,
            logout = event.logout.map(LogoutKind::name),
            policy = event.policy,
            route = event.route,
            issuer = event.issuer,
            subject = self.subject,
            session = self.session,
            auth_method = event.auth_method,
            mfa_enabled = event.mfa_enabled,
            user_type = event.user_type,
            client_address = event.client.map(|client| client.to_string()),
            host = event.host,
            id = self.id,
            trace_id = self.trace.map(|(trace_id, _)| trace_id.to_string()),
            span_id = self.trace.map(|(_, span_id)| span_id.to_string()),
            "audit"
        );
    }

    /// As the webhook gets it: one JSON object, fields of which nothing is known left out.
    pub(super) fn json(&self) -> Vec<u8> {
        let event = self.event;
        let text = |value: &str| Some(Value::from(value));
        let fields = [
            ("id", text(self.id)),
            ("time", text(&rfc3339(self.at).to_string())),
            ("event", text(event.kind.name())),
            ("result", text(event.result.name())),
            ("reason", event.reason.map(Value::from)),
            ("logout", event.logout.map(|kind| Value::from(kind.name()))),
            ("policy", event.policy.map(Value::from)),
            ("route", event.route.map(Value::from)),
            ("issuer", event.issuer.map(Value::from)),
            ("subject", self.subject.map(Value::from)),
            ("session", self.session.map(Value::from)),
            ("auth_method", text(event.auth_method)),
            ("mfa_enabled", event.mfa_enabled.map(Value::from)),
            ("user_type", event.user_type.map(Value::from)),
            (
                "client_address",
                event.client.map(|one| Value::from(one.to_string())),
            ),
            ("host", event.host.map(Value::from)),
            (
                "trace_id",
                self.trace.map(|(id, _)| Value::from(id.to_string())),
            ),
            (
                "span_id",
                self.trace.map(|(_, id)| Value::from(id.to_string())),
            ),
        ];
        let known = fields.into_iter();
        let known = known.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let object: Map<String, Value> = known.collect();
        Value::Object(object).to_string().into_bytes()
    }
}
