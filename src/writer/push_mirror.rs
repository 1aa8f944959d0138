//! The files of a mirror's release, fetched and kept as ours: what a push from a mirror starts with.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::BytesMut;
use http::StatusCode;
use serde_json::Map;

use crate::catalog::Resolution;
use crate::db::{FileFacts, FileRole};
use crate::devpi::Refusal;
use crate::exchange::{Context, Error, Patience};
use crate::gateway::{Content, Grant, decide_entry};
use crate::model::{Filename, Kind, Sha256, Version};
use crate::policy::Index;
use crate::store::{FsStore, Hold, Key, Readable, Stored};
use crate::upstream::{InvalidWheel, metadata_of_file};
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::facts::plain_facts;
use crate::writer::push::HeldRelease;
use crate::writer::push_request::PushRequest;

/// How much is copied at a time.
const PIECE_BYTES: usize = 64 << 10;

impl Writer {
    /// The release on a mirror, with every file fetched.
    pub async fn find_on_mirror(
        &self,
        caller: &Caller,
        index: &Index,
        request: &PushRequest,
    ) -> Result<Option<HeldRelease>, Refusal> {
        let cx = self.flows.core.context();
        let (stacks, project) = (&self.flows.stacks, &request.project);
        let resolved = stacks.resolve(&cx, &index.name, project, Patience::LatestPage);
        let resolved = match resolved.await? {
            Resolution::Known(resolved) => resolved,
            Resolution::Unknown => return Ok(None),
            Resolution::Refused(denial) => return Err(refused(&denial.detail())),
        };
        let version = Version::parse(&request.version);
        let (mut files, mut holds) = (Vec::new(), Vec::new());
        let merged = resolved.layers.merged();
        for entry in merged.entries() {
            if entry.file.filename.version() != version {
                continue;
            }
            let ticket = decide_entry(&cx, &resolved, &entry);
            let grant = ticket.outcome.map_err(|denial| refused(&denial.detail()))?;
            if ticket.asks_inside {
                self.confirm(&cx, &grant).await?;
            }
            let (facts, hold) = self.take_over(caller, &cx, &grant).await?;
            files.push(facts);
            holds.push(hold);
        }
        if files.is_empty() {
            return Ok(None);
        }
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), request.spelling.clone().into());
        metadata.insert("version".to_owned(), request.version.clone().into());
        let required = files.iter().find_map(|facts| facts.requires_python.clone());
        if let Some(required) = required {
            metadata.insert("requires_python".to_owned(), required.into());
        }
        Ok(Some(HeldRelease {
            spelling: request.spelling.clone(),
            version: request.version.clone(),
            metadata,
            files,
            holds,
        }))
    }

    /// Compares what is known of the inside of a file with the whole file, where rules ask for it.
    async fn confirm(&self, cx: &Context, grant: &Grant) -> Result<(), Refusal> {
        let failed = |error: Error| Refusal::api(StatusCode::BAD_GATEWAY, error.message);
        let differs = self.flows.files.confirm(cx, grant).await;
        if differs.map_err(failed)? {
            let name = &grant.file.item().filename;
            let words = format!(
                "{name} is not what was said of it; push again to learn what becomes of it"
            );
            return Err(Refusal::api(StatusCode::BAD_GATEWAY, words));
        }
        Ok(())
    }

    /// Fetches a file and keeps it as ours.
    async fn take_over(
        &self,
        caller: &Caller,
        cx: &Context,
        grant: &Grant,
    ) -> Result<(FileFacts, Hold), Refusal> {
        let content = self.flows.files.content(cx, grant).await;
        let failed = |error: Error| Refusal::api(StatusCode::BAD_GATEWAY, error.message);
        let (content, _) = content.map_err(failed)?;
        if let Content::Growing(growing) = &content
            && let Readable::Failed(why) = growing.settled().await
        {
            let words = format!("{} could not be fetched: {why}", grant.file.item().filename);
            return Err(Refusal::api(StatusCode::BAD_GATEWAY, words));
        }
        let (store, now) = (Arc::clone(&self.flows.core.store), self.now());
        let (file, caller, most) = (
            grant.file.clone(),
            caller.clone(),
            self.flows.core.settings.limits.writes.upload,
        );
        let work = move || {
            let filename = &file.item().filename;
            let stated = file.item().hashes.sha256();
            let (stored, hold) = copy(&store, &content, stated, most)?;
            let role = FileRole::ReleaseFile;
            let arrival = (&caller, now);
            let mut facts =
                plain_facts(filename.as_str(), role, stored.sha256, stored.size, arrival);
            facts.requires_python = file.item().requires_python.as_deref().map(str::to_owned);
            facts.yanked = file.item().yanked.clone();
            if let Some(time) = &file.item().upload_time {
                facts.uploaded_at = time.at;
            }
            Ok::<_, Refusal>((facts, hold))
        };
        let (mut facts, hold) = off_the_runtime(work).await?;
        if grant.file.item().filename.kind() == Kind::Wheel {
            let filename = grant.file.item().filename.clone();
            facts.metadata_sha256 = self.take_metadata_over(facts.sha256, filename).await?;
        }
        Ok((facts, hold))
    }

    /// Keeps the metadata of a wheel that was taken over; returns its digest. An old wheel without
    /// metadata is taken over as it is.
    async fn take_metadata_over(
        &self,
        wheel: Sha256,
        filename: Filename,
    ) -> Result<Option<Sha256>, Refusal> {
        let store = Arc::clone(&self.flows.core.store);
        let opened = off_the_runtime(move || Ok(store.open_file(&Key::PrivateFile(wheel))?)).await;
        let Some(held) = opened?.map(Arc::new) else {
            return Ok(None);
        };
        let look = move |bounds| metadata_of_file(held.file(), &filename, bounds);
        let archives = self.flows.core.archives();
        let looked = archives.look(look, InvalidWheel::is_beyond).await;
        let Ok(metadata) = looked? else {
            return Ok(None);
        };
        let (store, digest) = (Arc::clone(&self.flows.core.store), Sha256::of(&metadata));
        let keep = move || Ok(store.put_small(&Key::PrivateMetadata(wheel), &metadata)?);
        off_the_runtime(keep).await?;
        Ok(Some(digest))
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::internal("keep the file", error))?
}

/// Copies bytes that are here to where private files are; blocking, on a thread for that.
///
/// A copy and not a second name: a fill that has just settled may still be on its way to its place.
fn copy(
    store: &FsStore,
    content: &Content,
    stated: Option<Sha256>,
    bytes_max: u64,
) -> Result<(Stored, Hold), Refusal> {
    let runtime = tokio::runtime::Handle::current();
    let mut draft = store.upload_draft("the pushed file", bytes_max)?;
    let file = match content {
        Content::Memory(small) => {
            runtime.block_on(draft.write(small.bytes.clone()))?;
            None
        }
        Content::Stored(stored) => Some(stored.file()),
        Content::Growing(growing) => Some(growing.file()),
    };
    let mut offset = 0;
    while let Some(file) = file {
        let mut piece = BytesMut::zeroed(PIECE_BYTES);
        let read = file.read_at(&mut piece, offset);
        let read = read.map_err(|error| Refusal::internal("read the file back", error))?;
        if read == 0 {
            break;
        }
        offset += read as u64;
        piece.truncate(read);
        runtime.block_on(draft.write(piece.freeze()))?;
    }
    let digest = runtime.block_on(draft.digests())?.sha256;
    if stated.is_some_and(|stated| stated != digest) {
        let why = std::io::Error::other("its bytes in the store are damaged");
        return Err(Refusal::internal("push a file", why));
    }
    let hold = store.hold(&digest)?;
    Ok((runtime.block_on(draft.finish(Key::PrivateFile))?, hold))
}

fn refused(words: &str) -> Refusal {
    Refusal::api(StatusCode::FORBIDDEN, words)
}
