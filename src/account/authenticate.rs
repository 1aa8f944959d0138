//! Whose credentials these are: login token, CI token or password, in that order of cheapness.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::api_token::PresentedToken;
use crate::account::credential_cache::CredentialCache;
use crate::account::credentials::{Credentials, NotAccepted};
use crate::account::login_limiter::LoginLimiter;
use crate::account::password::{Checked, PasswordError, Passwords};
use crate::account::principal::{Principal, ROOT};
use crate::account::session::SessionKey;
use crate::db::{Cause, Db, DbError, NewUser, User};
use crate::model::Timestamp;
use crate::telemetry::{Metrics, WaitFor};

/// Most uses of CI tokens held until they are written; more are dropped, since they only inform.
const USES_MAX: usize = 10_000;

/// Finds out whose credentials a request carries.
#[derive(Debug)]
pub struct Accounts {
    pub db: Arc<dyn Db>,
    pub passwords: Passwords,
    key: SessionKey,
    pub cache: CredentialCache,
    pub limiter: LoginLimiter,
    token_uses: Mutex<HashMap<String, Timestamp>>,
}

/// The owner of some credentials. With credentials that are not accepted, reads continue as anonymous
/// and writes are refused (docs/protocol/devpi.md §5).
pub type Authenticated = Result<Principal, NotAccepted>;

/// A login token, and what to tell the user with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// The token.
    pub token: String,
    /// Root logged in with an empty password: say that it should get one.
    pub root_without_password: bool,
}

/// Why credentials could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The records failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Passwords could not be hashed or compared.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl Accounts {
    /// `cache_key` is random and kept nowhere else.
    #[must_use]
    pub fn new(
        db: Arc<dyn Db>,
        passwords: Passwords,
        key: SessionKey,
        cache_key: [u8; 32],
    ) -> Self {
        Self {
            db,
            passwords,
            key,
            cache: CredentialCache::new(cache_key),
            limiter: LoginLimiter::default(),
            token_uses: Mutex::default(),
        }
    }

    /// The same, with the waits of those who log in counted; not for accounts that are in use.
    #[must_use]
    pub fn metered(self, metrics: &Metrics) -> Self {
        Self {
            passwords: self.passwords.metered(metrics.waits(WaitFor::Passwords)),
            limiter: LoginLimiter::metered(metrics.waits(WaitFor::Logins)),
            ..self
        }
    }

    /// Hashes and compares passwords.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Whose these credentials are.
    ///
    /// # Errors
    /// When the records or the hashing fail: nothing is known then, so nobody is refused.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Authenticated, AccountError> {
        let secret = credentials.secret.as_str();
        if SessionKey::is_session(secret) {
            return self.by_session(credentials, now).await;
        }
        if let Some(presented) = PresentedToken::parse(secret) {
            return self.by_api_token(presented, now).await;
        }
        let user = self.by_password(&credentials.user, secret, address, now);
        Ok(user.await?.map(|user| Principal::user(user.name)))
    }

    /// Exchanges a password for a login token. Tokens are not accepted here: a login cannot be renewed
    /// indefinitely without the password.
    ///
    /// # Errors
    /// See [`Accounts::authenticate`].
    pub async fn log_in(
        &self,
        user: &str,
        password: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Result<LoggedIn, NotAccepted>, AccountError> {
        let user = self.by_password(user, password, address, now).await?;
        Ok(user.map(|user| LoggedIn {
            token: self.token_of(&user, now),
            root_without_password: user.name == ROOT && password.is_empty(),
        }))
    }

    /// A login token for a user as just read from the records.
    #[must_use]
    pub fn token_of(&self, user: &User, now: Timestamp) -> String {
        self.key.issue(&user.name, user.generation, now)
    }

    /// Creates root if there is none: at the first start, with the password from the environment or an
    /// empty one, as `devpi-init` does.
    ///
    /// # Errors
    /// See [`Accounts::authenticate`].
    pub async fn settle_root(&self, password: &str, now: Timestamp) -> Result<(), AccountError> {
        if self.db.user(ROOT).await?.is_some() {
            return Ok(());
        }
        let password_hash = Some(self.passwords.hash(password).await?);
        let root = NewUser {
            name: ROOT.to_owned(),
            password_hash,
            ..NewUser::default()
        };
        let cause = Cause {
            who: Some(ROOT.to_owned()),
            at: now,
        };
        self.db.create_user(&cause, &root).await?;
        Ok(())
    }

    /// Whether root can log in with an empty password.
    ///
    /// # Errors
    /// See [`Accounts::authenticate`].
    pub async fn is_root_open(&self) -> Result<bool, AccountError> {
        let Some(root) = self.db.user(ROOT).await? else {
            return Ok(false);
        };
        let checked = self
            .passwords
            .check("", root.password_hash.as_deref())
            .await?;
        Ok(!matches!(checked, Checked::Wrong))
    }

    /// Writes down when CI tokens were last used; called now and then, not on every request.
    ///
    /// # Errors
    /// When the records fail; these uses are then forgotten.
    pub async fn note_token_uses(&self) -> Result<(), DbError> {
        let uses = std::mem::take(&mut *self.token_uses());
        if uses.is_empty() {
            return Ok(());
        }
        let uses: Vec<_> = uses.into_iter().collect();
        self.db.note_token_uses(&uses).await
    }

    async fn by_session(
        &self,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Authenticated, AccountError> {
        let session = self.key.read(&credentials.secret, now);
        let Some(session) = session.filter(|session| session.user == credentials.user) else {
            return Ok(Err(NotAccepted::Wrong));
        };
        let user = self.db.user(&session.user).await?;
        let user = user.filter(|user| user.generation == session.generation);
        let principal = user.map(|user| Principal::user(user.name));
        Ok(principal.ok_or(NotAccepted::Wrong))
    }

    async fn by_api_token(
        &self,
        presented: PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, AccountError> {
        let record = self.db.api_token(presented.id).await?;
        let checked = record.ok_or(NotAccepted::Withdrawn);
        let checked = checked.and_then(|record| presented.check(&record, now));
        if checked.is_ok() {
            let mut uses = self.token_uses();
            if uses.len() < USES_MAX || uses.contains_key(presented.id) {
                uses.insert(presented.id.to_owned(), now);
            }
        }
        Ok(checked)
    }

    fn token_uses(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        let uses = self.token_uses.lock();
        uses.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::account::api_token::MintedToken;
    use crate::account::sample::{HERE, accounts, add_user, cause, now, token, try_out};
    use crate::account::session::SESSION_LIFETIME;
    use crate::db::{NewApiToken, TokenOperation, UserUpdate};

    #[tokio::test]
    async fn passwords_and_login_tokens_are_good_for_their_user() {
        let (_folder, accounts) = accounts().await;
        let logged_in = token(&accounts, "u", "p").await;
        assert!(!logged_in.root_without_password);
        let known = Some(Principal::user("u"));
        for secret in ["p", "p", &logged_in.token] {
            assert_eq!(
                try_out(&accounts, "u", secret, now()).await,
                known,
                "{secret}"
            );
        }
        for (user, secret) in [
            ("u", "q"),
            ("u", ""),
            ("v", "p"),
            ("a/b", "p"),
            ("root", &*logged_in.token),
        ] {
            assert_eq!(
                try_out(&accounts, user, secret, now()).await,
                None,
                "{user} {secret}"
            );
        }
        let late = now() + SESSION_LIFETIME;
        assert_eq!(try_out(&accounts, "u", &logged_in.token, late).await, None);
        let renewed = accounts
            .log_in("u", &logged_in.token, HERE, now())
            .await
            .unwrap();
        assert_eq!(renewed, Err(NotAccepted::Wrong), "a token is no password");
    }

    #[tokio::test]
    async fn root_without_a_password_is_told() {
        let (_folder, accounts) = accounts().await;
        assert!(token(&accounts, "root", "").await.root_without_password);
        assert!(accounts.is_root_open().await.unwrap());
        accounts.settle_root("other", now()).await.unwrap();
        token(&accounts, "root", "").await;
    }

    #[tokio::test]
    async fn a_token_ends_with_the_password_and_with_the_user() {
        let (_folder, accounts) = accounts().await;
        let before = token(&accounts, "u", "p").await.token;
        let password_hash = Some(accounts.passwords.hash("new").await.unwrap());
        let update = UserUpdate {
            password_hash,
            ..UserUpdate::default()
        };
        let user = accounts
            .db
            .update_user(&cause(), "u", &update)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(try_out(&accounts, "u", &before, now()).await, None);
        assert_eq!(
            try_out(&accounts, "u", "p", now()).await,
            None,
            "the cache forgets too"
        );
        let after = accounts.token_of(&user, now());
        assert!(try_out(&accounts, "u", &after, now()).await.is_some());
        accounts.db.delete_user(&cause(), "u").await.unwrap();
        assert_eq!(try_out(&accounts, "u", &after, now()).await, None);
        add_user(&accounts).await;
        assert_eq!(
            try_out(&accounts, "u", &after, now()).await,
            None,
            "another user of the name"
        );
    }

    #[tokio::test]
    async fn a_ci_token_works_under_any_name_and_its_use_is_noted() {
        let (_folder, accounts) = accounts().await;
        let minted = MintedToken::of(&[3; 40]);
        let new = NewApiToken {
            id: minted.id.clone(),
            user: "u".into(),
            secret_hash: minted.secret_hash,
            note: String::new(),
            indexes: vec![],
            operations: vec![TokenOperation::Upload],
            expires: now() + Duration::from_hours(1),
        };
        accounts
            .db
            .create_api_token(&cause(), &new)
            .await
            .unwrap()
            .unwrap();
        let principal = try_out(&accounts, "__token__", &minted.text, now())
            .await
            .unwrap();
        assert!(principal.is("u") && principal.scope().is_some());
        assert_eq!(
            try_out(&accounts, "u", &minted.text, new.expires).await,
            None
        );
        let unknown = MintedToken::of(&[4; 40]).text;
        assert_eq!(try_out(&accounts, "u", &unknown, now()).await, None);
        accounts.note_token_uses().await.unwrap();
        let record = accounts.db.api_token(&minted.id).await.unwrap().unwrap();
        assert_eq!(record.last_used, Some(now()));
    }

    #[tokio::test]
    async fn a_user_without_a_password_cannot_log_in() {
        let (_folder, accounts) = accounts().await;
        let user = NewUser {
            name: "declared".into(),
            ..NewUser::default()
        };
        accounts.db.create_user(&cause(), &user).await.unwrap();
        assert_eq!(try_out(&accounts, "declared", "", now()).await, None);
    }
}
