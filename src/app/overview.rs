//! Finds out, while the server runs, what its first page says: what was refused most, and how long the lists of
//! mirrors are. Requests only look that up.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::exchange::{Core, RefusedLately, RefusedOften};
use crate::gateway::Flows;
use crate::journal::{JournalError, JournalReader, JournalRefused};
use crate::listen::Stop;
use crate::model::{IndexName, Timestamp};
use crate::store::Key;

/// Pause between two looks: each reads only what is new.
const EVERY: Duration = Duration::from_secs(5);

/// Pause between two steps through a long journal.
const BETWEEN_STEPS: Duration = Duration::from_millis(50);

/// How old a row has to be: the journal writes within a second, and not quite in the order of time.
const SETTLED: Duration = Duration::from_secs(3);

/// Days that are counted, today included.
const DAYS: i64 = 7;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Most counters that are kept: some megabytes. What comes on top of them is not counted.
const COUNTERS_MAX: usize = 50_000;

/// Most rows that are told of one index.
const TOLD_MAX: usize = 100;

/// Finds out, until the server stops.
pub(super) async fn keep_overview(flows: Arc<Flows>, journal: PathBuf, stop: Stop) {
    let core = &flows.core;
    let mut tally = Tally::default();
    let mut lists = Lists::default();
    let mut is_failing = false;
    loop {
        lists.follow(core).await;
        let followed = tally.follow(&journal, core.clock.now()).await;
        match &followed {
            Ok(Some(_)) if tally.is_new => {
                core.overview.tell_refused(tally.told());
                tally.is_new = false;
            }
            Ok(_) => {}
            Err(error) if !is_failing => {
                tracing::error!(%error, "what was refused most is not up to date");
            }
            Err(_) => {}
        }
        is_failing = followed.is_err();
        let pause = match followed {
            Ok(Some(true)) => BETWEEN_STEPS,
            Ok(Some(false) | None) | Err(_) => EVERY,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.requested() => return,
        }
    }
}

/// Refusals of the last days.
#[derive(Debug, Default)]
struct Tally {
    /// Up to which row everything is counted.
    after: Option<Timestamp>,
    /// The first day that counts, from 1970.
    first: i64,
    /// Whether anything changed since it was told.
    is_new: bool,
    counted: HashMap<JournalRefused, u64>,
}

impl Tally {
    /// Counts one step; whether there is more, or `None` without a journal.
    async fn follow(
        &mut self,
        path: &std::path::Path,
        now: Timestamp,
    ) -> Result<Option<bool>, JournalError> {
        self.forget_before(now.as_second().div_euclid(DAY) - DAYS + 1);
        let Some(mut reader) = JournalReader::open(path).await? else {
            return Ok(None);
        };
        let begin = Timestamp::from_second(self.first * DAY).unwrap_or(Timestamp::MIN);
        let after = self.after.unwrap_or(begin).max(begin);
        let until = now.checked_sub(SETTLED).unwrap_or(Timestamp::MIN);
        let step = reader.refused(after, until).await;
        reader.close().await;
        let step = step?;
        self.after = Some(step.end);
        self.is_new |= !step.refused.is_empty();
        for refused in step.refused {
            self.add(refused);
        }
        Ok(Some(step.is_more))
    }

    fn add(&mut self, refused: JournalRefused) {
        let times = refused.times;
        let key = JournalRefused {
            times: 0,
            ..refused
        };
        if self.counted.len() < COUNTERS_MAX || self.counted.contains_key(&key) {
            *self.counted.entry(key).or_default() += times;
        }
    }

    fn forget_before(&mut self, first: i64) {
        if first > self.first {
            self.first = first;
            self.is_new = true;
            self.counted.retain(|key, _| key.day >= first);
        }
    }

    /// The most often refused of each index.
    fn told(&self) -> RefusedLately {
        let mut sums: HashMap<(&str, &str, &str), u64> = HashMap::new();
        for (key, times) in &self.counted {
            let of = (&*key.index, &*key.project, &*key.rule);
            *sums.entry(of).or_default() += times;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_unstable_by_key(|((index, project, rule), times)| {
            (*index, Reverse(*times), *project, *rule)
        });
        let mut often: Vec<RefusedOften> = Vec::new();
        let mut of_index = 0;
        for ((index, project, rule), times) in sums {
            let is_next = often.last().is_none_or(|last| last.index.as_str() != index);
            of_index = if is_next { 0 } else { of_index + 1 };
            let Ok(index) = IndexName::parse(index) else {
                continue;
            };
            if of_index < TOLD_MAX {
                often.push(RefusedOften {
                    index,
                    project: project.into(),
                    rule: rule.into(),
                    times,
                });
            }
        }
        often.sort_by_key(|one| Reverse(one.times));
        RefusedLately {
            since: Timestamp::from_second(self.first * DAY).unwrap_or(Timestamp::MIN),
            often,
        }
    }
}

/// How many names the lists of mirrors have, by the length of the list that was counted.
#[derive(Debug, Default)]
struct Lists(HashMap<IndexName, (u64, u64)>);

impl Lists {
    /// Counts the lists whose length is another.
    async fn follow(&mut self, core: &Arc<Core>) {
        let generation = core.generation();
        let mirrors = generation.policies.indexes();
        let mirrors = mirrors.filter(|index| index.is_mirror());
        let mirrors: Vec<IndexName> = mirrors.map(|index| index.name.clone()).collect();
        let (known, at) = (std::mem::take(&mut self.0), Arc::clone(core));
        let counting = spawn_blocking(move || {
            let counted = mirrors.into_iter().filter_map(|index| {
                let length = length(&at, &index);
                let before = known.get(&index).filter(|(before, _)| *before == length);
                let names = match before {
                    Some((_, names)) => *names,
                    None if length == 0 => return None,
                    None => names(&at, &index)?,
                };
                Some((index, (length, names)))
            });
            counted.collect::<HashMap<_, _>>()
        });
        // What broke off is counted again.
        self.0 = counting.await.unwrap_or_default();
        let told = self.0.iter();
        let told = told.map(|(index, (_, names))| (index.clone(), *names));
        core.overview.tell_listed(told.collect());
    }
}

fn key(index: &IndexName) -> Key {
    Key::ProjectList {
        index: index.clone(),
    }
}

fn length(core: &Core, index: &IndexName) -> u64 {
    core.store.length(&key(index))
}

/// The names in the list that is here, each on its line.
fn names(core: &Core, index: &IndexName) -> Option<u64> {
    let most = core.settings.limits.upstream.project_list;
    let text = core.store.read_small(&key(index), most).ok()??;
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty()).count();
    u64::try_from(lines).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(day: i64, index: &str, project: &str, times: u64) -> JournalRefused {
        JournalRefused {
            day,
            index: index.into(),
            project: project.into(),
            rule: "corporate/deny".into(),
            times,
        }
    }

    fn told(tally: &Tally) -> Vec<(String, String, u64)> {
        let often = tally.told().often.into_iter();
        let often = often.map(|one| (one.index.to_string(), one.project.to_string(), one.times));
        often.collect()
    }

    fn row(index: &str, project: &str, times: u64) -> (String, String, u64) {
        (index.to_owned(), project.to_owned(), times)
    }

    #[test]
    fn days_are_added_up_until_they_are_over() {
        let mut tally = Tally::default();
        tally.forget_before(100);
        for one in [
            refused(100, "a/a", "six", 3),
            refused(100, "a/a", "six", 1),
            refused(101, "a/a", "six", 2),
            refused(101, "a/a", "banned", 5),
            refused(101, "b/b", "six", 1),
        ] {
            tally.add(one);
        }
        let expected = [
            row("a/a", "six", 6),
            row("a/a", "banned", 5),
            row("b/b", "six", 1),
        ];
        assert_eq!(told(&tally), expected);
        tally.forget_before(101);
        let expected = [
            row("a/a", "banned", 5),
            row("a/a", "six", 2),
            row("b/b", "six", 1),
        ];
        assert_eq!(told(&tally), expected);
    }

    #[test]
    fn no_number_of_names_fills_the_memory_or_hides_another_index() {
        let mut tally = Tally::default();
        tally.add(refused(1, "z/z", "rare", 1));
        for number in 0..COUNTERS_MAX + 10 {
            tally.add(refused(1, "a/a", &format!("name-{number}"), 2));
        }
        tally.add(refused(1, "z/z", "rare", 1));
        assert_eq!(tally.counted.len(), COUNTERS_MAX);
        let told = told(&tally);
        assert_eq!(told.len(), TOLD_MAX + 1);
        assert_eq!(*told.last().unwrap(), row("z/z", "rare", 2));
    }
}
