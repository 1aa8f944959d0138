//! What a client states in its headers.

use http::HeaderMap;

use crate::protocol::accept::{Format, NotAcceptable, negotiate};
use crate::protocol::audience::Audience;
use crate::protocol::encoding::Encoding;

/// Computed once for all requests with the same headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preferences {
    /// Who asks.
    pub audience: Audience,
    /// The compressed form of a page.
    pub encoding: Encoding,
    by_accept: Result<Format, NotAcceptable>,
}

impl Preferences {
    /// Reads `Accept`, `Accept-Encoding` and `User-Agent`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        Self {
            audience: Audience::of(headers),
            encoding: Encoding::of(headers),
            by_accept: negotiate(headers),
        }
    }

    /// The form of a simple page: that of `?format=`, or else the one that `Accept` chooses.
    ///
    /// # Errors
    /// [`NotAcceptable`] when nothing the client names is a form of a simple page.
    pub fn format(&self, query: Option<&str>) -> Result<Format, NotAcceptable> {
        match query.and_then(crate::protocol::accept::format_parameter) {
            Some(wanted) => Format::named(&wanted).ok_or(NotAcceptable),
            None => self.by_accept,
        }
    }
}
