//! Between the API's settings of an index and the document that policies are compiled from.
//!
//! Both ways: an index made through the API joins those of the YAML files, and one of those shows in
//! `devpi index -l` like any other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::devpi::index_keys::IndexKind;
use crate::devpi::index_settings::IndexSettings;
use crate::model::{IndexName, Location, ProjectName};
use crate::policy::{
    IndexDocument, IndexKindDocument, KeepLastGoodDocument, MirrorDocument, Placed, StageDocument,
    WhitelistInheritance, WhitelistName,
};

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
            name: placed(self.name.clone(), &location),
            kind: match self.kind {
                IndexKind::Stage => IndexKindDocument::Stage(self.stage(&location)),
                IndexKind::Mirror => IndexKindDocument::Mirror(self.mirror(&location)),
            },
            title: self.text("title").map(str::to_owned),
            volatile: Some(self.volatile()),
            is_public: true,
            policy: None,
            owns: Vec::new(),
            whitelist: None,
            whitelist_files: Vec::new(),
        }
    }

    /// An index declared in YAML, as the API shows it.
    #[must_use]
    pub fn from_document(document: &IndexDocument) -> Self {
        let (kind, mut pairs) = match &document.kind {
            IndexKindDocument::Stage(stage) => (IndexKind::Stage, stage_pairs(stage).to_vec()),
            IndexKindDocument::Mirror(mirror) => (IndexKind::Mirror, mirror_pairs(mirror).to_vec()),
        };
        pairs.push(("title", document.title.clone().map(Value::from)));
        pairs.push(("volatile", document.volatile.map(Value::from)));
        let name = document.name.value.clone();
        let presets = kind
            .keys()
            .iter()
            .map(|key| (key.name, key.default.value(&name)));
        let set = presets
            .chain(pairs)
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let values: Map<String, Value> = set.collect();
        Self { name, kind, values }
    }

    fn stage(&self, location: &Location) -> StageDocument {
        let bases = self
            .items("bases")
            .into_iter()
            .filter_map(|base| IndexName::parse(&base).ok());
        let whitelist =
            self.items("mirror_whitelist")
                .into_iter()
                .filter_map(|name| match &*name {
                    "*" => Some(WhitelistName::All),
                    name => ProjectName::parse(name).ok().map(WhitelistName::Project),
                });
        let inheritance = match self.text("mirror_whitelist_inheritance") {
            Some("union") => WhitelistInheritance::Union,
            _ => WhitelistInheritance::Intersection,
        };
        StageDocument {
            bases: bases.map(|base| placed(base, location)).collect(),
            acl_upload: Some(self.items("acl_upload")),
            acl_toxresult_upload: Some(self.items("acl_toxresult_upload")),
            mirror_whitelist: whitelist.collect(),
            mirror_whitelist_inheritance: inheritance,
        }
    }

    fn mirror(&self, location: &Location) -> MirrorDocument {
        let url = self.text("mirror_url");
        let expiry = self
            .values
            .get("mirror_cache_expiry")
            .and_then(Value::as_u64);
        MirrorDocument {
            mirror_url: url.map(|url| placed(url.to_owned(), location)),
            mirror_cache_expiry: expiry.map(Duration::from_secs),
            mirror_no_project_list: self.is_on("mirror_no_project_list"),
            mirror_use_external_urls: self.is_on("mirror_use_external_urls"),
            mirror_web_url_fmt: self.text("mirror_web_url_fmt").map(str::to_owned),
            // As devpi: what vanished stays, if the policies let it pass (docs/adr/0031).
            keep_last_good: KeepLastGoodDocument {
                period: None,
                older_than: Some(Duration::ZERO),
            },
            is_made_by_api: true,
            ..MirrorDocument::default()
        }
    }
}

fn placed<T>(value: T, location: &Location) -> Placed<T> {
    Placed {
        value,
        location: location.clone(),
    }
}

/// The keys of a stage that YAML sets.
fn stage_pairs(stage: &StageDocument) -> [(&'static str, Option<Value>); 5] {
    let bases: Vec<_> = stage
        .bases
        .iter()
        .map(|base| base.value.to_string())
        .collect();
    let names = stage.mirror_whitelist.iter().map(|name| match name {
        WhitelistName::All => "*".to_owned(),
        WhitelistName::Project(project) => project.to_string(),
    });
    let inheritance = match stage.mirror_whitelist_inheritance {
        WhitelistInheritance::Intersection => "intersection",
        WhitelistInheritance::Union => "union",
    };
    [
        ("bases", Some(bases.into())),
        ("acl_upload", stage.acl_upload.clone().map(Value::from)),
        (
            "acl_toxresult_upload",
            stage.acl_toxresult_upload.clone().map(Value::from),
        ),
        ("mirror_whitelist", Some(names.collect::<Vec<_>>().into())),
        ("mirror_whitelist_inheritance", Some(inheritance.into())),
    ]
}

/// The keys of a mirror that YAML sets.
fn mirror_pairs(mirror: &MirrorDocument) -> [(&'static str, Option<Value>); 5] {
    let on = |is_set: bool| is_set.then_some(Value::Bool(true));
    [
        (
            "mirror_url",
            mirror
                .mirror_url
                .as_ref()
                .map(|url| url.value.clone().into()),
        ),
        (
            "mirror_cache_expiry",
            mirror
                .mirror_cache_expiry
                .map(|expiry| expiry.as_secs().into()),
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
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
            assert_eq!(
                IndexSettings::from_document(&settings.to_document()),
                settings
            );
        }
    }
}
