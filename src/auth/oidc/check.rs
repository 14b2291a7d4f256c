//! A request by its session: who it is, tokens that are due, and what the origin gets of them.

use super::complete::{LoginError, add_userinfo, forget_moment, seconds};
use super::{Oidc, Site, person};
use crate::auth::audit::{AuditEvent, AuditKind, AuditResult};
use crate::auth::errand::Errand;
use crate::auth::jose::Claims;
use crate::auth::provider::{ProviderError, Tokens};
use crate::auth::session::{Found, RefreshFailure, RefreshRules, Session, Sessions};
use crate::auth::{
    Asked, DecisionSpan, Denial, DenialAnswer, Grant, HeaderChange, LoginOffer, Reason, Verdict,
    claims,
};
use crate::clock::{self, Timestamp};
use crate::secret::Secret;
use crate::trace::context::TraceState;
use http::HeaderValue;
use http::header::{AUTHORIZATION, SET_COOKIE};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Claims of how somebody logged in, which some providers leave out of later ID tokens.
const OF_THE_LOGIN: [&str; 3] = ["acr", "amr", "auth_time"];

/// What becomes of a session whose tokens were due.
enum Renewed {
    /// It goes on, with these `Set-Cookie` values.
    Goes(Arc<Session>, Vec<HeaderValue>),
    /// It is over: another login may begin.
    Over,
    /// Nobody can tell now; why, for the log.
    Unknown(Arc<str>),
}

impl Oidc {
    /// Decides about a request by its session; without one it abstains, and offers a login. A token
    /// that a client brings is none, whatever it is (CVE-2022-29226).
    pub async fn check(
        self: &Arc<Self>,
        sessions: &Sessions,
        asked: &Asked<'_>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        let secure = asked.scheme == "https";
        if Site::check(asked.scheme, asked.host).is_err() {
            // Cookies without `__Host-` are those of loopback hosts: elsewhere anybody on the way
            // may have put one there, or read it.
            return self.offer(Vec::new());
        }
        let now = clock::wall();
        let found = sessions.find(asked.headers, &self.name, secure, now).await;
        let (session, mut cookies) = match found {
            Found::Live { session, renew } => (session, renew),
            Found::Nothing { clear } => return self.offer(clear),
            Found::Unavailable => return unavailable("the sessions cannot be asked".into()),
        };
        if *session.policy != *self.name || *session.issuer != *self.provider.settings().issuer {
            return self.offer(sessions.clear(asked.headers, &self.name, secure));
        }
        let session = match self.renew(sessions, session, asked, now, span).await {
            Renewed::Goes(session, more) => {
                cookies.extend(more);
                session
            }
            // The cookie stays: another replica may have renewed it meanwhile.
            Renewed::Over => return self.offer(Vec::new()),
            Renewed::Unknown(fault) => return unavailable(fault),
        };
        match self.grant(&session, cookies) {
            Some(grant) => Verdict::Allow(Box::new(grant)),
            None => Verdict::deny(Reason::Forbidden),
        }
    }

    /// A login may begin; the browser is told to forget what is of no use.
    fn offer(&self, clear: Vec<HeaderValue>) -> Verdict {
        let answer = DenialAnswer::Login {
            offers: vec![LoginOffer::of(Arc::clone(&self.name))],
            challenges: Vec::new(),
        };
        Verdict::Abstain(Box::new(Denial {
            cookies: clear,
            ..Denial::new(Reason::NoCredential, answer)
        }))
    }

    /// Renews tokens that are due. An access token that has ended and that the origin is to get is
    /// as good as none.
    async fn renew(
        self: &Arc<Self>,
        sessions: &Sessions,
        session: Arc<Session>,
        asked: &Asked<'_>,
        now: Timestamp,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Renewed {
        let has_ended = has_ended(&session, now);
        let rules = self.settings.refresh.as_ref();
        let rules = rules.filter(|rules| is_due(&session, rules, now));
        let Some(rules) = rules else {
            let passes = self.settings.pass.iter().any(|pass| !pass.is_id_token);
            return if has_ended && passes {
                Renewed::Over
            } else {
                Renewed::Goes(session, Vec::new())
            };
        };
        let (own, of, mut errand) = (Arc::clone(self), Arc::clone(&session), span.errand());
        let (tell, mut told) = oneshot::channel();
        let ask = move |token: Secret| async move {
            let asked = own.ask_for(&of, &token, now, &mut errand).await;
            // Nobody takes it if the client has left.
            let _left = tell.send(errand.into_spans());
            asked
        };
        let secure = asked.scheme == "https";
        let renewed = Box::pin(sessions.refresh(&session, asked.headers, secure, ask)).await;
        match told.try_recv() {
            Ok(spans) => {
                span.take_in(&spans);
                if let Some(span) = span.span() {
                    span.str(
                        "edgespan.auth.refresh",
                        result_of(renewed.as_ref().err()).name(),
                    );
                }
            }
            Err(_) => self.tie(&session, span),
        }
        match renewed {
            Ok((session, cookies)) => Renewed::Goes(session, cookies),
            Err(ProviderError::Refused(_)) => Renewed::Over,
            Err(error) => match rules.on_failure {
                RefreshFailure::LogOut => Renewed::Over,
                RefreshFailure::KeepUntilExpiry if has_ended => {
                    Renewed::Unknown(Arc::from(error.to_string()))
                }
                RefreshFailure::KeepUntilExpiry => Renewed::Goes(session, Vec::new()),
            },
        }
    }

    /// Somebody else renews this session, or just has: a link says where.
    fn tie(&self, session: &Session, span: &mut DecisionSpan<'_, '_>) {
        let origin = self.refreshes.find(&session.id);
        if let Some(span) = span.span() {
            span.str("edgespan.auth.refresh", "shared");
            if let Some(origin) = origin {
                let (trace, id) = (origin.trace_id, origin.span_id);
                span.link(trace, id, &TraceState::EMPTY, 0);
            }
        }
    }

    /// New tokens, asked for by one for all who need them, and told of by that one.
    async fn ask_for(
        &self,
        session: &Session,
        token: &Secret,
        now: Timestamp,
        errand: &mut Errand,
    ) -> Result<Tokens, ProviderError> {
        let decision = errand.decision;
        let mut recorder = errand.recorder();
        let mut span = recorder.on_behalf(decision);
        let asked = self.ask(session, token, now, &mut span).await;
        if let Some(origin) = span.origin() {
            self.refreshes.done(&session.id, origin);
        }
        let result = result_of(asked.as_ref().err());
        let mut event = AuditEvent::new(AuditKind::Refresh, result, Some(&self.name));
        event.issuer = Some(&session.issuer);
        event.subject = Some(&session.subject);
        event.session = Some(&session.id);
        self.audit.tell(&event, Some(span.recorder_mut()));
        asked
    }

    /// New tokens, and what is known from now on of their subject. An ID token among them has to be
    /// of the same one (OpenID Connect Core 1.0, section 12.2).
    async fn ask(
        &self,
        session: &Session,
        token: &Secret,
        now: Timestamp,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Result<Tokens, ProviderError> {
        let client = &self.settings.client;
        let mut tokens = self
            .provider
            .refresh(client, token, Some(&mut *span))
            .await?;
        let subject = &*session.subject;
        let (mut known, mut is_told) = (session.claims.clone(), false);
        if tokens.id.is_some() {
            let claims = self.id_claims(&tokens, None, now, span).await;
            let claims = claims.map_err(|error| {
                if let LoginError::Provider(error) = error {
                    error
                } else {
                    ProviderError::BadAnswer(error.to_string().into())
                }
            })?;
            if claims.get("sub").and_then(serde_json::Value::as_str) != Some(subject) {
                return Err(ProviderError::BadAnswer("another subject".into()));
            }
            (known, is_told) = (
                renewed(&self.settings.subject, &session.claims, claims),
                true,
            );
        }
        if self.settings.userinfo {
            // The old refresh token may be used up: tokens are not thrown away for want of this.
            let told = self.provider.userinfo(&tokens.access, Some(span)).await;
            known.insert("sub".to_owned(), subject.into());
            match told.map(|told| add_userinfo(&mut known, told)) {
                Ok(Ok(())) => is_told = true,
                Ok(Err(other)) => return Err(ProviderError::BadAnswer(other.to_string().into())),
                // Half of what is known would be told as if it were all.
                Err(_) => is_told = false,
            }
        }
        forget_moment(&mut known);
        tokens.claims = if is_told { known } else { Claims::new() };
        Ok(tokens)
    }

    /// What comes with a session; None if it does not say whose it is.
    fn grant(self: &Arc<Self>, session: &Session, cookies: Vec<HeaderValue>) -> Option<Grant> {
        let identity = session.proves.by(self, || {
            person::identity(&self.settings, session, &self.name)
        })?;
        let changes = self.settings.pass.iter().map(|pass| {
            let token = if pass.is_id_token {
                &session.tokens.id
            } else {
                &session.tokens.access
            };
            let is_bearer = pass.header == AUTHORIZATION;
            match token.as_ref().and_then(|token| written(token, is_bearer)) {
                Some(value) => HeaderChange::Set(pass.header.clone(), value),
                None => HeaderChange::Remove(pass.header.clone()),
            }
        });
        Some(Grant {
            identity: Some(identity),
            request: changes.collect(),
            answer: cookies
                .into_iter()
                .map(|cookie| (SET_COOKIE, cookie))
                .collect(),
            ..Grant::default()
        })
    }
}

/// What is known of somebody by a new ID token. It is made by the rules of the first one (OpenID
/// Connect Core 1.0, section 12.2), so that what it leaves out is no longer so: providers that leave
/// out empty lists tell in this way that somebody lost his last group. How he logged in does not
/// change by it, and neither does who he is.
fn renewed(named_by: &[Box<str>], before: &Claims, mut told: Claims) -> Claims {
    let lost_name = claims::subject(&told, named_by).is_none();
    let named_by = named_by.first().filter(|_| lost_name);
    for name in OF_THE_LOGIN {
        if let (None, Some(value)) = (told.get(name), before.get(name)) {
            told.insert(name.to_owned(), value.clone());
        }
    }
    if let Some((name, value)) = named_by.and_then(|name| before.get_key_value(&**name)) {
        told.insert(name.clone(), value.clone());
    }
    told
}

const fn result_of(fault: Option<&ProviderError>) -> AuditResult {
    match fault {
        None => AuditResult::Success,
        Some(ProviderError::Refused(_)) => AuditResult::Denied,
        Some(_) => AuditResult::Error,
    }
}

fn written(token: &Secret, is_bearer: bool) -> Option<HeaderValue> {
    let scheme = if is_bearer { "Bearer " } else { "" };
    let value = HeaderValue::try_from(format!("{scheme}{}", token.expose()));
    let mut value = value.ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn unavailable(fault: Arc<str>) -> Verdict {
    Verdict::Deny(Box::new(Denial {
        fault: Some(fault),
        ..Denial::own(Reason::Unavailable)
    }))
}

fn has_ended(session: &Session, now: Timestamp) -> bool {
    session
        .tokens
        .access_until
        .is_some_and(|until| until <= seconds(now))
}

/// Whether its tokens are to be renewed now: there is a token for that, and the access token ends
/// soon.
fn is_due(session: &Session, rules: &RefreshRules, now: Timestamp) -> bool {
    let soon = seconds(now).saturating_add(rules.before.as_secs());
    let tokens = &session.tokens;
    tokens.refresh.is_some() && tokens.access_until.is_some_and(|until| until <= soon)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_a_new_id_token_leaves_out_is_so_no_longer_but_for_who_it_is_and_how_he_logged_in() {
        let before = claims(json!({
            "sub": "ada", "email": "ada@example.com", "groups": ["ops"], "acr": "mfa",
            "amr": ["otp"], "auth_time": 7,
        }));
        let told = claims(json!({"sub": "ada", "amr": ["pwd"]}));
        let by = |name: &str| [Box::from(name)];

        let renewed_by_sub = renewed(&by("sub"), &before, told.clone());
        let renewed_by_email = renewed(&by("email"), &before, told);

        let expected = json!({"sub": "ada", "amr": ["pwd"], "acr": "mfa", "auth_time": 7});
        assert_eq!(
            renewed_by_sub,
            claims(expected.clone()),
            "the last group is lost"
        );
        let mut with_email = claims(expected);
        with_email.insert("email".to_owned(), json!("ada@example.com"));
        assert_eq!(renewed_by_email, with_email);
    }
}
