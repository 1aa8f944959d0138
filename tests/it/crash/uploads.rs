//! Power cuts at random instants while files are uploaded, deleted and moved between indexes.
//!
//! Every client knows which states each of its releases may be in: one while nothing is under way,
//! two while a request is. After each cut the server has to show one of them, whole and the same in
//! every view; the client goes on from that one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cheesecloth::testing::model::Sha256;
use serde_json::Value;
use sqlx::{Connection as _, Row as _};

use super::leftovers;
use crate::support::ask::{self, Answer};
use crate::support::{Cluster, Form, Program, Wheel, sdist};

const CLIENTS: usize = 4;

/// Most requests answered before the cut, and the longest time from the last of them to the cut.
const ANSWERS_MAX: u64 = 12;
const LATER_MAX: Duration = Duration::from_millis(6);

const INDEXES: [&str; 2] = ["packages/staging", "packages/stable"];
const VERSIONS: [&str; 2] = ["1.0", "2.0"];

const POLICIES: &str = "
indexes:
  packages/staging: { volatile: true, acl_upload: [':ANONYMOUS:'] }
  packages/stable: { volatile: true, acl_upload: [':ANONYMOUS:'] }
";

const JSON: [(&str, &str); 1] = [("Accept", "application/json")];

/// Pseudo-random numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len() as u64);
        &all[usize::try_from(at).unwrap()]
    }
}

/// The files of a release, by name, with their digests.
type Files = BTreeMap<String, String>;

/// An index and a version of one client's project.
type Place = (&'static str, &'static str);

/// A client that uploads, pushes and deletes, and knows what has to be there.
struct Person {
    project: String,
    dice: Dice,
    /// The states each release may be in; exactly one where no request is open.
    known: BTreeMap<Place, BTreeSet<Files>>,
}

/// Sends something to the server at a URL.
type Sending = dyn Fn(&str) -> std::io::Result<Answer>;

/// A request, and the state in which it leaves a release.
struct Wish {
    place: Place,
    after: Files,
    request: Box<Sending>,
}

impl Person {
    fn new(number: usize, dice: Dice) -> Self {
        let places = INDEXES
            .into_iter()
            .flat_map(|index| VERSIONS.map(|version| (index, version)));
        let nothing = BTreeSet::from([Files::new()]);
        Self {
            project: format!("crash-{number}"),
            dice,
            known: places.map(|place| (place, nothing.clone())).collect(),
        }
    }

    fn now(&self, place: Place) -> Files {
        let states = &self.known[&place];
        assert_eq!(states.len(), 1, "{place:?} is not settled");
        states.first().unwrap().clone()
    }

    /// A random operation that is possible in the current state.
    fn wish(&mut self) -> Wish {
        let version = *self.dice.of(&VERSIONS);
        let staging = (INDEXES[0], version);
        let there = self.now(staging);
        match self.dice.below(10) {
            0..=1 if !there.is_empty() => self.push(version, there),
            2 if !there.is_empty() => self.delete(staging),
            3 if !self.now((INDEXES[1], version)).is_empty() => self.delete((INDEXES[1], version)),
            4..=5 => {
                let (name, content) = sdist(&self.project, version);
                self.upload(staging, there, &name, &content)
            }
            _ => {
                let number = self.dice.roll().to_string();
                let wheel = Wheel::new(&self.project, version).description(&number);
                self.upload(staging, there, &wheel.filename(), &wheel.build())
            }
        }
    }

    fn upload(&self, place: Place, there: Files, filename: &str, content: &[u8]) -> Wish {
        let mut after = there;
        after.insert(filename.to_owned(), Sha256::of(content).to_hex());
        let form = Form::of(&self.project, place.1, filename, content);
        let path = format!("{}/", place.0);
        Wish {
            place,
            after,
            request: Box::new(move |url| form.post(&format!("{url}{path}"))),
        }
    }

    fn push(&self, version: &'static str, there: Files) -> Wish {
        let place = (INDEXES[1], version);
        let mut after = self.now(place);
        after.extend(there);
        let body = serde_json::json!({
            "name": self.project, "version": version, "targetindex": INDEXES[1]
        });
        let body = body.to_string();
        let request = move |url: &str| {
            ask::send(
                "PUSH",
                &format!("{url}{}", INDEXES[0]),
                &JSON,
                body.as_bytes(),
            )
        };
        Wish {
            place,
            after,
            request: Box::new(request),
        }
    }

    fn delete(&self, place: Place) -> Wish {
        let path = format!("{}/{}/{}", place.0, self.project, place.1);
        Wish {
            place,
            after: Files::new(),
            request: Box::new(move |url| ask::send("DELETE", &format!("{url}{path}"), &JSON, b"")),
        }
    }

    /// Sends one request after another until nobody answers any more.
    fn work(&mut self, url: &str, answered: &AtomicUsize) {
        loop {
            let wish = self.wish();
            let states = self.known.get_mut(&wish.place).unwrap();
            states.insert(wish.after.clone());
            let Ok(answer) = (wish.request)(url) else {
                return;
            };
            assert_eq!(answer.status, 200, "{:?}: {answer:?}", wish.place);
            *states = BTreeSet::from([wish.after]);
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Checks that the server shows one of the possible states, and takes it for the current one.
    fn settle(&mut self, url: &str) {
        for index in INDEXES {
            let shown = page(&format!("{url}{index}/"), &self.project);
            assert_eq!(shown, records(&format!("{url}{index}/"), &self.project));
            for version in VERSIONS {
                let found = shown.get(version).cloned().unwrap_or_default();
                let states = self.known.get_mut(&(index, version)).unwrap();
                let project = &self.project;
                assert!(
                    states.contains(&found),
                    "{project} {version} on {index} is {found:?}, not one of {states:?}"
                );
                *states = BTreeSet::from([found]);
            }
        }
    }
}

/// The files on the page, by version; bytes, size and sidecar of each are checked.
fn page(index: &str, project: &str) -> BTreeMap<String, Files> {
    let url = format!("{index}+simple/{project}/");
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let page = ask::send("GET", &url, &accept, b"").unwrap();
    let mut shown: BTreeMap<String, Files> = BTreeMap::new();
    if page.status == 404 {
        return shown;
    }
    assert_eq!(page.status, 200, "{page:?}");
    let base: url::Url = url.parse().unwrap();
    for file in page.json()["files"].as_array().unwrap() {
        let name = text(&file["filename"]);
        let digest = text(&file["hashes"]["sha256"]);
        let url = base.join(&text(&file["url"])).unwrap();
        let whole = ask::get(url.as_str()).unwrap();
        assert_eq!(whole.status, 200, "{name}: {whole:?}");
        assert_eq!(Sha256::of(&whole.bytes).to_hex(), digest, "{name}");
        assert_eq!(file["size"], whole.bytes.len(), "{name}");
        if name.ends_with(".whl") {
            let sidecar = ask::get(&format!("{url}.metadata")).unwrap();
            assert_eq!(sidecar.status, 200, "{name}: {sidecar:?}");
            let expected = text(&file["core-metadata"]["sha256"]);
            assert_eq!(Sha256::of(&sidecar.bytes).to_hex(), expected, "{name}");
        }
        let version = VERSIONS.into_iter().find(|version| name.contains(version));
        let release = shown.entry(version.unwrap().to_owned()).or_default();
        release.insert(name, digest);
    }
    shown
}

/// The same according to devpi's API.
fn records(index: &str, project: &str) -> BTreeMap<String, Files> {
    let answer = ask::send("GET", &format!("{index}{project}"), &JSON, b"").unwrap();
    if answer.status == 404 {
        return BTreeMap::new();
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    let versions = answer.json()["result"].as_object().unwrap().clone();
    let of = |data: &Value| {
        let links = data["+links"].as_array().unwrap().iter();
        let file = |link: &Value| {
            let name = text(&link["href"]);
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            (name, text(&link["hashes"]["sha256"]))
        };
        links.map(file).collect()
    };
    let releases = versions.iter();
    releases
        .map(|(version, data)| (version.clone(), of(data)))
        .collect()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

async fn is_sound(data: &Path) -> String {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("records.sqlite"));
    let mut records = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    let row = sqlx::query("PRAGMA integrity_check")
        .fetch_one(&mut records)
        .await;
    let answer = row.unwrap().get(0);
    records.close().await.unwrap();
    answer
}

fn seed() -> u64 {
    let given = std::env::var_os("CRASH_SEED").map(|seed| seed.into_string().unwrap());
    given.map_or_else(
        || {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).unwrap();
            u64::from_le_bytes(bytes)
        },
        |seed| seed.parse().unwrap(),
    )
}

/// Lets everybody work until the power is cut.
fn cut(program: Program, people: &mut [Person], dice: &mut Dice) -> usize {
    let url = program.manage_url().to_owned();
    let answered = AtomicUsize::new(0);
    let wanted = usize::try_from(dice.below(ANSWERS_MAX)).unwrap();
    let later = Duration::from_micros(dice.below(LATER_MAX.as_micros() as u64));
    thread::scope(|scope| {
        for person in people.iter_mut() {
            let (url, answered) = (&url, &answered);
            scope.spawn(move || person.work(url, answered));
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while answered.load(Ordering::SeqCst) < wanted && Instant::now() < deadline {
            thread::yield_now();
        }
        // This waits for nothing: the random instant is the point.
        thread::sleep(later);
        program.kill();
    });
    answered.into_inner()
}

/// Cuts the power again and again; `start` starts the server on a data folder, and `check` looks into it.
fn cut_power(kills: usize, start: &dyn Fn(&Path) -> Program, check: &dyn Fn(&Path)) {
    let (seed, started) = (seed(), Instant::now());
    eprintln!("CRASH_SEED={seed}");
    let mut dice = Dice(seed);
    let data = tempfile::tempdir().unwrap();
    let mut people: Vec<Person> = (0..CLIENTS)
        .map(|number| Person::new(number, Dice(dice.roll())))
        .collect();
    let (mut answered, mut open) = (0, 0);
    let mut program = start(data.path());
    for kill in 0..kills {
        answered += cut(program, &mut people, &mut dice);
        let states = people.iter().flat_map(|person| person.known.values());
        open += states.filter(|states| states.len() > 1).count();
        program = start(data.path());
        assert_eq!(leftovers(data.path()), 0, "after kill {kill}");
        check(data.path());
        let url = program.manage_url().to_owned();
        thread::scope(|scope| {
            for person in &mut people {
                let url = &url;
                scope.spawn(move || person.settle(url));
            }
        });
    }
    let took = started.elapsed();
    eprintln!("{kills} kills, {answered} answered, {open} cut off, in {took:?}");
    // Otherwise the test showed nothing: the cuts have to hit requests.
    assert!(
        answered > kills && open > kills,
        "{answered} answered, {open} cut off"
    );
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

#[test]
fn two_hundred_power_cuts_lose_no_answered_upload_and_show_no_half_of_another() {
    let runtime = runtime();
    let start = |data: &Path| Program::with_policies(POLICIES).data(data).start();
    let check = |data: &Path| assert_eq!(runtime.block_on(is_sound(data)), "ok");
    cut_power(200, &start, &check);
}

#[test]
fn sixty_power_cuts_of_a_gateway_on_postgresql_lose_no_answered_upload_either() {
    let cluster = Cluster::shared();
    let url = runtime().block_on(cluster.schema());
    let policies = format!("records: {{ postgres: {{ url: \"{url}\" }} }}\n{POLICIES}");
    let start = |data: &Path| Program::with_policies(&policies).data(data).start();
    let check = |data: &Path| assert!(!data.join("records.sqlite").exists());
    cut_power(60, &start, &check);
}
