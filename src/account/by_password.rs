//! Checks a password: one that was right a moment ago immediately, any other in its turn.

use std::net::IpAddr;

use crate::account::authenticate::{AccountError, Accounts, SignedIn};
use crate::account::credentials::{BadName, NotAccepted};
use crate::account::login_limiter::Attempt;
use crate::account::new_names::{NameFault, check_user_name, is_same_caseless};
use crate::account::password::Checked;
use crate::account::principal::{Identity, Means, ROOT};
use crate::db::{DbError, User};
use crate::model::{IndexName, Timestamp};

/// In place of a hash for passwords that a directory has found to be right; no hash looks like it.
const OF_DIRECTORY: &str = "directory";

impl Accounts {
    /// Finds out whose password this is: remembered from a moment ago, or checked in its turn.
    pub async fn by_password(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Result<SignedIn, NotAccepted>, AccountError> {
        let user = if IndexName::is_part(name) {
            self.db.user(name).await?
        } else {
            None
        };
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        // Before looking at what is remembered: a client that has to wait would otherwise learn from an
        // immediate answer that a guess is right, while none of its wrong guesses are counted.
        let attempt = match self.limiter.enter(name, address, now).await {
            Ok(attempt) => attempt,
            Err(wait) => return Ok(Err(NotAccepted::Wait(wait))),
        };
        // Whoever has a password here is not looked for elsewhere, and root never is.
        let may_be_elsewhere = hash.is_none() && name != ROOT && IndexName::is_part(name);
        if may_be_elsewhere && self.standings.has_directory() {
            return self.by_directory(name, password, user, attempt, now).await;
        }
        if let (Some(user), Some(hash)) = (&user, &hash)
            && self.cache.knows(name, hash, password, now)
        {
            // A remembered password does not clear what others behind the address have guessed.
            attempt.forgive();
            return Ok(Ok(self.signed_in(user.clone())));
        }
        let checked = match self.passwords.check(password, hash.as_deref()).await {
            Ok(checked) => checked,
            Err(error) => {
                attempt.forgive();
                return Err(error.into());
            }
        };
        let known = user.zip(hash).filter(|_| checked != Checked::Wrong);
        let Some((user, hash)) = known else {
            attempt.wrong();
            return Ok(Err(NotAccepted::Wrong));
        };
        let hash = match checked {
            Checked::RightButOutdated => self.rehash(name, &hash, password).await.unwrap_or(hash),
            Checked::Right | Checked::Wrong => hash,
        };
        self.cache.remember(name, &hash, password, now);
        attempt.right();
        Ok(Ok(self.signed_in(user)))
    }

    fn signed_in(&self, user: User) -> SignedIn {
        let identity = Identity {
            user: user.name.clone(),
            scope: None,
            groups: self.standings.groups(&user.name, &[]),
            means: Means::Password,
        };
        let user = Some(user);
        SignedIn { identity, user }
    }

    /// Asks the directory whose password this is, unless it was right a moment ago.
    async fn by_directory(
        &self,
        name: &str,
        password: &str,
        user: Option<User>,
        attempt: Attempt<'_>,
        now: Timestamp,
    ) -> Result<Result<SignedIn, NotAccepted>, AccountError> {
        let is_remembered = self.cache.knows(name, OF_DIRECTORY, password, now);
        // Whoever has no record yet comes in as somebody new.
        let is_new = user.is_none() && !is_remembered;
        let bad_name = match is_new {
            true => self.new_name(name).await,
            false => Ok(None),
        };
        let bad_name = match bad_name {
            Ok(bad_name) => bad_name,
            Err(error) => {
                attempt.forgive();
                return Err(error.into());
            }
        };
        // A directory takes both for one user, whose password is not to go there.
        if matches!(&bad_name, Some(NameFault::Like(other)) if is_same_caseless(name, other)) {
            attempt.wrong();
            return Ok(Err(NotAccepted::Wrong));
        }
        let answer = match is_remembered {
            true => self.standings.now(name, now).await,
            false => self.standings.sign_in(name, password, now).await,
        };
        let groups = match answer {
            Ok(Some(groups)) => groups,
            Ok(None) => {
                attempt.wrong();
                return Ok(Err(NotAccepted::Wrong));
            }
            Err(why) => {
                attempt.forgive();
                return Ok(Err(why));
            }
        };
        if let Some(fault) = bad_name {
            attempt.forgive();
            return Ok(Err(NotAccepted::Name(fault.into())));
        }
        if is_remembered {
            attempt.forgive();
        } else {
            let lifetime = self.standings.lifetime();
            self.cache
                .remember_for(name, OF_DIRECTORY, password, now, lifetime);
            attempt.right();
        }
        let identity = Identity {
            user: name.to_owned(),
            scope: None,
            groups: self.standings.groups(name, &groups),
            means: Means::Ldap,
        };
        Ok(Ok(SignedIn { identity, user }))
    }

    /// Why somebody without a record may not come in under this name, if so.
    pub(super) async fn new_name(&self, name: &str) -> Result<Option<NameFault>, DbError> {
        let recorded = self.db.directory().await?;
        let others = recorded.users.iter().map(|user| user.name.as_str());
        // Root is always there, whatever became of its record.
        Ok(check_user_name(name, others.chain([ROOT])).err())
    }

    /// Stores a right password with a hash of today's parameters. If that fails, this login succeeds all
    /// the same, and the next one tries again.
    async fn rehash(&self, name: &str, hash: &str, password: &str) -> Option<String> {
        let renewed = async {
            let newer = self.passwords.hash(password).await?;
            self.db.rehash(name, hash, &newer).await?;
            Ok::<_, AccountError>(newer)
        };
        let not_renewed = |error: &AccountError| tracing::warn!(user = name, %error, "an outdated password hash is not renewed");
        renewed.await.inspect_err(not_renewed).ok()
    }
}

impl From<NameFault> for BadName {
    fn from(fault: NameFault) -> Self {
        match fault {
            NameFault::NoName => Self::NoName,
            NameFault::NotAscii => Self::NotAscii,
            NameFault::Reserved => Self::Reserved,
            NameFault::Like(_) => Self::Like,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::account::password::{Cost, Passwords};
    use crate::account::sample::{CHEAP, HERE, accounts, now, token, try_out};

    #[tokio::test]
    async fn guessing_has_to_wait_even_with_the_right_one() {
        let (_folder, accounts) = accounts().await;
        for _ in 0..6 {
            assert_eq!(try_out(&accounts, "u", "guess", now()).await, None);
        }
        let login = accounts.log_in("u", "p", HERE, now()).await.unwrap();
        assert!(matches!(login, Err(NotAccepted::Wait(_))), "{login:?}");
        let later = now() + Duration::from_secs(2);
        let login = accounts.log_in("u", "p", HERE, later).await.unwrap();
        assert!(login.is_ok(), "{login:?}");
    }

    #[tokio::test]
    async fn who_guesses_learns_nothing_from_a_password_that_is_remembered() {
        let (_folder, accounts) = accounts().await;
        let job = IpAddr::from([192, 0, 2, 77]);
        token(&accounts, "u", "p").await;
        for _ in 0..6 {
            assert_eq!(try_out(&accounts, "u", "guess", now()).await, None);
        }
        let login = |address| accounts.log_in("u", "p", address, now());
        let guessed = login(HERE).await.unwrap();
        assert!(matches!(guessed, Err(NotAccepted::Wait(_))), "{guessed:?}");
        let elsewhere = login(job).await.unwrap();
        assert!(elsewhere.is_ok(), "{elsewhere:?}");
        assert_eq!(try_out(&accounts, "u", "p", now()).await, None);
    }

    #[tokio::test]
    async fn a_login_that_is_remembered_forgives_no_guesses_beside_it() {
        let (_folder, accounts) = accounts().await;
        token(&accounts, "u", "p").await;
        for _ in 0..6 {
            token(&accounts, "u", "p").await;
            assert_eq!(try_out(&accounts, "u", "guess", now()).await, None);
        }
        let login = accounts.log_in("u", "p", HERE, now()).await.unwrap();
        assert!(matches!(login, Err(NotAccepted::Wait(_))), "{login:?}");
    }

    #[tokio::test]
    async fn sixty_guesses_at_once_are_no_more_than_one_after_the_other() {
        let (_folder, accounts) = accounts().await;
        let guesses = (0..60).map(|number| {
            let accounts = &accounts;
            async move {
                let guess = format!("guess {number}");
                accounts.log_in("u", &guess, HERE, now()).await.unwrap()
            }
        });
        let outcomes = futures_util::future::join_all(guesses).await;
        let checked = outcomes
            .iter()
            .filter(|outcome| **outcome == Err(NotAccepted::Wrong));
        assert_eq!(checked.count(), 6);
    }

    #[tokio::test]
    async fn many_jobs_with_the_right_password_all_get_in_at_once() {
        let (_folder, accounts) = accounts().await;
        let jobs = (0..60).map(|_| accounts.log_in("u", "p", HERE, now()));
        for outcome in futures_util::future::join_all(jobs).await {
            let outcome = outcome.unwrap();
            assert!(outcome.is_ok(), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_password_that_cannot_be_checked_is_not_a_guess() {
        let (_folder, accounts) = accounts().await;
        for _ in 0..20 {
            let long = "x".repeat(5000);
            let error = accounts.log_in("u", &long, HERE, now()).await;
            assert!(matches!(error, Err(AccountError::Password(_))), "{error:?}");
        }
        token(&accounts, "u", "p").await;
    }

    #[tokio::test]
    async fn an_outdated_hash_is_renewed_and_no_login_ends() {
        let (_folder, accounts) = accounts().await;
        let session = token(&accounts, "u", "p").await.token.unwrap();
        let old = Passwords::new(
            Cost {
                iterations: 2,
                ..CHEAP
            },
            1,
        )
        .hash("p")
        .await
        .unwrap();
        let current = accounts
            .db
            .user("u")
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .unwrap();
        accounts.db.rehash("u", &current, &old).await.unwrap();
        assert!(try_out(&accounts, "u", "p", now()).await.is_some());
        let renewed = accounts
            .db
            .user("u")
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .unwrap();
        assert!(renewed != old && renewed.contains("t=1,"), "{renewed}");
        assert!(try_out(&accounts, "u", &session, now()).await.is_some());
    }
}
