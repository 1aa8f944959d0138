//! What an operator may have written: random stacks of stages and mirrors under random policies.

use cheesecloth::testing::model::Sha256;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{MIRRORS, STAGES, bytes_of};

/// The conditions of rules; each occurs in some policy.
const CONDITIONS: [&str; 29] = [
    "project: six",
    "project: 'acme-*'",
    "project: /x$/",
    "project: [six, 'acme-*']",
    "versions: '>=2'",
    "project: six, versions: '<2'",
    "versions: '===2004d'",
    "versions: '===1.0-final-2, !=2'",
    "project: six, versions: '!=2.*'",
    "kind: [sdist]",
    "python: [py3]",
    "platform: ['linux_*']",
    "size_over: 10B",
    "younger_than: 7d",
    "older_than: 20d",
    "late: 14d",
    "yanked: true",
    "upstream: [m/one]",
    "advisory: malware",
    "status: [archived]",
    "new_name: { similar_to: [acme-y] }",
    "license: ['GPL-*']",
    "license: [MIT, unknown]",
    "startup_files: true",
    "startup_files: false",
    "provenance: missing",
    "provenance: lost",
    "younger_than: 20d, unless: fixes_advisory",
    // Of six-2.5.tar.gz in m/one, and of six-1.0.tar.gz in s/low.
    "sha256: [a25f69cf2ca6f9c3470bca0cf7515c9d1441c8801abe0b9cadd878f70599a066, d15542dc8a6f1c6198909510668eaf38486b623c4f8946e788c76912e630eec2]",
];

const UNLESS: &str = ", unless: fixes_advisory";

/// What an operator wrote.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) indexes: Vec<IndexText>,
    policies: String,
    /// What was recalled, mostly nothing.
    pub(super) recalls: Vec<String>,
}

/// An index as YAML: what it consists of, and what restricts it.
#[derive(Debug, Clone)]
pub(super) struct IndexText {
    pub(super) name: &'static str,
    made_of: String,
    pub(super) restricted_by: String,
}

impl Written {
    /// The YAML, with or without the restrictions.
    pub(super) fn yaml(&self, is_restricted: bool) -> String {
        let mut yaml = "advisories: [osv]\nindexes:\n".to_owned();
        for index in &self.indexes {
            let more = if is_restricted {
                &*index.restricted_by
            } else {
                ""
            };
            yaml += &format!("  {}: {{ {}{more} }}\n", index.name, index.made_of);
        }
        yaml + "policies:\n" + &self.policies
    }
}

pub(super) fn policy(name: &'static str) -> impl Strategy<Value = String> {
    let until = select(vec!["", "", ", until: 2026-01-04", ", until: 2026-02-01"]);
    let rule = (
        select(vec!["deny", "allow"]),
        select(CONDITIONS.to_vec()),
        until,
    );
    let rules = prop::collection::vec(rule, 0..4);
    let mode = select(vec!["enforce", "enforce", "enforce", "audit"]);
    let default = select(vec!["allow", "allow", "deny"]);
    (rules, mode, select(vec!["hide", "yank"]), default).prop_map(
        move |(rules, mode, on_block, default)| {
            let mut yaml = format!(
                "  {name}:\n    mode: {mode}\n    on_block: {on_block}\n    default: {default}\n    rules:\n"
            );
            if rules.is_empty() {
                yaml.truncate(yaml.len() - "    rules:\n".len());
            }
            for (effect, condition, until) in rules {
                // An exemption belongs to what refuses.
                let condition = match effect {
                    "allow" => condition.replace(UNLESS, ""),
                    _ => condition.to_owned(),
                };
                yaml += &format!("      - {effect}: {{ {condition}{until} }}\n");
            }
            yaml
        },
    )
}

/// The keys that every index may have.
pub(super) fn restrictions() -> impl Strategy<Value = String> {
    let policy = select(vec!["", "", ", policy: p0", ", policy: p1"]);
    let owns = select(vec!["", "", "", "", ", owns: ['acme-*']"]);
    let whitelist = select(vec![
        "",
        "",
        "",
        ", whitelist: [six]",
        ", whitelist: ['acme-*', six]",
    ]);
    let public = select(vec!["", "", "", HIDDEN]);
    (policy, owns, whitelist, public)
        .prop_map(|(policy, owns, whitelist, public)| [policy, owns, whitelist, public].concat())
}

/// Keeps an index off the public door.
pub(super) const HIDDEN: &str = ", public: false";

/// Stages inherit only from those after them, so there are no cycles.
fn indexes() -> impl Strategy<Value = Vec<IndexText>> {
    let stages: Vec<_> = (0..STAGES.len())
        .map(|position| {
            let below = [&STAGES[position + 1..], &MIRRORS].concat();
            let most = below.len();
            let freed = select(vec!["", "[six]", "['*']", "['*']"]);
            let inheritance = select(vec!["intersection", "union"]);
            (
                subsequence(below, 0..=most),
                freed,
                inheritance,
                restrictions(),
            )
                .prop_map(move |(bases, freed, inheritance, restricted_by)| {
                    let mut made_of = format!("bases: [{}]", bases.join(", "));
                    if !freed.is_empty() {
                        made_of += &format!(", mirror_whitelist: {freed}");
                    }
                    made_of += &format!(", mirror_whitelist_inheritance: {inheritance}");
                    IndexText {
                        name: STAGES[position],
                        made_of,
                        restricted_by,
                    }
                })
                .boxed()
        })
        .collect();
    let mirrors = MIRRORS.map(|name| {
        let undated = select(vec!["deny", "first_seen", "old"]);
        (undated, restrictions()).prop_map(move |(undated, restricted_by)| {
            let host = name.replace('/', "-");
            IndexText {
                name,
                made_of: format!(
                    "type: mirror, mirror_url: 'https://{host}.upstream.example/simple/', undated: {undated}"
                ),
                restricted_by,
            }
        })
    });
    (stages, mirrors).prop_map(|(stages, mirrors)| [stages, mirrors.to_vec()].concat())
}

pub(super) fn written() -> impl Strategy<Value = Written> {
    let parts = (indexes(), policy("p0"), policy("p1"), recalls());
    parts.prop_map(|(indexes, one, two, recalls)| Written {
        indexes,
        policies: one + &two,
        recalls,
    })
}

/// Whole projects, releases, files and digests.
fn recalls() -> impl Strategy<Value = Vec<String>> {
    let wheel = bytes_of("m/one", "six-2.5-py3-none-any.whl");
    let subjects = vec![
        "six".to_owned(),
        "six==2.5".to_owned(),
        "acme-x<2".to_owned(),
        "acme_x-2.5.tar.gz".to_owned(),
        "SIX-1.0_final_2-py2.7.egg".to_owned(),
        format!("sha256:{}", Sha256::of(&wheel)),
    ];
    let some = subsequence(subjects, 1..=2);
    prop::option::weighted(0.4, some).prop_map(Option::unwrap_or_default)
}
