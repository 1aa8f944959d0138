//! Users: one function for each thing that can be asked (docs/protocol/devpi.md §6).

use http::StatusCode;

use crate::account::{Operation, PasswordError, Principal, permits};
use crate::db::{NewUser, User, UserDeletion};
use crate::devpi::answer::ApiAnswer;
use crate::devpi::login::proxy_auth;
use crate::devpi::management::{Management, cause, parse_object};
use crate::devpi::new_names::check_user;
use crate::devpi::user_settings::{NewPassword, UserRequest};
use crate::model::Timestamp;

impl Management {
    /// `PUT /user`.
    pub async fn create_user(
        &self,
        who: &Principal,
        name: &str,
        body: &[u8],
        now: Timestamp,
    ) -> ApiAnswer {
        let created = self.try_create_user(who, name, body, now).await;
        created.unwrap_or_else(|refusal| refusal)
    }

    async fn try_create_user(
        &self,
        who: &Principal,
        name: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<ApiAnswer, ApiAnswer> {
        if !permits(Operation::CreateUser, who, &self.rules) {
            return Err(ApiAnswer::denied());
        }
        let keys = parse_object(body)?;
        let taken = || ApiAnswer::message(StatusCode::CONFLICT, "user already exists");
        if self.user(name).await?.is_some() {
            return Err(taken());
        }
        check_user(name, self.survey().await?.user_names())?;
        let request = UserRequest::create(&keys).map_err(ApiAnswer::bad_request)?;
        let password_hash = self.hash_of(request.password.as_ref()).await?;
        let user = NewUser {
            name: name.to_owned(),
            password_hash,
            details: request.new_details(),
        };
        let created = self.db.create_user(&cause(who, now), &user).await;
        created
            .map_err(|error| ApiAnswer::from(&error))?
            .ok_or_else(taken)?;
        let shown = self.survey().await?.user_object(name);
        Ok(ApiAnswer::result(StatusCode::CREATED, "userconfig", shown))
    }

    /// `PATCH /user`: a new password, other details, or both.
    pub async fn modify_user(
        &self,
        who: &Principal,
        name: &str,
        body: &[u8],
        now: Timestamp,
    ) -> ApiAnswer {
        let modified = self.try_modify_user(who, name, body, now).await;
        modified.unwrap_or_else(|refusal| refusal)
    }

    async fn try_modify_user(
        &self,
        who: &Principal,
        name: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<ApiAnswer, ApiAnswer> {
        let keys = parse_object(body)?;
        let request = UserRequest::modify(&keys).map_err(ApiAnswer::bad_request)?;
        let (operation, doing) = if request.only_password {
            (Operation::ChangePassword(name), "change password for")
        } else {
            (Operation::ModifyUser(name), "modify")
        };
        if !permits(operation, who, &self.rules) {
            let text = format!("no permission to {doing} user {name}");
            return Err(ApiAnswer::message(StatusCode::FORBIDDEN, text));
        }
        let mut update = request.details.clone();
        update.password_hash = self.hash_of(request.password.as_ref()).await?;
        let cause = cause(who, now);
        if self.user(name).await?.is_none() {
            if !self.survey().await?.has_user(name) {
                return Err(no_user(name));
            }
            // Named by a declared index only: this is how it gets its first password.
            let user = NewUser {
                name: name.to_owned(),
                ..NewUser::default()
            };
            self.db
                .create_user(&cause, &user)
                .await
                .map_err(|error| ApiAnswer::from(&error))?;
        }
        let updated = self.db.update_user(&cause, name, &update).await;
        let updated = updated
            .map_err(|error| ApiAnswer::from(&error))?
            .ok_or_else(|| no_user(name))?;
        if request.password.is_none() {
            return Ok(ApiAnswer::message(StatusCode::OK, "user updated"));
        }
        let token = self.accounts.token_of(&updated, now);
        Ok(proxy_auth("userpassword", &token).with_message("user updated, new proxy auth"))
    }

    /// `DELETE /user`.
    pub async fn delete_user(&self, who: &Principal, name: &str, now: Timestamp) -> ApiAnswer {
        if !permits(Operation::DeleteUser(name), who, &self.rules) {
            return ApiAnswer::denied();
        }
        if let Some(declared) = self
            .declared
            .values()
            .find(|one| one.settings.name().user() == name)
        {
            let text = format!(
                "user '{name}' has index {} declared at {}",
                declared.settings.name().index(),
                declared.location
            );
            return ApiAnswer::message(StatusCode::CONFLICT, text);
        }
        if let Err(refusal) = self
            .compiles_without(|index| index.name.user() == name)
            .await
        {
            return refusal;
        }
        match self.db.delete_user(&cause(who, now), name).await {
            Err(error) => ApiAnswer::from(&error),
            Ok(UserDeletion::Absent) => no_user(name),
            Ok(UserDeletion::Deleted(_)) => {
                ApiAnswer::message(StatusCode::OK, format!("user '{name}' deleted"))
            }
            Ok(UserDeletion::NonVolatile(index)) => {
                let text = format!("user '{name}' has non-volatile index: {}", index.index());
                ApiAnswer::message(StatusCode::FORBIDDEN, text)
            }
        }
    }

    async fn user(&self, name: &str) -> Result<Option<User>, ApiAnswer> {
        self.db
            .user(name)
            .await
            .map_err(|error| ApiAnswer::from(&error))
    }

    /// What is kept of a new password.
    async fn hash_of(&self, password: Option<&NewPassword>) -> Result<Option<String>, ApiAnswer> {
        let hash = match password {
            None => return Ok(None),
            Some(NewPassword::Hash(hash)) => Ok(hash.clone()),
            Some(NewPassword::Plain(password)) => self.accounts.passwords().hash(password).await,
        };
        hash.map(Some)
            .map_err(|error: PasswordError| ApiAnswer::from(&error))
    }
}

fn no_user(name: &str) -> ApiAnswer {
    ApiAnswer::message(StatusCode::NOT_FOUND, format!("no user '{name}'"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::account::UserCreation;
    use crate::devpi::support::{HERE, me, now, root, setting, text_of};
    use crate::model::IndexName;

    #[tokio::test]
    async fn a_user_is_created_shown_changed_and_deleted() {
        let (_guard, management) = setting().await;
        let body = br#"{"password": "p", "email": "u@x.example"}"#;
        let created = management.create_user(&root(), "u", body, now()).await;
        assert_eq!(
            (created.status.as_u16(), &created.body["type"]),
            (201, &json!("userconfig"))
        );
        let expected = json!({
            "username": "u", "email": "u@x.example", "created": "2026-01-02T03:04:05Z", "indexes": {}
        });
        assert_eq!(created.body["result"], expected);
        let survey = management.survey().await.unwrap();
        assert_eq!(survey.show_user("u").body["result"], expected);
        let mut back = expected.clone();
        back["title"] = json!("U");
        let back = back.to_string();
        let modified = management
            .modify_user(&root(), "u", back.as_bytes(), now())
            .await;
        assert_eq!(text_of(&modified), (200, "user updated"));
        let shown = management.survey().await.unwrap().list_users();
        assert_eq!(shown.body["type"], "list:userconfig");
        assert_eq!(shown.body["result"]["u"]["title"], "U");
        assert_eq!(
            shown.body["result"]["u"]["modified"],
            "2026-01-02T03:04:05Z"
        );
        let deleted = management.delete_user(&root(), "u", now()).await;
        assert_eq!(text_of(&deleted), (200, "user 'u' deleted"));
        let gone = management.survey().await.unwrap().show_user("u");
        assert_eq!(text_of(&gone), (404, "no user 'u'"));
    }

    #[tokio::test]
    async fn every_refusal_of_creation() {
        let (_guard, mut management) = setting().await;
        let anonymous = Principal::Anonymous;
        let denied = management.create_user(&anonymous, "u", b"{}", now()).await;
        assert_eq!(denied.status.as_u16(), 403);
        assert_eq!(denied.body["code"], "403 Forbidden");
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
            let answer = management.create_user(&root(), name, body, now()).await;
            assert_eq!(text_of(&answer), (status, text));
        }
        management.rules.user_creation = UserCreation::Everyone;
        let created = management.create_user(&anonymous, "u", good, now()).await;
        assert_eq!(created.status.as_u16(), 201);
    }

    #[tokio::test]
    async fn a_new_password_ends_old_logins_and_brings_a_new_one() {
        let (_guard, management) = setting().await;
        let refused = management
            .modify_user(&me(), "root", br#"{"password": "x"}"#, now())
            .await;
        assert_eq!(
            text_of(&refused),
            (403, "no permission to change password for user root")
        );
        let refused = management
            .modify_user(&me(), "root", br#"{"title": "x"}"#, now())
            .await;
        assert_eq!(
            text_of(&refused),
            (403, "no permission to modify user root")
        );
        let unknown = management
            .modify_user(&root(), "u", br#"{"title": "x"}"#, now())
            .await;
        assert_eq!(text_of(&unknown), (404, "no user 'u'"));
        let changed = management
            .modify_user(&me(), "me", br#"{"password": "new"}"#, now())
            .await;
        assert_eq!(text_of(&changed), (200, "user updated, new proxy auth"));
        assert_eq!(changed.body["type"], "userpassword");
        for (password, status) in [("me", 401), ("new", 200)] {
            let body = json!({ "user": "me", "password": password }).to_string();
            let answer = management.log_in(body.as_bytes(), HERE, now()).await;
            assert_eq!(answer.status.as_u16(), status, "{password}");
        }
    }

    #[tokio::test]
    async fn who_may_not_be_deleted() {
        let (_guard, management) = setting().await;
        assert_eq!(
            management
                .delete_user(&root(), "root", now())
                .await
                .status
                .as_u16(),
            403
        );
        assert_eq!(
            text_of(&management.delete_user(&root(), "u", now()).await),
            (404, "no user 'u'")
        );
        let index = IndexName::parse("me/stable").unwrap();
        management
            .create_index(&me(), &index, br#"{"volatile": false}"#, now())
            .await;
        let kept = management.delete_user(&me(), "me", now()).await;
        assert_eq!(
            text_of(&kept),
            (403, "user 'me' has non-volatile index: stable")
        );
        let kept = management.delete_user(&root(), "house", now()).await;
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
        assert_eq!(shown.body["result"]["username"], "house");
        assert_eq!(shown.body["result"]["indexes"]["stable"]["type"], "stage");
        let changed = management
            .modify_user(&root(), "house", br#"{"password": "h"}"#, now())
            .await;
        assert_eq!(changed.status.as_u16(), 200);
        let login = management
            .log_in(br#"{"user": "house", "password": "h"}"#, HERE, now())
            .await;
        assert_eq!(login.status.as_u16(), 200);
    }
}
