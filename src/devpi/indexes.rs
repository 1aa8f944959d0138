//! Indexes: one function for each request (docs/protocol/devpi.md §7).

use http::StatusCode;
use url::Url;

use crate::account::{Operation, permits};
use crate::db::{DbError, Directory, IndexDeletion, IndexRecord, Serial};
use crate::devpi::answer::{Answered, ApiAnswer};
use crate::devpi::index_request::IndexRequest;
use crate::devpi::index_settings::IndexSettings;
use crate::devpi::management::{AskedBy, Management, not_an_object};
use crate::devpi::new_names::check_index;
use crate::devpi::refusal::Refusal;
use crate::devpi::words::DevpiWords;
use crate::language::meant_for_everybody;
use crate::model::{IndexName, suggest};

/// How often a change is retried when somebody else was faster.
const RETRIES: u32 = 4;

impl Management {
    /// Why a path is no index, for PUT: names the part that is invalid.
    #[must_use]
    pub fn bad_index_name(user: &str, index: &str) -> Option<Refusal> {
        let parts = [("username", user), ("indexname", index)];
        let (what, name) = parts
            .into_iter()
            .find(|(_, name)| !IndexName::is_part(name))?;
        Some(Refusal::bad_request(DevpiWords::BadName(what, name)))
    }

    /// `PUT /user/index`.
    pub async fn create_index(&self, by: AskedBy<'_>, name: &IndexName, body: &[u8]) -> Answered {
        let survey = self.survey().await?;
        if !survey.has_user(name.user()) {
            return Err(Refusal::no_user(name.user()));
        }
        if !permits(Operation::CreateIndex(name), by.who, &self.rules) {
            let words = DevpiWords::MayNotCreate(name);
            return Err(Refusal::api(StatusCode::FORBIDDEN, words));
        }
        let exists = || Refusal::api(StatusCode::CONFLICT, DevpiWords::IndexExists(name));
        if survey.has_index(name) {
            return Err(exists());
        }
        let others = survey.indexes_of(name.user());
        check_index(name, others.keys().map(IndexName::index))?;
        let keys = match IndexRequest::parse(body).map_err(Refusal::bad_request)? {
            IndexRequest::Keys(keys) => keys,
            IndexRequest::Operations(_) => return Err(not_an_object()),
        };
        let settings = IndexSettings::create(name, &keys, &|base| survey.has_index(base));
        let settings = settings.map_err(Refusal::bad_request)?;
        self.may_mirror(&settings)?;
        self.check_groups(None, &settings)?;
        let record = settings.to_record(Serial::default(), by.now);
        self.compiles_with(&survey.directory, &record)?;
        self.record_user(by, name.user()).await?;
        let created = self.db.create_index(&by.cause(), &record).await?;
        created.ok_or_else(exists)?;
        Ok(shown(&settings))
    }

    /// `PATCH /user/index`.
    pub async fn modify_index(&self, by: AskedBy<'_>, name: &IndexName, body: &[u8]) -> Answered {
        self.may_change(Operation::ModifyIndex(name), by, name)
            .await?;
        let request = IndexRequest::parse(body).map_err(Refusal::bad_request)?;
        let mut retries = RETRIES;
        loop {
            let (record, shown) = self.modified(by, name, &request).await?;
            match self.db.update_index(&by.cause(), &record).await {
                Err(DbError::Conflict { .. }) if retries > 0 => retries -= 1,
                updated => return updated?.map(|_| shown).ok_or_else(Refusal::denied_by_api),
            }
        }
    }

    /// The record as the request changes it, and how it is shown.
    async fn modified(
        &self,
        by: AskedBy<'_>,
        name: &IndexName,
        request: &IndexRequest,
    ) -> Result<(IndexRecord, ApiAnswer), Refusal> {
        let survey = self.survey().await?;
        let record = survey.record(name).ok_or_else(Refusal::denied_by_api)?;
        let settings = IndexSettings::of_record(record).ok_or_else(unreadable)?;
        let modified = settings.modified(request, &|base| survey.has_index(base));
        let modified = modified.map_err(Refusal::bad_request)?;
        if modified.text("mirror_url") != settings.text("mirror_url") {
            self.may_mirror(&modified)?;
        }
        self.check_groups(Some(&settings), &modified)?;
        let record = modified.to_record(record.revision, by.now);
        self.compiles_with(&survey.directory, &record)?;
        Ok((record, shown(&modified)))
    }

    /// `DELETE /user/index`.
    pub async fn delete_index(&self, by: AskedBy<'_>, name: &IndexName) -> Answered {
        self.may_change(Operation::DeleteIndex(name), by, name)
            .await?;
        self.compiles_without(|index| index.name == *name).await?;
        match self.db.delete_index(&by.cause(), name).await? {
            IndexDeletion::Absent => Err(Refusal::denied_by_api()),
            IndexDeletion::Deleted(_) => {
                let answer = ApiAnswer::message(DevpiWords::IndexDeleted(name));
                Ok(answer.with_status(StatusCode::CREATED))
            }
            IndexDeletion::NonVolatile => {
                let words = DevpiWords::NonVolatile(name);
                Err(Refusal::api(StatusCode::FORBIDDEN, words))
            }
        }
    }

    /// Refuses a deletion after which the remaining indexes could not be put in force.
    pub async fn compiles_without(
        &self,
        is_deleted: impl Fn(&IndexRecord) -> bool,
    ) -> Result<(), Refusal> {
        let mut would_be = self.survey().await?.directory;
        would_be.indexes.retain(|index| !is_deleted(index));
        self.compiles(&would_be, StatusCode::CONFLICT)
    }

    /// Refuses an index, new or changed, with which the others could not be put in force.
    fn compiles_with(&self, directory: &Directory, record: &IndexRecord) -> Result<(), Refusal> {
        let mut would_be = directory.clone();
        would_be.indexes.retain(|index| index.name != record.name);
        would_be.indexes.push(record.clone());
        self.compiles(&would_be, StatusCode::BAD_REQUEST)
    }

    /// Refuses a mirror that only the operator may declare, as far as its URL tells. Where its host name
    /// leads is checked on every request.
    fn may_mirror(&self, settings: &IndexSettings) -> Result<(), Refusal> {
        let Some(Ok(url)) = settings.text("mirror_url").map(Url::parse) else {
            return Ok(());
        };
        self.rules.mirrors_to.check(&url).map_err(|why| {
            let words = format!("mirror_url of {} is refused: {why}", settings.name);
            Refusal::api(StatusCode::FORBIDDEN, words)
        })
    }

    /// Refuses to put a group into a list that nobody is in. What was in the list stays.
    fn check_groups(
        &self,
        before: Option<&IndexSettings>,
        after: &IndexSettings,
    ) -> Result<(), Refusal> {
        let groups = self.accounts.only_groups();
        for key in ["acl_upload", "acl_toxresult_upload"] {
            let known = before
                .map(|settings| settings.items(key))
                .unwrap_or_default();
            for name in after.items(key).iter().filter(|name| !known.contains(name)) {
                let fault = group_fault(name, groups.as_deref());
                if let Some(fault) = fault {
                    return Err(Refusal::bad_request(format!("{key}: {fault}")));
                }
            }
        }
        Ok(())
    }

    /// Refuses what the principal may not do, what does not exist (403, docs/protocol/devpi.md §4) and what
    /// YAML declares (product rule 5).
    async fn may_change(
        &self,
        operation: Operation<'_>,
        by: AskedBy<'_>,
        name: &IndexName,
    ) -> Result<(), Refusal> {
        let survey = self.survey().await?;
        if !survey.has_index(name) || !permits(operation, by.who, &self.rules) {
            return Err(Refusal::denied_by_api());
        }
        let Some(declared) = self.declared.get(name) else {
            return Ok(());
        };
        let place = &declared.location;
        let words = format!("index {name} is declared at {place}: change it there");
        Err(Refusal::api(StatusCode::CONFLICT, words))
    }
}

/// What is wrong with a name in a list, if it is that of a group. `groups` are all that there are, if known.
fn group_fault(name: &str, groups: Option<&[String]>) -> Option<String> {
    let group = name.strip_prefix(':')?;
    if let Some(meant) = meant_for_everybody(name) {
        return (name != meant).then(|| format!("'{name}' is no group, did you mean '{meant}'?"));
    }
    let groups = groups.filter(|groups| !groups.iter().any(|one| one == group))?;
    let near = suggest(group, groups.iter().map(String::as_str));
    let near = near.map(|near| format!(", did you mean ':{near}'?"));
    Some(format!(
        "there is no group '{name}'{}",
        near.unwrap_or_default()
    ))
}

fn shown(settings: &IndexSettings) -> ApiAnswer {
    ApiAnswer::result("indexconfig", settings.to_public_json().into())
}

fn unreadable() -> Refusal {
    let words = "the configuration of the index cannot be read";
    Refusal::api(StatusCode::INTERNAL_SERVER_ERROR, words)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::account::Principal;
    use crate::devpi::support::{by, me, root, setting, text_of};

    fn index(text: &str) -> IndexName {
        IndexName::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_group_that_nobody_is_in_comes_into_no_list() {
        let (_guard, management) = setting().await;
        let dev = index("me/dev");
        let me = me();
        let create = |body: &'static [u8]| management.create_index(by(&me), &dev, body);
        let unknown = br#"{"acl_upload": [":taem"]}"#;
        let special = br#"{"acl_upload": [":AUTHENTICATED"]}"#;
        let refused = create(special).await;
        let meant = "acl_upload: ':AUTHENTICATED' is no group, did you mean ':AUTHENTICATED:'?";
        assert_eq!(text_of(&refused), (400, meant));
        // As long as no group is known, any may come to be.
        assert_eq!(text_of(&create(unknown).await).0, 200);
        management.delete_index(by(&me), &dev).await.unwrap();
        let groups = [
            ("team".to_owned(), Vec::new()),
            ("ops".to_owned(), Vec::new()),
        ];
        management.accounts.adopt_groups(&groups.into());
        let refused = create(unknown).await;
        let words = "acl_upload: there is no group ':taem', did you mean ':team'?";
        assert_eq!(text_of(&refused), (400, words));
        let known = br#"{"acl_upload": [":team", ":authenticated:"]}"#;
        assert_eq!(text_of(&create(known).await).0, 200);
        let modify = |body: &'static [u8]| management.modify_index(by(&me), &dev, body);
        let refused = modify(br#"["acl_toxresult_upload+=:Ops"]"#).await;
        let words = "acl_toxresult_upload: there is no group ':Ops', did you mean ':ops'?";
        assert_eq!(text_of(&refused), (400, words));
        // What is in a list may stay there when its group goes, and may be taken out.
        management
            .accounts
            .adopt_groups(&[("ops".to_owned(), Vec::new())].into());
        assert_eq!(text_of(&modify(br#"["acl_upload+=:ops"]"#).await).0, 200);
        assert_eq!(text_of(&modify(br#"["acl_upload-=:team"]"#).await).0, 200);
        assert_eq!(text_of(&modify(br#"["acl_upload+=:team"]"#).await).0, 400);
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
        let created = management.create_index(by(&me()), &dev, body).await;
        let created = created.unwrap();
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
            .modify_index(by(&me()), &dev, operations)
            .await
            .unwrap();
        assert_eq!(changed.body["result"]["acl_upload"], json!(["me", "you"]));
        let indexes = indexes_shown(&management, "me").await;
        assert_eq!(indexes["dev"], changed.body["result"]);
        assert_eq!(indexes["dev"]["title"], "Dev");
        let deleted = management.delete_index(by(&me()), &dev).await;
        assert_eq!(text_of(&deleted), (201, "index me/dev deleted"));
        assert_eq!(indexes_shown(&management, "me").await, json!({}));
    }

    #[tokio::test]
    async fn every_refusal_of_creation() {
        let (_guard, management) = setting().await;
        management
            .create_index(by(&me()), &index("me/dev"), b"{}")
            .await
            .unwrap();
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
            let answer = management.create_index(by(&me()), &index(name), body).await;
            assert_eq!(text_of(&answer), (status, text), "{name}");
        }
        let declared = management
            .create_index(by(&root()), &index("house/stable"), b"{}")
            .await;
        assert_eq!(text_of(&declared), (409, "index 'house/stable' exists"));
        let bad = Err(Management::bad_index_name("me", "a b").unwrap());
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
        let changed = management.modify_index(by(&root()), &stable, b"{}").await;
        assert_eq!(text_of(&changed), (409, text));
        let deleted = management.delete_index(by(&root()), &stable).await;
        assert_eq!(text_of(&deleted), (409, text));
        let indexes = indexes_shown(&management, "house").await;
        assert_eq!(indexes["stable"]["volatile"], false);
        let beside = management
            .create_index(by(&root()), &index("house/dev"), b"{}")
            .await;
        assert_eq!(
            beside.unwrap().status.as_u16(),
            200,
            "beside it there is room"
        );
    }

    #[tokio::test]
    async fn a_missing_index_is_forbidden_and_a_non_volatile_one_stays() {
        let (_guard, management) = setting().await;
        let dev = index("me/dev");
        for who in [me(), root(), Principal::Anonymous] {
            assert_eq!(
                management.modify_index(by(&who), &dev, b"{}").await,
                Err(Refusal::denied_by_api())
            );
            assert_eq!(
                management.delete_index(by(&who), &dev).await,
                Err(Refusal::denied_by_api())
            );
        }
        management
            .create_index(by(&me()), &dev, br#"{"volatile": false}"#)
            .await
            .unwrap();
        let kept = management.delete_index(by(&me()), &dev).await;
        assert_eq!(
            text_of(&kept),
            (403, "index me/dev non-volatile, cannot delete")
        );
        let stranger = Principal::user("stranger");
        assert_eq!(
            management.delete_index(by(&stranger), &dev).await,
            Err(Refusal::denied_by_api())
        );
    }

    #[tokio::test]
    async fn changes_at_the_same_time_all_count() {
        let (_guard, management) = setting().await;
        let dev = index("me/dev");
        let created = management.create_index(by(&me()), &dev, b"{}").await;
        created.unwrap();
        let (me, dev, management) = (me(), &dev, &management);
        let changes = ["a", "b", "c"].map(|user| {
            let body = json!([format!("acl_upload+={user}")]).to_string();
            let who = me.clone();
            async move {
                management
                    .modify_index(by(&who), dev, body.as_bytes())
                    .await
            }
        });
        for answer in futures_util::future::join_all(changes).await {
            assert_eq!(text_of(&answer).0, 200, "{answer:?}");
        }
        let indexes = indexes_shown(management, "me").await;
        assert_eq!(indexes["dev"]["acl_upload"].as_array().unwrap().len(), 4);
    }
}
