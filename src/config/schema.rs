//! JSON Schema of a whole file, made from the tables that read it.

use serde_json::Value as Json;

use crate::config::load::TOP;
use crate::language::{Table, schema_of};
use crate::trial::CASES;

/// JSON Schema (draft 2020-12) of a configuration file, for editors.
#[must_use]
pub fn schema() -> Json {
    titled(TOP, "cheesecloth")
}

/// The same of a file of tests.
#[must_use]
pub fn tests_schema() -> Json {
    titled(&[CASES], "tests of cheesecloth's policies")
}

fn titled(table: Table, title: &str) -> Json {
    let mut schema = schema_of(table);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = title.into();
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::load::load;
    use crate::config::settings::Overrides;
    use crate::config::source::PoliciesPath;
    use crate::language::{Node, Shape, Value, keys};

    /// Every key of every table, wherever it is, as a path.
    fn walk(table: Table, path: &str, seen: &mut Vec<String>) {
        for key in keys(table) {
            let path = format!("{path}/{}", key.name);
            seen.push(path.clone());
            walk_shape(key.shape, &path, seen);
        }
    }

    fn walk_shape(shape: Shape, path: &str, seen: &mut Vec<String>) {
        match shape {
            Shape::One(_) | Shape::Many(_) | Shape::Commas(_) => {}
            Shape::Table(table) | Shape::OneOf(table) | Shape::Either(_, table) => {
                walk(table, path, seen);
            }
            // Alone, and in a list.
            Shape::ManyOr(_, table) => {
                walk(table, path, seen);
                walk(table, path, seen);
            }
            Shape::List(shape) | Shape::Named(_, shape) => walk_shape(*shape, path, seen),
            Shape::Variants(variants) => {
                for (_, table) in variants.tables {
                    walk(table, path, seen);
                }
            }
        }
    }

    /// The same paths, found in the schema.
    fn described(schema: &Json, path: &str, seen: &mut Vec<String>) {
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            assert!(
                schema["description"]
                    .as_str()
                    .is_some_and(|doc| !doc.is_empty()),
                "{path}"
            );
            seen.push(path.clone());
            described(schema, &path, seen);
        }
        for below in ["additionalProperties", "items"] {
            if let Some(schema) = schema.get(below) {
                described(schema, path, seen);
            }
        }
        for branch in schema["anyOf"].as_array().into_iter().flatten() {
            described(branch, path, seen);
        }
    }

    #[test]
    fn every_key_that_is_read_is_described_and_no_other() {
        let (mut read, mut written) = (Vec::new(), Vec::new());
        walk(TOP, "", &mut read);
        described(&schema(), "", &mut written);
        read.sort();
        written.sort();
        assert_eq!(read, written);
        assert!(read.contains(&"/policies/rules/deny/younger_than".to_owned()));
        assert!(read.contains(&"/listen/public/tls/cert".to_owned()));
    }

    /// As much of JSON Schema as ours uses; enough to say whether an editor would complain.
    fn accepts(schema: &Json, value: &Json) -> bool {
        let is_type = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{other}"),
        };
        let types = match &schema["type"] {
            Json::String(name) => is_type(name),
            Json::Array(names) => names.iter().filter_map(Json::as_str).any(is_type),
            _ => true,
        };
        let list = |name: &str| schema[name].as_array();
        let pattern = schema["pattern"].as_str().zip(value.as_str());
        let entries = || value.as_object().into_iter().flatten();
        types
            && list("enum").is_none_or(|words| words.contains(value))
            && list("anyOf").is_none_or(|branches| branches.iter().any(|one| accepts(one, value)))
            && list("required").is_none_or(|names| {
                names
                    .iter()
                    .filter_map(Json::as_str)
                    .all(|name| value.get(name).is_some())
            })
            && pattern
                .is_none_or(|(pattern, text)| regex::Regex::new(pattern).unwrap().is_match(text))
            && schema["maxProperties"]
                .as_u64()
                .is_none_or(|most| entries().count() as u64 <= most)
            && schema["minProperties"]
                .as_u64()
                .is_none_or(|least| entries().count() as u64 >= least)
            && value
                .as_array()
                .into_iter()
                .flatten()
                .all(|item| schema.get("items").is_none_or(|items| accepts(items, item)))
            && entries().all(|(name, value)| match schema["properties"].get(name) {
                Some(schema) => accepts(schema, value),
                None => match &schema["additionalProperties"] {
                    Json::Bool(allowed) => *allowed,
                    Json::Null => true,
                    schema => accepts(schema, value),
                },
            })
    }

    /// A tree as an editor sees it: bare numbers and flags have their types.
    fn json_of(node: &Node) -> Json {
        match &node.value {
            Value::Nothing => Json::Null,
            Value::Scalar(text) => match text.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                text => text.parse::<u64>().map_or_else(|_| text.into(), Json::from),
            },
            Value::Sequence(items) => items.iter().map(json_of).collect(),
            Value::Mapping(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), json_of(&entry.value)))
                .collect(),
        }
    }

    /// Uses every possible shape, reads without a fault and satisfies the schema.
    const EXAMPLE: &str = r#"
listen: { public: 4040, manage: "unix:/run/cheesecloth", metrics: {address: off, tls: {cert: c, key: k}} }
data: data
default_index: packages/stable
offline: no
cache: { memory: 256MiB, disk: 50GiB, stale_if_error: 7d }
limits: { upload: 1073741824, connections: 10000, head_timeout: 10s }
log: { format: json }
manage: { create_users: users, restrict_modify: [root, ops], push_to: ["https://files.example/legacy/"] }
devpi: { servers: ["http://127.0.0.1:3142"], undeclared: hide }
indexes:
  root/pypi: { type: mirror, mirror_cache_expiry: 600, undated: first_seen, keep_last_good: 0 }
  packages/stable: { bases: [root/pypi], volatile: false, acl_upload: "a, b", owns: ["acme-*"], policy: corporate }
  packages/develop: { type: stage, bases: packages/stable, mirror_whitelist: "*", title: 7 }
  empty/stage:
policies:
  corporate:
    mode: audit
    on_block: yank
    rules:
      - allow: { project: [numpy, "django-*"], until: 2027-01-31, owner: data, ticket: OPS-17 }
      - deny: { project: /^py-?thon-.*$/, versions: "<2.31", kind: [sdist, egg], yanked: true }
      - deny: { younger_than: 7d, size_over: 20MiB, advisory: malware, status: archived }
"#;

    fn read(text: &str) -> (bool, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, text).unwrap();
        let source = PoliciesPath::Named(path);
        let loaded = load(&source, &Overrides::default(), &|_| None);
        let node = Node::parse(&"c.yaml".into(), text).unwrap();
        (loaded.is_ok(), accepts(&schema(), &json_of(&node)))
    }

    #[test]
    fn what_reads_is_valid_and_what_editors_refuse_does_not_read() {
        assert_eq!(read(EXAMPLE), (true, true));
        for (good, bad) in [
            ("mode: audit", "mode: audited"),
            ("mode: audit", "modes: audit"),
            ("7d, size_over", "7 days, size_over"),
            ("{ type: mirror,", "{ type: stage,"),
            ("bases: [root/pypi]", "bases: [root]"),
            ("- allow:", "- permit:"),
            ("status: archived", "status: [archived, gone]"),
            ("upload: 1073741824", "upload: -1"),
            ("cert: c", "certificate: c"),
            ("create_users: users", "create_users: admins"),
        ] {
            assert!(EXAMPLE.contains(good), "{good}");
            assert_eq!(
                read(&EXAMPLE.replacen(good, bad, 1)),
                (false, false),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_schema_says_what_it_is_and_what_holds_by_default() {
        let schema = schema();
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        let upload = &schema["properties"]["limits"]["properties"]["upload"];
        assert_eq!(upload["default"], json!("1GiB"));
    }
}
