//! Logins, users and indexes: the devpi API's intents, put in force and accounted for.

use http::StatusCode;
use serde_json::Value;

use crate::account::ROOT;
use crate::devpi::{ApiAnswer, Management};
use crate::gateway::{NotInstalled, Reply};
use crate::model::IndexName;
use crate::protocol::Intent;
use crate::telemetry::AuditKind;
use crate::writer::caller::Caller;
use crate::writer::desk::{About, Writer};
use crate::writer::refusal::{Refusal, answered};

type Outcome = Result<Reply, Refusal>;

impl Writer {
    /// `POST /+login`.
    ///
    /// # Errors
    /// When it could not be carried out.
    pub async fn log_in(&self, caller: Caller, body: bytes::Bytes) -> Outcome {
        let answer = self
            .management()
            .log_in(&body, caller.address, self.now())
            .await;
        let name = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let name = name.as_ref().and_then(|sent| sent["user"].as_str());
        let about = About {
            detail: name,
            ..About::default()
        };
        match answer.status {
            StatusCode::OK => self.account_for(AuditKind::Login, &caller, about),
            StatusCode::BAD_REQUEST => {}
            _ => self.account_for(AuditKind::LoginFailed, &caller, about),
        }
        Ok(answered(&answer))
    }

    /// `PUT`, `PATCH` or `DELETE /user`.
    ///
    /// # Errors
    /// When it could not be carried out.
    pub async fn change_user(
        &self,
        caller: Caller,
        intent: Intent,
        name: String,
        body: bytes::Bytes,
    ) -> Outcome {
        let writer = self.clone();
        self.to_the_end(async move {
            let _turn = writer.generations.turn().await;
            let (management, now) = (writer.management(), writer.now());
            let who = &caller.principal;
            let answer = match intent {
                Intent::Create => management.create_user(who, &name, &body, now).await,
                Intent::Modify => management.modify_user(who, &name, &body, now).await,
                Intent::Delete => management.delete_user(who, &name, now).await,
            };
            if answer.status.is_success() {
                let method = intent.method();
                let detail = format!("{method} {name}{}", changed_keys(intent, &body));
                let about = About {
                    detail: Some(&detail),
                    ..About::default()
                };
                writer.account_for(AuditKind::User, &caller, about);
                if intent == Intent::Delete {
                    writer.flows.garbage.suspect();
                    writer.follow().await?;
                }
            }
            Ok(answered(&answer))
        })
        .await
    }

    /// `PUT`, `PATCH` or `DELETE /user/index`.
    ///
    /// # Errors
    /// When it could not be carried out.
    pub async fn change_index(
        &self,
        caller: Caller,
        intent: Intent,
        name: IndexName,
        body: bytes::Bytes,
    ) -> Outcome {
        let writer = self.clone();
        self.to_the_end(async move {
            let _turn = writer.generations.turn().await;
            let (management, now) = (writer.management(), writer.now());
            let who = &caller.principal;
            let answer = match intent {
                Intent::Create => management.create_index(who, &name, &body, now).await,
                Intent::Modify => management.modify_index(who, &name, &body, now).await,
                Intent::Delete => management.delete_index(who, &name, now).await,
            };
            if answer.status.is_success() {
                if intent == Intent::Delete {
                    writer.flows.garbage.suspect();
                }
                writer.follow().await?;
                let detail = format!("{}{}", intent.method(), changed_keys(intent, &body));
                let about = About {
                    index: Some(&name),
                    detail: Some(&detail),
                    ..About::default()
                };
                writer.account_for(AuditKind::Index, &caller, about);
            }
            Ok(answered(&answer))
        })
        .await
    }

    /// What is said of `PUT /user/index` where one of them is no name.
    ///
    /// # Errors
    /// Always.
    pub fn misnamed_index(&self, user: &str, index: &str) -> Outcome {
        let answer = Management::bad_index_name(user, index);
        answer
            .map(|answer| answered(&answer))
            .ok_or_else(Refusal::denied)
    }

    /// `POST /+reload`: reads the operator's files again.
    ///
    /// # Errors
    /// 403 for everyone but root; 422 with all faults, after which nothing has changed.
    pub async fn reload(&self, caller: Caller) -> Outcome {
        if !caller.principal.is(ROOT) || caller.principal.scope().is_some() {
            return Err(Refusal::denied());
        }
        let writer = self.clone();
        self.to_the_end(async move {
            let number = match writer.generations.reload().await {
                Ok(number) => number,
                Err(NotInstalled::Faults(faults)) => {
                    let words = faults.to_string();
                    return Err(Refusal::api(StatusCode::UNPROCESSABLE_ENTITY, words));
                }
                Err(NotInstalled::Db(error)) => return Err(error.into()),
            };
            writer.account_for(AuditKind::Reload, &caller, About::default());
            let result = serde_json::json!({ "generation": number });
            Ok(answered(&ApiAnswer::result(
                StatusCode::OK,
                "reload",
                result,
            )))
        })
        .await
    }

    /// Puts the recorded indexes in force. What was compiled a moment ago compiles again, so a
    /// fault here is one of ours.
    async fn follow(&self) -> Result<(), Refusal> {
        match self.generations.follow().await {
            Ok(_) => Ok(()),
            Err(NotInstalled::Db(error)) => Err(error.into()),
            Err(NotInstalled::Faults(faults)) => Err(Refusal::internal(
                "put the changed indexes in force",
                faults,
            )),
        }
    }
}

/// What a change names, without its values: a password may be among them.
fn changed_keys(intent: Intent, body: &[u8]) -> String {
    let named: Vec<String> = match (intent, serde_json::from_slice(body)) {
        (Intent::Delete, _) | (_, Err(_)) => Vec::new(),
        (_, Ok(Value::Object(keys))) => keys.keys().cloned().collect(),
        (_, Ok(Value::Array(operations))) => {
            let operations = operations.iter().filter_map(Value::as_str);
            let keys = operations.map(|one| one.split(['=', '+', '-']).next().unwrap_or_default());
            keys.map(str::to_owned).collect()
        }
        (_, Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => Vec::new(),
    };
    if named.is_empty() {
        return String::new();
    }
    format!(": {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_its_keys_and_never_by_a_value() {
        let secret = r#"{"password": "s3cret", "email": "a@x.example"}"#;
        let operations = r#"["bases+=root/pypi", "title-=", "volatile=False"]"#;
        for (intent, body, expected) in [
            (Intent::Modify, secret, ": email, password"),
            (Intent::Create, operations, ": bases, title, volatile"),
            (Intent::Delete, secret, ""),
            (Intent::Create, "", ""),
            (Intent::Create, "5", ""),
        ] {
            assert_eq!(changed_keys(intent, body.as_bytes()), expected, "{body}");
        }
    }
}
