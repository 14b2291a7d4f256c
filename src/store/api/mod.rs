//! Tempo's HTTP API over the store, and a few questions that Tempo has not.
//!
//! `admin` serves these routes behind its own checks. What takes the processor is done off the
//! workers that serve requests, two questions at a time.

mod json;
mod live;
mod parameters;
mod questions;
mod reply;
mod search;
mod tags;
mod traces;

use super::{Intake, StoreInForce, TraceStore};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use questions::Questions;
use reply::{Refused, text};
use serde_json::json;

/// What the routes read.
#[derive(Clone)]
pub struct Api {
    store: StoreInForce,
    intake: Intake,
    questions: Questions,
}

impl Api {
    /// Over what this intake fills.
    pub fn new(intake: &Intake) -> Self {
        Self {
            store: intake.store.clone(),
            intake: intake.clone(),
            questions: Questions::default(),
        }
    }

    fn store(&self) -> Result<TraceStore, Refused> {
        self.store.load().ok_or_else(|| {
            Refused::new(
                StatusCode::NOT_FOUND,
                "traces are not kept: `store.memory` is off",
            )
        })
    }
}

/// Every route, for `admin` to serve behind its checks.
pub fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/echo", get("echo"))
        .route("/api/status/buildinfo", get(build_info))
        .route("/api/search", get(search::tempo))
        .route("/api/search/tags", get(tags::names))
        .route("/api/v2/search/tags", get(tags::names_by_scope))
        .route("/api/search/tag/{tag}/values", get(tags::values))
        .route("/api/v2/search/tag/{tag}/values", get(tags::typed_values))
        .route("/api/traces/{id}", get(traces::batches))
        .route("/api/v2/traces/{id}", get(traces::by_id))
        .route("/api/edgespan/search", get(search::summaries))
        .route("/api/edgespan/store", get(live::figures))
        .route("/api/edgespan/tail", get(live::tail))
        .route("/api/edgespan/traces", get(live::by_prefix))
        .route("/v1/traces", any(otlp))
        .with_state(api)
}

/// What Grafana and others ask to learn whom they speak to; the fields are Prometheus'.
async fn build_info() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    reply::plain_json(&json!({
        "version": version,
        "revision": "",
        "branch": "",
        "buildDate": "",
        "buildUser": "edgespan",
        "goVersion": "",
    }))
}

async fn otlp(State(api): State<Api>, request: Request) -> Response {
    super::intake::serve_http(&api.intake, request)
        .await
        .map(Body::from)
}

/// A refusal as text, for whoever typed the question.
impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = text(self.status, format!("{}\n", self.message));
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(http::header::RETRY_AFTER, seconds.into());
        }
        debug_assert!(response.headers().contains_key(CONTENT_TYPE));
        response
    }
}
