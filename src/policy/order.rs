//! Which indexes an index inherits from, in the order in which they are asked (docs/protocol/devpi.md
//! §8.1).
//!
//! Breadth first from the asked index; mirrors move to the end, in the order met; each index once. Missing
//! bases are ignored and cycles end, because indexes created through the devpi API may have both. In YAML a
//! cycle is a fault, found here as well.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::language::{IndexDocument, IndexKindDocument, Placed};
use crate::model::{Fault, Faults, IndexName};
use crate::policy::index::Index;

/// The resolution order of an index, including itself; `None` if it has more than `members_max`.
pub(super) fn resolution_order(
    asked: &Arc<Index>,
    indexes: &BTreeMap<IndexName, Arc<Index>>,
    members_max: usize,
) -> Option<Vec<Arc<Index>>> {
    let mut stages = Vec::new();
    let mut mirrors = Vec::new();
    let mut met: HashSet<&IndexName> = HashSet::from([&asked.name]);
    let mut waiting = VecDeque::from([asked]);
    while let Some(index) = waiting.pop_front() {
        if index.is_mirror() {
            mirrors.push(Arc::clone(index));
        } else {
            stages.push(Arc::clone(index));
        }
        let bases = index.bases().iter().filter_map(|base| indexes.get(base));
        for base in bases {
            if met.insert(&base.name) {
                waiting.push_back(base);
            }
        }
        if met.len() > members_max {
            return None;
        }
    }
    stages.append(&mut mirrors);
    Some(stages)
}

/// Finds every base that closes a cycle among the indexes declared in YAML.
pub(super) fn find_cycles(declared: &BTreeMap<&IndexName, &IndexDocument>, faults: &mut Faults) {
    let mut done: HashSet<&IndexName> = HashSet::new();
    let mut open: HashSet<&IndexName> = HashSet::new();
    for start in declared.keys().copied() {
        // The path from `start` to here, with how many bases of each were followed. Not recursive: a long
        // chain of bases must not exhaust the call stack.
        let mut way: Vec<(&IndexName, usize)> = Vec::new();
        if !done.contains(start) {
            open.insert(start);
            way.push((start, 0));
        }
        while let Some((name, followed)) = way.last_mut() {
            let name = *name;
            let next = declared
                .get(name)
                .and_then(|index| bases(index).get(*followed));
            *followed += 1;
            let Some(base) = next else {
                open.remove(name);
                done.insert(name);
                way.pop();
                continue;
            };
            if open.contains(&base.value) {
                faults.push(cycle(&way, base));
            } else if declared.contains_key(&base.value) && !done.contains(&base.value) {
                open.insert(&base.value);
                way.push((&base.value, 0));
            }
        }
    }
}

pub(super) fn bases(document: &IndexDocument) -> &[Placed<IndexName>] {
    match &document.kind {
        IndexKindDocument::Stage(stage) => stage.bases.as_deref().unwrap_or_default(),
        IndexKindDocument::Mirror(_) => &[],
    }
}

fn cycle(way: &[(&IndexName, usize)], base: &Placed<IndexName>) -> Fault {
    let circle = way.iter().map(|(name, _)| name.as_str());
    let circle: Vec<&str> = circle
        .skip_while(|name| *name != base.value.as_str())
        .collect();
    let what = match circle[..] {
        [alone] => format!("index {alone:?} names itself as a base"),
        _ => format!(
            "bases go round in a circle: {} > {}",
            circle.join(" > "),
            base.value
        ),
    };
    Fault::at(&base.location, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::{index, mirror, stage};

    fn order(documents: &[IndexDocument], asked: &str) -> Vec<String> {
        let mut faults = Faults::default();
        let indexes: BTreeMap<IndexName, Arc<Index>> = documents
            .iter()
            .map(|document| {
                let index = Index::compile(document, None, &BTreeMap::new(), &mut faults);
                (index.name.clone(), Arc::new(index))
            })
            .collect();
        let order = resolution_order(&indexes[&index(asked)], &indexes, 6).unwrap();
        order.iter().map(|index| index.name.to_string()).collect()
    }

    #[test]
    fn the_orders_recorded_from_devpi() {
        let d = [
            mirror("u/mirror"),
            stage("u/d1", &[]),
            stage("u/d2", &[]),
            stage("u/d3", &["u/mirror", "u/d1", "u/d2"]),
        ];
        assert_eq!(order(&d, "u/d3"), ["u/d3", "u/d1", "u/d2", "u/mirror"]);
        let e = [
            stage("u/d1", &[]),
            stage("u/d2", &[]),
            stage("u/e1", &["u/d1"]),
            stage("u/e2", &["u/d2"]),
            stage("u/e3", &["u/e1", "u/e2"]),
        ];
        assert_eq!(order(&e, "u/e3"), ["u/e3", "u/e1", "u/e2", "u/d1", "u/d2"]);
    }

    #[test]
    fn diamonds_cycles_and_missing_bases_are_met_once_or_not_at_all() {
        let diamond = [
            stage("u/top", &["u/l", "u/r", "u/r"]),
            stage("u/l", &["m/a", "u/bottom"]),
            stage("u/r", &["m/b", "m/a", "u/bottom"]),
            stage("u/bottom", &["u/gone"]),
            mirror("m/a"),
            mirror("m/b"),
        ];
        let expected = ["u/top", "u/l", "u/r", "u/bottom", "m/a", "m/b"];
        assert_eq!(order(&diamond, "u/top"), expected);
        let cycle = [stage("u/a", &["u/b"]), stage("u/b", &["u/a", "u/b"])];
        assert_eq!(order(&cycle, "u/b"), ["u/b", "u/a"]);
        assert_eq!(order(&diamond, "m/a"), ["m/a"]);
    }

    fn cycles(documents: &[IndexDocument]) -> String {
        let declared = documents
            .iter()
            .map(|document| (&document.name.value, document));
        let mut faults = Faults::default();
        find_cycles(&declared.collect(), &mut faults);
        faults.to_string()
    }

    #[test]
    fn circles_are_named_where_they_close() {
        let documents = [
            stage("u/a", &["u/b"]).line(1),
            stage("u/b", &["u/c", "root/pypi"]).line(4),
            stage("u/c", &["u/gone", "u/a"]).line(7),
            stage("u/d", &["u/a", "u/d"]).line(10),
            mirror("root/pypi"),
        ];
        insta::assert_snapshot!(cycles(&documents), @r#"
        policies/web.yaml:8:5: bases go round in a circle: u/a > u/b > u/c > u/a
        policies/web.yaml:11:5: index "u/d" names itself as a base
        "#);
        let diamond = [
            stage("u/a", &["u/b", "u/c"]),
            stage("u/b", &["u/d"]),
            stage("u/c", &["u/d"]),
            stage("u/d", &[]),
        ];
        assert_eq!(cycles(&diamond), "");
    }
}
