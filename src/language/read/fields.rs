//! The walk: takes values out of a mapping by its table of keys and notes whatever is wrong.
//!
//! Nothing here stops at a fault. A value that could not be read is left out, which is safe because a walk
//! with faults never yields a document.

use std::collections::HashMap;

use crate::language::document::Placed;
use crate::language::read::keys::{Kind, Shape, Table, Variants, Word, keys};
use crate::language::read::tree::{Entry, Node, Value};
use crate::model::{Fault, Faults, Location, suggest};

/// Longest piece of a file that a fault repeats, in characters.
const QUOTED_MAX: usize = 60;

/// Longest word, in bytes: room for any regular expression or URL that someone can read.
const WORD_MAX: usize = 4096;

/// Most faults reported for one configuration: nobody reads further, and each may cost a search for what
/// was meant.
const FAULTS_MAX: usize = 1000;

/// Longest unknown key, in bytes, for which a known one is looked for.
const SUGGESTED_MAX: usize = 80;

/// Most known keys that a fault lists.
const LISTED_MAX: usize = 12;

/// What a walk found.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// What is wrong.
    pub faults: Faults,
    /// What works, but should be written differently.
    pub warnings: Vec<Fault>,
}

/// A mapping whose keys are all known. If a key occurs twice the first one counts, and the others are read
/// for their faults.
#[derive(Debug)]
pub struct Fields<'node> {
    table: Table,
    entries: Vec<&'node Entry>,
}

impl Notes {
    /// Notes what is wrong.
    pub fn note(&mut self, fault: Fault) {
        if self.is_full() {
            return;
        }
        self.faults.push(fault);
        if self.is_full() {
            let what = format!("more than {FAULTS_MAX} faults, the others are left out");
            self.faults.push(Fault::nowhere(what));
        }
    }

    /// Whether so many faults were found that there is no point in looking further.
    fn is_full(&self) -> bool {
        self.faults.0.len() >= FAULTS_MAX
    }

    /// The entries of a mapping whose keys the operator chooses. A missing value counts as empty.
    pub fn entries<'node>(&mut self, node: &'node Node, wanted: &str) -> &'node [Entry] {
        match &node.value {
            Value::Mapping(entries) => {
                self.note_doubles(entries);
                entries
            }
            Value::Nothing => &[],
            other @ (Value::Scalar(_) | Value::Sequence(_)) => {
                let what = format!("expected {wanted}, found {}", other.article());
                self.note(Fault::at(&node.location, what));
                &[]
            }
        }
    }

    /// The known keys of a mapping; unknown and duplicate ones are noted.
    pub fn fields<'node>(&mut self, node: &'node Node, table: Table) -> Fields<'node> {
        self.select(node, table, |entry| Some(unknown(entry, table)))
    }

    /// The known keys of a mapping that depend on the word at one of them, and which variant it is. Keys of
    /// another variant are noted as such, unless that word itself is wrong.
    pub fn variant<'node>(
        &mut self,
        node: &'node Node,
        variants: &'static Variants,
    ) -> (&'static str, Fields<'node>) {
        let written = written_variant(node, variants);
        let mut tables = variants.tables.iter();
        let chosen = tables.find(|(name, _)| Some(*name) == written);
        let is_wrong = written.is_some() && chosen.is_none();
        // A misspelled word is read as what was probably meant, so that its keys are checked too.
        let names = variants.tables.iter().map(|(name, _)| *name);
        let meant = written.and_then(|written| suggest(written, names));
        let meant = meant.and_then(|meant| variants.tables.iter().find(|(name, _)| *name == meant));
        let (name, table) = *chosen.or(meant).unwrap_or(&variants.tables[0]);
        let fields = self.select(node, table, |entry| {
            let holds = |(_, table): &&(_, Table)| keys(table).any(|key| key.name == entry.key);
            let Some((other, _)) = variants.tables.iter().find(holds) else {
                return Some(unknown(entry, table));
            };
            let what = format!("{} belongs to a {other}, and this is a {name}", entry.key);
            (!is_wrong).then(|| Fault::at(&entry.location, what))
        });
        (name, fields)
    }

    fn select<'node>(
        &mut self,
        node: &'node Node,
        table: Table,
        unknown: impl Fn(&Entry) -> Option<Fault>,
    ) -> Fields<'node> {
        let mut known: Vec<&Entry> = Vec::new();
        for entry in self.entries(node, "a mapping") {
            if keys(table).all(|key| key.name != entry.key) {
                if !self.is_full()
                    && let Some(fault) = unknown(entry)
                {
                    self.note(fault);
                }
            } else {
                known.push(entry);
            }
        }
        Fields {
            table,
            entries: known,
        }
    }

    /// One word of a file as a `T`.
    pub fn word<T: Word>(&mut self, key: &str, node: &Node) -> Option<Placed<T>> {
        let text = match &node.value {
            Value::Scalar(text) => text,
            other => {
                self.note(mistyped(key, &T::wanted(), node, other));
                return None;
            }
        };
        self.read(key, text, &node.location)
    }

    fn read<T: Word>(&mut self, key: &str, text: &str, location: &Location) -> Option<Placed<T>> {
        if self.is_full() {
            return None;
        }
        if text.len() > WORD_MAX {
            let what = format!("{key}: longer than {WORD_MAX} bytes");
            self.note(Fault::at(location, what));
            return None;
        }
        match T::read(text) {
            Ok(value) => Some(Placed::at(location, value)),
            Err(misread) => {
                let fault = Fault::at(location, format!("{key}: {}", misread.what));
                let hint = misread.hint;
                self.note(Fault { hint, ..fault });
                None
            }
        }
    }

    fn note_doubles(&mut self, entries: &[Entry]) {
        let mut seen = HashMap::with_capacity(entries.len());
        for entry in entries {
            if let Some(first) = seen.insert(entry.key.as_str(), &entry.location) {
                let (key, line) = (quoted(&entry.key), first.line);
                let what = format!("{key} a second time, first on line {line}");
                self.note(Fault::at(&entry.location, what));
            }
        }
    }
}

impl<'node> Fields<'node> {
    /// The keys that are there, each once, in the order written.
    pub fn entries(&self) -> impl Iterator<Item = &'node Entry> + '_ {
        let entries = self.entries.iter().copied();
        entries.filter(|entry| std::ptr::eq(*entry, self.first(entry)))
    }

    fn first(&self, entry: &'node Entry) -> &'node Entry {
        let mut entries = self.entries.iter().copied();
        entries.find(|one| one.key == entry.key).unwrap_or(entry)
    }

    /// The values of a key after the first.
    fn others(&self, name: &str) -> Vec<&'node Node> {
        let entries = self.entries.iter().copied();
        let named = entries.filter(|entry| entry.key == name);
        named.skip(1).map(|entry| &entry.value).collect()
    }

    /// Whether the mapping may have a key.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        keys(self.table).any(|key| key.name == name)
    }

    /// A key and its value, if it is there.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&'node Entry> {
        debug_assert!(self.knows(name), "{name} is in no table");
        self.entries.iter().copied().find(|entry| entry.key == name)
    }

    /// The value of a key, if it is there.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&'node Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// The one word of a key, with its place.
    pub fn placed<T: Word>(&self, name: &str, notes: &mut Notes) -> Option<Placed<T>> {
        debug_assert!(self.holds::<T>(name), "{name} holds something else");
        let value = notes.word(name, self.node(name)?);
        for other in self.others(name) {
            notes.word::<T>(name, other);
        }
        value
    }

    /// The one word of a key.
    pub fn one<T: Word>(&self, name: &str, notes: &mut Notes) -> Option<T> {
        self.placed(name, notes).map(|placed| placed.value)
    }

    /// The words of a key: a list, a single one, or separated by commas if the key allows that.
    pub fn many<T: Word>(&self, name: &str, notes: &mut Notes) -> Option<Vec<Placed<T>>> {
        debug_assert!(self.holds::<T>(name), "{name} holds something else");
        let words = self.words(name, self.node(name)?, notes);
        for other in self.others(name) {
            self.words::<T>(name, other, notes);
        }
        words
    }

    fn words<T: Word>(&self, name: &str, node: &Node, notes: &mut Notes) -> Option<Vec<Placed<T>>> {
        let key = keys(self.table).find(|key| key.name == name);
        let shape = key.map(|key| key.shape);
        match &node.value {
            Value::Sequence(items) => {
                let read = |item| notes.word(name, item);
                Some(items.iter().filter_map(read).collect())
            }
            Value::Scalar(text) if matches!(shape, Some(Shape::Commas(_))) => {
                let parts = text.split(',').map(str::trim);
                let parts = parts.filter(|part| !part.is_empty());
                let read = |part| notes.read(name, part, &node.location);
                Some(parts.filter_map(read).collect())
            }
            Value::Scalar(_) => Some(notes.word(name, node).into_iter().collect()),
            other @ (Value::Nothing | Value::Mapping(_)) => {
                let wanted = format!("{}, or a list of such", T::wanted());
                notes.note(mistyped(name, &wanted, node, other));
                None
            }
        }
    }

    /// Whether the table and the reader agree on what a key holds.
    fn holds<T: Word>(&self, name: &str) -> bool {
        let says = |kind: Kind| (kind.wanted)() == T::wanted();
        keys(self.table).any(|key| {
            key.name == name
                && match key.shape {
                    Shape::One(kind)
                    | Shape::Many(kind)
                    | Shape::Commas(kind)
                    | Shape::Either(kind, _) => says(kind),
                    Shape::ManyOr(..)
                    | Shape::Table(_)
                    | Shape::OneOf(_)
                    | Shape::List(_)
                    | Shape::Named(..)
                    | Shape::Variants(_) => false,
                }
        })
    }
}

/// What is written at the key that chooses the variant, if it is a word.
fn written_variant<'node>(node: &'node Node, variants: &Variants) -> Option<&'node str> {
    let Value::Mapping(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == variants.key)?;
    match &entry.value.value {
        Value::Scalar(text) => Some(text),
        Value::Nothing | Value::Sequence(_) | Value::Mapping(_) => Some(""),
    }
}

fn unknown(entry: &Entry, table: Table) -> Fault {
    let known: Vec<&str> = keys(table).map(|key| key.name).collect();
    let what = format!("unknown key {}", quoted(&entry.key));
    let fault = Fault::at(&entry.location, what);
    if entry.key.len() > SUGGESTED_MAX {
        return fault;
    }
    let written = entry.key.to_lowercase().replace('-', "_");
    if let Some(section) = section_of(&written, table) {
        return fault.hint(format!("put it below {section}: {section}.{written}"));
    }
    let fault = fault.did_you_mean(&written, known.iter().copied());
    if fault.hint.is_some() || known.len() > LISTED_MAX {
        return fault;
    }
    fault.hint(format!("known here: {}", known.join(", ")))
}

/// The one section of a table that has this key.
fn section_of(name: &str, table: Table) -> Option<&'static str> {
    let has = |table: Table| keys(table).any(|key| key.name == name);
    let sections = keys(table).filter(|key| matches!(key.shape, Shape::Table(table) if has(table)));
    let mut sections = sections.map(|key| key.name);
    let section = sections.next()?;
    sections.next().is_none().then_some(section)
}

fn mistyped(key: &str, wanted: &str, node: &Node, found: &Value) -> Fault {
    match found {
        Value::Nothing => Fault::at(&node.location, format!("{key} has no value"))
            .hint(format!("give it {wanted}, or leave the key out")),
        Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => {
            let what = format!("{key}: expected {wanted}, found {}", found.article());
            Fault::at(&node.location, what)
        }
    }
}

/// A piece of a file for the words of a fault, shortened.
#[must_use]
pub fn quoted(text: &str) -> String {
    if text.chars().count() <= QUOTED_MAX {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(QUOTED_MAX).collect();
    format!("{start:?}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::read::keys::{YamlKey, commas, key, many, one};

    const TABLE: Table = &[&[
        key("count", one::<u64>(), "", "a number"),
        key("flags", many::<bool>(), "", "some flags"),
        key("users", commas::<String>(), "", "some users"),
    ]];

    const KINDS: &[YamlKey] = &[key("kind", one::<String>(), "", "which")];
    static VARIANTS: Variants = Variants {
        key: "kind",
        tables: &[
            (
                "round",
                &[KINDS, &[key("radius", one::<u64>(), "", "half")]],
            ),
            ("square", &[KINDS, &[key("side", one::<u64>(), "", "all")]]),
        ],
    };

    fn walk<T>(text: &str, read: impl Fn(&Node, &mut Notes) -> T) -> (T, String) {
        let mut notes = Notes::default();
        let node = Node::parse(&"a.yaml".into(), text).unwrap();
        let value = read(&node, &mut notes);
        (value, notes.faults.to_string())
    }

    fn many_of(text: &str) -> (Vec<bool>, Vec<String>, String) {
        let ((flags, users), faults) = walk(text, |node, notes| {
            let fields = notes.fields(node, TABLE);
            (fields.many("flags", notes), fields.many("users", notes))
        });
        let flags = flags.into_iter().flatten().map(|flag| flag.value);
        let users = users
            .into_iter()
            .flatten()
            .map(|user: Placed<String>| user.value);
        (flags.collect(), users.collect(), faults)
    }

    #[test]
    fn a_list_may_be_one_word_and_commas_only_where_they_mean_something() {
        let (flags, users, faults) = many_of("{flags: yes, users: 'a, b,,'}");
        assert_eq!(
            (flags.as_slice(), users.len(), faults.as_str()),
            (&[true][..], 2, "")
        );
        let (_, users, _) = many_of("users: [a, 'b, c']");
        assert_eq!(users, ["a", "b, c"]);
        let (_, _, faults) = many_of("flags: 'yes, no'");
        assert_eq!(
            faults,
            "a.yaml:1:8: flags: \"yes, no\" is not true or false"
        );
    }

    #[test]
    fn a_bad_word_in_a_list_does_not_hide_the_others() {
        let (flags, _, faults) = many_of("flags: [yes, perhaps, no, maybe]");
        assert_eq!(flags, [true, false]);
        assert_eq!(faults.lines().count(), 2);
    }

    #[test]
    fn a_key_of_another_variant_is_told_apart_from_an_unknown_one() {
        let variant = |text: &str| walk(text, |node, notes| notes.variant(node, &VARIANTS).0);
        let table = [
            ("radius: 1", "round", ""),
            ("{kind: square, side: 1}", "square", ""),
            (
                "side: 1",
                "round",
                "a.yaml:1:1: side belongs to a square, and this is a round",
            ),
            ("{kind: squar, side: 1}", "square", ""),
            ("{kind: other, side: 1}", "round", ""),
            (
                "depth: 1",
                "round",
                "a.yaml:1:1: unknown key \"depth\", known here: kind, radius",
            ),
        ];
        for (text, name, faults) in table {
            assert_eq!(variant(text), (name, faults.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_without_end_is_told_with_an_end() {
        let unknown: String = (0..5000)
            .map(|number| format!("key-{number}: 1\n"))
            .collect();
        let (_, faults) = walk(&unknown, |node, notes| {
            notes.fields(node, TABLE).entries().count()
        });
        assert_eq!(faults.lines().count(), FAULTS_MAX + 1);
        assert!(faults.ends_with("more than 1000 faults, the others are left out"));
        let long = format!("flags: {}", "y".repeat(WORD_MAX + 1));
        assert_eq!(
            many_of(&long).2,
            "a.yaml:1:8: flags: longer than 4096 bytes"
        );
        let key = format!("? {}\n: 1", "k".repeat(100_000));
        let (_, faults) = walk(&key, |node, notes| {
            notes.fields(node, TABLE).entries().count()
        });
        assert!(faults.len() < 200, "{faults}");
    }
}
