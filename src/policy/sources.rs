//! Who may speak for a project, decided before any index is asked.
//!
//! Two things keep a member silent. One is devpi's rule (docs/protocol/devpi.md §8.2), the answer to
//! dependency confusion: a name that a stage holds is not taken from mirrors unless `mirror_whitelist` says
//! so. The other is ours: a member for which the name itself is refused or reserved is never asked, so that
//! no private or forbidden name reaches an upstream.

use crate::language::{Stage, WhitelistInheritance};
use crate::model::{IndexName, ProjectName};
use crate::policy::stack::Member;
use crate::policy::verdict::Denial;

/// The members of a stack that may speak for a project.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    /// Positions of the members to ask, in resolution order: stages that hold the project and
    /// mirrors that may know it.
    pub ask: Vec<usize>,
    /// The members that must not be asked, and why.
    pub skipped: Vec<Skipped>,
}

/// A member that must not be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// Its position in the stack.
    pub member: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why a member must not be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum SkipReason {
    /// This stage holds the name, and no `mirror_whitelist` lets a mirror add to it.
    Private(IndexName),
    /// Rules or a whitelist refuse the name.
    Denied(Denial),
    /// The name is reserved by `owns`.
    Owned(Denial),
}

impl SkipReason {
    /// The refusal, if it is one; a private name is only hidden from mirrors, not refused.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Private(_) => None,
            Self::Denied(denial) | Self::Owned(denial) => Some(denial),
        }
    }
}

/// The stage that keeps a project from mirrors, if one does; `held` says for each member whether it
/// is a stage that holds the project.
///
/// The lists are combined in resolution order, in the way the *asked* index sets, and tested after each:
/// once they contain the project (or `*`), mirrors may speak.
pub(super) fn keeper<'a>(
    members: &'a [Member],
    project: &ProjectName,
    held: &[bool],
) -> Option<&'a IndexName> {
    let mut keeper = None;
    let mut inheritance = WhitelistInheritance::default();
    let mut listed: Option<Listed> = None;
    for (member, held) in members.iter().zip(held) {
        let Some(stage) = member.index.stage() else {
            break;
        };
        let own = Listed::on(stage, project);
        let joined = match listed {
            Some(before) => before.join(own, inheritance),
            None => {
                inheritance = stage.mirror_whitelist_inheritance();
                own
            }
        };
        if joined.all || joined.project {
            return None;
        }
        if *held {
            keeper = keeper.or(Some(&member.index.name));
        }
        listed = Some(joined);
    }
    keeper
}

/// What a combined list says about one project. `*` and the name are separate entries: a list with only one
/// of them and a list with only the other have nothing in common.
#[derive(Debug, Clone, Copy)]
struct Listed {
    all: bool,
    project: bool,
}

impl Listed {
    fn on(stage: &Stage, project: &ProjectName) -> Self {
        Self {
            all: stage.mirror_whitelist().has_all(),
            project: stage.mirror_whitelist().has(project),
        }
    }

    fn join(self, other: Self, inheritance: WhitelistInheritance) -> Self {
        match inheritance {
            WhitelistInheritance::Union => Self {
                all: self.all || other.all,
                project: self.project || other.project,
            },
            WhitelistInheritance::Intersection => Self {
                all: self.all && other.all,
                project: self.project && other.project,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::language::{IndexDocument, Matchers};
    use crate::policy::sample::{
        at, compiled, deny, index, mirror, of, policy, project, sources, stage,
    };
    use crate::policy::sources::SkipReason;
    use crate::policy::verdict::Verdict;

    /// The members asked for `six` through `a/asked`, when the stages in `holding` have it.
    fn asked(documents: Vec<IndexDocument>, holding: &[&str]) -> Vec<String> {
        let policies = compiled(documents, vec![]);
        let stack = policies.stack(&index("a/asked")).unwrap();
        let holds = |name: &crate::model::IndexName| holding.contains(&name.as_str());
        let verdict = stack.decide_project(&project("six"), at("2026-01-05T00:00:00Z"), &holds);
        let Verdict::Allow(allowed) = verdict else {
            panic!("refused: {verdict:?}");
        };
        let name = |member: &usize| stack.members[*member].index.name.index().to_owned();
        allowed.item().ask.iter().map(name).collect()
    }

    fn setup(asked: &[&str], base: &[&str], union: bool) -> Vec<IndexDocument> {
        let mut top = stage("a/asked", &["a/base", "m/mirror"]).mirror_whitelist(asked);
        if union {
            top = top.union();
        }
        let base = stage("a/base", &["m/mirror"]).mirror_whitelist(base);
        vec![top, base, mirror("m/mirror")]
    }

    #[test]
    fn the_table_recorded_from_devpi() {
        let (none, six, all): (&[&str], &[&str], &[&str]) = (&[], &["six"], &["*"]);
        let (base, both): (&[&str], &[&str]) = (&["a/base"], &["a/asked", "a/base"]);
        // Lists of the asked index and its base, union, who holds it, who is asked.
        type Row<'a> = (
            &'a [&'a str],
            &'a [&'a str],
            bool,
            &'a [&'a str],
            &'a [&'a str],
        );
        let table: [Row<'_>; 14] = [
            (none, none, false, &[], &["mirror"]),
            (none, none, false, base, &["base"]),
            (none, none, false, both, &["asked", "base"]),
            (none, none, false, &["a/asked"], &["asked"]),
            (none, six, false, both, &["asked", "base"]),
            (none, six, true, both, &["asked", "base", "mirror"]),
            (six, none, false, both, &["asked", "base", "mirror"]),
            (all, none, false, both, &["asked", "base", "mirror"]),
            (none, all, false, base, &["base"]),
            (none, all, true, base, &["base", "mirror"]),
            (six, none, false, base, &["base", "mirror"]),
            (&["seven"], &["*"], false, base, &["base"]),
            (&["seven"], &["*"], true, base, &["base", "mirror"]),
            (&["seven"], &["seven"], true, base, &["base"]),
        ];
        for (top, below, union, holding, expected) in table {
            let found = asked(setup(top, below, union), holding);
            assert_eq!(
                found, expected,
                "{top:?} {below:?} union {union} held by {holding:?}"
            );
        }
    }

    #[test]
    fn the_inheritance_of_bases_is_never_read() {
        let documents = vec![
            stage("a/asked", &["a/base"]),
            stage("a/base", &["m/mirror"])
                .mirror_whitelist(&["six"])
                .union(),
            mirror("m/mirror"),
        ];
        assert_eq!(asked(documents, &["a/base"]), ["base"]);
    }

    #[test]
    fn teams_over_a_shared_pool() {
        // As in a real installation: `shared/stable` is virtual, only `shared/thirdparty-local` has a list.
        let world = |union: bool| {
            let dev = stage("team/dev", &["team/stable"]);
            let shared = ["shared/reviewed", "shared/thirdparty-local"];
            let local = stage("shared/thirdparty-local", &["root/pypi"]);
            let indexes = vec![
                if union { dev.union() } else { dev },
                stage("team/stable", &["shared/stable"]),
                stage("shared/stable", &shared),
                stage("shared/reviewed", &[]),
                local.mirror_whitelist(&["six"]),
                mirror("root/pypi"),
            ];
            compiled(indexes, vec![])
        };
        let local = "shared/thirdparty-local";
        let (nobody, by_reviewed, by_local): (&[&str], &[&str], &[&str]) =
            (&[], &["shared/reviewed"], &[local]);
        // Asked index, union, project, who holds it, the answer.
        let table = [
            ("team/dev", false, "numpy", nobody, "ask root/pypi; skip "),
            (
                "team/dev",
                false,
                "acme",
                by_reviewed,
                "ask shared/reviewed; skip root/pypi private",
            ),
            (
                "team/dev",
                false,
                "six",
                by_local,
                "ask shared/thirdparty-local; skip root/pypi private",
            ),
            (
                "team/dev",
                true,
                "six",
                by_local,
                "ask shared/thirdparty-local root/pypi; skip ",
            ),
            (
                local,
                false,
                "six",
                by_local,
                "ask shared/thirdparty-local root/pypi; skip ",
            ),
            (local, false, "acme", by_reviewed, "ask root/pypi; skip "),
        ];
        for (asked, union, name, holders, expected) in table {
            let found = sources(&world(union), asked, name, holders);
            assert_eq!(
                found, expected,
                "{name} held by {holders:?} through {asked}"
            );
        }
    }

    #[test]
    fn two_mirrors_never_protect_each_other() {
        let documents = vec![
            stage("a/asked", &["m/one", "m/two"]),
            mirror("m/one"),
            mirror("m/two"),
        ];
        assert_eq!(asked(documents, &["m/one"]), ["one", "two"]);
    }

    #[test]
    fn a_skipped_mirror_names_the_stage_that_holds_the_name() {
        let policies = compiled(setup(&[], &[], false), vec![]);
        let stack = policies.stack(&index("a/asked")).unwrap();
        let holds = |name: &crate::model::IndexName| name.as_str() == "a/base";
        let now = at("2026-01-05T00:00:00Z");
        let verdict = stack.decide_project(&project("six"), now, &holds);
        let Verdict::Allow(allowed) = verdict else {
            panic!("{verdict:?}");
        };
        let sources = allowed.into_item();
        assert_eq!(sources.skipped.len(), 1);
        assert_eq!(sources.skipped[0].member, 2);
        assert_eq!(
            sources.skipped[0].reason,
            SkipReason::Private(index("a/base"))
        );
    }

    #[test]
    fn owned_names_come_from_stages_or_from_nobody() {
        let policies = compiled(
            vec![
                stage("a/top", &["a/base", "m/beside"]),
                stage("a/base", &["m/below"]).owns(&["acme-*"]),
                mirror("m/beside"),
                mirror("m/below"),
            ],
            vec![],
        );
        let nobody = "denied: acme-x is refused by owns of a/base: acme-* is reserved and never from a mirror";
        let table: [(&str, &[&str], &str); 5] = [
            ("a/top", &[], nobody),
            (
                "a/top",
                &["a/top"],
                "ask a/top; skip m/beside owned m/below owned",
            ),
            ("a/base", &["a/base"], "ask a/base; skip m/below owned"),
            ("m/below", &[], nobody),
            ("m/beside", &[], "ask m/beside; skip "),
        ];
        for (asked, held, expected) in table {
            assert_eq!(
                sources(&policies, asked, "acme-x", held),
                expected,
                "{asked}"
            );
        }
        assert_eq!(
            sources(&policies, "a/top", "six", &[]),
            "ask m/beside m/below; skip "
        );
    }

    #[test]
    fn a_member_refused_by_name_is_skipped_while_others_are_asked() {
        let upstream = Matchers {
            upstream: vec![index("m/one")],
            ..of(&["six"])
        };
        let policies = compiled(
            vec![
                stage("a/top", &["m/one", "m/two"]).policy("top"),
                mirror("m/one"),
                mirror("m/two"),
            ],
            vec![policy("top", vec![deny(upstream), deny(of(&["seven"]))])],
        );
        assert_eq!(
            sources(&policies, "a/top", "six", &[]),
            "ask m/two; skip m/one denied"
        );
        let everywhere = "denied: seven is refused by policy top: project: seven";
        assert_eq!(sources(&policies, "a/top", "seven", &[]), everywhere);
        assert_eq!(sources(&policies, "a/top", "seven", &["a/top"]), everywhere);
        assert_eq!(
            sources(&policies, "m/one", "seven", &[]),
            "ask m/one; skip "
        );
    }

    #[test]
    fn a_project_that_nobody_knows_is_no_refusal() {
        let policies = compiled(vec![stage("a/top", &[])], vec![]);
        assert_eq!(sources(&policies, "a/top", "six", &[]), "ask ; skip ");
    }
}
