//! What somebody can do about a refusal: ask for an exception, and the rule that would grant it.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::config::Waiver;
use crate::model::{Location, Timestamp, Version, VersionMatch, VersionSpecifiers};
use crate::policy::{Denial, Recourse};
use crate::reader::web::judged::Refused;

/// How long the proposed exception holds: long enough to replace what needs it, short enough that somebody
/// looks at it again.
const WAIVER_DAYS: i64 = 30;

/// The links beside a blocked file in a list: to ask, and to the page that tells everything.
pub fn beside_refused(refused: &Refused, page: &str) -> Markup {
    html! {
        div {
            @if let Some(link) = &refused.ask {
                a href=(link) rel="noreferrer" { "ask for an exception" } " · "
            }
            a href=(page) rel="nofollow" { "what to do" }
        }
    }
}

/// The part of a refusal's page that says how to get an exception, if there can be one.
pub fn exception(denial: &Denial, now: Timestamp) -> Markup {
    let link = denial.ask();
    html! {
        h2 { "An exception" }
        @if let Some(link) = &link {
            p { a href=(link) rel="noreferrer" { "Ask for an exception" } }
        }
        @match denial.recourse() {
            Recourse::AllowAbove | Recourse::Allow => { (allowing(denial, now)) }
            Recourse::List => {
                p {
                    "It passes once it is on the whitelist of " (denial.rule.index)
                    (placed(denial.rule.location.as_ref())) "."
                }
            }
            Recourse::Withdraw(id) => {
                p { "No rule can let it pass. If the recall was a mistake, root withdraws it:" }
                pre { "cheesecloth recall --undo " (id) }
            }
            Recourse::None => { p { "No rule can let it pass." } }
        }
    }
}

fn allowing(denial: &Denial, now: Timestamp) -> Markup {
    let policy = &denial.rule.policy;
    match waiver(denial, now) {
        Some(lines) => html! {
            p { "Whoever decides about policy " (policy) " can grant it by this rule:" }
            pre.waiver { (lines) }
        },
        // A version that a specifier cannot name.
        None => html! {
            p {
                "Whoever decides about policy " (policy) " can grant it by an allow rule with the sha256 of \
                 the file" (placed(denial.rule.location.as_ref())) "."
            }
        },
    }
}

fn placed(location: Option<&Location>) -> Markup {
    html! { @if let Some(location) = location { " (" (location.for_strangers()) ")" } }
}

/// The rule that would let exactly this version pass, and above that where it has to stand.
fn waiver(denial: &Denial, now: Timestamp) -> Option<String> {
    let rule = &denial.rule;
    let versions = match denial.subject.version() {
        Some(version) => Some(exactly(version)?),
        None => None,
    };
    let day = now.to_zoned(TimeZone::UTC).date();
    let until = day.saturating_add(jiff::Span::new().days(WAIVER_DAYS));
    let waiver = Waiver {
        project: denial.subject.project(),
        versions: versions.as_deref(),
        digests: &[],
        owner: "who answers for it",
        ticket: "where it was decided",
        until: &until.to_string(),
    };
    let place = rule.location.as_ref().map(Location::for_strangers);
    let place = place.unwrap_or_default();
    let above = match denial.recourse() {
        Recourse::AllowAbove => format!("above rule {} at {place}", rule.name),
        Recourse::Allow | Recourse::List | Recourse::Withdraw(_) | Recourse::None => {
            format!("anywhere among its rules ({place})")
        }
    };
    let mut lines = vec![format!("# In policy {}, {above}:", rule.policy)];
    lines.extend(waiver.rule().block);
    Some(lines.join("\n"))
}

/// The specifier that contains this version and no other: `==1.0` would let `1.0+local` pass as well.
fn exactly(version: &str) -> Option<String> {
    let text = format!("==={version}");
    let specifiers: VersionSpecifiers = text.parse().ok()?;
    (specifiers.contains(&Version::parse(version)) == VersionMatch::Yes).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_exactly_or_not_at_all() {
        for (version, expected) in [
            ("1.0", Some("===1.0")),
            ("1.0+local.2", Some("===1.0+local.2")),
            ("2011k-odd", Some("===2011k-odd")),
            ("1,0", None),
        ] {
            assert_eq!(exactly(version).as_deref(), expected, "{version}");
        }
        let exact: VersionSpecifiers = "===1.0".parse().unwrap();
        for other in ["1.0+local", "1.0.0", "1.0.post1", "1.0rc1"] {
            assert_ne!(
                exact.contains(&Version::parse(other)),
                VersionMatch::Yes,
                "{other}"
            );
        }
    }
}
