//! One question to an upstream: hop by hop, repeated where that may help, or not asked at all.
//!
//! Redirects are followed here and not by the HTTP client, because each hop is judged separately: whether
//! it is allowed (`hosts`) and whether the mirror's credentials go with it. They always go to the mirror's
//! own origin, including its file URLs, and never to any other.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use reqwest::Response;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::model::{IndexName, Login, UpstreamLimits};
use crate::upstream::body::Coding;
use crate::upstream::breaker::{Breaker, Outcome, Permit};
use crate::upstream::client::{Upstream, logged_in};
use crate::upstream::error::UpstreamError;
use crate::upstream::fleet::{Fleet, FleetError, FleetRead};
use crate::upstream::hosts::NotOpen;
use crate::upstream::retry::{Again, pause_before_next};
use crate::upstream::state::UpstreamState;
use crate::upstream::{retry, words};

/// Most of a refusal's body that is read for its words, in bytes.
const WORDS_BYTES_MAX: usize = 8 << 10;

/// Longest wait for the words of a refusal: without them it is a refusal all the same.
const WORDS_TIMEOUT: Duration = Duration::from_secs(2);

/// Most origins in trouble that are remembered. Pages may name any number of file hosts.
const BREAKERS_MAX: usize = 256;

/// Called when a try has failed and another one is to come.
pub type FailedOnce<'a> = dyn Fn() + Sync + 'a;

/// What to ask.
pub(super) struct Question<'a> {
    /// What is asked for.
    pub(super) url: &'a Url,
    /// With which headers.
    pub(super) headers: HeaderMap,
    /// Told of each further try.
    pub(super) failed_once: &'a FailedOnce<'a>,
}

/// The final answer to a question, and where it came from (without credentials).
pub(super) struct FinalAnswer {
    pub(super) response: Response,
    pub(super) url: Url,
}

/// An error, and whether asking again may help.
struct Failure {
    error: UpstreamError,
    again: Again,
}

impl From<UpstreamError> for Failure {
    /// Asking again does not help.
    fn from(error: UpstreamError) -> Self {
        let again = Again::Never;
        Self { error, again }
    }
}

impl Upstream {
    /// Does `work`, unless the origin of `url` is being left alone, and notes its outcome.
    pub(super) async fn guarded<T>(
        &self,
        url: &Url,
        work: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        if self.fleet.is_some() {
            // A fleet avoids its failing servers itself, and learns when they are back.
            return work.await;
        }
        let origin = url.origin().ascii_serialization();
        match self.breakers.allow(&origin, Instant::now()) {
            Permit::Send | Permit::Probe => {}
            Permit::Wait { retry_after } => {
                return Err(UpstreamError::Unavailable {
                    index: self.name.clone(),
                    reason: format!("{origin} failed repeatedly and is being left alone"),
                    status: None,
                    retry_after: Some(retry_after),
                });
            }
        }
        let result = work.await;
        let outcome = match &result {
            Ok(_) => Outcome::Answered,
            Err(error) => error.outcome(self.breakers.number_of(url)),
        };
        self.breakers.record(origin, Instant::now(), outcome);
        result
    }

    /// Asks, repeatedly where that may help, until there is a usable head: 2xx, 304, 404, 410, 416.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<FinalAnswer, UpstreamError> {
        let start = Instant::now();
        let mut tries = 0;
        loop {
            let failure = match self.follow(question).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            tries += 1;
            let next = pause_before_next(
                &self.limits,
                tries,
                start.elapsed(),
                failure.again,
                retry::draw(),
            );
            let Some(pause) = next else {
                return Err(failure.error);
            };
            (question.failed_once)();
            sleep(pause).await;
        }
    }

    /// One try: follows redirects to an answer that is not one.
    async fn follow(&self, question: &Question<'_>) -> Result<FinalAnswer, Failure> {
        let broken = |reason: String| UpstreamError::broken(&self.name, reason);
        let mut url = question.url.clone();
        for _ in 0..=self.limits.redirects {
            let credentials = self.credentials_for(&mut url);
            self.hosts.refuse(&url).map_err(broken)?;
            let checked = self.hosts.refuse_own_door(&url).await;
            checked.map_err(broken)?;
            let response = match self.fleet_for(&url) {
                Some(fleet) => {
                    let read = FleetRead {
                        method: &Method::GET,
                        url: &url,
                        headers: &question.headers,
                    };
                    let sent = fleet.send(read).await;
                    sent.map_err(|error| self.deserted(&error))?
                }
                None => {
                    let mut request = self.client.get(url.clone());
                    request = request.headers(question.headers.clone());
                    if let Some(credentials) = credentials {
                        request = logged_in(request, &credentials);
                    }
                    let sent = request.send().await;
                    sent.map_err(|error| self.unanswered(error))?
                }
            };
            let Some(next) = redirect(&response, &url) else {
                let response = self.settle(response, &url).await?;
                return Ok(FinalAnswer { response, url });
            };
            let next = next.map_err(broken)?;
            if url.scheme() == "https" && next.scheme() == "http" {
                let reason = "a redirect leads from https to plain http";
                return Err(broken(reason.to_owned()).into());
            }
            url = next;
        }
        let max = self.limits.redirects;
        Err(broken(format!("more than {max} redirects")).into())
    }

    /// The fleet, for what is below its URL; redirects by devpi to elsewhere are followed there.
    fn fleet_for(&self, url: &Url) -> Option<&Fleet> {
        let fleet = self.fleet.as_deref()?;
        let is_below = url.as_str().starts_with(fleet.url().as_str());
        is_below.then_some(fleet)
    }

    /// No server of the fleet answered.
    fn deserted(&self, error: &FleetError) -> Failure {
        let (index, reason) = (self.name.clone(), error.to_string());
        Failure {
            error: UpstreamError::Unreachable { index, reason },
            again: Again::Soon,
        }
    }

    /// The login for this URL: the one in the link itself, the mirror's own on its own origin,
    /// otherwise none. Removes the user from the URL, so that it can be shown.
    fn credentials_for(&self, url: &mut Url) -> Option<Login> {
        url.set_fragment(None);
        let inline = Login::take_from(url);
        let own = self.credentials.as_ref();
        inline.or_else(|| own.filter(|_| self.hosts.is_own_origin(url)).cloned())
    }

    /// Classifies the statuses: an answer, a refusal, or trouble.
    async fn settle(&self, response: Response, url: &Url) -> Result<Response, Failure> {
        let status = response.status();
        let is_answer = status.is_success()
            || matches!(
                status,
                StatusCode::NOT_MODIFIED
                    | StatusCode::NOT_FOUND
                    | StatusCode::GONE
                    | StatusCode::RANGE_NOT_SATISFIABLE
            );
        if is_answer {
            return Ok(response);
        }
        let retry_after = retry::retry_after(response.headers());
        let words = words_of(response).await;
        let index = self.name.clone();
        let wished = retry_after.map_or(Again::Never, Again::After);
        let again = match status.as_u16() {
            429 => wished,
            502..=504 => retry_after.map_or(Again::Soon, Again::After),
            _ => Again::Never,
        };
        let error = if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            UpstreamError::Unavailable {
                index,
                reason: format!("{} {words}", status.as_u16()),
                status: Some(status),
                retry_after,
            }
        } else if let Some(fleet) = self.fleet_for(url)
            && matches!(status.as_u16(), 401 | 403)
        {
            UpstreamError::Withheld {
                index,
                status,
                words,
                path: fleet.path_of(url),
            }
        } else if status.is_client_error() {
            UpstreamError::Refused {
                index,
                status,
                words,
            }
        } else {
            let reason = format!("an unexpected status, {}", status.as_u16());
            return Err(UpstreamError::broken(&index, reason).into());
        };
        Err(Failure { error, again })
    }

    /// The error when no head came.
    fn unanswered(&self, error: reqwest::Error) -> Failure {
        if let Some(not_open) = words::cause::<NotOpen>(&error) {
            // Not the upstream's fault, and asking again does not help.
            return UpstreamError::broken(&self.name, not_open.to_string()).into();
        }
        let index = self.name.clone();
        let is_tls = words::cause::<rustls::Error>(&error).is_some();
        let is_garbage = words::cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse);
        if error.is_timeout() && !error.is_connect() {
            let timeout = UpstreamError::Timeout {
                index,
                awaited: "answer",
                after: self.limits.upstream_read_timeout,
            };
            return timeout.into();
        }
        let (what, again) = if is_tls {
            ("no TLS", Again::Never)
        } else if is_garbage {
            ("no HTTP answer", Again::Never)
        } else if error.is_connect() {
            ("no connection", Again::Soon)
        } else {
            ("the connection was lost before an answer", Again::Soon)
        };
        let reason = format!("{what}: {}", words::causes(error));
        let error = UpstreamError::Unreachable { index, reason };
        Failure { error, again }
    }
}

/// The error when a body stopped in the middle: cut off, too slow, or not what its encoding says.
pub(super) fn interrupted(
    index: &IndexName,
    error: io::Error,
    read_timeout: Duration,
) -> UpstreamError {
    let error = match error.downcast::<reqwest::Error>() {
        Ok(error) => error,
        // All of it came, but its coding is not what it claims.
        Err(error) => {
            let reason = format!("its body cannot be unpacked: {error}");
            return UpstreamError::broken(index, reason);
        }
    };
    if error.is_timeout() {
        return UpstreamError::Timeout {
            index: index.clone(),
            awaited: "further bytes",
            after: read_timeout,
        };
    }
    let reason = format!("the answer was cut off: {}", words::causes(error));
    UpstreamError::down(index, reason)
}

/// Where a redirect leads; `None` for any other answer.
fn redirect(response: &Response, url: &Url) -> Option<Result<Url, String>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION);
    let location = location.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let Some(location) = location else {
        return Some(Err("a redirect to nowhere".to_owned()));
    };
    let next = url.join(location);
    Some(next.map_err(|error| format!("a redirect to no URL: {error}")))
}

/// Reads the words of a refusal, as far as they come soon and are short.
async fn words_of(mut response: Response) -> String {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = WORDS_BYTES_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == WORDS_BYTES_MAX {
                break;
            }
        }
    };
    // Too slow is as good as silent.
    let _ = timeout(WORDS_TIMEOUT, read).await;
    if let Ok(Coding::Gzip) = Coding::of(response.headers()) {
        let packed = std::mem::take(&mut body);
        let plain = flate2::read::MultiGzDecoder::new(&packed[..]);
        // The input was cut short, so a proper end is not expected.
        let _ = plain.take(WORDS_BYTES_MAX as u64).read_to_end(&mut body);
    }
    let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>();
    words::words_of(
        response.status(),
        response.headers(),
        phrase.map(hyper::ext::ReasonPhrase::as_bytes),
        &body,
    )
}

/// One breaker per origin, so that a dead file host does not block the pages, nor the other way round. Only
/// origins in trouble are remembered.
#[derive(Debug)]
pub(super) struct Breakers {
    closed: Breaker,
    troubled: Mutex<HashMap<String, Troubled>>,
    /// Whether anything was answered yet.
    answered: AtomicBool,
    numbers: RandomState,
}

/// An origin that has failed since it last answered.
#[derive(Debug)]
struct Troubled {
    breaker: Breaker,
    since: Instant,
}

impl Breakers {
    pub(super) fn new(limits: &UpstreamLimits) -> Self {
        Self {
            closed: Breaker::of(limits),
            troubled: Mutex::default(),
            answered: AtomicBool::new(false),
            numbers: RandomState::new(),
        }
    }

    /// A number that identifies what is asked for. Signatures in a query change from page to page.
    fn number_of(&self, url: &Url) -> u64 {
        self.numbers.hash_one(url.path())
    }

    /// How an origin is doing.
    pub(super) fn state_of(&self, origin: &str, now: Instant) -> UpstreamState {
        let troubled = self.troubled();
        let known = troubled.get(origin);
        match known.filter(|known| known.breaker.is_in_trouble()) {
            Some(known) => UpstreamState::Failing(now.duration_since(known.since)),
            None if self.answered.load(Ordering::Relaxed) => UpstreamState::Answers,
            None => UpstreamState::Unasked,
        }
    }

    fn troubled(&self) -> MutexGuard<'_, HashMap<String, Troubled>> {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allow(&self, origin: &str, now: Instant) -> Permit {
        let mut troubled = self.troubled();
        let known = troubled.get_mut(origin);
        known.map_or(Permit::Send, |known| known.breaker.allow(now))
    }

    pub(super) fn record(&self, origin: String, now: Instant, outcome: Outcome) {
        let mut troubled = self.troubled();
        if outcome == Outcome::Answered {
            self.answered.store(true, Ordering::Relaxed);
            troubled.remove(&origin);
        } else if troubled.len() < BREAKERS_MAX || troubled.contains_key(&origin) {
            let known = troubled.entry(origin).or_insert_with(|| Troubled {
                breaker: self.closed.clone(),
                since: now,
            });
            known.breaker.record(now, outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_fail_apart_and_only_the_troubled_are_remembered() {
        let limits = UpstreamLimits {
            upstream_failures: 1,
            ..UpstreamLimits::default()
        };
        let breakers = Breakers::new(&limits);
        let now = Instant::now();
        let (files, pages) = ("https://files.example", "https://upstream.example");
        breakers.record(files.to_owned(), now, Outcome::Unreachable);
        breakers.record(pages.to_owned(), now, Outcome::Answered);
        assert_ne!(breakers.allow(files, now), Permit::Send);
        assert_eq!(breakers.allow(pages, now), Permit::Send);
        breakers.record(files.to_owned(), now, Outcome::Answered);
        assert!(breakers.troubled.lock().unwrap().is_empty());
    }

    #[test]
    fn a_thing_has_one_number_however_its_url_is_signed() {
        let breakers = Breakers::new(&UpstreamLimits::default());
        let number = |text| breakers.number_of(&Url::parse(text).unwrap());
        let six = number("https://files.example/six.whl?expires=1");
        assert_eq!(six, number("https://files.example/six.whl?expires=2"));
        assert_ne!(six, number("https://files.example/six.whl.metadata"));
    }

    #[test]
    fn no_number_of_dead_hosts_fills_the_memory() {
        let breakers = Breakers::new(&UpstreamLimits::default());
        for number in 0..2 * BREAKERS_MAX {
            let host = format!("https://h{number}.example");
            breakers.record(host, Instant::now(), Outcome::Unreachable);
        }
        assert_eq!(breakers.troubled.lock().unwrap().len(), BREAKERS_MAX);
    }
}
