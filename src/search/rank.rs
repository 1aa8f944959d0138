//! How well something is found: the one place where that is weighed.
//!
//! Scores are whole numbers, so that an order never depends on rounding. A name that is what was typed comes
//! first, then names that begin with it, names with a slip, names that contain it; what releases say of
//! themselves stands between these, by the field. What the house has itself, or has asked for, moves up a
//! little: it is more likely what is looked for.

use crate::search::query::SearchQuery;

/// The name itself.
const EXACT: u32 = 1000;
/// A name that begins with it, at the end of a part.
const BEGINS_WITH_PART: u32 = 800;
/// A name that begins with it.
const BEGINS: u32 = 700;
/// A name with one slip.
const ONE_SLIP: u32 = 650;
/// A name one of whose later parts begins with it.
const PART_BEGINS: u32 = 600;
/// A name with two slips.
const TWO_SLIPS: u32 = 500;
/// A name that contains it.
const CONTAINS: u32 = 450;
/// A name that contains all the words, somewhere.
const CONTAINS_WORDS: u32 = 400;
/// Most that a name loses by what it has besides.
const LONGER_MAX: u32 = 40;

/// Below this length, in bytes, a text is looked for at the beginnings of parts only: nearly every name
/// contains any two letters.
pub const INSIDE_FROM: usize = 3;

/// Why an index has a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProjectOrigin {
    /// It was uploaded here.
    Private,
    /// It was asked for here.
    AskedFor,
    /// Its upstream lists it.
    Listed,
}

impl ProjectOrigin {
    /// What it adds.
    #[must_use]
    pub fn bonus(self) -> u32 {
        match self {
            Self::Private => 120,
            Self::AskedFor => 60,
            Self::Listed => 0,
        }
    }
}

/// Where a word stands; one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordField {
    /// A part of the name.
    Name,
    /// What it is imported as (PEP 794).
    Import,
    /// Its keywords.
    Keyword,
    /// Its summary.
    Summary,
    /// Its classifiers.
    Classifier,
}

impl WordField {
    const ALL: [Self; 5] = [
        Self::Name,
        Self::Import,
        Self::Keyword,
        Self::Summary,
        Self::Classifier,
    ];

    /// Its bit.
    #[must_use]
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    fn weight(self) -> u32 {
        match self {
            Self::Import => 640,
            Self::Name => 440,
            Self::Keyword => 420,
            Self::Summary => 320,
            Self::Classifier => 120,
        }
    }
}

/// How a word was found, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordLikeness {
    /// As it was typed.
    Same,
    /// At the beginning of another.
    Beginning,
    /// With so many slips.
    Slips(u8),
}

/// What one word is worth that stands in these fields.
#[must_use]
pub fn word_score(fields: u8, likeness: WordLikeness) -> u32 {
    let set = WordField::ALL.into_iter();
    let set = set.filter(|field| fields & field.bit() != 0);
    let weight = set.map(WordField::weight).max().unwrap_or(0);
    let percent = match likeness {
        WordLikeness::Same => 100,
        WordLikeness::Beginning => 70,
        WordLikeness::Slips(0 | 1) => 60,
        WordLikeness::Slips(_) => 40,
    };
    weight * percent / 100
}

/// What the words are worth together.
#[must_use]
pub fn words_score(sum: u32, words: usize) -> u32 {
    sum / u32::try_from(words.max(1)).unwrap_or(u32::MAX)
}

/// A name that begins with what was typed; `None` if it does not.
#[must_use]
pub fn beginning_score(name: &str, query: &SearchQuery) -> Option<u32> {
    let rest = name.strip_prefix(query.name())?;
    Some(match rest.as_bytes().first() {
        None => EXACT,
        Some(b'-') => BEGINS_WITH_PART - longer(name, query),
        Some(_) => BEGINS - longer(name, query),
    })
}

/// A name that has what was typed, not at its beginning; at best where a part begins, or not.
#[must_use]
pub fn inside_score(name: &str, is_part: bool, query: &SearchQuery) -> u32 {
    let score = if is_part { PART_BEGINS } else { CONTAINS };
    score - longer(name, query)
}

/// A name that has all the words.
#[must_use]
pub fn scattered_score(name: &str, query: &SearchQuery) -> u32 {
    CONTAINS_WORDS - longer(name, query)
}

/// A name with so many slips.
#[must_use]
pub fn slips_score(slips: u8) -> u32 {
    if slips <= 1 { ONE_SLIP } else { TWO_SLIPS }
}

/// A name that was found by itself, by what is said of it, or by both.
#[must_use]
pub fn together(name: u32, words: u32) -> u32 {
    name.max(words) + name.min(words) / 8
}

fn longer(name: &str, query: &SearchQuery) -> u32 {
    let longer = name.len().saturating_sub(query.name().len());
    u32::try_from(longer).unwrap_or(LONGER_MAX).min(LONGER_MAX)
}
