//! A project list in JSON (PEP 691; docs/protocol/simple-api.md §4.5), parsed as it comes.
//!
//! serde parses everything. What it cannot do is stop where the bytes end and go on later, so the
//! document is cut for it: each entry of `projects` as soon as it is whole, and at the end the frame,
//! which is the document with that array empty. A document is valid JSON exactly if its parts are.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::page::parse_json::refuse_other_major;
use crate::page::project_list::ProjectNamesBuilder;
use crate::page::project_page::InvalidPage;
use crate::page::wire::{Items, Loose, refuse};

/// Most projects of a list, six times those of the largest index.
pub(super) const PROJECTS_MAX: usize = 5_000_000;

/// Longest entry of the list; those in the field have a hundred bytes.
const ENTRY_BYTES_MAX: usize = 128 * 1024;

/// A list that is coming.
#[derive(Default)]
pub(super) struct JsonList {
    pub(super) names: ProjectNamesBuilder,
    frame: ListFrame,
    has_begun: bool,
    /// Inside of the list: what has not been parsed yet.
    entries: Option<Entries>,
}

/// The document without the entries of its list.
#[derive(Default)]
struct ListFrame {
    text: Vec<u8>,
    depth: usize,
    /// Where the string begins that has not ended.
    string: Option<usize>,
    is_escaped: bool,
    before: Before,
}

/// What stands before, as far as it tells the list from other arrays.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Before {
    #[default]
    Other,
    /// `"projects"`
    Key,
    /// `"projects":`
    Colon,
}

#[derive(Default)]
struct Entries {
    text: Vec<u8>,
    expected: Expected,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// An entry or the end.
    #[default]
    First,
    /// An entry, after a comma.
    Entry,
    /// A comma or the end.
    Comma,
}

#[derive(Deserialize)]
struct WireProject<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl JsonList {
    /// Parses what comes next, as far as it is whole.
    ///
    /// # Errors
    /// When it is no such list.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), InvalidPage> {
        if let Some(entries) = &mut self.entries {
            entries.text.extend_from_slice(bytes);
            if !entries.parse(&mut self.names)? {
                return Ok(());
            }
            let rest = self.entries.take().unwrap_or_default().text;
            return self.feed(&rest);
        }
        let Some(end) = self.frame.read(bytes) else {
            return Ok(());
        };
        if self.has_begun {
            let words = "it has two lists of \"projects\"";
            return Err(InvalidPage::Json(words.to_owned()));
        }
        self.has_begun = true;
        // What stands before the list may refuse it.
        let so_far = [&self.frame.text[..], b"]}"].concat();
        self.parse_frame(&so_far)?;
        self.entries = Some(Entries::default());
        self.feed(&bytes[end..])
    }

    /// The names, now that the whole has come.
    ///
    /// # Errors
    /// When it is no such list.
    pub(super) fn end(mut self) -> Result<ProjectNamesBuilder, InvalidPage> {
        if self.entries.is_some() {
            let words = "its list of \"projects\" does not end";
            return Err(InvalidPage::Json(words.to_owned()));
        }
        let whole = std::mem::take(&mut self.frame.text);
        if self.parse_frame(&whole)? {
            return Ok(self.names);
        }
        let words = "it has no list of \"projects\"";
        Err(InvalidPage::Json(words.to_owned()))
    }

    /// Tells whether it has a list. The list's key may be written with escapes, and its entries are
    /// then still there.
    fn parse_frame(&mut self, text: &[u8]) -> Result<bool, InvalidPage> {
        let mut list = FrameSeed {
            names: &mut self.names,
            refused: None,
            has_projects: false,
        };
        let mut json = serde_json::Deserializer::from_slice(text);
        let read = (&mut list).deserialize(&mut json);
        let end = read.and_then(|()| json.end());
        let FrameSeed {
            refused,
            has_projects,
            ..
        } = list;
        match refused {
            Some(refused) => Err(refused),
            None => end
                .map(|()| has_projects)
                .map_err(|error| InvalidPage::Json(error.to_string())),
        }
    }
}

impl ListFrame {
    /// Takes what comes next; where the list begins, it ends, and returns how much it took.
    fn read(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            self.text.push(byte);
            if let Some(start) = self.string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        let is_key = self.depth == 1 && self.text[start..] == *b"\"projects\"";
                        self.before = if is_key { Before::Key } else { Before::Other };
                        self.string = None;
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'[' if self.before == Before::Colon => {
                    self.before = Before::Other;
                    self.depth += 1;
                    return Some(at + 1);
                }
                space if is_space(space) => continue,
                b'"' => self.string = Some(self.text.len() - 1),
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.before = match (byte, self.before) {
                (b':', Before::Key) => Before::Colon,
                _ => Before::Other,
            };
        }
        None
    }
}

impl Entries {
    /// Parses the entries that are whole. Tells whether the list has ended; what is left then stands
    /// behind it, with its bracket.
    fn parse(&mut self, names: &mut ProjectNamesBuilder) -> Result<bool, InvalidPage> {
        let mut at = 0;
        let has_ended = loop {
            let text = &self.text[at..];
            let space = text.iter().take_while(|byte| is_space(**byte)).count();
            at += space;
            if space == text.len() {
                break false;
            }
            match (self.text[at], self.expected) {
                (b']', Expected::First | Expected::Comma) => break true,
                (b',', Expected::Comma) => {
                    self.expected = Expected::Entry;
                    at += 1;
                }
                (_, Expected::First | Expected::Entry) => {
                    let Some(length) = parse_entry(&self.text[at..], names)? else {
                        break false;
                    };
                    self.expected = Expected::Comma;
                    at += length;
                }
                (_, Expected::Comma) => {
                    let words = "two of its \"projects\" are not parted by a comma";
                    return Err(InvalidPage::Json(words.to_owned()));
                }
            }
        };
        self.text.drain(..at);
        Ok(has_ended)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Parses the entry at the beginning and returns its length, unless more of it is to come. One that is
/// no project is skipped.
fn parse_entry(text: &[u8], names: &mut ProjectNamesBuilder) -> Result<Option<usize>, InvalidPage> {
    let mut json = serde_json::Deserializer::from_slice(text).into_iter::<WireProject<'_>>();
    let name = match json.next() {
        Some(Ok(project)) => Some(project.name),
        _ => None,
    };
    let mut length = json.byte_offset();
    if name.is_none() {
        let mut json = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
        match json.next() {
            Some(Err(error)) if is_at_end(&error, text) => length = text.len(),
            Some(Err(error)) => return Err(InvalidPage::Json(error.to_string())),
            Some(Ok(_)) | None => length = json.byte_offset(),
        }
    }
    // Of a number at the end, further digits may come.
    if length == text.len() {
        if length > ENTRY_BYTES_MAX {
            let words = format!("an entry of its list is longer than {ENTRY_BYTES_MAX} bytes");
            return Err(InvalidPage::Json(words));
        }
        return Ok(None);
    }
    if names.len() >= PROJECTS_MAX {
        return Err(InvalidPage::TooMany(PROJECTS_MAX));
    }
    if let Some(name) = name {
        names.push_spelled(&name);
    }
    Ok(Some(length))
}

/// Whether it is the end that does not fit: of `1.`, for example, serde says that it is no number.
fn is_at_end(error: &serde_json::Error, text: &[u8]) -> bool {
    let lines = 1 + memchr::memchr_iter(b'\n', text).count();
    let line_start = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    error.is_eof() || (error.line() == lines && error.column() >= text.len() - line_start)
}

struct FrameSeed<'n> {
    names: &'n mut ProjectNamesBuilder,
    refused: Option<InvalidPage>,
    has_projects: bool,
}

impl<'de> DeserializeSeed<'de> for &mut FrameSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut FrameSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a project list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let FrameSeed {
            names,
            refused,
            has_projects,
        } = self;
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "projects" => {
                    // The comma ends it: within the frame every entry is whole.
                    let each = &mut |json: &str| {
                        parse_entry(format!("{json},").as_bytes(), names).map(drop)
                    };
                    *has_projects |= entries.next_value_seed(Items { each, refused })?;
                }
                "meta" => {
                    let meta: Loose<'de> = entries.next_value()?;
                    refuse(
                        refuse_other_major(meta.entry("api-version").text()),
                        refused,
                    )?;
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
