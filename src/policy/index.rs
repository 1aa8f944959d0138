//! An index with every setting resolved: every default is filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::language::{
    Common, IndexDocument, IndexKindDocument, Mirror, NamePattern, Placed, Stage,
};
use crate::model::{Fault, Faults, IndexName, Location, ProjectName};
use crate::policy::names::Names;
use crate::policy::rule::Policy;
use crate::policy::whitelist::Whitelist;

/// One index.
#[derive(Debug)]
pub struct Index {
    /// `user/index`.
    pub name: IndexName,
    /// Where it is declared; `None` if it was created through the devpi API.
    pub location: Option<Location>,
    /// What any index may set.
    pub settings: Common,
    /// A stage or a mirror.
    pub kind: IndexKind,
    /// The rules for everything seen through it.
    pub policy: Option<Arc<Policy>>,
    pub(super) owns: Owns,
    pub(super) whitelist: Option<Whitelist>,
}

/// What is particular to a stage or a mirror.
#[derive(Debug)]
pub enum IndexKind {
    /// Takes uploads and inherits.
    Stage(Stage),
    /// Has an upstream.
    Mirror(Mirror),
}

/// `owns`: the reserved names of one index.
#[derive(Debug)]
pub(super) struct Owns {
    pub(super) patterns: Vec<Placed<NamePattern>>,
    names: Names,
}

impl Index {
    /// Resolves one document. `location` is `None` for an index created through the devpi API.
    pub(super) fn compile(
        document: &IndexDocument,
        location: Option<Location>,
        policies: &BTreeMap<Arc<str>, Arc<Policy>>,
        faults: &mut Faults,
    ) -> Self {
        let about = document.about();
        Self {
            name: document.name.value.clone(),
            location,
            settings: Common::new(&document.settings, &about),
            kind: match &document.kind {
                IndexKindDocument::Stage(stage) => IndexKind::Stage(Stage::new(stage, &about)),
                IndexKindDocument::Mirror(mirror) => IndexKind::Mirror(Mirror::new(mirror, &about)),
            },
            policy: find_policy(document, policies, faults),
            owns: Owns::compile(document.settings.owns(), faults),
            whitelist: Whitelist::compile(document, faults),
        }
    }

    /// What is particular to a stage, if it is one.
    #[must_use]
    pub fn stage(&self) -> Option<&Stage> {
        match &self.kind {
            IndexKind::Stage(stage) => Some(stage),
            IndexKind::Mirror(_) => None,
        }
    }

    /// What is particular to a mirror, if it is one.
    #[must_use]
    pub fn mirror(&self) -> Option<&Mirror> {
        match &self.kind {
            IndexKind::Stage(_) => None,
            IndexKind::Mirror(mirror) => Some(mirror),
        }
    }

    /// Whether it has an upstream.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.mirror().is_some()
    }

    /// Whether it is a mirror that was made through devpi's API (docs/adr/0031).
    #[must_use]
    pub fn is_made_by_api(&self) -> bool {
        self.location.is_none() && self.mirror().is_some_and(|mirror| !mirror.is_devpi())
    }

    /// What it inherits, as declared; a mirror inherits nothing.
    #[must_use]
    pub fn bases(&self) -> &[IndexName] {
        self.stage().map_or(&[], Stage::bases)
    }

    /// The names that `owns` reserves, as written.
    pub fn owned_names(&self) -> impl Iterator<Item = String> {
        let patterns = self.owns.patterns.iter();
        patterns.map(|pattern| pattern.value.to_string())
    }

    /// How many names and pinned projects `whitelist` and `whitelist_files` let through; `None` if it has
    /// neither.
    #[must_use]
    pub fn whitelisted(&self) -> Option<usize> {
        self.whitelist.as_ref().map(Whitelist::entries)
    }

    /// Whether it restricts what is seen through it.
    pub(super) fn restricts(&self) -> bool {
        self.policy.is_some() || self.whitelist.is_some()
    }
}

impl Owns {
    fn compile(patterns: Option<&Vec<Placed<NamePattern>>>, faults: &mut Faults) -> Self {
        let patterns = patterns.map(Vec::as_slice).unwrap_or_default();
        let placed = (0_u32..).zip(patterns);
        let placed = placed.map(|(position, entry)| (position, &entry.value, &entry.location));
        Self {
            names: Names::compile(placed, faults),
            patterns: patterns.to_vec(),
        }
    }

    /// The first pattern that reserves this name.
    pub(super) fn reserving(&self, project: &ProjectName) -> Option<&Placed<NamePattern>> {
        let position = self.names.first(project)?;
        self.patterns.get(position as usize)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

fn find_policy(
    document: &IndexDocument,
    policies: &BTreeMap<Arc<str>, Arc<Policy>>,
    faults: &mut Faults,
) -> Option<Arc<Policy>> {
    let named = document.settings.policy()?;
    let found = policies.get(named.value.as_str());
    if found.is_none() {
        let known = policies.keys().map(|name| &**name);
        let fault = Fault::at(&named.location, format!("unknown policy {:?}", named.value));
        faults.push(fault.did_you_mean(&named.value, known));
    }
    found.cloned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::sample::{index, mirror, pattern, place, project, stage};

    const DAY: Duration = Duration::from_hours(24);

    fn compile(document: &IndexDocument) -> Index {
        let mut faults = Faults::default();
        let index = Index::compile(document, None, &BTreeMap::new(), &mut faults);
        faults.or(index).unwrap()
    }

    #[test]
    fn what_is_not_written_gets_devpis_defaults() {
        let stage = compile(&stage("packages/stable", &["root/pypi"]));
        assert!(stage.settings.volatile() && stage.settings.public());
        assert_eq!(stage.bases(), [index("root/pypi")]);
        let kind = stage.stage().unwrap();
        assert_eq!(kind.acl_upload(), ["packages"]);
        assert_eq!(kind.acl_toxresult_upload(), [":ANONYMOUS:"]);

        let other = compile(&mirror("corp/mirror"));
        assert!(other.settings.volatile() && other.bases().is_empty());
        let kind = other.mirror().unwrap();
        assert_eq!(kind.mirror_cache_expiry(), Duration::from_secs(1800));
        let kept = kind.keep_last_good();
        let kept = (kept.period, kept.older_than);
        assert_eq!(kept, (7 * DAY, 14 * DAY));
        assert!(!compile(&mirror("root/pypi")).settings.volatile());
    }

    #[test]
    fn owns_names_the_pattern_that_reserves() {
        let index = compile(&stage("a/b", &[]).owns(&["acme-*", "/^corp/", "six"]));
        let reserving = |name: &str| {
            let found = index.owns.reserving(&project(name));
            found.map(|entry| entry.value.clone())
        };
        assert_eq!(reserving("Acme.Core"), Some(pattern("acme-*")));
        assert_eq!(reserving("corp-x"), Some(pattern("/^corp/")));
        assert_eq!(reserving("sixty"), None);
    }

    #[test]
    fn an_unknown_policy_is_a_fault_with_a_suggestion() {
        let document = stage("a/b", &[]).policy("corporat");
        let mut faults = Faults::default();
        let rules = crate::policy::sample::policy("corporate", Vec::new());
        let policy = Arc::new(Policy::compile(&rules, &Arc::default(), &mut faults));
        let policies = BTreeMap::from([(Arc::clone(&policy.name), policy)]);
        let _ = Index::compile(&document, Some(place(1)), &policies, &mut faults);
        insta::assert_snapshot!(
            faults,
            @r#"policies/web.yaml:1:5: unknown policy "corporat", did you mean "corporate"?"#
        );
    }
}
