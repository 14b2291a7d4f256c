//! What is behind the doors.
//!
//! Reading is `GET`; what changes the process is `POST`, so that no link and no prefetching
//! browser can do it.

use super::visitor::admit;
use super::{AdminState, ReadinessState, upstreams};
use crate::net::Ends;
use crate::telemetry::metrics::{Exposition, TextFormat};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

const INDEX: &str = concat!(
    "edgespan ",
    env!("CARGO_PKG_VERSION"),
    "

GET  /live     200 while the process runs
GET  /ready    200 while it takes requests, 503 before and while it drains
GET  /metrics  numbers for Prometheus (OpenMetrics)
GET  /upstreams  how upstreams and their endpoints stand (?format=json for programs)
GET  /config   the configuration in force, secrets hidden, and what came of the last reload
POST /drain    takes no new connections, finishes requests in flight, stops

Recent traces, as at a Tempo (Grafana's data source, `edgespan trace`):
GET  /api/search?q={}           TraceQL; tags, minDuration, maxDuration, start, end, limit, spss
GET  /api/v2/traces/TRACE_ID    one trace; /api/traces/TRACE_ID for the older form
GET  /api/v2/search/tags        names of attributes; /api/v2/search/tag/NAME/values
GET  /api/edgespan/store        how many traces are kept, and since when
POST /v1/traces                 OTLP of your services, kept beside edgespan's own spans
"
);

/// Everything, for visitors that ask for this machine by its own name. Requests carry the
/// connection's [`Ends`] as an extension.
pub(super) fn admin(state: AdminState) -> Router {
    Router::new()
        .route("/", get(INDEX))
        .route("/drain", post(drain))
        .route("/upstreams", get(upstreams_page))
        .route("/config", get(config))
        .merge(readings())
        .merge(state.further.clone().with_state(()))
        .fallback(nothing_here)
        .layer(middleware::from_fn(only_visitors_of_ours))
        .layer(middleware::map_response(plain))
        .with_state(state)
}

/// Probes and metrics alone, for whoever reaches them: kubelet and Prometheus use the pod's
/// address, and nothing here is secret or changes anything.
pub(super) fn probes(state: AdminState) -> Router {
    readings()
        .fallback(nothing_here)
        .layer(middleware::map_response(plain))
        .with_state(state)
}

fn readings() -> Router<AdminState> {
    Router::new()
        .route("/live", get("live\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
}

async fn only_visitors_of_ours(
    Extension(ends): Extension<Ends>,
    request: Request,
    next: Next,
) -> Response {
    match admit(&request, ends.local.ip()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => (refusal.status(), format!("{refusal}\n")).into_response(),
    }
}

/// No answer here is to be kept, or to be taken for anything but what it says it is.
async fn plain(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn nothing_here() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "Nothing is here.\n")
}

/// One word, and a line for each thing that is missing: with it some requests would be served that
/// are refused as yet.
async fn ready(State(state): State<AdminState>) -> (StatusCode, String) {
    let (status, word) = match state.readiness.state() {
        ReadinessState::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        ReadinessState::Ready => (StatusCode::OK, "ready"),
        ReadinessState::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    let mut text = format!("{word}\n");
    for line in (state.lacks)() {
        text.push_str("missing: ");
        text.push_str(&line);
        text.push('\n');
    }
    (status, text)
}

async fn drain(State(state): State<AdminState>) -> (StatusCode, &'static str) {
    // At once, so that a load balancer that asks next sees it.
    state.readiness.draining();
    state.drain.notify_one();
    (StatusCode::ACCEPTED, "draining\n")
}

/// For people, unless JSON is asked for.
async fn upstreams_page(
    State(state): State<AdminState>,
    uri: Uri,
    headers: HeaderMap,
) -> ([(http::HeaderName, &'static str); 1], String) {
    let clusters = (state.upstreams)();
    let accept = headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let accepts = accept.is_some_and(|accept| accept.starts_with(b"application/json"));
    let mut query = uri.query().unwrap_or_default().split('&');
    if accepts || query.any(|pair| pair == "format=json") {
        (
            [(CONTENT_TYPE, "application/json")],
            upstreams::json(&clusters),
        )
    } else {
        let kind = "text/plain; charset=utf-8";
        ([(CONTENT_TYPE, kind)], upstreams::text(&clusters))
    }
}

async fn config(
    State(state): State<AdminState>,
) -> ([(http::HeaderName, &'static str); 1], String) {
    // Browsers show text and save YAML.
    let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    let mut page = state.last_reload.comment();
    page.push_str(&(state.config)());
    (kind, page)
}

async fn metrics(State(state): State<AdminState>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = TextFormat::accepted_by(accept);
    // A page of thousands of series takes milliseconds, which requests on this thread would wait.
    let page = tokio::task::spawn_blocking(move || {
        let mut page = Exposition::new(format);
        state.render(&mut page);
        page.finish()
    });
    match page.await {
        Ok(page) => ([(CONTENT_TYPE, format.content_type())], page).into_response(),
        Err(_panicked) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
