//! An external authorizer is asked.

mod fields;
mod settings;

pub use fields::FieldPattern;
pub use settings::{BodyRule, Dialect, ForwardRules, ForwardSettings, IdentityFields, OnFailure};

use super::call::{self, CallError, Question};
use super::ext_authz::{self, Allowed, Asking, Reply};
use super::{Asked, DecisionSpan, Denial, DenialAnswer, Grant, Reason, Verdict};
use crate::upstream::Cluster;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{Request, Uri};
use std::sync::Arc;

/// Largest answer of an authorizer that is passed on, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An authorizer, ready to be asked.
pub(super) struct Forward {
    pub(super) cluster: Arc<Cluster>,
}

impl Forward {
    /// Asks it about a request.
    pub(super) async fn check(
        &self,
        settings: &ForwardSettings,
        asked: &Asked<'_>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        if settings.dialect == Dialect::Grpc {
            return match ext_authz::ask(&self.cluster, settings, asked, span).await {
                Asking::Answered(Reply::Allow(Allowed { grant, .. })) => {
                    Verdict::Allow(Box::new(grant))
                }
                Asking::Answered(Reply::Deny(denial)) => Verdict::Deny(denial),
                Asking::Answered(Reply::Failed(_)) => Verdict::deny(Reason::Unavailable),
                Asking::Failed(reason) => Verdict::deny(reason),
            };
        }
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = Uri::from(settings.path.clone());
        for name in [AUTHORIZATION, COOKIE] {
            for value in asked.headers.get_all(&name) {
                request.headers_mut().append(&name, value.clone());
            }
        }
        let question = Question {
            request,
            host: None,
            timeout: settings.rules(asked.route).timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
            retries: settings.retries,
            is_grpc: false,
        };
        match call::ask(&self.cluster, &question, span).await {
            Ok(answer) if answer.response.status().is_success() => {
                Verdict::Allow(Box::<Grant>::default())
            }
            Ok(answer) => Verdict::Deny(Box::new(Denial {
                reason: Reason::Refused,
                answer: DenialAnswer::Theirs(answer.response),
            })),
            Err(CallError::Timeout) => Verdict::deny(Reason::Timeout),
            Err(CallError::TooLarge(_)) => Verdict::deny(Reason::BadAnswer),
            Err(CallError::Failed(_) | CallError::Unavailable) => {
                Verdict::deny(Reason::Unavailable)
            }
        }
    }
}
