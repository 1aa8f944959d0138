//! Files on their way to the bucket: compared with their digest as they go, large ones in parts.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::{Error, MultipartUpload, ObjectStoreExt as _, PutMode, WriteMultipart};
use sha2::Digest as _;
use tokio::task::spawn_blocking;

use crate::depot::error::DepotError;
use crate::depot::key::DepotKey;
use crate::depot::objects::{Deposited, Depot};
use crate::model::Sha256;
use crate::telemetry::DepotRequest;

/// Up to this length a file is sent as a whole, and longer ones in parts at least as long. S3 wants parts
/// of 5 MiB or more.
const PART_BYTES: u64 = 8 << 20;

/// Most parts that are made: S3 takes ten thousand.
const PARTS_MAX: u64 = 9_000;

/// Parts of one file that are on their way at the same time, all in memory.
const PARTS_AT_ONCE: usize = 3;

/// A file to be sent.
#[derive(Debug, Clone)]
struct Source {
    file: Arc<File>,
    length: u64,
    digest: Sha256,
}

impl Source {
    async fn piece(&self, at: u64, length: u64) -> Result<Bytes, DepotError> {
        let file = Arc::clone(&self.file);
        let work = move || {
            let mut piece = BytesMut::zeroed(usize::try_from(length).unwrap_or(usize::MAX));
            file.read_exact_at(&mut piece, at).map(|()| piece.freeze())
        };
        let read = spawn_blocking(work).await;
        let read = read.map_err(|error| self.fault(error.to_string()))?;
        read.map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, why: String) -> DepotError {
        let what = self.digest.to_hex();
        DepotError::Source { what, why }
    }

    fn is_right(&self, found: Sha256) -> Result<(), DepotError> {
        if found == self.digest {
            return Ok(());
        }
        Err(self.fault(format!(
            "its bytes on the disk are damaged, their sha256 is {found}"
        )))
    }
}

impl Depot {
    /// Keeps a file under its digest, unless it is there: what is there is read to its end, and replaced if
    /// it is wrong. When this returns, the server has said that it has it.
    ///
    /// # Errors
    /// `Source` if the file here is not what its digest says; `Unavailable` when the depot fails.
    pub async fn put_file(
        &self,
        digest: Sha256,
        file: File,
        length: u64,
    ) -> Result<Deposited, DepotError> {
        self.be_tried().await?;
        let source = Source {
            file: Arc::new(file),
            length,
            digest,
        };
        let put = self.put_source(&source).await.map(Some);
        let put = self.health.went(DepotRequest::Put, put)?;
        Ok(put.unwrap_or(Deposited::Present))
    }

    async fn put_source(&self, source: &Source) -> Result<Deposited, DepotError> {
        if source.length > PART_BYTES {
            return match self.has_right(source.digest).await? {
                true => Ok(Deposited::Present),
                false => self.put_parts(source).await,
            };
        }
        let path = DepotKey::File(source.digest).path(&self.prefix);
        let content = source.piece(0, source.length).await?;
        source.is_right(Sha256::of(&content))?;
        let create = PutMode::Create.into();
        let put = self.objects.put_opts(&path, content.clone().into(), create);
        match put.await {
            Ok(_) => return Ok(Deposited::Created),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(self.failed(&format!("keep {path}"), error)),
        }
        if self.has_right(source.digest).await? {
            return Ok(Deposited::Present);
        }
        let put = self.objects.put(&path, content.into()).await;
        put.map_err(|error| self.failed(&format!("keep {path}"), error))?;
        Ok(Deposited::Created)
    }

    /// Whether what is there, if anything, is what its digest says: a length says nothing of that.
    async fn has_right(&self, digest: Sha256) -> Result<bool, DepotError> {
        match self.verify(digest).await {
            Err(DepotError::Wrong { key, .. }) => {
                tracing::warn!(
                    "the object {key} in the depot is replaced by the same file sent again"
                );
                Ok(false)
            }
            looked => looked,
        }
    }

    /// Until the last request nothing is there; a file that turns out to be damaged here is given up.
    async fn put_parts(&self, source: &Source) -> Result<Deposited, DepotError> {
        let path = DepotKey::File(source.digest).path(&self.prefix);
        let doing = format!("keep {path}");
        let begun = self.objects.put_multipart(&path).await;
        let begun = begun.map_err(|error| self.failed(&doing, error))?;
        let part = PART_BYTES.max(source.length.div_ceil(PARTS_MAX));
        let mut writing = writing(begun, part);
        match self.send_parts(source, part, &mut writing, &doing).await {
            Ok(()) => {
                let ended = writing.finish().await;
                ended.map_err(|error| self.failed(&doing, error))?;
                Ok(Deposited::Created)
            }
            Err(error) => {
                // What is left of it is never visible; a rule of the bucket's removes it.
                let _ = writing.abort().await;
                Err(error)
            }
        }
    }

    async fn send_parts(
        &self,
        source: &Source,
        part: u64,
        writing: &mut WriteMultipart,
        doing: &str,
    ) -> Result<(), DepotError> {
        let (mut at, mut hasher) = (0, sha2::Sha256::new());
        while at < source.length {
            let next = part.min(source.length - at);
            let piece = source.piece(at, next).await?;
            at += next;
            hasher.update(&piece);
            let ready = writing.wait_for_capacity(PARTS_AT_ONCE).await;
            ready.map_err(|error| self.failed(doing, error))?;
            writing.put(piece);
        }
        source.is_right(Sha256::from_bytes(hasher.finalize().into()))
    }
}

fn writing(begun: Box<dyn MultipartUpload>, part: u64) -> WriteMultipart {
    let part = usize::try_from(part).unwrap_or(usize::MAX);
    WriteMultipart::new_with_chunk_size(begun, part)
}
