//! An index with every setting resolved: nothing here is absent that has a default.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Fault, Faults, IndexName, Location, ProjectName};
use crate::policy::document::{
    IndexDocument, IndexKindDocument, KeepLastGoodDocument, MirrorDocument, NamePattern, Placed,
    Quarantined, SecretSource, StageDocument, Undated, WhitelistInheritance, WhitelistName,
};
use crate::policy::names::{Names, pattern_words};
use crate::policy::rule::Policy;
use crate::policy::whitelist::Whitelist;

/// devpi's `--mirror-cache-expiry` (docs/protocol/devpi.md §7.2).
const MIRROR_CACHE_EXPIRY: Duration = Duration::from_mins(30);

/// How long a project that vanished upstream keeps its files.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// Least age of the files it keeps. Malware is mostly found and taken down within days, so what
/// vanishes sooner after its upload is not worth the risk.
const KEPT_OLDER_THAN: Duration = Duration::from_hours(14 * 24);

/// `mirror_url` of `type: devpi`: the index of that name on the servers that `devpi:` names. No URL that
/// can be written in a file.
const DEVPI_URL: &str = "devpi:";

/// How long a page of a devpi-server is fresh: after that it is judged by devpi's serial, which costs
/// no page, so that what was uploaded is listed at once.
const DEVPI_CACHE_EXPIRY: Duration = Duration::from_millis(500);

/// The mirror that `devpi-init` makes; the only index that is not volatile by default.
const BUILT_IN_MIRROR: &str = "root/pypi";

/// devpi's word for everyone in an access list.
const EVERYONE: &str = ":ANONYMOUS:";

/// One index.
#[derive(Debug)]
pub struct Index {
    /// `user/index`.
    pub name: IndexName,
    /// Where it is declared; nothing for one made through the devpi API.
    pub location: Option<Location>,
    /// `title`, which people may leave out.
    pub title: Option<String>,
    /// Whether what it holds may be changed and removed.
    pub volatile: bool,
    /// Whether public doors show it. One that they do not show is a base like any other.
    pub is_public: bool,
    /// A stage or a mirror.
    pub kind: IndexKind,
    policy: Option<Arc<Policy>>,
    owns: Owns,
    whitelist: Option<Whitelist>,
}

/// What is particular to a stage or a mirror.
#[derive(Debug)]
pub enum IndexKind {
    /// Takes uploads and inherits.
    Stage(Stage),
    /// Has an upstream.
    Mirror(Mirror),
}

/// A stage (docs/protocol/devpi.md §7.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it inherits, in order, as declared: not each need exist.
    pub bases: Vec<IndexName>,
    /// Who may upload.
    pub acl_upload: Vec<String>,
    /// Who may add tox results.
    pub acl_toxresult_upload: Vec<String>,
    /// Private names that may also come from mirrors.
    pub mirror_whitelist: MirrorWhitelist,
    /// How the lists of bases are joined to it.
    pub mirror_whitelist_inheritance: WhitelistInheritance,
}

/// devpi's `mirror_whitelist`: as written, and ready for look-ups.
#[derive(Debug, PartialEq, Eq)]
pub struct MirrorWhitelist {
    /// The entries in their order, for showing.
    pub entries: Vec<WhitelistName>,
    set: HashSet<WhitelistName>,
}

/// A mirror (docs/protocol/devpi.md §7.2).
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    /// `mirror_url`; nothing: the index that pip on this machine uses. May hold a password.
    pub mirror_url: Option<String>,
    /// How long a page is fresh.
    pub mirror_cache_expiry: Duration,
    /// The upstream has no usable project list.
    pub mirror_no_project_list: bool,
    /// Files are redirected to instead of cached.
    pub mirror_use_external_urls: bool,
    /// Kept and shown.
    pub mirror_web_url_fmt: Option<String>,
    /// What rules about age make of files without an upload-time.
    pub undated: Undated,
    /// Left out of a stack when it cannot be asked.
    pub optional: bool,
    /// Statuses by which its upstream says that it has no such project, besides 404 and 410.
    pub absent_statuses: Vec<u16>,
    /// What a project that vanished keeps.
    pub keep_last_good: KeepLastGood,
    /// Made through devpi's API: an empty body is a page without files (docs/adr/0031).
    pub is_made_by_api: bool,
    /// What to list of a quarantined project.
    pub quarantined: Quarantined,
    /// No byte is served before the digest holds.
    pub verify_before_serving: bool,
    /// The user for upstream, apart from the URL.
    pub username: Option<String>,
    /// Where the password for upstream is kept.
    pub password: Option<Placed<SecretSource>>,
}

/// Which files a project that vanished upstream keeps, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepLastGood {
    /// How long after upstream last listed them; zero is off.
    pub period: Duration,
    /// Files that were younger than this when they vanished are not kept.
    pub older_than: Duration,
}

/// `owns`: the reserved names of one index.
#[derive(Debug)]
pub(super) struct Owns {
    pub(super) patterns: Vec<Placed<NamePattern>>,
    names: Names,
}

impl Index {
    /// Resolves one document. `location` is nothing for an index made through the devpi API.
    pub(super) fn compile(
        document: &IndexDocument,
        location: Option<Location>,
        policies: &BTreeMap<Arc<str>, Arc<Policy>>,
        faults: &mut Faults,
    ) -> Self {
        let kind = match &document.kind {
            IndexKindDocument::Stage(stage) => {
                IndexKind::Stage(Stage::new(stage, &document.name.value))
            }
            IndexKindDocument::Mirror(mirror) => IndexKind::Mirror(Mirror::new(mirror)),
        };
        let is_mirror = matches!(kind, IndexKind::Mirror(_));
        let built_in = is_mirror && document.name.value.as_str() == BUILT_IN_MIRROR;
        Self {
            name: document.name.value.clone(),
            location,
            title: document.title.clone(),
            volatile: document.volatile.unwrap_or(!built_in),
            is_public: document.is_public,
            kind,
            policy: find_policy(document, policies, faults),
            owns: Owns::compile(&document.owns, faults),
            whitelist: Whitelist::compile(document, faults),
        }
    }

    /// The rules for everything seen through it.
    #[must_use]
    pub fn policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
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

    /// What it inherits, as declared; a mirror inherits nothing.
    #[must_use]
    pub fn bases(&self) -> &[IndexName] {
        self.stage().map_or(&[], |stage| &stage.bases)
    }

    /// The names that `owns` reserves, as written.
    pub fn owned_names(&self) -> impl Iterator<Item = String> {
        self.owns
            .patterns
            .iter()
            .map(|pattern| pattern_words(&pattern.value))
    }

    /// How many names and pinned projects `whitelist` and `whitelist_files` let through; nothing when
    /// it has neither.
    #[must_use]
    pub fn whitelisted(&self) -> Option<usize> {
        self.whitelist.as_ref().map(Whitelist::entries)
    }

    pub(super) fn owns(&self) -> &Owns {
        &self.owns
    }

    pub(super) fn whitelist(&self) -> Option<&Whitelist> {
        self.whitelist.as_ref()
    }

    /// Whether it restricts what is seen through it.
    pub(super) fn restricts(&self) -> bool {
        self.policy.is_some() || self.whitelist.is_some()
    }
}

impl Stage {
    fn new(document: &StageDocument, name: &IndexName) -> Self {
        let owner = || vec![name.user().to_owned()];
        let everyone = || vec![EVERYONE.to_owned()];
        Self {
            bases: document
                .bases
                .iter()
                .map(|base| base.value.clone())
                .collect(),
            acl_upload: document.acl_upload.clone().unwrap_or_else(owner),
            acl_toxresult_upload: document
                .acl_toxresult_upload
                .clone()
                .unwrap_or_else(everyone),
            mirror_whitelist: MirrorWhitelist {
                entries: document.mirror_whitelist.clone(),
                set: document.mirror_whitelist.iter().cloned().collect(),
            },
            mirror_whitelist_inheritance: document.mirror_whitelist_inheritance,
        }
    }
}

impl MirrorWhitelist {
    /// Whether it has `*`.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.set.contains(&WhitelistName::All)
    }

    /// Whether it has this very project; `*` is asked apart, since joining lists tells them apart.
    #[must_use]
    pub fn has(&self, project: &ProjectName) -> bool {
        !self.set.is_empty() && self.set.contains(&WhitelistName::Project(project.clone()))
    }
}

impl MirrorDocument {
    /// An index of the servers that `devpi:` names. What was deleted there is gone here as well.
    #[must_use]
    pub fn of_devpi(location: Location) -> Self {
        Self {
            mirror_url: Some(Placed {
                value: DEVPI_URL.to_owned(),
                location,
            }),
            mirror_cache_expiry: Some(DEVPI_CACHE_EXPIRY),
            keep_last_good: KeepLastGoodDocument {
                period: Some(Duration::ZERO),
                older_than: None,
            },
            ..Self::default()
        }
    }

    /// Whether it is one.
    #[must_use]
    pub fn is_devpi(&self) -> bool {
        let url = self.mirror_url.as_ref();
        url.is_some_and(|url| url.value == DEVPI_URL)
    }
}

impl Mirror {
    /// Whether its upstream is the index of the same name on the servers that `devpi:` names.
    #[must_use]
    pub fn is_devpi(&self) -> bool {
        self.mirror_url.as_deref() == Some(DEVPI_URL)
    }

    fn new(document: &MirrorDocument) -> Self {
        Self {
            mirror_url: document.mirror_url.as_ref().map(|url| url.value.clone()),
            mirror_cache_expiry: document.mirror_cache_expiry.unwrap_or(MIRROR_CACHE_EXPIRY),
            mirror_no_project_list: document.mirror_no_project_list,
            mirror_use_external_urls: document.mirror_use_external_urls,
            mirror_web_url_fmt: document.mirror_web_url_fmt.clone(),
            undated: document.undated,
            optional: document.optional,
            absent_statuses: document.absent_statuses.clone(),
            keep_last_good: KeepLastGood {
                period: document.keep_last_good.period.unwrap_or(KEPT_FOR),
                older_than: document
                    .keep_last_good
                    .older_than
                    .unwrap_or(KEPT_OLDER_THAN),
            },
            is_made_by_api: document.is_made_by_api,
            quarantined: document.quarantined,
            verify_before_serving: document.verify_before_serving,
            username: document.username.clone(),
            password: document.password.clone(),
        }
    }
}

impl Owns {
    fn compile(patterns: &[Placed<NamePattern>], faults: &mut Faults) -> Self {
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
    let named = document.policy.as_ref()?;
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
        assert!(stage.volatile);
        assert_eq!(stage.bases(), [index("root/pypi")]);
        let kind = stage.stage().unwrap();
        assert_eq!(kind.acl_upload, ["packages"]);
        assert_eq!(kind.acl_toxresult_upload, [":ANONYMOUS:"]);

        let other = compile(&mirror("corp/mirror"));
        assert!(other.volatile && other.bases().is_empty());
        let kind = other.mirror().unwrap();
        assert_eq!(kind.mirror_cache_expiry, Duration::from_secs(1800));
        let kept = (kind.keep_last_good.period, kind.keep_last_good.older_than);
        assert_eq!(kept, (7 * DAY, 14 * DAY));
        assert!(!compile(&mirror("root/pypi")).volatile);
    }

    #[test]
    fn owns_names_the_pattern_that_reserves() {
        let index = compile(&stage("a/b", &[]).owns(&["acme-*", "/^corp/", "six"]));
        let reserving = |name: &str| {
            let found = index.owns().reserving(&project(name));
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
        let policy = Arc::new(Policy::compile(&rules, &mut faults));
        let policies = BTreeMap::from([(Arc::clone(policy.name()), policy)]);
        let _ = Index::compile(&document, Some(place(1)), &policies, &mut faults);
        insta::assert_snapshot!(
            faults,
            @r#"policies/web.yaml:1:5: unknown policy "corporat", did you mean "corporate"?"#
        );
    }
}
