//! The mirror that exists when no file declares an index; and which mirrors ask the index that pip uses,
//! because they name none.
//!
//! The built-in mirror is only a default: an index of its name in the records, for example from an
//! import, was put there on purpose and takes its place, with the upstream that it names.

use crate::language::{Document, IndexDocument, IndexKindDocument, MirrorDocument, Placed};
use crate::model::{IndexName, Location};

/// The index that exists when no file declares any.
const BUILT_IN_INDEX: &str = "root/pypi";

/// The file that declares it, as faults name it.
const BUILT_IN_FILE: &str = "built-in";

/// Whether something is declared only by default, not in a file.
#[must_use]
pub fn is_default(location: &Location) -> bool {
    *location.file == *BUILT_IN_FILE
}

pub(super) fn is_built_in(index: &IndexDocument) -> bool {
    is_default(&index.name.location)
}

pub(super) fn is_named_as_built_in(index: &IndexDocument) -> bool {
    index.name.value.as_str() == BUILT_IN_INDEX
}

pub(super) fn is_pip_mirror(index: &IndexDocument) -> bool {
    matches!(&index.kind, IndexKindDocument::Mirror(mirror) if mirror.mirror_url.is_none())
}

/// A mirror of the index that pip uses; the short URL leads to it unless a file says otherwise.
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

/// The mirrors that files declare.
pub(super) fn mirrors_mut(documents: &mut [Document]) -> impl Iterator<Item = &mut IndexDocument> {
    let indexes = documents
        .iter_mut()
        .flat_map(|document| &mut document.indexes);
    indexes.filter(|index| matches!(index.kind, IndexKindDocument::Mirror(_)))
}
