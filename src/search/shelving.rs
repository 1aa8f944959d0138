//! Makes a shelf: takes entries in any order, and sorts them and their words in the end.

use std::collections::HashMap;

use fst::MapBuilder;

use crate::search::names::NameTableBuilder;
use crate::search::rank::{ProjectOrigin, WordField};
use crate::search::shelf::{ENTRIES_MAX, FIELD_BITS, Shelf, ShelfEntry};
use crate::search::words::words_of;

/// Longest version that is shown, in bytes.
const VERSION_BYTES_MAX: usize = 64;

/// Longest summary that is shown and searched, in bytes: core metadata wants one line.
const SUMMARY_BYTES_MAX: usize = 500;

/// Most different words of one entry: a summary, keywords and classifiers have some dozens.
const WORDS_MAX: usize = 300;

/// What a draft takes besides its texts and words.
const DRAFT_BYTES: usize = 120;

/// What one index has of one project, as it is put on a shelf.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The project's name, normalised.
    pub name: &'a str,
    /// The index, by its number.
    pub index: u16,
    /// Why the index has it.
    pub origin: ProjectOrigin,
    /// The version that says the rest.
    pub version: &'a str,
    /// Its summary.
    pub summary: &'a str,
}

#[derive(Debug)]
struct EntryDraft {
    name: Box<str>,
    index: u16,
    origin: ProjectOrigin,
    version: Box<str>,
    summary: Box<str>,
    words: Vec<(u32, u8)>,
}

/// A shelf that is being made.
#[derive(Debug)]
pub struct Shelving {
    drafts: Vec<EntryDraft>,
    vocabulary: HashMap<Box<str>, u32>,
    bytes: usize,
    bytes_max: usize,
    is_full: bool,
}

impl Shelving {
    /// One that takes as much as fits into so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            drafts: Vec::new(),
            vocabulary: HashMap::new(),
            bytes: 0,
            bytes_max,
            is_full: false,
        }
    }

    /// Whether something was left out.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds an entry with the texts whose words are searched, in their fields; the name's parts and the summary
    /// are among them by themselves.
    pub fn put<'a>(&mut self, item: Item<'a>, texts: impl Iterator<Item = (WordField, &'a str)>) {
        if self.has_no_room() {
            return;
        }
        let mut words: HashMap<u32, u8> = HashMap::new();
        let own = [
            (WordField::Name, item.name),
            (WordField::Summary, cut(item.summary)),
        ];
        for (field, text) in own.into_iter().chain(texts) {
            for word in words_of(text) {
                let number = self.number_of(word);
                if words.len() < WORDS_MAX || words.contains_key(&number) {
                    *words.entry(number).or_default() |= field.bit();
                }
            }
        }
        self.take(item, words.into_iter().collect());
    }

    /// Takes over the entries of a shelf that `is_kept` wants.
    pub fn put_all(&mut self, shelf: &Shelf, is_kept: &dyn Fn(u32) -> bool) {
        let (words, by_entry) = shelf.words_by_entry();
        let mut numbers: Vec<Option<u32>> = vec![None; words.len()];
        for (number, own) in (0_u32..).zip(by_entry) {
            if !is_kept(number) {
                continue;
            }
            let entry = &shelf.entries[number as usize];
            let (version, summary) = shelf.texts(entry);
            let item = Item {
                name: shelf.names.name(entry.name),
                index: entry.index,
                origin: entry.origin,
                version,
                summary,
            };
            if self.has_no_room() {
                return;
            }
            let own = own.into_iter().map(|(word, fields)| {
                let word = word as usize;
                let number =
                    numbers[word].get_or_insert_with(|| self.number_of(words[word].clone()));
                (*number, fields)
            });
            let own = own.collect();
            self.take(item, own);
        }
    }

    fn has_no_room(&mut self) -> bool {
        self.is_full |= self.bytes >= self.bytes_max;
        self.is_full
    }

    fn number_of(&mut self, word: String) -> u32 {
        let next = u32::try_from(self.vocabulary.len()).unwrap_or(u32::MAX);
        let length = word.len();
        let number = *self.vocabulary.entry(word.into()).or_insert(next);
        if number == next {
            self.bytes += length + 12;
        }
        number
    }

    fn take(&mut self, item: Item<'_>, words: Vec<(u32, u8)>) {
        let texts = item.name.len() + item.version.len() + cut(item.summary).len();
        let bytes = DRAFT_BYTES + texts + 4 * words.len();
        if self.bytes + bytes > self.bytes_max || self.drafts.len() >= ENTRIES_MAX {
            self.is_full = true;
            return;
        }
        self.bytes += bytes;
        let version = &item.version[..item.version.floor_char_boundary(VERSION_BYTES_MAX)];
        self.drafts.push(EntryDraft {
            name: item.name.into(),
            index: item.index,
            origin: item.origin,
            version: version.into(),
            summary: cut(item.summary).into(),
            words,
        });
    }

    /// The shelf. Of two entries of one project in one index the later one counts.
    pub fn finish(mut self) -> Shelf {
        self.drafts.reverse();
        self.drafts
            .sort_by(|one, other| (&one.name, one.index).cmp(&(&other.name, other.index)));
        self.drafts
            .dedup_by(|next, kept| next.name == kept.name && next.index == kept.index);
        let mut shelf = Shelf::default();
        let mut names = NameTableBuilder::default();
        let mut last = None;
        shelf.firsts.clear();
        for draft in &self.drafts {
            let number = u32::try_from(shelf.entries.len()).unwrap_or(u32::MAX);
            let name = match last {
                Some((before, name)) if before == &draft.name => Some(name),
                _ => names
                    .push(&draft.name)
                    .inspect(|_| shelf.firsts.push(number)),
            };
            let (Some(name), Some(entry)) = (name, entry(&mut shelf.text, draft)) else {
                continue;
            };
            last = Some((&draft.name, name));
            shelf.entries.push(ShelfEntry { name, ..entry });
        }
        let end = u32::try_from(shelf.entries.len()).unwrap_or(u32::MAX);
        shelf.firsts.push(end);
        shelf.names = names.finish();
        self.write_words(&mut shelf);
        shelf
    }

    /// Sorts the words, and the places of each.
    fn write_words(&self, shelf: &mut Shelf) {
        let mut sorted: Vec<(&str, u32)> = self
            .vocabulary
            .iter()
            .map(|(word, number)| (&**word, *number))
            .collect();
        sorted.sort_unstable();
        let mut order = vec![0_u32; sorted.len()];
        let mut map = MapBuilder::memory();
        for (rank, (word, number)) in (0_u32..).zip(&sorted) {
            order[*number as usize] = rank;
            // Sorted and unique, so it cannot be refused.
            let _ = map.insert(word, u64::from(rank));
        }
        let words = |draft: &EntryDraft| draft.words.clone();
        let mut counts = vec![0_u32; sorted.len() + 1];
        for (word, _) in self.drafts.iter().flat_map(words) {
            counts[order[word as usize] as usize + 1] += 1;
        }
        for at in 1..counts.len() {
            counts[at] += counts[at - 1];
        }
        shelf.ranges.clone_from(&counts);
        shelf.places = vec![0; counts.last().map_or(0, |all| *all as usize)];
        for (number, draft) in (0_u32..).zip(&self.drafts) {
            for (word, fields) in &draft.words {
                let next = &mut counts[order[*word as usize] as usize];
                shelf.places[*next as usize] = number << FIELD_BITS | u32::from(*fields);
                *next += 1;
            }
        }
        shelf.words = map.into_map();
    }
}

/// An entry whose texts are added; its name is not known yet.
fn entry(text: &mut String, draft: &EntryDraft) -> Option<ShelfEntry> {
    let start = u32::try_from(text.len()).ok()?;
    text.push_str(&draft.version);
    let middle = u32::try_from(text.len()).ok()?;
    text.push_str(&draft.summary);
    Some(ShelfEntry {
        name: 0,
        index: draft.index,
        origin: draft.origin,
        version: (start, u8::try_from(draft.version.len()).ok()?),
        summary: (middle, u16::try_from(draft.summary.len()).ok()?),
    })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SUMMARY_BYTES_MAX)]
}
