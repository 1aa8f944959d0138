//! The law over time, once everything that a mirror listed has vanished from its upstream, or
//! upstream cannot be reached or hangs: exactly what is listed is served, and no index ever lists
//! what it refused before.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use futures_util::future::poll_immediate;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use super::super::support::{FakeIndex, Fault, House, Larder, Project, Setup};
use super::policies::{Written, written};
use super::shown::{JSON, Through};
use super::{Content, MIRRORS, NOW, PROJECTS, STAGES, content, everything, fill, stock};

/// Time between the looks: by the first, upstream has nothing left; then cool-downs end, and at
/// last every `until` has passed.
const LOOKS: [Duration; 3] = [
    Duration::from_secs(60 * 60),
    Duration::from_secs(9 * 24 * 60 * 60),
    Duration::from_secs(22 * 24 * 60 * 60),
];

/// The same while upstream cannot be asked, for as long as pages are still answered then.
const LOOKS_IN_SILENCE: [Duration; 3] = [
    Duration::from_secs(60 * 60),
    Duration::from_secs(3 * 24 * 60 * 60),
    Duration::from_secs(3 * 24 * 60 * 60),
];

/// Put first into every policy then: by chance alone, too few rules would wait for a file's age.
const COOL_DOWN: &str = "    rules:\n      - deny: { younger_than: 7d }\n";

/// Cases tried; each requests some five hundred pages and files.
const CASES: u32 = 32;

/// What has happened to an upstream.
#[derive(Debug, Clone, Copy)]
enum Upstream {
    /// It no longer knows any project.
    Bare,
    /// It knows the projects, but has no files.
    Empty,
    /// It answers only with errors.
    Silent,
    /// It takes requests and never answers; no request that could have the old page waits for it.
    Hanging,
}

const UPSTREAMS: [Upstream; 4] = [
    Upstream::Bare,
    Upstream::Empty,
    Upstream::Silent,
    Upstream::Hanging,
];

impl Upstream {
    fn looks(self) -> [Duration; 3] {
        match self {
            Self::Bare | Self::Empty => LOOKS,
            Self::Silent | Self::Hanging => LOOKS_IN_SILENCE,
        }
    }

    fn start(self) -> FakeIndex {
        let empty = || {
            PROJECTS.iter().fold(Setup::default(), |setup, name| {
                setup.project(Project::new(name))
            })
        };
        match self {
            Self::Bare => Setup::default().start(),
            Self::Empty => empty().start(),
            Self::Silent => {
                let index = empty().start();
                index.misbehave("/", Fault::new().status(500));
                index
            }
            Self::Hanging => {
                let index = empty().start();
                index.misbehave("/", Fault::new().silent());
                index
            }
        }
    }
}

fn without_until(line: &str) -> String {
    let Some((before, after)) = line.split_once(", until: ") else {
        return line.to_owned();
    };
    let date = after.find(|byte| !matches!(byte, '0'..='9' | '-'));
    format!("{before}{}", &after[date.unwrap_or(after.len())..])
}

/// What an operator wrote, with this upstream for all mirrors, which keep files older than this.
fn yaml(
    written: &Written,
    (upstream_is, upstream): (Upstream, &FakeIndex),
    older_than: &str,
) -> String {
    let mut yaml = written.yaml(true);
    for mirror in MIRRORS {
        let host = mirror.replace('/', "-");
        let placeholder = format!("https://{host}.upstream.example/simple/");
        yaml = yaml.replace(&placeholder, upstream.url().as_str());
    }
    // An `until` passes by the operator's own word, even in an outage, so those are left out.
    let yaml = match upstream_is {
        Upstream::Silent | Upstream::Hanging => yaml
            .lines()
            .map(|line| without_until(line) + "\n")
            .collect::<String>()
            .replace("    rules:\n", COOL_DOWN),
        Upstream::Bare | Upstream::Empty => yaml,
    };
    let keep = format!("type: mirror, keep_last_good: {{ for: 60d, older_than: {older_than} }},");
    yaml.replace("type: mirror,", &keep)
}

/// The mirror's files that each index lists as allowed, by index and path.
async fn listed(house: &Through<'_>, of_mirror: &BTreeSet<String>) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for asked in STAGES.iter().chain(&MIRRORS) {
        for name in PROJECTS {
            let (_, shown) = house.page(asked, name, JSON).await;
            let allowed = shown
                .into_iter()
                .filter(|(_, yanked)| yanked.as_ref().is_none_or(|why| why == "broken"));
            let paths = allowed.map(|(path, _)| path);
            all.extend(
                paths
                    .filter(|path| of_mirror.contains(path))
                    .map(|path| ((*asked).to_owned(), path)),
            );
        }
    }
    all
}

/// Whether a file is served while upstream hangs; polled a few times.
async fn is_served_early(house: &Through<'_>, url: &str) -> bool {
    let mut answer = Box::pin(house.get(url, &[]));
    for _ in 0..5 {
        if let Some(got) = poll_immediate(&mut answer).await {
            return got.status == 200;
        }
        tokio::task::spawn_blocking(|| {}).await.unwrap();
    }
    false
}

/// Checks the law at each look; returns how many listings there were before and at the end.
async fn hold_to_the_law_over_time(
    larder: &Larder,
    yaml: &str,
    content: &Content,
    upstream: Upstream,
) -> (usize, usize) {
    let clock = Clock::fixed(NOW.parse().unwrap());
    let house = House::online_with(larder, yaml, &clock, |settings| {
        // With every other upstream, requests wait long enough to see what has happened to it.
        if matches!(upstream, Upstream::Hanging) {
            settings.cache.patience = Duration::ZERO;
        }
    });
    fill(&house, content).await;
    // The management door also shows indexes that public doors hide.
    let house = Through {
        house: &house,
        is_manage: true,
    };
    let mut mirrors = content.clone();
    mirrors.retain(|(at, _), _| MIRRORS.contains(at));
    let of_mirror = everything(&mirrors).into_iter().map(|(_, path, ..)| path);
    let of_mirror: BTreeSet<String> = of_mirror.collect();
    let before = listed(&house, &of_mirror).await;
    let mut kept = 0;
    for look in upstream.looks() {
        clock.advance(look);
        let now = listed(&house, &of_mirror).await;
        assert!(
            now.is_subset(&before),
            "matured: {:?}\n{yaml}",
            &now - &before
        );
        for asked in STAGES.iter().chain(&MIRRORS) {
            for path in &of_mirror {
                let is_listed = now.contains(&((*asked).to_owned(), path.clone()));
                let url = format!("/{asked}/{path}");
                let is_served = match (upstream, is_listed) {
                    // What the cached page refuses waits for upstream, and is not served meanwhile.
                    (Upstream::Hanging, false) => is_served_early(&house, &url).await,
                    (_, _) => house.get(&url, &[]).await.status == 200,
                };
                assert_eq!(is_served, is_listed, "{path} in {asked}\n{yaml}");
            }
        }
        kept = now.len();
    }
    (before.len(), kept)
}

#[test]
fn what_vanished_is_listed_by_no_index_that_refused_it_and_served_exactly_when_listed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let bytes = runtime.block_on(Larder::empty(&clock));
    stock(&bytes);
    let upstreams = UPSTREAMS.map(|upstream| (upstream, upstream.start()));
    let case = Cell::new(0);
    let (all, kept) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tried = (written(), content(), select(vec!["0", "14d"]));
    let checked = TestRunner::new(config).run(&tried, |(written, mut content, older_than)| {
        case.set(case.get() + 1);
        let (is, upstream) = &upstreams[case.get() as usize % UPSTREAMS.len()];
        // What another mirror shadowed was not refused, and may become visible.
        match is {
            Upstream::Bare | Upstream::Empty => content.retain(|(at, _), _| *at != MIRRORS[1]),
            // It must be known that this mirror has nothing, or its stacks would not answer.
            Upstream::Silent | Upstream::Hanging => {
                let others = content.iter_mut().filter(|((at, _), _)| *at == MIRRORS[1]);
                others.for_each(|(_, holding)| *holding = None);
            }
        }
        let yaml = yaml(&written, (*is, upstream), older_than);
        let (before, after) = runtime.block_on(async {
            let larder = bytes.with_new_records(case.get(), &clock).await;
            hold_to_the_law_over_time(&larder, &yaml, &content, *is).await
        });
        all.set(all.get() + before);
        kept.set(kept.get() + after);
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    let (all, kept) = (all.get(), kept.get());
    assert!(0 < kept && kept < all, "{kept} of {all} were kept");
}
