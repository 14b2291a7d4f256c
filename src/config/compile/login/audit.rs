//! How logins and refusals are told of. Refusals are told of without a login, too, where the file
//! asks for it.

use super::keys;
use crate::auth::audit::{AuditSettings, WebhookSettings};
use crate::auth::oidc::LoginSettings;
use crate::config::compile::Compiler;
use crate::config::compile::provider::{check_claim_path, claim_path, is_of_this_machine};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use std::time::Duration;

/// How long a webhook may take if the file does not say.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Events that wait for a webhook if the file does not say.
const WEBHOOK_EVENTS_MAX: usize = 1_000;

/// Compiles it. None: there is nobody to be told of, or nobody wants to know.
pub(in crate::config::compile) fn compile(
    config: &raw::Config,
    logins: Option<&LoginSettings>,
    compiler: &mut Compiler<'_>,
) -> Option<AuditSettings> {
    let usual = raw::Login::default();
    let login = config.login.as_ref();
    let login = login.map_or(&usual, |written| &written.value);
    let is_wanted = logins.is_some() || (is_asked_for(login) && !config.auth.0.is_empty());
    is_wanted.then(|| {
        let subject = login.audit.subject.as_ref();
        AuditSettings {
            // Of logins they are read, and told of, once.
            keys: logins.map_or_else(|| keys(login, compiler), |logins| logins.keys.clone()),
            plain_subject: subject.is_some_and(|one| one.value == raw::AuditSubject::Plain),
            user_type: login.user_type.as_ref().map(|path| {
                check_claim_path(path, compiler);
                claim_path(&path.value)
            }),
            webhook: login
                .webhook
                .as_ref()
                .and_then(|written| webhook(&written.value, compiler)),
        }
    })
}

fn is_asked_for(login: &raw::Login) -> bool {
    login.audit.subject.is_some() || login.webhook.is_some()
}

/// Tells what of `login` has no effect where nobody logs in.
pub(super) fn without_login(
    written: &Spanned<raw::Login>,
    nobody_is_asked: bool,
    compiler: &mut Compiler<'_>,
) {
    let login = &written.value;
    let told = |message: &str, label: &str| {
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        diagnostic.label(label)
    };
    if nobody_is_asked {
        let label = "there is no `auth`: nobody logs in, and nobody is refused";
        compiler.tell(told("`login` has no effect", label));
    } else if !is_asked_for(login) {
        let help = "`audit: {subject: hashed}` in it has refusals told without logins, too";
        let label = "no policy of `auth` is `oidc`";
        compiler.tell(told("`login` has no effect", label).help(help));
    } else if is_of_logins(login) {
        let message = "only what tells of refusals has an effect in this `login`";
        let label = "no policy of `auth` is `oidc`";
        let help = "that is `webhook`, `audit`, `user_type` and `keys`";
        compiler.tell(told(message, label).help(help));
    }
}

/// Whether something is written that only a login has a use for.
fn is_of_logins(login: &raw::Login) -> bool {
    let raw::Login {
        path,
        callback_origin,
        keys: _,
        cookie,
        session,
        return_to,
        flows_max,
        flow_ttl,
        attempts_max,
        pages,
        user_type: _,
        audit: _,
        webhook: _,
    } = login;
    let of_cookies = cookie.name.is_some() || cookie.domain.is_some() || cookie.same_site.is_some();
    let of_sessions =
        session.store.is_some() || session.idle.is_some() || session.absolute.is_some();
    let of_pages = pages.template.is_some() || pages.site.is_some();
    let of_paths = path.is_some() || callback_origin.is_some() || !return_to.is_empty();
    let bounds = flows_max.is_some() || flow_ttl.is_some() || attempts_max.is_some();
    of_cookies || of_sessions || of_pages || of_paths || bounds
}

fn webhook(written: &raw::LoginWebhook, compiler: &mut Compiler<'_>) -> Option<WebhookSettings> {
    let url = written.url.as_ref().and_then(|written| {
        let url = compiler.url(written)?;
        if url.scheme() == "http" && !is_of_this_machine(&url) {
            let message = "this webhook is told without TLS";
            let diagnostic = Diagnostic::at(Code::PlainWebhook, &written.span, message);
            compiler.tell(
                diagnostic.label("whoever is on the way can read who logs in, and from where"),
            );
        }
        Some(url)
    });
    let secret = written.secret.as_ref().and_then(|secret| {
        let written = raw::SecretText::Elsewhere(secret.value.clone());
        compiler.secret(&secret.span, &written)
    });
    let events = written.events_max.as_ref();
    Some(WebhookSettings {
        url: url?,
        secret: secret?,
        timeout: compiler.duration_or(written.timeout.as_ref(), WEBHOOK_TIMEOUT),
        events_max: events.map_or(WEBHOOK_EVENTS_MAX, |one| one.value.0),
    })
}
