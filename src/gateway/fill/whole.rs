//! Reads something out of a file as a whole: held on disk, or fetched for it.

use std::fs::File;
use std::sync::Arc;

use crate::exchange::{Context, Core, Error, Flow};
use crate::gateway::content::Content;
use crate::gateway::fill::Fills;
use crate::gateway::held::{About, HeldFiles};
use crate::gateway::tickets::Grant;
use crate::model::Filename;
use crate::protocol::ArchiveBounds;
use crate::store::Readable;

/// Reads something out of a file on disk, blocking, within bounds.
pub type FileReader<T, E> = fn(&File, &Filename, ArchiveBounds) -> Result<T, E>;

/// Files that are read here rather than sent.
#[derive(Debug)]
pub struct Wholes {
    core: Arc<Core>,
    held: Arc<HeldFiles>,
    fills: Arc<Fills>,
}

impl Wholes {
    pub fn new(core: Arc<Core>, held: Arc<HeldFiles>, fills: Arc<Fills>) -> Self {
        Self { core, held, fills }
    }

    /// Reads it out of a file that is here; `None` if that is not. It is read again within wider bounds if
    /// its error `is_beyond` the first.
    ///
    /// # Errors
    /// When the file is damaged, or gets no turn to be read.
    pub async fn read_held<T, E>(
        &self,
        grant: &Grant,
        read: FileReader<T, E>,
        is_beyond: fn(&E) -> bool,
    ) -> Flow<Option<Result<T, E>>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let Some(key) = grant.key() else {
            return Ok(None);
        };
        let about = About::of(grant.file.item());
        let Some(stored) = self.held.checked_file(&key, about).await? else {
            return Ok(None);
        };
        let filename = grant.file.item().filename.clone();
        let look = move |bounds| read(stored.file(), &filename, bounds);
        self.core.archives().look(look, is_beyond).await.map(Some)
    }

    /// The same, of a file that is fetched if it is not here.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn read<T, E>(
        &self,
        cx: &Context,
        grant: &Grant,
        read: FileReader<T, E>,
        is_beyond: fn(&E) -> bool,
    ) -> Flow<Result<T, E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        if let Some(found) = self.read_held(grant, read, is_beyond).await? {
            return Ok(found);
        }
        let filename = grant.file.item().filename.clone();
        let filled = self.fills.fill(cx, grant, false).await?;
        if let Some((Content::Growing(growing), _)) = filled {
            if let Readable::Failed(why) = growing.settled().await {
                let message = format!("{filename} could not be fetched: {why}");
                return Err(Error::bad_gateway(message));
            }
            let look = move |bounds| read(growing.file(), &filename, bounds);
            return self.core.archives().look(look, is_beyond).await;
        }
        let found = self.read_held(grant, read, is_beyond).await?;
        found.ok_or_else(|| Error::not_found("no such file"))
    }
}
