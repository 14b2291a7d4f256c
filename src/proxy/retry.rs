//! Whether a request that came to nothing is sent once more, where to, and when.
//!
//! Without a setting: to other endpoints while nothing was sent, and once more if a connection from
//! the pool turned out to be closed. What a [`RetryPolicy`] adds is bounded by its attempts, by the
//! time that is left, by a budget and by a number in flight.

use super::attempt::{Failed, Prepared};
use super::context::RequestContext;
use crate::clock;
use crate::message::replay::ReplayBody;
use crate::message::request_body::{BodyProgress, RequestBody};
use crate::telemetry::metrics::RetryOutcome;
use crate::upstream::{
    Admission, Answered, Asking, Cause, Cluster, Due, HedgePolicy, RetryPolicy, Upgrade,
    UpstreamTimeouts, is_idempotent, retry_after,
};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body::Body as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::debug;

/// Endpoints that one request passes over at most because nothing could be sent to them.
const PASSED_OVER_MAX: u32 = 5;

/// How one request is retried.
pub(super) struct Retrying {
    pub(super) policy: Arc<RetryPolicy>,
    template: Template,
    /// Retries so far.
    made: u32,
    /// Whether there were attempts beside another one.
    pub(super) hedged: bool,
    began: Instant,
    first_byte: Duration,
    /// The place of a retry in flight.
    place: Option<Admission>,
}

/// What a request is made of once more.
struct Template {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<ReplayBody>,
    progress: Option<Arc<BodyProgress>>,
    upgrade: Option<Box<Upgrade>>,
    due: Option<Due>,
}

impl Retrying {
    /// Keeps what `asking` is made of, if `policy` may ask for it. Its body is read through what
    /// keeps it from now on.
    pub(super) fn begin(
        policy: &Arc<RetryPolicy>,
        cluster: &Cluster,
        asking: &mut Asking,
        timeouts: &UpstreamTimeouts,
    ) -> Option<Box<Self>> {
        if !policy.is_active() {
            return None;
        }
        cluster.expect_retries();
        let request = &mut asking.request;
        let body = match std::mem::take(request.body_mut()) {
            RequestBody::Empty => None,
            body @ (RequestBody::Streamed(_) | RequestBody::Replayed(_) | RequestBody::Kept(_)) => {
                Some(ReplayBody::new(body, policy.body_bytes_max))
            }
        };
        if let Some(body) = &body {
            *request.body_mut() = body.read();
        }
        let template = Template {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body,
            progress: asking.progress.clone(),
            upgrade: asking.upgrade.clone(),
            due: asking.due,
        };
        Some(Box::new(Self {
            policy: Arc::clone(policy),
            template,
            made: 0,
            hedged: false,
            began: clock::instant(),
            first_byte: timeouts.first_byte,
            place: None,
        }))
    }

    /// When the head of an answer has to be there, for an attempt that begins `now`; None for the
    /// first one without a time of its own, which has the upstream's.
    pub(super) fn head_due(&self, now: Instant) -> Option<Instant> {
        match self.policy.per_try {
            Some(limit) => Some(self.due(now).min(now + limit)),
            None => (self.made > 0 || self.hedged).then_some(self.due(now)),
        }
    }

    /// The same whatever the attempt. What the client takes for its body is not the upstream's time.
    fn due(&self, now: Instant) -> Instant {
        let sent = match &self.template.progress {
            Some(body) => body.done_at().unwrap_or(now),
            None => self.began,
        };
        sent.max(self.began) + self.first_byte
    }

    /// Hedging, if it is asked for and does no harm.
    pub(super) fn hedge(&self) -> Option<HedgePolicy> {
        let harmless = is_idempotent(&self.template.method) && self.template.upgrade.is_none();
        self.policy.hedge.filter(|_| harmless)
    }

    /// Whether several attempts can send the request at the same time.
    pub(super) fn is_whole(&self) -> bool {
        let body = self.template.body.as_ref();
        body.is_none_or(ReplayBody::is_whole)
    }

    /// The request once more.
    pub(super) fn asking(&self) -> Box<Asking> {
        let Template {
            method,
            uri,
            headers,
            body,
            progress,
            upgrade,
            due,
        } = &self.template;
        let body = body.as_ref().map_or(RequestBody::Empty, ReplayBody::read);
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        let mut asking = Asking::new(request, progress.clone(), upgrade.clone(), *due);
        asking.again = false;
        asking
    }
}

/// Whether another attempt follows a failure, and after which wait.
pub(super) fn after_failure(
    context: &mut RequestContext,
    prepared: &mut Prepared,
    failed: &Failed,
) -> Option<Duration> {
    let due = prepared.asking.as_ref().map(|asking| asking.due);
    let returned = due.is_some();
    // In no time nobody can be asked, and would seem not to take a connection.
    let is_over = due.flatten().is_some_and(|due| due.at <= clock::instant());
    if failed.unsent {
        prepared.tried.extend(prepared.asked.take());
        if returned && !is_over && prepared.passed_over < PASSED_OVER_MAX {
            prepared.passed_over += 1;
            prepared.next = prepared.pick();
        }
        if prepared.next.is_some() {
            return Some(go_on(prepared, failed.cause, Duration::ZERO));
        }
    } else if returned {
        // The connection was closed, and not by the request: the endpoint may be as well as ever.
        return Some(go_on(prepared, failed.cause, Duration::ZERO));
    } else {
        prepared.tried.extend(prepared.asked.take());
    }
    let cause = failed.cause?;
    let covered = prepared.retrying.as_ref()?.policy.covers(cause);
    if covered {
        retry(context, prepared, cause, None)
    } else {
        None
    }
}

/// Whether another attempt follows an answer, and after which wait.
pub(super) fn after_answer(
    context: &mut RequestContext,
    prepared: &mut Prepared,
    answered: &Answered,
) -> Option<Duration> {
    let cause = fault(prepared, answered)?;
    let headers = answered.response.headers();
    let asked_for = match answered.response.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => retry_after(headers),
        _ => None,
    };
    prepared.tried.extend(prepared.asked.take());
    retry(context, prepared, cause, asked_for)
}

/// What is wrong with an answer, if it calls for another attempt.
pub(super) fn fault(prepared: &Prepared, answered: &Answered) -> Option<Cause> {
    let policy = &prepared.retrying.as_ref()?.policy;
    let response = &answered.response;
    let bare = response.body().is_end_stream();
    policy.fault(response.status(), response.headers(), bare)
}

/// The policy wants another attempt: whether there is one.
fn retry(
    context: &mut RequestContext,
    prepared: &mut Prepared,
    cause: Cause,
    asked_for: Option<Duration>,
) -> Option<Duration> {
    if let Some(retrying) = &mut prepared.retrying {
        // The retry before is over, and does not stand in the way of this one.
        retrying.place = None;
    }
    match permit(prepared, cause, asked_for) {
        Ok((wait, place)) => {
            let retrying = prepared.retrying.as_mut()?;
            retrying.made += 1;
            retrying.place = Some(place);
            if prepared.asking.is_none() {
                prepared.asking = Some(retrying.asking());
            }
            Some(go_on(prepared, Some(cause), wait))
        }
        Err(reason) => {
            context.note("edgespan.retry.denied", reason);
            cause.with_text(|cause| debug!(reason, cause, "request is not retried"));
            None
        }
    }
}

/// The wait before another attempt and its place, or why there is none. Who is asked is decided.
fn permit(
    prepared: &mut Prepared,
    cause: Cause,
    asked_for: Option<Duration>,
) -> Result<(Duration, Admission), &'static str> {
    let Some(retrying) = &prepared.retrying else {
        return Err("attempts");
    };
    let (policy, template) = (&retrying.policy, &retrying.template);
    if !cause.is_safe(&template.method) {
        return Err("method");
    }
    // What came back has not begun its body.
    let whole = template.body.as_ref().is_none_or(ReplayBody::is_kept);
    if !whole && prepared.asking.is_none() {
        return Err("body");
    }
    if retrying.made >= policy.attempts_max {
        return Err("attempts");
    }
    if asked_for.is_some_and(|wait| wait > policy.retry_after_max) {
        return Err("retry_after");
    }
    let wait = asked_for.unwrap_or_else(|| policy.backoff.wait(retrying.made));
    let now = clock::instant();
    let due = retrying.due(now);
    let due = template.due.map_or(due, |exchange| exchange.at.min(due));
    if now + wait >= due {
        return Err("time");
    }
    match prepared.cluster.admit_retry(policy) {
        Ok(place) => {
            prepared.next = prepared.pick().or_else(|| {
                // All were tried; one of them may have come to itself.
                prepared.tried.clear();
                prepared.pick()
            });
            // What there is is better than to say that nobody can be asked.
            let known = prepared.next.is_some();
            known.then_some((wait, place)).ok_or("endpoint")
        }
        Err(RetryOutcome::OverLimit) => Err("limit"),
        Err(_) => Err("budget"),
    }
}

fn go_on(prepared: &mut Prepared, cause: Option<Cause>, wait: Duration) -> Duration {
    prepared.cause = cause;
    let counts = prepared.cluster.attempt_counts();
    counts.retry(RetryOutcome::Attempted);
    wait
}

/// Lets go of what the attempt brought, and waits.
pub(super) async fn pause(
    context: &mut RequestContext,
    outcome: Result<Answered, Failed>,
    wait: Duration,
) {
    if let Ok(answered) = outcome {
        give_up(context, answered);
    }
    if !wait.is_zero() {
        context.hand_over(context.watch.elapsed());
        tokio::time::sleep(wait).await;
    }
}

/// Ends an attempt whose answer nobody gets.
pub(super) fn give_up(context: &mut RequestContext, answered: Answered) {
    context.answered(&answered.response, answered.peer);
    context.abandon_attempt();
    answered.response.into_body().discard();
}

/// Counts what retrying came to.
pub(super) fn conclude(prepared: &Prepared, outcome: &Result<Answered, Failed>) {
    if prepared.cause.is_none() {
        return;
    }
    let good = match outcome {
        Ok(answered) => fault(prepared, answered).is_none(),
        Err(_) => false,
    };
    prepared.cluster.attempt_counts().retry(if good {
        RetryOutcome::Succeeded
    } else {
        RetryOutcome::Exhausted
    });
}
