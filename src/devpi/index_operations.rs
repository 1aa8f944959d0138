//! `key=value`, `key+=value`, `key-=value`, `key-=`: one operation of a list, applied to settings
//! (docs/protocol/devpi.md §7.4). On a list that was never set, `+=` starts from its default.

use serde_json::Map;

use crate::devpi::index_keys::{is_list, parse_item};
use crate::devpi::index_request::{ListChange, ListOperation};
use crate::devpi::index_settings::{IndexSettings, unexpected, unknown_keys};
use crate::devpi::words::DevpiWords;
use crate::language::ApiKey;

impl IndexSettings {
    /// Applies one operation; bases are checked once all are applied.
    pub fn apply(&mut self, operation: &ListOperation) -> Result<(), String> {
        let name = &operation.key;
        match &operation.change {
            ListChange::Set(value) => {
                let keys = Map::from_iter([(name.clone(), value.as_str().into())]);
                self.set_all(&keys, &|_| true)
            }
            ListChange::Append(item) => self.change_list(name, item, |key, items| {
                let item = parse_item(key, item)?;
                if !items.contains(&item) {
                    items.push(item);
                }
                Ok(())
            }),
            ListChange::Remove(item) => self.change_list(name, item, |key, items| {
                let missing = || DevpiWords::NotInList(key.name, item).to_string();
                let parsed = parse_item(key, item).map_err(|_| missing())?;
                let at = items.iter().position(|one| *one == parsed);
                items.remove(at.ok_or_else(missing)?);
                Ok(())
            }),
            ListChange::Drop => {
                let key = self.key(name);
                if key.map_or(name == "type", |key| key.preset.is_some()) {
                    return Err(DevpiWords::DefaultStays.to_string());
                }
                // Removing what is not set succeeds: devpi says so too, whatever the name.
                self.values.remove(name);
                Ok(())
            }
        }
    }

    /// Changes the items of a list; ignored keys stay as they are.
    fn change_list(
        &mut self,
        name: &str,
        item: &str,
        change: impl FnOnce(&ApiKey, &mut Vec<String>) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(key) = self.key(name) else {
            return if self.kind.ignores(name) {
                Ok(())
            } else {
                Err(unknown_keys(&[unexpected(name, &item.into())]))
            };
        };
        if !is_list(key.value) {
            return Err(format!("'{name}' is not a list"));
        }
        let mut items = self.items(name);
        change(key, &mut items)?;
        self.values.insert(key.name.to_owned(), items.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::devpi::index_request::IndexRequest;
    use crate::model::IndexName;

    /// me/dev over root/pypi, with a title; besides it only root/pypi and me/base exist.
    fn before() -> IndexSettings {
        let name = IndexName::parse("me/dev").unwrap();
        let keys = json!({ "bases": "root/pypi", "title": "t" });
        IndexSettings::create(&name, keys.as_object().unwrap(), &exists).unwrap()
    }

    fn exists(base: &IndexName) -> bool {
        matches!(base.as_str(), "root/pypi" | "me/base")
    }

    fn patched(settings: &IndexSettings, body: Value) -> Result<IndexSettings, String> {
        let request = IndexRequest::parse(body.to_string().as_bytes())?;
        settings.modified(&request, &exists)
    }

    #[test]
    fn operations_do_what_they_say() {
        let table = [
            (json!(["acl_upload=a,b"]), "acl_upload", json!(["a", "b"])),
            (
                json!(["acl_upload+=a", "acl_upload+=a"]),
                "acl_upload",
                json!(["me", "a"]),
            ),
            (
                json!(["acl_upload+=a,b"]),
                "acl_upload",
                json!(["me", "a,b"]),
            ),
            (
                json!(["acl_upload+=:anonymous:"]),
                "acl_upload",
                json!(["me", ":ANONYMOUS:"]),
            ),
            (json!(["acl_upload-=me"]), "acl_upload", json!([])),
            (
                json!(["bases+=/me/base/"]),
                "bases",
                json!(["root/pypi", "me/base"]),
            ),
            (
                json!(["bases=", "bases+=me/base"]),
                "bases",
                json!(["me/base"]),
            ),
            (json!(["volatile=False"]), "volatile", json!(false)),
            (json!(["title=a=b"]), "title", json!("a=b")),
            (json!(["title-="]), "title", Value::Null),
            (json!(["title-=", "title-="]), "title", Value::Null),
            (json!(["foo-="]), "foo", Value::Null),
            (
                json!(["mirror_whitelist+=Hello.Pkg"]),
                "mirror_whitelist",
                json!(["hello-pkg"]),
            ),
            (
                json!(["pypi_whitelist=*"]),
                "mirror_whitelist",
                json!(["*"]),
            ),
            (
                json!(["bases+=me/dev"]),
                "bases",
                json!(["root/pypi", "me/dev"]),
            ),
        ];
        for (body, key, expected) in table {
            let after = patched(&before(), body.clone()).unwrap().to_json();
            assert_eq!(
                after.get(key).cloned().unwrap_or_default(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn every_error_text_of_a_change() {
        let table = [
            (
                json!(["acl_upload-=foo"]),
                "The 'acl_upload' setting doesn't have value 'foo'",
            ),
            (json!(["volatile-="]), "Default values can't be removed."),
            (json!(["type-="]), "Default values can't be removed."),
            (
                json!(["type=mirror"]),
                "the 'type' of an index can't be changed",
            ),
            (
                json!({ "type": "mirror" }),
                "the 'type' of an index can't be changed",
            ),
            (json!(["title+=a"]), "'title' is not a list"),
            (
                json!(["foo+=bar"]),
                "indexconfig got unexpected keyword arguments: foo=bar",
            ),
            (
                json!(["foo=bar"]),
                "indexconfig got unexpected keyword arguments: foo=bar",
            ),
            (
                json!(["bases+=root/x"]),
                "base index 'root/x' does not exist",
            ),
            (
                json!({ "bases": ["root/x"] }),
                "base index 'root/x' does not exist",
            ),
            (
                json!(["mirror_whitelist_inheritance=bad"]),
                "Unknown value 'bad' for mirror_whitelist_inheritance, must be 'intersection' or 'union'.",
            ),
        ];
        for (body, text) in table {
            assert_eq!(
                patched(&before(), body.clone()).unwrap_err(),
                text,
                "{body}"
            );
        }
    }
}
