//! The flows, put together: each owns what only it changes, and is given the core and the flows that it
//! needs. What reaches several of them at one time is here.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::Budget;
use crate::gateway::attachment::Attachments;
use crate::gateway::core::{Core, Parts};
use crate::gateway::decide::Tickets;
use crate::gateway::file::{FileSources, Files};
use crate::gateway::fill::Fills;
use crate::gateway::garbage::Garbage;
use crate::gateway::held::HeldFiles;
use crate::gateway::learn::Learning;
use crate::gateway::list::Lists;
use crate::gateway::names::Names;
use crate::gateway::page::Pages;
use crate::gateway::page_copies::PageCopies;
use crate::gateway::patience::{CLOCK_SLACK, later};
use crate::gateway::quarantine::Belonging;
use crate::gateway::refresh::Refreshes;
use crate::gateway::resolve::Stacks;
use crate::gateway::sidecar::Sidecars;
use crate::gateway::small::SmallFiles;
use crate::gateway::source::Mirrors;
use crate::gateway::verify::Verification;
use crate::model::{ProjectName, Timestamp};
use crate::telemetry::Tier;

/// Everything that answers, for the rooms above.
#[derive(Debug)]
pub struct Flows {
    /// Clock, generation, settings, store, records, metrics.
    pub core: Arc<Core>,
    /// What upstreams list.
    pub names: Arc<Names>,
    /// What mirrors say of projects.
    pub mirrors: Arc<Mirrors>,
    /// What stacks say of projects.
    pub stacks: Arc<Stacks>,
    /// Project pages.
    pub pages: Arc<Pages>,
    /// Project lists.
    pub lists: Arc<Lists>,
    /// Decisions about files.
    pub tickets: Arc<Tickets>,
    /// Small files in memory.
    pub small: Arc<SmallFiles>,
    /// Files on disk.
    pub held: Arc<HeldFiles>,
    /// Files and sidecars.
    pub files: Arc<Files>,
    /// Test results and documentation.
    pub attachments: Arc<Attachments>,
    /// Whether records and private files belong together.
    pub belonging: Arc<Belonging>,
    /// Private bytes that nothing needs.
    pub garbage: Garbage,
    /// Reads what is kept.
    pub verification: Verification,
    sidecars: Arc<Sidecars>,
    /// What the clock said when it was last looked at.
    clock_said: Mutex<Timestamp>,
}

impl Flows {
    /// Puts the flows together, from the core upwards.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let core = Arc::new(Core::new(parts));
        let of_core = || Arc::clone(&core);
        let budget = Budget::split(core.settings.memory_bytes_max);
        let names = Arc::new(Names::new(of_core()));
        let copies = Arc::new(PageCopies::new(of_core()));
        let refreshes = Refreshes::new(of_core(), names.clone(), copies.clone());
        let mirrors = Arc::new(Mirrors::new(
            of_core(),
            copies.clone(),
            refreshes,
            budget.sources,
        ));
        let stacks = Arc::new(Stacks::new(of_core(), mirrors.clone()));
        let pages = Arc::new(Pages::new(of_core(), stacks.clone(), budget.rendered));
        let lists = Arc::new(Lists::new(of_core(), names.clone()));
        let tickets = Arc::new(Tickets::new(
            of_core(),
            mirrors.clone(),
            stacks.clone(),
            budget.tickets,
        ));
        let learning = Learning::new(copies, mirrors.clone(), pages.clone(), tickets.clone());
        let learning = Arc::new(learning);
        let small = Arc::new(SmallFiles::new(of_core(), budget.small_files));
        let held = Arc::new(HeldFiles::new(of_core(), small.clone()));
        let fills = Arc::new(Fills::new(of_core(), learning.clone()));
        let sidecars = Arc::new(Sidecars::new(
            of_core(),
            (small.clone(), held.clone()),
            fills.clone(),
            learning,
            budget.placed_sidecars,
        ));
        let attachments = Arc::new(Attachments::new(of_core(), held.clone()));
        let sources = FileSources {
            small: small.clone(),
            held: held.clone(),
            tickets: tickets.clone(),
            fills,
            sidecars: sidecars.clone(),
            attachments: attachments.clone(),
        };
        let belonging = Arc::new(Belonging::new(of_core()));
        Self {
            files: Arc::new(Files::new(of_core(), sources)),
            garbage: Garbage::new(of_core(), small.clone(), belonging.clone()),
            verification: Verification::new(of_core(), held.clone()),
            names,
            mirrors,
            stacks,
            pages,
            lists,
            tickets,
            small,
            held,
            attachments,
            belonging,
            sidecars,
            clock_said: Mutex::new(Timestamp::MIN),
            core,
        }
    }

    /// Forgets everything that was made from what stages held of a project, in every stack above.
    pub fn forget_project(&self, project: &ProjectName) {
        self.pages.forget(project);
        self.tickets.forget(project);
        self.lists.forget();
    }

    /// Forgets everything that was made from what devpi-servers said. That they said it before a write
    /// is seen by its tag (`Upstream::is_outdated`).
    pub fn devpi_changed(&self) {
        self.mirrors.forget_all();
        self.pages.forget_all();
        self.tickets.forget_all();
        self.lists.forget();
    }

    /// Forgets what is remembered when the clock was put back since the last call: all of it says until
    /// when it holds, by a clock that was ahead. What is on disk says when it was made.
    pub fn heed_clock(&self) {
        let now = self.core.clock.now();
        let mut said = self
            .clock_said
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *said, now);
        drop(said);
        if before <= later(now, CLOCK_SLACK) {
            return;
        }
        tracing::warn!(%before, %now, "the clock was put back: what was remembered is asked for again");
        self.mirrors.forget_all();
        self.names.forget_all();
        self.lists.forget();
        self.tickets.forget_all();
        self.pages.forget_all();
    }

    /// States what the caches hold, and how the records are.
    pub fn report_state(&self) {
        let Self { core, .. } = self;
        core.metrics.records_writable(core.records.is_writable());
        let memory = self.pages.weight_bytes()
            + self.mirrors.weight_bytes()
            + self.small.weight_bytes()
            + self.sidecars.weight_bytes()
            + self.tickets.weight_bytes();
        core.metrics.cache_holds(Tier::Memory, memory);
        core.metrics.files_damaged(core.store.damaged());
        let used = core.store.quota().used_bytes();
        core.metrics.cache_holds(Tier::Store, used);
    }
}
