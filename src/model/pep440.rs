//! PEP 440: the grammar of versions, and a key whose bytes sort as the versions do.
//!
//! The grammar is that of `packaging`, with every alternative spelling (`v1.0-ALPHA.1` is `1.0a1`). The
//! parts follow one another and each is recognised by its first word, so they are read in one pass without
//! backtracking.
//!
//! A key is built once; after that comparing two versions means comparing bytes, whatever the number of
//! digits. It holds the parts in order of significance and remembers where they end, since most operators
//! of version specifiers compare only up to one of them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Marks one more number of a release; the end of a release sorts below it.
const MORE: u8 = 1;
const END: u8 = 0;

/// The part up to which two keys are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Epoch and release.
    Release,
    /// … and what comes before a final release (`a`, `b`, `rc`).
    Pre,
    /// … and what comes after (`.post`).
    Post,
    /// All but the local label.
    Public,
    /// Everything.
    Local,
}

/// The key by which versions are compared.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SortKey {
    bytes: Arc<[u8]>,
    /// The positions of the first four cuts.
    ends: [u32; 4],
}

impl SortKey {
    /// The bytes up to a part.
    pub(super) fn up_to(&self, cut: Cut) -> &[u8] {
        let end = match cut {
            Cut::Release => self.ends[0],
            Cut::Pre => self.ends[1],
            Cut::Post => self.ends[2],
            Cut::Public => self.ends[3],
            Cut::Local => return &self.bytes,
        };
        &self.bytes[..end as usize]
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The first numbers of a release, as in `==1.4.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix {
    bytes: Box<[u8]>,
    /// How many zeros follow, which a key omits.
    zeros: usize,
}

impl Prefix {
    /// Whether a version's release, padded with zeros, starts like this.
    pub(super) fn is_of(&self, key: &SortKey) -> bool {
        let Some(mut rest) = key.bytes.strip_prefix(&*self.bytes) else {
            return false;
        };
        for _ in 0..self.zeros {
            match rest.strip_prefix(&[MORE, 0]) {
                Some(after) => rest = after,
                None => return rest.first() == Some(&END),
            }
        }
        true
    }
}

/// The parts of a version, as written. A number may be empty, which means 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    epoch: &'a str,
    release: &'a str,
    pre: Option<(Pre, &'a str)>,
    post: Option<&'a str>,
    dev: Option<&'a str>,
    local: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pre {
    Alpha,
    Beta,
    Candidate,
}

impl<'a> Parts<'a> {
    /// Parses a whole text, without surrounding blanks.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut rest = Rest(text.strip_prefix(['v', 'V']).unwrap_or(text));
        let mut epoch = "";
        let before_epoch = rest;
        let number = rest.digits();
        if !number.is_empty() && rest.skip('!') {
            epoch = number;
        } else {
            rest = before_epoch;
        }
        let parts = Self {
            epoch,
            release: rest.release()?,
            pre: rest.pre(),
            post: rest.post(),
            dev: rest.numbered(&[("dev", ())]).map(|((), number)| number),
            local: rest.local(),
        };
        rest.0.is_empty().then_some(parts)
    }

    /// Whether it is only a release, perhaps with an epoch.
    pub(super) fn is_release_alone(&self) -> bool {
        self.pre.is_none() && self.post.is_none() && self.dev.is_none() && self.local.is_none()
    }

    /// How many numbers its release has.
    pub(super) fn release_len(&self) -> usize {
        self.release.split('.').count()
    }

    pub(super) fn has_local(&self) -> bool {
        self.local.is_some()
    }

    pub(super) fn has_post(&self) -> bool {
        self.post.is_some()
    }

    pub(super) fn has_dev(&self) -> bool {
        self.dev.is_some()
    }

    /// Whether it comes before a final release.
    pub(super) fn is_prerelease(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    pub(super) fn key(&self) -> SortKey {
        let mut bytes = Vec::with_capacity(24);
        push_number(&mut bytes, self.epoch);
        let release: Vec<&str> = self.release.split('.').map(significant).collect();
        let trimmed = trimmed(&release);
        push_release(&mut bytes, trimmed);
        bytes.push(END);
        let release = bytes.len();
        match (self.pre, self.post, self.dev) {
            // A release under development comes before even its first alpha.
            (None, None, Some(_)) => bytes.push(0),
            (Some((Pre::Alpha, number)), ..) => push_ranked(&mut bytes, 1, number),
            (Some((Pre::Beta, number)), ..) => push_ranked(&mut bytes, 2, number),
            (Some((Pre::Candidate, number)), ..) => push_ranked(&mut bytes, 3, number),
            (None, ..) => bytes.push(4),
        }
        let pre = bytes.len();
        match self.post {
            None => bytes.push(0),
            Some(number) => push_ranked(&mut bytes, 1, number),
        }
        let post = bytes.len();
        match self.dev {
            Some(number) => push_ranked(&mut bytes, 0, number),
            None => bytes.push(1),
        }
        let public = bytes.len();
        for label in self.local.into_iter().flat_map(labels) {
            if is_number(label) {
                push_ranked(&mut bytes, 2, label);
            } else {
                bytes.push(1);
                bytes.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
                bytes.push(END);
            }
        }
        let at = |end: usize| u32::try_from(end).unwrap_or(u32::MAX);
        SortKey {
            bytes: bytes.into(),
            ends: [at(release), at(pre), at(post), at(public)],
        }
    }

    /// The first `len` numbers of its release.
    pub(super) fn prefix(&self, len: usize) -> Prefix {
        let mut bytes = Vec::new();
        push_number(&mut bytes, self.epoch);
        let release: Vec<&str> = self.release.split('.').map(significant).collect();
        let named = &release[..len.min(release.len())];
        let trimmed = trimmed(named);
        push_release(&mut bytes, trimmed);
        Prefix {
            bytes: bytes.into(),
            zeros: named.len() - trimmed.len(),
        }
    }
}

/// The normalised spelling.
impl fmt::Display for Parts<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |text| match significant(text) {
            "" => "0",
            digits => digits,
        };
        if !significant(self.epoch).is_empty() {
            write!(out, "{}!", number(self.epoch))?;
        }
        for (position, part) in self.release.split('.').enumerate() {
            let dot = if position == 0 { "" } else { "." };
            write!(out, "{dot}{}", number(part))?;
        }
        if let Some((pre, digits)) = self.pre {
            let word = match pre {
                Pre::Alpha => "a",
                Pre::Beta => "b",
                Pre::Candidate => "rc",
            };
            write!(out, "{word}{}", number(digits))?;
        }
        if let Some(post) = self.post {
            write!(out, ".post{}", number(post))?;
        }
        if let Some(dev) = self.dev {
            write!(out, ".dev{}", number(dev))?;
        }
        for (position, label) in self.local.into_iter().flat_map(labels).enumerate() {
            out.write_str(if position == 0 { "+" } else { "." })?;
            if is_number(label) {
                out.write_str(number(label))?;
            } else {
                out.write_str(&label.to_ascii_lowercase())?;
            }
        }
        Ok(())
    }
}

/// What remains to be read.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn digits(&mut self) -> &'a str {
        let end = self.0.find(|next: char| !next.is_ascii_digit());
        let (digits, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        digits
    }

    fn skip(&mut self, wanted: char) -> bool {
        let after = self.0.strip_prefix(wanted);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    fn skip_separator(&mut self) {
        self.0 = self.0.strip_prefix(['-', '_', '.']).unwrap_or(self.0);
    }

    fn release(&mut self) -> Option<&'a str> {
        let whole = self.0;
        if self.digits().is_empty() {
            return None;
        }
        loop {
            let before = *self;
            if !self.skip('.') || self.digits().is_empty() {
                *self = before;
                return Some(&whole[..whole.len() - self.0.len()]);
            }
        }
    }

    fn pre(&mut self) -> Option<(Pre, &'a str)> {
        // Longer words first where one is a prefix of another.
        self.numbered(&[
            ("alpha", Pre::Alpha),
            ("a", Pre::Alpha),
            ("beta", Pre::Beta),
            ("b", Pre::Beta),
            ("preview", Pre::Candidate),
            ("pre", Pre::Candidate),
            ("c", Pre::Candidate),
            ("rc", Pre::Candidate),
        ])
    }

    /// `-1` is a post-release too, but a `-` without a digit may begin something else.
    fn post(&mut self) -> Option<&'a str> {
        let before = *self;
        if self.skip('-') {
            let number = self.digits();
            if !number.is_empty() {
                return Some(number);
            }
            *self = before;
        }
        let found = self.numbered(&[("post", ()), ("rev", ()), ("r", ())]);
        found.map(|((), number)| number)
    }

    /// One of the words with a separator before it, one after it and a number, all three optional.
    fn numbered<T: Copy>(&mut self, words: &[(&str, T)]) -> Option<(T, &'a str)> {
        let before = *self;
        self.skip_separator();
        let found = words.iter().find(|(word, _)| {
            let start = self.0.get(..word.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(word))
        });
        let Some((word, meaning)) = found else {
            *self = before;
            return None;
        };
        self.0 = &self.0[word.len()..];
        self.skip_separator();
        Some((*meaning, self.digits()))
    }

    fn local(&mut self) -> Option<&'a str> {
        let text = self.0.strip_prefix('+')?;
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        labels(text).all(is_label).then(|| {
            self.0 = "";
            text
        })
    }
}

fn labels(local: &str) -> impl Iterator<Item = &str> {
    local.split(['-', '_', '.'])
}

fn is_number(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number without leading zeros; 0 becomes empty.
fn significant(number: &str) -> &str {
    number.trim_start_matches('0')
}

/// A release without trailing zeros: `1.0` becomes `1`.
fn trimmed<'a, 'b>(release: &'b [&'a str]) -> &'b [&'a str] {
    let last = release.iter().rposition(|number| !number.is_empty());
    &release[..last.map_or(0, |last| last + 1)]
}

fn push_release(bytes: &mut Vec<u8>, release: &[&str]) {
    for number in release {
        bytes.push(MORE);
        push_number(bytes, number);
    }
}

fn push_ranked(bytes: &mut Vec<u8>, rank: u8, number: &str) {
    bytes.push(rank);
    push_number(bytes, number);
}

/// Length first, so that numbers sort numerically: in one byte, or after 255 in four.
fn push_number(bytes: &mut Vec<u8>, number: &str) {
    let digits = significant(number);
    match u8::try_from(digits.len()) {
        Ok(len) if len < u8::MAX => bytes.push(len),
        Ok(_) | Err(_) => {
            bytes.push(u8::MAX);
            let len = u32::try_from(digits.len()).unwrap_or(u32::MAX);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend(digits.as_bytes());
}
