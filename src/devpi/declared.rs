//! The indexes that YAML declares, as the API shows them, read from the policies in force.
//!
//! [`IndexSettings::from_document`] says the same of a document; whoever only reads holds none, but
//! always holds a generation.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::devpi::index_keys;
use crate::devpi::index_settings::IndexSettings;
use crate::devpi::management::DeclaredIndex;
use crate::model::IndexName;
use crate::policy::{
    Index, IndexKind, Mirror, Policies, Stage, WhitelistInheritance, WhitelistName,
};

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

impl IndexSettings {
    /// An index in force, as the API shows it.
    #[must_use]
    pub fn from_index(index: &Index) -> Self {
        let (kind, mut values) = match &index.kind {
            IndexKind::Stage(stage) => (index_keys::IndexKind::Stage, stage_values(stage)),
            IndexKind::Mirror(mirror) => (index_keys::IndexKind::Mirror, mirror_values(mirror)),
        };
        values.insert("volatile".to_owned(), index.volatile.into());
        if let Some(title) = &index.title {
            values.insert("title".to_owned(), title.as_str().into());
        }
        Self {
            name: index.name.clone(),
            kind,
            values,
        }
    }

    /// Whether it has an upstream.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        match self.kind {
            index_keys::IndexKind::Stage => false,
            index_keys::IndexKind::Mirror => true,
        }
    }
}

fn stage_values(stage: &Stage) -> Map<String, Value> {
    let bases: Vec<&str> = stage.bases.iter().map(IndexName::as_str).collect();
    let names = stage
        .mirror_whitelist
        .entries
        .iter()
        .map(|name| match name {
            WhitelistName::All => "*",
            WhitelistName::Project(project) => project.as_str(),
        });
    let inheritance = match stage.mirror_whitelist_inheritance {
        WhitelistInheritance::Intersection => "intersection",
        WhitelistInheritance::Union => "union",
    };
    let pairs: [(&str, Value); 5] = [
        ("bases", bases.into()),
        ("acl_upload", stage.acl_upload.clone().into()),
        (
            "acl_toxresult_upload",
            stage.acl_toxresult_upload.clone().into(),
        ),
        ("mirror_whitelist", names.collect::<Vec<_>>().into()),
        ("mirror_whitelist_inheritance", inheritance.into()),
    ];
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn mirror_values(mirror: &Mirror) -> Map<String, Value> {
    let on = |is_set: bool| is_set.then_some(Value::Bool(true));
    let pairs = [
        ("mirror_url", mirror.mirror_url.clone().map(Value::from)),
        (
            "mirror_cache_expiry",
            Some(mirror.mirror_cache_expiry.as_secs().into()),
        ),
        ("mirror_no_project_list", on(mirror.mirror_no_project_list)),
        (
            "mirror_use_external_urls",
            on(mirror.mirror_use_external_urls),
        ),
        (
            "mirror_web_url_fmt",
            mirror.mirror_web_url_fmt.clone().map(Value::from),
        ),
    ];
    let set = pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    set.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{NoFiles, read_text};

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
        for index in &document.indexes {
            let shown = &declared[&index.name.value];
            assert_eq!(shown.settings, IndexSettings::from_document(index));
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
