//! An object on its way back.

use std::fmt;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::depot::error::{DepotError, words};

/// The bytes of an object, piece by piece. They are as the server sends them: whoever keeps or serves them
/// compares them with the key first.
pub struct Withdrawal {
    /// How many bytes the server says there are.
    pub size: u64,
    pub(super) key: String,
    pub(super) pieces: BoxStream<'static, object_store::Result<Bytes>>,
}

impl Withdrawal {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Unavailable` when the connection breaks and cannot be taken up again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DepotError> {
        let next = self.pieces.next().await.transpose();
        next.map_err(|error| DepotError::Unavailable {
            doing: format!("read {}", self.key),
            why: words(&error),
        })
    }
}

impl fmt::Debug for Withdrawal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Withdrawal({} bytes)", self.size)
    }
}
