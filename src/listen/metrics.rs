//! The metrics door: metrics, and whether the gateway is alive and serving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::exchange::Reply;
use crate::listen::handler::{DoorRequest, RequestHandler};
use crate::listen::incoming::Incoming;
use crate::listen::refusal::reply;
use crate::telemetry::Metrics;

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

const PLAIN: &str = "text/plain; charset=utf-8";

/// Whether the gateway serves: `/readyz`.
#[derive(Debug, Clone, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// Sets whether it does.
    pub fn set(&self, is_ready: bool) {
        self.0.store(is_ready, Ordering::Release);
    }

    /// Whether it does.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Answers `/metrics`, `/healthz` and `/readyz`; anything else is not found.
pub struct MetricsDoor<L, M> {
    /// The numbers.
    pub metrics: Metrics,
    /// Whether the doors are open.
    pub ready: Ready,
    /// Says what keeps the gateway from serving fully.
    pub lacking: L,
    /// Sets the gauges that are not updated in passing; called before each scrape.
    pub measure: M,
}

#[async_trait]
impl<L, M> RequestHandler for MetricsDoor<L, M>
where
    L: Fn() -> Option<&'static str> + Send + Sync,
    M: Fn() + Send + Sync,
{
    async fn handle(&self, request: DoorRequest<'_>, _: Incoming) -> Reply {
        let head = request.head;
        let answer = match head.uri.path() {
            "/metrics" => Self::exposition,
            "/healthz" => |_: &Self| text(StatusCode::OK, PLAIN, "alive\n".to_owned()),
            "/readyz" => Self::readiness,
            _ => return text(StatusCode::NOT_FOUND, PLAIN, String::new()),
        };
        if matches!(head.method, Method::GET | Method::HEAD) {
            return answer(self);
        }
        let allow = HeaderMap::from_iter([(ALLOW, HeaderValue::from_static("GET,HEAD"))]);
        reply(StatusCode::METHOD_NOT_ALLOWED, bytes::Bytes::new(), allow)
    }
}

impl<L, M> MetricsDoor<L, M>
where
    L: Fn() -> Option<&'static str>,
    M: Fn(),
{
    fn exposition(&self) -> Reply {
        (self.measure)();
        match self.metrics.render() {
            Ok(numbers) => text(StatusCode::OK, EXPOSITION, numbers),
            Err(error) => {
                tracing::error!(%error, "cannot write the metrics down");
                text(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, String::new())
            }
        }
    }

    fn readiness(&self) -> Reply {
        let lacking = if self.ready.is_ready() {
            (self.lacking)()
        } else {
            Some("the doors are not open")
        };
        match lacking {
            None => text(StatusCode::OK, PLAIN, "ready\n".to_owned()),
            Some(words) => {
                let words = format!("not ready: {words}\n");
                text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, words)
            }
        }
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Reply {
    let kind = (CONTENT_TYPE, HeaderValue::from_static(kind));
    reply(status, body.into(), HeaderMap::from_iter([kind]))
}
