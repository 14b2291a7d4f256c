//! What an upstream says before its answer: 1xx responses (RFC 9110 section 15.2). `100 Continue`
//! opens the client's body; the others are recorded on the CLIENT span and not forwarded, because
//! the HTTP library cannot send them.

use crate::clock::{Stopwatch, Timestamp};
use crate::message::request_body::{BodyProgress, RequestBody};
use crate::trace::span::{AttrValue, OpenSpan};
use http::{Request, StatusCode};
use std::sync::{Arc, Mutex, PoisonError};

/// Most 1xx responses of one attempt that are recorded.
const HEARD_MAX: usize = 8;

/// The 1xx responses of one attempt, with the moment at which each came.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<(StatusCode, Timestamp)>>);

impl Heard {
    fn note(&self, status: StatusCode, at: Timestamp) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < HEARD_MAX {
            heard.push((status, at));
        }
    }

    /// Writes an event for each.
    pub(super) fn record(&self, span: &mut OpenSpan) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (status, at) in heard.drain(..) {
            let status = AttrValue::Int(i64::from(status.as_u16()));
            span.event(
                "http.response.informational",
                at,
                &[("http.response.status_code", status)],
            );
        }
    }
}

/// Listens for 1xx responses to `request`, as far as somebody wants to know: `gate` waits for
/// `100 Continue`, `records` says that the attempt has a span.
pub(super) fn listen(
    request: &mut Request<RequestBody>,
    gate: Option<Arc<BodyProgress>>,
    records: bool,
    watch: Stopwatch,
) -> Option<Arc<Heard>> {
    if gate.is_none() && !records {
        return None;
    }
    let heard = records.then(Arc::<Heard>::default);
    let noted = heard.clone();
    hyper::ext::on_informational(request, move |response| {
        if let Some(heard) = &noted {
            heard.note(response.status(), watch.now());
        }
        if response.status() == StatusCode::CONTINUE
            && let Some(body) = &gate
        {
            body.open_gate();
        }
    });
    heard
}
