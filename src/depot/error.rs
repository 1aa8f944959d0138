//! Depot errors, classified by what the caller does about them.

use std::error::Error;

use crate::depot::answers::Redirected;

/// The longest words of a server's that are repeated.
const WORDS_MAX: usize = 400;

/// A failed request to the depot.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// It cannot be reached, or does not do what it should: it may again in a moment.
    #[error("the depot is not available to {doing}: {why}")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// What it, or the network, answered.
        why: String,
    },
    /// It is no place for uploaded bytes, and will not be one in a moment either.
    #[error("the depot ({place}) cannot be used: {why}")]
    Unfit {
        /// Which.
        place: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// An object is not what its key says.
    #[error("the object {key} in the depot is not what its key says: {why}")]
    Wrong {
        /// Which.
        key: String,
        /// What it is.
        why: String,
    },
    /// The bytes to be sent cannot be read here, or are not what they should be.
    #[error("{what} cannot be sent to the depot: {why}")]
    Source {
        /// Which.
        what: String,
        /// What the disk says of them.
        why: String,
    },
}

/// What `object_store` says before an answer's status.
const BEFORE_STATUS: &str = "Server returned non-2xx status code: ";

/// What went wrong, on one line: the causes that none above them repeats, which leaves out the request and
/// how often it was tried.
pub(super) fn words(error: &object_store::Error) -> String {
    let told: Vec<String> = causes(error).map(ToString::to_string).collect();
    let says_more = |(at, text): (usize, &String)| {
        let below = told.get(at + 1);
        below.is_none_or(|below| !text.contains(below.as_str()))
    };
    let told = told.iter().enumerate().filter(|one| says_more(*one));
    let told: Vec<&str> = told
        .map(|(_, text)| text.strip_prefix(BEFORE_STATUS).unwrap_or(text))
        .collect();
    let text = told.join(": ");
    let line: Vec<&str> = text.split_whitespace().collect();
    let mut line = line.join(" ");
    if let Some((end, _)) = line.char_indices().nth(WORDS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Whether a server has said this, anywhere.
pub(super) fn says(error: &object_store::Error, word: &str) -> bool {
    causes(error).any(|cause| cause.to_string().contains(word))
}

/// Where a server sends requests on to, if it does.
pub(super) fn redirected(error: &object_store::Error) -> Option<&Redirected> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'a>(error: &'a object_store::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let first: &'a (dyn Error + 'static) = error;
    std::iter::successors(Some(first), |cause| {
        let cause: &'a (dyn Error + 'static) = *cause;
        cause.source()
    })
}
