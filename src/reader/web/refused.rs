//! The page about a refusal: which rule, why, since when, until when, what is allowed instead, and how to ask
//! for an exception.
//!
//! A browser comes here by the URL that pip or uv printed. The refusal is the one that the flow made; installers
//! get theirs as before.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::catalog::{Resolution, Resolved};
use crate::exchange::Patience;
use crate::gateway::decide;
use crate::model::{Filename, IndexName, Location, ProjectName, Timestamp, Version, Yanked};
use crate::page::Ruling;
use crate::policy::{Denial, Recourse};
use crate::reader::look::Look;
use crate::reader::web::layout::WebPage;
use crate::reader::web::waiver::exception;
use crate::reader::web::way::Way;

/// Most allowed versions that a refusal names: who looks for another one wants a late one.
const ALLOWED_SHOWN_MAX: usize = 20;

/// What a page about a refusal says besides the refusal.
#[derive(Debug, Default)]
struct Beside {
    /// The versions with a file that passes, newest first, as far as they are shown.
    allowed: Vec<Version>,
    /// How many there are in all; `None` if that is not known now.
    total: Option<usize>,
    /// When the file was uploaded.
    uploaded: Option<Timestamp>,
}

/// The page about a refusal that was met at an index.
pub async fn web_refused(look: Look<'_>, index: Option<&IndexName>, denial: &Denial) -> WebPage {
    let project = denial.subject.project();
    let beside = match index.filter(|_| denial.subject.filename().is_some()) {
        Some(index) => beside(look, index, project, denial).await,
        // Refused by name: nobody is asked about it.
        None => Beside::default(),
    };
    let way = Way::from(look.ask.path);
    let content = html! {
        @if let Some(index) = index { p.faint { a href=(way.index(index)) { (index) } " /" } }
        h1 { "Refused by policy" }
        p.refused { (denial.detail()) }
        (facts(look, denial, &beside))
        @if let Some(index) = index { (instead(&way, index, project, &beside)) }
        (exception(denial, look.cx.now))
    };
    WebPage::new("refused by policy", content)
}

async fn beside(
    look: Look<'_>,
    index: &IndexName,
    project: &ProjectName,
    denial: &Denial,
) -> Beside {
    let stacks = &look.flows.stacks;
    let resolved = stacks
        .resolve(look.cx, index, project, Patience::Page)
        .await;
    let Ok(Resolution::Known(resolved)) = resolved else {
        return Beside::default();
    };
    let (now, subject) = (look.cx.now, denial.subject.clone());
    let work = move || of_page(&resolved, subject.filename().map(Filename::as_str), now);
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

fn of_page(resolved: &Resolved, filename: Option<&str>, now: Timestamp) -> Beside {
    let view = resolved.view();
    let merged = resolved.layers.merged();
    let mut allowed: BTreeSet<Version> = BTreeSet::new();
    let mut uploaded = None;
    for entry in merged.entries() {
        let file = entry.file;
        if Some(file.filename.as_str()) == filename {
            uploaded = file.upload_time.map(|time| time.at);
        }
        let passes = file.yanked == Yanked::No && decide(&view, &entry, now).ruling == Ruling::List;
        if passes {
            allowed.insert(file.filename.version());
        }
    }
    let total = Some(allowed.len());
    let newest = allowed.into_iter().rev().take(ALLOWED_SHOWN_MAX);
    Beside {
        allowed: newest.collect(),
        total,
        uploaded,
    }
}

fn facts(look: Look<'_>, denial: &Denial, beside: &Beside) -> Markup {
    let rule = &denial.rule;
    let policies = &look.cx.generation.policies;
    let recalls = policies.recalls().all();
    let recalled = recalls.iter().find(|recall| recall.name() == rule.name);
    let policy = policies
        .index(&rule.index)
        .and_then(|index| index.policy.as_ref());
    let written = policy.and_then(|policy| policy.rules.iter().find(|one| one.name == rule.name));
    html! {
        table.facts {
            tr { th scope="row" { "rule" } td { (rule.name) (place(rule.location.as_ref())) } }
            tr { th scope="row" { "index" } td { (rule.index) } }
            tr { th scope="row" { "why" } td { (denial.reason()) } }
            @if let Some(recall) = recalled {
                tr { th scope="row" { "recalled" } td { (recall.at) } }
            }
            @if let Some(uploaded) = beside.uploaded {
                tr { th scope="row" { "uploaded" } td { (uploaded) } }
            }
            @if let Some(since) = denial.unconfirmed() {
                tr { th scope="row" { "since" } td { "upstream has been silent since " (since) } }
            }
            tr {
                th scope="row" { "until" }
                td { (ends(denial, written.and_then(|rule| rule.until))) }
            }
        }
    }
}

fn place(location: Option<&Location>) -> Markup {
    html! { @if let Some(location) = location { " " span.faint { (location.for_strangers()) } } }
}

fn ends(denial: &Denial, rule_ends: Option<Timestamp>) -> String {
    if let Some(instant) = denial.matures() {
        return format!("{instant}, when it is old enough");
    }
    if denial.unconfirmed().is_some() {
        return "upstream answers again and still has it".to_owned();
    }
    if matches!(denial.recourse(), Recourse::Withdraw(_)) {
        return "root withdraws the recall".to_owned();
    }
    match rule_ends {
        Some(instant) => format!("{instant}, when the rule ends"),
        None => "somebody changes the rule".to_owned(),
    }
}

fn instead(way: &Way, index: &IndexName, project: &ProjectName, beside: &Beside) -> Markup {
    let total = beside.total.unwrap_or_default();
    html! {
        @if beside.total == Some(0) { p { "No version of " (project) " that is not yanked is allowed here." } }
        @if total > 0 {
            h2 { "Allowed versions" }
            ul.names {
                @for version in &beside.allowed {
                    li { a href=(way.release(index, project, version.as_str())) { (version) } }
                }
            }
            @if total > beside.allowed.len() {
                p {
                    "and " (total - beside.allowed.len()) " older ones on "
                    a href=(way.project(index, project)) { "the page of " (project) } "."
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::exchange::Decision;
    use crate::model::Sha256;
    use crate::reader::api::{House, in_lines, text_of};

    fn path_of(filename: &str) -> String {
        let hex = Sha256::of(filename.as_bytes()).to_hex();
        format!(
            "/packages/stable/+f/{}/{}/{filename}",
            &hex[..3],
            &hex[3..16]
        )
    }

    #[tokio::test]
    async fn a_refused_file_has_a_page_that_says_what_to_do() {
        let house = House::new().await;
        let reply = house.browse(&path_of("requests-2.99.0.tar.gz")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.record.decision),
            (403, Decision::Deny)
        );
        assert_eq!(reply.head["cache-control"], "no-store");
        assert_eq!(reply.head["vary"], "Accept, User-Agent, Accept-Encoding");
        let policy = reply.head["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let page = text_of(&reply);
        let main = page.split("tabindex=\"-1\">").nth(1).unwrap();
        insta::assert_snapshot!(in_lines(main), @r#"
        <p class="faint"><a href="../../../../../packages/stable">packages/stable</a> /</p>
        <h1>Refused by policy</h1>
        <p class="refused">File requests-2.99.0.tar.gz of requests 2.99.0 is refused by policy corporate in index packages/stable: cool-down (until 2026-03-07T15:00:00Z). The rule is at house.yaml:27.</p>
        <table class="facts">
        <tr><th scope="row">rule</th><td>corporate/deny-younger_than-3538c8d7 <span class="faint">house.yaml:27</span></td></tr>
        <tr><th scope="row">index</th><td>packages/stable</td></tr>
        <tr><th scope="row">why</th><td>cool-down</td></tr>
        <tr><th scope="row">uploaded</th><td>2026-02-28T15:00:00Z</td></tr>
        <tr><th scope="row">until</th><td>2026-03-07T15:00:00Z, when it is old enough</td></tr></table>
        <p>No version of requests that is not yanked is allowed here.</p>
        <h2>An exception</h2>
        <p>Whoever decides about policy corporate can grant it by this rule:</p>
        <pre class="waiver"># In policy corporate, above rule corporate/deny-younger_than-3538c8d7 at house.yaml:27:
        - allow:
            project: requests
            versions: &quot;===2.99.0&quot;
            owner: &quot;who answers for it&quot;
            ticket: &quot;where it was decided&quot;
            until: 2026-03-31</pre></main></body></html>
        "#);
    }

    #[tokio::test]
    async fn a_rule_without_an_end_says_so_and_lets_older_ones_be_found() {
        let house = House::new().await;
        let page = text_of(&house.browse(&path_of("requests-2.30.0.tar.gz")).await);
        assert!(page.contains("somebody changes the rule"), "{page}");
        assert!(page.contains("versions: &quot;===2.30.0&quot;"), "{page}");
        assert!(
            page.contains("above rule corporate/deny-project-versions-"),
            "{page}"
        );
    }

    #[tokio::test]
    async fn a_project_refused_by_name_is_told_the_same_way_at_both_of_its_urls() {
        let house = House::new().await;
        for path in [
            "/packages/stable/banned",
            "/packages/stable/+simple/banned/",
        ] {
            let reply = house.browse(path).await;
            assert_eq!(
                (reply.status.as_u16(), reply.record.decision),
                (451, Decision::Deny)
            );
            let page = text_of(&reply);
            assert!(page.contains("it steals &lt;keys&gt;"), "{path}: {page}");
            assert!(page.contains("project: banned\n"), "{path}: {page}");
            assert!(!page.contains("Allowed versions"), "{path}: {page}");
        }
    }

    #[tokio::test]
    async fn what_no_rule_can_grant_offers_none() {
        let house = House::new().await;
        let page = text_of(&house.browse("/packages/stable/+simple/acme-secret/").await);
        assert!(page.contains("No rule can let it pass."), "{page}");
        assert!(!page.contains("- allow:"), "{page}");
    }

    #[tokio::test]
    async fn a_project_that_is_not_there_is_answered_with_names_like_it() {
        let house = House::new().await;
        house.mirror_lists(&["banned", "nothin", "nothing", "nothing-else", "six"]);
        house.catalogue().await;
        for path in [
            "/packages/stable/+simple/nothing/",
            "/packages/stable/nothing",
        ] {
            let reply = house.browse(path).await;
            assert_eq!(reply.status, 404, "{path}");
            let page = text_of(&reply);
            let names = page.split("<ul class=\"names\">").nth(1).unwrap();
            let names = names.split("</ul>").next().unwrap();
            let place = |name: &str| names.find(&format!("/packages/stable/{name}\">{name}</a>"));
            assert!(place("nothin") < place("nothing-else"), "{names}");
            assert!(
                place("nothin").is_some() && place("six").is_none(),
                "{names}"
            );
        }
        // Without a free place for a search the answer is the same, without names.
        let held = house.occupy_searches();
        let reply = house.browse("/packages/stable/+simple/nothing/").await;
        assert_eq!(reply.status, 404);
        assert!(!text_of(&reply).contains("<ul"));
        drop(held);
    }

    #[tokio::test]
    async fn what_cannot_be_had_now_is_said_on_a_page_too() {
        let house = House::new().await;
        let reply = house.browse("/packages/stable/+simple/unheld/").await;
        assert_eq!(reply.status, 503);
        assert_eq!(reply.head["content-type"], "text/html; charset=utf-8");
        assert!(text_of(&reply).contains("this gateway is offline"));
        let named = "/packages/stable/+simple/unheld/?format=application/vnd.pypi.simple.v1%2Bjson";
        let reply = house.browse(named).await;
        assert_eq!(reply.head["content-type"], "application/problem+json");
    }
}
