//! The whole configuration as read, and how it combines with the indexes in the records.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::config::built_in::{is_built_in, is_named_as_built_in, is_pip_mirror, mirrors_mut};
use crate::config::found::FoundIndex;
use crate::config::settings::Config;
use crate::language::{Document, IndexDocument, IndexKindDocument, Placed};
use crate::model::{Fault, Faults};
use crate::policy::Policies;

/// The whole configuration, read.
#[derive(Debug)]
pub struct Loaded {
    /// The server's settings.
    pub config: Config,
    /// Indexes and policies, one document per file, for `Policies::compile`.
    pub documents: Vec<Document>,
    /// The index that pip uses, once looked up.
    pub found: Option<FoundIndex>,
    /// The configuration files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Those of them that are empty.
    pub blank: Vec<PathBuf>,
    /// Whether all of them could be parsed, so that a name found nowhere does not exist.
    pub is_whole: bool,
    /// What works, but should be written differently.
    pub warnings: Vec<Fault>,
}

/// Whether something asks the index that pip uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsksPip {
    /// Nothing does.
    No,
    /// A mirror in the records would; without the index it reports that it has no upstream.
    IfAny,
    /// A declared mirror does, and cannot do without.
    Must,
}

impl Loaded {
    /// All that is wrong: the faults found while reading, and those that show when the files are combined
    /// with these indexes from the records. A place where reading found a fault is not reported twice, and
    /// nothing is said about names when a file could not be parsed.
    #[must_use]
    pub fn all_faults(&self, read: Faults, stored: &[IndexDocument]) -> Faults {
        let documents = self.documents_over(stored);
        let compiled = Policies::compile(&documents, &self.stored_with_upstream(stored)).err();
        let mut faults = read.clone();
        for fault in compiled.filter(|_| self.is_whole).unwrap_or_default().0 {
            let is_told = |one: &Fault| fault.location.is_some() && one.location == fault.location;
            if !read.0.iter().any(is_told) {
                faults.push(fault);
            }
        }
        faults
    }

    /// Whether something asks the index that pip uses, with these indexes in the records.
    #[must_use]
    pub fn asks_pip(&self, stored: &[IndexDocument]) -> AsksPip {
        let (documents, stored) = (self.documents_over(stored), stored);
        let mut declared = documents.iter().flat_map(|document| &document.indexes);
        if declared.any(is_pip_mirror) {
            return AsksPip::Must;
        }
        let mut declared = documents.iter().flat_map(|document| &document.indexes);
        let is_declared = declared.any(is_named_as_built_in);
        let mut stored = stored.iter().filter(|_| !is_declared);
        if stored.any(|index| is_named_as_built_in(index) && is_pip_mirror(index)) {
            AsksPip::IfAny
        } else {
            AsksPip::No
        }
    }

    /// Gives mirrors without a URL the index that was found.
    pub fn set_upstream(&mut self, found: FoundIndex) {
        for mirror in mirrors_mut(&mut self.documents).filter(|index| is_pip_mirror(index)) {
            give(mirror, found.url.to_string());
            if let Some(login) = &found.login {
                self.config
                    .logins
                    .insert(mirror.name.value.clone(), login.clone());
            }
        }
        self.found = Some(found);
    }

    /// The documents in force with these indexes in the records: the built-in mirror yields to one of its
    /// name, and remains what the short URL leads to.
    #[must_use]
    pub fn documents_over(&self, stored: &[IndexDocument]) -> Cow<'_, [Document]> {
        let mut declared = self.documents.iter().flat_map(|document| &document.indexes);
        let yields = stored.iter().any(is_named_as_built_in) && declared.any(is_built_in);
        if !yields {
            return Cow::Borrowed(&self.documents);
        }
        let mut documents = self.documents.clone();
        for document in &mut documents {
            document.indexes.retain(|index| !is_built_in(index));
        }
        Cow::Owned(documents)
    }

    /// The indexes of the records as they are in force: the mirror `root/pypi` without a `mirror_url` asks
    /// the index that pip uses, if that was found, with its login; any other has no upstream.
    #[must_use]
    pub fn stored_with_upstream<'a>(
        &self,
        stored: &'a [IndexDocument],
    ) -> Cow<'a, [IndexDocument]> {
        let asks = |index: &IndexDocument| is_named_as_built_in(index) && is_pip_mirror(index);
        let (Some(found), true) = (&self.found, stored.iter().any(asks)) else {
            return Cow::Borrowed(stored);
        };
        let url = found.url_with_login();
        let mut stored = stored.to_vec();
        for index in stored.iter_mut().filter(|index| asks(index)) {
            give(index, url.to_string());
        }
        Cow::Owned(stored)
    }
}

fn give(mirror: &mut IndexDocument, url: String) {
    let location = mirror.name.location.clone();
    if let IndexKindDocument::Mirror(kind) = &mut mirror.kind {
        kind.mirror_url = Some(Placed {
            value: url,
            location,
        });
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::config::built_in::built_in;
    use crate::config::found::Origin;
    use crate::config::load::load;
    use crate::config::load::tests::{folder, load_folder};
    use crate::config::settings::Overrides;
    use crate::config::source::PoliciesPath;
    use crate::model::{IndexName, Login};

    fn loaded(files: &[(&str, &str)]) -> Loaded {
        let folder = folder(files);
        match files {
            [] => {
                let source = PoliciesPath::Default {
                    folder: folder.path().to_owned(),
                };
                load(&source, &Overrides::default(), &|_| None).unwrap()
            }
            _ => load_folder(&folder, &[]).unwrap(),
        }
    }

    fn stored(name: &str, url: Option<&str>) -> IndexDocument {
        let mut document = built_in(&[]).indexes.remove(0);
        document.name.value = IndexName::parse(name).unwrap();
        document.name.location.file = "records".into();
        if let Some(url) = url {
            give(&mut document, url.to_owned());
        }
        document
    }

    /// The upstream of root/pypi, and of m/other.
    fn upstreams(loaded: &Loaded, stored: &[IndexDocument]) -> [Option<String>; 2] {
        let documents = loaded.documents_over(stored);
        let policies = Policies::compile(&documents, &loaded.stored_with_upstream(stored)).unwrap();
        assert_eq!(policies.default_index().unwrap().as_str(), "root/pypi");
        ["root/pypi", "m/other"].map(|name| {
            let index = policies.index(&IndexName::parse(name).unwrap())?;
            index.mirror()?.mirror_url().map(str::to_owned)
        })
    }

    #[test]
    fn what_the_records_hold_wins_over_the_default() {
        let curated = "https://curated.example/simple/";
        let pips = "https://pip.example/simple/";
        let with_login = "https://u:p@pip.example/simple/";
        // The indexes in the records, whether pip is asked, and the upstreams after that.
        let table = [
            (vec![], AsksPip::Must, [Some(pips), None]),
            (
                vec![stored("root/pypi", Some(curated))],
                AsksPip::No,
                [Some(curated), None],
            ),
            (
                vec![stored("root/pypi", None), stored("m/other", None)],
                AsksPip::IfAny,
                [Some(with_login), None],
            ),
            (
                vec![stored("m/other", Some(curated))],
                AsksPip::Must,
                [Some(pips), Some(curated)],
            ),
        ];
        for (stored, asks, expected) in table {
            let mut loaded = loaded(&[]);
            assert_eq!(loaded.asks_pip(&stored), asks, "{stored:?}");
            if asks != AsksPip::No {
                loaded.set_upstream(FoundIndex {
                    url: Url::parse(pips).unwrap(),
                    login: Some(Login::new("u", "p")),
                    origin: Origin::PipDefault,
                    file: None,
                });
            }
            let found = upstreams(&loaded, &stored);
            assert_eq!(
                found.each_ref().map(Option::as_deref),
                expected,
                "{stored:?}"
            );
        }
    }

    #[test]
    fn what_a_file_declares_wins_over_the_records() {
        let yaml = "default_index: root/pypi\nindexes: {root/pypi: {type: mirror, mirror_url: 'https://file.example/'}}\n";
        let loaded = loaded(&[("a.yaml", yaml)]);
        for url in [None, Some("https://curated.example/simple/")] {
            let stored = [stored("root/pypi", url)];
            assert_eq!(loaded.asks_pip(&stored), AsksPip::No);
            assert_eq!(
                upstreams(&loaded, &stored),
                [Some("https://file.example/".to_owned()), None]
            );
        }
    }
}
