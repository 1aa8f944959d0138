//! One read passed on: to one server, and to the next if that one is of no use.
//!
//! Only reads are passed on here, so asking twice does no harm. A second server is asked when the first
//! gave no answer, or reported trouble (502, 503, 504), when it has as many requests under way as it
//! may, and when a replica does not have what the primary may have.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Response;
use tokio::time::timeout;
use url::Url;

use crate::telemetry::ServerResult;
use crate::upstream::fleet::load::Underway;
use crate::upstream::fleet::servers::{Fleet, Server, is_devpis, serial_of};
use crate::upstream::words;

/// Time allowed for the head of an answer while there is another server to ask. devpi waits 5 s for a
/// mirror's upstream, twice at worst; pip gives up after 15 s. The last server gets all the remaining time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(11);

/// No server answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no devpi-server answers: {0}")]
pub struct FleetError(
    /// What the last server that was asked did.
    pub String,
);

/// A GET or HEAD of a URL below [`Fleet::url`].
#[derive(Debug, Clone, Copy)]
pub struct FleetRead<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// The URL.
    pub url: &'a Url,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A server's answer, whatever it says.
#[derive(Debug)]
pub struct FleetAnswer {
    pub(super) response: Response,
    pub(super) read_timeout: Duration,
}

/// A server gave no answer.
struct Failure {
    reason: String,
    result: ServerResult,
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
        let url = &self.url_of(path_and_query)?;
        let read = FleetRead {
            method,
            url,
            headers,
        };
        Ok(self.answer(self.send(read).await?))
    }

    pub(super) fn answer(&self, response: Response) -> FleetAnswer {
        FleetAnswer {
            response,
            read_timeout: self.read_timeout,
        }
    }

    /// A path below [`Fleet::url`].
    pub(super) fn url_of(&self, path_and_query: &str) -> Result<Url, FleetError> {
        let base = self.url();
        let below = path_and_query.trim_start_matches('/');
        // Not `join`: a first segment with a colon would count as a scheme.
        let url = Url::parse(&format!("{base}{below}"));
        url.map_err(|error| FleetError(error.to_string()))
    }

    /// The path below [`Fleet::url`] of a URL that begins with it.
    #[must_use]
    pub fn path_of(&self, url: &Url) -> String {
        let below = url.as_str().strip_prefix(self.url().as_str());
        format!("/{}", below.unwrap_or_default())
    }

    /// Sends a read of a URL below [`Fleet::url`] to the server whose turn it is.
    pub(in crate::upstream) async fn send(
        &self,
        read: FleetRead<'_>,
    ) -> Result<Response, FleetError> {
        let mut reason = "none is configured".to_owned();
        let mut second_best = None;
        let mut crowded = None;
        let order = self.order();
        for (asked, &position) in order.iter().enumerate() {
            let server = &self.servers[position];
            let Some(underway) = server.load.take() else {
                crowded.get_or_insert(position);
                continue;
            };
            if !server.load.lets_through() {
                reason = format!("{} failed repeatedly and is being left alone", server.url);
                continue;
            }
            let patience = if asked + 1 < order.len() {
                self.read_timeout.min(HEAD_TIMEOUT)
            } else {
                self.read_timeout
            };
            let response = match self.send_to(server, read, underway, patience).await {
                Ok(response) => response,
                Err(failure) => {
                    reason = failure.reason;
                    continue;
                }
            };
            if is_trouble(response.status()) {
                second_best.get_or_insert(response);
                continue;
            }
            if self.is_in_doubt(position, &response) {
                let better = self.of_primary(read).await;
                return Ok(better.unwrap_or(response));
            }
            return Ok(response);
        }
        if let Some(response) = second_best {
            return Ok(response);
        }
        match crowded {
            Some(position) => self.queue(position, read).await,
            None => Err(FleetError(reason)),
        }
    }

    /// Whether the primary may know better: a replica does not have it, or has not yet heard of what
    /// was written through here.
    fn is_in_doubt(&self, position: usize, response: &Response) -> bool {
        !self.is_primary(position)
            && (is_absence(response.status())
                || self.is_before_last_write(serial_of(response.headers())))
    }

    /// Waits for a place at a server when none is free.
    async fn queue(&self, position: usize, read: FleetRead<'_>) -> Result<Response, FleetError> {
        let server = &self.servers[position];
        let Some(underway) = server.load.wait().await else {
            let reason = "as many requests are under way as limits.devpi_requests allows";
            return Err(FleetError(reason.to_owned()));
        };
        let sent = self.send_to(server, read, underway, self.read_timeout);
        sent.await.map_err(|failure| FleetError(failure.reason))
    }

    /// The primary's answer, if it is up and not in trouble itself.
    async fn of_primary(&self, read: FleetRead<'_>) -> Option<Response> {
        let server = &self.servers[self.primary()?];
        let underway = server.load.wait().await?;
        let patience = self.read_timeout.min(HEAD_TIMEOUT);
        let sent = self.send_to(server, read, underway, patience);
        let response = sent.await.ok()?;
        (!is_trouble(response.status())).then_some(response)
    }

    /// Asks one server, waiting so long for the head of its answer, and learns from the outcome.
    async fn send_to(
        &self,
        server: &Server,
        read: FleetRead<'_>,
        underway: Underway,
        patience: Duration,
    ) -> Result<Response, Failure> {
        let url = moved(read.url, self.url(), &server.url);
        let request = self.client.request(read.method.clone(), url);
        let request = request.headers(read.headers.clone());
        let sent = match timeout(patience, request.send()).await {
            Ok(sent) => sent.map_err(failure),
            Err(_) => Err(Failure {
                reason: format!("no answer within {patience:?}"),
                result: ServerResult::Timeout,
            }),
        };
        match sent {
            Ok(mut response) => {
                self.heard(server, &response);
                response.extensions_mut().insert(underway);
                Ok(response)
            }
            Err(failure) => {
                server.load.ended(failure.result);
                self.failed(server, &failure.reason);
                Err(failure)
            }
        }
    }

    /// Learns from the head of an answer.
    pub(super) fn heard(&self, server: &Server, response: &Response) {
        let status = response.status();
        server.load.ended(if is_trouble(status) {
            ServerResult::Troubled
        } else {
            ServerResult::Answered
        });
        if is_trouble(status) && !is_devpis(response) {
            self.failed(server, status.as_str());
        } else {
            self.answered(server, response.headers());
        }
    }
}

fn failure(error: reqwest::Error) -> Failure {
    let result = if error.is_timeout() && !error.is_connect() {
        ServerResult::Timeout
    } else {
        ServerResult::Unreachable
    };
    Failure {
        reason: words::causes(error),
        result,
    }
}

impl FleetAnswer {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers, including those of the connection.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The length of its body, if stated.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the body breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FleetError> {
        let reason = match timeout(self.read_timeout, self.response.chunk()).await {
            Ok(Ok(chunk)) => return Ok(chunk),
            Ok(Err(error)) => words::causes(error),
            Err(_) => format!("no further bytes within {:?}", self.read_timeout),
        };
        Err(FleetError(reason))
    }
}

fn is_trouble(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}

fn is_absence(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// A URL below `from`, moved to below `to`.
pub(super) fn moved(url: &Url, from: &Url, to: &Url) -> Url {
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
