//! The mirror that is there when no file declares an index; and which mirrors ask the index that pip
//! uses, because they name none.
//!
//! The built-in mirror is a default and no more: an index of its name in the records, such as an import
//! brings, is what somebody meant, with the upstream that it names.

use std::borrow::Cow;

use crate::config::load::{Loaded, mirrors_mut};
use crate::config::pip::FoundIndex;
use crate::model::{IndexName, Location};
use crate::policy::{Document, IndexDocument, IndexKindDocument, MirrorDocument, Placed};

/// The index that is there when no file declares any.
const BUILT_IN_INDEX: &str = "root/pypi";

/// The file that it is declared in, as faults name it.
const BUILT_IN_FILE: &str = "built-in";

/// Whether something asks the index that pip uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsksPip {
    /// Nothing does.
    No,
    /// A mirror of the records would; without one it says that it has no upstream.
    IfAny,
    /// A declared mirror does, which is nothing without it.
    Must,
}

impl Loaded {
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

    /// Gives those that ask pip's index what was found.
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

    /// The documents that count beside these indexes of the records: the built-in mirror yields to one
    /// of its name, and stays what the short URL leads to.
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

    /// The indexes of the records as they count: the mirror `root/pypi` without a `mirror_url` asks
    /// what pip asks, where that was found, with its login; any other has no upstream.
    #[must_use]
    pub fn stored_with_upstream<'a>(
        &self,
        stored: &'a [IndexDocument],
    ) -> Cow<'a, [IndexDocument]> {
        let asks = |index: &IndexDocument| is_named_as_built_in(index) && is_pip_mirror(index);
        let (Some(found), true) = (&self.found, stored.iter().any(asks)) else {
            return Cow::Borrowed(stored);
        };
        let mut url = found.url.clone();
        if let Some(login) = &found.login {
            // These fail only for a URL without a host, and pip's has one.
            let _ = url.set_username(&login.user);
            let _ = url.set_password(Some(login.password.expose()));
        }
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

/// Whether something is declared by no file, but as the default.
#[must_use]
pub fn is_default(location: &Location) -> bool {
    *location.file == *BUILT_IN_FILE
}

fn is_built_in(index: &IndexDocument) -> bool {
    is_default(&index.name.location)
}

fn is_named_as_built_in(index: &IndexDocument) -> bool {
    index.name.value.as_str() == BUILT_IN_INDEX
}

pub(super) fn is_pip_mirror(index: &IndexDocument) -> bool {
    matches!(&index.kind, IndexKindDocument::Mirror(mirror) if mirror.mirror_url.is_none())
}

/// One mirror of the index that pip uses; the short URL leads to it unless a file says otherwise.
pub(super) fn built_in(documents: &[Document]) -> Document {
    let location = Location {
        file: BUILT_IN_FILE.into(),
        line: 1,
        column: 1,
    };
    let name = IndexName::parse(BUILT_IN_INDEX).expect("the built-in index has a name");
    let name = Placed {
        value: name,
        location,
    };
    let is_open = documents
        .iter()
        .all(|document| document.default_index.is_none());
    Document {
        default_index: is_open.then(|| name.clone()),
        indexes: vec![IndexDocument::bare(
            name,
            IndexKindDocument::Mirror(MirrorDocument::default()),
        )],
        ..Document::default()
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::config::load::tests::{folder, load_folder};
    use crate::config::pip::Origin;
    use crate::config::secret::{Login, Secret};
    use crate::policy::Policies;

    fn loaded(files: &[(&str, &str)]) -> Loaded {
        let folder = folder(files);
        match files {
            [] => crate::config::load::load(
                &crate::config::load::PoliciesPath::Default {
                    folder: folder.path().to_owned(),
                },
                &crate::config::settings::Overrides::default(),
                &|_| None,
            )
            .unwrap(),
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
        // What the records hold, whether pip is asked, and the upstreams once it was.
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
                    login: Some(Login {
                        user: "u".into(),
                        password: Secret::new("p"),
                    }),
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
