//! A feed of advisories: one body, kept in a file as it comes, asked for with conditions.

use std::io;
use std::time::Duration;

use http::{StatusCode, header};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use url::Url;

use crate::upstream::body::Coding;
use crate::upstream::client::{Upstream, text_of};
use crate::upstream::error::UpstreamError;
use crate::upstream::exchange::{FinalAnswer, Question, interrupted};
use crate::upstream::page::{ACCEPT_ANY, Validators};

/// What a feed may cost.
#[derive(Debug, Clone, Copy)]
pub struct FeedBound {
    /// Its bytes.
    pub bytes_max: u64,
    /// The whole of it, attempts included.
    pub timeout: Duration,
}

/// A source's answer about its feed.
#[derive(Debug, PartialEq)]
pub enum FeedAnswer {
    /// It is still the one that the validators identify.
    NotModified,
    /// It has been written, and this identifies it.
    Written(Validators),
}

/// Why a feed is not here.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Its source did not give it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// It cannot be written down.
    #[error("write it down: {0}")]
    Disk(#[source] io::Error),
}

impl Upstream {
    /// Asks for a feed and writes it to `file`.
    ///
    /// # Errors
    /// See [`FeedError`]; absence is one.
    pub async fn feed(
        &self,
        url: &Url,
        validators: Option<&Validators>,
        bound: FeedBound,
        file: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<FeedAnswer, FeedError> {
        let work = self.feed_untimed(url, validators, bound, file);
        let done = timeout(bound.timeout, work).await;
        done.unwrap_or_else(|_| {
            Err(FeedError::Upstream(UpstreamError::Timeout {
                index: self.name.clone(),
                awaited: "feed",
                after: bound.timeout,
            }))
        })
    }

    async fn feed_untimed(
        &self,
        url: &Url,
        validators: Option<&Validators>,
        bound: FeedBound,
        file: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<FeedAnswer, FeedError> {
        let mut headers = self.request_head(&ACCEPT_ANY, validators);
        // It is packed already.
        headers.remove(header::ACCEPT_ENCODING);
        let question = Question {
            url,
            headers,
            failed_once: &|| {},
        };
        let FinalAnswer { mut response, .. } = self.ask(&question).await?;
        let broken = |reason: String| UpstreamError::broken(&self.name, reason);
        match response.status() {
            StatusCode::NOT_MODIFIED if validators.is_some() => return Ok(FeedAnswer::NotModified),
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {}
            other => return Err(broken(format!("status {} for a feed", other.as_u16())).into()),
        }
        if Coding::of(response.headers()) != Ok(Coding::Plain) {
            return Err(broken("it is packed, which was not asked for".to_owned()).into());
        }
        let read_timeout = self.limits.upstream_read_timeout;
        let (stated, mut written) = (response.content_length(), 0_u64);
        let most = bound.bytes_max;
        let too_long = || broken(format!("longer than {most} bytes, see limits.feed"));
        if stated.is_some_and(|length| length > most) {
            return Err(too_long().into());
        }
        loop {
            let chunk = response.chunk().await.map_err(io::Error::other);
            let chunk = chunk.map_err(|error| interrupted(&self.name, error, read_timeout))?;
            let Some(chunk) = chunk else { break };
            written += chunk.len() as u64;
            if written > most {
                return Err(too_long().into());
            }
            file.write_all(&chunk).await.map_err(FeedError::Disk)?;
        }
        file.flush().await.map_err(FeedError::Disk)?;
        Ok(FeedAnswer::Written(Validators {
            etag: text_of(response.headers(), header::ETAG),
            last_modified: text_of(response.headers(), header::LAST_MODIFIED),
        }))
    }
}
