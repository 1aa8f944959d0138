//! The metrics door: numbers, and whether the gateway lives and serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::telemetry::Metrics;

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the gateway serves: `/readyz`.
#[derive(Debug, Clone, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// Says whether it does, from now on.
    pub fn set(&self, is_ready: bool) {
        self.0.store(is_ready, Ordering::Release);
    }

    /// Whether it does.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// `/metrics`, `/healthz` and `/readyz`; all else is not found. `lacking` says what keeps the gateway
/// from serving wholly, and `measure` sets the gauges that nobody sets in passing, before each look at
/// them.
pub fn metrics_router(
    metrics: Metrics,
    ready: Ready,
    lacking: impl Fn() -> Option<&'static str> + Clone + Send + Sync + 'static,
    measure: impl Fn() + Clone + Send + Sync + 'static,
) -> Router {
    let numbers = move || async move {
        measure();
        exposition(&metrics)
    };
    Router::new()
        .route("/metrics", get(numbers))
        .route("/healthz", get(async || "alive\n"))
        .route(
            "/readyz",
            get(move || async move { readiness(&ready, lacking()) }),
        )
}

fn exposition(metrics: &Metrics) -> Response {
    match metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, EXPOSITION)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics down");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn readiness(ready: &Ready, lacking: Option<&'static str>) -> Response {
    let lacking = if ready.is_ready() {
        lacking
    } else {
        Some("the doors are not open")
    };
    match lacking {
        None => (StatusCode::OK, "ready\n").into_response(),
        Some(words) => {
            let words = format!("not ready: {words}\n");
            (StatusCode::SERVICE_UNAVAILABLE, words).into_response()
        }
    }
}
