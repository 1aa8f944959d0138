//! The flows, put together: each owns what only it changes, and is given the core and the flows that it
//! needs. Whatever affects several of them is here.

mod sweep;

use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::{Budget, Weighed};
use crate::catalog::{Mirrors, Names, Stacks, StagePages};
use crate::exchange::{Ask, CLOCK_SLACK, Context, Core, Error, Record, Reply, later};
use crate::gateway::attachment::Attachments;
use crate::gateway::decide::Tickets;
use crate::gateway::file::Files;
use crate::gateway::fill::{Fills, Wholes};
use crate::gateway::garbage::{Deposits, Garbage};
use crate::gateway::held::HeldFiles;
use crate::gateway::inquiry::Inquiries;
use crate::gateway::learn::Learning;
use crate::gateway::list::Lists;
use crate::gateway::page::{Pages, Shown};
use crate::gateway::provenance::Provenances;
use crate::gateway::quarantine::Belonging;
use crate::gateway::sidecar;
use crate::gateway::sidecar::Sidecars;
use crate::gateway::small::SmallFiles;
use crate::gateway::uploads::Uploads;
use crate::gateway::verify::Verification;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::PageForm;
use crate::telemetry::Tier;

pub use sweep::Swept;

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
    /// What came to indexes last.
    pub uploads: Uploads,
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
    /// The depot as a whole.
    pub deposits: Arc<Deposits>,
    /// Private bytes that no record needs.
    pub garbage: Garbage,
    /// Reads what is kept.
    pub verification: Verification,
    inquiries: Arc<Inquiries>,
    /// Metadata of wheels.
    pub sidecars: Arc<Sidecars>,
    stages: Arc<StagePages>,
    /// The time when the clock was last read here.
    clock_said: Mutex<Timestamp>,
}

impl Flows {
    /// Puts the flows together, from the core upwards.
    #[must_use]
    pub fn new(core: Core) -> Self {
        let core = Arc::new(core);
        let budget = Budget::split(core.settings.cache.memory);
        let names = Arc::new(Names::new(core.clone()));
        let mirrors = Arc::new(Mirrors::new(core.clone(), names.clone(), budget.sources));
        let stages = Arc::new(StagePages::new(core.clone(), budget.stages));
        let stacks = Stacks::new(core.clone(), mirrors.clone(), stages.clone(), budget.orders);
        let stacks = Arc::new(stacks);
        let pages = Arc::new(Pages::new(core.clone(), stacks.clone(), &budget));
        let (at, said) = (core.clone(), mirrors.clone());
        let tickets = Tickets::new(at, said, (stacks.clone(), stages.clone()), budget.tickets);
        let tickets = Arc::new(tickets);
        let (at, told) = (core.clone(), tickets.clone());
        let learning = Arc::new(Learning::new(
            at,
            (mirrors.clone(), stages.clone()),
            pages.clone(),
            told,
        ));
        let small = Arc::new(SmallFiles::new(core.clone(), budget.small_files));
        let held = Arc::new(HeldFiles::new(core.clone(), small.clone()));
        let fills = Arc::new(Fills::new(core.clone(), learning.clone()));
        let wholes = Arc::new(Wholes::new(core.clone(), held.clone(), fills.clone()));
        let sidecars = Arc::new(Sidecars {
            core: core.clone(),
            small: small.clone(),
            wholes: wholes.clone(),
            learning: learning.clone(),
            fetches: core.flights(),
            placed: Weighed::new(budget.placed_sidecars, sidecar::weight_bytes),
        });
        let inquiries = Arc::new(Inquiries::new(sidecars.clone(), wholes, learning));
        let attachments = Arc::new(Attachments::new(core.clone(), held.clone(), stages.clone()));
        let (garbage, belonging, deposits) = garbage_of(&core, &small);
        let provenances = Provenances::new(core.clone(), small.clone(), attachments.clone());
        let files = Files {
            core: core.clone(),
            small: small.clone(),
            held: held.clone(),
            tickets: tickets.clone(),
            fills,
            sidecars: sidecars.clone(),
            provenances: Arc::new(provenances),
            inquiries: inquiries.clone(),
            attachments: attachments.clone(),
        };
        Self {
            lists: Arc::new(Lists::new(core.clone(), names.clone())),
            uploads: Uploads::new(core.clone(), stacks.clone()),
            files: Arc::new(files),
            garbage,
            deposits,
            verification: Verification::new(core.clone(), held.clone()),
            names,
            mirrors,
            stages,
            stacks,
            pages,
            tickets,
            small,
            held,
            attachments,
            belonging,
            inquiries,
            sidecars,
            clock_said: Mutex::new(Timestamp::MIN),
            core,
        }
    }

    /// Answers a project page, after some of its files were looked into if rules ask for that.
    ///
    /// # Errors
    /// When there is no such page, or it cannot be made now.
    pub async fn project_page(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        page: (&IndexName, &ProjectName, PageForm),
        record: &mut Record,
    ) -> Result<Reply, Error> {
        let inquiries = match self.pages.show(cx, ask, page, false, record).await? {
            Shown::Reply(reply) => return Ok(reply),
            Shown::Undecided(inquiries) => inquiries,
        };
        // Apart, so that the future of every request stays small.
        let settled = async {
            self.inquiries.settle(cx, &inquiries).await;
            self.pages.show(cx, ask, page, true, record).await
        };
        match Box::pin(settled).await? {
            Shown::Reply(reply) => Ok(reply),
            Shown::Undecided(_) => Err(Error::busy("files of the page are being looked into")),
        }
    }

    /// Forgets everything that was made from what stages held of a project, in every stack above. The
    /// lists stay, unless a stage has the project more or less ([`Flows::forget_lists`]).
    pub fn forget_project(&self, project: &ProjectName) {
        self.pages.forget(project);
        self.tickets.forget(project);
    }

    /// Forgets every list: a stage has a project more or less.
    pub fn forget_lists(&self) {
        self.lists.forget();
    }

    /// Forgets everything that was made from devpi-servers' answers. Whether an answer predates a write
    /// is told by its tag (`Upstream::is_outdated`).
    pub fn devpi_changed(&self) {
        self.mirrors.forget_all();
        self.pages.forget_all();
        self.tickets.forget_all();
        self.lists.forget();
    }

    /// Forgets what is remembered if the clock was put back since the last call: all of it is valid
    /// until an instant on a clock that was ahead. What is on disk states when it was made.
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

    /// Sets the metrics of what the caches hold, and of the records.
    pub fn report_state(&self) {
        let Self { core, .. } = self;
        core.metrics.records_writable(core.records.is_writable());
        let memory = self.pages.weight_bytes()
            + self.mirrors.weight_bytes()
            + self.stages.weight_bytes()
            + self.stacks.orders.weight_bytes()
            + self.small.weight_bytes()
            + self.sidecars.weight_bytes()
            + self.tickets.weight_bytes();
        core.metrics.cache_holds(Tier::Memory, memory);
        core.metrics.files_damaged(core.store.damaged());
        let used = core.store.quota().used_bytes();
        core.metrics.cache_holds(Tier::Store, used);
    }
}

/// What may be removed, and the flows that know what may not.
fn garbage_of(
    core: &Arc<Core>,
    small: &Arc<SmallFiles>,
) -> (Garbage, Arc<Belonging>, Arc<Deposits>) {
    let belonging = Arc::new(Belonging::new(core.clone()));
    let deposits = Arc::new(Deposits::new(core.clone(), small.clone()));
    let known = (belonging.clone(), deposits.clone());
    let garbage = Garbage::new(core.clone(), small.clone(), known);
    (garbage, belonging, deposits)
}
