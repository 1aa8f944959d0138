//! What is found is what a plain look at every name and word finds, in the same order.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{IndexName, ProjectName, SearchLimits};
use crate::page::ProjectNames;
use crate::search::edition::{Catalogue, Edition, Holding};
use crate::search::lists::ListedNames;
use crate::search::query::SearchQuery;
use crate::search::rank::{
    INSIDE_FROM, ProjectOrigin, WordField, WordLikeness, beginning_score, inside_score,
    scattered_score, slips_score, together, word_score, words_score,
};
use crate::search::shelving::{Item, Shelving};
use crate::search::typos::slips_allowed;
use crate::search::words::words_of;

const NAMES: usize = 20_000;

const PARTS: [&str; 24] = [
    "django", "flask", "rest", "api", "client", "pytest", "cov", "data", "frame", "ba", "na",
    "requests", "request", "toolbelt", "x", "io", "async", "http", "yaml", "json", "core", "numpy",
    "num", "py",
];

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn part(&mut self) -> String {
        match self.roll(3) {
            0 => (0..=self.roll(7))
                .map(|_| char::from(b'a' + u8::try_from(self.roll(26)).unwrap()))
                .collect(),
            _ => PARTS[self.roll(PARTS.len())].to_owned(),
        }
    }

    fn name(&mut self) -> String {
        let parts: Vec<String> = (0..=self.roll(3)).map(|_| self.part()).collect();
        parts.join("-")
    }

    /// The same with a slip of the finger.
    fn slipped(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        let at = self.roll(letters.len());
        match self.roll(4) {
            0 => drop(letters.remove(at)),
            1 => letters.insert(at, 'q'),
            2 => letters[at] = 'q',
            _ if at > 0 => letters.swap(at - 1, at),
            _ => {}
        }
        letters.into_iter().collect()
    }
}

fn names(dice: &mut Dice) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    while names.len() < NAMES {
        names.insert(dice.name());
    }
    names
}

/// Slips between two texts, by the table that everybody writes.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
    for (at, row) in table.iter_mut().enumerate() {
        row[0] = at;
    }
    for (at, first) in table[0].iter_mut().enumerate() {
        *first = at;
    }
    for a in 1..=one.len() {
        for b in 1..=other.len() {
            let change = table[a - 1][b - 1] + usize::from(one[a - 1] != other[b - 1]);
            let mut least = change.min(table[a - 1][b] + 1).min(table[a][b - 1] + 1);
            if a > 1 && b > 1 && one[a - 1] == other[b - 2] && one[a - 2] == other[b - 1] {
                least = least.min(table[a - 2][b - 2] + 1);
            }
            table[a][b] = least;
        }
    }
    table[one.len()][other.len()]
}

/// How well a name fits, by looking at it alone.
fn name_score(name: &str, query: &SearchQuery) -> u32 {
    let mut best = beginning_score(name, query).unwrap_or(0);
    if best == 0 {
        let is_short = query.name().len() < INSIDE_FROM;
        let is_part = name.contains(&format!("-{}", query.name()));
        if is_part || !is_short && name.contains(query.name()) {
            best = inside_score(name, is_part, query);
        }
    }
    let words = query.words();
    let has_long = words.iter().any(|word| word.len() >= INSIDE_FROM);
    if words.len() > 1 && has_long && words.iter().all(|word| name.contains(word.as_str())) {
        best = best.max(scattered_score(name, query));
    }
    let is_near = name.len().abs_diff(query.name().len()) <= 2;
    let slips = if is_near {
        distance(name, query.name())
    } else {
        0
    };
    if slips > 0 && slips <= usize::from(slips_allowed(query.name())) {
        best = best.max(slips_score(u8::try_from(slips).unwrap()));
    }
    best
}

fn ranked(scored: impl Iterator<Item = (String, u32)>, most: usize) -> Vec<String> {
    let mut scored: Vec<(String, u32)> = scored.filter(|(_, score)| *score > 0).collect();
    scored.sort_by(|one, other| (Reverse(one.1), &one.0).cmp(&(Reverse(other.1), &other.0)));
    scored
        .into_iter()
        .take(most)
        .map(|(name, _)| name)
        .collect()
}

fn index(name: &str) -> IndexName {
    IndexName::parse(name).unwrap()
}

fn catalogue() -> Catalogue {
    Catalogue::new(&SearchLimits::default())
}

fn found(catalogue: &Catalogue, edition: &Edition, typed: &str, most: usize) -> Vec<String> {
    let scope = edition.scope(|_| true);
    let query = SearchQuery::parse(typed);
    let found = catalogue.search(edition, &query, (&scope, most), &|_, _| true);
    found.map(|name| name.to_string()).collect()
}

fn listed(names: &BTreeSet<String>) -> ProjectNames {
    let names: Vec<ProjectName> = names.iter().map(|name| name.parse().unwrap()).collect();
    names.iter().collect()
}

/// Whole names, beginnings, insides, two words, and all of them mistyped.
fn queries(dice: &mut Dice, names: &BTreeSet<String>) -> Vec<String> {
    let all: Vec<&String> = names.iter().collect();
    let mut queries: Vec<String> = [
        "p",
        "py",
        "num",
        "django rest",
        "x y",
        "nothing-like-this",
        "ana",
    ]
    .map(str::to_owned)
    .to_vec();
    for _ in 0..15 {
        let name = all[dice.roll(all.len())];
        let begin = dice.roll(name.len());
        let end = begin + 1 + dice.roll(name.len() - begin);
        queries.push(name.clone());
        queries.push(name[..end].to_owned());
        queries.push(name[begin..end].to_owned());
        queries.push(dice.slipped(name));
        let once = dice.slipped(name);
        queries.push(if once.is_empty() {
            once
        } else {
            dice.slipped(&once)
        });
        queries.push(format!(
            "{} {}",
            PARTS[dice.roll(PARTS.len())],
            PARTS[dice.roll(PARTS.len())]
        ));
    }
    queries
}

#[test]
fn names_are_found_and_ranked_as_by_looking_at_each() {
    let mut dice = Dice(1);
    let names = names(&mut dice);
    let edition = of_one_list(&names);
    let catalogue = catalogue();
    for typed in queries(&mut dice, &names) {
        let query = SearchQuery::parse(&typed);
        if query.is_empty() {
            continue;
        }
        let expected = ranked(
            names
                .iter()
                .map(|name| (name.clone(), name_score(name, &query))),
            100,
        );
        let got = found(&catalogue, &edition, &typed, 100);
        assert_eq!(got, expected, "{typed}");
        for most in [1, 7, 20] {
            let page = found(&catalogue, &edition, &typed, most);
            assert_eq!(
                page,
                expected[..most.min(expected.len())],
                "{typed}, {most}"
            );
        }
    }
}

/// What an index has of a project, and what is said of it.
struct Told {
    name: String,
    index: u16,
    origin: ProjectOrigin,
    summary: String,
    import: String,
    keywords: String,
}

fn told(dice: &mut Dice) -> Vec<Told> {
    let words = |dice: &mut Dice, most: usize| {
        let words: Vec<String> = (0..dice.roll(most)).map(|_| dice.part()).collect();
        words.join(" ")
    };
    let told = (0..1_500).map(|at| Told {
        name: dice.name(),
        index: u16::try_from(at % 3).unwrap(),
        origin: if at % 2 == 0 {
            ProjectOrigin::Private
        } else {
            ProjectOrigin::AskedFor
        },
        summary: words(dice, 8),
        import: words(dice, 2),
        keywords: words(dice, 4),
    });
    let mut told: Vec<Told> = told.collect();
    told.sort_by(|one, other| (&one.name, one.index).cmp(&(&other.name, other.index)));
    told.dedup_by(|one, other| one.name == other.name && one.index == other.index);
    told
}

fn shelve(told: &[Told], is_wanted: impl Fn(usize) -> bool) -> Shelving {
    let mut shelving = Shelving::new(64 << 20);
    for (_, one) in told.iter().enumerate().filter(|(at, _)| is_wanted(*at)) {
        let item = Item {
            name: &one.name,
            index: one.index,
            origin: one.origin,
            version: "1.0",
            summary: &one.summary,
        };
        let texts = [
            (WordField::Import, &*one.import),
            (WordField::Keyword, &*one.keywords),
        ];
        shelving.put(item, texts.into_iter());
    }
    shelving
}

/// How well the words fit what is told, by looking at each word of it.
fn told_score(told: &Told, query: &SearchQuery) -> u32 {
    let fields = [
        (WordField::Name, &told.name),
        (WordField::Summary, &told.summary),
        (WordField::Import, &told.import),
        (WordField::Keyword, &told.keywords),
    ];
    let mut sum = 0;
    for word in query.words() {
        let mut best = 0;
        for (field, text) in fields {
            for other in words_of(text) {
                let slips = distance(&other, word);
                if other == *word {
                    best = best.max(word_score(field.bit(), WordLikeness::Same));
                } else if other.starts_with(word.as_str()) && word.len() >= 2 {
                    best = best.max(word_score(field.bit(), WordLikeness::Beginning));
                }
                if slips > 0 && slips <= usize::from(slips_allowed(word)) {
                    let slips = WordLikeness::Slips(u8::try_from(slips).unwrap());
                    best = best.max(word_score(field.bit(), slips));
                }
            }
        }
        if best == 0 {
            return 0;
        }
        sum += best;
    }
    words_score(sum, query.words().len())
}

/// The score of each name, as far as these indexes are in the scope.
fn told_scores(
    told: &[Told],
    query: &SearchQuery,
    in_scope: impl Fn(u16) -> bool,
) -> Vec<(String, u32)> {
    let names: BTreeSet<&String> = told.iter().map(|one| &one.name).collect();
    let scores = names.into_iter().filter_map(|name| {
        let own = told
            .iter()
            .filter(|one| one.name == *name && in_scope(one.index));
        let own: Vec<&Told> = own.collect();
        let named = name_score(name, query);
        let scores = own.iter().filter_map(|one| {
            let score = together(named, told_score(one, query));
            (score > 0).then(|| score + one.origin.bonus())
        });
        Some((name.clone(), scores.max()?))
    });
    scores.collect()
}

#[test]
fn words_are_found_and_ranked_as_by_looking_at_each_and_only_in_the_scope() {
    let mut dice = Dice(2);
    let told = told(&mut dice);
    let names: BTreeSet<String> = told.iter().map(|one| one.name.clone()).collect();
    // Half of them on each shelf, and the first shelf has the others too, outdated.
    let base = shelve(&told, |_| true).finish();
    let outdated = (0..u32::try_from(told.len()).unwrap()).filter(|at| at % 2 == 1);
    let edition = Edition {
        indexes: ["a/a", "b/b", "c/c"].map(index).to_vec(),
        base: Arc::new(base),
        recent: Arc::new(shelve(&told, |at| at % 2 == 1).finish()),
        outdated: Arc::new(outdated.collect()),
        ..Edition::default()
    };
    let mut merged = Shelving::new(64 << 20);
    merged.put_all(&edition.base, &|number| number % 2 == 0);
    merged.put_all(&edition.recent, &|_| true);
    let merged = Edition {
        indexes: edition.indexes.clone(),
        base: Arc::new(merged.finish()),
        ..Edition::default()
    };
    let catalogue = catalogue();
    for typed in queries(&mut dice, &names) {
        let query = SearchQuery::parse(&typed);
        if query.is_empty() {
            continue;
        }
        for hidden in [None, Some(1)] {
            let in_scope = |number: u16| Some(number) != hidden;
            let scored = told_scores(&told, &query, in_scope);
            let expected = ranked(scored.into_iter(), 100);
            for edition in [&edition, &merged] {
                let scope = edition.scope(|name| hidden.is_none() || name.as_str() != "b/b");
                let got = catalogue.search(edition, &query, (&scope, 100), &|_, _| true);
                let got: Vec<String> = got.map(|name| name.to_string()).collect();
                assert_eq!(got, expected, "{typed} without {hidden:?}");
            }
        }
    }
}

#[test]
fn what_is_beyond_the_room_is_left_out_and_that_is_told() {
    let mut dice = Dice(3);
    let names = names(&mut dice);
    let joined = ListedNames::join(&[(0, listed(&names))], 100_000);
    assert!(joined.is_full() && joined.names.len() < NAMES && joined.bytes() < 200_000);
    let mut shelving = Shelving::new(10_000);
    shelving.put_all(&shelve(&told(&mut dice), |_| true).finish(), &|_| true);
    assert!(shelving.is_full());
    let shelf = shelving.finish();
    assert!(
        !shelf.entries.is_empty() && shelf.bytes() < 40_000,
        "{}",
        shelf.bytes()
    );
}

/// An edition with nothing but what one mirror lists.
fn of_one_list(names: &BTreeSet<String>) -> Edition {
    Edition {
        indexes: vec![index("root/pypi")],
        lists: Arc::new(ListedNames::join(&[(0, listed(names))], usize::MAX)),
        ..Edition::default()
    }
}

#[test]
fn who_means_requests_finds_it() {
    let names: BTreeSet<String> = [
        "requests",
        "requests-toolbelt",
        "request",
        "grequests",
        "types-requests",
        "six",
    ]
    .map(str::to_owned)
    .into();
    let edition = of_one_list(&names);
    let catalogue = catalogue();
    let table: [(&str, &[&str]); 5] = [
        (
            "requests",
            &[
                "requests",
                "requests-toolbelt",
                "grequests",
                "request",
                "types-requests",
            ],
        ),
        ("reqeusts", &["requests", "grequests", "request"]),
        ("toolbelt requests", &["requests-toolbelt"]),
        ("Six", &["six"]),
        ("siz", &[]),
    ];
    for (typed, expected) in table {
        assert_eq!(found(&catalogue, &edition, typed, 10), expected, "{typed}");
    }
}

#[test]
fn words_of_what_may_not_be_told_neither_find_nor_rank() {
    let mut dice = Dice(4);
    let told = told(&mut dice);
    let names: BTreeSet<String> = told.iter().map(|one| one.name.clone()).collect();
    let is_refused = |one: &Told| one.index == 1;
    let silent: Vec<Told> = told
        .iter()
        .map(|one| match is_refused(one) {
            true => Told {
                name: one.name.clone(),
                summary: String::new(),
                import: String::new(),
                keywords: String::new(),
                ..*one
            },
            false => Told {
                name: one.name.clone(),
                summary: one.summary.clone(),
                import: one.import.clone(),
                keywords: one.keywords.clone(),
                ..*one
            },
        })
        .collect();
    let edition = |told: &[Told]| Edition {
        indexes: ["a/a", "b/b", "c/c"].map(index).to_vec(),
        base: Arc::new(shelve(told, |at| at % 2 == 0).finish()),
        recent: Arc::new(shelve(told, |at| at % 2 == 1).finish()),
        ..Edition::default()
    };
    let (loud, silent, catalogue) = (edition(&told), edition(&silent), catalogue());
    let mut asked = 0;
    for typed in queries(&mut dice, &names) {
        let query = SearchQuery::parse(&typed);
        let expected = found(&catalogue, &silent, &typed, 100);
        let scope = loud.scope(|_| true);
        let may_tell = |_: &str, one: Holding<'_>| one.index.as_str() != "b/b";
        let got = catalogue.search(&loud, &query, (&scope, 100), &may_tell);
        let got: Vec<String> = got.map(|name| name.to_string()).collect();
        assert_eq!(got, expected, "{typed}");
        asked += usize::from(got != found(&catalogue, &loud, &typed, 100));
    }
    assert!(asked > 10, "{asked}");
}

#[test]
fn either_of_several_words_is_enough_where_that_is_asked() {
    let names: BTreeSet<String> = ["brie", "brie-gouda", "edam", "gouda"]
        .map(str::to_owned)
        .into();
    let edition = of_one_list(&names);
    let catalogue = catalogue();
    let scope = edition.scope(|_| true);
    let query = SearchQuery::either("brie gouda");
    let got = catalogue.search(&edition, &query, (&scope, 10), &|_, _| true);
    let got: Vec<String> = got.map(|name| name.to_string()).collect();
    assert_eq!(got, ["brie", "brie-gouda", "gouda"]);
    assert_eq!(
        found(&catalogue, &edition, "brie gouda", 10),
        ["brie-gouda"]
    );
}
