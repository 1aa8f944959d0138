//! What clients send to create or change an index: an object, the same wrapped like an answer, or a list
//! of operations (docs/protocol/devpi.md §7.4).

use serde_json::{Map, Value};

/// The body of PUT or PATCH on an index.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexRequest {
    /// Keys to set.
    Keys(Map<String, Value>),
    /// Operations, in order.
    Operations(Vec<ListOperation>),
}

/// One item of a list of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListOperation {
    /// The key.
    pub key: String,
    /// What happens to it.
    pub change: ListChange,
}

/// What an operation does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListChange {
    /// `key=value`: its new value.
    Set(String),
    /// `key+=value`: an item for its list.
    Append(String),
    /// `key-=value`: an item of its list.
    Remove(String),
    /// `key-=`
    Drop,
}

impl IndexRequest {
    /// Reads a body; an empty one counts as `{}`. The content type is ignored (docs/protocol/devpi.md §1).
    ///
    /// # Errors
    /// A text for the client.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        match crate::devpi::management::parse_json(body)? {
            Value::Object(mut keys) => {
                let is_wrapper = keys.get("type").is_some_and(|kind| kind == "indexconfig");
                match keys.remove("result") {
                    Some(Value::Object(inner)) if is_wrapper => Ok(Self::Keys(inner)),
                    Some(other) => {
                        keys.insert("result".to_owned(), other);
                        Ok(Self::Keys(keys))
                    }
                    None => Ok(Self::Keys(keys)),
                }
            }
            Value::Array(items) => {
                let operations = items.iter().map(|item| {
                    let operation = item.as_str().and_then(ListOperation::parse);
                    operation
                        .ok_or_else(|| format!("{item} is not key=value, key+=value or key-=value"))
                });
                operations.collect::<Result<_, _>>().map(Self::Operations)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err("Bad request: neither an object nor a list of operations".to_owned())
            }
        }
    }
}

impl ListOperation {
    fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        let value = value.to_owned();
        let (key, change) = if let Some(key) = key.strip_suffix('+') {
            (key, ListChange::Append(value))
        } else {
            match key.strip_suffix('-') {
                Some(key) if value.is_empty() => (key, ListChange::Drop),
                Some(key) => (key, ListChange::Remove(value)),
                None => (key, ListChange::Set(value)),
            }
        };
        let key = key.trim().to_owned();
        (!key.is_empty()).then_some(Self { key, change })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn three_spellings_of_one_request() {
        let keys = json!({ "title": "a" }).as_object().unwrap().clone();
        for body in [
            r#"{"title": "a"}"#,
            r#"{"type": "indexconfig", "result": {"title": "a"}}"#,
        ] {
            assert_eq!(
                IndexRequest::parse(body.as_bytes()),
                Ok(IndexRequest::Keys(keys.clone()))
            );
        }
        let set = ListOperation {
            key: "title".into(),
            change: ListChange::Set("a".into()),
        };
        let list = IndexRequest::parse(br#"["title=a"]"#);
        assert_eq!(list, Ok(IndexRequest::Operations(vec![set])));
        assert_eq!(IndexRequest::parse(b""), Ok(IndexRequest::Keys(Map::new())));
    }

    #[test]
    fn an_index_may_be_of_a_type_that_looks_like_the_wrapper() {
        let Ok(IndexRequest::Keys(keys)) =
            IndexRequest::parse(br#"{"type": "stage", "result": {}}"#)
        else {
            panic!()
        };
        assert_eq!(keys.len(), 2, "an unknown key is for others to refuse");
    }

    #[test]
    fn operations_split_at_the_first_equals_sign() {
        let operation = |change| {
            let key = "k".to_owned();
            Some(ListOperation { key, change })
        };
        let table = [
            ("k=v", operation(ListChange::Set("v".into()))),
            ("k=", operation(ListChange::Set(String::new()))),
            ("k=a+=b=c", operation(ListChange::Set("a+=b=c".into()))),
            ("k+=a,b", operation(ListChange::Append("a,b".into()))),
            ("k-=v", operation(ListChange::Remove("v".into()))),
            ("k-=", operation(ListChange::Drop)),
            ("k", None),
            ("=v", None),
            ("+=v", None),
        ];
        for (item, expected) in table {
            assert_eq!(ListOperation::parse(item), expected, "{item}");
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        let table = [
            (&b"{"[..], "Bad request: could not decode json"),
            (b"\xff", "Bad request: could not decode json"),
            (
                b"5",
                "Bad request: neither an object nor a list of operations",
            ),
            (
                br#"["title"]"#,
                "\"title\" is not key=value, key+=value or key-=value",
            ),
            (b"[5]", "5 is not key=value, key+=value or key-=value"),
        ];
        for (body, text) in table {
            assert_eq!(IndexRequest::parse(body), Err(text.to_owned()));
        }
    }
}
