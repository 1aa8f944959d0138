//! Short spellings of indexes, policies and files for the tests of this room.

use std::collections::HashSet;

use crate::language::{IndexDocument, PolicyDocument};
pub use crate::language::{
    allow, at, deny, document, index, mirror, of, osv, pattern, place, placed, policy, project,
    stage,
};
use crate::model::{
    File, Filename, Hashes, IndexName, Recall, Sha256, UploadTime, UploadTimeSource,
};
use crate::policy::compile::Policies;
use crate::policy::recalls::Recalls;
use crate::policy::sources::SkipReason;
use crate::policy::verdict::Verdict;

pub(super) fn compiled(indexes: Vec<IndexDocument>, policies: Vec<PolicyDocument>) -> Policies {
    Policies::compile(&[document(indexes, policies)], &[]).unwrap()
}

/// These recalls, each for the reason "stolen token".
pub(super) fn recalls(subjects: &[&str]) -> Recalls {
    let recall = |(id, subject): (u64, &&str)| Recall {
        id,
        subject: subject.parse().unwrap(),
        reason: "stolen token".into(),
        who: None,
        at: at("2026-01-04T00:00:00Z"),
        is_kept: false,
    };
    Recalls::of((1..).zip(subjects).map(recall).collect())
}

/// A file uploaded at the start of 2026, 1000 bytes, with the digest of its own name.
pub fn file(name: &str, of: &str) -> File {
    let mut file = File::named(Filename::parse(name, &project(of)).unwrap());
    file.size = Some(1000);
    file.hashes = Hashes::sha256_only(Sha256::of(name.as_bytes()));
    file.upload_time = Some(UploadTime {
        at: at("2026-01-01T00:00:00Z"),
        source: UploadTimeSource::Index,
    });
    file
}

/// Who is asked for a project and what the others are skipped for, or the refusal.
pub(super) fn sources(policies: &Policies, asked: &str, name: &str, held: &[&str]) -> String {
    let stack = policies.stack(&index(asked)).unwrap();
    let held: HashSet<IndexName> = held.iter().map(|name| index(name)).collect();
    let verdict = stack.decide_project(&project(name), at("2026-01-05T00:00:00Z"), &|name| {
        held.contains(name)
    });
    let name = |position: usize| stack.members[position].index.name.to_string();
    match verdict {
        Verdict::Deny(denial) => format!("denied: {}", denial.short()),
        Verdict::Allow(allowed) => {
            let sources = allowed.item();
            let asked: Vec<_> = sources.ask.iter().map(|one| name(*one)).collect();
            let skipped = sources.skipped.iter().map(|one| {
                let reason = match &one.reason {
                    SkipReason::Private(_) => "private",
                    SkipReason::Denied(_) => "denied",
                    SkipReason::Owned(_) => "owned",
                };
                format!("{} {reason}", name(one.member))
            });
            let skipped: Vec<_> = skipped.collect();
            format!("ask {}; skip {}", asked.join(" "), skipped.join(" "))
        }
    }
}
