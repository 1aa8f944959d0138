//! Who is in which groups: those that the operator wrote down, and for users of a directory those that
//! it names, as it did a moment ago.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::account::credentials::NotAccepted;
use crate::identity::{DirectoryError, UserDirectory};
use crate::model::Timestamp;

/// Standings remembered; users are fewer.
const ENTRIES_MAX: usize = 10_000;

/// What a directory says about a user: their groups, or `None` for somebody whom it does not know.
pub type Standing = Option<Arc<[String]>>;

/// Groups and their members, as the operator wrote them down.
pub type HouseGroups = BTreeMap<String, Vec<String>>;

/// A question under way, for everybody who wants its answer.
type Asking = Shared<BoxFuture<'static, Result<Standing, NotAccepted>>>;

/// Who is in which groups.
#[derive(Debug, Default)]
pub struct Standings {
    directory: Option<Arc<UserDirectory>>,
    house: ArcSwap<House>,
    memory: Arc<Memory>,
}

/// The groups that the operator wrote down.
#[derive(Debug, Default)]
struct House {
    of_user: HashMap<String, Vec<String>>,
    names: BTreeSet<String>,
}

/// What the directory said, and what it is being asked.
#[derive(Debug, Default)]
struct Memory {
    /// Its answers, and until when each holds.
    known: Mutex<HashMap<String, (Timestamp, Standing)>>,
    /// At most as many as may wait for the directory.
    asked: Mutex<HashMap<String, Asking>>,
}

impl Standings {
    /// With the users of a directory.
    pub fn of(directory: Option<Arc<UserDirectory>>) -> Self {
        Self {
            directory,
            ..Self::default()
        }
    }

    /// Whether there is a directory.
    pub fn has_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// Puts other groups in force.
    pub fn adopt(&self, groups: &HouseGroups) {
        let mut of_user: HashMap<String, Vec<String>> = HashMap::new();
        for (group, members) in groups {
            for member in members {
                of_user
                    .entry(member.clone())
                    .or_default()
                    .push(group.clone());
            }
        }
        let names = groups.keys().cloned().collect();
        self.house.store(Arc::new(House { of_user, names }));
    }

    /// The groups of a user: the operator's, and these.
    pub fn groups(&self, user: &str, others: &[String]) -> Vec<String> {
        let house = self.house.load();
        let mut groups = house.of_user.get(user).cloned().unwrap_or_default();
        groups.extend(
            others
                .iter()
                .filter(|one| !groups.contains(one))
                .cloned()
                .collect::<Vec<_>>(),
        );
        groups
    }

    /// The groups that the operator wrote down, if nobody can be in any other.
    pub fn only_groups(&self) -> Option<Vec<String>> {
        let house = self.house.load();
        let is_all = !self.has_directory() && !house.names.is_empty();
        is_all.then(|| house.names.iter().cloned().collect())
    }

    /// What the directory says about a user, if there is one.
    ///
    /// # Errors
    /// When it does not answer: nothing is known about the user then.
    pub async fn now(&self, user: &str, now: Timestamp) -> Result<Standing, NotAccepted> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        if let Some(known) = self.memory.remembered(user, now) {
            return Ok(known);
        }
        self.ask(directory, user, now).await
    }

    /// Asks once for all requests that want to know it at the same time. The question goes on when they
    /// leave, so that nobody joins one that nobody has waited for meanwhile.
    fn ask(&self, directory: &Arc<UserDirectory>, user: &str, now: Timestamp) -> Asking {
        let mut asked = self.memory.asked();
        if let Some(asking) = asked.get(user) {
            return asking.clone();
        }
        let (directory, memory) = (Arc::clone(directory), Arc::clone(&self.memory));
        let (name, lifetime) = (user.to_owned(), self.lifetime());
        let asking = tokio::spawn(async move {
            let answer = directory.standing(&name).await;
            let standing = answer.map(|groups| groups.map(Arc::from));
            let standing = standing.map_err(|error| unavailable(&error));
            if let Ok(standing) = &standing {
                memory.remember(&name, standing, now, lifetime);
            }
            memory.asked().remove(&name);
            standing
        });
        let ended = asking.map(|ended| ended.unwrap_or(Err(NotAccepted::Unavailable)));
        let asking = ended.boxed().shared();
        asked.insert(user.to_owned(), asking.clone());
        asking
    }

    /// The same after asking with a password; `None` if it is not theirs.
    ///
    /// # Errors
    /// When the directory does not answer: the password may be right.
    pub async fn sign_in(
        &self,
        user: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<Standing, NotAccepted> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        let answer = directory.sign_in(user, password).await;
        let standing: Standing = answer.map_err(|error| unavailable(&error))?.map(Arc::from);
        // A wrong password says nothing about who it is for.
        if standing.is_some() {
            self.memory.remember(user, &standing, now, self.lifetime());
        }
        Ok(standing)
    }

    /// How long an answer of the directory holds.
    pub fn lifetime(&self) -> Duration {
        let settings = self
            .directory
            .as_ref()
            .map(|directory| directory.settings());
        settings.map_or(Duration::ZERO, |settings| settings.recheck)
    }
}

impl Memory {
    fn remembered(&self, user: &str, now: Timestamp) -> Option<Standing> {
        let known = self.known();
        let (until, standing) = known.get(user)?;
        (now < *until).then(|| standing.clone())
    }

    fn remember(&self, user: &str, standing: &Standing, now: Timestamp, lifetime: Duration) {
        let Ok(until) = now.checked_add(lifetime) else {
            return;
        };
        let mut known = self.known();
        if known.len() >= ENTRIES_MAX {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() >= ENTRIES_MAX {
            known.clear();
        }
        known.insert(user.to_owned(), (until, standing.clone()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Standing)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, Asking>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients are told nothing of the inside; the log is, by the directory.
fn unavailable(_: &DirectoryError) -> NotAccepted {
    NotAccepted::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::sample::{directory_at, directory_nowhere, now};

    #[test]
    fn groups_of_the_house_and_of_the_directory_are_one_list() {
        let standings = Standings::default();
        assert!(standings.groups("anna", &[]).is_empty());
        let anna = || vec!["anna".to_owned()];
        standings.adopt(&[("a".to_owned(), anna()), ("b".to_owned(), anna())].into());
        let others = ["b".to_owned(), "c".to_owned()];
        assert_eq!(standings.groups("anna", &others), ["a", "b", "c"]);
        assert_eq!(standings.groups("bert", &others), ["b", "c"]);
        standings.adopt(&[("b".to_owned(), anna())].into());
        assert_eq!(standings.groups("anna", &[]), ["b"], "a group that is gone");
    }

    #[tokio::test]
    async fn an_answer_of_the_directory_holds_for_a_minute_and_no_longer() {
        let standings = Standings::of(Some(directory_nowhere()));
        let member: Standing = Some(Arc::from(["team-a".to_owned()]));
        let remember = |standing: &Standing| {
            let memory = &standings.memory;
            memory.remember("anna", standing, now(), standings.lifetime());
        };
        remember(&member);
        let after = |seconds| now() + Duration::from_secs(seconds);
        assert_eq!(standings.now("anna", now()).await, Ok(member.clone()));
        assert_eq!(standings.now("anna", after(59)).await, Ok(member));
        let late = standings.now("anna", after(60)).await;
        assert_eq!(late, Err(NotAccepted::Unavailable), "it is asked again");
        remember(&None);
        assert_eq!(standings.now("anna", after(59)).await, Ok(None));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (memory, lifetime) = (Memory::default(), Duration::from_mins(1));
        for number in 0..=ENTRIES_MAX {
            memory.remember(&number.to_string(), &None, now(), lifetime);
        }
        assert!(memory.known().len() <= ENTRIES_MAX);
        let last = memory.remembered(&ENTRIES_MAX.to_string(), now());
        assert_eq!(last, Some(None));
    }

    #[tokio::test]
    async fn a_user_is_asked_for_once_however_many_requests_want_to_know() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let standings = Standings::of(Some(directory_at(server.local_addr().unwrap())));
        let asking = (0..500).map(|_| standings.now("anna", now()));
        for answer in futures_util::future::join_all(asking).await {
            assert!(matches!(answer, Ok(Some(_))), "{answer:?}");
        }
        assert!(server.accept().is_ok());
        assert!(server.accept().is_err(), "a second connection");
        assert!(standings.memory.asked().is_empty());
    }
}
