//! What mirrors may reach besides public addresses: whoever says where a mirror is decides that.
//!
//! A file is the operator's word, and so is the index that pip on this machine uses: `devpi-init` puts
//! that one into the records, where it stands next to mirrors that anybody may have created.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use url::Url;

use crate::config::Config;
use crate::language::{IndexDocument, IndexKindDocument};
use crate::model::{MirrorPlace, MirrorPlaces};
use crate::policy::Index;
use crate::upstream::{Bounds, OwnDoors, Trust};

/// The file below the data folder that names the index which `devpi-init` found on this machine.
const OWN_INDEX: &str = "own-index-url";

/// What all mirrors share.
#[derive(Debug, Clone, Default)]
pub(super) struct Neighbours {
    places: MirrorPlaces,
    pub(super) doors: OwnDoors,
    own_index: Option<Url>,
}

impl Neighbours {
    pub(super) fn of(config: &Config) -> Self {
        let noted = std::fs::read_to_string(config.data.join(OWN_INDEX)).ok();
        Self {
            places: config.manage.mirrors_to.clone(),
            doors: OwnDoors::default(),
            own_index: noted.and_then(|text| text.trim().parse().ok()),
        }
    }

    /// Adds the index that pip uses, which is the operator's word too.
    pub(super) fn beside(mut self, pips: Option<&Url>) -> Self {
        self.own_index = pips.cloned().or(self.own_index);
        self
    }

    /// What a mirror at this URL may reach.
    pub(super) fn bounds(&self, index: &Index, url: &Url) -> Bounds {
        Bounds {
            trust: if index.location.is_some() || self.is_own_index(url) {
                Trust::Declared
            } else {
                Trust::Made(self.places.clone())
            },
            doors: self.doors.clone(),
        }
    }

    fn is_own_index(&self, url: &Url) -> bool {
        let own = self.own_index.as_ref();
        own.is_some_and(|own| own.origin() == url.origin())
    }

    /// Describes the mirrors in the records that are not asked without the operator's consent; the last
    /// line is what the operator has to write to allow them.
    pub(super) fn strangers(&self, stored: &[IndexDocument]) -> Vec<String> {
        let (mut words, mut places) = (Vec::new(), BTreeSet::new());
        for index in stored {
            let IndexKindDocument::Mirror(mirror) = &index.kind else {
                continue;
            };
            let url = mirror.mirror_url.as_ref().map(|url| url.value.parse());
            let Some(Ok(url)) = url else {
                continue;
            };
            let Err(why) = self.places.check(&url) else {
                continue;
            };
            if self.is_own_index(&url) {
                continue;
            }
            words.push(format!("mirror {} is not asked: {why}", index.name.value));
            places.extend(place_of(&url));
        }
        if !places.is_empty() {
            let places: Vec<String> = places.iter().map(|place| format!("'{place}'")).collect();
            words.push(format!(
                "to have what you trust of them asked, write into cheesecloth.yaml: \
                 manage: {{ mirrors_to: [{}] }}",
                places.join(", ")
            ));
        }
        words
    }
}

/// The place to list for a mirror; `None` if listing it would not help.
fn place_of(mirror: &Url) -> Option<String> {
    let origin: Url = mirror.origin().ascii_serialization().parse().ok()?;
    let listed = MirrorPlaces::from_iter([MirrorPlace::Server(origin.clone())]);
    listed.check(mirror).is_ok().then(|| origin.to_string())
}

/// Notes the index that this machine uses, which is the operator's word.
pub(super) fn note_own_index(data: &Path, url: &Url) -> anyhow::Result<()> {
    let path = data.join(OWN_INDEX);
    // Without the login that its URL may have.
    let origin = url.origin().ascii_serialization();
    let noted = std::fs::write(&path, format!("{origin}\n"));
    noted.with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, PoliciesPath, load};
    use crate::gateway::Generations;
    use crate::policy::Policies;

    const FILES: &str =
        "indexes: { root/declared: { type: mirror, mirror_url: 'http://10.0.0.1/' } }
manage: { mirrors_to: ['http://10.0.0.2/'] }";

    fn stored(name: &str, url: &str) -> IndexDocument {
        let name = crate::model::IndexName::parse(name).unwrap();
        let keys = serde_json::json!({ "type": "mirror", "mirror_url": url });
        let record = crate::db::IndexRecord {
            name,
            config: keys.as_object().unwrap().clone(),
            volatile: true,
            revision: crate::db::Serial(1),
            created: crate::model::Timestamp::UNIX_EPOCH,
        };
        let directory = crate::db::Directory {
            users: Vec::new(),
            indexes: vec![record],
        };
        Generations::stored(&directory).remove(0)
    }

    #[test]
    fn who_says_where_a_mirror_is_decides_what_it_reaches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, FILES).unwrap();
        let overrides = Overrides {
            data: Some(folder.path().to_owned()),
            ..Overrides::default()
        };
        let loaded = load(&PoliciesPath::Named(path), &overrides, &|_| None).unwrap();
        let own: Url = "http://10.0.0.3/simple/".parse().unwrap();
        note_own_index(folder.path(), &own).unwrap();
        let neighbours = Neighbours::of(&loaded.config);
        let stored = [
            stored("root/pypi", "http://10.0.0.3/simple/"),
            stored("me/listed", "http://10.0.0.2/simple/"),
            stored("me/stranger", "http://10.0.0.4/simple/"),
            stored("me/another", "http://127.0.0.1:3141/root/pypi/+simple/"),
            stored("me/cloud", "http://169.254.169.254/simple/"),
            stored("me/world", "https://upstream.example/simple/"),
        ];
        let policies = Policies::compile(&loaded.documents, &stored).unwrap();
        for index in policies.indexes() {
            let url = index.mirror().unwrap().mirror_url().unwrap();
            let bounds = neighbours.bounds(index, &url.parse().unwrap());
            let is_declared = matches!(bounds.trust, Trust::Declared);
            let expected = ["root/declared", "root/pypi"].contains(&index.name.as_str());
            assert_eq!(is_declared, expected, "{}", index.name);
        }
        let strangers = neighbours.strangers(&stored);
        assert_eq!(strangers.len(), 4, "{strangers:?}");
        assert!(strangers[0].starts_with("mirror me/stranger is not asked: 10.0.0.4 is no public"));
        // A cloud's metadata service cannot be listed.
        assert!(
            strangers[3].ends_with(
                "manage: { mirrors_to: ['http://10.0.0.4/', 'http://127.0.0.1:3141/'] }"
            ),
            "{strangers:?}"
        );
    }
}
