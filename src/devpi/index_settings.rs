//! An index's configuration as the devpi API shows and changes it (docs/protocol/devpi.md §7).
//!
//! A value of this type is complete and in canonical form: defaults are filled in, lists are lists, names
//! are normalised. It is what the database keeps, what `devpi index` prints, and what becomes an
//! `IndexDocument` for the policies. Keys that only this gateway has (`owns`, `policy`, `whitelist`) are
//! not in it: they are written in YAML, where they are reviewed.

use serde_json::{Map, Value};

use crate::db::{IndexRecord, Serial};
use crate::devpi::index_keys::{IndexKind, parse_value};
use crate::devpi::index_request::IndexRequest;
use crate::devpi::words::DevpiWords;
use crate::language::{ApiKey, ApiValue};
use crate::model::{IndexName, Timestamp};

/// The configuration of an index, complete and valid.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexSettings {
    pub name: IndexName,
    pub kind: IndexKind,
    pub values: Map<String, Value>,
}

impl IndexSettings {
    /// A new index. `exists` tells which bases exist; the index itself counts as one.
    ///
    /// # Errors
    /// Everything that is wrong with the keys, in devpi's words.
    pub fn create(
        name: &IndexName,
        keys: &Map<String, Value>,
        exists: &dyn Fn(&IndexName) -> bool,
    ) -> Result<Self, String> {
        let kind = match keys.get("type") {
            None | Some(Value::Null) => IndexKind::Stage,
            Some(kind) => kind
                .as_str()
                .and_then(IndexKind::parse)
                .ok_or_else(|| DevpiWords::UnknownType(&bare(kind)).to_string())?,
        };
        let mut settings = Self {
            name: name.clone(),
            kind,
            values: Map::new(),
        };
        for key in kind.keys() {
            if let Some(preset) = key.preset {
                settings.values.insert(key.name.to_owned(), preset(name));
            }
        }
        settings.set_all(keys, exists)?;
        Ok(settings)
    }

    /// The keys among these that are unknown for an index of their `type`.
    #[must_use]
    pub fn unknown_keys(keys: &Map<String, Value>) -> Vec<String> {
        let kind = keys.get("type").and_then(Value::as_str);
        let kind = kind.and_then(IndexKind::parse).unwrap_or(IndexKind::Stage);
        let is_known = |name: &str| {
            ["type", "pypi_whitelist"].contains(&name)
                || kind.ignores(name)
                || kind.keys().any(|key| key.name == name)
        };
        let unknown = keys.keys().filter(|name| !is_known(name));
        unknown.cloned().collect()
    }

    /// The settings of a record; `None` if they were not written by [`IndexSettings::to_json`]. Bases may
    /// have gone since.
    #[must_use]
    pub fn of_record(record: &IndexRecord) -> Option<Self> {
        Self::create(&record.name, &record.config, &|_| true).ok()
    }

    /// Its record, based on one of this revision.
    #[must_use]
    pub fn to_record(&self, revision: Serial, created: Timestamp) -> IndexRecord {
        IndexRecord {
            name: self.name.clone(),
            config: self.to_json(),
            volatile: self.volatile(),
            revision,
            created,
        }
    }

    /// The same index after a request. A list of operations starts from everything that is set, so all
    /// bases have to exist; an object touches only its own keys.
    ///
    /// # Errors
    /// Everything that is wrong with the request.
    pub fn modified(
        &self,
        request: &IndexRequest,
        exists: &dyn Fn(&IndexName) -> bool,
    ) -> Result<Self, String> {
        let mut settings = self.clone();
        match request {
            IndexRequest::Keys(keys) => settings.set_all(keys, exists)?,
            IndexRequest::Operations(operations) => {
                for operation in operations {
                    settings.apply(operation)?;
                }
                whole(&settings.missing_bases(exists))?;
            }
        }
        Ok(settings)
    }

    /// Whether content may be overwritten and deleted.
    fn volatile(&self) -> bool {
        self.values
            .get("volatile")
            .and_then(Value::as_bool)
            .unwrap_or(true)
    }

    /// The complete configuration, the mirror's password included: for the database.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut json = self.values.clone();
        json.insert("type".to_owned(), self.kind.as_str().into());
        json
    }

    /// The complete configuration as anybody may see it: without the mirror's password.
    #[must_use]
    pub fn to_public_json(&self) -> Map<String, Value> {
        let mut json = self.to_json();
        if let Some(url) = self.text("mirror_url") {
            json.insert("mirror_url".to_owned(), redacted(url).into());
        }
        json
    }

    pub fn set_all(
        &mut self,
        keys: &Map<String, Value>,
        exists: &dyn Fn(&IndexName) -> bool,
    ) -> Result<(), String> {
        let mut faults = Vec::new();
        let mut unknown = Vec::new();
        for (name, value) in keys {
            // devpi's name before 3.0; the new one counts if both are sent.
            let is_old = self.kind == IndexKind::Stage && name == "pypi_whitelist";
            if is_old && keys.contains_key("mirror_whitelist") {
                continue;
            }
            let name = if is_old {
                "mirror_whitelist"
            } else {
                name.as_str()
            };
            if name == "type" {
                if value
                    .as_str()
                    .is_some_and(|kind| kind != self.kind.as_str())
                {
                    faults.push("the 'type' of an index can't be changed".to_owned());
                }
            } else if let Some(key) = self.key(name) {
                faults.extend(self.set(key, value).err());
            } else if !self.kind.ignores(name) {
                unknown.push(unexpected(name, value));
            }
        }
        if !unknown.is_empty() {
            faults.push(unknown_keys(&unknown));
        }
        if faults.is_empty() && keys.contains_key("bases") {
            faults = self.missing_bases(exists);
        }
        whole(&faults)
    }

    /// Sets one key; `null` restores the default.
    fn set(&mut self, key: &ApiKey, value: &Value) -> Result<(), String> {
        let value = match value {
            Value::Null => key.preset.map(|preset| preset(&self.name)),
            value if self.is_redacted(key, value) => return Ok(()),
            value => Some(parse_value(key, value)?),
        };
        match value {
            Some(value) => self.values.insert(key.name.to_owned(), value),
            None => self.values.remove(key.name),
        };
        Ok(())
    }

    /// Whether a client sends back the redacted URL that it was shown.
    fn is_redacted(&self, key: &ApiKey, value: &Value) -> bool {
        key.value == ApiValue::Url
            && self
                .text(key.name)
                .is_some_and(|url| value.as_str() == Some(&redacted(url)))
    }

    fn missing_bases(&self, exists: &dyn Fn(&IndexName) -> bool) -> Vec<String> {
        let missing = |base: &String| {
            !IndexName::parse(base).is_ok_and(|base| base == self.name || exists(&base))
        };
        let bases = self.items("bases").into_iter().filter(missing);
        bases
            .map(|base| DevpiWords::NoBase(&base).to_string())
            .collect()
    }

    pub fn key(&self, name: &str) -> Option<&'static ApiKey> {
        self.kind.keys().find(|key| key.name == name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    pub fn items(&self, name: &str) -> Vec<String> {
        let items = self.values.get(name).and_then(Value::as_array);
        let texts = items.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }
}

pub fn unknown_keys(unknown: &[String]) -> String {
    DevpiWords::UnexpectedKeys(&unknown.join(", ")).to_string()
}

pub fn unexpected(name: &str, value: &Value) -> String {
    format!("{name}={}", bare(value))
}

/// A text as it is, any other value as JSON.
fn bare(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string())
}

/// Fails with all faults in one text, if there are any.
fn whole(faults: &[String]) -> Result<(), String> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(faults.join(", "))
}

/// A URL with `***` for its password, or for a user without one, which is a token.
fn redacted(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else {
        return url.to_owned();
    };
    let done = match (parsed.password().is_some(), parsed.username().is_empty()) {
        (true, _) => parsed.set_password(Some("***")),
        (false, false) => parsed.set_username("***"),
        (false, true) => return url.to_owned(),
    };
    done.map_or_else(|()| "***".to_owned(), |()| parsed.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn name() -> IndexName {
        IndexName::parse("me/dev").unwrap()
    }

    /// Only `root/pypi` and `me/base` exist.
    fn exists(base: &IndexName) -> bool {
        matches!(base.as_str(), "root/pypi" | "me/base")
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn create(keys: Value) -> Result<IndexSettings, String> {
        IndexSettings::create(&name(), &object(keys), &exists)
    }

    fn patched(settings: &IndexSettings, body: Value) -> Result<IndexSettings, String> {
        let request = IndexRequest::parse(body.to_string().as_bytes())?;
        settings.modified(&request, &exists)
    }

    #[test]
    fn a_new_stage_has_devpis_defaults() {
        let stage = create(json!({})).unwrap();
        insta::assert_snapshot!(format!("{:#}", Value::Object(stage.to_public_json())), @r#"
        {
          "acl_toxresult_upload": [
            ":ANONYMOUS:"
          ],
          "acl_upload": [
            "me"
          ],
          "bases": [],
          "mirror_whitelist": [],
          "mirror_whitelist_inheritance": "intersection",
          "type": "stage",
          "volatile": true
        }
        "#);
    }

    #[test]
    fn a_mirror_passes_over_what_is_a_stages() {
        let mirror = create(json!({
            "type": "mirror", "mirror_url": "https://upstream.example/simple/", "bases": ["no/such"],
            "acl_upload": [5], "mirror_whitelist": 5, "pypi_whitelist": "*", "volatile": "no",
        }));
        let expected = json!({
            "type": "mirror", "mirror_url": "https://upstream.example/simple/", "volatile": false
        });
        assert_eq!(mirror.unwrap().to_json(), object(expected));
    }

    #[test]
    fn every_error_text_of_creation() {
        let table = [
            (
                json!({ "bases": "root/x,x,me/y" }),
                "invalid base index spec: 'x'",
            ),
            (
                json!({ "bases": "root/x,me/y" }),
                "base index 'root/x' does not exist, base index 'me/y' does not exist",
            ),
            (
                json!({ "foo": "bar" }),
                "indexconfig got unexpected keyword arguments: foo=bar",
            ),
            (
                json!({ "a": 1, "b": [true] }),
                "indexconfig got unexpected keyword arguments: a=1, b=[true]",
            ),
            (json!({ "type": "foo" }), "unknown index type 'foo'"),
            (json!({ "type": 5 }), "unknown index type '5'"),
            (
                json!({ "mirror_url": "https://upstream.example/" }),
                "indexconfig got unexpected keyword arguments: mirror_url=https://upstream.example/",
            ),
            (
                json!({ "volatile": "maybe", "acl_upload": 5 }),
                "Unknown list value 5., Unknown boolean value 'maybe'.",
            ),
        ];
        for (keys, text) in table {
            assert_eq!(create(keys.clone()).unwrap_err(), text, "{keys}");
        }
    }

    #[test]
    fn a_dangling_base_stops_operations_but_not_objects() {
        let dangling = object(json!({ "bases": ["me/gone"] }));
        let before = IndexSettings::create(&name(), &dangling, &|_| true).unwrap();
        let text = "base index 'me/gone' does not exist";
        assert_eq!(patched(&before, json!(["title=t"])).unwrap_err(), text);
        assert!(patched(&before, json!({ "title": "t" })).is_ok());
        let mended = patched(&before, json!(["title=t", "bases=root/pypi"])).unwrap();
        assert_eq!(mended.to_json()["bases"], json!(["root/pypi"]));
    }

    #[test]
    fn the_old_name_of_the_whitelist_counts_only_alone() {
        let both = json!({ "pypi_whitelist": "*", "mirror_whitelist": "a" });
        assert_eq!(
            create(both).unwrap().to_json()["mirror_whitelist"],
            json!(["a"])
        );
        let alone = create(json!({ "pypi_whitelist": "*" })).unwrap();
        assert_eq!(alone.to_json()["mirror_whitelist"], json!(["*"]));
    }

    #[test]
    fn nobody_sees_a_mirrors_password_and_nobody_loses_it() {
        let table = [
            (
                "https://u:s3cret@upstream.example/simple/",
                "https://u:***@upstream.example/simple/",
            ),
            (
                "https://u:p|w@upstream.example/simple/",
                "https://u:***@upstream.example/simple/",
            ),
            (
                "https://t0ken@upstream.example/simple/",
                "https://***@upstream.example/simple/",
            ),
            (
                "https://upstream.example/simple",
                "https://upstream.example/simple",
            ),
        ];
        for (url, public) in table {
            let mirror = create(json!({ "type": "mirror", "mirror_url": url })).unwrap();
            let shown = mirror.to_public_json();
            assert_eq!(shown["mirror_url"], public);
            let back = patched(&mirror, Value::Object(shown)).unwrap();
            assert_eq!(back.to_json()["mirror_url"], url);
            let operation = format!("mirror_url={public}");
            assert_eq!(patched(&mirror, json!([operation])).unwrap(), mirror);
        }
        let mirror = create(json!({ "type": "mirror", "mirror_url": table[0].0 })).unwrap();
        let other = "https://u:***@other.example/simple/";
        let moved = patched(&mirror, json!({ "mirror_url": other })).unwrap();
        assert_eq!(
            moved.to_json()["mirror_url"],
            other,
            "never sent to another host"
        );
    }

    fn any_keys() -> impl Strategy<Value = Map<String, Value>> {
        let item =
            prop::sample::select(vec!["a", "root/pypi", "me/base", "*", ":anonymous:", "A_b"]);
        let list = prop::collection::vec(item.clone(), 0..4);
        let value = prop_oneof![
            item.prop_map(Value::from),
            list.prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            (0..5_u32).prop_map(Value::from),
            Just(Value::Null),
        ];
        let names: Vec<&str> = [IndexKind::Stage, IndexKind::Mirror]
            .iter()
            .flat_map(|kind| kind.keys().map(|key| key.name))
            .collect();
        prop::collection::btree_map(prop::sample::select(names), value, 0..4).prop_map(|keys| {
            keys.into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_can_be_sent_back(keys in any_keys(), is_mirror in any::<bool>()) {
            let mut keys = keys;
            if is_mirror {
                keys.insert("type".to_owned(), "mirror".into());
            }
            if let Ok(settings) = IndexSettings::create(&name(), &keys, &exists) {
                let stored = IndexSettings::create(&name(), &settings.to_json(), &|_| true).unwrap();
                prop_assert_eq!(&stored, &settings);
                let printed = IndexRequest::Keys(settings.to_public_json());
                prop_assert_eq!(settings.modified(&printed, &exists).unwrap(), settings);
            }
        }
    }
}
