//! One read passed on: to one server, and to the next when that one is of no use.
//!
//! Only reads are passed on here, so asking twice does no harm. A second server is asked when the
//! first gave no answer at all, or one that says that it is in trouble (502, 503, 504), and when a
//! replica knows nothing of what the primary may have.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Response;
use tokio::time::timeout;
use url::Url;

use super::servers::{Fleet, Server, is_devpis};
use crate::upstream::words;

/// For the head of an answer. devpi waits 5 s for a mirror's upstream, twice at worst; pip gives up
/// after 15 s.
const HEAD_TIMEOUT: Duration = Duration::from_secs(11);

/// No server had an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no devpi-server answers: {reason}")]
pub struct FleetError {
    /// What the last one that was asked did.
    pub reason: String,
}

/// A server's answer, whatever it says.
#[derive(Debug)]
pub struct FleetAnswer {
    response: Response,
}

impl Fleet {
    /// Passes a GET or HEAD on. `path_and_query` begins with a slash and is sent as it is.
    ///
    /// # Errors
    /// [`FleetError`] when no server gave an answer.
    pub async fn read(
        &self,
        method: &Method,
        path_and_query: &str,
        headers: &HeaderMap,
    ) -> Result<FleetAnswer, FleetError> {
        debug_assert!(matches!(*method, Method::GET | Method::HEAD), "only reads");
        let base = self.url();
        let below = path_and_query.trim_start_matches('/');
        // Not `join`: a first segment with a colon would count as a scheme.
        let url = Url::parse(&format!("{base}{below}")).map_err(|error| FleetError {
            reason: error.to_string(),
        })?;
        let response = self.send(method, &url, headers).await?;
        Ok(FleetAnswer { response })
    }

    /// Sends a read of a URL below [`Fleet::url`] to whichever server is to be asked.
    pub(in crate::upstream) async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response, FleetError> {
        let mut reason = "none is configured".to_owned();
        let mut second_best = None;
        let order = self.order();
        for (tried, position) in order.iter().enumerate() {
            let server = &self.servers[*position];
            let is_last = tried + 1 == order.len();
            let response = match self.send_to(server, method, url, headers).await {
                Ok(response) => response,
                Err(failure) => {
                    reason = failure;
                    self.failed(server, &reason);
                    continue;
                }
            };
            self.answered(server, response.headers());
            if is_trouble(response.status()) && !is_last {
                if !is_devpis(&response) {
                    self.failed(server, response.status().as_str());
                }
                second_best.get_or_insert(response);
                continue;
            }
            if is_absence(response.status()) && !self.is_primary(*position) {
                return Ok(self
                    .of_primary(method, url, headers)
                    .await
                    .unwrap_or(response));
            }
            return Ok(response);
        }
        second_best.ok_or(FleetError { reason })
    }

    /// What the primary says, when it is up and not in trouble itself.
    async fn of_primary(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Option<Response> {
        let server = &self.servers[self.primary()?];
        match self.send_to(server, method, url, headers).await {
            Ok(response) => {
                self.answered(server, response.headers());
                (!is_trouble(response.status())).then_some(response)
            }
            Err(failure) => {
                self.failed(server, &failure);
                None
            }
        }
    }

    async fn send_to(
        &self,
        server: &Server,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response, String> {
        let url = moved(url, self.url(), &server.url);
        let request = self
            .client
            .request(method.clone(), url)
            .headers(headers.clone());
        match timeout(HEAD_TIMEOUT, request.send()).await {
            Ok(sent) => sent.map_err(words::causes),
            Err(_) => Err(format!("no answer within {HEAD_TIMEOUT:?}")),
        }
    }
}

impl FleetAnswer {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers, those of the connection included.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// How long its body is, where it says so.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    /// When the body breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FleetError> {
        let chunk = self.response.chunk().await;
        chunk.map_err(|error| FleetError {
            reason: words::causes(error),
        })
    }
}

fn is_trouble(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}

fn is_absence(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// A URL below `from`, moved to below `to`.
fn moved(url: &Url, from: &Url, to: &Url) -> Url {
    match url.as_str().strip_prefix(from.as_str()) {
        Some(below) => Url::parse(&format!("{to}{below}")).unwrap_or_else(|_| url.clone()),
        None => url.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_moves_with_its_path_and_query() {
        let url = |text: &str| Url::parse(text).unwrap();
        let from = url("http://one.example:3141/");
        for (to, asked, expected) in [
            (
                "http://two.example/",
                "http://one.example:3141/a/b/%2Bf/x?y=1",
                "http://two.example/a/b/%2Bf/x?y=1",
            ),
            (
                "https://two.example/devpi/",
                "http://one.example:3141/a",
                "https://two.example/devpi/a",
            ),
            (
                "http://two.example/",
                "http://elsewhere.example/a",
                "http://elsewhere.example/a",
            ),
        ] {
            assert_eq!(
                moved(&url(asked), &from, &url(to)),
                url(expected),
                "{asked}"
            );
        }
    }
}
