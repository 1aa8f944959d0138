//! How a gateway is asked for a page, as installers ask.

use anyhow::bail;

use super::plain::{Answer, Request};

/// The media type of a JSON page, which is what installers ask for.
pub(crate) const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// A project's page through an index: JSON, with gzip.
pub(crate) fn page_of(index: &str, project: &str) -> Request {
    Request::new(format!("/{index}/+simple/{project}/"))
        .header("Accept", JSON)
        .header("Accept-Encoding", "gzip")
}

/// An answer that is 200.
pub(crate) fn succeed(answer: Answer) -> anyhow::Result<Answer> {
    if answer.status != 200 {
        let body = String::from_utf8_lossy(&answer.body);
        bail!("the answer is {}, not 200: {}", answer.status, body.trim());
    }
    Ok(answer)
}
