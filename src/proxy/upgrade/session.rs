//! An upgraded connection from its first byte to its last: both lanes, the bounds, the account.

use super::super::context::RequestContext;
use super::super::outcome::Outcome;
use super::SessionPlan;
use super::lane::{Lane, LaneEnd, Passed};
use crate::clock::{self, LazyTimer};
use crate::message::websocket::close::{CloseCode, close_frame};
use crate::message::websocket::frames::{MessageKind, Sender};
use crate::server::{Drain, Reached};
use crate::telemetry::metrics::{WebSocketGuard, WebSocketSide};
use crate::trace::websocket::{SessionEnd, message_event};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long one side may go on after the other has closed its half.
const LINGER_MAX: Duration = Duration::from_secs(60);
/// How long the two may take to answer our Close frame, or to close after both have sent one.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Both streams, joined until both are closed. Dropping it ends its request, on every way out.
pub(super) struct Session {
    client: TokioIo<Upgraded>,
    upstream: TokioIo<Upgraded>,
    up: Lane,
    down: Lane,
    context: Option<Box<RequestContext>>,
    /// Of a WebSocket.
    websocket: Option<WebSocket>,
    plan: SessionPlan,
    began: Instant,
    moved: Instant,
    bytes: u64,
    leaving: Option<Reached>,
    /// Why we close it, if we do.
    cause: Option<&'static str>,
    /// When it is cut off, once its end has begun.
    until: Option<Instant>,
    /// Whether both sides have said goodbye to us.
    closing: bool,
    timer: LazyTimer,
}

struct WebSocket {
    counted: WebSocketGuard,
    /// Whose Close frame was the first, with its code.
    closed: Option<(WebSocketSide, CloseCode)>,
    /// Whose connection was lost first.
    lost: Option<WebSocketSide>,
}

impl Session {
    /// Joins the two.
    pub(super) fn new(
        client: Upgraded,
        upstream: Upgraded,
        is_websocket: bool,
        context: Box<RequestContext>,
        drain: &Drain,
    ) -> Self {
        let sender = |sender| is_websocket.then_some(sender);
        let plan = context.route.as_ref().map(|route| route.plan.websocket);
        let now = clock::instant();
        Self {
            client: TokioIo::new(client),
            upstream: TokioIo::new(upstream),
            up: Lane::new(sender(Sender::Client)),
            down: Lane::new(sender(Sender::Server)),
            websocket: is_websocket.then(|| WebSocket {
                counted: context.live.metrics.websocket(),
                closed: None,
                lost: None,
            }),
            context: Some(context),
            plan: plan.unwrap_or_default(),
            began: now,
            moved: now,
            bytes: 0,
            leaving: Some(drain.ending()),
            cause: None,
            until: None,
            closing: false,
            timer: LazyTimer::default(),
        }
    }

    fn poll_lanes(&mut self, cx: &mut Context<'_>) {
        let Self {
            client,
            upstream,
            up,
            down,
            context,
            websocket,
            plan,
            ..
        } = self;
        let mut on = |side, passed| {
            if let Some(websocket) = websocket {
                websocket.passed(side, passed, context.as_deref_mut(), plan);
            }
        };
        up.pass(Pin::new(client), Pin::new(upstream), cx, &mut |passed| {
            on(WebSocketSide::Client, passed);
        });
        down.pass(Pin::new(upstream), Pin::new(client), cx, &mut |passed| {
            on(WebSocketSide::Upstream, passed);
        });
        let bytes = up.passed.bytes + down.passed.bytes;
        if std::mem::replace(&mut self.bytes, bytes) != bytes {
            self.moved = clock::instant();
        }
    }

    /// Whether there is nothing left to wait for.
    fn is_over(&mut self, cx: &Context<'_>) -> bool {
        let (up, down) = (self.up.ended, self.down.ended);
        if let Some(websocket) = &mut self.websocket {
            websocket.note_loss(&self.up, &self.down);
        }
        let broke = |end| matches!(end, Some(LaneEnd::SenderLost | LaneEnd::ReceiverLost));
        if broke(up) || broke(down) || (up.is_some() && down.is_some()) {
            return true;
        }
        let done = |lane: &Lane| lane.is_closed() && lane.is_silent();
        if self.cause.is_some() && done(&self.up) && done(&self.down) && !self.closing {
            self.closing = true;
            self.up.close();
            self.down.close();
            cx.waker().wake_by_ref();
        }
        // A WebSocket has no half that stays open.
        let both_closed = self.up.is_closed() && self.down.is_closed();
        if self.until.is_none() {
            if self.websocket.is_some() && (both_closed || down.is_some()) {
                self.until = Some(clock::instant() + GOODBYE_MAX);
            } else if up.is_some() || down.is_some() {
                self.until = Some(clock::instant() + LINGER_MAX);
            }
        }
        false
    }

    /// Whether a bound cuts it off now. The first one that is reached begins the goodbye.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(leaving) = &mut self.leaving
            && Pin::new(leaving).poll(cx).is_ready()
        {
            self.leaving = None;
            self.begin_goodbye("drain", cx);
        }
        while let Some((due, cause)) = self.due() {
            if !self.timer.has_passed(due, cx) {
                return false;
            }
            match cause {
                None => return true,
                Some(cause) => self.begin_goodbye(cause, cx),
            }
        }
        false
    }

    /// What is due next, and what is then said; None cuts.
    fn due(&self) -> Option<(Instant, Option<&'static str>)> {
        if let Some(until) = self.until {
            return Some((until, None));
        }
        let idle = self.plan.idle.map(|idle| (self.moved + idle, Some("idle")));
        let life = self.plan.lifetime;
        let life = life.map(|life| (self.began + life, Some("lifetime")));
        match (idle, life) {
            (Some(idle), Some(life)) => Some(if idle.0 <= life.0 { idle } else { life }),
            (idle, life) => idle.or(life),
        }
    }

    /// Says to both sides that it is over, if they know what a Close frame is. Both have a moment
    /// to answer.
    fn begin_goodbye(&mut self, cause: &'static str, cx: &mut Context<'_>) {
        if self.cause.is_some() {
            return;
        }
        self.cause = Some(cause);
        let now = clock::instant();
        let malformed = self.up.is_malformed() || self.down.is_malformed();
        if self.websocket.is_none() || malformed {
            self.until = Some(now);
            return;
        }
        let until = now + GOODBYE_MAX;
        self.until = Some(self.until.map_or(until, |before| before.min(until)));
        let mask = fastrand::u32(..).to_be_bytes();
        let reason = match cause {
            "idle" => "idle for too long",
            "lifetime" => "open for too long",
            _ => "the gateway restarts",
        };
        let code = CloseCode::GOING_AWAY;
        self.up.say_goodbye(close_frame(code, reason, Some(mask)));
        self.down.say_goodbye(close_frame(code, reason, None));
        // The lanes are polled again with what they are to say.
        cx.waker().wake_by_ref();
    }

    fn finish(&mut self) {
        let Some(mut context) = self.context.take() else {
            return;
        };
        context.add_upgraded_bytes(self.up.passed.bytes, self.down.passed.bytes);
        let outcome = match &self.websocket {
            None => Outcome::Complete, // a closed connection is how such a protocol ends
            Some(websocket) => {
                let (end, outcome) = websocket.end(&self.up, &self.down, self.cause);
                if let Some(span) = &mut context.server {
                    end.write(span);
                }
                if let Some(span) = context.attempt_span() {
                    end.reversed().write(span);
                }
                outcome
            }
        };
        context.end(outcome);
    }
}

impl Future for Session {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_lanes(cx);
        if self.is_over(cx) || self.is_overdue(cx) {
            self.finish();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Cut off at the end of a drain.
            self.cause = self.cause.or(Some("drain"));
            self.finish();
        }
    }
}

impl WebSocket {
    fn passed(
        &mut self,
        side: WebSocketSide,
        passed: Passed,
        context: Option<&mut RequestContext>,
        plan: &SessionPlan,
    ) {
        let from_client = side == WebSocketSide::Client;
        match passed {
            Passed::Close(code) => self.closed = self.closed.or(Some((side, code))),
            Passed::Message(kind, bytes) => {
                self.counted.message(from_client);
                let Some(context) = context.filter(|_| plan.message_events) else {
                    return;
                };
                let kind = match kind {
                    MessageKind::Text => "text",
                    MessageKind::Binary => "binary",
                };
                let at = context.watch.now();
                if let Some(span) = &mut context.server {
                    message_event(span, at, from_client, kind, bytes);
                }
            }
        }
    }

    /// Notes whose connection ended before anybody had said goodbye.
    fn note_loss(&mut self, up: &Lane, down: &Lane) {
        if self.lost.is_some() {
            return;
        }
        let receiver_lost = |lane: &Lane| lane.ended == Some(LaneEnd::ReceiverLost);
        if up.is_sender_gone() || receiver_lost(down) {
            self.lost = Some(WebSocketSide::Client);
        } else if down.is_sender_gone() || receiver_lost(up) {
            self.lost = Some(WebSocketSide::Upstream);
        }
    }

    fn end(&self, up: &Lane, down: &Lane, cause: Option<&'static str>) -> (SessionEnd, Outcome) {
        let (side, code) = match (self.closed, cause, self.lost) {
            (Some(closed), _, _) => closed,
            (None, Some(_), _) if down.has_said_goodbye() => {
                (WebSocketSide::Edgespan, CloseCode::GOING_AWAY)
            }
            (None, Some(_), _) => (WebSocketSide::Edgespan, CloseCode::LOST),
            (None, None, lost) => (lost.unwrap_or(WebSocketSide::Client), CloseCode::LOST),
        };
        self.counted.closed(side, code.0);
        let outcome = match (side, code) {
            (WebSocketSide::Edgespan, _) => Outcome::Complete,
            // Leaving is the client's right.
            (WebSocketSide::Client, CloseCode::LOST) => Outcome::Canceled,
            (_, code) => code
                .error_type()
                .map_or(Outcome::Complete, Outcome::AnswerBroken),
        };
        let malformed = if up.is_malformed() {
            Some(WebSocketSide::Client)
        } else if down.is_malformed() {
            Some(WebSocketSide::Upstream)
        } else {
            None
        };
        let end = SessionEnd {
            received: up.passed,
            sent: down.passed,
            close_code: code.0,
            closed_by: side.as_str(),
            close_cause: cause.filter(|_| side == WebSocketSide::Edgespan),
            malformed: malformed.map(WebSocketSide::as_str),
        };
        (end, outcome)
    }
}
