//! `POST /+login` (docs/protocol/devpi.md §5).

use std::net::IpAddr;

use http::StatusCode;
use serde_json::{Value, json};

use crate::account::{LoginOutcome, NotAccepted, SESSION_LIFETIME};
use crate::devpi::answer::ApiAnswer;
use crate::devpi::management::{Management, parse_json};
use crate::model::Timestamp;

/// What root is told until it has a password.
const ROOT_NOTICE: &str =
    "login successful; root has no password yet: devpi user -m root password=…";

impl Management {
    /// Exchanges a password for a login token.
    pub async fn log_in(&self, body: &[u8], address: IpAddr, now: Timestamp) -> ApiAnswer {
        let sent = match parse_json(body) {
            Ok(sent) => sent,
            Err(text) => return ApiAnswer::bad_request(text),
        };
        let text = |key: &str| sent.get(key).and_then(Value::as_str);
        let (Some(user), Some(password)) = (text("user"), text("password")) else {
            return ApiAnswer::bad_request("Bad request: no user/password specified");
        };
        match self.accounts.log_in(user, password, address, now).await {
            Err(error) => ApiAnswer::from(&error),
            Ok(LoginOutcome::Done(logged_in)) => {
                let notice = if logged_in.root_without_password {
                    ROOT_NOTICE
                } else {
                    "login successful"
                };
                proxy_auth("proxyauth", &logged_in.token).with_message(notice)
            }
            Ok(LoginOutcome::Refused(
                NotAccepted::Wrong | NotAccepted::Expired | NotAccepted::Withdrawn,
            )) => {
                let text = format!("user {} could not be authenticated", quoted(user));
                ApiAnswer::message(StatusCode::UNAUTHORIZED, text)
            }
            Ok(LoginOutcome::Refused(NotAccepted::Wait(wait))) => {
                let text = format!(
                    "too many wrong passwords for {}, try again in {} seconds",
                    quoted(user),
                    wait.as_secs() + 1
                );
                let answer = ApiAnswer::message(StatusCode::TOO_MANY_REQUESTS, text);
                ApiAnswer {
                    retry_after: Some(wait),
                    ..answer
                }
            }
        }
    }
}

/// A login token as clients expect it, after a login or a change of password.
pub fn proxy_auth(kind: &str, token: &str) -> ApiAnswer {
    let result = json!({ "password": token, "expiration": SESSION_LIFETIME.as_secs() });
    ApiAnswer::result(StatusCode::OK, kind, result)
}

fn quoted(user: &str) -> String {
    format!("'{}'", user.chars().take(100).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devpi::support::{HERE, now, setting};

    #[tokio::test]
    async fn every_row_of_the_login_table() {
        let (_guard, management) = setting().await;
        let table = [
            (
                r#"{"user": "me", "password": "wrong"}"#,
                401,
                "user 'me' could not be authenticated",
            ),
            (
                r#"{"user": "nobody", "password": ""}"#,
                401,
                "user 'nobody' could not be authenticated",
            ),
            (
                r#"{"user": "me"}"#,
                400,
                "Bad request: no user/password specified",
            ),
            ("", 400, "Bad request: no user/password specified"),
            ("[]", 400, "Bad request: no user/password specified"),
            ("user=me", 400, "Bad request: could not decode json"),
            (
                r#"{"user": "me", "password": "me"}"#,
                200,
                "login successful",
            ),
            (r#"{"user": "root", "password": ""}"#, 200, ROOT_NOTICE),
        ];
        for (body, status, message) in table {
            let answer = management.log_in(body.as_bytes(), HERE, now()).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["message"]),
                (status, &message.into()),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_login_brings_a_token_for_ten_hours() {
        let (_guard, management) = setting().await;
        let answer = management
            .log_in(br#"{"user": "me", "password": "me"}"#, HERE, now())
            .await;
        assert_eq!(answer.body["type"], "proxyauth");
        assert_eq!(answer.body["result"]["expiration"], 36000);
        assert!(
            answer.body["result"]["password"]
                .as_str()
                .unwrap()
                .is_ascii()
        );
    }

    #[tokio::test]
    async fn who_guesses_is_told_to_wait() {
        let (_guard, management) = setting().await;
        let mut last = 0;
        for _ in 0..7 {
            let guess = br#"{"user": "me", "password": "guess"}"#;
            let answer = management.log_in(guess, HERE, now()).await;
            last = answer.status.as_u16();
            assert_eq!(answer.retry_after.is_some(), last == 429);
        }
        assert_eq!(last, 429);
    }
}
