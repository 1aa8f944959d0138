//! Projects with what is said of them: an index from each word to where it stands.
//!
//! The dictionary is a finite-state map, so that words are also found by how they begin and nearly; behind
//! it, one list holds the places of all words, each a number that is an entry and the fields.

use fst::{IntoStreamer as _, Map, Streamer as _};

use crate::search::names::NameTable;
use crate::search::query::SearchQuery;
use crate::search::rank::{
    ProjectOrigin, WordField, WordLikeness, together, word_score, words_score,
};
use crate::search::typos::{Typos, slips};

/// Most words of the dictionary that begin with what was typed and are looked at, in the order of letters.
pub const BEGINNINGS_MAX: usize = 200;

/// Most words of the dictionary with a slip that are looked at.
pub const NEAR_MAX: usize = 50;

/// A word that is shorter, in characters, is looked for as it is: very many begin with any letter.
const BEGINNING_FROM: usize = 2;

/// Bits of a place that tell the fields.
pub const FIELD_BITS: u32 = 5;

/// Most entries: what is left of 32 bits.
pub const ENTRIES_MAX: usize = 1 << (32 - FIELD_BITS);

/// What one index has of one project.
#[derive(Debug, Clone, Copy)]
pub struct ShelfEntry {
    /// The number of its name in the shelf's table.
    pub name: u32,
    /// The index, by its number.
    pub index: u16,
    /// Why the index has it.
    pub origin: ProjectOrigin,
    /// Where its version and summary stand in the shelf's text.
    pub version: (u32, u8),
    pub summary: (u32, u16),
}

/// Entries, by name and index, with their words.
#[derive(Debug)]
pub struct Shelf {
    pub(super) names: NameTable,
    pub(super) entries: Vec<ShelfEntry>,
    /// For each name the first of its entries, and the end.
    pub(super) firsts: Vec<u32>,
    pub(super) text: String,
    pub(super) words: Map<Vec<u8>>,
    /// For each word the first of its places, and the end.
    pub(super) ranges: Vec<u32>,
    pub(super) places: Vec<u32>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            names: NameTable::default(),
            entries: Vec::new(),
            firsts: vec![0],
            text: String::new(),
            words: Map::default(),
            ranges: vec![0],
            places: Vec::new(),
        }
    }
}

/// What a name is worth by what one index has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The number of the name.
    pub name: u32,
    /// How much.
    pub score: u32,
    /// The entry whose words make it that; `None` if its name is enough.
    pub told_by: Option<u32>,
}

/// For each entry what was found of it so far.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    /// Words that were found.
    found: u16,
    /// The one that is looked for now.
    best: u16,
    sum: u32,
}

impl Shelf {
    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let numbers = self.firsts.len() + self.ranges.len() + self.places.len();
        let entries = self.entries.len() * size_of::<ShelfEntry>();
        let texts = self.text.len() + self.words.as_fst().size();
        self.names.bytes() + entries + texts + 4 * numbers
    }

    /// The entries of a name.
    pub fn entries_of(&self, name: u32) -> impl Iterator<Item = (u32, &ShelfEntry)> {
        let (first, end) = (self.firsts[name as usize], self.firsts[name as usize + 1]);
        (first..end).map(|number| (number, &self.entries[number as usize]))
    }

    /// The version and the summary of an entry; either may be empty.
    pub fn texts(&self, entry: &ShelfEntry) -> (&str, &str) {
        let (version, summary) = (entry.version, entry.summary);
        let version = version.0 as usize..version.0 as usize + usize::from(version.1);
        let summary = summary.0 as usize..summary.0 as usize + usize::from(summary.1);
        (&self.text[version], &self.text[summary])
    }

    /// The names that fit, with what they are worth by the words of an entry and without them. Only entries
    /// that `is_shown` wants count.
    pub fn find(
        &self,
        query: &SearchQuery,
        typos: &Typos,
        is_shown: &dyn Fn(u32, &ShelfEntry) -> bool,
    ) -> Vec<Claim> {
        let shown = |name: u32| {
            let entries = self.entries_of(name);
            entries.filter(|(number, entry)| is_shown(*number, entry))
        };
        let mut of_names = vec![0_u32; self.names.len()];
        let mut of_words = vec![0_u32; self.entries.len()];
        let mut of_own_name = vec![0_u32; self.entries.len()];
        let mut touched = Vec::new();
        let named = self
            .names
            .find(query, typos, &|name| shown(name).next().is_some());
        for (name, score) in named {
            let known = &mut of_names[name as usize];
            *known = score.max(*known);
            touched.push(name);
        }
        let words = query.words().iter();
        let likes: Vec<_> = words.map(|word| self.words_like(word, typos)).collect();
        for (number, score) in self.find_words(&likes, u8::MAX) {
            of_words[number as usize] = score;
            touched.push(self.entries[number as usize].name);
        }
        for (number, score) in self.find_words(&likes, WordField::Name.bit()) {
            of_own_name[number as usize] = score;
        }
        touched.sort_unstable();
        touched.dedup();
        let mut claims = Vec::new();
        for name in touched {
            let named = of_names[name as usize];
            for (number, entry) in shown(name) {
                let at = number as usize;
                let told = together(named, of_words[at]);
                let untold = together(named, of_own_name[at]);
                let mut claim = |score: u32, told_by| {
                    let score = score + entry.origin.bonus();
                    claims.push(Claim {
                        name,
                        score,
                        told_by,
                    });
                };
                if untold > 0 {
                    claim(untold, None);
                }
                if told > untold {
                    claim(told, Some(number));
                }
            }
        }
        claims
    }

    /// The entries that have all the words in these fields, each with what that is worth.
    fn find_words(&self, likes: &[Vec<(usize, WordLikeness)>], wanted: u8) -> Vec<(u32, u32)> {
        let mut tallies = vec![Tally::default(); self.entries.len()];
        let mut had: Vec<u32> = Vec::new();
        for (before, like) in (0..).zip(likes) {
            let mut has: Vec<u32> = Vec::new();
            for &(number, likeness) in like {
                let range = self.ranges[number]..self.ranges[number + 1];
                for place in &self.places[range.start as usize..range.end as usize] {
                    let (entry, fields) = (place >> FIELD_BITS, place & ((1 << FIELD_BITS) - 1));
                    let fields = u8::try_from(fields).unwrap_or(0) & wanted;
                    if fields == 0 {
                        continue;
                    }
                    let tally = &mut tallies[entry as usize];
                    // Only what has every word until now.
                    if tally.found < before {
                        continue;
                    }
                    if tally.best == 0 {
                        has.push(entry);
                    }
                    let score = word_score(fields, likeness);
                    tally.best = tally.best.max(u16::try_from(score).unwrap_or(u16::MAX));
                }
            }
            for entry in &has {
                let tally = &mut tallies[*entry as usize];
                tally.found = before + 1;
                tally.sum += u32::from(std::mem::take(&mut tally.best));
            }
            had = has;
            if had.is_empty() {
                break;
            }
        }
        let words = likes.len();
        let scored = had
            .into_iter()
            .map(|entry| (entry, words_score(tallies[entry as usize].sum, words)));
        scored.collect()
    }

    /// The words of the dictionary that a word may stand for, each once or more.
    fn words_like(&self, word: &str, typos: &Typos) -> Vec<(usize, WordLikeness)> {
        let mut like = Vec::new();
        let mut take = |number: u64, likeness| {
            if let Ok(number) = usize::try_from(number) {
                like.push((number, likeness));
            }
        };
        if let Some(number) = self.words.get(word) {
            take(number, WordLikeness::Same);
        }
        if word.chars().count() >= BEGINNING_FROM {
            let mut stream = self.words.range().gt(word).into_stream();
            let mut left = BEGINNINGS_MAX;
            while let Some((other, number)) = stream.next() {
                if left == 0 || !other.starts_with(word.as_bytes()) {
                    break;
                }
                take(number, WordLikeness::Beginning);
                left -= 1;
            }
        }
        if let Some(near) = typos.near(word) {
            let mut stream = self.words.search(&near).into_stream();
            let mut left = NEAR_MAX;
            while let Some((other, number)) = stream.next() {
                let slips = slips(&near, other);
                if slips == 0 {
                    continue;
                }
                take(number, WordLikeness::Slips(slips));
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        like
    }

    /// The words of each entry, with their fields: for a shelf that takes these entries over.
    pub fn words_by_entry(&self) -> (Vec<String>, Vec<Vec<(u32, u8)>>) {
        let mut by_entry = vec![Vec::new(); self.entries.len()];
        let mut words = vec![String::new(); self.ranges.len() - 1];
        let mut stream = self.words.stream();
        while let Some((word, number)) = stream.next() {
            let Ok(at) = usize::try_from(number) else {
                continue;
            };
            words[at] = String::from_utf8_lossy(word).into_owned();
            let word = u32::try_from(at).unwrap_or(u32::MAX);
            let range = self.ranges[at] as usize..self.ranges[at + 1] as usize;
            for place in &self.places[range] {
                let fields = u8::try_from(place & ((1 << FIELD_BITS) - 1)).unwrap_or(0);
                by_entry[(place >> FIELD_BITS) as usize].push((word, fields));
            }
        }
        (words, by_entry)
    }
}
