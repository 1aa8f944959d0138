//! Looks into files for what rules need and no index states: licences, startup files
//! (docs/adr/0052-what-stands-inside-a-file.md).
//!
//! What was found is kept with the other learned facts, by the file's digest, and is not looked for again.
//! A page has some of its files looked into, the newest first, and waits for them only so long; a file that
//! is asked for is looked into before it is decided on. What cannot be found out now stays unknown, and a
//! rule that needs it refuses.
//!
//! What an upstream sends in pieces, or beside a file, need not be what is in the file. So where a rule asks for
//! what stands inside, the file is not sent before it is here as a whole and was looked into again (`confirm`).

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use url::Url;

use crate::cache::{Flights, Weighed};
use crate::exchange::{Context, Core, Error, Flow, upstream_error};
use crate::gateway::fill::Wholes;
use crate::gateway::learn::{Fact, Learning};
use crate::gateway::sidecar::Sidecars;
use crate::gateway::tickets::{Grant, Inquiry};
use crate::model::{
    Filename, IndexName, Inside, Kind, License, LicenseExpression, ProjectName, Sha256,
    StartupFiles,
};
use crate::page::has_sidecar;
use crate::policy::Needs;
use crate::protocol::{ArchiveFault, CoreMetadataFields};
use crate::telemetry::UpstreamResult;
use crate::upstream::{InvalidWheel, WheelAnswer, core_metadata_of_file, startup_files_of_file};

/// Files that are looked into side by side: more would not be sooner, and upstreams notice.
const AT_ONCE: usize = 8;

/// Files whose inside was confirmed: some 30 MB of memory. One that is forgotten is read again, from the disk.
const CONFIRMED_MAX: u64 = 100_000;

/// Looks into files.
#[derive(Debug)]
pub struct Inquiries {
    core: Arc<Core>,
    sidecars: Arc<Sidecars>,
    wholes: Arc<Wholes>,
    learning: Arc<Learning>,
    running: Flights<(IndexName, Filename, Sha256, Needs), Flow<()>>,
    /// What was read out of whole files; gone after a restart.
    confirmed: Weighed<(Filename, Sha256, Needs), Inside>,
    confirming: Flights<(IndexName, Filename, Sha256, Needs), Flow<Inside>>,
}

impl Inquiries {
    pub fn new(sidecars: Arc<Sidecars>, wholes: Arc<Wholes>, learning: Arc<Learning>) -> Self {
        let core = Arc::clone(&sidecars.core);
        Self {
            running: core.flights(),
            confirmed: Weighed::new(CONFIRMED_MAX, |_, _| 1),
            confirming: core.flights(),
            core,
            sidecars,
            wholes,
            learning,
        }
    }

    /// Looks into files, and waits for that only so long; what takes longer goes on.
    pub async fn settle(self: &Arc<Self>, cx: &Context, inquiries: &[Inquiry]) {
        let asked = stream::iter(inquiries.to_vec()).map(|inquiry| {
            let (inquiries, cx) = (Arc::clone(self), cx.clone());
            async move { inquiries.settle_one(&cx, &inquiry).await }
        });
        let all = asked.buffer_unordered(AT_ONCE).for_each(|()| async {});
        let wait = self.core.settings.limits.work.inquiry_wait;
        if tokio::time::timeout(wait, all).await.is_err() {
            let first = inquiries.first();
            let project = first.map(|one| one.grant.file.item().filename.project().as_str());
            tracing::warn!(
                project,
                "looking into files takes long, the page goes out without"
            );
        }
    }

    /// Looks into a file.
    pub async fn settle_one(self: &Arc<Self>, cx: &Context, inquiry: &Inquiry) {
        let filename = inquiry.grant.file.item().filename.clone();
        let owner = inquiry.grant.owner.clone();
        let key = (owner, filename, inquiry.sha256, inquiry.needs);
        let (inquiries, own_cx, own) = (Arc::clone(self), cx.clone(), inquiry.clone());
        let joined = self.running.join(key, move || async move {
            let found = inquiries.look_into(&own_cx, &own).await?;
            let fact = Fact::Inside(own.sha256, found);
            let learning = Arc::clone(&inquiries.learning);
            let work = move || learning.learn(&own.grant, fact);
            let _ = tokio::task::spawn_blocking(work).await;
            Ok(())
        });
        let file = &inquiry.grant.file.item().filename;
        match joined.await.map(|joined| joined.value) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%file, %error, "what stands inside is not known yet"),
            Err(busy) => tracing::warn!(%file, %busy, "what stands inside is not known yet"),
        }
    }

    /// Compares what is known of the inside of a mirror's file with the file as a whole, which is fetched if it
    /// is not here; whether something else stands in it, which is then what is known.
    ///
    /// # Errors
    /// When the file cannot be had, or not be read.
    pub async fn confirm(self: &Arc<Self>, cx: &Context, grant: &Grant) -> Flow<bool> {
        let file = grant.file.item();
        let needs = Needs::known_of(&file.inside);
        let Some(sha256) = file.hashes.sha256() else {
            return Ok(false);
        };
        if grant.is_private || needs.is_empty() {
            return Ok(false);
        }
        let found = self.in_whole(cx, grant, sha256, needs).await?;
        if found == file.inside {
            return Ok(false);
        }
        let name = &file.filename;
        tracing::warn!(file = %name, index = %grant.owner, "something else stands inside than was said of it");
        let (learning, own) = (Arc::clone(&self.learning), grant.clone());
        let work = move || learning.learn(&own, Fact::Inside(sha256, found));
        let learned = tokio::task::spawn_blocking(work).await;
        learned.map_err(|error| Error::internal("note what stands inside", error))?;
        Ok(true)
    }

    /// What stands in the whole file, read once. Other mirrors and other file names may have the same bytes and
    /// be told something else of them: so each compares what it was told, and none takes another's word.
    async fn in_whole(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
        sha256: Sha256,
        needs: Needs,
    ) -> Flow<Inside> {
        let filename = grant.file.item().filename.clone();
        let confirmed = (filename.clone(), sha256, needs);
        if let Some(found) = self.confirmed.get(&confirmed) {
            return Ok(found);
        }
        let (inquiries, own_cx, own) = (Arc::clone(self), cx.clone(), grant.clone());
        let key = (grant.owner.clone(), filename, sha256, needs);
        let joined = self.confirming.join(key, move || async move {
            let found = inquiries.read_whole(&own_cx, &own, needs).await?;
            inquiries.confirmed.insert(confirmed, found.clone());
            Ok(found)
        });
        match joined.await {
            Ok(joined) => joined.value,
            Err(busy) => Err(Error::busy(busy)),
        }
    }

    /// What stands in the whole file, of what is needed.
    async fn read_whole(&self, cx: &Context, grant: &Grant, needs: Needs) -> Flow<Inside> {
        let mut found = Inside::default();
        if needs.license {
            found.license = self.license_of_whole(cx, grant).await?;
        }
        if needs.startup_files {
            let read = self
                .wholes
                .read(cx, grant, startup_files_of_file, InvalidWheel::is_beyond);
            found.startup_files = startup_files_in(read.await?)?;
        }
        Ok(found)
    }

    async fn look_into(&self, cx: &Context, inquiry: &Inquiry) -> Flow<Inside> {
        let Inquiry { grant, needs, .. } = inquiry;
        let mut found = Inside::default();
        if needs.license {
            found.license = self.license(cx, grant).await?;
        }
        if needs.startup_files {
            found.startup_files = self.startup_files(cx, grant).await?;
        }
        Ok(found)
    }

    async fn license(&self, cx: &Context, grant: &Grant) -> Flow<License> {
        let file = grant.file.item();
        let project = file.filename.project();
        if has_sidecar(file) {
            let (found, _) = self.sidecars.metadata(cx, grant).await?;
            let found = found.map(|small| license_in(&small.bytes, project));
            return Ok(found.unwrap_or(License::Unknown));
        }
        if file.filename.kind() == Kind::Wheel {
            // It has none that could be served.
            return Ok(License::Unknown);
        }
        self.license_of_whole(cx, grant).await
    }

    /// The licence in the metadata of the file itself.
    async fn license_of_whole(&self, cx: &Context, grant: &Grant) -> Flow<License> {
        let project = grant.file.item().filename.project();
        let read = self
            .wholes
            .read(cx, grant, core_metadata_of_file, is_beyond_bounds);
        match read.await? {
            Ok(found) => Ok(found.map_or(License::Unknown, |found| license_in(&found, project))),
            Err(ArchiveFault::Io(error)) => Err(Error::internal("read a file", error)),
            Err(_) => Ok(License::Unknown),
        }
    }

    async fn startup_files(&self, cx: &Context, grant: &Grant) -> Flow<StartupFiles> {
        let held = self
            .wholes
            .read_held(grant, startup_files_of_file, InvalidWheel::is_beyond);
        let found = match held.await? {
            Some(found) => found,
            None => self.startup_files_upstream(cx, grant).await?,
        };
        startup_files_in(found)
    }

    /// From the directory at the wheel's end, or if it cannot be had alone, from the whole wheel.
    async fn startup_files_upstream(
        &self,
        cx: &Context,
        grant: &Grant,
    ) -> Flow<Result<bool, InvalidWheel>> {
        let file = grant.file.item();
        let upstream = cx.generation.upstreams.get(&grant.owner);
        let url = file.url.as_deref().and_then(|url| Url::parse(url).ok());
        let (Some(upstream), Some(url)) = (upstream, url) else {
            let message = format!("{} cannot be asked for {}", grant.owner, file.filename);
            return Err(Error::bad_gateway(message));
        };
        if self.core.settings.offline {
            return Err(self.core.not_asked(&file.filename));
        }
        let counts_as = |answer: &WheelAnswer<bool>| match answer {
            WheelAnswer::Found(_) | WheelAnswer::NeedWhole => UpstreamResult::Fetched,
            WheelAnswer::NotFound => UpstreamResult::Absent,
            WheelAnswer::Invalid(_) => UpstreamResult::Invalid,
        };
        let asked = upstream.wheel_startup_files(&url, &file.filename);
        let answer = self.core.ask_upstream(&grant.owner, counts_as, asked).await;
        match answer.map_err(upstream_error)? {
            WheelAnswer::Found(found) => Ok(Ok(found)),
            WheelAnswer::Invalid(error) => Ok(Err(error)),
            WheelAnswer::NotFound => Err(Error::not_found(format!("error 404 getting {url}"))),
            WheelAnswer::NeedWhole => {
                let read =
                    self.wholes
                        .read(cx, grant, startup_files_of_file, InvalidWheel::is_beyond);
                read.await
            }
        }
    }
}

fn startup_files_in(found: Result<bool, InvalidWheel>) -> Flow<StartupFiles> {
    match found {
        Ok(true) => Ok(StartupFiles::Present),
        Ok(false) => Ok(StartupFiles::Absent),
        Err(InvalidWheel::Io(why)) => {
            Err(Error::internal("read a wheel", std::io::Error::other(why)))
        }
        Err(
            InvalidWheel::Archive(_)
            | InvalidWheel::Layout(_)
            | InvalidWheel::Project { .. }
            | InvalidWheel::TooLarge(_),
        ) => Ok(StartupFiles::Unreadable),
    }
}

/// What core metadata says of the licence; that of another project says nothing.
fn license_in(metadata: &[u8], project: &ProjectName) -> License {
    let fields = CoreMetadataFields::parse(metadata).ok();
    let is_of = |fields: &CoreMetadataFields| {
        ProjectName::parse(&fields.name).is_ok_and(|name| name == *project)
    };
    let stated = fields
        .filter(is_of)
        .and_then(|fields| fields.license_expression);
    let read = stated.and_then(|stated| LicenseExpression::parse(&stated).ok());
    read.map_or(License::Unknown, |read| License::Stated(Arc::new(read)))
}

fn is_beyond_bounds(fault: &ArchiveFault) -> bool {
    matches!(
        fault,
        ArchiveFault::Directory(_) | ArchiveFault::Metadata(_)
    )
}
