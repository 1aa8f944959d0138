//! Recalls as the command line makes them where no server can be asked: in the records.
//!
//! A server that runs on the data directory all the same looks at the recorded recalls every second.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::app::house::House;
use crate::app::open_records::{OpenRecords, expect};
use crate::app::owner::Alone;
use crate::app::recalls::JournalTells;
use crate::app::setup::Setup;
use crate::app::streams::{audit_log, metrics};
use crate::app::work::runtime;
use crate::app::{data, unless_served};
use crate::clock::Clock;
use crate::config::{Loaded, Named};
use crate::db::{Cause, Db, NewRecall, RecallMade};
use crate::gateway::Purged;
use crate::model::Recall;
use crate::telemetry::AuditLog;
use crate::writer::{
    Deliveries as _, RecallReport, back_as_json, not_recalled, recall_as_json, recall_event,
    recall_meant, record_recall,
};

/// Recalls in the records of a data directory.
#[derive(Debug)]
pub struct RecallDrawer {
    loaded: Loaded,
    work: Option<Runtime>,
    /// Held if no server runs.
    lock: Option<Alone>,
    /// Why the configuration is not in order, if so.
    faults: Option<String>,
}

impl RecallDrawer {
    /// Looks at the data directory that the configuration names, as far as that can be read: policies that
    /// are being edited must not stand in the way.
    ///
    /// # Errors
    /// A data directory in which no server was ever started, or that is not ours.
    pub fn open(setup: &Setup) -> anyhow::Result<Self> {
        let (loaded, faults) = setup.load_what_can_be(&mut Named::default());
        let faults = (!faults.0.is_empty()).then(|| faults.to_string());
        expect(&loaded.config)?;
        data::own(&loaded.config.data)?;
        Ok(Self {
            work: Some(runtime()?),
            lock: unless_served(&loaded.config)?,
            loaded,
            faults,
        })
    }

    /// Whether a server runs on the same data, which follows within a second.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.lock.is_none()
    }

    /// Recalls something; the answer is that of the management door.
    ///
    /// # Errors
    /// When the records fail: nothing is recalled then.
    pub fn recall(mut self, new: &NewRecall) -> anyhow::Result<Value> {
        let (clock, audit) = (Clock::system(), self.audit()?);
        let cause = Cause {
            who: None,
            at: clock.now(),
        };
        let tells = JournalTells::of(&self.loaded.config.data, None);
        let report = match self.house() {
            Ok(house) => {
                let core = &house.flows.core;
                let work = &house.work;
                let made = work.block_on(record_recall((core, &*house.records), &cause, new))?;
                let (recall, is_new) = told_apart(made);
                let delivered = work.block_on(tells.of(&recall.subject));
                let purged = work.block_on(house.flows.purge(&recall, &delivered.digests));
                RecallReport {
                    recall,
                    is_new,
                    generation: None,
                    delivered,
                    purged,
                }
            }
            Err(why) => {
                let (work, open) = self.records()?;
                let made = work.block_on(open.records.recall(&cause, new))?;
                let (recall, is_new) = told_apart(made);
                let delivered = work.block_on(tells.of(&recall.subject));
                let failed = vec![why];
                let purged = Purged {
                    failed,
                    ..Purged::default()
                };
                drop(open);
                RecallReport {
                    recall,
                    is_new,
                    generation: None,
                    delivered,
                    purged,
                }
            }
        };
        if report.is_new {
            audit.record(recall_event(&report.recall, "recalled", clock.now()));
            audit.stop();
        }
        Ok(report.to_json())
    }

    /// What is recalled.
    ///
    /// # Errors
    /// When the records fail.
    pub fn list(mut self) -> anyhow::Result<Value> {
        let (work, open) = self.records()?;
        let recalls = work.block_on(open.records.recalls())?;
        drop(open);
        Ok(recalls.iter().map(recall_as_json).collect())
    }

    /// Withdraws a recall; the answer is that of the management door. `None` if there is none.
    ///
    /// # Errors
    /// When the records fail, or nothing of the kind is recalled.
    pub fn undo(mut self, what: &str) -> anyhow::Result<Value> {
        let (clock, audit) = (Clock::system(), self.audit()?);
        let cause = Cause {
            who: None,
            at: clock.now(),
        };
        let (withdrawn, back) = match self.house() {
            Ok(house) => {
                let work = &house.work;
                let withdrawn = work.block_on(withdraw(&*house.records, &cause, what))?;
                let back = work.block_on(back_as_json(&house.flows, withdrawn.id));
                (withdrawn, back)
            }
            Err(why) => {
                let (work, open) = self.records()?;
                let withdrawn = work.block_on(withdraw(&*open.records, &cause, what))?;
                drop(open);
                (withdrawn, json!({ "files": 0, "failed": why }))
            }
        };
        audit.record(recall_event(&withdrawn, "no longer recalled:", clock.now()));
        audit.stop();
        Ok(json!({
            "undone": recall_as_json(&withdrawn),
            "generation": null,
            "back": back,
        }))
    }

    /// Everything below the doors, where no server has it; or why not.
    fn house(&mut self) -> Result<House, String> {
        if self.lock.is_none() {
            return Err(
                "a server runs on the same data: it sees to the bytes within a second".into(),
            );
        }
        if let Some(faults) = &self.faults {
            let words = "the bytes stay until a server starts, since the configuration has faults";
            return Err(format!("{words}: {faults}"));
        }
        let later =
            |error: &anyhow::Error| format!("the bytes stay until a server starts: {error:#}");
        let work = self.work.take().map_or_else(runtime, Ok);
        let work = work.map_err(|error| later(&error))?;
        let metrics = metrics().map_err(|error| later(&error))?;
        self.loaded.config.offline = true;
        // Mirrors without a URL need none: nobody is asked.
        let built = House::build(work, metrics, &mut self.loaded, true, &mut |_, _| Ok(()));
        built.map_err(|error| later(&error))
    }

    fn records(&mut self) -> anyhow::Result<(Runtime, OpenRecords)> {
        let work = self.work.take().map_or_else(runtime, Ok)?;
        let now = Clock::system().now();
        let open = OpenRecords::open(&work, &self.loaded.config, now, None)?;
        Ok((work, open))
    }

    /// Opened before anything is changed: what cannot be accounted for is not done.
    fn audit(&self) -> anyhow::Result<Arc<AuditLog>> {
        audit_log(&self.loaded.config, &metrics()?, None)
    }
}

fn told_apart(made: RecallMade) -> (Recall, bool) {
    match made {
        RecallMade::Made(recall) => (recall, true),
        RecallMade::Already(recall) => (recall, false),
    }
}

async fn withdraw(records: &dyn Db, cause: &Cause, what: &str) -> anyhow::Result<Recall> {
    let recalls = records.recalls().await?;
    let meant = recall_meant(&recalls, what).with_context(|| not_recalled(what))?;
    let withdrawn = records.withdraw_recall(cause, meant.id).await?;
    withdrawn.with_context(|| not_recalled(what))
}
