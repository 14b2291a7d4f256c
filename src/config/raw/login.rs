//! What logins share, as it is written.

use super::scalar::SecretSource;
use super::{Count, DurationText, FileText};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the logins of all `oidc` policies share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Login {
    /// Where edgespan's own paths begin, on every host: `callback`, `logout` and their kin stand
    /// below it.
    #[schemars(extend("default" = "/oauth2"))]
    pub(in crate::config) path: Option<Spanned<String>>,
    /// The origin that providers lead back to, such as `https://login.example.com`, where one
    /// login serves several hosts. Needs `cookie.domain`. Without it the host that was asked for.
    pub(in crate::config) callback_origin: Option<Spanned<String>>,
    /// Keys that seal cookies, 32 bytes in base64 each, the same on all replicas. The first one
    /// seals, all of them open: a new one is put in front, the old one leaves after
    /// `session.absolute`. Without any, one is made at the start: sessions end with the process.
    #[schemars(length(max = 8))]
    pub(in crate::config) keys: Vec<Spanned<SecretSource>>,
    /// Its cookies.
    pub(in crate::config) cookie: LoginCookie,
    /// How sessions are kept.
    pub(in crate::config) session: LoginSession,
    /// Where a login may lead back to beside the host that it began at: origins such as
    /// `https://app.example.com`, or `*.example.com` for all hosts of a domain.
    pub(in crate::config) return_to: Vec<Spanned<String>>,
    /// How many logins a browser may have begun at a time; the oldest gives way.
    #[schemars(extend("default" = 7))]
    pub(in crate::config) flows_max: Option<Spanned<Count>>,
    /// How long a login may take.
    #[schemars(extend("default" = "10m"))]
    pub(in crate::config) flow_ttl: Option<Spanned<DurationText>>,
    /// How often in a row a login may begin without a session coming of it, before a page says so.
    #[schemars(extend("default" = 5))]
    pub(in crate::config) attempts_max: Option<Spanned<Count>>,
    /// Its pages.
    pub(in crate::config) pages: LoginPages,
    /// The claim that says what kind of user somebody is, such as `employee_type`: a dotted path.
    /// Spans and audit events tell it as `user_type`.
    pub(in crate::config) user_type: Option<Spanned<String>>,
    /// How logins, refusals, renewals and logouts are told of. Where no policy logs in, refusals are
    /// told of if this or `webhook` stands there.
    pub(in crate::config) audit: LoginAudit,
    /// Who is told of logins, refusals, renewals and logouts.
    pub(in crate::config) webhook: Option<Spanned<LoginWebhook>>,
}

/// The cookies of logins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LoginCookie {
    /// What their names begin with, behind `__Host-` or, with `domain`, `__Secure-`.
    #[schemars(extend("default" = "edgespan"))]
    pub(in crate::config) name: Option<Spanned<String>>,
    /// All hosts of this domain share one login, such as `example.com`.
    pub(in crate::config) domain: Option<Spanned<String>>,
    /// `SameSite` of sessions.
    #[schemars(extend("default" = "lax"))]
    pub(in crate::config) same_site: Option<Spanned<SameSite>>,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "`lax`, `strict` or `none`")]
pub(in crate::config) enum SameSite {
    /// Navigations from other sites bring it.
    Lax,
    /// Nothing from another site brings it.
    Strict,
    /// Everything brings it.
    None,
}

/// How sessions are kept.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LoginSession {
    /// Where: `cookie`, sealed, or `redis`, where replicas share them.
    #[schemars(extend("default" = "cookie"))]
    pub(in crate::config) store: Option<Spanned<LoginStore>>,
    /// How long one lasts that nobody uses.
    #[schemars(extend("default" = "8h"))]
    pub(in crate::config) idle: Option<Spanned<DurationText>>,
    /// How long one lasts at most.
    #[schemars(extend("default" = "24h"))]
    pub(in crate::config) absolute: Option<Spanned<DurationText>>,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "`cookie` or `redis`")]
pub(in crate::config) enum LoginStore {
    /// Sealed in cookies of the browser.
    Cookie,
    /// In the Redis of `redis`.
    Redis,
}

/// The pages of logins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LoginPages {
    /// An HTML file with `{{title}}` and `{{content}}` in it, in place of edgespan's own page.
    pub(in crate::config) template: Option<Spanned<FileText>>,
    /// Whose site it is, as pages name it. Without it its host.
    pub(in crate::config) site: Option<Spanned<String>>,
}

/// How logins are told of.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LoginAudit {
    /// Whom an event is about: `hashed`, a keyed digest that is the same for the same subject, or
    /// `plain`.
    #[schemars(extend("default" = "hashed"))]
    pub(in crate::config) subject: Option<Spanned<AuditSubject>>,
}

/// How a subject is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way to tell a subject", extend("x-plural" = "ways"))]
pub(in crate::config) enum AuditSubject {
    /// A keyed digest.
    Hashed,
    /// As it is.
    Plain,
}

/// Who is told of logins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url", "secret"]))]
pub(in crate::config) struct LoginWebhook {
    /// Where events are posted as JSON.
    pub(in crate::config) url: Option<Spanned<String>>,
    /// What signs them: HMAC-SHA256 in `edgespan-signature`.
    pub(in crate::config) secret: Option<Spanned<SecretSource>>,
    /// How long one attempt may take.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// How many events wait at most; one more is counted and left out.
    #[schemars(extend("default" = 1_000))]
    pub(in crate::config) events_max: Option<Spanned<Count>>,
}
