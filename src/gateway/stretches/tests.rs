//! Laws of pages in stretches.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, Weak};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{File, Filename, ProjectState, UploadTime, UploadTimeSource, Yanked};
use crate::page::{ProjectPage, Ruling, merge};
use crate::store::Growing;

/// Short stretches, so that short pages have many.
const SHORT: Cut = Cut {
    least: 2,
    one_in: 3,
    most: 6,
};

const MEMBERS: usize = 2;

/// What happens between two renderings, by numbers that choose.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A member adds a file, or lists it with other facts.
    Put(usize, u8, i64),
    Remove(usize, u8),
    Status(usize, ProjectState),
    Reload,
    Silence(Option<i64>),
    /// Time passes, or the clock is put back.
    Wait(i64),
    Ask(TextOf, Encoding),
}

type TextOf = (usize, PageForm, Markup);

fn events() -> impl Strategy<Value = Vec<Event>> {
    let text = (
        0..2_usize,
        prop::sample::select(&[PageForm::Simple, PageForm::Default][..]),
        prop::sample::select(&[Markup::Json, Markup::Html][..]),
    );
    let states = prop::sample::select(&ProjectState::ALL[..]);
    let event = prop_oneof![
        12 => (0..MEMBERS, 0..60_u8, 0..90_i64)
            .prop_map(|(member, name, fact)| Event::Put(member, name, fact)),
        2 => (0..MEMBERS, 0..60_u8).prop_map(|(member, name)| Event::Remove(member, name)),
        1 => (0..MEMBERS, states).prop_map(|(member, state)| Event::Status(member, state)),
        1 => Just(Event::Reload),
        1 => prop::option::of(0..90_i64).prop_map(Event::Silence),
        3 => (-5..20_i64).prop_map(Event::Wait),
        8 => (text, prop::sample::select(&Encoding::ALL[..]))
            .prop_map(|(text, encoding)| Event::Ask(text, encoding)),
    ];
    prop::collection::vec(event, 0..160)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn file(name: &str, fact: i64) -> File {
    let project = ProjectName::parse("six").unwrap();
    let mut file = File::named(Filename::parse(name, &project).unwrap());
    file.size = Some(fact.unsigned_abs() % 3);
    file.upload_time = Some(UploadTime {
        at: at(fact),
        source: UploadTimeSource::Index,
    });
    if fact % 7 == 0 {
        file.yanked = Yanked::Yes(Some("broken".into()));
    }
    file
}

/// Two files of each version, which need not stand together.
fn name_of(number: u8) -> String {
    let ending = if number < 30 { "zip" } else { "tar.gz" };
    format!("six-{}.{ending}", number % 30)
}

/// A house in small: members with their pages, policies, and a clock.
#[derive(Debug)]
struct House {
    pages: Vec<ProjectPage>,
    generation: u64,
    siblings: Vec<Weak<ProjectPage>>,
    silent: Vec<(usize, Timestamp)>,
    now: i64,
}

impl House {
    fn new() -> Self {
        let page = ProjectPage::empty(ProjectName::parse("six").unwrap());
        Self {
            pages: vec![page; MEMBERS],
            generation: 1,
            silent: Vec::new(),
            siblings: Vec::new(),
            now: 40,
        }
    }

    fn with_files(count: usize) -> Self {
        let mut house = Self::new();
        let files = (0..count).map(|at| file(&format!("six-{at}.zip"), 0));
        house.pages[0].files.extend(files);
        house
    }

    fn follow(&mut self, event: Event) {
        match event {
            Event::Put(member, name, fact) => {
                let name = name_of(name);
                let files = &mut self.pages[member].files;
                match files.iter().position(|file| file.filename.as_str() == name) {
                    Some(at) => files[at] = file(&name, fact),
                    None => files.push(file(&name, fact)),
                }
            }
            Event::Remove(member, name) => {
                let name = name_of(name);
                let files = &mut self.pages[member].files;
                files.retain(|file| file.filename.as_str() != name);
            }
            Event::Status(member, state) => self.pages[member].status.state = state,
            Event::Reload => self.generation += 1,
            Event::Silence(since) => {
                self.silent = since.map(|since| (1, at(since))).into_iter().collect();
            }
            Event::Wait(seconds) => self.now += seconds,
            Event::Ask(..) => {}
        }
    }

    fn merged(&self) -> Merged {
        let pages = self.pages.iter().cloned().map(Arc::new);
        let layers = pages.enumerate().collect();
        merge(ProjectName::parse("six").unwrap(), layers)
    }

    /// One rule hides every file of a cool-down, which each generation makes longer, and nothing of
    /// a silent member matures. Another rule yanks, until it ends.
    fn decide(&self, entry: &Entry<'_>) -> Decided {
        let now = at(self.now);
        let silent = self
            .silent
            .iter()
            .find(|(member, _)| *member == entry.member);
        let seen = silent.map_or(now, |(_, since)| now.min(*since));
        let uploaded = entry.file.upload_time.unwrap().at;
        let cool_down = Duration::from_secs(10 * self.generation);
        let matures = uploaded + cool_down;
        let is_yanked = self.end_at().is_some() && entry.file.filename.as_str().contains('7');
        let ruling = if seen < matures {
            Ruling::Hide
        } else if is_yanked || entry.state == ProjectState::Deprecated {
            Ruling::ListAsYanked(format!("by {}", self.generation).into())
        } else {
            Ruling::List
        };
        Decided {
            ruling,
            next_change: (now < matures).then_some(matures),
        }
    }

    fn end_at(&self) -> Option<Timestamp> {
        let end = at(25 * i64::try_from(self.generation).unwrap());
        (at(self.now) < end).then_some(end)
    }

    /// The page, and how many of its files were decided on for it.
    fn render(
        &self,
        stretches: &Stretches,
        text: TextOf,
        encoding: Encoding,
    ) -> (Rendering, usize) {
        let rules = Rules {
            siblings: self.siblings.clone(),
            generation: self.generation,
            silent: self.silent.clone(),
            end_at: self.end_at(),
        };
        let merged = self.merged();
        let mut decided = 0;
        let decide = &mut |entry: &Entry<'_>| {
            decided += 1;
            self.decide(entry)
        };
        let how = (encoding, at(self.now));
        let growing = Arc::default();
        let begun = begun(&growing);
        let rendering = stretches.render(key(text), rules, &merged, decide, how, Some(begun));
        if let Some(sent) = sent(&growing) {
            // What was sent meanwhile is what is kept.
            let [sent, kept] = [&sent, &rendering.body].map(|body| unpacked(body, encoding));
            assert_eq!(sent, kept);
        }
        (rendering, decided)
    }
}

/// Where a page stands that is sent while it is written.
type Grown = Arc<Mutex<Option<Arc<Growing>>>>;

fn begun(grown: &Grown) -> Begun {
    let grown = Arc::clone(grown);
    Box::new(move |growing| *grown.lock().unwrap() = Some(growing))
}

/// What was sent, if anything.
fn sent(grown: &Grown) -> Option<Vec<u8>> {
    let growing = grown.lock().unwrap().take()?;
    assert!(growing.is_complete());
    let length = growing.file().metadata().unwrap().len();
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    growing.file().read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

fn key((index, form, markup): TextOf) -> TextKey {
    TextKey {
        index: IndexName::parse(["a/one", "a/two"][index]).unwrap(),
        project: ProjectName::parse("six").unwrap(),
        form,
        markup,
    }
}

fn kept_by(cut: Cut) -> Stretches {
    Stretches {
        cut,
        ..Stretches::new(64 << 20)
    }
}

fn unpacked(body: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut text = Vec::new();
    match encoding {
        Encoding::Identity => text.extend_from_slice(body),
        Encoding::Gzip => {
            let mut decoder = flate2::read::GzDecoder::new(body);
            decoder.read_to_end(&mut text).unwrap();
            assert!(decoder.into_inner().is_empty(), "one member");
        }
        Encoding::Zstd => text = zstd::decode_all(body).unwrap(),
    }
    text
}

const SIMPLE: TextOf = (0, PageForm::Simple, Markup::Json);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_page_of_stretches_is_the_page_made_whole(events in events()) {
        let mut house = House::new();
        let stretches = kept_by(SHORT);
        let mut tags: HashMap<(TextOf, Encoding), HashMap<String, Vec<u8>>> = HashMap::new();
        for event in events {
            house.follow(event);
            let Event::Ask(text, encoding) = event else {
                continue;
            };
            let (page, _) = house.render(&stretches, text, encoding);
            let whole = kept_by(Cut { most: usize::MAX, ..SHORT });
            let (whole, _) = house.render(&whole, text, Encoding::Identity);
            prop_assert_eq!(unpacked(&page.body, encoding), whole.body);
            prop_assert_eq!(page.next_change, whole.next_change);
            // A tag stands for its bytes, and these bytes for their tag.
            let tags = tags.entry((text, encoding)).or_default();
            let tag = page.etag.to_header().to_str().unwrap().to_owned();
            if let Some((known, _)) = tags.iter().find(|(_, body)| **body == page.body) {
                prop_assert_eq!(known, &tag);
            }
            let body = tags.entry(tag).or_insert_with(|| page.body.clone());
            prop_assert_eq!(&*body, &page.body);
        }
    }
}

#[test]
fn a_hidden_file_that_moves_a_boundary_changes_the_tag_of_the_pieces_only() {
    let mut house = House::with_files(40);
    house.now = 1_000;
    let ask = |house: &House, encoding| house.render(&kept_by(SHORT), SIMPLE, encoding).0;
    let plain = ask(&house, Encoding::Identity);
    let packed = ask(&house, Encoding::Gzip);
    let mut moved = 0;
    for at in 0..40 {
        let hidden = file(&format!("six-1.dev{at}.zip"), 999);
        house.pages[0].files.insert(at, hidden);
        let (same, other) = (ask(&house, Encoding::Identity), ask(&house, Encoding::Gzip));
        assert_eq!(
            (same.body, same.etag),
            (plain.body.clone(), plain.etag.clone())
        );
        assert_eq!(other.body == packed.body, other.etag == packed.etag);
        moved += usize::from(other.body != packed.body);
        house.pages[0].files.remove(at);
    }
    assert!(moved > 0);
}

#[test]
fn an_upload_into_a_long_page_costs_a_stretch_or_two() {
    let mut house = House::with_files(10_000);
    house.now = 1_000;
    let stretches = Stretches::new(64 << 20);
    let ask = |house: &House| house.render(&stretches, SIMPLE, Encoding::Identity).1;
    assert_eq!(ask(&house), 10_000);
    assert_eq!(ask(&house), 0);
    // Late files, as uploads are, and one among the others.
    for (name, at) in [
        ("six-10000.zip", 10_000),
        ("six-10001.zip", 10_001),
        ("six-1.dev1.zip", 5_000),
    ] {
        house.pages[0].files.insert(at, file(name, 0));
        let decided = ask(&house);
        assert!(
            (1..=3 * Cut::OF_PAGES.most).contains(&decided),
            "{name}: {decided}"
        );
    }
    let text = stretches.kept.get(&key(SIMPLE)).unwrap();
    assert!(text.stretches() > 40, "{}", text.stretches());
}

#[test]
fn a_stretch_is_used_again_only_where_it_was_made() {
    let mut house = House::with_files(600);
    house.now = 1_000;
    house.pages[0].files[300] = file("six-300.zip", 995);
    let stretches = Stretches::new(64 << 20);
    let ask = |house: &House, text| house.render(&stretches, text, Encoding::Identity).1;
    assert_eq!(ask(&house, SIMPLE), 600);
    assert_eq!(ask(&house, SIMPLE), 0);
    let (_, form, markup) = SIMPLE;
    assert_eq!(ask(&house, (1, form, markup)), 600, "another index");
    assert_eq!(
        ask(&house, (0, PageForm::Default, markup)),
        600,
        "another form"
    );
    assert_eq!(ask(&house, (0, form, Markup::Html)), 600, "another markup");
    house.now = 1_004;
    assert_eq!(ask(&house, SIMPLE), 0, "before the cool-down ends");
    house.now = 1_005;
    let decided = ask(&house, SIMPLE);
    assert!((1..=256).contains(&decided), "when it ends: {decided}");
    house.now = 1_000;
    assert!(ask(&house, SIMPLE) > 0, "the clock was put back");
    house.silent = vec![(1, at(900))];
    assert_eq!(ask(&house, SIMPLE), 600, "an upstream is silent");
    house.generation = 2;
    assert_eq!(ask(&house, SIMPLE), 600, "another generation");
    assert_eq!(ask(&house, SIMPLE), 0);
    let [one, other] = [0, 1].map(|at| Arc::new(house.pages[at].clone()));
    house.siblings = vec![Arc::downgrade(&one)];
    assert_eq!(ask(&house, SIMPLE), 600, "a rule asks for siblings");
    assert_eq!(ask(&house, SIMPLE), 0);
    house.siblings = vec![Arc::downgrade(&other)];
    assert_eq!(ask(&house, SIMPLE), 600, "other siblings");
}

#[test]
fn a_long_page_that_is_not_known_is_sent_while_it_is_written() {
    let house = House::with_files(600);
    let merged = house.merged();
    let render = |stretches: &Stretches, merged: &Merged, encoding| {
        let rules = Rules {
            siblings: Vec::new(),
            generation: 1,
            silent: Vec::new(),
            end_at: None,
        };
        let (grown, (tell, told)) = (Grown::default(), std::sync::mpsc::channel());
        let note = begun(&grown);
        let begun: Begun = Box::new(move |growing| {
            note(growing);
            tell.send(()).unwrap();
        });
        let mut decided = 0;
        // Of the last file it is not decided before the page can be read.
        let decide = &mut |entry: &Entry<'_>| {
            decided += 1;
            if decided == 600 && encoding != Encoding::Zstd {
                told.recv_timeout(Duration::from_secs(60)).unwrap();
            }
            let is_hidden = decided <= 200;
            let ruling = if is_hidden {
                Ruling::Hide
            } else {
                Ruling::List
            };
            let _ = entry;
            Decided {
                ruling,
                next_change: None,
            }
        };
        let how = (encoding, at(0));
        let page = stretches.render(key(SIMPLE), rules, merged, decide, how, Some(begun));
        (page, sent(&grown))
    };
    for encoding in Encoding::ALL {
        let stretches = Stretches::new(64 << 20);
        let (page, sent) = render(&stretches, &merged, encoding);
        assert_eq!(sent.is_some(), encoding != Encoding::Zstd, "{encoding:?}");
        if let Some(sent) = sent {
            let [sent, kept] = [&sent, &page.body].map(|body| unpacked(body, encoding));
            assert!(sent == kept, "{encoding:?}");
        }
        let (_, again) = render(&stretches, &merged, encoding);
        assert!(again.is_none(), "what is known is answered whole");
    }
}

#[test]
fn a_rule_that_ends_ends_every_stretch() {
    let mut house = House::with_files(600);
    (house.now, house.generation) = (49, 2);
    let stretches = Stretches::new(64 << 20);
    let ask = |house: &House| house.render(&stretches, SIMPLE, Encoding::Identity).1;
    assert_eq!((ask(&house), ask(&house)), (600, 0));
    house.now = 50;
    assert_eq!((ask(&house), ask(&house)), (600, 0));
}

#[test]
fn what_is_kept_is_long_and_weighed_with_its_compressed_form() {
    let house = House::with_files(600);
    let stretches = Stretches::new(64 << 20);
    let weigh = |encoding| {
        let (page, _) = house.render(&stretches, SIMPLE, encoding);
        let kept = stretches.kept.get(&key(SIMPLE)).unwrap();
        (kept.weight_bytes(), page.body.len())
    };
    let (plain, text) = weigh(Encoding::Identity);
    let (packed, gzip) = weigh(Encoding::Gzip);
    assert!(
        plain > text && packed > plain + gzip / 2,
        "{plain} {packed}"
    );
    let short = Stretches::new(64 << 20);
    House::with_files(256).render(&short, SIMPLE, Encoding::Gzip);
    assert!(short.kept.get(&key(SIMPLE)).is_none());
}
