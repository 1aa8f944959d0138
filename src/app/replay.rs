//! `diff`: the journal, lock files and what is held, through two configurations.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::app::house::House;
use crate::app::setup::Setup;
use crate::app::streams::metrics;
use crate::app::work::runtime;
use crate::clock::Clock;
use crate::config::{FoundIndex, Loaded};
use crate::exchange::{Context, Generation};
use crate::journal::{JOURNAL_FILE, JournalAsked, JournalReader};
use crate::language::{IndexDocument, Lockfile, Pin, PinnedFile};
use crate::model::{IndexName, Location, ProjectName, Timestamp, Version};
use crate::policy::Policies;
use crate::reader::{AskedProject, ReplayedFile, ReplayedProject, Turn, Why, replay};

/// Projects that are replayed at the same time: two threads decide while others read pages.
const AT_A_TIME: usize = 4;

/// What to replay.
#[derive(Debug)]
pub struct ReplayOptions<'a> {
    /// The configuration as it was; of its data directory nothing is read.
    pub old: &'a Setup,
    /// The configuration as it would be.
    pub new: &'a Setup,
    /// How far back the journal counts.
    pub since: Duration,
    /// Lock files.
    pub locks: &'a [Lockfile],
    /// The index through which they are installed; else the default one, or the first.
    pub index: Option<&'a IndexName>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Replay {
    /// Everything that is not as before, in the order of who is concerned most.
    pub releases: Vec<ReplayedRelease>,
    /// Rows of the journal; `None` if there is none.
    pub rows: Option<u64>,
    /// From when on.
    pub since: Option<Timestamp>,
    /// Projects, each counted once for an index.
    pub projects: usize,
    /// Files that were decided about.
    pub files: usize,
    /// Rows that name nothing that could be replayed.
    pub unreadable: u64,
}

/// A release, or a project as a whole, of which something is not as before.
#[derive(Debug, Clone)]
pub struct ReplayedRelease {
    /// The index.
    pub index: IndexName,
    /// The project.
    pub project: ProjectName,
    /// The version; `None` for the project as a whole.
    pub version: Option<Version>,
    /// What changes.
    pub turn: Turn,
    /// Why, of the first of its files.
    pub why: Why,
    /// The files.
    pub files: Vec<String>,
    /// The version that an installer takes before and after.
    pub taken: [Option<Version>; 2],
    /// Who asked for it.
    pub askers: Askers,
    /// The entries of lock files that name it.
    pub locks: Vec<Location>,
}

/// Who asked: the address and the user, as far as the journal keeps them.
pub type Asker = (Option<Arc<str>>, Option<Arc<str>>);

/// Who asked for something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Askers {
    /// How often.
    pub times: u64,
    /// How often that was refused at the time.
    pub refused: u64,
    /// When last.
    pub last: Option<Timestamp>,
    /// Clients, as far as the journal keeps them: address and user.
    pub clients: BTreeSet<Asker>,
}

impl Askers {
    fn add(&mut self, asked: &JournalAsked) {
        self.times += asked.times;
        self.refused += asked.refused;
        self.last = self.last.max(Some(asked.last));
        let clients = asked.clients.iter();
        self.clients
            .extend(clients.map(|client| (client.address.clone(), client.user.clone())));
    }
}

/// Where an entry comes from.
#[derive(Debug, Clone)]
enum Origin {
    /// The journal, at this place of what was asked.
    Journal(usize),
    /// A lock file.
    Lock(Location),
}

/// What is asked of a project, and where that comes from.
type Asked = BTreeMap<(ProjectName, IndexName), Vec<(Pin, Origin)>>;

/// Replays what was asked for under two configurations.
///
/// # Errors
/// Faults in one of them, a journal that cannot be read, no journal where there are no lock files either.
pub fn replay_requests(options: &ReplayOptions<'_>) -> anyhow::Result<Replay> {
    let mut new = options.new.load()?;
    let mut old = options.old.load()?;
    let nowhere = tempfile::tempdir().context("make a temporary directory")?;
    let path = new.config.data.join(JOURNAL_FILE);
    let work = runtime()?;
    let now = Clock::system().now();
    let since = now.checked_sub(options.since).unwrap_or(Timestamp::MIN);
    let read = work.block_on(read_journal(&path, since))?;
    if read.is_none() && options.locks.is_empty() {
        anyhow::bail!(
            "there is no journal at {}; name the data directory of the server with --data, or lock \
             files with --lock",
            path.display()
        );
    }
    if !new.config.data.exists() {
        nowhere.path().clone_into(&mut new.config.data);
    }
    new.config.offline = true;
    // Nothing is asked of mirrors, but what is held of one is held under its URL.
    let mut find = |loaded: &mut _, stored: &_| {
        give_upstream(options.new, loaded, stored, None);
        Ok(())
    };
    let house = House::build(work, metrics()?, &mut new, true, &mut find)?;
    give_upstream(options.old, &mut old, &[], new.found.as_ref());
    let generations = [
        Arc::new(house.other_generation(&old)?),
        house.flows.core.generation(),
    ];
    let (journal, rows) = match read {
        Some((asked, rows)) => (asked, Some(rows)),
        None => (Vec::new(), None),
    };
    let mut asked = Asked::new();
    let unreadable = add_journal(&mut asked, &journal);
    if let Some(index) = lock_index(&new, options, &generations)? {
        add_locks(&mut asked, &index, options.locks);
    }
    add_held(&mut asked, &house, &generations)?;
    let both = generations.map(|generation| Context { generation, now });
    let found = replay_all(&house, &both, &asked)?;
    let files = found.iter().map(|found| found.decided).sum();
    let questions = asked.iter().zip(found);
    let releases = questions.flat_map(|(((project, index), entries), found)| {
        releases((index, project), entries, found, &journal)
    });
    let mut releases: Vec<ReplayedRelease> = releases.collect();
    releases.sort_by_cached_key(ReplayedRelease::order);
    Ok(Replay {
        releases,
        rows,
        since: rows.is_some().then_some(since),
        projects: asked.len(),
        files,
        unreadable,
    })
}

impl ReplayedRelease {
    /// By what changes, then those first that concern most clients and lock files, then by name.
    fn order(&self) -> impl Ord + use<> {
        let clients = self.askers.clients.len();
        let concerned = clients.max(usize::from(self.askers.times > 0)) + self.locks.len();
        let most = Reverse((concerned, self.askers.times));
        let (index, project) = (self.index.clone(), self.project.clone());
        (self.turn, most, index, project, self.version.clone())
    }
}

/// Gives mirrors without a URL theirs. What was held of them cannot be judged without it, and is counted so.
fn give_upstream(
    setup: &Setup,
    loaded: &mut Loaded,
    stored: &[IndexDocument],
    known: Option<&FoundIndex>,
) {
    if let Err(faults) = setup.give_upstream(loaded, stored, known) {
        tracing::warn!("what is held of a mirror without a URL is not replayed: {faults}");
    }
}

/// What the journal says was asked for, and how many rows that is; `None` without one.
async fn read_journal(
    path: &Path,
    since: Timestamp,
) -> anyhow::Result<Option<(Vec<JournalAsked>, u64)>> {
    let Some(mut reader) = JournalReader::open(path).await? else {
        return Ok(None);
    };
    let asked = reader.asked(since).await?;
    reader.close().await;
    Ok(Some(asked))
}

/// The index through which lock files are installed, if there are any. Both configurations must have it: a
/// lock file that is replayed through nothing would seem fine.
fn lock_index(
    new: &Loaded,
    options: &ReplayOptions<'_>,
    generations: &[Arc<Generation>; 2],
) -> anyhow::Result<Option<IndexName>> {
    if options.locks.is_empty() {
        return Ok(None);
    }
    let index = match options.index {
        Some(index) => index.clone(),
        None => {
            let policies = Policies::compile(&new.documents, &[])?;
            let first = policies.indexes().next().map(|index| index.name.clone());
            let index = policies.default_index().cloned().or(first);
            index.context("there is no index; name one with --index")?
        }
    };
    let is_known = |generation: &Arc<Generation>| generation.policies.stack(&index).is_some();
    anyhow::ensure!(
        generations.iter().all(is_known),
        "there is no index {index} in both configurations; name another with --index"
    );
    Ok(Some(index))
}

/// Adds what was asked for by the journal; returns how many answers name nothing that can be replayed.
fn add_journal(asked: &mut Asked, journal: &[JournalAsked]) -> u64 {
    let mut unreadable = 0;
    for (at, one) in journal.iter().enumerate() {
        let index = IndexName::parse(&one.index).ok();
        let project = one.item.project.as_deref();
        let project = project.and_then(|project| ProjectName::parse(project).ok());
        let (Some(index), Some(project)) = (index, project) else {
            unreadable += one.times;
            continue;
        };
        let file = one.item.file.as_ref().map(|name| PinnedFile {
            filename: Some(Arc::clone(name)),
            sha256: one.item.sha256,
            ..PinnedFile::default()
        });
        let pin = Pin {
            project: project.clone(),
            version: one.item.version.as_deref().map(Version::parse),
            has_digests: one.item.sha256.is_some(),
            files: file.into_iter().collect(),
            location: nowhere(),
        };
        let entries = asked.entry((project, index)).or_default();
        entries.push((pin, Origin::Journal(at)));
    }
    unreadable
}

fn add_locks(asked: &mut Asked, index: &IndexName, locks: &[Lockfile]) {
    for pin in locks.iter().flat_map(|lock| &lock.pins) {
        let key = (pin.project.clone(), index.clone());
        let origin = Origin::Lock(pin.location.clone());
        asked.entry(key).or_default().push((pin.clone(), origin));
    }
}

/// Adds every project of which something is held, at each index whose stack has it.
fn add_held(
    asked: &mut Asked,
    house: &House,
    generations: &[Arc<Generation>; 2],
) -> anyhow::Result<()> {
    let mut held: BTreeMap<IndexName, Vec<ProjectName>> = BTreeMap::new();
    for generation in generations {
        for index in generation.policies.indexes() {
            if held.contains_key(&index.name) {
                continue;
            }
            let projects = if index.is_mirror() {
                house.store.held_pages(&index.name)?
            } else {
                let projects = house.work.block_on(house.records.projects(&index.name))?;
                projects.into_iter().map(|project| project.name).collect()
            };
            held.insert(index.name.clone(), projects);
        }
    }
    for generation in generations {
        for asking in generation.policies.indexes() {
            let Some(stack) = generation.policies.stack(&asking.name) else {
                continue;
            };
            for member in &stack.members {
                for project in held.get(&member.index.name).into_iter().flatten() {
                    asked
                        .entry((project.clone(), asking.name.clone()))
                        .or_default();
                }
            }
        }
    }
    Ok(())
}

/// Replays every project, some at a time; the answers are in the order of the questions.
fn replay_all(
    house: &House,
    both: &[Context; 2],
    asked: &Asked,
) -> anyhow::Result<Vec<ReplayedProject>> {
    let questions = asked
        .iter()
        .map(|((project, index), entries)| AskedProject {
            index: index.clone(),
            project: project.clone(),
            pins: entries.iter().map(|(pin, _)| pin.clone()).collect(),
        });
    let questions: Arc<Vec<AskedProject>> = Arc::new(questions.collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (questions, next) = (Arc::clone(&questions), Arc::clone(&next));
        let (flows, both) = (Arc::clone(&house.flows), both.clone());
        let work = async move {
            let mut found = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(question) = questions.get(at) else {
                    return Ok(found);
                };
                let [before, after] = &both;
                match replay(&flows, [before, after], question).await {
                    Ok(replayed) => found.push((at, replayed)),
                    Err(error) => return Err(anyhow::anyhow!("{error}")),
                }
            }
        };
        tasks.spawn_on(work, house.work.handle());
    }
    let mut all = Vec::new();
    while let Some(done) = house.work.block_on(tasks.join_next()) {
        all.extend(done.context("replay requests")??);
    }
    all.sort_unstable_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, replayed)| replayed).collect())
}

/// Puts the files of each release together, with who asked for them.
fn releases(
    (index, project): (&IndexName, &ProjectName),
    entries: &[(Pin, Origin)],
    found: ReplayedProject,
    journal: &[JournalAsked],
) -> Vec<ReplayedRelease> {
    let ReplayedProject { files, taken, .. } = found;
    let mut grouped: BTreeMap<(Turn, Option<Version>), ReplayedRelease> = BTreeMap::new();
    for file in files {
        let ReplayedFile {
            name,
            version,
            turn,
            why,
            asked,
        } = file;
        let release = grouped.entry((turn, version.clone()));
        let release = release.or_insert_with(|| ReplayedRelease {
            index: index.clone(),
            project: project.clone(),
            version,
            turn,
            why,
            files: Vec::new(),
            taken: taken.clone(),
            askers: Askers::default(),
            locks: Vec::new(),
        });
        release.files.push(name);
        for (_, origin) in asked.iter().filter_map(|at| entries.get(*at)) {
            match origin {
                Origin::Journal(at) => {
                    let asked = journal.get(*at);
                    asked
                        .into_iter()
                        .for_each(|asked| release.askers.add(asked));
                }
                Origin::Lock(place) if !release.locks.contains(place) => {
                    release.locks.push(place.clone());
                }
                Origin::Lock(_) => {}
            }
        }
    }
    grouped.into_values().collect()
}

/// The place of what stands in no file.
fn nowhere() -> Location {
    Location {
        file: "".into(),
        line: 0,
        column: 0,
    }
}
