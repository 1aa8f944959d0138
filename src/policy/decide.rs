//! The rules of a stack about one project: looked up once, then asked for each of its files.
//!
//! This is the one place where anything is decided. A page, a file and a sidecar all come here, so
//! that what the page hides the file refuses. Who is asked at all is told in `sources`.

use std::sync::Arc;

use crate::model::{File, IndexName, ProjectName, Timestamp};
use crate::policy::condition::Facts;
use crate::policy::document::{NamePattern, Placed};
use crate::policy::index::Index;
use crate::policy::layer::{Layer, OWNS, Tally};
use crate::policy::names::pattern_words;
use crate::policy::sources::{SkipReason, Skipped, Sources, keeper};
use crate::policy::stack::{Candidate, Member, Stack};
use crate::policy::verdict::{Allowed, Denial, Reason, RuleId, Subject, Verdict};

/// The rules of a stack about one project.
#[derive(Debug)]
pub struct ProjectView<'a> {
    stack: &'a Stack,
    project: ProjectName,
    layers: Vec<Layer<'a>>,
    /// For each member, what reserves the name from it.
    reserved: Vec<Option<Reservation<'a>>>,
    /// Members whose upstream cannot be asked, and since when.
    silent: &'a [(usize, Timestamp)],
}

/// An entry of an `owns` that reserves a name, and the index that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reservation<'a> {
    pub(super) owner: &'a Arc<Index>,
    pub(super) pattern: &'a Placed<NamePattern>,
}

impl<'a> ProjectView<'a> {
    pub(super) fn new(stack: &'a Stack, project: &ProjectName) -> Self {
        let layers = stack.layers().iter();
        let reserved = |member: &'a Member| {
            member.owners.iter().find_map(|owner| {
                let pattern = owner.owns().reserving(project)?;
                Some(Reservation { owner, pattern })
            })
        };
        Self {
            stack,
            project: project.clone(),
            layers: layers.map(|index| Layer::new(index, project)).collect(),
            reserved: stack.members().iter().map(reserved).collect(),
            silent: &[],
        }
    }

    /// The same where some upstreams cannot be asked. What such a member lists may have been taken
    /// down since, so none of its files grows old enough to pass meanwhile
    /// (docs/adr/0032-nothing-matures-unconfirmed.md).
    #[must_use]
    pub fn while_silent(mut self, silent: &'a [(usize, Timestamp)]) -> Self {
        self.silent = silent;
        self
    }

    /// The stack it was made of.
    #[must_use]
    pub fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// Who may speak for the project. `holds` says whether a stage holds it, a name that is only
    /// registered included; it is asked once for each stage.
    ///
    /// Denied when nobody may speak and somebody was refused: that is a 451.
    /// Allowed with nobody to ask means that no member knows the project.
    #[must_use]
    pub fn decide_project(
        &self,
        now: Timestamp,
        holds: &dyn Fn(&IndexName) -> bool,
    ) -> Verdict<Sources> {
        let members = self.stack.members();
        let is_held = |member: &Member| !member.index.is_mirror() && holds(&member.index.name);
        let held: Vec<bool> = members.iter().map(is_held).collect();
        let keeper = keeper(members, &self.project, &held);
        let mut audited = None;
        let (mut ask, mut skipped) = (Vec::new(), Vec::new());
        for (position, member) in members.iter().enumerate() {
            let tally = self.judge_name(position, member, now);
            audited = audited.or(tally.audited);
            let keeper = keeper.filter(|_| member.index.is_mirror()).cloned();
            let reserved = self.reserved[position].is_some();
            let reason = match tally.denied {
                Some(denial) if reserved => Some(SkipReason::Owned(denial)),
                Some(denial) => Some(SkipReason::Denied(denial)),
                None => keeper.map(SkipReason::Private),
            };
            match reason {
                Some(reason) => skipped.push(Skipped {
                    member: position,
                    reason,
                }),
                None if member.index.is_mirror() || held[position] => ask.push(position),
                None => {}
            }
        }
        let refused = skipped.iter().find_map(|skipped| skipped.reason.denial());
        match refused {
            Some(denial) if ask.is_empty() => Verdict::Deny(denial.clone()),
            Some(_) | None => Verdict::Allow(Allowed::new(Sources { ask, skipped }, audited)),
        }
    }

    /// Whether one file passes.
    ///
    /// In each policy that applies the first matching rule decides; one denial is enough.
    #[must_use]
    pub fn decide_file<'f>(&self, candidate: &Candidate<'f>, now: Timestamp) -> Verdict<&'f File> {
        let file = candidate.file;
        if *file.filename.project() != self.project {
            let other = self.stack.view(file.filename.project());
            return other.while_silent(self.silent).decide_file(candidate, now);
        }
        let subject = || Subject::File(file.filename.clone());
        let Some(member) = self.stack.members().get(candidate.member) else {
            let rule = RuleId {
                location: None,
                policy: "stack".into(),
                index: self.stack.asked().name.clone(),
            };
            return Verdict::Deny(Denial::new(subject(), Reason::Outside, rule));
        };
        if let Some(reservation) = self.reserved[candidate.member] {
            return Verdict::Deny(reservation.denial(subject()));
        }
        let mut tally = Tally::default();
        let facts = self.facts(member, candidate);
        for layer in self.layers_of(member) {
            layer.judge_file(&facts, now, &mut tally);
        }
        if tally.denied.is_none()
            && let Some(since) = self.silent_since(candidate.member)
        {
            let facts = facts.grown_until(since);
            for layer in self.layers_of(member) {
                layer.judge_file(&facts, now, &mut tally);
            }
        }
        tally.verdict(file)
    }

    fn silent_since(&self, member: usize) -> Option<Timestamp> {
        let mut silent = self.silent.iter();
        let (_, since) = silent.find(|(silent, _)| *silent == member)?;
        Some(*since)
    }

    /// The earliest instant after `now` at which age may change what [`Self::decide_file`] answers.
    #[must_use]
    pub fn next_change(&self, candidate: &Candidate<'_>, now: Timestamp) -> Option<Timestamp> {
        if *candidate.file.filename.project() != self.project {
            return self.stack.next_change(candidate, now);
        }
        let member = self.stack.members().get(candidate.member)?;
        let facts = self.facts(member, candidate);
        let policies = self
            .layers_of(member)
            .filter_map(|layer| layer.policy.as_ref());
        let changes = policies.filter_map(|(policy, about)| policy.next_change(about, &facts, now));
        changes.min()
    }

    /// Whether a member must not be asked because of the name alone.
    #[cfg(test)]
    pub(super) fn refuses_name(&self, position: usize, now: Timestamp) -> bool {
        let member = &self.stack.members()[position];
        self.judge_name(position, member, now).denied.is_some()
    }

    /// What is said of all that a member may list for the project.
    fn judge_name(&self, position: usize, member: &Member, now: Timestamp) -> Tally {
        let mut tally = Tally::default();
        if let Some(reservation) = self.reserved[position] {
            let subject = Subject::Project(self.project.clone());
            tally.denied = Some(reservation.denial(subject));
            return tally;
        }
        let mirror = member.index.is_mirror().then_some(&member.index.name);
        for layer in self.layers_of(member) {
            layer.judge_name(&self.project, mirror, now, &mut tally);
        }
        tally
    }

    /// The layers whose rules apply to a member's content.
    pub(super) fn layers_of(&self, member: &Member) -> impl Iterator<Item = &Layer<'a>> {
        member.layers.iter().map(|position| &self.layers[*position])
    }

    /// What reserves the name from a member.
    pub(super) fn reservation(&self, position: usize) -> Option<Reservation<'a>> {
        self.reserved.get(position).copied().flatten()
    }

    /// What rules may ask about a file of a member.
    pub(super) fn facts<'f>(&self, member: &'f Member, candidate: &Candidate<'f>) -> Facts<'f>
    where
        'a: 'f,
    {
        let index = &member.index;
        Facts::new(
            candidate.file,
            index.mirror().map(|mirror| (&index.name, mirror.undated())),
            candidate.status,
            self.stack.advisories().about(&self.project),
        )
    }
}

impl Reservation<'_> {
    fn denial(self, subject: Subject) -> Denial {
        let pattern = pattern_words(&self.pattern.value).into();
        let rule = RuleId {
            location: Some(self.pattern.location.clone()),
            policy: OWNS.into(),
            index: self.owner.name.clone(),
        };
        Denial::new(subject, Reason::Owned { pattern }, rule)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Hashes, Kind, ProjectState, Sha256};
    use crate::policy::compile::Policies;
    use crate::policy::document::{
        Matchers, OnBlock, PolicyDocument, PolicyMode, RuleDocument, TextFile, Undated,
    };
    use crate::policy::documents::IndexDocument;
    use crate::policy::sample::{
        allow, at, compiled, deny, document, file, index, mirror, of, place, policy, project,
        sources, stage,
    };

    const NOW: &str = "2026-01-05T00:00:00Z";

    fn audit(name: &str, rules: Vec<RuleDocument>) -> PolicyDocument {
        let mode = PolicyMode::Audit;
        PolicyDocument {
            mode,
            ..policy(name, rules)
        }
    }

    /// The verdict on a file that `member` lists, asked through `asked`.
    fn decide<'f>(
        policies: &Policies,
        asked: &str,
        member: &str,
        file: &'f File,
    ) -> Verdict<&'f File> {
        let stack = policies.stack(&index(asked)).unwrap();
        let candidate = Candidate {
            file,
            member: stack.position(&index(member)).unwrap(),
            status: ProjectState::Active,
        };
        let view = stack.view(file.filename.project());
        view.decide_file(&candidate, at(NOW))
    }

    fn denied(policies: &Policies, asked: &str, member: &str, file: &File) -> String {
        let verdict = decide(policies, asked, member, file);
        verdict.denial().map_or("passes".to_owned(), Denial::short)
    }

    #[test]
    fn a_policy_on_a_base_holds_for_all_who_inherit_and_only_for_what_it_inherits() {
        let policies = compiled(
            vec![
                stage("a/top", &["a/left", "a/right"]).policy("top"),
                stage("a/left", &["m/one"]).policy("left"),
                stage("a/right", &["m/two"]),
                mirror("m/one"),
                mirror("m/two"),
            ],
            vec![
                policy("top", vec![allow(of(&["six"])), deny(of(&["seven"]))]),
                policy("left", vec![deny(of(&["six"]))]),
            ],
        );
        let (six, seven) = (file("six-1.zip", "six"), file("seven-1.zip", "seven"));
        let left = "six 1 is refused by policy left: project: six";
        let top = "seven 1 is refused by policy top: project: seven";
        let table = [
            ("a/top", "m/one", &six, left),
            ("a/top", "a/left", &six, left),
            ("a/left", "m/one", &six, left),
            ("a/top", "m/two", &six, "passes"),
            ("a/top", "a/top", &six, "passes"),
            ("m/one", "m/one", &six, "passes"),
            ("a/top", "m/two", &seven, top),
            ("a/top", "a/top", &seven, top),
            ("a/left", "m/one", &seven, "passes"),
        ];
        for (asked, member, file, expected) in table {
            let found = denied(&policies, asked, member, file);
            assert_eq!(found, expected, "{file:?} of {member} through {asked}");
        }
    }

    #[test]
    fn a_whitelist_restricts_mirrors_and_leaves_private_files_alone() {
        let policies = compiled(
            vec![
                stage("a/top", &["a/base"]),
                stage("a/base", &["m/one"]).whitelist(&["six"]),
                mirror("m/one"),
            ],
            vec![],
        );
        let refused = "seven 1 is refused by whitelist of a/base: the name is not listed";
        let (six, seven) = (file("six-1.zip", "six"), file("seven-1.zip", "seven"));
        assert_eq!(denied(&policies, "a/top", "m/one", &six), "passes");
        assert_eq!(denied(&policies, "a/top", "m/one", &seven), refused);
        assert_eq!(denied(&policies, "a/top", "a/base", &seven), "passes");
        assert_eq!(denied(&policies, "m/one", "m/one", &seven), "passes");
        assert_eq!(sources(&policies, "a/top", "six", &[]), "ask m/one; skip ");
        let held = sources(&policies, "a/top", "seven", &["a/base"]);
        assert_eq!(held, "ask a/base; skip m/one denied");
        let nobody = sources(&policies, "a/top", "seven", &[]);
        assert_eq!(
            nobody,
            "denied: seven is refused by whitelist of a/base: the name is not listed"
        );
    }

    #[test]
    fn pinned_files_pass_by_their_digest() {
        let pinned = file("six-1.zip", "six");
        let mut top = stage("a/top", &["m/one"]);
        top.settings.whitelist_files = Some(vec![TextFile {
            location: place(4),
            path: "requirements.txt".into(),
            text: format!("six==1 --hash=sha256:{}", pinned.hashes.sha256().unwrap()).into(),
        }]);
        let policies = compiled(vec![top, mirror("m/one")], vec![]);
        let mut other = pinned.clone();
        other.hashes = Hashes::sha256_only(Sha256::of(b"other"));
        let mut bare = pinned.clone();
        bare.hashes = Hashes::default();
        let table = [
            (&pinned, "passes"),
            (
                &other,
                "six 1 is refused by whitelist of a/top: its sha256 is not pinned",
            ),
            (
                &bare,
                "six 1 is refused by whitelist of a/top: it has no sha256 to compare with the pinned ones",
            ),
        ];
        for (file, expected) in table {
            assert_eq!(denied(&policies, "a/top", "m/one", file), expected);
        }
        assert_eq!(sources(&policies, "a/top", "six", &[]), "ask m/one; skip ");
    }

    #[test]
    fn a_file_of_an_owned_name_is_refused_even_when_its_url_is_known() {
        let policies = compiled(
            vec![
                stage("a/top", &["m/below"]).owns(&["acme-*"]),
                mirror("m/below"),
            ],
            vec![],
        );
        let acme = file("acme-x-1.zip", "acme-x");
        let refused =
            "acme-x 1 is refused by owns of a/top: acme-* is reserved and never from a mirror";
        for asked in ["a/top", "m/below"] {
            assert_eq!(denied(&policies, asked, "m/below", &acme), refused);
        }
        assert_eq!(denied(&policies, "a/top", "a/top", &acme), "passes");
    }

    #[test]
    fn audit_records_and_lets_pass() {
        let policies = compiled(
            vec![stage("a/top", &["m/one"]).policy("watch"), mirror("m/one")],
            vec![audit("watch", vec![deny(of(&["six"])).reason("trial")])],
        );
        let six = file("six-1.zip", "six");
        let Verdict::Allow(allowed) = decide(&policies, "a/top", "m/one", &six) else {
            panic!("{six:?} is refused");
        };
        let words = "refused by policy watch: trial (policies/web.yaml:10)";
        assert_eq!(allowed.audited().unwrap().words(), words);
        assert_eq!(*allowed.item(), &six);

        let stack = policies.stack(&index("a/top")).unwrap();
        let verdict = stack.decide_project(&project("six"), at(NOW), &|_| false);
        let Verdict::Allow(allowed) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(allowed.audited().unwrap().words(), words);
        assert_eq!(allowed.item().ask, [1]);
    }

    #[test]
    fn what_one_policy_hides_no_other_lists_as_yanked() {
        let yanking = PolicyDocument {
            on_block: OnBlock::Yank,
            ..policy("top", vec![deny(of(&["six"])), deny(of(&["seven"]))])
        };
        let hiding = policy("base", vec![deny(of(&["six"]))]);
        let policies = compiled(
            vec![
                stage("a/top", &["a/base"]).policy("top"),
                stage("a/base", &[]).policy("base"),
            ],
            vec![yanking, hiding],
        );
        for (name, expected) in [("six", OnBlock::Hide), ("seven", OnBlock::Yank)] {
            let file = file(&format!("{name}-1.zip"), name);
            let verdict = decide(&policies, "a/top", "a/base", &file);
            assert_eq!(verdict.denial().unwrap().on_block(), expected, "{name}");
        }
    }

    #[test]
    fn a_cool_down_says_when_it_ends_and_the_page_when_to_look_again() {
        let week = Matchers {
            younger_than: Some(Duration::from_hours(7 * 24)),
            ..Matchers::default()
        };
        let policies = compiled(
            vec![
                stage("a/top", &["m/one", "m/old"]).policy("cool"),
                mirror("m/one"),
                mirror("m/old").undated(Undated::Old),
            ],
            vec![policy("cool", vec![deny(week).reason("cool-down")])],
        );
        let dated = file("six-1.zip", "six");
        let mut undated = dated.clone();
        undated.upload_time = None;
        let until = "six 1 is refused by policy cool: cool-down (until 2026-01-08T00:00:00Z)";
        let lacks = "six 1 is refused by policy cool: it has no upload-time, which this rule needs: cool-down";
        let matures = Some(at("2026-01-08T00:00:00Z"));
        let table = [
            ("m/one", &dated, until, matures),
            ("m/one", &undated, lacks, None),
            ("m/old", &undated, "passes", None),
        ];
        let stack = policies.stack(&index("a/top")).unwrap();
        for (member, file, expected, change) in table {
            assert_eq!(denied(&policies, "a/top", member, file), expected);
            let candidate = Candidate {
                file,
                member: stack.position(&index(member)).unwrap(),
                status: ProjectState::Active,
            };
            assert_eq!(stack.next_change(&candidate, at(NOW)), change, "{expected}");
        }
    }

    #[test]
    fn an_advisory_refuses_the_versions_it_concerns() {
        let rule = deny(Matchers {
            advisory: vec!["malware".into()],
            ..Matchers::default()
        });
        let mut yaml = document(
            vec![stage("a/top", &["m/one"]).policy("safe"), mirror("m/one")],
            vec![policy("safe", vec![rule.reason("known malware")])],
        );
        yaml.advisories = vec![TextFile {
            location: place(2),
            path: "osv.json".into(),
            text: r#"{"id": "MAL-2024-1", "affected": [{"versions": ["1.1"],
                "package": {"ecosystem": "PyPI", "name": "six"}}]}"#
                .into(),
        }];
        let policies = Policies::compile(&[yaml], &[]).unwrap();
        let refused = "six 1.1 is refused by policy safe: known malware (MAL-2024-1)";
        for (name, expected) in [("six-1.1.zip", refused), ("six-1.2.zip", "passes")] {
            assert_eq!(
                denied(&policies, "a/top", "m/one", &file(name, "six")),
                expected
            );
        }
        assert_eq!(sources(&policies, "a/top", "six", &[]), "ask m/one; skip ");
    }

    #[test]
    fn a_view_refuses_strangers_and_judges_files_of_other_projects_by_their_own_rules() {
        let documents: Vec<IndexDocument> = vec![stage("a/top", &[]).policy("top")];
        let policies = compiled(documents, vec![policy("top", vec![deny(of(&["six"]))])]);
        let stack = policies.stack(&index("a/top")).unwrap();
        let (six, seven) = (file("six-1.zip", "six"), file("seven-1.zip", "seven"));
        let candidate = |file, member| Candidate {
            file,
            member,
            status: ProjectState::Active,
        };
        let view = stack.view(&project("seven"));
        assert!(
            view.decide_file(&candidate(&six, 0), at(NOW))
                .denial()
                .is_some()
        );
        assert!(
            view.decide_file(&candidate(&seven, 0), at(NOW))
                .denial()
                .is_none()
        );
        let stranger = view.decide_file(&candidate(&seven, 1), at(NOW));
        assert!(stranger.denial().is_some());
    }

    #[test]
    fn a_long_whitelist_and_many_rules_cost_little_for_each_file() {
        let names: Vec<String> = (0..100_000)
            .map(|number| format!("project-{number}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rule = |number: usize| {
            deny(Matchers {
                kind: vec![Kind::Egg],
                ..of(&[&format!("x{number}-*"), &format!("/^y{number}-[a-z]+$/")])
            })
        };
        let policies = compiled(
            vec![
                stage("a/top", &["m/one"]).whitelist(&names).policy("many"),
                mirror("m/one"),
            ],
            vec![policy("many", (0..50).map(rule).collect())],
        );
        let stack = policies.stack(&index("a/top")).unwrap();
        let view = stack.view(&project("project-99999"));
        // What a page asks for each file is only the rules that name its project.
        let considered: usize = view
            .layers
            .iter()
            .filter_map(|layer| layer.policy.as_ref())
            .map(|(_, about)| about.len())
            .sum();
        assert_eq!(considered, 0);
        let refused = sources(&policies, "a/top", "project-100000", &[]);
        assert!(refused.starts_with("denied: project-100000"), "{refused}");
        assert_eq!(
            sources(&policies, "a/top", "project-99999", &[]),
            "ask m/one; skip "
        );
        assert_eq!(
            stack.view(&project("x7-a")).layers[0]
                .policy
                .as_ref()
                .unwrap()
                .1,
            [7]
        );
    }
}
