//! A rule that lets pass what another refuses, as YAML: an exception with an owner and an end.

use serde_json::Value;

use crate::config::put_rules::RuleText;
use crate::model::{ProjectName, Sha256};

/// What an exception says.
#[derive(Debug, Clone)]
pub struct Waiver<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// Its versions, as a specifier; `None` for all.
    pub versions: Option<&'a str>,
    /// Only files with these digests, if there are any.
    pub digests: &'a [Sha256],
    /// Who answers for it.
    pub owner: &'a str,
    /// Where it was decided.
    pub ticket: &'a str,
    /// The last day, or instant, on which it holds.
    pub until: &'a str,
}

impl Waiver<'_> {
    /// The rule, on one line and on several.
    #[must_use]
    pub fn rule(&self) -> RuleText {
        let mut keys = vec![("project", named(self.project))];
        keys.extend(self.versions.map(|versions| ("versions", quoted(versions))));
        let digests: Vec<String> = self
            .digests
            .iter()
            .map(|one| quoted(&one.to_hex()))
            .collect();
        let last = [
            ("owner", quoted(self.owner)),
            ("ticket", quoted(self.ticket)),
            ("until", self.until.to_owned()),
        ];
        let mut block = vec!["- allow:".to_owned()];
        block.extend(keys.iter().map(indented));
        if !digests.is_empty() {
            block.push("    sha256:".to_owned());
            block.extend(digests.iter().map(|digest| format!("    - {digest}")));
            keys.push(("sha256", format!("[{}]", digests.join(", "))));
        }
        block.extend(last.iter().map(indented));
        keys.extend(last);
        let keys: Vec<String> = keys
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        RuleText {
            flow: format!("{{ allow: {{ {} }} }}", keys.join(", ")),
            block,
        }
    }
}

fn indented((key, value): &(&str, String)) -> String {
    format!("    {key}: {value}")
}

/// A name as people write it, quoted only where YAML would read something else, such as `null` or a number.
fn named(project: &ProjectName) -> String {
    let name = project.as_str();
    let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_value = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&name);
    if is_word && !is_value {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A text as YAML reads it whatever is in it; JSON is YAML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_reads_on_one_line_as_on_several() {
        let project = ProjectName::parse("six").unwrap();
        let digests = [Sha256::of(b"six")];
        let mut waiver = Waiver {
            project: &project,
            versions: Some("===1.0"),
            digests: &[],
            owner: "data: \"us\"",
            ticket: "OPS-17 # not a comment",
            until: "2027-01-31",
        };
        let rule = waiver.rule();
        insta::assert_snapshot!(rule.flow, @r##"{ allow: { project: six, versions: "===1.0", owner: "data: \"us\"", ticket: "OPS-17 # not a comment", until: 2027-01-31 } }"##);
        insta::assert_snapshot!(rule.block.join("\n"), @r##"
        - allow:
            project: six
            versions: "===1.0"
            owner: "data: \"us\""
            ticket: "OPS-17 # not a comment"
            until: 2027-01-31
        "##);
        waiver.versions = None;
        waiver.digests = &digests;
        let rule = waiver.rule();
        insta::assert_snapshot!(rule.flow, @r##"{ allow: { project: six, sha256: ["44778d82365e4af681c40d5f0eef5cf6f5899d3f0ac335050a7ed6779cf3f674"], owner: "data: \"us\"", ticket: "OPS-17 # not a comment", until: 2027-01-31 } }"##);
        assert!(
            rule.block[2..4].join("").starts_with("    sha256:    - \""),
            "{:?}",
            rule.block
        );
    }

    #[test]
    fn a_project_is_read_as_the_name_that_it_is() {
        for name in [
            "null",
            "true",
            "on",
            "123",
            "1e3",
            "0x1f",
            "2026-01-01",
            "six",
        ] {
            let project = ProjectName::parse(name).unwrap();
            let yaml: Value = serde_yaml::from_str(&named(&project)).unwrap();
            assert_eq!(yaml, name, "{}", named(&project));
        }
    }
}
