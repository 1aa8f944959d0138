//! YAML text as a tree in which every node knows its place.
//!
//! Built from the parser's events rather than through serde, because the walk needs what a deserializer
//! hides: both of two equal keys, the spelling of a number (`versions: 1.10`), and whether a word was
//! quoted. Aliases and merge keys (`<<`) are expanded here, within [`MEMORY_MAX`] and [`DEPTH_MAX`], so
//! that a small file cannot become a large tree.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_yaml::granit_parser;
use serde_yaml::granit_parser::{Event, Marker, Parser, ScalarStyle};

use crate::model::{Fault, Location};

/// Deepest nesting, aliases unfolded: our deepest key is seven levels down.
const DEPTH_MAX: usize = 32;

/// Most memory that one file's tree may take, in bytes, aliases unfolded: a whitelist of 100,000
/// names takes a tenth of it.
const MEMORY_MAX: usize = 256 << 20;

/// What a node takes besides its text, in bytes, rounded up.
const NODE_BYTES: usize = 160;

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it starts.
    pub location: Location,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value at all, or a bare `~` or `null`.
    Nothing,
    /// A word, quoted or not, as it reads after YAML's escapes.
    Scalar(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order written; equal keys are all here.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key starts.
    pub location: Location,
    /// Its value.
    pub value: Node,
}

impl Value {
    /// What it is, with an article, for the words of a fault.
    #[must_use]
    pub fn article(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Scalar(_) => "a single value",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

impl Node {
    /// Reads the text of a file, which holds one YAML document; an empty one is an empty mapping.
    ///
    /// # Errors
    /// The first place where the text is not YAML, uses something that configuration does not need
    /// (tags, keys that are no words, a second document), or expands beyond the limits.
    pub fn parse(file: &Arc<str>, text: &str) -> Result<Self, Fault> {
        let mut builder = Builder::new(file);
        let options = granit_parser::options! {
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
            disallow_directives: true,
            emit_comments: false,
        };
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| {
                let what = format!("not valid YAML: {}", error.info());
                Fault::at(&builder.location(error.marker()), what)
            })?;
            let location = builder.location(&span.start);
            builder.event(event, location)?;
        }
        let start = builder.location(&Marker::new(0, 1, 0));
        Ok(builder.root.unwrap_or(Self {
            location: start,
            value: Value::Mapping(Vec::new()),
        }))
    }
}

/// A finished node and its cost.
#[derive(Clone)]
struct Finished {
    node: Node,
    bytes: usize,
    height: usize,
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(String, Location)>,
    bytes: usize,
    height: usize,
}

struct Builder {
    file: Arc<str>,
    open: Vec<Open>,
    anchors: HashMap<usize, Finished>,
    bytes: usize,
    root: Option<Node>,
    documents: usize,
}

impl Builder {
    fn new(file: &Arc<str>) -> Self {
        Self {
            file: Arc::clone(file),
            open: Vec::new(),
            anchors: HashMap::new(),
            bytes: 0,
            root: None,
            documents: 0,
        }
    }

    fn location(&self, marker: &Marker) -> Location {
        Location {
            file: Arc::clone(&self.file),
            line: u32::try_from(marker.line().max(1)).unwrap_or(u32::MAX),
            column: u32::try_from(marker.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn event(&mut self, event: Event<'_>, location: Location) -> Result<(), Fault> {
        if let Some(tag) = event.tag().filter(|tag| !tag.is_yaml_core_schema()) {
            let what = format!("the tag {} means nothing here", tag.original());
            return Err(Fault::at(&location, what).hint("leave it out"));
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let fault = Fault::at(&location, "a second YAML document in one file");
                    return Err(fault.hint("remove the \"---\" or use two files"));
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let bare = style == ScalarStyle::Plain;
                let value = match text.as_ref() {
                    "" | "~" | "null" | "Null" | "NULL" if bare => Value::Nothing,
                    text => Value::Scalar(text.to_owned()),
                };
                let bytes = self.charge(NODE_BYTES + text.len(), &location)?;
                let node = Node { location, value };
                self.finish(node, anchor, bytes, 1)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(Value::Sequence(Vec::new()), anchor, location)?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.start(Value::Mapping(Vec::new()), anchor, location)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let node = merged(open.node)?;
                    self.finish(node, open.anchor, open.bytes, open.height + 1)?;
                }
            }
            Event::Alias(anchor) => self.alias(anchor, location)?,
            // The rest frames the stream, or is not enabled by our options.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, value: Value, anchor: usize, location: Location) -> Result<(), Fault> {
        let bytes = self.charge(NODE_BYTES, &location)?;
        self.check_depth(1, &location)?;
        self.open.push(Open {
            node: Node { location, value },
            anchor,
            key: None,
            bytes,
            height: 0,
        });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, location: Location) -> Result<(), Fault> {
        let Some(finished) = self.anchors.get(&anchor).cloned() else {
            return Err(Fault::at(&location, "an alias inside what it stands for"));
        };
        self.charge(finished.bytes, &location)?;
        self.check_depth(finished.height, &location)?;
        self.finish(finished.node, 0, finished.bytes, finished.height)
    }

    fn charge(&mut self, bytes: usize, location: &Location) -> Result<usize, Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MEMORY_MAX {
            return Err(Fault::at(
                location,
                "the file is too large, aliases unfolded",
            ));
        }
        Ok(bytes)
    }

    fn check_depth(&self, height: usize, location: &Location) -> Result<(), Fault> {
        if self.open.len() + height > DEPTH_MAX {
            let what = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(Fault::at(location, what));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: under its key, into its list, or at the root.
    fn finish(
        &mut self,
        node: Node,
        anchor: usize,
        bytes: usize,
        height: usize,
    ) -> Result<(), Fault> {
        if anchor != 0 {
            let node = node.clone();
            let bytes = self.charge(bytes, &node.location)?;
            let finished = Finished {
                node,
                bytes,
                height,
            };
            self.anchors.insert(anchor, finished);
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.bytes += bytes;
        parent.height = parent.height.max(height);
        match &mut parent.node.value {
            Value::Sequence(items) => items.push(node),
            Value::Mapping(entries) => match (parent.key.take(), node.value) {
                (Some((key, location)), value) => entries.push(Entry {
                    key,
                    location,
                    value: Node {
                        location: node.location,
                        value,
                    },
                }),
                (None, Value::Scalar(key)) => parent.key = Some((key, node.location)),
                (None, other) => {
                    let what = format!("{} cannot be a key", other.article());
                    return Err(Fault::at(&node.location, what));
                }
            },
            Value::Nothing | Value::Scalar(_) => debug_assert!(false, "only collections open"),
        }
        Ok(())
    }
}

/// Replaces merge keys (`<<: *defaults`, or a list of them) by the entries they stand for: keys written
/// next to `<<` win, then earlier mappings (YAML 1.1, as common tools still do it).
fn merged(mut node: Node) -> Result<Node, Fault> {
    let Value::Mapping(entries) = &mut node.value else {
        return Ok(node);
    };
    if entries.iter().all(|entry| entry.key != "<<") {
        return Ok(node);
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = std::mem::take(entries)
        .into_iter()
        .partition(|entry| entry.key == "<<");
    let mut known: HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
    for merge in merges {
        let sources = match merge.value.value {
            Value::Sequence(items) => items,
            value => vec![Node {
                location: merge.value.location,
                value,
            }],
        };
        for source in sources {
            let Value::Mapping(theirs) = source.value else {
                return Err(Fault::at(
                    &source.location,
                    "only a mapping can be merged by \"<<\"",
                ));
            };
            own.extend(
                theirs
                    .into_iter()
                    .filter(|entry| known.insert(entry.key.clone())),
            );
        }
    }
    node.value = Value::Mapping(own);
    Ok(node)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Node, Fault> {
        Node::parse(&"a.yaml".into(), text)
    }

    /// The tree in one line: `{key@line:column: value@line:column}`.
    fn draw(node: &Node) -> String {
        let Location { line, column, .. } = node.location;
        match &node.value {
            Value::Nothing => format!("~@{line}:{column}"),
            Value::Scalar(text) => format!("{text}@{line}:{column}"),
            Value::Sequence(items) => {
                let items: Vec<_> = items.iter().map(draw).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Mapping(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.key, draw(&entry.value)))
                    .collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn everything_knows_its_place_and_keeps_its_spelling() {
        let table = [
            ("", "{}"),
            ("# nothing\n", "{}"),
            ("a: 1.10", "{a: 1.10@1:4}"),
            ("a: \"~\"\nb: ~\nc:\n", "{a: ~@1:4 b: ~@2:4 c: ~@3:2}"),
            ("a: 1\na: 2\n", "{a: 1@1:4 a: 2@2:4}"),
            ("é: [x, 'y z']", "{é: [x@1:5 y z@1:8]}"),
            ("a:\n  - b\n  -   c\n", "{a: [b@2:5 c@3:7]}"),
        ];
        for (text, wanted) in table {
            assert_eq!(draw(&parse(text).unwrap()), wanted, "{text:?}");
        }
    }

    #[test]
    fn aliases_and_merge_keys_are_copied_in() {
        let text = "base: &b {x: 1, y: 2}\nuse: *b\nmore: {<<: *b, y: 3}\n";
        assert_eq!(
            draw(&parse(text).unwrap()),
            "{base: {x: 1@1:14 y: 2@1:20} use: {x: 1@1:14 y: 2@1:20} more: {y: 3@3:19 x: 1@1:14}}"
        );
    }

    #[test]
    fn what_is_no_configuration_is_refused_at_its_place() {
        let table = [
            ("a: [1", "a.yaml:"),
            ("a: *nobody", "a.yaml:1:4: "),
            ("a: !include b", "a.yaml:1:"),
            ("[a, b]: c", "a.yaml:1:1: a list cannot be a key"),
            ("a: 1\n---\nb: 2", "a.yaml:2:1: a second YAML document"),
            (
                "a: &a [*a]",
                "a.yaml:1:8: an alias inside what it stands for",
            ),
            ("<<: 1", "a.yaml:1:5: only a mapping can be merged"),
            ("%YAML 1.1\n---\na: 1", "a.yaml:1:1: "),
        ];
        for (text, wanted) in table {
            let fault = parse(text).unwrap_err().to_string();
            assert!(fault.starts_with(wanted), "{text:?}: {fault}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        let mut ladder = String::from("a0: &a0 [x]\n");
        for step in 1..40 {
            let below = format!("*a{}", step - 1);
            writeln!(
                laughs,
                "a{step}: &a{step} [{}]",
                [below.as_str(); 10].join(", ")
            )
            .unwrap();
            writeln!(ladder, "a{step}: &a{step} [{below}]").unwrap();
        }
        let wide = format!(
            "a: &a {}\nb: [{}]",
            "x".repeat(100_000),
            "*a, ".repeat(5_000)
        );
        for text in [laughs, wide] {
            let fault = parse(&text).unwrap_err().to_string();
            assert!(
                fault.ends_with("the file is too large, aliases unfolded"),
                "{fault}"
            );
        }
        let fault = parse(&ladder).unwrap_err().to_string();
        assert!(fault.ends_with("nested deeper than 32 levels"), "{fault}");
    }

    proptest! {
        #[test]
        fn no_text_brings_the_parser_down(text in "[-\\[\\]{}:,&*!<>|%@#'\" \na-c~0-9]{0,120}") {
            let lines = text.lines().count() + 1;
            let line = match parse(&text) {
                Ok(node) => node.location.line,
                Err(fault) => fault.location.map_or(0, |location| location.line),
            };
            prop_assert!((1..=lines).contains(&(line as usize)), "{line} of {lines}");
        }
    }
}
