//! Refusals are sentences that name what refuses.

use crate::policy::sample::{at, file, index, place, project};
use crate::policy::verdict::*;

fn denial(reason: Reason, policy: &str) -> Denial {
    let filename = file("requests-2.30.0.tar.gz", "requests").filename;
    let rule = RuleId {
        name: format!("{policy}/vulnerable").into(),
        location: Some(place(14)),
        policy: policy.into(),
        index: index("packages/stable"),
    };
    Denial::new(Subject::File(filename), reason, rule)
}

fn rule(words: &str, advisory: Option<&str>) -> Reason {
    Reason::Rule {
        words: words.into(),
        advisory: advisory.map(Into::into),
    }
}

#[test]
fn a_refusal_reads_as_one_phrase_and_as_whole_sentences() {
    let denial = denial(rule("CVE-2023-32681", None), "corporate");
    insta::assert_snapshot!(
        denial.short(),
        @"requests 2.30.0 is refused by policy corporate: CVE-2023-32681"
    );
    insta::assert_snapshot!(
        denial.detail(),
        @"File requests-2.30.0.tar.gz of requests 2.30.0 is refused by policy corporate in index packages/stable: CVE-2023-32681. The rule is at policies/web.yaml:14."
    );
    insta::assert_snapshot!(
        denial.words(),
        @"refused by policy corporate: CVE-2023-32681 (policies/web.yaml:14)"
    );
}

#[test]
fn an_age_says_when_it_matures_rounded_up() {
    let matures = Some(at("2026-01-08T00:00:00.25Z"));
    let denial = Denial {
        matures,
        ..denial(rule("cool-down", None), "corporate")
    };
    insta::assert_snapshot!(
        denial.short(),
        @"requests 2.30.0 is refused by policy corporate: cool-down (until 2026-01-08T00:00:01Z)"
    );
}

#[test]
fn every_reason_has_words_of_its_own() {
    let lacks = Reason::Lacks {
        missing: Missing::UploadTime,
        words: "cool-down".into(),
    };
    let owned = Reason::Owned {
        pattern: "acme-*".into(),
    };
    let recalled = |missing| Reason::Recalled {
        id: 3,
        words: "stolen token".into(),
        missing,
    };
    let table = [
        (
            rule("malware", Some("MAL-2024-1")),
            "policy p: malware (MAL-2024-1)",
        ),
        (
            rule("see MAL-2024-1", Some("MAL-2024-1")),
            "policy p: see MAL-2024-1",
        ),
        (
            lacks,
            "policy p: it has no upload-time, which this rule needs: cool-down",
        ),
        (Reason::Default, "policy p: no rule allows it"),
        (
            Reason::NotListed,
            "p of packages/stable: the name is not listed",
        ),
        (
            Reason::NotPinned,
            "p of packages/stable: its sha256 is not pinned",
        ),
        (
            Reason::NoDigest,
            "p of packages/stable: it has no sha256 to compare with the pinned ones",
        ),
        (
            owned,
            "p of packages/stable: acme-* is reserved and never from a mirror",
        ),
        (
            Reason::Outside,
            "p of packages/stable: the file is from no index of this stack",
        ),
        (recalled(None), "recall 3: stolen token"),
        (
            recalled(Some(Missing::Digest)),
            "recall 3: it has no sha256, which this recall needs: stolen token",
        ),
    ];
    for (reason, words) in table {
        let words = format!("refused by {words} (policies/web.yaml:14)");
        assert_eq!(denial(reason, "p").words(), words);
    }
}

#[test]
fn a_reason_phrase_is_short_printable_ascii_whatever_the_operator_wrote() {
    let long = "é\r\nSet-Cookie: x\u{1b}[31m".repeat(40);
    let denial = denial(rule(&long, None), "pölicy\n");
    let short = denial.short();
    assert!(
        short.len() <= SHORT_MAX && short.ends_with("..."),
        "{short}"
    );
    assert!(
        short.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{short}"
    );
    let typed = self::denial(rule("it’s “gone” …", None), "p").short();
    assert!(typed.ends_with("it's \"gone\" ..."), "{typed}");
    for text in [denial.detail(), denial.words()] {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn a_project_is_named_without_a_version() {
    let id = RuleId {
        name: "whitelist".into(),
        location: None,
        policy: "whitelist".into(),
        index: index("packages/stable"),
    };
    let denial = Denial::new(Subject::Project(project("six")), Reason::NotListed, id);
    insta::assert_snapshot!(
        denial.short(),
        @"six is refused by whitelist of packages/stable: the name is not listed"
    );
    insta::assert_snapshot!(
        denial.detail(),
        @"Project six is refused by whitelist of packages/stable in index packages/stable: the name is not listed."
    );
}
