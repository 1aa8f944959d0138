//! Whose credentials these are: login token, CI token or password, in that order of cheapness; or whom a
//! proxy names.
//!
//! A user with a password here is known here alone. One without it may be known to a directory, which
//! then has the last word: whoever it no longer knows has no login and no token any more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::account::api_token::PresentedToken;
use crate::account::credential_cache::CredentialCache;
use crate::account::credentials::{BadName, Credentials, NotAccepted};
use crate::account::login_limiter::LoginLimiter;
use crate::account::password::{Checked, PasswordError, Passwords};
use crate::account::principal::{Identity, Means, Principal, ROOT};
use crate::account::session::SessionKey;
use crate::account::standings::{HouseGroups, Standings};
use crate::db::{Cause, Db, DbError, NewUser, User};
use crate::identity::UserDirectory;
use crate::model::{IndexName, Timestamp};
use crate::telemetry::{Metrics, WaitFor};

/// Most uses of CI tokens held until they are written; more are dropped, since they only inform.
const USES_MAX: usize = 10_000;

/// How long a name counts as good that a proxy has said and nobody has a record of.
const NAME_HOLDS: Duration = Duration::from_mins(1);

/// In place of a hash for names that proxies say; no hash looks like it.
const OF_PROXY: &str = "proxy";

/// Finds out whose credentials a request carries.
#[derive(Debug)]
pub struct Accounts {
    pub db: Arc<dyn Db>,
    pub passwords: Passwords,
    key: SessionKey,
    pub cache: CredentialCache,
    pub limiter: LoginLimiter,
    pub standings: Standings,
    /// Whether proxies may name users.
    is_named_by_proxies: bool,
    token_uses: Mutex<HashMap<String, Timestamp>>,
}

/// The owner of some credentials. With credentials that are not accepted, reads continue as anonymous
/// and writes are refused (docs/protocol/devpi.md §5).
pub type Authenticated = Result<Principal, NotAccepted>;

/// A user who has logged in, and what to tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// Who it is.
    pub identity: Identity,
    /// Their login token; `None` for a user of a directory who has no record yet.
    pub token: Option<String>,
    /// Root logged in with an empty password: say that it should get one.
    pub root_without_password: bool,
}

/// A user whose password was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who it is.
    pub identity: Identity,
    /// Their record, which a user of a directory may not have yet.
    pub user: Option<User>,
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
            standings: Standings::default(),
            is_named_by_proxies: false,
            token_uses: Mutex::default(),
        }
    }

    /// The same with users whom others know too; not for accounts that are in use.
    #[must_use]
    pub fn beside(self, directory: Option<Arc<UserDirectory>>, is_named_by_proxies: bool) -> Self {
        Self {
            standings: Standings::of(directory),
            is_named_by_proxies,
            ..self
        }
    }

    /// Puts the groups that the operator wrote down in force.
    pub fn adopt_groups(&self, groups: &HouseGroups) {
        self.standings.adopt(groups);
    }

    /// The groups that there are, if it is known which: some are written down, and no directory has others.
    #[must_use]
    pub fn only_groups(&self) -> Option<Vec<String>> {
        self.standings.only_groups()
    }

    /// Whether a user with this record gets in by somebody else's word, and is not to have a password here.
    #[must_use]
    pub fn is_of_others(&self, user: Option<&User>) -> bool {
        let has_password = user.is_some_and(|user| user.password_hash.is_some());
        !has_password && (self.standings.has_directory() || self.is_named_by_proxies)
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
        let signed_in = self.by_password(&credentials.user, secret, address, now);
        Ok(signed_in
            .await?
            .map(|signed_in| Principal::Known(signed_in.identity)))
    }

    /// Who a proxy says it speaks for: any user but root, who has a password and nothing else. `None` if
    /// proxies name nobody here.
    ///
    /// # Errors
    /// See [`Accounts::authenticate`].
    pub async fn named_by_proxy(
        &self,
        said: Result<&str, BadName>,
        now: Timestamp,
    ) -> Result<Option<Authenticated>, AccountError> {
        if !self.is_named_by_proxies {
            return Ok(None);
        }
        let refused = |why| Ok(Some(Err(NotAccepted::Name(why))));
        let name = match said {
            Ok(ROOT) => return refused(BadName::Root),
            Ok(name) if IndexName::is_part(name) => name,
            Ok(_) => return refused(BadName::NoName),
            Err(why) => return refused(why),
        };
        let mut identity = Identity {
            user: name.to_owned(),
            scope: None,
            groups: Vec::new(),
            means: Means::Header,
        };
        let user = self.db.user(name).await?;
        if user.is_none()
            && let Some(why) = self.bad_name(name, now).await?
        {
            return refused(why);
        }
        let has_password = user.is_some_and(|user| user.password_hash.is_some());
        let others = match has_password {
            true => Ok(None),
            // Whether a directory knows them does not matter: the proxy does.
            false => self.standings.now(name, now).await,
        };
        Ok(Some(others.map(|others| {
            identity.groups = self
                .standings
                .groups(name, others.as_deref().unwrap_or_default());
            Principal::Known(identity)
        })))
    }

    /// Why a proxy is not believed that names somebody without a record, if so.
    async fn bad_name(&self, name: &str, now: Timestamp) -> Result<Option<BadName>, DbError> {
        if self.cache.knows(name, OF_PROXY, "", now) {
            return Ok(None);
        }
        let fault = self.new_name(name).await?;
        if fault.is_none() {
            self.cache.remember_for(name, OF_PROXY, "", now, NAME_HOLDS);
        }
        Ok(fault.map(BadName::from))
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
        let signed_in = self.by_password(user, password, address, now).await?;
        Ok(signed_in.map(|SignedIn { identity, user }| LoggedIn {
            token: user.map(|user| self.token_of(&user, now)),
            root_without_password: identity.user == ROOT && password.is_empty(),
            identity,
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
        let Some(user) = user.filter(|user| user.generation == session.generation) else {
            return Ok(Err(NotAccepted::Wrong));
        };
        let identity = Identity {
            user: session.user,
            scope: None,
            groups: Vec::new(),
            means: Means::Session,
        };
        Ok(self.in_groups(identity, Some(&user), now).await)
    }

    async fn by_api_token(
        &self,
        presented: PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, AccountError> {
        let record = self.db.api_token(presented.id).await?;
        let checked = record.ok_or(NotAccepted::Withdrawn);
        let checked = checked.and_then(|record| presented.check(&record, now));
        let identity = match checked {
            Ok(identity) => identity,
            Err(why) => return Ok(Err(why)),
        };
        {
            let mut uses = self.token_uses();
            if uses.len() < USES_MAX || uses.contains_key(presented.id) {
                uses.insert(presented.id.to_owned(), now);
            }
        }
        // Only a directory asks for more than the token's own record says.
        let user = match self.standings.has_directory() {
            true => self.db.user(&identity.user).await?,
            false => None,
        };
        Ok(self.in_groups(identity, user.as_ref(), now).await)
    }

    /// A user who said who they are earlier, with the groups they are in now; not accepted if the
    /// directory that knew them does not know them any more.
    async fn in_groups(
        &self,
        mut identity: Identity,
        user: Option<&User>,
        now: Timestamp,
    ) -> Authenticated {
        let has_password = user.is_some_and(|user| user.password_hash.is_some());
        let others = match self.standings.has_directory() && !has_password {
            true => {
                let standing = self.standings.now(&identity.user, now).await?;
                Some(standing.ok_or(NotAccepted::Wrong)?)
            }
            false => None,
        };
        let others = others.as_deref().unwrap_or_default();
        identity.groups = self.standings.groups(&identity.user, others);
        Ok(Principal::Known(identity))
    }

    fn token_uses(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        let uses = self.token_uses.lock();
        uses.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
