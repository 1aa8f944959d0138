//! The metadata fields of an upload form: which are kept, which are lists (devpi-protocol.md §12).

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

/// What old tools write when they know nothing.
pub(super) const UNKNOWN: &str = "UNKNOWN";

/// Whether a kept field holds a list.
#[must_use]
pub fn is_list_field(name: &str) -> bool {
    LISTS.contains(&name)
}

/// The fields of a form that are kept, with only those that were sent. Of a text sent twice the last
/// one counts.
pub(super) fn kept<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> MetadataFields {
    let mut kept = MetadataFields::new();
    for (name, value) in fields {
        // Tools of today send core metadata's own name; devpi keeps the older one.
        let name = if name == "provides_extra" {
            "provides_extras"
        } else {
            name
        };
        let value = if value == UNKNOWN { "" } else { value };
        if TEXTS.contains(&name) {
            kept.insert(name.to_owned(), value.into());
        } else if is_list_field(name) {
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
            ("filetype", "sdist"),
            ("sha256_digest", "00"),
            (":action", "file_upload"),
        ];
        let expected = json!({
            "name": "a", "summary": "second", "classifiers": ["A", "B"], "platform": [],
            "author": "", "provides_extras": ["test"]
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
