//! Everything that a release says about itself, for people to read: core metadata 1.0 to 2.6, from a
//! metadata file or from the form of an upload.
//!
//! It is made to be shown, not to be relied on: what is unknown is passed over, what is too long is cut,
//! and nothing is refused.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::protocol::archive::fields::take_license;
use crate::protocol::archive::headers::{Headers, joined, unfolded};

/// Longest text besides the description, in bytes: licences are put here in full.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Longest description, in bytes; what shows it may show less.
const DESCRIPTION_BYTES_MAX: usize = 512 << 10;

/// Most values of one field. The longest lists of requirements in the field have some hundreds.
const VALUES_MAX: usize = 1_000;

/// Longest value of a list, in bytes.
const VALUE_BYTES_MAX: usize = 1 << 10;

/// Each field that is read: its name in a metadata file, that in a form, and whether it has many values.
const FIELDS: [(&str, &str, bool); 25] = [
    ("Metadata-Version", "metadata_version", false),
    ("Name", "name", false),
    ("Version", "version", false),
    ("Summary", "summary", false),
    ("Description", "description", false),
    (
        "Description-Content-Type",
        "description_content_type",
        false,
    ),
    ("Keywords", "keywords", false),
    ("Home-page", "home_page", false),
    ("Download-URL", "download_url", false),
    ("Author", "author", false),
    ("Author-email", "author_email", false),
    ("Maintainer", "maintainer", false),
    ("Maintainer-email", "maintainer_email", false),
    ("License", "license", false),
    ("License-Expression", LICENSE, false),
    ("Requires-Python", "requires_python", false),
    ("License-File", "license_file", true),
    ("Classifier", "classifiers", true),
    ("Requires-Dist", "requires_dist", true),
    ("Requires-External", "requires_external", true),
    ("Provides-Extra", "provides_extras", true),
    ("Project-URL", "project_urls", true),
    ("Platform", "platform", true),
    ("Import-Name", "import_names", true),
    ("Import-Namespace", "import_namespaces", true),
];

/// The licence expression's name in a form.
const LICENSE: &str = "license_expression";

/// The description's name in a form.
const DESCRIPTION: &str = "description";

/// What old tools write for unknown values.
const UNKNOWN: &str = "UNKNOWN";

/// What a release says about itself. Fields have the names that they have in an upload's form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseMetadata {
    texts: HashMap<&'static str, String>,
    lists: HashMap<&'static str, Vec<String>>,
}

/// A requirement, in the parts that people look for (PEP 508).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedRequirement<'a> {
    /// The project's name, as written.
    pub name: &'a str,
    /// Extras and versions.
    pub wanted: &'a str,
    /// When it is required; empty for always.
    pub marker: &'a str,
}

impl ReleaseMetadata {
    /// Reads a metadata file. Invalid UTF-8 is replaced; of a text that stands twice the first counts (of
    /// licence expressions, none if they differ), and a description in the body before one in the head.
    #[must_use]
    pub fn of_file(content: &[u8]) -> Self {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let text = String::from_utf8_lossy(content);
        let mut found = Self::default();
        let mut headers = Headers::of(&text);
        let mut license = None;
        for (name, value) in headers.by_ref() {
            let mut fields = FIELDS.iter();
            let field = fields.find(|(known, ..)| known.eq_ignore_ascii_case(name));
            match field {
                Some((_, LICENSE, _)) => take_license(&mut license, joined(value)),
                Some((_, DESCRIPTION, _)) => found.put_text(DESCRIPTION, &unfolded(value)),
                Some((_, key, false)) => found.put_text(key, &joined(value)),
                Some((_, key, true)) => found.put_value(key, &joined(value)),
                None => {}
            }
        }
        found.put_text(LICENSE, &license.unwrap_or_default());
        let body = headers.body();
        if !body.trim().is_empty() {
            found.texts.remove(DESCRIPTION);
            found.put_text(DESCRIPTION, body);
        }
        found
    }

    /// Takes the fields of an upload's form, as they are kept.
    #[must_use]
    pub fn of_form(fields: &Map<String, Value>) -> Self {
        let mut found = Self::default();
        for (_, key, is_list) in FIELDS {
            match fields.get(key) {
                Some(Value::String(text)) if !is_list => found.put_text(key, text),
                Some(Value::Array(values)) if is_list => {
                    let values = values.iter().filter_map(Value::as_str);
                    values.for_each(|value| found.put_value(key, value));
                }
                Some(_) | None => {}
            }
        }
        found
    }

    fn put_text(&mut self, key: &'static str, text: &str) {
        let most = match key {
            DESCRIPTION => DESCRIPTION_BYTES_MAX,
            _ => TEXT_BYTES_MAX,
        };
        if !text.trim().is_empty() && text != UNKNOWN {
            self.texts
                .entry(key)
                .or_insert_with(|| cut(text, most).into_owned());
        }
    }

    fn put_value(&mut self, key: &'static str, value: &str) {
        if value.is_empty() || value == UNKNOWN {
            return;
        }
        let values = self.lists.entry(key).or_default();
        if values.len() < VALUES_MAX {
            values.push(cut(value, VALUE_BYTES_MAX).into_owned());
        }
    }

    /// A field that holds one text, by its name in a form; never empty.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.texts.get(field).map(String::as_str)
    }

    /// A field that holds a list.
    #[must_use]
    pub fn list(&self, field: &str) -> &[String] {
        self.lists.get(field).map_or(&[], Vec::as_slice)
    }

    /// What is required, in order.
    pub fn requirements(&self) -> impl Iterator<Item = StatedRequirement<'_>> {
        let stated = self.list("requires_dist").iter();
        stated.map(|text| StatedRequirement::parse(text))
    }

    /// Labels and URLs of where the project says to look, as written: home page, download, others.
    pub fn links(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = [("Home page", "home_page"), ("Download", "download_url")];
        let named = named.into_iter();
        let named = named.filter_map(|(label, field)| Some((label, self.text(field)?)));
        let others = self.list("project_urls").iter();
        let others = others.filter_map(|one| one.split_once(','));
        named.chain(others.map(|(label, url)| (label.trim(), url.trim())))
    }

    /// The licence in a line: an SPDX expression (PEP 639), else the classifiers', else the first line of
    /// `License`.
    #[must_use]
    pub fn licence(&self) -> Option<String> {
        if let Some(expression) = self.text(LICENSE) {
            return Some(expression.to_owned());
        }
        let classifiers = self.list("classifiers").iter();
        let named = classifiers.filter_map(|one| one.strip_prefix("License :: "));
        // "OSI Approved :: MIT License": the last part names it.
        let named = named.filter_map(|path| path.rsplit(" :: ").next());
        let named: Vec<&str> = named.filter(|name| *name != "OSI Approved").collect();
        if !named.is_empty() {
            return Some(named.join(", "));
        }
        let stated = self.text("license")?.lines();
        stated
            .map(str::trim)
            .find(|line| !line.is_empty())
            .map(|line| cut(line, VALUE_BYTES_MAX / 4).into_owned())
    }
}

impl<'a> StatedRequirement<'a> {
    fn parse(text: &'a str) -> Self {
        let (what, marker) = text.split_once(';').unwrap_or((text, ""));
        let what = what.trim();
        let is_part = |next: char| next.is_ascii_alphanumeric() || "._-".contains(next);
        let end = what.find(|next| !is_part(next)).unwrap_or(what.len());
        let (name, wanted) = what.split_at(end);
        Self {
            name,
            wanted: wanted.trim(),
            marker: marker.trim(),
        }
    }
}

/// At most so many bytes of a text, with a mark where something is missing.
fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(bytes_max)];
    Cow::Owned(format!("{kept}…"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const FILE: &str = "\
Metadata-Version: 2.6
Name: Hello.Pkg
Version: 1.0
Summary: says
 hello
Description-Content-Type: text/markdown
Keywords: UNKNOWN
License-Expression: MIT OR Apache-2.0
Classifier: License :: OSI Approved :: BSD License
Classifier: Typing :: Typed
Requires-Dist: six (>=1.0)
Requires-Dist: colorama[x,y]>=0.4; sys_platform == \"win32\"
Project-URL: Source, https://src.example/a,b
Project-URL: no comma
Home-page: https://home.example
Import-Name: hello
X-Unknown: x

# Hello

Name: not a field
";

    fn read(text: &str) -> ReleaseMetadata {
        ReleaseMetadata::of_file(text.as_bytes())
    }

    #[test]
    fn a_file_says_all_this() {
        let found = read(FILE);
        assert_eq!(found.text("summary"), Some("says hello"));
        assert_eq!(found.text("keywords"), None);
        assert_eq!(
            found.text("description"),
            Some("# Hello\n\nName: not a field\n")
        );
        assert_eq!(found.list("import_names"), ["hello"]);
        assert_eq!(found.licence().as_deref(), Some("MIT OR Apache-2.0"));
        let links: Vec<_> = found.links().collect();
        let expected = [
            ("Home page", "https://home.example"),
            ("Source", "https://src.example/a,b"),
        ];
        assert_eq!(links, expected);
        let required: Vec<_> = found.requirements().collect();
        let parts = |at: usize| (required[at].name, required[at].wanted, required[at].marker);
        assert_eq!(parts(0), ("six", "(>=1.0)", ""));
        let second = ("colorama", "[x,y]>=0.4", "sys_platform == \"win32\"");
        assert_eq!(parts(1), second);
    }

    #[test]
    fn old_files_have_their_description_in_the_head() {
        let table = [
            (
                "Description: One\n        \n            two\n        three\n",
                "One\n\n    two\nthree",
            ),
            (
                "Description: One\r\n       |two\r\n       |\r\n",
                "One\ntwo\n",
            ),
            ("Description: One\n\nbody\n", "body\n"),
            ("Description: One\n\n \n", "One"),
        ];
        for (text, expected) in table {
            let found = read(text);
            assert_eq!(found.text("description"), Some(expected), "{text:?}");
        }
        assert_eq!(read("Description: UNKNOWN\n\n\n").text("description"), None);
    }

    #[test]
    fn licences_are_told_in_a_line() {
        let table = [
            (
                "Classifier: License :: OSI Approved :: MIT License\nLicense: x",
                Some("MIT License"),
            ),
            (
                "Classifier: License :: OSI Approved\nLicense: MIT\n text",
                Some("MIT text"),
            ),
            ("License: \n", None),
            (
                "License-Expression: MIT\nLicense-Expression: MIT\n",
                Some("MIT"),
            ),
            (
                "License-Expression: MIT\nLicense-Expression: 0BSD\nLicense: x\n",
                Some("x"),
            ),
            (
                "Classifier: License :: A\nClassifier: License :: B :: C\n",
                Some("A, C"),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).licence().as_deref(), expected, "{text}");
        }
        let form = json!({"license": "\n  MIT License\n\nCopyright"});
        let found = ReleaseMetadata::of_form(form.as_object().unwrap());
        assert_eq!(found.licence().as_deref(), Some("MIT License"));
    }

    #[test]
    fn a_form_says_the_same_as_a_file() {
        let form = json!({
            "metadata_version": "2.6", "name": "Hello.Pkg", "version": "1.0", "summary": "says hello",
            "description": "# Hello\n\nName: not a field\n", "description_content_type": "text/markdown",
            "keywords": "", "license_expression": "MIT OR Apache-2.0", "home_page": "https://home.example",
            "classifiers": ["License :: OSI Approved :: BSD License", "Typing :: Typed"],
            "requires_dist": ["six (>=1.0)", "colorama[x,y]>=0.4; sys_platform == \"win32\""],
            "project_urls": ["Source, https://src.example/a,b", "no comma"],
            "import_names": ["hello"], "platform": 1, "author": ["no text"]
        });
        let found = ReleaseMetadata::of_form(form.as_object().unwrap());
        assert_eq!(found, read(FILE));
    }

    #[test]
    fn hostile_lengths_are_cut() {
        let many = |line: &str, times: usize| line.repeat(times);
        let found = read(&many("Classifier: x\n", 100_000));
        assert_eq!(found.list("classifiers").len(), VALUES_MAX);
        let found = read(&format!(
            "Classifier: {}\n\n{}",
            many("é", 9999),
            many("a", 5 << 20)
        ));
        let length = found.list("classifiers")[0].len();
        assert!(length <= VALUE_BYTES_MAX + '…'.len_utf8(), "{length}");
        let length = found.text("description").unwrap().len();
        assert!(length <= DESCRIPTION_BYTES_MAX + '…'.len_utf8(), "{length}");
        let found = read(&format!("Summary: a\n{}", many(" folded\n", 1 << 20)));
        assert!(found.text("summary").unwrap().len() <= TEXT_BYTES_MAX + '…'.len_utf8());
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let found = ReleaseMetadata::of_file(&content);
            prop_assert!(found.texts.values().all(|text| !text.trim().is_empty()));
        }
    }
}
