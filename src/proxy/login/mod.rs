//! Logins: the paths of edgespan's own on every host, and what becomes of a request that is refused
//! because nobody is logged in.
//!
//! The paths are looked for before any route, in the gate. A path below `login.path` that is none
//! of ours is one like any other.

mod asker;
mod begin;
mod callback;
pub(super) mod carry;
mod choose;
mod denied;
mod logout;
mod page;
mod revoked;
pub(super) mod told;
mod userinfo;

pub(super) use begin::refused;
pub(super) use denied::denied;

use super::answer;
use super::body::Body;
use super::context::RequestContext;
use super::decide;
use super::error::ProxyError;
use super::held;
use super::snapshot::{LiveRoute, Snapshot};
use crate::auth::Recorder;
use crate::auth::oidc::{Endpoint, Flow, Logins, Site};
use crate::trace::sampler::Head;
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::borrow::Cow;
use std::sync::Arc;
use url::form_urlencoded;

/// Largest body of a request for a path of ours, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Most parameters of a query or a form that are looked at.
const PARAMETERS_MAX: usize = 64;
/// The flow of our own paths.
pub(super) const FLOW: &str = "login";

/// A request for a path of ours.
pub(super) struct Recognised {
    endpoint: Endpoint,
    /// The whole path: `http.route`.
    pub(super) template: Arc<str>,
    /// The login that comes back with it, where its browser began one. Not yet taken.
    pub(super) flow: Option<Flow>,
    /// Whether that could still come to something. One that was used goes on with no trace.
    is_fresh: bool,
    /// Whether its span says what came of it.
    told: bool,
}

/// The same, past the gate.
pub(super) struct Call {
    pub(super) parts: Parts,
    pub(super) body: Incoming,
}

/// A login of a browser that came with a request.
pub(super) struct CameBack {
    flow: Flow,
    /// Whether by a cookie of `https`.
    secure: bool,
}

/// Before anything else of a request is read, if it may be for a path of ours: the login that it
/// goes on with, which may lie in Redis. The SERVER span goes on with the trace that is in there.
pub(super) async fn look_back(context: &mut RequestContext, head: &Request<Incoming>) {
    let Some(logins) = context.live.logins.clone() else {
        return;
    };
    let handle = match logins.paths.find(head.uri().path()) {
        Some((Endpoint::Callback, _)) => "state",
        Some((Endpoint::Start | Endpoint::Choose, _)) => "flow",
        Some(_) | None => return,
    };
    let parameters = Parameters::of(head.uri().query());
    let Some(handle) = parameters.one(handle) else {
        return;
    };
    // Nobody has read yet by which scheme the client came.
    for secure in [true, false] {
        if let Some(flow) = logins.flow(handle, secure, head.headers()).await {
            context.came_back = Some(Box::new(CameBack { flow, secure }));
            return;
        }
    }
}

/// Whether a request is for a path of ours. One look where the file has no logins.
pub(super) fn recognise(context: &RequestContext, parts: &Parts) -> Option<Box<Recognised>> {
    let logins = context.live.logins.as_ref()?;
    let (endpoint, template) = logins.paths.find(parts.uri.path())?;
    let template = Arc::clone(template);
    let mut recognised = Recognised {
        endpoint,
        template,
        flow: None,
        is_fresh: false,
        told: false,
    };
    // A `__Host-` cookie counts for `https` alone, and a plain one for `http` alone.
    let secure = context.scheme == "https";
    let came_back = context.came_back.as_deref();
    let flow = came_back.filter(|came_back| came_back.secure == secure);
    recognised.flow = flow.map(|came_back| came_back.flow.clone());
    let flow = recognised.flow.as_ref();
    recognised.is_fresh = flow.is_some_and(|flow| logins.is_fresh(flow, now(context)));
    Some(Box::new(recognised))
}

/// Answers it.
pub(super) async fn answer(
    context: &mut RequestContext,
    call: Call,
) -> Result<Response<Body>, ProxyError> {
    let (Some(logins), Some(recognised)) = (context.live.logins.clone(), context.login.as_mut())
    else {
        return Err(ProxyError::NoRoute);
    };
    let (endpoint, flow) = (recognised.endpoint, recognised.flow.take());
    let allowed = endpoint.methods();
    if !allowed.split(", ").any(|one| one == call.parts.method) {
        let mut refused = not_allowed(allowed);
        decide::publish(&mut refused);
        return Ok(refused);
    }
    let site = match Site::new(context.scheme, &context.host, context.server_port) {
        Ok(site) => site,
        // No browser: what counts there is signed, and nothing is kept of it on the way.
        Err(_) if endpoint == Endpoint::BackChannel => Site::unseen(),
        Err(_) => return Ok(page::failed(context, &answer::LOGIN_INSECURE, &[])),
    };
    let means = Means::of(context);
    context.hand_over(context.watch.elapsed());
    let asking = Asking {
        logins: &logins,
        site: &site,
        means: &means,
        headers: &call.parts.headers,
    };
    let query = call.parts.uri.query();
    let parameters = Parameters::of(query);
    let answered = match endpoint {
        Endpoint::Start => Ok(begin::start(context, &asking, &parameters).await),
        Endpoint::Callback => {
            let path = call.parts.uri.path();
            Ok(callback::answer(context, &asking, flow, path, &parameters).await)
        }
        Endpoint::Choose => Ok(choose::answer(context, &asking, &parameters).await),
        Endpoint::Userinfo => Ok(userinfo::answer(context, &asking, &parameters).await),
        Endpoint::FrontChannel => Ok(revoked::front(context, &asking, &parameters).await),
        Endpoint::Logout | Endpoint::BackChannel => {
            match held::whole(context, &call.parts.headers, call.body, BODY_BYTES_MAX).await {
                Ok(body) if endpoint == Endpoint::Logout => {
                    let is_post = call.parts.method == http::Method::POST;
                    Ok(logout::answer(context, &asking, is_post, query, &body).await)
                }
                Ok(body) => Ok(revoked::back(context, &asking, &body).await),
                Err(error) => Err(error),
            }
        }
    };
    context.take_back(context.watch.elapsed());
    answered.map(|mut response| {
        decide::publish(&mut response);
        response
    })
}

/// What the answer to a request for a path of ours goes by.
struct Asking<'a> {
    logins: &'a Arc<Logins>,
    site: &'a Site,
    means: &'a Means,
    headers: &'a HeaderMap,
}

/// What a recorder of spans borrows.
pub(super) struct Means {
    live: Arc<Snapshot>,
    route: Option<Arc<LiveRoute>>,
    head: Option<Head>,
}

impl Means {
    pub(super) fn of(context: &RequestContext) -> Self {
        Self {
            live: Arc::clone(&context.live),
            route: context.route.clone(),
            head: context.head.clone(),
        }
    }

    /// Where the spans of calls to providers go.
    fn recorder<'a>(&'a self, context: &'a mut RequestContext) -> Recorder<'a> {
        let route = self.route.as_ref();
        let flow = route.and_then(|route| route.plan.flow.as_ref());
        Recorder {
            settings: &self.live.trace,
            propagators: &self.live.propagators,
            head: self.head.as_ref(),
            server_id: context.server_id,
            watch: context.watch,
            read: context.watch.elapsed(),
            flow: Some(flow.map_or(FLOW, |flow| flow.name.as_ref())),
            flags: route.map_or(&self.live.unmatched.flags, |route| &route.trace.flags),
            spans: context.spans(),
        }
    }
}

/// Unix seconds.
fn now(context: &RequestContext) -> u64 {
    context.watch.now().as_unix_nanos() / 1_000_000_000
}

/// Parameters of a query or a form.
struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    fn of(text: Option<&'a str>) -> Self {
        Self::of_bytes(text.unwrap_or_default().as_bytes())
    }

    fn of_bytes(bytes: &'a [u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes);
        Self(pairs.take(PARAMETERS_MAX).collect())
    }

    /// Whether one stands there more than once, which none may (RFC 6749, section 3.1).
    fn is_several(&self, name: &str) -> bool {
        let found = self.0.iter().filter(|(own, _)| *own == name);
        found.count() > 1
    }

    /// The value of one that stands there once.
    fn one(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(own, _)| *own == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(&**value)
    }
}

fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(methods));
    page::guard(headers);
    response
}
