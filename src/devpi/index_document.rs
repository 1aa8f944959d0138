//! Conversion between an index's settings in the API and the indexes that policies are compiled from.
//!
//! Both ways: an index created through the API joins those from the YAML files, and one in force shows
//! in `devpi index -l` wherever it was declared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::devpi::index_keys;
use crate::devpi::index_settings::IndexSettings;
use crate::devpi::management::DeclaredIndex;
use crate::language::{
    CommonDocument, IndexDocument, IndexKindDocument, KeepLastGoodDocument, MirrorDocument, Placed,
    StageDocument,
};
use crate::model::{IndexName, Location};
use crate::policy::{Index, IndexKind, Policies};

impl IndexSettings {
    /// What policies are compiled from.
    #[must_use]
    pub fn to_document(&self) -> IndexDocument {
        let file: Arc<str> = format!("{} (made through the API)", self.name).into();
        let location = Location {
            file,
            line: 1,
            column: 1,
        };
        IndexDocument {
            kind: match self.kind {
                index_keys::IndexKind::Stage => {
                    IndexKindDocument::Stage(StageDocument::from_api(&self.values, &location))
                }
                index_keys::IndexKind::Mirror => IndexKindDocument::Mirror(MirrorDocument {
                    // As in devpi: what vanished stays, if the policies let it pass (docs/adr/0031).
                    keep_last_good: Some(KeepLastGoodDocument {
                        period: None,
                        older_than: Some(Duration::ZERO),
                    }),
                    ..MirrorDocument::from_api(&self.values, &location)
                }),
            },
            settings: CommonDocument::from_api(&self.values, &location),
            name: Placed {
                value: self.name.clone(),
                location,
            },
        }
    }

    /// An index in force, as the API shows it.
    #[must_use]
    pub fn from_index(index: &Index) -> Self {
        let (kind, mut values) = match &index.kind {
            IndexKind::Stage(stage) => (index_keys::IndexKind::Stage, stage.to_api()),
            IndexKind::Mirror(mirror) => (index_keys::IndexKind::Mirror, mirror.to_api()),
        };
        values.extend(index.settings.to_api());
        Self {
            name: index.name.clone(),
            kind,
            values,
        }
    }

    /// Whether it has an upstream.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.kind == index_keys::IndexKind::Mirror
    }
}

impl DeclaredIndex {
    /// Every index that YAML declares, by name.
    #[must_use]
    pub fn all(policies: &Policies) -> BTreeMap<IndexName, Self> {
        let declared = policies.indexes().filter_map(|index| {
            let location = index.location.clone()?;
            let settings = IndexSettings::from_index(index);
            Some((index.name.clone(), Self { settings, location }))
        });
        declared.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::language::{NoFiles, read_text};

    #[test]
    fn settings_become_a_document_and_back() {
        let name = IndexName::parse("me/dev").unwrap();
        let stage = json!({
            "title": "t", "volatile": false, "bases": ["root/pypi", "me/base"], "acl_upload": ["a"],
            "acl_toxresult_upload": [], "mirror_whitelist": ["*", "a-b"],
            "mirror_whitelist_inheritance": "union",
        });
        let mirror = json!({
            "type": "mirror", "mirror_url": "https://upstream.example/simple/",
            "mirror_cache_expiry": 0, "mirror_no_project_list": true,
            "mirror_use_external_urls": true, "mirror_web_url_fmt": "https://upstream.example/{name}",
        });
        for keys in [stage, mirror, json!({})] {
            let settings =
                IndexSettings::create(&name, keys.as_object().unwrap(), &|_| true).unwrap();
            let policies = Policies::compile(&[], &[settings.to_document()]).unwrap();
            assert_eq!(
                IndexSettings::from_index(policies.index(&name).unwrap()),
                settings
            );
        }
    }

    const EVERYTHING: &str = r#"
indexes:
  root/pypi:
    type: mirror
    title: The public index
    volatile: true
    mirror_url: https://reader:s3cret@upstream.example/simple/
    mirror_cache_expiry: 600
    mirror_no_project_list: true
    mirror_use_external_urls: true
    mirror_web_url_fmt: "https://upstream.example/project/{name}/"
  packages/stable:
    title: What production runs
    bases: [root/pypi]
    volatile: false
    acl_upload: [packages, ":authenticated:"]
    acl_toxresult_upload: [packages]
    mirror_whitelist: ["*", Six]
    mirror_whitelist_inheritance: union
"#;

    #[test]
    fn an_index_in_force_shows_what_its_document_says() {
        let (document, _) = read_text("house.yaml", EVERYTHING, &mut NoFiles).unwrap();
        let policies = Policies::compile(std::slice::from_ref(&document), &[]).unwrap();
        let declared = DeclaredIndex::all(&policies);
        assert_eq!(declared.len(), document.indexes.len());
        let written = [
            json!({
                "type": "mirror", "title": "The public index", "volatile": true,
                "mirror_url": "https://reader:s3cret@upstream.example/simple/",
                "mirror_cache_expiry": 600, "mirror_no_project_list": true,
                "mirror_use_external_urls": true,
                "mirror_web_url_fmt": "https://upstream.example/project/{name}/",
            }),
            json!({
                "type": "stage", "title": "What production runs", "volatile": false,
                "bases": ["root/pypi"], "acl_upload": ["packages", ":AUTHENTICATED:"],
                "acl_toxresult_upload": ["packages"], "mirror_whitelist": ["*", "six"],
                "mirror_whitelist_inheritance": "union",
            }),
        ];
        for (index, written) in document.indexes.iter().zip(written) {
            let shown = &declared[&index.name.value];
            assert_eq!(Value::Object(shown.settings.to_json()), written);
            assert_eq!(shown.location, index.name.location);
        }
    }

    #[test]
    fn an_index_made_through_the_api_is_not_declared() {
        let name = IndexName::parse("me/dev").unwrap();
        let mine = IndexSettings::create(&name, &Map::new(), &|_| true).unwrap();
        let policies = Policies::compile(&[], &[mine.to_document()]).unwrap();
        assert!(policies.index(&name).is_some());
        assert!(DeclaredIndex::all(&policies).is_empty());
    }
}
