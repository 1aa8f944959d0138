//! One attempt to post a batch.
//!
//! Nothing is followed: what is signed for one receiver is not sent to another. Nothing of the answer but its
//! status is read.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response};
use url::Url;

use crate::model::{Timestamp, Webhook, is_localhost};
use crate::notify::signature::signature;
use crate::notify::waiting::Batch;

/// The name of this gateway in its posts.
const USER_AGENT: &str = concat!("cheesecloth/", env!("CARGO_PKG_VERSION"));

/// How an attempt went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// It was taken.
    Delivered,
    /// It may be taken later; after this time, if the receiver said so.
    Failed {
        why: String,
        after: Option<Duration>,
    },
    /// This batch will never be taken.
    Refused(StatusCode),
}

/// The client for a webhook.
pub(super) fn client(webhook: &Webhook, timeout: Duration) -> reqwest::Result<Client> {
    let client = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .timeout(timeout);
    match is_here(&webhook.url) {
        // No proxy reaches this machine for us.
        true => client.no_proxy().build(),
        false => client.build(),
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => is_localhost(name),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Posts a batch; each attempt is signed with its own time.
pub(super) async fn post(
    client: &Client,
    webhook: &Webhook,
    batch: &Batch,
    now: Timestamp,
) -> Posted {
    let body = serde_json::to_vec(batch).expect("plain fields serialise");
    let second = now.as_second();
    let signed = signature(&webhook.secret, &batch.id, second, &body);
    let request = client
        .post(webhook.url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &batch.id)
        .header("webhook-timestamp", second)
        .header("webhook-signature", signed)
        .body(body);
    match request.send().await {
        Ok(response) => judged(&response),
        Err(error) => Posted::Failed {
            why: causes(error),
            after: None,
        },
    }
}

fn judged(response: &Response) -> Posted {
    let status = response.status();
    let failed = |why: String| Posted::Failed {
        why,
        after: retry_after(response),
    };
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            failed(format!("status {}", status.as_u16()))
        }
        status if status.is_success() => Posted::Delivered,
        status if status.is_redirection() => {
            let words = "which is not followed: name the webhook's final url";
            failed(format!("status {}, {words}", status.as_u16()))
        }
        status if status.is_client_error() => Posted::Refused(status),
        status => failed(format!("status {}", status.as_u16())),
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let after = response.headers().get(RETRY_AFTER)?;
    after.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// An error and what caused it, without the URL, in which a secret may be.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}
