//! Attempts beside one that is slow: the first good head of an answer wins, the others are given
//! up.

use super::attempt::{self, Failed, Prepared};
use super::context::RequestContext;
use super::retry::{fault, give_up};
use crate::clock;
use crate::telemetry::metrics::HedgeOutcome;
use crate::upstream::{Admission, Answered, Endpoint, HedgePolicy, Unanswered};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Sleep;
use tracing::debug;

type Asked = Pin<Box<dyn Future<Output = Result<Answered, Unanswered>> + Send>>;

/// One attempt of several. Its span is among the `rivals` of the request.
struct Rival {
    number: u32,
    endpoint: Arc<Endpoint>,
    asked: Asked,
    /// A hedge's place within the limits of retries; None for the first attempt.
    place: Option<Admission>,
}

/// Which attempt ended, and how.
type Finished = (usize, Result<Answered, Unanswered>);

/// Asks one endpoint, and another one whenever the time of `policy` passes without a good answer.
pub(super) async fn race(
    context: &mut RequestContext,
    prepared: &mut Prepared,
    policy: HedgePolicy,
) -> Result<Answered, Failed> {
    let mut rivals = vec![enter(context, prepared, None)?];
    let mut left = policy.attempts_max;
    let mut timer = Box::pin(tokio::time::sleep(policy.after));
    loop {
        let slow = (left > 0).then_some(&mut timer);
        match next(&mut rivals, slow).await {
            None => {
                left -= 1;
                timer.as_mut().reset(clock::instant() + policy.after);
                rivals.extend(hedge(context, prepared, &rivals));
            }
            Some((index, result)) => {
                let rival = rivals.swap_remove(index);
                promote(context, rival.number);
                let good = matches!(&result, Ok(answered) if fault(prepared, answered).is_none());
                if good || rivals.is_empty() {
                    let hedged = rival.place.is_some();
                    cancel(context, prepared, rivals);
                    if hedged && good {
                        let counts = prepared.cluster.attempt_counts();
                        counts.hedge(HedgeOutcome::Won);
                    }
                    return attempt::settle(context, prepared, rival.endpoint, result);
                }
                // Another one is still under way and may do better.
                if let Ok(answered) = attempt::settle(context, prepared, rival.endpoint, result) {
                    give_up(context, answered);
                }
                prepared.tried.extend(prepared.asked.take());
            }
        }
    }
}

/// Whichever comes first: the end of an attempt, or, None, the time for another one.
async fn next(rivals: &mut [Rival], mut slow: Option<&mut Pin<Box<Sleep>>>) -> Option<Finished> {
    poll_fn(|cx: &mut Context<'_>| {
        for (index, rival) in rivals.iter_mut().enumerate() {
            if let Poll::Ready(result) = rival.asked.as_mut().poll(cx) {
                return Poll::Ready(Some((index, result)));
            }
        }
        match &mut slow {
            Some(timer) => timer.as_mut().poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// Begins an attempt.
fn enter(
    context: &mut RequestContext,
    prepared: &mut Prepared,
    place: Option<Admission>,
) -> Result<Rival, Failed> {
    let (endpoint, asking, mut attempt) = attempt::begin(context, prepared)?;
    if let (Some(span), Some(_)) = (&mut attempt.span, &place) {
        span.bool("edgespan.hedge", true);
    }
    let number = attempt.number;
    context.rivals.push(attempt);
    let (to, timeouts) = (Arc::clone(&endpoint), prepared.timeouts);
    Ok(Rival {
        number,
        endpoint,
        asked: Box::pin(async move { to.ask(asking, &timeouts).await }),
        place,
    })
}

/// Begins an attempt beside others, if limits and the request's body allow it.
fn hedge(context: &mut RequestContext, prepared: &mut Prepared, rivals: &[Rival]) -> Option<Rival> {
    let retrying = prepared.retrying.as_mut()?;
    retrying.hedged = true;
    if !retrying.is_whole() {
        debug!("request is not hedged: its body has not come yet, or is larger than is kept");
        return None;
    }
    let place = prepared.cluster.admit_retry(&retrying.policy).ok()?;
    prepared.asking = Some(retrying.asking());
    let tried = prepared.tried.len();
    let busy = rivals.iter().map(|rival| Arc::clone(&rival.endpoint));
    prepared.tried.extend(busy);
    prepared.next = prepared.pick();
    prepared.tried.truncate(tried);
    let rival = enter(context, prepared, Some(place)).ok()?;
    let counts = prepared.cluster.attempt_counts();
    counts.hedge(HedgeOutcome::Attempted);
    Some(rival)
}

/// The attempt of this number is the one that counts.
fn promote(context: &mut RequestContext, number: u32) {
    let rivals = &mut context.rivals;
    let place = rivals.iter().position(|attempt| attempt.number == number);
    context.attempt = place.map(|place| rivals.swap_remove(place));
}

/// Gives up the attempts that were too slow: their connections or streams are closed.
fn cancel(context: &mut RequestContext, prepared: &Prepared, rivals: Vec<Rival>) {
    let hedges = rivals.iter().filter(|rival| rival.place.is_some());
    for _ in hedges {
        let counts = prepared.cluster.attempt_counts();
        counts.hedge(HedgeOutcome::Lost);
    }
    drop(rivals);
    let now = context.watch.elapsed();
    for mut attempt in std::mem::take(&mut context.rivals) {
        if let Some(span) = &mut attempt.span {
            span.bool("edgespan.cancelled", true);
        }
        context.close(attempt, now, None, true);
    }
}
