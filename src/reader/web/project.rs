//! The page of a project: its versions, newest first, each file with the verdict of the policies.
//!
//! It starts from the same answers and meets the same decision as the simple page, but hides nothing:
//! blocked files are shown without a link, with the rule that blocks them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maud::{Markup, html};
use url::Url;

use crate::devpi::DevpiWords;
use crate::gateway::{Error, Record, Trouble, silent_members};
use crate::model::{
    File, IndexName, ProjectName, ProjectState, Timestamp, UploadTimeSource, Version, Yanked,
};
use crate::page::{Entry, Merged, merge};
use crate::policy::{Candidate, ProjectView, SkipReason, Sources, Stack, Verdict};
use crate::reader::look::Look;
use crate::reader::web::layout::WebPage;
use crate::reader::web::waiver::beside_blocked;
use crate::reader::web::way::Way;

/// Most versions on one page. Few projects have more; their simple page has all.
const VERSIONS_SHOWN_MAX: usize = 200;

/// What a page is made of.
struct Known {
    stack: Arc<Stack>,
    sources: Sources,
    merged: Merged,
    silent: Vec<(usize, Timestamp)>,
}

/// One page to write.
struct Writing<'a> {
    way: Way,
    index: &'a IndexName,
    view: ProjectView<'a>,
    now: Timestamp,
}

/// `/{user}/{index}/{project}`, and `…/{version}` with only that version's files.
pub async fn web_project(
    look: Look<'_>,
    index: &IndexName,
    (project, version): (&ProjectName, Option<&str>),
    record: &mut Record,
) -> Result<WebPage, Trouble> {
    let (stack, sources, answers) = look.said(index, project, record).await?;
    let silent = silent_members(&answers);
    let pages = answers.into_iter();
    let pages = pages.filter_map(|answer| Some((answer.member, answer.said.page?)));
    let pages: Vec<_> = pages.collect();
    if pages.is_empty() {
        let words = DevpiWords::NoProject(project).to_string();
        return Err(Error::not_found(words).into());
    }
    let known = Known {
        merged: merge(project.clone(), pages),
        stack,
        sources,
        silent,
    };
    let (way, now) = (Way::from(look.ask.path), look.cx.now);
    let (index, project) = (index.clone(), project.clone());
    let version = version.map(str::to_owned);
    let work = move || {
        let view = known.stack.view(&project).while_silent(&known.silent);
        let view = view.among(known.merged.listings());
        let writing = Writing {
            way,
            index: &index,
            view,
            now,
        };
        writing.page(&known, version.as_deref())
    };
    let page = tokio::task::spawn_blocking(work).await;
    Ok(page.map_err(|error| Error::internal("write the page", error))??)
}

impl Writing<'_> {
    fn page(&self, known: &Known, only: Option<&str>) -> Result<WebPage, Error> {
        let (merged, project) = (&known.merged, known.merged.project());
        let mut versions: BTreeMap<Version, Vec<Entry<'_>>> = BTreeMap::new();
        for entry in merged.entries() {
            versions
                .entry(entry.file.filename.version())
                .or_default()
                .push(entry);
        }
        if let Some(only) = only {
            versions.retain(|version, _| *version == Version::parse(only));
            if versions.is_empty() {
                let words = DevpiWords::NoVersion(project, only).to_string();
                return Err(Error::not_found(words));
            }
        }
        let total = versions.len();
        let content = html! {
            p.faint { a href=(self.way.index(self.index)) { (self.index) } " /" }
            h1 {
                @match only {
                    Some(only) => { a href=(self.way.project(self.index, project)) { (project) } " " (only) }
                    None => { (project) }
                }
            }
            (status(merged))
            (elsewhere(&known.stack, merged))
            (silent(&known.stack, &known.sources))
            @if total == 0 { p { "It has no files." } }
            @for (version, entries) in versions.iter().rev().take(VERSIONS_SHOWN_MAX) {
                (self.version(project, version, entries))
            }
            @if total > VERSIONS_SHOWN_MAX {
                p {
                    "and " (total - VERSIONS_SHOWN_MAX) " older versions on "
                    a href=(self.way.simple(self.index, project)) { "the simple page" } "."
                }
            }
        };
        let title = only.map_or_else(|| project.to_string(), |only| format!("{project} {only}"));
        Ok(WebPage::new(title, content))
    }

    fn version(&self, project: &ProjectName, version: &Version, entries: &[Entry<'_>]) -> Markup {
        html! {
            h2 { a href=(self.way.release(self.index, project, version.as_str())) { (version) } }
            table {
                tr { th { "file" } th { "size" } th { "uploaded" } th { "from" } th { "" } }
                @for entry in entries { (self.row(entry)) }
            }
        }
    }

    fn row(&self, entry: &Entry<'_>) -> Markup {
        let file = entry.file;
        let candidate = Candidate {
            file,
            member: entry.member,
            status: entry.state,
        };
        let verdict = self.view.decide_file(&candidate, self.now);
        let member = &self.view.stack().members[entry.member];
        html! {
            tr {
                td {
                    @match &verdict {
                        Verdict::Allow(_) => { a href=(self.way.file(self.index, file)) { (file.filename) } }
                        Verdict::Deny(_) => { (file.filename) }
                    }
                    @if let Some(python) = &file.requires_python { div.faint { "Python " (python) } }
                }
                td { (file.size.map(size).unwrap_or_default()) }
                td { (uploaded(file)) }
                td { (member.index.name) }
                td {
                    (ruling(&verdict)) (yanked(&file.yanked))
                    (beside_blocked(&self.way, self.index, &verdict, file))
                }
            }
        }
    }
}

fn ruling(verdict: &Verdict<&File>) -> Markup {
    html! {
        @match verdict {
            Verdict::Allow(allowed) => {
                @if let Some(denial) = allowed.audited() {
                    div.warn { "audit only: would be " (denial.words()) }
                }
            }
            Verdict::Deny(denial) => { div.bad { "blocked: " (denial.words()) } }
        }
    }
}

fn yanked(yanked: &Yanked) -> Markup {
    html! {
        @match yanked {
            Yanked::No => {}
            Yanked::Yes(None) => { div.warn { "yanked" } }
            Yanked::Yes(Some(reason)) => { div.warn { "yanked: " (reason) } }
        }
    }
}

/// The status of PEP 792, if there is something to say.
fn status(merged: &Merged) -> Markup {
    let status = merged.status();
    html! {
        @if status.state != ProjectState::Active {
            p.warn {
                "This project is " (status.state.as_str())
                @if let Some(reason) = &status.reason { ": " (reason) }
            }
        }
    }
}

/// Links to where people can read about the project, as its mirrors say.
fn elsewhere(stack: &Stack, merged: &Merged) -> Markup {
    let members: BTreeSet<usize> = merged.entries().map(|entry| entry.member).collect();
    let places = members.into_iter().filter_map(|member| {
        let index = &stack.members[member].index;
        let place = index.mirror()?.mirror_web_url_fmt()?;
        let place = Url::parse(&place.replace("{name}", merged.project().as_str())).ok()?;
        // A user who may create a mirror must not be able to put scripts into our pages.
        matches!(place.scheme(), "http" | "https").then_some((&index.name, place))
    });
    html! {
        @for (name, place) in places {
            p { a href=(place) rel="noreferrer" { "about it at what " (name) " mirrors" } }
        }
    }
}

/// The members that were not asked, and why.
fn silent(stack: &Stack, sources: &Sources) -> Markup {
    html! {
        @for skipped in &sources.skipped {
            @let name = &stack.members[skipped.member].index.name;
            p.refused {
                (name) " is not asked: "
                @match &skipped.reason {
                    SkipReason::Private(stage) => {
                        (stage) " holds this name, and no mirror_whitelist lets mirrors add to it"
                    }
                    SkipReason::Denied(denial) | SkipReason::Owned(denial) => { (denial.words()) }
                }
            }
        }
    }
}

fn uploaded(file: &File) -> String {
    let Some(time) = file.upload_time else {
        return String::new();
    };
    let day = time.at.strftime("%Y-%m-%d");
    match time.source {
        UploadTimeSource::Index => day.to_string(),
        UploadTimeSource::FirstSeen => format!("first seen {day}"),
    }
}

/// A size for people: about three digits.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::api::{House, in_lines, text_of};

    #[test]
    fn sizes_are_short() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (11_053, "10.7 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "1677721.5 TiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }

    #[tokio::test]
    async fn versions_stand_newest_first_with_what_is_blocked_and_why() {
        let house = House::new().await;
        let page = text_of(&house.browse("/packages/stable/requests").await);
        let main = page.split("<main>").nth(1).unwrap();
        insta::assert_snapshot!(in_lines(main), @r#"
        <p class="faint"><a href="../../packages/stable">packages/stable</a> /</p>
        <h1>requests</h1>
        <h2><a href="../../packages/stable/requests/2.99.0">2.99.0</a></h2>
        <table>
        <tr><th>file</th><th>size</th><th>uploaded</th><th>from</th><th></th></tr>
        <tr><td>requests-2.99.0.tar.gz
        <div class="faint">Python &gt;=2.7</div></td><td>10.7 KiB</td><td>2026-02-28</td><td>root/pypi</td><td>
        <div class="bad">blocked: refused by policy corporate: cool-down (until 2026-03-07T15:00:00Z) (house.yaml:27)</div>
        <div><a href="../../packages/stable/+f/001/eb98c241529bb/requests-2.99.0.tar.gz" rel="nofollow">what to do</a></div></td></tr></table>
        <h2><a href="../../packages/stable/requests/2.31.0">2.31.0</a></h2>
        <table>
        <tr><th>file</th><th>size</th><th>uploaded</th><th>from</th><th></th></tr>
        <tr><td><a href="../../packages/stable/+f/a45/5365429e6f3fd/requests-2.31.0.tar.gz">requests-2.31.0.tar.gz</a>
        <div class="faint">Python &gt;=2.7</div></td><td>10.7 KiB</td><td>2023-05-22</td><td>root/pypi</td><td>
        <div class="warn">yanked: a &lt;test&gt;</div></td></tr></table>
        <h2><a href="../../packages/stable/requests/2.30.0">2.30.0</a></h2>
        <table>
        <tr><th>file</th><th>size</th><th>uploaded</th><th>from</th><th></th></tr>
        <tr><td>requests-2.30.0.tar.gz
        <div class="faint">Python &gt;=2.7</div></td><td>10.7 KiB</td><td>2023-05-03</td><td>root/pypi</td><td>
        <div class="bad">blocked: refused by policy corporate: CVE-2023-32681 (house.yaml:26)</div>
        <div><a href="../../packages/stable/+f/fa9/3604e33e3b381/requests-2.30.0.tar.gz" rel="nofollow">what to do</a></div></td></tr></table></main></body></html>
        "#);
    }

    #[tokio::test]
    async fn a_private_name_says_why_the_mirror_is_not_asked() {
        let house = House::new().await;
        let page = text_of(&house.browse("/packages/develop/hello-pkg").await);
        let words = "root/pypi is not asked: packages/develop holds this name";
        assert!(page.contains(words), "{page}");
        assert!(!page.contains("hello_pkg-9"), "{page}");
    }

    #[tokio::test]
    async fn a_release_page_has_only_its_files() {
        let house = House::new().await;
        let page = text_of(&house.browse("/packages/stable/requests/2.31").await);
        assert!(
            page.contains("requests-2.31.0.tar.gz"),
            "another spelling of 2.31.0: {page}"
        );
        assert!(!page.contains("requests-2.30.0.tar.gz"), "{page}");
    }
}
