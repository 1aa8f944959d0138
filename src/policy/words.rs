//! A rule's conditions as operators write them, for refusals, `explain` and the comparison of rules.

use crate::model::{format_bytes, format_duration};
use crate::policy::document::Matchers;
use crate::policy::names::pattern_words;

/// Conditions as operators write them: `project: requests, versions: <2.31`. Of a longer list than
/// `entries_max` the rest is counted.
pub(super) fn words(matchers: &Matchers, entries_max: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut part = |key: &str, values: Vec<String>| {
        let text = match values.len() {
            0 => return,
            1 => values[0].clone(),
            count if count <= entries_max => format!("[{}]", values.join(", ")),
            count => {
                let first = values[..entries_max].join(", ");
                format!("[{first} and {} more]", count - entries_max)
            }
        };
        parts.push(format!("{key}: {text}"));
    };
    let one = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
    part(
        "project",
        matchers.project.iter().map(pattern_words).collect(),
    );
    part(
        "versions",
        one(matchers.versions.as_ref().map(ToString::to_string)),
    );
    part(
        "kind",
        matchers
            .kind
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
    );
    part("python", matchers.python.clone());
    part("platform", matchers.platform.clone());
    part("size_over", one(matchers.size_over.map(format_bytes)));
    part(
        "younger_than",
        one(matchers.younger_than.map(format_duration)),
    );
    part("older_than", one(matchers.older_than.map(format_duration)));
    part(
        "yanked",
        one(matchers.yanked.map(|yanked| yanked.to_string())),
    );
    part(
        "upstream",
        matchers.upstream.iter().map(ToString::to_string).collect(),
    );
    part("advisory", matchers.advisory.clone());
    part(
        "status",
        matchers.status.iter().map(ToString::to_string).collect(),
    );
    part(
        "provenance",
        one(matchers.provenance_missing.then(|| "missing".to_owned())),
    );
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Kind;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn words_are_as_operators_write_them() {
        let matchers = Matchers {
            versions: Some("<2.31".parse().unwrap()),
            kind: vec![Kind::Sdist, Kind::Egg],
            younger_than: Some(DAY * 7),
            size_over: Some(20 << 20),
            python: (0..9).map(|minor| format!("cp3{minor}")).collect(),
            ..Matchers::default()
        };
        insta::assert_snapshot!(
            words(&matchers, 4),
            @"versions: <2.31, kind: [sdist, egg], python: [cp30, cp31, cp32, cp33 and 5 more], size_over: 20MiB, younger_than: 7d"
        );
    }
}
