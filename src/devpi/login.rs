//! `POST /+login` (docs/protocol/devpi.md §5).

use std::net::IpAddr;

use http::StatusCode;
use serde_json::{Value, json};

use crate::account::{Credentials, LoggedIn, NotAccepted, Principal, SESSION_LIFETIME};
use crate::devpi::answer::ApiAnswer;
use crate::devpi::management::{AskedBy, Management, parse_json};
use crate::devpi::new_names::check_user;
use crate::devpi::refusal::Refusal;
use crate::devpi::words::DevpiWords;
use crate::model::Timestamp;

/// What root is told until it has a password.
const ROOT_NOTICE: &str =
    "login successful; root has no password yet: devpi user -m root password=…";

/// Longest part of a name that is repeated to a client that could not log in.
const NAME_MAX: usize = 100;

impl Management {
    /// Exchanges a password for a login token; also returns who has logged in.
    pub async fn log_in(
        &self,
        sent: &Credentials,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(ApiAnswer, Principal), Refusal> {
        let logged_in = self.accounts.log_in(&sent.user, &sent.secret, address, now);
        let why = match logged_in.await? {
            Ok(logged_in) => return self.welcome(logged_in, now).await,
            Err(why) => why,
        };
        let name: String = sent.user.chars().take(NAME_MAX).collect();
        Err(match why {
            NotAccepted::Wrong | NotAccepted::Expired | NotAccepted::Withdrawn => Refusal::api(
                StatusCode::UNAUTHORIZED,
                DevpiWords::NotAuthenticated(&name),
            ),
            NotAccepted::Name(why) => Refusal::api(StatusCode::UNAUTHORIZED, why),
            NotAccepted::Unavailable => Refusal::directory_away(),
            NotAccepted::Wait(wait) => {
                let seconds = wait.as_secs() + 1;
                let words = format!(
                    "too many wrong passwords for '{name}', try again in {seconds} seconds"
                );
                Refusal::api(StatusCode::TOO_MANY_REQUESTS, words).after(wait)
            }
        })
    }

    async fn welcome(
        &self,
        logged_in: LoggedIn,
        now: Timestamp,
    ) -> Result<(ApiAnswer, Principal), Refusal> {
        let LoggedIn {
            identity,
            token,
            root_without_password,
        } = logged_in;
        let who = Principal::Known(identity);
        let name = who.name().unwrap_or_default();
        let token = match token {
            Some(token) => token,
            None => self.first_login(&who, name, now).await?,
        };
        let notice = if root_without_password {
            ROOT_NOTICE.to_owned()
        } else {
            DevpiWords::LoggedIn.to_string()
        };
        let answer = proxy_auth("proxyauth", &token).with_message(notice);
        Ok((answer, who))
    }

    /// Makes the record of a user of a directory, who may then own indexes and tokens as others do, and
    /// returns their login token.
    async fn first_login(
        &self,
        who: &Principal,
        name: &str,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        if !self.survey().await?.has_user(name) {
            check_user(name, self.survey().await?.user_names())?;
        }
        self.record_user(AskedBy { who, now }, name).await?;
        let user = self.db.user(name).await?;
        let user = user.ok_or_else(|| Refusal::no_user(name))?;
        Ok(self.accounts.token_of(&user, now))
    }
}

/// The credentials in the body of a login request.
pub fn login_credentials(body: &[u8]) -> Result<Credentials, Refusal> {
    let sent = parse_json(body).map_err(Refusal::bad_request)?;
    let text = |key: &str| sent.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("user"), text("password")) {
        (Some(user), Some(secret)) => Ok(Credentials { user, secret }),
        _ => Err(Refusal::bad_request(DevpiWords::NoCredentials)),
    }
}

/// A login token as clients expect it, after a login or a change of password.
pub fn proxy_auth(kind: &str, token: &str) -> ApiAnswer {
    let result = json!({ "password": token, "expiration": SESSION_LIFETIME.as_secs() });
    ApiAnswer::result(kind, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devpi::support::{log_in, setting, text_of};

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
            let answer = log_in(&management, body.as_bytes()).await;
            assert_eq!(text_of(&answer), (status, message), "{body}");
        }
    }

    #[tokio::test]
    async fn a_login_brings_a_token_for_ten_hours() {
        let (_guard, management) = setting().await;
        let answer = log_in(&management, br#"{"user": "me", "password": "me"}"#).await;
        let answer = answer.unwrap();
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
            let refusal = log_in(&management, guess).await.unwrap_err();
            last = refusal.status.as_u16();
            assert_eq!(refusal.retry_after.is_some(), last == 429);
        }
        assert_eq!(last, 429);
    }
}
