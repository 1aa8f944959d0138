//! Users: one function for each request (docs/protocol/devpi.md §6).

use http::StatusCode;

use crate::account::{Operation, ROOT, permits};
use crate::db::{NewUser, UserDeletion};
use crate::devpi::answer::{Answered, ApiAnswer};
use crate::devpi::login::proxy_auth;
use crate::devpi::management::{AskedBy, Management, parse_object};
use crate::devpi::new_names::check_user;
use crate::devpi::refusal::Refusal;
use crate::devpi::user_settings::{NewPassword, UserRequest};
use crate::devpi::words::DevpiWords;

impl Management {
    /// `PUT /user`.
    pub async fn create_user(&self, by: AskedBy<'_>, name: &str, body: &[u8]) -> Answered {
        if !permits(Operation::CreateUser, by.who, &self.rules) {
            return Err(Refusal::denied_by_api());
        }
        let keys = parse_object(body)?;
        let taken = || Refusal::api(StatusCode::CONFLICT, DevpiWords::UserExists);
        if self.db.user(name).await?.is_some() {
            return Err(taken());
        }
        check_user(name, self.survey().await?.user_names())?;
        let request = UserRequest::create(&keys).map_err(Refusal::bad_request)?;
        let user = NewUser {
            name: name.to_owned(),
            password_hash: self.hash_of(request.password.as_ref()).await?,
            details: request.new_details(),
        };
        let created = self.db.create_user(&by.cause(), &user).await?;
        created.ok_or_else(taken)?;
        let shown = self.survey().await?.user_object(name);
        Ok(ApiAnswer::result("userconfig", shown).with_status(StatusCode::CREATED))
    }

    /// `PATCH /user`: a new password, other details, or both.
    pub async fn modify_user(&self, by: AskedBy<'_>, name: &str, body: &[u8]) -> Answered {
        let keys = parse_object(body)?;
        let request = UserRequest::modify(&keys).map_err(Refusal::bad_request)?;
        let (operation, words) = if request.only_password {
            let words = DevpiWords::MayNotChangePassword(name);
            (Operation::ChangePassword(name), words)
        } else {
            (Operation::ModifyUser(name), DevpiWords::MayNotModify(name))
        };
        if !permits(operation, by.who, &self.rules) {
            return Err(Refusal::api(StatusCode::FORBIDDEN, words));
        }
        self.check_password_of_others(by, name, &request).await?;
        let mut update = request.details.clone();
        update.password_hash = self.hash_of(request.password.as_ref()).await?;
        if self.db.user(name).await?.is_none() {
            if !self.survey().await?.has_user(name) {
                return Err(Refusal::no_user(name));
            }
            self.record_user(by, name).await?;
        }
        let updated = self.db.update_user(&by.cause(), name, &update).await?;
        let updated = updated.ok_or_else(|| Refusal::no_user(name))?;
        if request.password.is_none() {
            return Ok(ApiAnswer::message(DevpiWords::UserUpdated));
        }
        let token = self.accounts.token_of(&updated, by.now);
        Ok(proxy_auth("userpassword", &token).with_message(DevpiWords::PasswordUpdated))
    }

    /// Refuses a password to a user who gets in by the word of a directory or a proxy, unless root gives
    /// it: with one, nobody asks those any more.
    async fn check_password_of_others(
        &self,
        by: AskedBy<'_>,
        name: &str,
        request: &UserRequest,
    ) -> Result<(), Refusal> {
        if request.password.is_none() || by.who.is(ROOT) {
            return Ok(());
        }
        let user = self.db.user(name).await?;
        if !self.accounts.is_of_others(user.as_ref()) {
            return Ok(());
        }
        let words = format!(
            "{name} has no password here, but logs in with that of the company: change it there"
        );
        Err(Refusal::api(StatusCode::FORBIDDEN, words))
    }

    /// `DELETE /user`.
    pub async fn delete_user(&self, by: AskedBy<'_>, name: &str) -> Answered {
        if !permits(Operation::DeleteUser(name), by.who, &self.rules) {
            return Err(Refusal::denied_by_api());
        }
        let mut declared = self.declared.values();
        if let Some(declared) = declared.find(|one| one.settings.name.user() == name) {
            let (index, place) = (declared.settings.name.index(), &declared.location);
            let words = format!("user '{name}' has index {index} declared at {place}");
            return Err(Refusal::api(StatusCode::CONFLICT, words));
        }
        self.compiles_without(|index| index.name.user() == name)
            .await?;
        match self.db.delete_user(&by.cause(), name).await? {
            UserDeletion::Absent => Err(Refusal::no_user(name)),
            UserDeletion::Deleted(_) => Ok(ApiAnswer::message(DevpiWords::UserDeleted(name))),
            UserDeletion::NonVolatile(index) => {
                let words = DevpiWords::HasNonVolatile(name, index.index());
                Err(Refusal::api(StatusCode::FORBIDDEN, words))
            }
        }
    }

    /// Creates the record of a user that only YAML names so far; an existing one stays as it is.
    pub async fn record_user(&self, by: AskedBy<'_>, name: &str) -> Result<(), Refusal> {
        let user = NewUser {
            name: name.to_owned(),
            ..NewUser::default()
        };
        self.db.create_user(&by.cause(), &user).await?;
        Ok(())
    }

    /// The hash to keep of a new password.
    async fn hash_of(&self, password: Option<&NewPassword>) -> Result<Option<String>, Refusal> {
        Ok(match password {
            None => None,
            Some(NewPassword::Hash(hash)) => Some(hash.clone()),
            Some(NewPassword::Plain(password)) => {
                Some(self.accounts.passwords().hash(password).await?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::account::{Principal, UserCreation};
    use crate::devpi::support::{by, log_in, me, root, setting, text_of};
    use crate::model::IndexName;

    #[tokio::test]
    async fn a_user_is_created_shown_changed_and_deleted() {
        let (_guard, management) = setting().await;
        let body = br#"{"password": "p", "email": "u@x.example"}"#;
        let created = management.create_user(by(&root()), "u", body).await;
        let created = created.unwrap();
        assert_eq!(
            (created.status.as_u16(), &created.body["type"]),
            (201, &json!("userconfig"))
        );
        let expected = json!({
            "username": "u", "email": "u@x.example", "created": "2026-01-02T03:04:05Z", "indexes": {}
        });
        assert_eq!(created.body["result"], expected);
        let survey = management.survey().await.unwrap();
        assert_eq!(survey.show_user("u").unwrap().body["result"], expected);
        let mut back = expected.clone();
        back["title"] = json!("U");
        let back = back.to_string();
        let modified = management
            .modify_user(by(&root()), "u", back.as_bytes())
            .await;
        assert_eq!(text_of(&modified), (200, "user updated"));
        let shown = management.survey().await.unwrap().list_users();
        assert_eq!(shown.body["type"], "list:userconfig");
        assert_eq!(shown.body["result"]["u"]["title"], "U");
        assert_eq!(
            shown.body["result"]["u"]["modified"],
            "2026-01-02T03:04:05Z"
        );
        let deleted = management.delete_user(by(&root()), "u").await;
        assert_eq!(text_of(&deleted), (200, "user 'u' deleted"));
        assert_eq!(management.survey().await.unwrap().show_user("u"), None);
    }

    #[tokio::test]
    async fn every_refusal_of_creation() {
        let (_guard, mut management) = setting().await;
        let anonymous = Principal::Anonymous;
        let denied = management.create_user(by(&anonymous), "u", b"{}").await;
        assert_eq!(denied, Err(Refusal::denied_by_api()));
        let good = br#"{"password": "p"}"#;
        let blocked = "username 'a b' contains characters that aren't allowed. Any ascii symbol \
                       besides -.@_ is blocked.";
        let table = [
            ("me", &good[..], 409, "user already exists"),
            ("u", b"{}", 400, "password needs to be set"),
            (
                "u",
                br#"{"password": "p", "foo": 1}"#,
                400,
                "Unknown keys in user config: foo",
            ),
            ("a b", good, 400, blocked),
            (
                "u",
                b"[]",
                400,
                "Bad request: the body is not a JSON object",
            ),
        ];
        for (name, body, status, text) in table {
            let answer = management.create_user(by(&root()), name, body).await;
            assert_eq!(text_of(&answer), (status, text));
        }
        management.rules.user_creation = UserCreation::Everyone;
        let created = management.create_user(by(&anonymous), "u", good).await;
        assert_eq!(created.unwrap().status.as_u16(), 201);
    }

    #[tokio::test]
    async fn a_new_password_ends_old_logins_and_brings_a_new_one() {
        let (_guard, management) = setting().await;
        let refused = management
            .modify_user(by(&me()), "root", br#"{"password": "x"}"#)
            .await;
        assert_eq!(
            text_of(&refused),
            (403, "no permission to change password for user root")
        );
        let refused = management
            .modify_user(by(&me()), "root", br#"{"title": "x"}"#)
            .await;
        assert_eq!(
            text_of(&refused),
            (403, "no permission to modify user root")
        );
        let unknown = management
            .modify_user(by(&root()), "u", br#"{"title": "x"}"#)
            .await;
        assert_eq!(text_of(&unknown), (404, "no user 'u'"));
        let changed = management
            .modify_user(by(&me()), "me", br#"{"password": "new"}"#)
            .await;
        assert_eq!(text_of(&changed), (200, "user updated, new proxy auth"));
        assert_eq!(changed.unwrap().body["type"], "userpassword");
        for (password, status) in [("me", 401), ("new", 200)] {
            let body = json!({ "user": "me", "password": password }).to_string();
            let answer = log_in(&management, body.as_bytes()).await;
            assert_eq!(text_of(&answer).0, status, "{password}");
        }
    }

    #[tokio::test]
    async fn who_may_not_be_deleted() {
        let (_guard, management) = setting().await;
        let kept = management.delete_user(by(&root()), "root").await;
        assert_eq!(text_of(&kept).0, 403);
        assert_eq!(
            text_of(&management.delete_user(by(&root()), "u").await),
            (404, "no user 'u'")
        );
        let index = IndexName::parse("me/stable").unwrap();
        management
            .create_index(by(&me()), &index, br#"{"volatile": false}"#)
            .await
            .unwrap();
        let kept = management.delete_user(by(&me()), "me").await;
        assert_eq!(
            text_of(&kept),
            (403, "user 'me' has non-volatile index: stable")
        );
        let kept = management.delete_user(by(&root()), "house").await;
        assert_eq!(
            text_of(&kept),
            (
                409,
                "user 'house' has index stable declared at house.yaml:3:5"
            )
        );
    }

    #[tokio::test]
    async fn a_user_that_only_yaml_names_is_shown_and_gets_a_password_from_root() {
        let (_guard, management) = setting().await;
        let shown = management.survey().await.unwrap().show_user("house");
        let shown = shown.unwrap();
        assert_eq!(shown.body["result"]["username"], "house");
        assert_eq!(shown.body["result"]["indexes"]["stable"]["type"], "stage");
        let changed = management
            .modify_user(by(&root()), "house", br#"{"password": "h"}"#)
            .await;
        assert_eq!(text_of(&changed).0, 200);
        let login = log_in(&management, br#"{"user": "house", "password": "h"}"#).await;
        assert_eq!(text_of(&login).0, 200);
    }
}
