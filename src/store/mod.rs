//! Stand-in for the `store` room: just enough of a stored and a growing file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

/// A file that is held whole.
#[derive(Debug)]
pub struct StoredFile {
    file: File,
    length: u64,
}

impl StoredFile {
    /// Wraps an open file.
    pub fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// How far a growing file can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readable {
    /// Up to this offset for now.
    Until(u64),
    /// It is whole, this long.
    Complete(u64),
    /// It will never be whole.
    Failed(Arc<str>),
}

/// A file that is arriving.
#[derive(Debug)]
pub struct Growing {
    file: File,
    state: watch::Receiver<Readable>,
}

impl Growing {
    /// A growing file and the hand that moves it on.
    #[must_use]
    pub fn new(file: File) -> (Self, watch::Sender<Readable>) {
        let (hand, state) = watch::channel(Readable::Until(0));
        (Self { file, state }, hand)
    }

    /// The file being filled.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Waits until something beyond `offset` can be read, or nothing more will come.
    pub async fn readable(&self, offset: u64) -> Readable {
        let mut state = self.state.clone();
        let seen = state
            .wait_for(|now| !matches!(now, Readable::Until(end) if *end <= offset))
            .await;
        seen.map_or_else(
            |_| Readable::Failed("the fill ended".into()),
            |now| now.clone(),
        )
    }
}
