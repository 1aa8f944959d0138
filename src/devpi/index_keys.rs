//! The keys of an index's configuration in the spellings of devpi's clients (docs/protocol/devpi.md §7).

use serde_json::{Value, json};

use crate::devpi::words::DevpiWords;
use crate::language::{ApiKey, ApiValue, COMMON_API, MIRROR_API, STAGE_API};
use crate::model::{IndexName, ProjectName};

/// What an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    Stage,
    Mirror,
}

impl IndexKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Mirror => "mirror",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Stage, Self::Mirror]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// Its keys, except `type`.
    pub fn keys(self) -> impl Iterator<Item = &'static ApiKey> {
        let own = match self {
            Self::Stage => [STAGE_API, &[]],
            Self::Mirror => [MIRROR_API, FREE_MIRROR],
        };
        let all = [COMMON_API, FREE].into_iter().chain(own);
        all.flatten().flatten()
    }

    /// Whether a key of the other kind, or of an earlier version, is silently ignored.
    pub fn ignores(self, key: &str) -> bool {
        // A client that sends a whole index back includes what GET added.
        key == "projects"
            || match self {
                Self::Stage => false,
                Self::Mirror => {
                    matches!(
                        key,
                        "bases" | "acl_upload" | "mirror_whitelist" | "pypi_whitelist"
                    )
                }
            }
    }
}

/// Keys that devpi's clients may set on any index. They are kept and shown, and have no effect here.
const FREE: &[Option<ApiKey>] = &[
    Some(ApiKey::optional("description", ApiValue::Text)),
    Some(ApiKey::optional("custom_data", ApiValue::Free)),
];

/// The same, for mirrors.
const FREE_MIRROR: &[Option<ApiKey>] = &[
    Some(ApiKey::optional(
        "mirror_ignore_serial_header",
        ApiValue::Bool,
    )),
    Some(ApiKey::optional(
        "mirror_provides_core_metadata",
        ApiValue::Bool,
    )),
];

/// Whether a value is a list, to which items can be added.
pub fn is_list(value: ApiValue) -> bool {
    match value {
        ApiValue::Users | ApiValue::Bases | ApiValue::Projects => true,
        ApiValue::Bool
        | ApiValue::Text
        | ApiValue::Free
        | ApiValue::Inheritance
        | ApiValue::Url
        | ApiValue::Seconds => false,
    }
}

/// Reads a value of a key into the form in which it is kept and shown.
pub fn parse_value(key: &ApiKey, value: &Value) -> Result<Value, String> {
    match key.value {
        ApiValue::Free => Ok(value.clone()),
        ApiValue::Bool => {
            boolean(value).ok_or_else(|| DevpiWords::NoBoolean(&shown(value)).to_string())
        }
        ApiValue::Text if value.is_string() => Ok(value.clone()),
        ApiValue::Text => Err(format!("'{}' option must be a text", key.name)),
        ApiValue::Url => url(value).ok_or_else(|| DevpiWords::NoUrl(key.name).to_string()),
        ApiValue::Seconds => {
            seconds(value).ok_or_else(|| format!("'{}' option must be an integer", key.name))
        }
        ApiValue::Inheritance => inheritance(value)
            .ok_or_else(|| DevpiWords::NoInheritance(key.name, &shown(value)).to_string()),
        ApiValue::Users | ApiValue::Bases | ApiValue::Projects => {
            let items = list(value);
            let items = items.ok_or_else(|| DevpiWords::NoList(&shown(value)).to_string())?;
            let items: Result<Vec<_>, _> = items.iter().map(|item| parse_item(key, item)).collect();
            Ok(items?.into())
        }
    }
}

/// Reads one item of a list.
pub fn parse_item(key: &ApiKey, item: &str) -> Result<String, String> {
    match key.value {
        ApiValue::Bases => {
            let index = IndexName::parse(item);
            index
                .map(|index| index.to_string())
                .map_err(|_| DevpiWords::InvalidBase(item).to_string())
        }
        ApiValue::Projects if item == "*" => Ok(item.to_owned()),
        ApiValue::Projects => {
            let project = ProjectName::parse(item);
            let invalid = |_| format!("invalid project name '{item}' in {}", key.name);
            project.map(|project| project.to_string()).map_err(invalid)
        }
        ApiValue::Users => {
            let special = [":ANONYMOUS:", ":AUTHENTICATED:"];
            let upper = special
                .into_iter()
                .find(|word| word.eq_ignore_ascii_case(item));
            Ok(upper.unwrap_or(item).to_owned())
        }
        ApiValue::Bool
        | ApiValue::Text
        | ApiValue::Free
        | ApiValue::Inheritance
        | ApiValue::Url
        | ApiValue::Seconds => Err(format!("'{}' is not a list", key.name)),
    }
}

/// A list, or a text with commas: items are trimmed, empty ones dropped.
fn list(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(|item| item.trim().to_owned()))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn boolean(value: &Value) -> Option<Value> {
    if value.is_boolean() {
        return Some(value.clone());
    }
    match value.as_str()?.to_lowercase().as_str() {
        "true" | "yes" => Some(json!(true)),
        "false" | "no" => Some(json!(false)),
        _ => None,
    }
}

fn inheritance(value: &Value) -> Option<Value> {
    let text = value.as_str()?.to_lowercase();
    matches!(text.as_str(), "intersection" | "union").then(|| text.into())
}

fn url(value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    let parsed = url::Url::parse(text).ok()?;
    (matches!(parsed.scheme(), "http" | "https") && parsed.has_host()).then(|| text.into())
}

fn seconds(value: &Value) -> Option<Value> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.map(Value::from)
}

/// A value as devpi quotes it in its errors: a text in single quotes, anything else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: IndexKind, name: &str, value: Value) -> Result<Value, String> {
        let key = kind.keys().find(|key| key.name == name).unwrap();
        parse_value(key, &value)
    }

    #[test]
    fn values_in_every_spelling_are_kept_in_one() {
        let (stage, mirror) = (IndexKind::Stage, IndexKind::Mirror);
        let table = [
            (stage, "volatile", json!("YES"), json!(true)),
            (stage, "volatile", json!("False"), json!(false)),
            (stage, "volatile", json!(false), json!(false)),
            (
                stage,
                "acl_upload",
                json!("a, b,,:anonymous:"),
                json!(["a", "b", ":ANONYMOUS:"]),
            ),
            (
                stage,
                "acl_upload",
                json!([":Authenticated:", "a"]),
                json!([":AUTHENTICATED:", "a"]),
            ),
            (stage, "acl_upload", json!(""), json!([])),
            (
                stage,
                "bases",
                json!("/root/pypi,me/dev/,root/pypi"),
                json!(["root/pypi", "me/dev", "root/pypi"]),
            ),
            (
                stage,
                "mirror_whitelist",
                json!(["Hello.Pkg", "*"]),
                json!(["hello-pkg", "*"]),
            ),
            (
                stage,
                "mirror_whitelist_inheritance",
                json!("Union"),
                json!("union"),
            ),
            (
                stage,
                "custom_data",
                json!({ "a": [1] }),
                json!({ "a": [1] }),
            ),
            (
                mirror,
                "mirror_url",
                json!("https://u:p@upstream.example/simple/"),
                json!("https://u:p@upstream.example/simple/"),
            ),
            (mirror, "mirror_cache_expiry", json!("600"), json!(600)),
            (mirror, "mirror_cache_expiry", json!(0), json!(0)),
        ];
        for (kind, name, value, expected) in table {
            assert_eq!(
                parse(kind, name, value.clone()),
                Ok(expected),
                "{name}={value}"
            );
        }
    }

    #[test]
    fn values_that_are_none_are_told_in_devpis_words() {
        let (stage, mirror) = (IndexKind::Stage, IndexKind::Mirror);
        let table = [
            (
                stage,
                "volatile",
                json!("maybe"),
                "Unknown boolean value 'maybe'.",
            ),
            (stage, "volatile", json!(1), "Unknown boolean value 1."),
            (stage, "acl_upload", json!(5), "Unknown list value 5."),
            (stage, "acl_upload", json!([5]), "Unknown list value [5]."),
            (stage, "bases", json!(["x"]), "invalid base index spec: 'x'"),
            (
                stage,
                "mirror_whitelist",
                json!("a b"),
                "invalid project name 'a b' in mirror_whitelist",
            ),
            (
                stage,
                "mirror_whitelist_inheritance",
                json!("bad"),
                "Unknown value 'bad' for mirror_whitelist_inheritance, must be 'intersection' or 'union'.",
            ),
            (
                stage,
                "title",
                json!(["a"]),
                "'title' option must be a text",
            ),
            (
                mirror,
                "mirror_url",
                json!("ftp://upstream.example/"),
                "'mirror_url' option must be a URL.",
            ),
            (
                mirror,
                "mirror_url",
                json!("upstream.example"),
                "'mirror_url' option must be a URL.",
            ),
            (
                mirror,
                "mirror_cache_expiry",
                json!("soon"),
                "'mirror_cache_expiry' option must be an integer",
            ),
            (
                mirror,
                "mirror_cache_expiry",
                json!(-1),
                "'mirror_cache_expiry' option must be an integer",
            ),
        ];
        for (kind, name, value, text) in table {
            assert_eq!(parse(kind, name, value).unwrap_err(), text);
        }
    }
}
