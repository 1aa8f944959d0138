//! One verdict: what `diff` foresees, what `explain` says, what a page lists, what a file's URL answers, and what
//! a test of the policies finds are the same, for random policies, pages and requests.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::language::{Pin, PinnedFile};
use cheesecloth::testing::model::{File, Location, UploadTime, UploadTimeSource, Version};
use cheesecloth::testing::page::file_path;
use cheesecloth::testing::reader::{
    AskedProject, Foreseen, Question, Turn, explain_verdicts, foresee, replay,
};
use cheesecloth::testing::trial::{Bench, CaseFile};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::TestRunner;

use super::super::support::{House, Larder};
use super::policies::{HIDDEN, Written, written};
use super::shown::{JSON, Through};
use super::{
    Content, ENDINGS, MIRRORS, NOW, PROJECTS, STAGES, bytes_of, content, fill, index, license_of,
    listed, project, stock,
};

/// Cases tried; each decides about some hundred files five times.
const CASES: u32 = 48;

/// The files that one configuration lets pass and refuses through an index.
type Verdicts = BTreeMap<String, bool>;

/// What somebody asked for: a file by its name, perhaps one that nobody lists.
fn pin(name: &str, filename: &str) -> Pin {
    Pin {
        project: project(name),
        version: None,
        files: vec![PinnedFile {
            filename: Some(filename.into()),
            ..PinnedFile::default()
        }],
        has_digests: false,
        location: Location {
            file: "journal".into(),
            line: 1,
            column: 1,
        },
    }
}

/// A file as a test of the policies states it, and what is expected.
fn case(
    house: &House,
    content: &Content,
    asked: &str,
    owner: &str,
    file: &File,
    passes: bool,
) -> String {
    let name = file.filename.project().as_str();
    let is_mirror = MIRRORS.contains(&owner);
    let generation = house.flows().core.generation();
    let stack = generation.policies.stack(&index(asked)).unwrap();
    let is_held = |stage: &&str| {
        let held = content
            .iter()
            .any(|((at, held), holding)| *at == *stage && *held == name && holding.is_some());
        held && stack.position(&index(stage)).is_some()
    };
    let mut holders: Vec<&str> = STAGES.iter().copied().filter(is_held).collect();
    holders.sort_by_key(|stage| *stage != owner);
    let mut given = format!(
        "file: '{}', sha256: {}",
        file.filename,
        file.hashes.sha256().unwrap()
    );
    if is_mirror {
        given += &format!(", upstream: {owner}");
    }
    if !holders.is_empty() {
        given += &format!(", held_by: [{}]", holders.join(", "));
    }
    if let Some(time) = file.upload_time {
        given += &format!(", uploaded: {}", time.at);
    }
    if let Some(size) = file.size {
        given += &format!(", size: {size}B");
    }
    if file.yanked.is_yanked() {
        given += ", yanked: true";
    }
    if file.provenance.is_some() {
        given += ", provenance: true";
    }
    let holding = content
        .iter()
        .find(|((at, held), _)| *at == owner && *held == name);
    let holding = holding.and_then(|(_, holding)| holding.as_ref());
    let license = license_of(owner, file.filename.as_str()).unwrap_or("unknown");
    given += &format!(", license: {license}");
    if file.filename.as_str().ends_with(".whl") {
        given += ", startup_files: false";
    }
    if is_mirror && holding.is_some_and(|holding| holding.is_archived) {
        given += ", status: archived";
    }
    let expect = if passes { "allow" } else { "deny" };
    format!("  - {{ index: {asked}, given: {{ {given} }}, expect: {expect} }}\n")
}

/// The file as its owner lists it: a stage knows more of it, and less.
fn as_listed(content: &Content, owner: &str, name: &str, filename: &str) -> File {
    let known = content
        .iter()
        .filter(|((at, held), _)| *at == owner && *held == name);
    let known = known.flat_map(|(_, holding)| holding.iter().flat_map(|holding| &holding.files));
    let mut files = known.map(|known| listed(owner, name, known));
    let mut file = files
        .find(|file| file.filename.as_str() == filename)
        .unwrap();
    if !MIRRORS.contains(&owner) {
        let facts = super::facts(owner, &file);
        file.size = Some(facts.size);
        file.provenance = None;
        file.upload_time = Some(UploadTime {
            at: facts.uploaded_at,
            source: UploadTimeSource::Index,
        });
    }
    file
}

/// Asks for every file of a project, so that what rules ask of their insides is known.
async fn look_into_all(door: Through<'_>, content: &Content, asked: &str, name: &str) {
    for ((at, held), holding) in content {
        for known in holding.iter().flat_map(|holding| &holding.files) {
            if *held == name {
                let path = file_path(&listed(at, name, known));
                door.get(&format!("/{asked}/{path}"), &[]).await;
            }
        }
    }
}

/// Holds everything that one configuration says of a project through an index together.
async fn one_verdict(
    house: &House,
    content: &Content,
    (asked, name, is_hidden): (&str, &str, bool),
    filenames: &[String],
) -> Verdicts {
    let at = format!("{name} in {asked}");
    let (flows, cx) = (house.flows(), house.flows().core.context());
    let question = Question {
        project: project(name),
        filename: None,
        versions: None,
    };
    let door = Through {
        house,
        is_manage: is_hidden,
    };
    look_into_all(door, content, asked, name).await;
    let explained = explain_verdicts(flows, &cx, &index(asked), &question)
        .await
        .unwrap();
    let (_, shown) = door.page(asked, name, JSON).await;
    let passes = |yanked: &Option<String>| yanked.as_ref().is_none_or(|why| why == "broken");
    let on_page = shown.iter().filter(|(_, yanked)| passes(yanked));
    let on_page: BTreeSet<&str> = on_page
        .map(|(path, _)| path.rsplit('/').next().unwrap())
        .collect();
    let mut verdicts = Verdicts::new();
    let mut cases = String::from("tests:\n");
    for file in &explained.files {
        let owner = file.owner.as_str();
        verdicts.insert(file.filename.clone(), file.is_allowed);
        assert_eq!(
            on_page.contains(&*file.filename),
            file.is_allowed,
            "{} on the page: {at}",
            file.filename
        );
        let facts = as_listed(content, owner, name, &file.filename);
        let url = format!("/{asked}/{}", file_path(&facts));
        let got = door.get(&url, &[]).await;
        assert_eq!(got.status == 200, file.is_allowed, "{url}: {}", got.text());
        if file.is_allowed {
            assert_eq!(got.body, bytes_of(owner, &file.filename));
        }
        cases += &case(house, content, asked, owner, &facts, file.is_allowed);
    }
    assert!(
        on_page.iter().all(|name| verdicts.contains_key(*name)),
        "{at}"
    );
    // What a rule asks of other files, a test would have to list.
    let stack = cx.generation.policies.stack(&index(asked)).unwrap();
    let is_alone = !stack.view(&project(name)).asks_for_siblings();
    if is_alone && !verdicts.is_empty() {
        let bench = Bench {
            policies: &cx.generation.policies,
            documents: &[],
            now: cx.now,
        };
        let file =
            CaseFile::read("law.yaml", &cases).unwrap_or_else(|faults| panic!("{faults}\n{cases}"));
        for case in &file.cases {
            let difference = case
                .run(&bench)
                .unwrap_or_else(|fault| panic!("{fault}\n{cases}"));
            assert_eq!(
                difference.map(|difference| difference.to_string()),
                None,
                "{at}\n{cases}"
            );
        }
    }
    foreseen_as_explained(house, (asked, name), filenames, &verdicts).await;
    verdicts
}

/// What is foreseen of each of these files is what is explained.
async fn foreseen_as_explained(
    house: &House,
    (asked, name): (&str, &str),
    filenames: &[String],
    verdicts: &Verdicts,
) {
    let at = format!("{name} in {asked}");
    let (flows, cx) = (house.flows(), house.flows().core.context());
    let asked = AskedProject {
        index: index(asked),
        project: project(name),
        pins: filenames
            .iter()
            .map(|filename| pin(name, filename))
            .collect(),
    };
    let foreseen = foresee(flows, &cx, &asked).await.unwrap();
    for (filename, fates) in filenames.iter().zip(foreseen) {
        let [(_, fate)] = fates.as_slice() else {
            panic!("{filename} is several files: {fates:?}");
        };
        match (fate, verdicts.get(filename)) {
            (Foreseen::Passes, Some(true)) | (Foreseen::Refused(_), Some(false) | None) => {}
            // What nothing lists never passes.
            (Foreseen::Unlisted(_) | Foreseen::Unknown(_), None) => {}
            (fate, verdict) => panic!("{filename} of {at}: {fate:?}, explained {verdict:?}"),
        }
    }
}

/// Holds what `diff` finds against the verdicts of both sides.
async fn hold_to_both(
    (old, new): (&House, &House),
    (asked, name): (&str, &str),
    (before, after): (&Verdicts, &Verdicts),
    filenames: &[String],
) {
    let question = AskedProject {
        index: index(asked),
        project: project(name),
        pins: filenames
            .iter()
            .map(|filename| pin(name, filename))
            .collect(),
    };
    let (was, is) = (old.flows().core.context(), new.flows().core.context());
    let found = replay(new.flows(), [&was, &is], &question).await.unwrap();
    for file in &found.files {
        let (before, after) = (before.get(&file.name), after.get(&file.name));
        match file.turn {
            Turn::NewlyRefused => assert_ne!(after, Some(&true), "{file:?}"),
            Turn::NewlyAllowed => {
                assert_eq!(after, Some(&true), "{file:?}");
                assert_ne!(before, Some(&true), "{file:?}");
            }
            Turn::NotJudged => assert_eq!((before, after), (None, None), "{file:?}"),
        }
    }
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for filename in names {
        let turn = match (before.get(filename), after.get(filename)) {
            (Some(true), Some(false) | None) => Some(Turn::NewlyRefused),
            (Some(false) | None, Some(true)) => Some(Turn::NewlyAllowed),
            _ => None,
        };
        let file = found.files.iter().find(|file| file.name == *filename);
        assert_eq!(
            file.map(|file| file.turn),
            turn,
            "{filename} of {name} in {asked}"
        );
        if let Some(file) = file {
            let asked_for = filenames.contains(filename);
            assert_eq!(!file.asked.is_empty(), asked_for, "{file:?}");
        }
    }
    let newest = |verdicts: &Verdicts| {
        let passing = verdicts.iter().filter(|(_, passes)| **passes);
        passing.count() > 0
    };
    if !found.files.is_empty() {
        let [before_taken, after_taken] = &found.taken;
        let is_some = |version: &Option<Version>| version.is_some();
        assert!(newest(before) || !is_some(before_taken));
        assert!(newest(after) || !is_some(after_taken));
    }
}

async fn hold_all(
    larder: &Larder,
    clock: &Clock,
    (old, new): (&Written, &Written),
    content: &Content,
    endings: &[&str],
) {
    let before = House::offline(larder, &old.yaml(true), clock);
    let after = House::offline(larder, &new.yaml(true), clock);
    fill(&after, content).await;
    for name in PROJECTS {
        let stem = name.replace('-', "_");
        let filenames: Vec<String> = endings
            .iter()
            .map(|ending| format!("{stem}{ending}"))
            .collect();
        for asked in STAGES.iter().chain(&MIRRORS) {
            let verdicts = async |house: &House, written: &Written| {
                let mut indexes = written.indexes.iter();
                let index = indexes.find(|index| index.name == *asked);
                let is_hidden = index.is_some_and(|index| index.restricted_by.contains(HIDDEN));
                one_verdict(house, content, (asked, name, is_hidden), &filenames).await
            };
            let (was, is) = (verdicts(&before, old).await, verdicts(&after, new).await);
            // As `diff` does, a program of its own that knows what is kept and remembers nothing.
            let diffing = House::offline(larder, &new.yaml(true), clock);
            hold_to_both((&before, &diffing), (asked, name), (&was, &is), &filenames).await;
        }
    }
}

#[test]
fn diff_explain_page_file_and_test_have_one_verdict() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let bytes = runtime.block_on(Larder::empty(&clock));
    stock(&bytes);
    let number = Cell::new(0);
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let all = [&ENDINGS[..], &["-9.9.tar.gz"]].concat();
    let asked = subsequence(all, 0..=7);
    let strategy = (written(), written(), content(), asked);
    let checked = TestRunner::new(config).run(&strategy, |(old, new, content, asked)| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let larder = bytes.with_new_records(number.get(), &clock).await;
            hold_all(&larder, &clock, (&old, &new), &content, &asked).await;
        });
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
