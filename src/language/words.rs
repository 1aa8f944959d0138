//! A rule's conditions as operators write them, for refusals, `explain` and comparing rules.

use crate::language::document::{Matchers, SimilarTo};
use crate::language::read::Choice;
use crate::model::{format_bytes, format_duration};

/// What is asked for: every key with its values as operators write them; empty for keys that are not asked.
pub fn asked(matchers: &Matchers) -> [(&'static str, Vec<String>); 19] {
    [
        ("project", texts(&matchers.project)),
        ("new_name", new_name(&matchers.similar_to)),
        ("versions", texts(&matchers.versions)),
        (
            "kind",
            texts(matchers.kind.iter().map(|kind| kind.as_str())),
        ),
        ("python", matchers.python.clone()),
        ("platform", matchers.platform.clone()),
        ("size_over", texts(matchers.size_over.map(format_bytes))),
        (
            "younger_than",
            texts(matchers.younger_than.map(format_duration)),
        ),
        (
            "older_than",
            texts(matchers.older_than.map(format_duration)),
        ),
        ("late", texts(matchers.late.map(format_duration))),
        ("yanked", texts(matchers.yanked)),
        ("upstream", texts(&matchers.upstream)),
        ("advisory", matchers.advisory.clone()),
        ("status", texts(&matchers.status)),
        ("provenance", texts(matchers.provenance.map(Choice::word))),
        ("unless", texts(matchers.unless.map(Choice::word))),
        ("license", matchers.license.clone()),
        ("startup_files", texts(matchers.startup_files)),
        ("sha256", texts(&matchers.sha256)),
    ]
}

/// `new_name` as operators write it.
fn new_name(similar_to: &[SimilarTo]) -> Vec<String> {
    let words = similar_to.iter().map(|similar| match similar {
        SimilarTo::Owned => "owned",
        SimilarTo::Project(name) => name.as_str(),
    });
    let words: Vec<&str> = words.collect();
    match words[..] {
        [] => Vec::new(),
        [one] => vec![format!("{{ similar_to: {one} }}")],
        _ => vec![format!("{{ similar_to: [{}] }}", words.join(", "))],
    }
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

/// Conditions as operators write them: `project: requests, versions: <2.31`. Of a list longer than
/// `entries_max` the rest is only counted.
pub fn words(matchers: &Matchers, entries_max: usize) -> String {
    let part = |(key, values): (&str, Vec<String>)| {
        let text = match values.len() {
            0 => return None,
            1 => values[0].clone(),
            count if count <= entries_max => format!("[{}]", values.join(", ")),
            count => {
                let first = values[..entries_max].join(", ");
                format!("[{first} and {} more]", count - entries_max)
            }
        };
        Some(format!("{key}: {text}"))
    };
    let parts: Vec<String> = asked(matchers).into_iter().filter_map(part).collect();
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
