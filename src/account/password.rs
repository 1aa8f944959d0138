//! Passwords: argon2id, as devpi stores them, so that imported users keep theirs. Hashes of older devpi
//! versions (argon2i, a salted sha256) are still checked, and reported as outdated.
//!
//! One check takes 64 MiB and a noticeable part of a second on purpose. So it runs off the runtime's
//! threads, a few at a time, and a bounded number may wait.

use argon2::password_hash::{Ident, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::account::salted;
use crate::telemetry::{Permits, WaitMeter};

/// Checks that may wait for their turn; more than this is a flood.
const WAITING_MAX: usize = 64;

/// Longest password, in bytes; longer ones are somebody's mistake or a way to keep us busy.
const PASSWORD_MAX: usize = 4096;

/// Most expensive hash accepted from outside: memory in KiB, iterations, lanes.
const IMPORTED_MAX: (u32, u32, u32) = (256 << 10, 16, 16);

/// Most expensive hash that a client may set for its own password. devpi and its password library have
/// only ever used parameters that cost little more than today's, and every guess at such a password
/// costs us as much as its hash.
const GIVEN_MEMORY_MAX: u32 = 102_400;
const GIVEN_WORK_MAX: u64 = 1 << 18;

/// A hash of no known password, with devpi's parameters. An unknown user's password is compared with
/// it, so that the time taken does not reveal who exists.
const NOBODY: &str = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5IGtub3dzIGl0\
                      $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const TODAYS: Ident<'static> = Ident::new_unwrap("argon2id");

/// What devpi-server made before its password library preferred argon2id.
const FORMER: Ident<'static> = Ident::new_unwrap("argon2i");

/// A password's hash as devpi's export has it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ExportedHash {
    /// `pwhash`: a PHC string; beside a salt, hexadecimal digits.
    pub pwhash: String,
    /// `pwsalt`, which only hashes from before devpi-server 5 have.
    pub pwsalt: Option<String>,
}

impl std::fmt::Debug for ExportedHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// Cost of a password hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Degree of parallelism.
    pub lanes: u32,
}

impl Default for Cost {
    /// devpi's: `m=65536,t=3,p=4` (the second recommendation of RFC 9106).
    fn default() -> Self {
        Self {
            memory_kib: 64 << 10,
            iterations: 3,
            lanes: 4,
        }
    }
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is the password.
    Right,
    /// It is, and the hash was made with other parameters than today's: make a new one.
    RightButOutdated,
    /// It is not.
    Wrong,
}

/// Why a password could not be hashed or compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many are being checked: 503, try again.
    #[error("too many passwords are being checked, try again")]
    Busy,
    /// It is longer than a password may be.
    #[error("a password has at most {PASSWORD_MAX} bytes")]
    TooLong,
    /// The hash is not argon2id in PHC form, or costs more than is accepted.
    #[error(
        "the password hash is not an argon2id hash in PHC form that can be checked here, such as $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH"
    )]
    Hash,
    /// The hash costs more to check than those that are made here.
    #[error(
        "checking that password hash costs more than is accepted: at most m={GIVEN_MEMORY_MAX} and m×t={GIVEN_WORK_MAX}, such as m=65536,t=3,p=4"
    )]
    Dear,
    /// No randomness is available, or the hashing thread is gone.
    #[error("hash a password: {0}")]
    Failed(String),
}

/// Hashes and compares passwords, a few at a time.
#[derive(Debug, Clone)]
pub struct Passwords {
    cost: Cost,
    running: Permits,
    waiting: Permits,
}

impl Passwords {
    /// At most `at_once` run at the same time: each takes a processor and the cost's memory.
    #[must_use]
    pub fn new(cost: Cost, at_once: usize) -> Self {
        let unmetered = WaitMeter::default();
        Self {
            cost,
            running: Permits::new(at_once, unmetered.clone()),
            waiting: Permits::new(at_once.max(1) + WAITING_MAX, unmetered),
        }
    }

    /// The same, with its waits counted; not for one that is in use.
    #[must_use]
    pub fn metered(self, meter: WaitMeter) -> Self {
        let at_once = self.running.size() as usize;
        Self {
            running: Permits::new(at_once, meter),
            ..self
        }
    }

    /// The PHC string of a password; a different one each time.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let (cost, password) = (self.cost, bounded(password)?.to_owned());
        self.run(move || hash(cost, &password)).await?
    }

    /// Compares a password with a PHC string. Without one, takes just as long and answers `Wrong`.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn check(
        &self,
        password: &str,
        hash: Option<&str>,
    ) -> Result<Checked, PasswordError> {
        let (cost, password) = (self.cost, bounded(password)?.to_owned());
        let Some(hash) = hash else {
            self.run(move || check(cost, &password, NOBODY)).await??;
            return Ok(Checked::Wrong);
        };
        let hash = hash.to_owned();
        self.run(move || check(cost, &password, &hash)).await?
    }

    /// Refuses a PHC string from a client (`pwhash`) that could not be checked later, or only at a
    /// cost.
    ///
    /// # Errors
    /// [`PasswordError::Hash`] and [`PasswordError::Dear`].
    pub fn accept_hash(hash: &str) -> Result<(), PasswordError> {
        let (_, cost) = parse(hash)?;
        let work = u64::from(cost.memory_kib) * u64::from(cost.iterations);
        if cost.memory_kib > GIVEN_MEMORY_MAX || work > GIVEN_WORK_MAX {
            return Err(PasswordError::Dear);
        }
        Ok(())
    }

    /// Returns what is kept of a password from an export, so that it can be checked here: the PHC string
    /// as it is, or the earlier salted digest in one text with its salt.
    ///
    /// # Errors
    /// [`PasswordError::Hash`], and [`PasswordError::Dear`] as for any hash from outside.
    pub fn import_hash(exported: &ExportedHash) -> Result<String, PasswordError> {
        let Some(salt) = &exported.pwsalt else {
            Self::accept_hash(&exported.pwhash)?;
            return Ok(exported.pwhash.clone());
        };
        salted::join(salt, &exported.pwhash).ok_or(PasswordError::Hash)
    }

    /// The inverse of [`Passwords::import_hash`].
    #[must_use]
    pub fn export_hash(kept: &str) -> ExportedHash {
        match salted::split(kept) {
            Some((salt, digest)) => ExportedHash {
                pwhash: digest.to_owned(),
                pwsalt: Some(salt.to_owned()),
            },
            None => ExportedHash {
                pwhash: kept.to_owned(),
                pwsalt: None,
            },
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.waiting.try_take().ok_or(PasswordError::Busy)?;
        let turn = self.running.take().await;
        let work = move || {
            // Held by the thread: a caller that leaves does not make room for another one.
            let _turn = turn;
            work()
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| PasswordError::Failed(error.to_string()))
    }
}

fn bounded(password: &str) -> Result<&str, PasswordError> {
    if password.len() > PASSWORD_MAX {
        Err(PasswordError::TooLong)
    } else {
        Ok(password)
    }
}

fn hash(cost: Cost, password: &str) -> Result<String, PasswordError> {
    let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| failed(&error))?;
    let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, None);
    let params = params.map_err(|error| failed(&error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| failed(&error))
}

fn check(cost: Cost, password: &str, hash: &str) -> Result<Checked, PasswordError> {
    if let Some((salt, digest)) = salted::split(hash) {
        // Costs as much as any other check, so that the time does not reveal who has an old hash.
        check(cost, password, NOBODY)?;
        return Ok(if salted::holds(password, salt, digest) {
            Checked::RightButOutdated
        } else {
            Checked::Wrong
        });
    }
    let (parsed, found) = parse(hash)?;
    if Argon2::default()
        .verify_password(password.as_bytes(), &parsed)
        .is_err()
    {
        return Ok(Checked::Wrong);
    }
    Ok(if found == cost && parsed.algorithm == TODAYS {
        Checked::Right
    } else {
        Checked::RightButOutdated
    })
}

fn parse(hash: &str) -> Result<(PasswordHash<'_>, Cost), PasswordError> {
    let parsed = PasswordHash::new(hash).map_err(|_| PasswordError::Hash)?;
    let is_known = [TODAYS, FORMER].contains(&parsed.algorithm);
    let is_complete = parsed.salt.is_some() && parsed.hash.is_some();
    let params = Params::try_from(&parsed).map_err(|_| PasswordError::Hash)?;
    let cost = Cost {
        memory_kib: params.m_cost(),
        iterations: params.t_cost(),
        lanes: params.p_cost(),
    };
    let (memory, iterations, lanes) = IMPORTED_MAX;
    let is_cheap =
        cost.memory_kib <= memory && cost.iterations <= iterations && cost.lanes <= lanes;
    if is_known && is_complete && is_cheap {
        Ok((parsed, cost))
    } else {
        Err(PasswordError::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost {
        memory_kib: 64,
        iterations: 1,
        lanes: 1,
    };

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let passwords = Passwords::new(CHEAP, 2);
        let hash = passwords.hash("s3cret").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("s3cret").await.unwrap(), "salted");
        for (password, checked) in [
            ("s3cret", Checked::Right),
            ("S3cret", Checked::Wrong),
            ("", Checked::Wrong),
        ] {
            assert_eq!(
                passwords.check(password, Some(&hash)).await,
                Ok(checked),
                "{password:?}"
            );
        }
        let empty = passwords.hash("").await.unwrap();
        assert_eq!(passwords.check("", Some(&empty)).await, Ok(Checked::Right));
        assert_eq!(
            passwords.check("", None).await,
            Ok(Checked::Wrong),
            "an unknown user"
        );
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_outdated() {
        let hash = Passwords::new(CHEAP, 1).hash("p").await.unwrap();
        let dearer = Passwords::new(
            Cost {
                iterations: 2,
                ..CHEAP
            },
            1,
        );
        assert_eq!(
            dearer.check("p", Some(&hash)).await,
            Ok(Checked::RightButOutdated)
        );
        assert_eq!(dearer.check("q", Some(&hash)).await, Ok(Checked::Wrong));
    }

    #[test]
    fn todays_parameters_are_devpis() {
        let hash = hash(Cost::default(), "p").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"),
            "{hash}"
        );
        assert_eq!(check(Cost::default(), "p", &hash), Ok(Checked::Right));
    }

    #[test]
    fn hashes_from_outside_are_looked_at() {
        let good = hash(CHEAP, "p").unwrap();
        assert_eq!(Passwords::accept_hash(&good), Ok(()));
        assert_eq!(Passwords::accept_hash(NOBODY), Ok(()));
        let salt_only = good.rsplit_once('$').unwrap().0;
        for hash in [
            "",
            "plain",
            "$1$salt$hash",
            salt_only,
            &good.replace("argon2id", "argon2d"),
            &good.replace("m=64,t=1,p=1", "m=4194304,t=1,p=1"),
            &good.replace("m=64,t=1,p=1", "m=64,t=1000000,p=1"),
        ] {
            assert_eq!(
                Passwords::accept_hash(hash),
                Err(PasswordError::Hash),
                "{hash}"
            );
        }
    }

    #[test]
    fn a_client_gives_no_hash_that_is_dear_to_check() {
        let with = |params: &str| NOBODY.replace("m=65536,t=3,p=4", params);
        for (params, expected) in [
            ("m=65536,t=3,p=4", Ok(())),
            ("m=102400,t=2,p=8", Ok(())),
            ("m=512,t=2,p=2", Ok(())),
            ("m=262144,t=16,p=16", Err(PasswordError::Dear)),
            ("m=262144,t=1,p=1", Err(PasswordError::Dear)),
            ("m=65536,t=5,p=1", Err(PasswordError::Dear)),
            ("m=4194304,t=1,p=1", Err(PasswordError::Hash)),
        ] {
            assert_eq!(Passwords::accept_hash(&with(params)), expected, "{params}");
        }
    }

    #[tokio::test]
    async fn what_older_servers_made_is_compared_and_called_outdated() {
        let digest = "d76d10abdc3f22ab7e9d8d69de7b9fd0b3f97a68bb27b22b08a1bff77ed5c1bb";
        let salted = ExportedHash {
            pwhash: salted::digest_of("s3cret", "c2FsdA/+=="),
            pwsalt: Some("c2FsdA/+==".into()),
        };
        let params = Params::new(64, 1, 1, None).unwrap();
        let argon2i = Argon2::new(Algorithm::Argon2i, Version::V0x13, params);
        let salt = SaltString::encode_b64(b"salt of devpi").unwrap();
        let argon2i = argon2i.hash_password(b"s3cret", &salt).unwrap();
        let argon2i = ExportedHash {
            pwhash: argon2i.to_string(),
            pwsalt: None,
        };
        assert!(
            argon2i.pwhash.starts_with("$argon2i$"),
            "{}",
            argon2i.pwhash
        );
        let passwords = Passwords::new(CHEAP, 1);
        for exported in [salted, argon2i] {
            let kept = Passwords::import_hash(&exported).unwrap();
            for (password, checked) in [
                ("s3cret", Checked::RightButOutdated),
                ("s3cret ", Checked::Wrong),
                ("", Checked::Wrong),
            ] {
                assert_eq!(passwords.check(password, Some(&kept)).await, Ok(checked));
            }
            assert_eq!(Passwords::export_hash(&kept), exported);
        }
        let dear = Passwords::import_hash(&ExportedHash {
            pwhash: "$argon2id$v=19$m=262144,t=16,p=4$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA".into(),
            pwsalt: None,
        });
        assert!(matches!(dear, Err(PasswordError::Dear)), "{dear:?}");
        for (pwhash, pwsalt) in [
            (digest, None),
            (&digest[1..], Some("salt")),
            (digest, Some("")),
            (digest, Some("sa$lt")),
            (digest, Some("säure")),
        ] {
            let exported = ExportedHash {
                pwhash: pwhash.into(),
                pwsalt: pwsalt.map(str::to_owned),
            };
            assert_eq!(Passwords::import_hash(&exported), Err(PasswordError::Hash));
        }
    }

    #[tokio::test]
    async fn floods_and_novels_are_refused() {
        let passwords = Passwords::new(CHEAP, 1);
        let long = "x".repeat(PASSWORD_MAX + 1);
        assert_eq!(passwords.hash(&long).await, Err(PasswordError::TooLong));
        let places = &passwords.waiting;
        let _all = places.try_take_many(places.size()).unwrap();
        assert_eq!(passwords.hash("p").await, Err(PasswordError::Busy));
    }
}
