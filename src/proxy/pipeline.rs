//! One request, start to finish. A stage hands on or answers; none hides another.

use super::arrival;
use super::authorize::authorize;
use super::body::TracedBody;
use super::context::RequestContext;
use super::decide;
use super::error::ProxyError;
use super::finish::finish;
use super::gate::{Gated, gate};
use super::limit::{limit, within};
use super::login;
use super::snapshot::Live;
use crate::listener::ConnInfo;
use crate::server::{Drain, Handle, InFlight, RequestCount};
use http::{Request, Response};
use hyper::body::Incoming;
use std::sync::Arc;

/// Answers the requests of one listener.
#[derive(Clone)]
pub struct Pipeline {
    live: Arc<Live>,
    drain: Drain,
    requests: RequestCount,
}

impl Pipeline {
    /// Requests read what `live` holds when they begin; `drain` waits for them.
    pub fn new(live: Arc<Live>, drain: Drain) -> Self {
        let requests = drain.count();
        Self {
            live,
            drain,
            requests,
        }
    }
}

impl Handle for Pipeline {
    type Body = TracedBody;

    fn heads_kept(&self) -> &'static [&'static str] {
        let answers = self.live.load().arrival.is_some();
        if answers { arrival::HEADS } else { &[] }
    }

    async fn handle(
        &self,
        conn: Arc<ConnInfo>,
        place: InFlight,
        mut incoming: Request<Incoming>,
    ) -> Response<TracedBody> {
        let (counted, admitted) = self.requests.enter(conn.listener.limits.requests_max);
        let mut context = RequestContext::begin(self.live.load(), conn, place, counted, &incoming);

        let logins = context.live.logins.as_ref();
        if logins.is_some_and(|logins| logins.brings_ticket(incoming.headers())) {
            // In a box: only the first request after a login waits here.
            Box::pin(login::carry::take_back(&mut context, &mut incoming)).await;
        }
        let logins = context.live.logins.as_ref();
        if logins.is_some_and(|logins| logins.paths.find(incoming.uri().path()).is_some()) {
            // In a box: only logins wait here.
            Box::pin(login::look_back(&mut context, &incoming)).await;
        }
        let gated = if decide::is_call(&context, &incoming) {
            // In a box: only decisions over gRPC wait for a message here.
            Box::pin(decide::call(&mut context, incoming)).await
        } else {
            gate(&mut context, incoming)
        };
        let outcome = match gated {
            Ok(_) if !admitted => Err(ProxyError::Overloaded { what: "listener" }),
            Ok(_) if context.live.memory.is_high() => {
                Err(ProxyError::Overloaded { what: "memory" })
            }
            gated => match (limit(&mut context).await, gated) {
                (Ok(()), Ok(gated)) => match authorize(&mut context, gated).await {
                    Ok(Gated::Forward(onward)) => within(&mut context, onward).await,
                    Ok(Gated::Answer(response)) => Ok(*response),
                    Ok(Gated::Arrival(asked)) => {
                        // In a box: nothing else waits here.
                        Box::pin(arrival::answer(&mut context, *asked)).await
                    }
                    Ok(Gated::Login(call)) => {
                        // In a box: nothing else waits here.
                        Box::pin(login::answer(&mut context, *call)).await
                    }
                    Ok(Gated::Guarded(guarded)) => Ok(guarded.response),
                    Ok(Gated::Decide(asking)) => Ok(decide::allow(&mut context, &asking)),
                    Err(error) => Err(error),
                },
                (Ok(()), Err(error)) | (Err(error), _) => Err(error),
            },
        };

        finish(context, outcome, &self.drain)
    }
}
