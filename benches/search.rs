//! `cargo bench --bench search`: what a search costs among 800,000 names that mirrors list and 50,000 projects
//! with what they say of themselves; how long the catalogue takes to be made, and how much memory it has.
//!
//! When it is not called by `cargo bench`, it runs with a fiftieth of that, to show that it still does.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cheesecloth::testing::db::{Cause, Db, OnConflict, Publication, Sqlite};
use cheesecloth::testing::model::{IndexName, Limits, ProjectName, Timestamp};
use cheesecloth::testing::search::{Catalogue, CatalogueKeeper, CataloguedIndex, SearchQuery};
use cheesecloth::testing::store::{FsStore, Key};

/// Words of which half of all names and texts are made, as in the field.
const COMMON: [&str; 40] = [
    "python", "django", "flask", "data", "http", "client", "server", "api", "test", "pytest",
    "aws", "google", "cloud", "json", "yaml", "async", "sql", "graph", "ml", "torch", "text",
    "file", "image", "utils", "core", "tools", "plugin", "simple", "fast", "my", "web", "config",
    "cli", "sdk", "for", "with", "and", "open", "stream", "cache",
];

const SYLLABLES: [&str; 20] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qi", "ro", "su", "ta",
    "ve", "wi", "xo", "yu",
];

/// How many queries are timed.
const QUERIES: usize = 2_000;

/// Results that a search ranks.
const MOST: usize = 500;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }

    fn word(&mut self) -> String {
        if self.roll(2) == 0 {
            return COMMON[self.roll(COMMON.len())].to_owned();
        }
        let syllables = 2 + self.roll(3);
        (0..syllables)
            .map(|_| SYLLABLES[self.roll(SYLLABLES.len())])
            .collect()
    }

    fn words(&mut self, count: usize, between: &str) -> String {
        let words: Vec<String> = (0..count).map(|_| self.word()).collect();
        words.join(between)
    }

    fn name(&mut self) -> String {
        let parts = 1 + self.roll(4);
        self.words(parts, "-")
    }
}

fn main() -> anyhow::Result<()> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (listed, private) = match is_bench {
        true => (800_000, 50_000),
        false => (16_000, 1_000),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(listed, private))
}

async fn run(listed: usize, private: usize) -> anyhow::Result<()> {
    // In memory where there is such a place: fifty thousand uploads are not what is measured.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let path = folder.path().join("records.sqlite");
    let records = Arc::new(Sqlite::open(&path, Timestamp::UNIX_EPOCH).await?);
    let store = Arc::new(FsStore::open(&folder.path().join("store"), 1 << 30)?);
    let mut dice = Dice(1);
    let names = fill_list(&store, &mut dice, listed)?;
    fill_records(&records, &mut dice, private).await?;
    let limits = Limits::default();
    let catalogue = Arc::new(Catalogue::new(&limits.search));
    let before = resident_kib()?;
    let mut keeper = CatalogueKeeper::new(Arc::clone(&catalogue), Arc::clone(&records) as _, store);
    let started = Instant::now();
    keeper.follow(indexes()?).await?;
    let took = started.elapsed();
    let edition = catalogue.edition();
    let (of_lists, of_indexes) = edition.size();
    anyhow::ensure!(edition.is_whole && !edition.is_cut, "something is left out");
    anyhow::ensure!(of_lists == listed && of_indexes == private, "{edition:?}");
    say(&format!(
        "made of {listed} names and {private} projects in {took:.2?}"
    ));
    let mib = edition.bytes() >> 20;
    let grown = resident_kib()?.saturating_sub(before) >> 10;
    say(&format!(
        "it takes {mib} MiB; the process has grown by {grown} MiB since it began to be made"
    ));
    publish(&records, "one-more", "says something").await?;
    let started = Instant::now();
    keeper.follow(indexes()?).await?;
    say(&format!(
        "an upload is followed in {:.2?}",
        started.elapsed()
    ));
    for (kind, queries) in queries(&mut dice, &names) {
        time(&catalogue, kind, &queries)?;
    }
    Ok(())
}

fn indexes() -> anyhow::Result<Vec<CataloguedIndex>> {
    let one = |name: &str, is_mirror| {
        let name = IndexName::parse(name)?;
        anyhow::Ok(CataloguedIndex { name, is_mirror })
    };
    Ok(vec![one("me/dev", false)?, one("root/pypi", true)?])
}

fn fill_list(store: &FsStore, dice: &mut Dice, count: usize) -> anyhow::Result<Vec<String>> {
    let mut names = std::collections::BTreeSet::new();
    while names.len() < count {
        names.insert(dice.name());
    }
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    let index = IndexName::parse("root/pypi")?;
    store.put_small(&Key::ProjectList { index }, text.as_bytes())?;
    Ok(names.into_iter().collect())
}

async fn fill_records(records: &Sqlite, dice: &mut Dice, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let name = format!("{}-{number}", dice.name());
        let summary = dice.words(10, " ");
        publish(records, &name, &summary).await?;
    }
    Ok(())
}

async fn publish(records: &Sqlite, name: &str, summary: &str) -> anyhow::Result<()> {
    let metadata = serde_json::json!({
        "name": name, "version": "1.0", "summary": summary, "keywords": summary,
        "classifiers": ["Topic :: Software Development :: Libraries", "Typing :: Typed"],
        "import_names": [name.replace('-', "_")],
    });
    let publication = Publication {
        index: IndexName::parse("me/dev")?,
        project: ProjectName::parse(name)?,
        spelling: name.to_owned(),
        version: "1.0".to_owned(),
        metadata: metadata.as_object().cloned().unwrap_or_default(),
        files: Vec::new(),
        on_conflict: OnConflict::Replace,
    };
    let cause = Cause {
        who: None,
        at: Timestamp::UNIX_EPOCH,
    };
    records.publish(&cause, &publication).await?;
    Ok(())
}

/// Queries of each kind, as people type them.
fn queries(dice: &mut Dice, names: &[String]) -> Vec<(&'static str, Vec<String>)> {
    let count = QUERIES.min(names.len()) / 5;
    let mut of = |make: &dyn Fn(&mut Dice, &str) -> String| {
        let queries = (0..count).map(|_| {
            let name = &names[dice.roll(names.len())];
            make(dice, name)
        });
        queries.collect::<Vec<String>>()
    };
    let half = |name: &str| name[..name.len().div_ceil(2)].to_owned();
    vec![
        ("a name", of(&|_, name| name.to_owned())),
        ("the beginning of a name", of(&|_, name| half(name))),
        (
            "a name with a slip",
            of(&|_, name| format!("{}q{}", half(name), &name[name.len().div_ceil(2)..])),
        ),
        (
            "a common word",
            of(&|dice, _| COMMON[dice.roll(COMMON.len())].to_owned()),
        ),
        (
            "two common words",
            of(&|dice, _| {
                format!(
                    "{} {}",
                    COMMON[dice.roll(COMMON.len())],
                    COMMON[dice.roll(COMMON.len())]
                )
            }),
        ),
        (
            "one or two letters",
            of(&|dice, name| name[..(1 + dice.roll(2)).min(name.len())].to_owned()),
        ),
    ]
}

fn time(catalogue: &Catalogue, kind: &str, queries: &[String]) -> anyhow::Result<()> {
    let edition = catalogue.edition();
    let scope = edition.scope(|_| true);
    let mut times: Vec<Duration> = Vec::new();
    let mut found = 0;
    for typed in queries {
        let started = Instant::now();
        let query = SearchQuery::parse(typed);
        let names = catalogue.search(&edition, &query, (&scope, MOST), &|_, _| true);
        let names: Vec<ProjectName> = names.collect();
        for name in names.iter().take(20) {
            std::hint::black_box(edition.holdings(name, &scope));
        }
        times.push(started.elapsed());
        found += usize::from(!names.is_empty());
    }
    anyhow::ensure!(found > 0, "{kind}: nothing is found");
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    say(&format!(
        "{kind:<26} median {:>9.2?}   p99 {:>9.2?}   most {:>9.2?}   {} queries",
        at(50),
        at(99),
        at(100),
        times.len()
    ));
    Ok(())
}

/// The memory that the process has.
fn resident_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.unwrap_or("0").parse()?)
}

fn say(line: &str) {
    // A reader that went away is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}
