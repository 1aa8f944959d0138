//! What a new set of files would remove from under the indexes created through the devpi API.

use std::collections::BTreeSet;

use crate::language::{Document, IndexDocument};
use crate::model::{Fault, Faults, IndexName};
use crate::policy::order::bases;

/// Checks that no index created through the API loses a base by the change from one set of files to the
/// next: it would answer as if that base had never been there.
///
/// # Errors
/// A fault for each base and index, where the base was declared.
pub fn check_orphans(
    before: &[Document],
    after: &[Document],
    stored: &[IndexDocument],
) -> Result<(), Faults> {
    let after = after.iter().flat_map(|document| &document.indexes);
    let known: BTreeSet<&IndexName> = after.chain(stored).map(|index| &index.name.value).collect();
    let mut faults = Faults::default();
    for gone in before.iter().flat_map(|document| &document.indexes) {
        let name = &gone.name.value;
        if known.contains(name) {
            continue;
        }
        let inherits = |index: &&IndexDocument| bases(index).iter().any(|base| base.value == *name);
        for heir in stored.iter().filter(inherits) {
            let heir = heir.name.value.as_str();
            let what = format!(
                "index \"{name}\" was declared here and is gone, but \"{heir}\", made through the \
                 API, inherits from it"
            );
            let hint = format!("keep it, or take it out of {heir}'s bases first");
            faults.push(Fault::at(&gone.name.location, what).hint(hint));
        }
    }
    faults.or(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::{document, mirror, stage};

    #[test]
    fn a_base_of_an_index_of_the_api_may_not_go() {
        let before = [document(
            vec![mirror("root/pypi"), stage("a/base", &["root/pypi"]).line(7)],
            vec![],
        )];
        let without = [document(vec![mirror("root/pypi")], vec![])];
        let heir = [stage("me/dev", &["a/base"])];
        let faults = check_orphans(&before, &without, &heir).unwrap_err();
        insta::assert_snapshot!(faults, @r#"policies/web.yaml:7:5: index "a/base" was declared here and is gone, but "me/dev", made through the API, inherits from it, keep it, or take it out of me/dev's bases first"#);
        let stored_too = [stage("me/dev", &["a/base"]), stage("a/base", &[])];
        for (after, stored) in [
            (&before, &heir[..]),
            (&without, &[stage("me/dev", &["root/pypi"])]),
            (&without, &stored_too),
            (&without, &[]),
        ] {
            assert!(check_orphans(&before, after, stored).is_ok());
        }
    }
}
