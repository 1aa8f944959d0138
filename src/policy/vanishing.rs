//! What may be kept of a project that its upstream has dropped.
//!
//! A rule about age relies on somebody finding out in time: what turns out bad within a cool-down is taken
//! down upstream before it is seen here. So a file that vanishes must not mature here. It is kept only if
//! every policy over the mirror lets it pass at the moment it vanishes, whichever index asks for it later,
//! and only above an age below which nothing is worth keeping. Whitelists and `owns` are not considered:
//! time does not change what they say, and they apply when the file is read.

use std::sync::Arc;

use crate::language::{KeepLastGood, PolicyMode, Undated};
use crate::model::{File, IndexName, ProjectName, ProjectState, Timestamp, UploadTimeSource};
use crate::policy::compile::Policies;
use crate::policy::facts::Facts;
use crate::policy::index::Index;
use crate::policy::rule::Policy;
use crate::policy::siblings::Siblings;

/// Every policy through which a project of one mirror may be seen.
pub struct Unanimity<'a> {
    policies: &'a Policies,
    mirror: &'a IndexName,
    undated: Undated,
    keep: KeepLastGood,
    project: ProjectName,
    /// Each once, with its rules about the project.
    over: Vec<(&'a Arc<Policy>, Vec<u32>)>,
    /// What the mirror listed.
    siblings: Siblings<'a>,
}

impl Policies {
    /// Everything to consult before something of a mirror's project is kept of the files that it listed;
    /// `None` for a stage.
    #[must_use]
    pub fn unanimity<'a>(
        &'a self,
        index: &'a Index,
        project: &ProjectName,
        files: &'a [File],
    ) -> Option<Unanimity<'a>> {
        let mirror = index.mirror()?;
        let mut over: Vec<(&Arc<Policy>, Vec<u32>)> = Vec::new();
        for stack in self.stacks.values() {
            let policy = stack.asked.policy.as_ref();
            let policy = policy.filter(|_| stack.position(&index.name).is_some());
            let Some(policy) = policy.filter(|policy| policy.mode == PolicyMode::Enforce) else {
                continue;
            };
            if !over.iter().any(|(known, _)| Arc::ptr_eq(known, policy)) {
                over.push((policy, policy.rules_about(project)));
            }
        }
        Some(Unanimity {
            policies: self,
            mirror: &index.name,
            undated: mirror.undated(),
            keep: mirror.keep_last_good(),
            project: project.clone(),
            over,
            siblings: Siblings::new(files, Some((&index.name, mirror.undated()))),
        })
    }
}

impl Unanimity<'_> {
    /// Whether a file may be kept that upstream listed at `listed_at` and has dropped by `now`.
    ///
    /// It is unknown when in between it vanished, so every policy has to let it pass at both ends, and
    /// it is only as old as it was when it was last seen.
    #[must_use]
    pub fn lets_keep(
        &self,
        file: &File,
        status: ProjectState,
        (listed_at, now): (Timestamp, Timestamp),
    ) -> bool {
        self.is_old_enough(file, listed_at)
            && [listed_at, now]
                .into_iter()
                .all(|at| self.lets_pass(file, status, at))
    }

    fn lets_pass(&self, file: &File, status: ProjectState, at: Timestamp) -> bool {
        let advisories = self.policies.advisories.about(&self.project);
        let facts = Facts::new(file, Some((self.mirror, self.undated)), status, &advisories);
        let facts = facts.relying_on(&self.policies.advisories);
        let facts = facts.among(Some(&self.siblings));
        let mut over = self.over.iter();
        over.all(|(policy, about)| policy.decide(about, &facts, at).is_none())
    }

    /// A file is at least as old as this gateway knows it, so for this minimum the day on which it was
    /// first seen will do, however rules about age treat it.
    fn is_old_enough(&self, file: &File, at: Timestamp) -> bool {
        let Some(time) = file.upload_time else {
            return self.undated == Undated::Old || self.keep.older_than.is_zero();
        };
        let is_trusted = time.source == UploadTimeSource::FirstSeen && self.undated == Undated::Old;
        let grown = time.at.checked_add(self.keep.older_than);
        is_trusted || grown.is_ok_and(|grown| grown <= at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::language::{Matchers, PolicyDocument};
    use crate::model::UploadTime;
    use crate::policy::sample::{
        allow, at, compiled, deny, file, index, mirror, of, policy, project, stage,
    };

    const DAY: Duration = Duration::from_hours(24);
    const LISTED: &str = "2026-01-05T00:00:00Z";
    const GONE: &str = "2026-01-06T00:00:00Z";

    /// Whether a file of this day is kept when it vanishes from `m/one`, below these policies.
    fn is_kept(policies: &Policies, uploaded: &str) -> bool {
        let one = policies.index(&index("m/one")).unwrap();
        let mut six = file("six-1.zip", "six");
        six.upload_time = Some(UploadTime {
            at: at(uploaded),
            source: UploadTimeSource::Index,
        });
        let listed = [six.clone()];
        let asked = policies.unanimity(one, &project("six"), &listed).unwrap();
        asked.lets_keep(&six, ProjectState::Active, (at(LISTED), at(GONE)))
    }

    fn cooling(name: &str, days: u32) -> PolicyDocument {
        let young = Matchers {
            younger_than: Some(days * DAY),
            ..Matchers::default()
        };
        policy(name, vec![deny(young)])
    }

    #[test]
    fn one_policy_anywhere_above_the_mirror_is_enough_to_drop_a_file() {
        let world = |beside: &str| {
            compiled(
                vec![
                    stage("a/free", &["m/one"]),
                    stage("a/top", &["a/base"]),
                    stage("a/base", &["m/one"]).policy("slow"),
                    stage("a/beside", &[beside]).policy("never"),
                    mirror("m/one"),
                    mirror("m/two"),
                ],
                vec![
                    cooling("slow", 30),
                    policy("never", vec![deny(of(&["six"]))]),
                ],
            )
        };
        let table = [
            ("m/two", "2025-12-06T00:00:00Z", true),
            // Old enough by the time somebody noticed, but not when it was last seen.
            ("m/two", "2025-12-06T12:00:00Z", false),
            ("m/one", "2025-12-06T00:00:00Z", false),
        ];
        for (beside, uploaded, expected) in table {
            assert_eq!(is_kept(&world(beside), uploaded), expected, "{uploaded}");
        }
    }

    #[test]
    fn a_policy_that_only_records_drops_nothing_nor_does_a_whitelist() {
        let mut records = policy("records", vec![deny(of(&["six"]))]);
        records.mode = PolicyMode::Audit;
        let policies = compiled(
            vec![
                stage("a/top", &["m/one"]).policy("records"),
                stage("a/listed", &["m/one"]).whitelist(&["seven"]),
                mirror("m/one"),
            ],
            vec![records],
        );
        assert!(is_kept(&policies, "2025-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_younger_than_the_floor_is_dropped_whatever_a_waiver_says() {
        let waived = policy("waived", vec![allow(of(&["six"]))]);
        let policies = compiled(vec![mirror("m/one").policy("waived")], vec![waived]);
        assert!(is_kept(&policies, "2025-12-22T00:00:00Z"));
        assert!(!is_kept(&policies, "2025-12-22T00:00:01Z"));
    }

    #[test]
    fn a_waiver_that_ends_in_between_keeps_nothing() {
        let rules = vec![
            allow(of(&["six"])).until("2026-01-05T12:00:00Z"),
            deny(of(&["six"])),
        ];
        let policies = compiled(
            vec![mirror("m/one").policy("ends")],
            vec![policy("ends", rules)],
        );
        assert!(!is_kept(&policies, "2025-01-01T00:00:00Z"));
    }

    #[test]
    fn a_file_without_a_date_is_as_old_as_it_is_known() {
        let table = [
            (Undated::Deny, Some("2025-12-22T00:00:00Z"), true),
            (Undated::Deny, Some("2025-12-23T00:00:00Z"), false),
            (Undated::FirstSeen, Some("2025-12-23T00:00:00Z"), false),
            (Undated::Old, Some("2026-01-05T00:00:00Z"), true),
            (Undated::Deny, None, false),
            (Undated::Old, None, true),
        ];
        for (undated, seen, expected) in table {
            let policies = compiled(vec![mirror("m/one").undated(undated)], vec![]);
            let one = policies.index(&index("m/one")).unwrap();
            let asked = policies.unanimity(one, &project("six"), &[]).unwrap();
            let mut six = file("six-1.zip", "six");
            six.upload_time = seen.map(|seen| UploadTime {
                at: at(seen),
                source: UploadTimeSource::FirstSeen,
            });
            let kept = asked.lets_keep(&six, ProjectState::Active, (at(LISTED), at(GONE)));
            assert_eq!(kept, expected, "{undated:?} {seen:?}");
        }
    }
}
