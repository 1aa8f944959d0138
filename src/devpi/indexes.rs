//! Indexes: one function for each thing that can be asked (docs/protocol/devpi.md §7).

use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use crate::account::{Operation, Principal, permits};
use crate::db::{DbError, IndexDeletion, IndexRecord, IndexUpdate, NewIndex, NewUser, Serial};
use crate::devpi::answer::ApiAnswer;
use crate::devpi::index_request::IndexRequest;
use crate::devpi::index_settings::IndexSettings;
use crate::devpi::management::{Management, Survey, bad_name, cause, not_an_object, settings_of};
use crate::devpi::new_names::check_index;
use crate::model::{IndexName, Timestamp};

/// How often a change is made anew when somebody else was faster.
const ATTEMPTS: u32 = 5;

impl Management {
    /// Why a path is no index, for PUT: which part of it is not a name.
    #[must_use]
    pub fn bad_index_name(user: &str, index: &str) -> Option<ApiAnswer> {
        if !IndexName::is_part(user) {
            return Some(bad_name("username", user));
        }
        (!IndexName::is_part(index)).then(|| bad_name("indexname", index))
    }

    /// `PUT /user/index`.
    pub async fn create_index(
        &self,
        who: &Principal,
        name: &IndexName,
        body: &[u8],
        now: Timestamp,
    ) -> ApiAnswer {
        let created = self.try_create_index(who, name, body, now).await;
        created.unwrap_or_else(|refusal| refusal)
    }

    async fn try_create_index(
        &self,
        who: &Principal,
        name: &IndexName,
        body: &[u8],
        now: Timestamp,
    ) -> Result<ApiAnswer, ApiAnswer> {
        let survey = self.survey().await?;
        if !survey.has_user(name.user()) {
            let text = format!("no user '{}'", name.user());
            return Err(ApiAnswer::message(StatusCode::NOT_FOUND, text));
        }
        if !permits(Operation::CreateIndex(name), who, &self.rules) {
            let text = format!("no permission to create index {name}");
            return Err(ApiAnswer::message(StatusCode::FORBIDDEN, text));
        }
        let exists = || ApiAnswer::message(StatusCode::CONFLICT, format!("index '{name}' exists"));
        if survey.has_index(name) {
            return Err(exists());
        }
        let others = survey.indexes_of(name.user());
        check_index(name, others.keys().map(IndexName::index))?;
        let keys = match IndexRequest::parse(body).map_err(ApiAnswer::bad_request)? {
            IndexRequest::Keys(keys) => keys,
            IndexRequest::Operations(_) => return Err(not_an_object()),
        };
        let settings = IndexSettings::create(name, &keys, &|base| survey.has_index(base));
        let settings = settings.map_err(|invalid| ApiAnswer::bad_request(invalid.to_string()))?;
        self.may_mirror(&settings)?;
        let mut would_be = survey.directory.clone();
        would_be.indexes.push(record_of(&settings, now));
        self.compiles(&would_be, StatusCode::BAD_REQUEST)?;
        let cause = cause(who, now);
        if !survey
            .directory
            .users
            .iter()
            .any(|user| user.name == name.user())
        {
            // Named by a declared index only; its record has no password.
            let user = NewUser {
                name: name.user().to_owned(),
                ..NewUser::default()
            };
            self.db
                .create_user(&cause, &user)
                .await
                .map_err(|error| ApiAnswer::from(&error))?;
        }
        let created = self.db.create_index(&cause, &new_index(&settings)).await;
        created
            .map_err(|error| ApiAnswer::from(&error))?
            .ok_or_else(exists)?;
        Ok(ApiAnswer::result(
            StatusCode::OK,
            "indexconfig",
            settings.to_public_json().into(),
        ))
    }

    /// `PATCH /user/index`.
    pub async fn modify_index(
        &self,
        who: &Principal,
        name: &IndexName,
        body: &[u8],
        now: Timestamp,
    ) -> ApiAnswer {
        if let Err(refusal) = self
            .may_change(Operation::ModifyIndex(name), who, name)
            .await
        {
            return refusal;
        }
        let request = match IndexRequest::parse(body) {
            Ok(request) => request,
            Err(text) => return ApiAnswer::bad_request(text),
        };
        for _ in 1..ATTEMPTS {
            match self.try_modify_index(who, name, &request, now).await {
                Ok(answer) => return answer,
                Err(DbError::Conflict { .. }) => {}
                Err(error) => return ApiAnswer::from(&error),
            }
        }
        let last = self.try_modify_index(who, name, &request, now).await;
        last.unwrap_or_else(|error| ApiAnswer::from(&error))
    }

    async fn try_modify_index(
        &self,
        who: &Principal,
        name: &IndexName,
        request: &IndexRequest,
        now: Timestamp,
    ) -> Result<ApiAnswer, DbError> {
        let survey = match self.survey().await {
            Ok(survey) => survey,
            Err(answer) => return Ok(answer),
        };
        let Some(record) = survey.record(name) else {
            return Ok(ApiAnswer::denied());
        };
        let Some(settings) = settings_of(record) else {
            return Ok(unreadable());
        };
        let modified = match settings.modified(request, &|base| survey.has_index(base)) {
            Ok(modified) => modified,
            Err(invalid) => return Ok(ApiAnswer::bad_request(invalid.to_string())),
        };
        if modified.text("mirror_url") != settings.text("mirror_url")
            && let Err(refusal) = self.may_mirror(&modified)
        {
            return Ok(refusal);
        }
        let mut would_be = survey.directory.clone();
        would_be.indexes.retain(|index| index.name != *name);
        would_be.indexes.push(record_of(&modified, now));
        if let Err(refusal) = self.compiles(&would_be, StatusCode::BAD_REQUEST) {
            return Ok(refusal);
        }
        let update = IndexUpdate {
            index: new_index(&modified),
            made_from: record.revision,
        };
        if self
            .db
            .update_index(&cause(who, now), &update)
            .await?
            .is_none()
        {
            return Ok(ApiAnswer::denied());
        }
        let shown: Map<String, Value> = modified.to_public_json();
        Ok(ApiAnswer::result(
            StatusCode::OK,
            "indexconfig",
            shown.into(),
        ))
    }

    /// `DELETE /user/index`.
    pub async fn delete_index(
        &self,
        who: &Principal,
        name: &IndexName,
        now: Timestamp,
    ) -> ApiAnswer {
        if let Err(refusal) = self
            .may_change(Operation::DeleteIndex(name), who, name)
            .await
        {
            return refusal;
        }
        if let Err(refusal) = self.compiles_without(|index| index.name == *name).await {
            return refusal;
        }
        match self.db.delete_index(&cause(who, now), name).await {
            Err(error) => ApiAnswer::from(&error),
            Ok(IndexDeletion::Absent) => ApiAnswer::denied(),
            // 201, as devpi answers.
            Ok(IndexDeletion::Deleted(_)) => {
                ApiAnswer::message(StatusCode::CREATED, format!("index {name} deleted"))
            }
            Ok(IndexDeletion::NonVolatile) => {
                let text = format!("index {name} non-volatile, cannot delete");
                ApiAnswer::message(StatusCode::FORBIDDEN, text)
            }
        }
    }

    /// Refuses a deletion after which the rest could not be put in force.
    pub async fn compiles_without(
        &self,
        is_deleted: impl Fn(&IndexRecord) -> bool,
    ) -> Result<(), ApiAnswer> {
        let mut would_be = self.survey().await?.directory;
        would_be.indexes.retain(|index| !is_deleted(index));
        self.compiles(&would_be, StatusCode::CONFLICT)
    }

    /// Refuses a mirror of what only the operator may have mirrored, as far as its URL tells. What its
    /// host's name leads to is looked at whenever it is asked.
    fn may_mirror(&self, settings: &IndexSettings) -> Result<(), ApiAnswer> {
        let Some(Ok(url)) = settings.text("mirror_url").map(Url::parse) else {
            return Ok(());
        };
        self.rules.mirrors_to.check(&url).map_err(|why| {
            let text = format!("mirror_url of {} is refused: {why}", settings.name());
            ApiAnswer::message(StatusCode::FORBIDDEN, text)
        })
    }

    /// Refuses what the principal may not do, what does not exist (403, docs/protocol/devpi.md §4) and what
    /// YAML declares (product rule 5).
    async fn may_change(
        &self,
        operation: Operation<'_>,
        who: &Principal,
        name: &IndexName,
    ) -> Result<(), ApiAnswer> {
        let survey: Survey<'_> = self.survey().await?;
        if !survey.has_index(name) || !permits(operation, who, &self.rules) {
            return Err(ApiAnswer::denied());
        }
        match self.declared.get(name) {
            None => Ok(()),
            Some(declared) => {
                let text = format!(
                    "index {name} is declared at {}: change it there",
                    declared.location
                );
                Err(ApiAnswer::message(StatusCode::CONFLICT, text))
            }
        }
    }
}

/// A record as it would be read back.
fn record_of(settings: &IndexSettings, now: Timestamp) -> IndexRecord {
    IndexRecord {
        name: settings.name().clone(),
        config: settings.to_json(),
        volatile: settings.volatile(),
        revision: Serial::default(),
        created: now,
    }
}

fn new_index(settings: &IndexSettings) -> NewIndex {
    NewIndex {
        name: settings.name().clone(),
        config: settings.to_json(),
        volatile: settings.volatile(),
    }
}

fn unreadable() -> ApiAnswer {
    ApiAnswer::message(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the configuration of the index cannot be read",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::devpi::support::{me, now, root, setting, text_of};

    fn index(text: &str) -> IndexName {
        IndexName::parse(text).unwrap()
    }

    /// A user's indexes, as clients see them.
    async fn indexes_shown(management: &Management, user: &str) -> Value {
        let survey = management.survey().await.unwrap();
        survey.user_object(user)["indexes"].take()
    }

    #[tokio::test]
    async fn an_index_is_created_shown_changed_and_deleted() {
        let (_guard, management) = setting().await;
        let dev = index("me/dev");
        let body = br#"{"bases": "house/stable", "volatile": "True"}"#;
        let created = management.create_index(&me(), &dev, body, now()).await;
        assert_eq!(
            (created.status.as_u16(), &created.body["type"]),
            (200, &json!("indexconfig"))
        );
        let expected = json!({
            "type": "stage", "volatile": true, "bases": ["house/stable"], "acl_upload": ["me"],
            "acl_toxresult_upload": [":ANONYMOUS:"], "mirror_whitelist": [],
            "mirror_whitelist_inheritance": "intersection",
        });
        assert_eq!(created.body["result"], expected);
        let operations = br#"["acl_upload+=you", "title=Dev"]"#;
        let changed = management
            .modify_index(&me(), &dev, operations, now())
            .await;
        assert_eq!(changed.body["result"]["acl_upload"], json!(["me", "you"]));
        let indexes = indexes_shown(&management, "me").await;
        assert_eq!(indexes["dev"], changed.body["result"]);
        assert_eq!(indexes["dev"]["title"], "Dev");
        let deleted = management.delete_index(&me(), &dev, now()).await;
        assert_eq!(text_of(&deleted), (201, "index me/dev deleted"));
        assert_eq!(indexes_shown(&management, "me").await, json!({}));
    }

    #[tokio::test]
    async fn every_refusal_of_creation() {
        let (_guard, management) = setting().await;
        management
            .create_index(&me(), &index("me/dev"), b"{}", now())
            .await;
        let table = [
            ("me/dev", &b"{}"[..], 409, "index 'me/dev' exists"),
            ("nobody/dev", b"{}", 404, "no user 'nobody'"),
            (
                "root/dev",
                b"{}",
                403,
                "no permission to create index root/dev",
            ),
            (
                "me/x",
                br#"{"bases": "me/none"}"#,
                400,
                "base index 'me/none' does not exist",
            ),
            (
                "me/x",
                br#"["a=b"]"#,
                400,
                "Bad request: the body is not a JSON object",
            ),
            ("me/x", b"{", 400, "Bad request: could not decode json"),
        ];
        for (name, body, status, text) in table {
            let answer = management
                .create_index(&me(), &index(name), body, now())
                .await;
            assert_eq!(text_of(&answer), (status, text), "{name}");
        }
        let declared = management
            .create_index(&root(), &index("house/stable"), b"{}", now())
            .await;
        assert_eq!(text_of(&declared), (409, "index 'house/stable' exists"));
        let bad = Management::bad_index_name("me", "a b").unwrap();
        assert!(
            text_of(&bad).1.starts_with("indexname 'a b' contains"),
            "{bad:?}"
        );
        assert_eq!(Management::bad_index_name("me", "dev"), None);
    }

    #[tokio::test]
    async fn what_yaml_declares_is_not_changed_here() {
        let (_guard, management) = setting().await;
        let stable = index("house/stable");
        let text = "index house/stable is declared at house.yaml:3:5: change it there";
        let changed = management
            .modify_index(&root(), &stable, b"{}", now())
            .await;
        assert_eq!(text_of(&changed), (409, text));
        let deleted = management.delete_index(&root(), &stable, now()).await;
        assert_eq!(text_of(&deleted), (409, text));
        let indexes = indexes_shown(&management, "house").await;
        assert_eq!(indexes["stable"]["volatile"], false);
        let beside = management
            .create_index(&root(), &index("house/dev"), b"{}", now())
            .await;
        assert_eq!(beside.status.as_u16(), 200, "beside it there is room");
    }

    #[tokio::test]
    async fn a_missing_index_is_forbidden_and_a_non_volatile_one_stays() {
        let (_guard, management) = setting().await;
        let dev = index("me/dev");
        for who in [me(), root(), Principal::Anonymous] {
            assert_eq!(
                management.modify_index(&who, &dev, b"{}", now()).await,
                ApiAnswer::denied()
            );
            assert_eq!(
                management.delete_index(&who, &dev, now()).await,
                ApiAnswer::denied()
            );
        }
        management
            .create_index(&me(), &dev, br#"{"volatile": false}"#, now())
            .await;
        let kept = management.delete_index(&me(), &dev, now()).await;
        assert_eq!(
            text_of(&kept),
            (403, "index me/dev non-volatile, cannot delete")
        );
        let stranger = Principal::user("stranger");
        assert_eq!(
            management.delete_index(&stranger, &dev, now()).await,
            ApiAnswer::denied()
        );
    }

    #[tokio::test]
    async fn changes_at_the_same_time_all_count() {
        let (_guard, management) = setting().await;
        let dev = index("me/dev");
        management.create_index(&me(), &dev, b"{}", now()).await;
        let (me, dev, management) = (me(), &dev, &management);
        let changes = ["a", "b", "c"].map(|user| {
            let body = json!([format!("acl_upload+={user}")]).to_string();
            let who = me.clone();
            async move {
                management
                    .modify_index(&who, dev, body.as_bytes(), now())
                    .await
            }
        });
        for answer in futures_util::future::join_all(changes).await {
            assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        }
        let indexes = indexes_shown(management, "me").await;
        assert_eq!(indexes["dev"]["acl_upload"].as_array().unwrap().len(), 4);
    }
}
