//! An object on its way back.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::GetResult;
use object_store::path::Path;

use crate::depot::error::{DepotError, words};

/// The bytes of an object, piece by piece. They are as the server sends them: whoever keeps or serves them
/// compares them with the key first.
pub struct Withdrawal {
    /// How many bytes the server says there are.
    pub size: u64,
    key: String,
    pieces: BoxStream<'static, object_store::Result<Bytes>>,
}

impl Withdrawal {
    pub(super) fn of(got: GetResult, path: &Path) -> Self {
        Self {
            size: got.meta.size,
            key: path.to_string(),
            pieces: got.into_stream(),
        }
    }

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

    /// All bytes of an object that is small. What the server says of its length is not relied on: memory is
    /// taken for what comes.
    ///
    /// # Errors
    /// `Unavailable` when the connection breaks, or the object is longer than that.
    pub(super) async fn whole(mut self, bytes_max: u64) -> Result<Bytes, DepotError> {
        let mut bytes = BytesMut::new();
        if self.size > bytes_max {
            return Err(self.too_long(self.size, bytes_max));
        }
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > bytes_max {
                return Err(self.too_long(bytes.len() as u64, bytes_max));
            }
        }
        Ok(bytes.freeze())
    }

    fn too_long(&self, length: u64, bytes_max: u64) -> DepotError {
        DepotError::Unavailable {
            doing: format!("read {}", self.key),
            why: format!(
                "the server says that it has {length} bytes or more, and such an object has at most \
                 {bytes_max}"
            ),
        }
    }
}

impl fmt::Debug for Withdrawal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Withdrawal({} bytes)", self.size)
    }
}
