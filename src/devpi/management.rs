//! What every request to the devpi API needs, and the indexes that YAML declares besides the recorded ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use crate::account::{Accounts, HouseRules, Principal};
use crate::db::{Cause, Db, DbError, Directory, IndexRecord};
use crate::devpi::answer::ApiAnswer;
use crate::devpi::index_settings::IndexSettings;
use crate::devpi::refusal::Refusal;
use crate::devpi::words::DevpiWords;
use crate::model::{Faults, IndexName, Location, Timestamp};

/// The devpi API, as of one generation of the policies.
#[derive(Debug, Clone)]
pub struct Management {
    pub db: Arc<dyn Db>,
    pub accounts: Arc<Accounts>,
    pub rules: HouseRules,
    pub declared: Arc<BTreeMap<IndexName, DeclaredIndex>>,
    /// Ensures that no change of indexes is committed that could not be put in force.
    pub check: Option<Arc<dyn CheckIndexes>>,
}

/// Decides whether the gateway could work with these indexes, before they are committed.
pub trait CheckIndexes: std::fmt::Debug + Send + Sync {
    /// Compiles the indexes as they would be.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn check(&self, would_be: &Directory) -> Result<(), Faults>;
}

/// An index that YAML declares: shown, and never changed through the API.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredIndex {
    /// Its settings.
    pub settings: IndexSettings,
    /// Where it is declared.
    pub location: Location,
}

impl Management {
    /// Refuses a change after which the indexes could not be put in force; `directory` is the result of the
    /// change.
    pub fn compiles(&self, directory: &Directory, status: StatusCode) -> Result<(), Refusal> {
        let Some(check) = &self.check else {
            return Ok(());
        };
        check
            .check(directory)
            .map_err(|faults| Refusal::api(status, faults))
    }

    /// All users and indexes, recorded or declared.
    pub async fn survey(&self) -> Result<Survey<'_>, Refusal> {
        Ok(Survey::read(&*self.db, &self.declared).await?)
    }
}

/// Users and indexes as of one instant, recorded or declared.
#[derive(Debug)]
pub struct Survey<'a> {
    pub directory: Directory,
    declared: BTreeMap<&'a IndexName, &'a DeclaredIndex>,
}

impl<'a> Survey<'a> {
    /// Reads the records and adds what is declared.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn read(
        db: &dyn Db,
        declared: &'a BTreeMap<IndexName, DeclaredIndex>,
    ) -> Result<Self, DbError> {
        let directory = db.directory().await?;
        Ok(Self {
            directory,
            declared: declared.iter().collect(),
        })
    }

    /// The same without some indexes, and without users that own nothing else.
    #[must_use]
    pub fn only(mut self, is_shown: &dyn Fn(&IndexName) -> bool) -> Self {
        self.directory.indexes.retain(|index| is_shown(&index.name));
        self.declared.retain(|name, _| is_shown(name));
        self
    }

    /// Every user: those with a record, and those that only a declared index names.
    #[must_use]
    pub fn user_names(&self) -> Vec<&str> {
        let recorded = self.directory.users.iter().map(|user| user.name.as_str());
        let mut names: Vec<&str> = recorded
            .chain(self.declared.keys().map(|name| name.user()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn has_user(&self, name: &str) -> bool {
        self.user_names().contains(&name)
    }

    pub fn has_index(&self, name: &IndexName) -> bool {
        self.declared.contains_key(name) || self.record(name).is_some()
    }

    pub fn record(&self, name: &IndexName) -> Option<&IndexRecord> {
        self.directory
            .indexes
            .iter()
            .find(|index| index.name == *name)
    }

    /// The indexes of a user, by name.
    #[must_use]
    pub fn indexes_of(&self, user: &str) -> BTreeMap<IndexName, IndexSettings> {
        let recorded = self.directory.indexes.iter();
        let recorded = recorded
            .filter(|index| index.name.user() == user)
            .filter_map(IndexSettings::of_record);
        let declared = self.declared.values().map(|index| index.settings.clone());
        // A declared index counts, even if the database holds one of the same name.
        let indexes = recorded.chain(declared.filter(|index| index.name.user() == user));
        indexes.map(|index| (index.name.clone(), index)).collect()
    }

    /// `GET /`: every user with its indexes.
    #[must_use]
    pub fn list_users(&self) -> ApiAnswer {
        let users = self.user_names().into_iter();
        let users: serde_json::Map<String, Value> = users
            .map(|name| (name.to_owned(), self.user_object(name)))
            .collect();
        ApiAnswer::result("list:userconfig", users.into())
    }

    /// `GET /user`, if there is such a user.
    #[must_use]
    pub fn show_user(&self, name: &str) -> Option<ApiAnswer> {
        self.has_user(name)
            .then(|| ApiAnswer::result("userconfig", self.user_object(name)))
    }

    /// A user's object as clients see it.
    #[must_use]
    pub fn user_object(&self, name: &str) -> Value {
        let indexes = self.indexes_of(name).into_iter().map(|(name, index)| {
            (
                name.index().to_owned(),
                Value::Object(index.to_public_json()),
            )
        });
        let user = self.directory.users.iter().find(|user| user.name == name);
        crate::devpi::user_settings::user_object(name, user, indexes.collect())
    }
}

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub struct AskedBy<'a> {
    /// Who.
    pub who: &'a Principal,
    /// When.
    pub now: Timestamp,
}

impl AskedBy<'_> {
    /// The same, for the change log.
    #[must_use]
    pub fn cause(self) -> Cause {
        Cause {
            who: self.who.name().map(str::to_owned),
            at: self.now,
        }
    }
}

/// JSON whatever the content type says; an empty body counts as `{}`.
pub fn parse_json(body: &[u8]) -> Result<Value, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_err(|_| DevpiWords::NoJson.to_string())
}

/// A JSON object; see [`parse_json`].
pub fn parse_object(body: &[u8]) -> Result<serde_json::Map<String, Value>, Refusal> {
    match parse_json(body).map_err(Refusal::bad_request)? {
        Value::Object(keys) => Ok(keys),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(not_an_object())
        }
    }
}

/// What is told of a body that is JSON but no object.
pub fn not_an_object() -> Refusal {
    Refusal::bad_request("Bad request: the body is not a JSON object")
}
