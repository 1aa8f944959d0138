//! Sorted names as one text, found by what they are, how they begin, what they contain, and nearly.

use fst::{IntoStreamer as _, Map, MapBuilder, Streamer as _};
use memchr::memmem;

use crate::search::query::SearchQuery;
use crate::search::rank::{
    INSIDE_FROM, beginning_score, inside_score, scattered_score, slips_score,
};
use crate::search::typos::{Typos, slips};

/// Most names that are looked at for one thing that is typed: more than begin with or contain anything that
/// narrows a search, and what a processor looks at in some hundredths of a second. Those behind are not found.
const LOOKED_AT_MAX: usize = 200_000;

/// Sorted, unique names; each is known by its number.
pub struct NameTable {
    /// Every name between line feeds, the first of which stands before the first name.
    text: String,
    starts: Vec<u32>,
    /// From each name to its number.
    map: Map<Vec<u8>>,
}

/// A name that was found, by its number, and how well.
pub type FoundName = (u32, u32);

impl std::fmt::Debug for NameTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} names", self.starts.len())
    }
}

/// Takes names in their order.
pub struct NameTableBuilder {
    text: String,
    starts: Vec<u32>,
    map: MapBuilder<Vec<u8>>,
}

impl Default for NameTableBuilder {
    fn default() -> Self {
        Self {
            text: "\n".to_owned(),
            starts: Vec::new(),
            map: MapBuilder::memory(),
        }
    }
}

impl NameTableBuilder {
    /// Adds a name that comes after all others, and returns its number. One that does not is left out, as is
    /// what 32 bits do not reach.
    pub fn push(&mut self, name: &str) -> Option<u32> {
        let number = u32::try_from(self.starts.len()).ok()?;
        let start = u32::try_from(self.text.len()).ok()?;
        self.map.insert(name, u64::from(number)).ok()?;
        self.starts.push(start);
        self.text.push_str(name);
        self.text.push('\n');
        Some(number)
    }

    /// Roughly what it takes in memory.
    pub fn bytes(&self) -> usize {
        self.text.len() + 4 * self.starts.len() + self.map.get_ref().len()
    }

    /// The table.
    pub fn finish(self) -> NameTable {
        let (mut text, mut starts) = (self.text, self.starts);
        text.shrink_to_fit();
        starts.shrink_to_fit();
        NameTable {
            text,
            starts,
            map: self.map.into_map(),
        }
    }
}

impl NameTable {
    /// How many.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        self.text.len() + 4 * self.starts.len() + self.map.as_fst().size()
    }

    /// A name by its number.
    pub fn name(&self, number: u32) -> &str {
        let start = self.starts[number as usize] as usize;
        let end = match self.starts.get(number as usize + 1) {
            Some(next) => *next as usize,
            None => self.text.len(),
        };
        &self.text[start..end - 1]
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<u32> {
        let number = self.map.get(name)?;
        u32::try_from(number).ok()
    }

    /// The names that what was typed fits, with their scores; a name may come twice. What `keep` does not
    /// want is left out.
    pub fn find(
        &self,
        query: &SearchQuery,
        typos: &Typos,
        keep: &dyn Fn(u32) -> bool,
    ) -> Vec<FoundName> {
        let mut found = Vec::new();
        // Names are ASCII, whatever is typed.
        if query.is_empty() || !query.name().is_ascii() {
            return found;
        }
        let begin = self.find_beginnings(query, keep, &mut found);
        self.find_inside(query, begin, keep, &mut found);
        if query.words().len() > 1 {
            self.find_scattered(query, keep, &mut found);
        }
        self.find_near(query, typos, keep, &mut found);
        found
    }

    /// Returns the range of names that begin with what was typed.
    fn find_beginnings(
        &self,
        query: &SearchQuery,
        keep: &dyn Fn(u32) -> bool,
        found: &mut Vec<FoundName>,
    ) -> std::ops::Range<u32> {
        let first = self
            .starts
            .partition_point(|&start| self.from(start) < query.name());
        let mut last = first;
        while let Some(&start) = self.starts.get(last) {
            if last - first == LOOKED_AT_MAX || !self.from(start).starts_with(query.name()) {
                break;
            }
            let number = as_number(last);
            if keep(number)
                && let Some(score) = beginning_score(self.name(number), query)
            {
                found.push((number, score));
            }
            last += 1;
        }
        as_number(first)..as_number(last)
    }

    fn find_inside(
        &self,
        query: &SearchQuery,
        begin: std::ops::Range<u32>,
        keep: &dyn Fn(u32) -> bool,
        found: &mut Vec<FoundName>,
    ) {
        let part = format!("-{}", query.name());
        let is_short = query.name().len() < INSIDE_FROM;
        let needle = if is_short { &*part } else { query.name() };
        for number in self.having(needle).take(LOOKED_AT_MAX) {
            if begin.contains(&number) || !keep(number) {
                continue;
            }
            let name = self.name(number);
            let is_part = is_short || name.contains(&part);
            found.push((number, inside_score(name, is_part, query)));
        }
    }

    /// Names that have every word, in any order.
    fn find_scattered(
        &self,
        query: &SearchQuery,
        keep: &dyn Fn(u32) -> bool,
        found: &mut Vec<FoundName>,
    ) {
        let words = query.words();
        let longest = words.iter().max_by_key(|word| word.len());
        let Some(longest) = longest.filter(|word| word.len() >= INSIDE_FROM) else {
            return;
        };
        for number in self.having(longest).take(LOOKED_AT_MAX) {
            if !keep(number) {
                continue;
            }
            let name = self.name(number);
            if words.iter().all(|word| name.contains(word.as_str())) {
                found.push((number, scattered_score(name, query)));
            }
        }
    }

    fn find_near(
        &self,
        query: &SearchQuery,
        typos: &Typos,
        keep: &dyn Fn(u32) -> bool,
        found: &mut Vec<FoundName>,
    ) {
        let Some(near) = typos.near(query.name()) else {
            return;
        };
        let mut stream = self.map.search(&near).into_stream();
        while let Some((name, number)) = stream.next() {
            let Ok(number) = u32::try_from(number) else {
                continue;
            };
            let slips = slips(&near, name);
            if slips > 0 && keep(number) {
                found.push((number, slips_score(slips)));
            }
        }
    }

    /// The names that contain a text, ascending, each once: how often it does costs nothing.
    fn having<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = u32> + 'a {
        let finder = memmem::Finder::new(needle);
        let (mut from, mut next) = (0, 0);
        std::iter::from_fn(move || {
            let at = from + finder.find(self.text.as_bytes().get(from..)?)?;
            // What comes next is mostly near, so it is looked for in steps that grow.
            let mut step = 1;
            while self.start(next + step).is_some_and(|start| start <= at) {
                next += step;
                step *= 2;
            }
            let upto = (next + step).min(self.starts.len());
            next += self.starts[next..upto].partition_point(|&start| start as usize <= at);
            next = next.saturating_sub(1);
            // On to the next name.
            from = self.start(next + 1).unwrap_or(self.text.len());
            Some(as_number(next))
        })
    }

    fn start(&self, number: usize) -> Option<usize> {
        self.starts.get(number).map(|&start| start as usize)
    }

    /// The text from a name on. The line feed behind a name is less than anything within one.
    fn from(&self, start: u32) -> &str {
        &self.text[start as usize..]
    }
}

fn as_number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

impl Default for NameTable {
    fn default() -> Self {
        NameTableBuilder::default().finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_name_is_looked_at_once_however_often_it_has_what_was_typed() {
        const NAMES: usize = 50;
        let mut builder = NameTableBuilder::default();
        for length in 0..NAMES {
            builder
                .push(&format!("x{}", "a".repeat(300 + length)))
                .unwrap();
        }
        let table = builder.finish();
        for (typed, times) in [("aaa", 1), ("aaa aa", 2)] {
            let looked = Cell::new(0);
            let keep = |_| {
                looked.set(looked.get() + 1);
                true
            };
            let query = SearchQuery::parse(typed);
            let found = table.find(&query, &Typos::default(), &keep);
            assert_eq!(found.len(), NAMES, "{typed}");
            assert!(looked.get() <= times * NAMES, "{typed}: {}", looked.get());
        }
    }
}
