//! Files that cannot be decided on before somebody has looked into them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::catalog::{Resolved, candidate};
use crate::gateway::tickets::Grant;
use crate::model::{Kind, Sha256, Timestamp, Version, WorkLimits};
use crate::page::Entry;
use crate::policy::{Needs, ProjectView, Verdict};

/// A file to look into, and for what.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// The permission to fetch what is needed of it.
    pub grant: Grant,
    /// Its digest.
    pub sha256: Sha256,
    /// What is needed.
    pub needs: Needs,
}

impl Inquiry {
    /// What has to be known of a file of a page before it is decided on.
    pub fn about(view: &ProjectView<'_>, entry: &Entry<'_>, now: Timestamp) -> Option<Self> {
        let undecided = view.undecided(&candidate(entry), now)?;
        let index = &view.stack().members[entry.member].index;
        Some(Self {
            sha256: entry.file.hashes.sha256()?,
            grant: Grant::new(
                undecided.permission.to_shared(),
                index.name.clone(),
                !index.is_mirror(),
            ),
            needs: undecided.needs,
        })
    }

    /// Whether the whole file has to be fetched.
    fn takes_all(&self) -> bool {
        let kind = self.grant.file.item().filename.kind();
        !self.grant.is_private && kind != Kind::Wheel
    }
}

/// The files that a page has looked into next, the newest first.
///
/// A source archive has to be fetched whole, and is of use where no wheel is. So a page asks for one, and
/// only while it lists nothing.
pub fn next_inquiries(resolved: &Resolved, limits: &WorkLimits, now: Timestamp) -> Vec<Inquiry> {
    let view = resolved.view();
    if !view.asks_inside() {
        return Vec::new();
    }
    let merged = resolved.layers.merged();
    let mut open: BTreeMap<Reverse<Version>, Vec<Inquiry>> = BTreeMap::new();
    let mut lists_any = false;
    for entry in merged.entries() {
        match Inquiry::about(&view, &entry, now) {
            Some(inquiry) => {
                let version = Reverse(entry.file.filename.version());
                open.entry(version).or_default().push(inquiry);
            }
            None if !lists_any => {
                let verdict = view.decide_file(&candidate(&entry), now);
                lists_any = matches!(verdict, Verdict::Allow(_));
            }
            None => {}
        }
    }
    let open = open.into_values().flatten();
    let (whole, parts): (Vec<Inquiry>, Vec<Inquiry>) = open.partition(Inquiry::takes_all);
    if parts.is_empty() {
        return whole.into_iter().take(usize::from(!lists_any)).collect();
    }
    parts.into_iter().take(limits.inquiries).collect()
}
