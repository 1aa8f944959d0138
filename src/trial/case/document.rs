//! A file of tests, read.

use std::path::PathBuf;
use std::sync::Arc;

use crate::language::{Choice, Moment, Node, Notes, Placed, Shape, Value, YamlKey, key, kind, one};
use crate::model::{Fault, Faults, IndexName, Location, Timestamp};
use crate::trial::case::given::{GIVEN, Given, GivenText, read_given, read_listed};

/// The keys of a file of tests.
#[rustfmt::skip] // a table reads by rows
pub const CASES: &[YamlKey] = &[
    key("policies", one::<PathBuf>(), "",
        "the configuration that is tested, a YAML file or a folder of them, relative to this file; without it, the server's"),
    key("index", one::<IndexName>(), "", "the index that the tests ask; without it, default_index"),
    key("now", one::<Moment>(), "", "when the tests take place; without it, now"),
    key("tests", Shape::List(&Shape::Table(&[CASE])), "", "the tests"),
];

#[rustfmt::skip] // a table reads by rows
pub(super) const CASE: &[YamlKey] = &[
    key("name", one::<String>(), "", "what the test is about"),
    key("given", Shape::Either(kind::<GivenText>(), &[GIVEN]), "",
        "a file, by its name or by what is known of it; or a project or requirement"),
    key("listed", Shape::List(&Shape::Either(kind::<GivenText>(), &[GIVEN])), "",
        "the files that there are of the given project: which version of them is taken?"),
    key("index", one::<IndexName>(), "", "the index that is asked"),
    key("now", one::<Moment>(), "", "when the test takes place"),
    key("expect", one::<Expected>(), "", "whether it passes"),
    key("by", one::<String>(), "", "the rule that decides: its id, its whole name, or its policy or key"),
    key("version", one::<String>(), "", "the version that an installer takes of those listed"),
];

/// A file of tests.
#[derive(Debug)]
pub struct CaseFile {
    /// The configuration that it is about, as written.
    pub policies: Option<Placed<PathBuf>>,
    /// The tests.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Debug)]
pub struct Case {
    /// Where it is written.
    pub location: Location,
    /// What it is about, in its author's words.
    pub name: Option<String>,
    pub(super) given: Given,
    /// Empty if the test is about the given thing itself.
    pub(super) listed: Vec<Given>,
    pub(super) index: Option<Placed<IndexName>>,
    pub(super) now: Option<Timestamp>,
    pub(super) expected: Expected,
    pub(super) by: Option<String>,
    pub(super) version: Option<String>,
}

/// What a test expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Allow,
    Deny,
}

impl Choice for Expected {
    const WORDS: &'static [(&'static str, Self)] = &[("allow", Self::Allow), ("deny", Self::Deny)];
}

impl CaseFile {
    /// Reads a text; `file` is its name in faults.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn read(file: &str, text: &str) -> Result<Self, Faults> {
        let file: Arc<str> = file.into();
        let root = Node::parse(&file, text).map_err(|fault| Faults(vec![fault]))?;
        let mut notes = Notes::default();
        let fields = notes.fields(&root, &[CASES]);
        let defaults = Defaults {
            index: fields.placed("index", &mut notes),
            now: fields.one("now", &mut notes).map(|Moment(now)| now),
        };
        let policies = fields.placed("policies", &mut notes);
        let cases: Vec<Case> = match fields.node("tests") {
            Some(node) => items(node, "tests", &mut notes)
                .iter()
                .filter_map(|item| defaults.read_case(item, &mut notes))
                .collect(),
            None => Vec::new(),
        };
        if cases.is_empty() && notes.faults.0.is_empty() {
            let what = "a file of tests without a test";
            let hint = "write each under tests: as \"- { given: …, expect: … }\"";
            notes.note(Fault::at(&root.location, what).hint(hint));
        }
        notes.faults.or(Self { policies, cases })
    }
}

/// What holds for all tests of a file.
struct Defaults {
    index: Option<Placed<IndexName>>,
    now: Option<Timestamp>,
}

impl Defaults {
    fn read_case(&self, node: &Node, notes: &mut Notes) -> Option<Case> {
        let fields = notes.fields(node, &[CASE]);
        let given = match fields.node("given") {
            Some(node) => read_given(node, notes),
            None => {
                let what = "a test to which nothing is given";
                let hint = "name a file or a project: given: six-1.17.0-py2.py3-none-any.whl";
                notes.note(Fault::at(&node.location, what).hint(hint));
                None
            }
        };
        let listed = fields.node("listed").map(|node| {
            let project = given.as_ref().map(Given::project);
            let items = items(node, "listed", notes).iter();
            items
                .filter_map(|item| read_listed(item, project, notes))
                .collect::<Vec<_>>()
        });
        let expected = fields.one("expect", notes);
        if fields.node("expect").is_none() {
            let what = "a test that expects nothing";
            notes.note(Fault::at(&node.location, what).hint("say expect: allow or expect: deny"));
        }
        let version: Option<Placed<String>> = fields.placed("version", notes);
        if let Some(given) = &given {
            note_mismatch(given, listed.as_deref(), version.as_ref(), notes);
        }
        let given = match listed {
            Some(_) => given,
            None => given.map(Given::with_exact_version),
        };
        let now: Option<Moment> = fields.one("now", notes);
        let index = fields.placed("index", notes);
        let (name, by) = (fields.one("name", notes), fields.one("by", notes));
        Some(Case {
            location: node.location.clone(),
            name,
            given: given?,
            listed: listed.unwrap_or_default(),
            index: index.or_else(|| self.index.clone()),
            now: now.map(|Moment(now)| now).or(self.now),
            expected: expected?,
            by,
            version: version.map(|version| version.value),
        })
    }
}

/// Files are listed for a requirement, and only of several files one version is taken.
fn note_mismatch(
    given: &Given,
    listed: Option<&[Given]>,
    version: Option<&Placed<String>>,
    notes: &mut Notes,
) {
    match (listed, version) {
        (Some(_), _) if !given.is_requirement() => {
            let what = "files are listed, and a single one is given";
            notes.note(Fault::at(&given.location, what).hint("give the project or a requirement"));
        }
        (None, Some(version)) => {
            let what = "version is what is taken of the files listed, and none are";
            notes.note(Fault::at(&version.location, what).hint("list them: listed: [1.0, 2.0]"));
        }
        (None, None) if given.asks_for_versions() => {
            let what = "a requirement takes one of several versions, and none are listed";
            notes.note(Fault::at(&given.location, what).hint("list them: listed: [1.0, 2.0]"));
        }
        (Some(_) | None, _) => {}
    }
}

fn items<'node>(node: &'node Node, key: &str, notes: &mut Notes) -> &'node [Node] {
    match &node.value {
        Value::Sequence(items) => items,
        other @ (Value::Nothing | Value::Scalar(_) | Value::Mapping(_)) => {
            let what = format!("{key}: expected a list, found {}", other.article());
            notes.note(Fault::at(&node.location, what));
            &[]
        }
    }
}
