//! What clients send to create or change an index: an object, the same wrapped as an answer, or a list of
//! operations (docs/protocol/devpi.md §7.4).

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
pub enum ListOperation {
    /// `key=value`
    Set {
        /// The key.
        key: String,
        /// Its new value.
        value: String,
    },
    /// `key+=value`
    Append {
        /// The key.
        key: String,
        /// An item for its list.
        item: String,
    },
    /// `key-=value`
    Remove {
        /// The key.
        key: String,
        /// An item of its list.
        item: String,
    },
    /// `key-=`
    Drop {
        /// The key.
        key: String,
    },
}

impl IndexRequest {
    /// Reads a body; an empty one counts as `{}`. The content type is not asked (docs/protocol/devpi.md §1).
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
        let named = |key: &str| Some(key.trim().to_owned()).filter(|key| !key.is_empty());
        if let Some(key) = key.strip_suffix('+') {
            return Some(Self::Append {
                key: named(key)?,
                item: value,
            });
        }
        match key.strip_suffix('-') {
            Some(key) if value.is_empty() => Some(Self::Drop { key: named(key)? }),
            Some(key) => Some(Self::Remove {
                key: named(key)?,
                item: value,
            }),
            None => Some(Self::Set {
                key: named(key)?,
                value,
            }),
        }
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
        let set = ListOperation::Set {
            key: "title".into(),
            value: "a".into(),
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
        let (key, text) = (|| "k".to_owned(), |text: &str| text.to_owned());
        let table = [
            (
                "k=v",
                Some(ListOperation::Set {
                    key: key(),
                    value: text("v"),
                }),
            ),
            (
                "k=",
                Some(ListOperation::Set {
                    key: key(),
                    value: text(""),
                }),
            ),
            (
                "k=a+=b=c",
                Some(ListOperation::Set {
                    key: key(),
                    value: text("a+=b=c"),
                }),
            ),
            (
                "k+=a,b",
                Some(ListOperation::Append {
                    key: key(),
                    item: text("a,b"),
                }),
            ),
            (
                "k-=v",
                Some(ListOperation::Remove {
                    key: key(),
                    item: text("v"),
                }),
            ),
            ("k-=", Some(ListOperation::Drop { key: key() })),
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
