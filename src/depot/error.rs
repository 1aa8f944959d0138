//! Depot errors, classified by what the caller does about them.

use std::error::Error;

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

/// What went wrong, as far down as it is told, on one line and not for pages.
pub(super) fn words(error: &object_store::Error) -> String {
    let text = all_words(error);
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
    all_words(error).contains(word)
}

fn all_words(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = deeper.source();
    }
    text
}
