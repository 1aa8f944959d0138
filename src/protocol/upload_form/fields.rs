//! The metadata fields of an upload form: which are kept, which are lists (docs/protocol/devpi.md §12).

use serde_json::{Map, Value};

/// Metadata as devpi keeps and shows it: a JSON object of strings and lists of strings.
pub type MetadataFields = Map<String, Value>;

/// Fields that hold one text.
const TEXTS: [&str; 17] = [
    "name",
    "version",
    "metadata_version",
    "summary",
    "home_page",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "license",
    "description",
    "keywords",
    "download_url",
    "comment",
    "requires_python",
    "description_content_type",
    "license_expression",
];

/// Fields that hold a list.
const LISTS: [&str; 14] = [
    "platform",
    "classifiers",
    "supported_platform",
    "provides",
    "requires",
    "obsoletes",
    "project_urls",
    "provides_dist",
    "obsoletes_dist",
    "requires_dist",
    "requires_external",
    "provides_extras",
    "dynamic",
    "license_file",
];

/// Fields of the upload itself, each sent once (docs/protocol/simple-api.md §11.1), and of metadata
/// that devpi does not keep; `content` and `gpg_signature` are files, and fields where a client has
/// none to send.
const OTHERS: [&str; 11] = [
    ":action",
    "protocol_version",
    "filetype",
    "pyversion",
    "md5_digest",
    "sha256_digest",
    "blake2_256_digest",
    "attestations",
    "content",
    "gpg_signature",
    "submit",
];

/// Lists that are not kept under this spelling: metadata newer than devpi, and the names that tools
/// give to the fields above, of the metadata file itself or in the plural.
const OTHER_LISTS: [&str; 10] = [
    "classifier",
    "platforms",
    "supported_platforms",
    "project_url",
    "provides_extra",
    "license_files",
    "import_name",
    "import_names",
    "import_namespace",
    "import_namespaces",
];

/// What a release is imported as (PEP 794): searched and shown, but unknown to devpi, which is not shown
/// them where they were not sent.
const IMPORTS: [&str; 2] = ["import_names", "import_namespaces"];

/// How a form may send a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// Send it once, or always the same.
    Once,
    /// Send it as often as there are values.
    Repeatedly,
    /// Not at all: no metadata version has it.
    Never,
}

/// What a form may do with the field of this name.
pub(super) fn sending(name: &str) -> Sending {
    if is_list_field(name) || OTHER_LISTS.contains(&name) {
        Sending::Repeatedly
    } else if TEXTS.contains(&name) || OTHERS.contains(&name) {
        Sending::Once
    } else {
        Sending::Never
    }
}

/// What old tools write for unknown values.
pub(super) const UNKNOWN: &str = "UNKNOWN";

/// Whether a kept field holds a list.
#[must_use]
pub fn is_list_field(name: &str) -> bool {
    LISTS.contains(&name)
}

/// The fields of a form that are kept, only those that were sent. If a text is sent twice the last one
/// counts.
pub(super) fn kept<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> MetadataFields {
    let mut kept = MetadataFields::new();
    for (name, value) in fields {
        // Today's tools send core metadata's own names; kept is the plural, which devpi has of the first.
        let name = match name {
            "provides_extra" => "provides_extras",
            "import_name" => "import_names",
            "import_namespace" => "import_namespaces",
            other => other,
        };
        let value = if value == UNKNOWN { "" } else { value };
        if TEXTS.contains(&name) {
            kept.insert(name.to_owned(), value.into());
        } else if is_list_field(name) || IMPORTS.contains(&name) {
            let list = kept.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let (Value::Array(items), false) = (list, value.is_empty()) {
                items.push(value.into());
            }
        }
    }
    kept
}

/// All fields, as devpi shows them: those that were never sent are empty.
#[must_use]
pub fn complete(sent: &MetadataFields) -> MetadataFields {
    let empty_texts = TEXTS.iter().map(|name| (*name, Value::from("")));
    let empty_lists = LISTS.iter().map(|name| (*name, Value::Array(Vec::new())));
    let mut all: MetadataFields = empty_texts
        .chain(empty_lists)
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (name, value) in sent {
        all.insert(name.clone(), value.clone());
    }
    all
}

/// `Requires-Python`, if a release's fields state it.
#[must_use]
pub fn stated_requirement(sent: &MetadataFields) -> Option<String> {
    let stated = sent.get("requires_python")?.as_str()?;
    (!stated.is_empty()).then(|| stated.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_gather_texts_do_not_and_the_rest_is_dropped() {
        let fields = [
            ("name", "a"),
            ("summary", "first"),
            ("summary", "second"),
            ("classifiers", "A"),
            ("platform", "UNKNOWN"),
            ("classifiers", ""),
            ("classifiers", "B"),
            ("author", "UNKNOWN"),
            ("provides_extra", "test"),
            ("import_name", "a.b"),
            ("import_names", "c"),
            ("filetype", "sdist"),
            ("sha256_digest", "00"),
            (":action", "file_upload"),
        ];
        let expected = json!({
            "name": "a", "summary": "second", "classifiers": ["A", "B"], "platform": [],
            "author": "", "provides_extras": ["test"],
            "import_names": ["a.b", "c"]
        });
        assert_eq!(Value::Object(kept(fields.into_iter())), expected);
    }

    #[test]
    fn what_was_not_sent_is_shown_empty() {
        let sent = kept([("name", "a"), ("requires_dist", "b")].into_iter());
        let all = complete(&sent);
        assert_eq!(all.len(), TEXTS.len() + LISTS.len());
        assert_eq!(all["name"], "a");
        assert_eq!(all["requires_dist"], json!(["b"]));
        assert_eq!((&all["summary"], &all["dynamic"]), (&json!(""), &json!([])));
    }
}
