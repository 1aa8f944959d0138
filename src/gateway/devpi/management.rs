//! What every intent of the devpi API needs, and the indexes that YAML declares beside the recorded ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::answer::Answer;
use super::index_settings::IndexSettings;
use crate::db::{Cause, Db, Directory, IndexRecord};
use crate::gateway::account::{Accounts, HouseRules, Principal};
use crate::model::{IndexName, Location, Timestamp};

/// The devpi API, as of one generation of the policies.
#[derive(Debug, Clone)]
pub struct Management {
    pub(super) db: Arc<dyn Db>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) rules: HouseRules,
    pub(super) declared: Arc<BTreeMap<IndexName, DeclaredIndex>>,
}

/// An index that YAML declares: shown, and never changed through the API.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredIndex {
    /// What it is.
    pub settings: IndexSettings,
    /// Where it is declared.
    pub location: Location,
}

impl Management {
    /// For the indexes that the generation in force declares.
    #[must_use]
    pub fn new(
        db: Arc<dyn Db>,
        accounts: Arc<Accounts>,
        rules: HouseRules,
        declared: impl IntoIterator<Item = DeclaredIndex>,
    ) -> Self {
        let declared = declared
            .into_iter()
            .map(|index| (index.settings.name().clone(), index));
        Self {
            db,
            accounts,
            rules,
            declared: Arc::new(declared.collect()),
        }
    }

    /// Everything there is: users and indexes, recorded or declared.
    pub(super) async fn survey(&self) -> Result<Survey<'_>, Answer> {
        let directory = self
            .db
            .directory()
            .await
            .map_err(|error| Answer::from(&error))?;
        Ok(Survey {
            directory,
            declared: &self.declared,
        })
    }
}

/// Users and indexes as of one instant, recorded or declared.
pub(super) struct Survey<'a> {
    pub(super) directory: Directory,
    declared: &'a BTreeMap<IndexName, DeclaredIndex>,
}

impl Survey<'_> {
    /// Every user: those with a record, and those that only a declared index names.
    pub(super) fn user_names(&self) -> Vec<&str> {
        let recorded = self.directory.users.iter().map(|user| user.name.as_str());
        let mut names: Vec<&str> = recorded
            .chain(self.declared.keys().map(IndexName::user))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(super) fn has_user(&self, name: &str) -> bool {
        self.user_names().contains(&name)
    }

    pub(super) fn has_index(&self, name: &IndexName) -> bool {
        self.declared.contains_key(name) || self.record(name).is_some()
    }

    pub(super) fn record(&self, name: &IndexName) -> Option<&IndexRecord> {
        self.directory
            .indexes
            .iter()
            .find(|index| index.name == *name)
    }

    /// The object that clients are shown of a user.
    pub(super) fn user_object(&self, name: &str) -> Value {
        let recorded = self.directory.indexes.iter();
        let recorded = recorded
            .filter(|index| index.name.user() == name)
            .filter_map(settings_of);
        let declared = self.declared.values().map(|index| index.settings.clone());
        // A declared index counts, should the database hold one of the name too.
        let indexes = recorded.chain(declared.filter(|index| index.name().user() == name));
        let indexes = indexes.map(|index| {
            (
                index.name().index().to_owned(),
                Value::Object(index.to_public_json()),
            )
        });
        let user = self.directory.users.iter().find(|user| user.name == name);
        super::user_settings::user_object(name, user, indexes.collect())
    }
}

/// The settings of a record; nothing if something else than this program wrote them.
pub(super) fn settings_of(record: &IndexRecord) -> Option<IndexSettings> {
    IndexSettings::from_stored(&record.name, &record.config).ok()
}

/// Who asks and when, for the change log.
pub(super) fn cause(who: &Principal, now: Timestamp) -> Cause {
    Cause {
        who: who.name().map(str::to_owned),
        at: now,
    }
}

/// JSON whatever the content type says; an empty body counts as `{}`.
pub(super) fn parse_json(body: &[u8]) -> Result<Value, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_err(|_| "Bad request: could not decode json".to_owned())
}

/// A JSON object; see [`parse_json`].
pub(super) fn parse_object(body: &[u8]) -> Result<serde_json::Map<String, Value>, Answer> {
    match parse_json(body).map_err(Answer::bad_request)? {
        Value::Object(keys) => Ok(keys),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(not_an_object())
        }
    }
}

/// What is told of a body that is JSON but no object.
pub(super) fn not_an_object() -> Answer {
    Answer::bad_request("Bad request: the body is not a JSON object")
}

/// devpi's sentence about names.
pub(super) fn bad_name(what: &str, name: &str) -> Answer {
    Answer::bad_request(format!(
        "{what} '{name}' contains characters that aren't allowed. Any ascii symbol besides -.@_ is \
         blocked."
    ))
}
