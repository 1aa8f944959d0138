//! Names that could be taken for others: for what `new_name: { similar_to }` says.
//!
//! A name is looked at alone, before anybody is asked about it. What the house itself names, by `owns` or on
//! a whitelist, is never a lookalike, however close two such names are.

use std::sync::Arc;

use crate::language::{Document, NamePattern, Placed, SimilarTo};
use crate::model::{Faults, Likenesses, ProjectName};
use crate::policy::names::Names;

/// Shortest beginning of a glob that others are compared with, in bytes: as long as the shortest name.
const PREFIX_MIN: usize = 4;

/// What the house names: everything that `owns` reserves and whitelists let through.
#[derive(Debug, Default)]
pub struct HouseNames {
    /// Names that `owns` reserves.
    owned: Vec<ProjectName>,
    /// What the names begin with that globs of `owns` reserve.
    prefixes: Vec<String>,
    all: Names,
}

/// What a rule compares names with.
#[derive(Debug)]
pub struct Lookalikes {
    likenesses: Likenesses,
    prefixes: Vec<String>,
    house: Arc<HouseNames>,
}

impl HouseNames {
    /// Those of all indexes together. Patterns that do not compile are the faults of their indexes.
    pub fn of(documents: &[Document]) -> Self {
        let indexes = || documents.iter().flat_map(|document| &document.indexes);
        let owned = indexes()
            .filter_map(|index| index.settings.owns())
            .flatten();
        let owned: Vec<&Placed<NamePattern>> = owned.collect();
        let listed = indexes()
            .filter_map(|index| index.settings.whitelist())
            .flatten();
        let all = owned.iter().copied().chain(listed);
        let numbered = (0_u32..).zip(all);
        let all = numbered.map(|(at, placed)| (at, &placed.value, &placed.location));
        let exact = |placed: &&Placed<NamePattern>| match &placed.value {
            NamePattern::Exact(name) => Some(name.clone()),
            NamePattern::Glob(_) | NamePattern::Regex(_) => None,
        };
        let prefix = |placed: &&Placed<NamePattern>| match &placed.value {
            NamePattern::Glob(glob) => {
                let prefix = glob.split(['*', '?', '[', '{']).next()?;
                (prefix.len() >= PREFIX_MIN).then(|| prefix.to_owned())
            }
            NamePattern::Exact(_) | NamePattern::Regex(_) => None,
        };
        Self {
            owned: owned.iter().filter_map(exact).collect(),
            prefixes: owned.iter().filter_map(prefix).collect(),
            all: Names::compile(all, &mut Faults::default()),
        }
    }
}

impl Lookalikes {
    /// Prepares a rule's `similar_to`; `None` if it has none.
    pub fn compile(similar_to: &[SimilarTo], house: &Arc<HouseNames>) -> Option<Self> {
        if similar_to.is_empty() {
            return None;
        }
        let means_owned = similar_to.contains(&SimilarTo::Owned);
        let named = similar_to.iter().filter_map(|similar| match similar {
            SimilarTo::Project(name) => Some(name.clone()),
            SimilarTo::Owned => None,
        });
        let owned = house.owned.iter().filter(|_| means_owned).cloned();
        let prefixes = house.prefixes.iter().filter(|_| means_owned).cloned();
        Some(Self {
            likenesses: Likenesses::of(named.chain(owned)),
            prefixes: prefixes.collect(),
            house: Arc::clone(house),
        })
    }

    /// Whether a name could be taken for one of them.
    pub fn contains(&self, name: &ProjectName) -> bool {
        !self.house.all.contains(name)
            && (self.likenesses.like(name).is_some()
                || self.prefixes.iter().any(|prefix| begins_like(name, prefix)))
    }
}

/// Whether a name begins with what is one slip away from a prefix.
fn begins_like(name: &ProjectName, prefix: &str) -> bool {
    let text = name.as_str();
    let lengths = prefix.len() - 1..=prefix.len() + 1;
    let mut beginnings = lengths.filter_map(|length| text.get(..length));
    beginnings.any(|beginning| Likenesses::is_slip(beginning, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::{document, project, stage};

    #[test]
    fn what_looks_like_a_name_of_the_house_is_told_from_it() {
        let index = stage("a/b", &[])
            .owns(&["acme-*", "larder", "larders"])
            .whitelist(&["requests", "numpy"]);
        let house = Arc::new(HouseNames::of(&[document(vec![index], vec![])]));
        let of = |similar_to: &[SimilarTo]| Lookalikes::compile(similar_to, &house);
        let owned = of(&[SimilarTo::Owned]).unwrap();
        let named = of(&[SimilarTo::Project(project("requests"))]).unwrap();
        let table = [
            ("lardr", true, false),
            // Close to each other, and both of the house.
            ("larder", false, false),
            ("larders", false, false),
            ("acne-tools", true, false),
            ("amce-tools", true, false),
            ("acmee-tools", true, false),
            ("acme-toolz", false, false),
            ("zebra", false, false),
            ("reqeusts", false, true),
            ("requests", false, false),
        ];
        for (name, like_owned, like_named) in table {
            let name = project(name);
            assert_eq!(owned.contains(&name), like_owned, "{name}");
            assert_eq!(named.contains(&name), like_named, "{name}");
        }
        assert!(of(&[]).is_none());
    }
}
