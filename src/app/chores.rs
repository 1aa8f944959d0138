//! What has to be done now and then, off every request's path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::account::Accounts;
use crate::db::Db;
use crate::gateway::{Flows, Generations, VerifiedRound};
use crate::listen::Stop;
use crate::store::FsStore;

/// How often last accesses are written: an eviction may be off by this much.
const EVERY: Duration = Duration::from_secs(30);

/// Time from the beginning of one complete reading to the beginning of the next: what fits into the
/// disk's cache would otherwise be read without end.
const VERIFY_EVERY: Duration = Duration::from_hours(24);

/// Time between two attempts to write while the records cannot be written.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// However often what nobody needs is looked for, others get a turn between.
const COLLECT_EVERY_MIN: Duration = Duration::from_millis(10);

/// What the rounds are about.
pub(super) struct Rounds {
    pub(super) flows: Arc<Flows>,
    pub(super) store: Arc<FsStore>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) records: Arc<dyn Db>,
    /// Bytes of the disk that mirror files must leave free.
    pub(super) disk_reserve: u64,
}

impl Rounds {
    /// Counts the store once, then does the rounds until the server stops.
    pub(super) async fn run(self, stop: Stop) {
        scan(&self.store).await;
        loop {
            self.flows.heed_clock();
            tokio::select! {
                () = tokio::time::sleep(EVERY) => self.round().await,
                () = self.wait_for_room() => {}
                () = stop.requested() => break,
            }
        }
        self.round().await;
    }

    /// Makes room for records that cannot be written soon, if room is what they lack.
    async fn wait_for_room(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if !self.records.is_writable() {
                self.keep_free().await;
            }
        }
    }

    async fn keep_free(&self) {
        let (quota, bytes) = (Arc::clone(self.store.quota()), self.disk_reserve);
        match spawn_blocking(move || quota.keep_free(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "no room can be made on the disk"),
            Err(error) => tracing::error!(%error, "making room on the disk broke off"),
        }
    }

    async fn round(&self) {
        self.keep_free().await;
        round(&self.store, &self.accounts).await;
    }
}

/// Tries now and then whether the records can be written, and more often while they cannot, so that
/// `/readyz` notices a full disk, and its recovery, before a client does.
pub(super) async fn watch_records(records: Arc<dyn Db>, stop: Stop) {
    let mut since_tried = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = stop.requested() => return,
        }
        since_tried += LOOK_AGAIN;
        if !records.is_writable() || since_tried >= EVERY {
            // The outcome is noted, and logged when it changes.
            let _ = records.try_to_write().await;
            since_tried = Duration::ZERO;
        }
    }
}

/// Asks now and then whether the depot answers, and more often while it does not, so that `/readyz` notices
/// before a client does; and sends to it what is only here: once after the start, and after each time that
/// it was away.
pub(super) async fn watch_depot(flows: Arc<Flows>, stop: Stop) {
    let Some(depot) = flows.core.depot.clone() else {
        return;
    };
    let (mut since_asked, mut is_behind) = (EVERY, true);
    loop {
        if depot.trouble().is_some() || since_asked >= EVERY {
            since_asked = Duration::ZERO;
            // The outcome is noted, and logged when it changes.
            is_behind |= depot.look().await.is_err();
            if is_behind && depot.trouble().is_none() {
                is_behind = !catch_up(&flows).await;
            }
            flows.deposits.note_serial().await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => since_asked += LOOK_AGAIN,
            () = stop.requested() => break,
        }
    }
    flows.deposits.note_serial().await;
}

/// Sends what is only here to the depot, if that is ours; returns whether all of it went.
async fn catch_up(flows: &Flows) -> bool {
    if let Err(error) = flows.deposits.compare_records().await {
        tracing::error!(%error, "nothing is sent to the depot");
        return false;
    }
    match flows.deposits.send_waiting().await {
        Ok(0) => true,
        Ok(sent) => {
            tracing::info!(files = sent, "what was only here is in the depot");
            true
        }
        Err(error) => {
            tracing::error!(%error, "what is only here is not in the depot yet");
            false
        }
    }
}

/// Collects what the last process left behind, and from then on what was removed meanwhile, once it is
/// as old as the time between two rounds.
pub(super) async fn collect(flows: Arc<Flows>, (age, every): (Duration, Duration), stop: Stop) {
    let every = every.max(COLLECT_EVERY_MIN);
    loop {
        match flows.garbage.collect(age).await {
            Ok(collected) if collected.files > 0 => tracing::info!(
                files = collected.files,
                bytes = collected.bytes,
                "private bytes that no record needs collected"
            ),
            Ok(collected) if collected.held > 0 => tracing::debug!(
                files = collected.held,
                "private files that no record needs are too young to go, or held"
            ),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "private bytes cannot be collected"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.requested() => break,
        }
    }
    flows.belonging.note_serial().await;
}

/// Reads everything that is kept again, at `pace` bytes a second and at most once a day; does nothing at
/// a pace of zero.
pub(super) async fn verify(flows: Arc<Flows>, pace: u64, stop: Stop) {
    if pace == 0 {
        return;
    }
    loop {
        let next = Instant::now() + VERIFY_EVERY;
        tokio::select! {
            round = flows.verification.verify_kept(pace) => match round {
                Ok(VerifiedRound { files, bytes, damaged }) => {
                    tracing::info!(files, bytes, damaged, "everything that is kept was read again");
                }
                Err(error) => tracing::error!(%error, "what is kept cannot be read again"),
            },
            () = stop.requested() => return,
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.requested() => return,
        }
    }
}

/// Puts in force what another process recalls in the same records, and removes the bytes of everything that
/// is recalled: once after the start, since the last process may have ended before it had, and once a
/// moment after each recall, for what was arriving.
pub(super) async fn follow_recalls(flows: Arc<Flows>, generations: Arc<Generations>, stop: Stop) {
    let mut purged: HashMap<u64, bool> = HashMap::new();
    let mut is_failing = false;
    loop {
        let followed = generations.follow_recalls().await;
        if let Err(error) = &followed
            && !is_failing
        {
            tracing::error!(%error, "recalls cannot be read: those in force stay");
        }
        is_failing = followed.is_err();
        let generation = flows.core.generation();
        let recalls = generation.policies.recalls().all();
        for recall in recalls.iter().filter(|one| !purged.contains_key(&one.id)) {
            for failed in flows.purge(recall, &[]).await.failed {
                tracing::error!("bytes of {} may remain: {failed}", recall.name());
            }
        }
        let is_over = |id: &u64| !recalls.iter().any(|one| one.id == *id);
        for (id, _) in purged
            .iter()
            .filter(|(id, is_kept)| **is_kept && is_over(id))
        {
            if let Err(error) = flows.bring_back(*id).await {
                tracing::error!(error, "what was set aside for recall/{id} is not back");
            }
        }
        purged = recalls.iter().map(|one| (one.id, one.is_kept)).collect();
        drop(generation);
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = stop.requested() => return,
        }
    }
}

async fn scan(store: &Arc<FsStore>) {
    let quota = Arc::clone(store.quota());
    match spawn_blocking(move || quota.scan()).await {
        Ok(Ok(usage)) => tracing::info!(
            files = usage.files,
            bytes = usage.bytes,
            "mirror files held"
        ),
        Ok(Err(error)) => tracing::error!(%error, "the store cannot be counted"),
        Err(error) => tracing::error!(%error, "counting the store broke off"),
    }
}

async fn round(store: &Arc<FsStore>, accounts: &Accounts) {
    if let Err(error) = accounts.note_token_uses().await {
        tracing::warn!(%error, "when CI tokens were used is not noted");
    }
    let quota = Arc::clone(store.quota());
    let work = move || {
        quota.write_touches();
        if quota.is_exceeded() {
            quota.evict().map(Some)
        } else {
            Ok(None)
        }
    };
    match spawn_blocking(work).await {
        Ok(Ok(Some(evicted))) => {
            tracing::info!(files = evicted.files, bytes = evicted.bytes, "evicted")
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::error!(%error, "eviction failed"),
        Err(error) => tracing::error!(%error, "eviction broke off"),
    }
}
