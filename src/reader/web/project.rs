//! The page of a project, and that of one release of it: what it is, how to install it, its files and
//! releases, what is refused and why.
//!
//! It starts from the same answers and meets the same decision as the simple page, but hides nothing:
//! refused files are shown without a link, with the rule that refuses them.

use std::collections::BTreeSet;
use std::sync::Arc;

use maud::{Markup, PreEscaped, html};
use url::Url;

use crate::catalog::silent_members;
use crate::devpi::DevpiWords;
use crate::exchange::{Error, Outside, Record, Trouble};
use crate::model::{IndexName, ProjectName, ProjectState, Timestamp, Version, one_line};
use crate::page::{Merged, merge};
use crate::policy::{SkipReason, Sources, Stack};
use crate::reader::look::Look;
use crate::reader::prose::{Prose, ProseKind, ProseShelf};
use crate::reader::web::about;
use crate::reader::web::described::Described;
use crate::reader::web::files::{FILES_OF_PROJECT_MAX, FileList};
use crate::reader::web::judged::{Judged, ShownRelease};
use crate::reader::web::layout::WebPage;
use crate::reader::web::releases::releases;
use crate::reader::web::usage::install;
use crate::reader::web::way::Way;

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
    outside: Outside,
    index: &'a IndexName,
    known: &'a Known,
    judged: &'a Judged,
    described: &'a Described,
    /// The long description, rendered.
    prose: Option<Arc<Prose>>,
    /// Whether the page is about one release.
    is_release: bool,
}

/// `/{user}/{index}/{project}`, and `…/{version}` about one release.
pub async fn web_project(
    look: Look<'_>,
    descriptions: &ProseShelf,
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
    let (known, judged) = judge(known, look.cx.now, version.map(Version::parse)).await?;
    let Some(judged) = judged else {
        let words = DevpiWords::NoVersion(project, version.unwrap_or_default());
        return Err(Error::not_found(words.to_string()).into());
    };
    let described = match &judged.shown {
        Some(shown) => Described::of(look, &known.stack, project, shown).await?,
        None => Described::default(),
    };
    let writing = Writing {
        way: Way::from(look.ask.path),
        outside: look.outside(),
        index,
        known: &known,
        judged: &judged,
        prose: rendered(descriptions, &described).await?,
        described: &described,
        is_release: version.is_some(),
    };
    Ok(writing.page(look.ask.path))
}

/// Judges all files, which may be thousands, apart from the threads that answer.
async fn judge(
    known: Known,
    now: Timestamp,
    only: Option<Version>,
) -> Result<(Known, Option<Judged>), Error> {
    let work = move || {
        let view = known.stack.view(known.merged.project());
        let view = view.while_silent(&known.silent);
        let view = view.among(known.merged.listings());
        let judged = Judged::of(&view, &known.merged, now, only.as_ref());
        (known, judged)
    };
    let judged = tokio::task::spawn_blocking(work).await;
    judged.map_err(|error| Error::internal("judge the project's files", error))
}

async fn rendered(
    descriptions: &ProseShelf,
    described: &Described,
) -> Result<Option<Arc<Prose>>, Error> {
    let Some(metadata) = &described.metadata else {
        return Ok(None);
    };
    let Some(text) = metadata.text("description") else {
        return Ok(None);
    };
    let kind = ProseKind::of(metadata.text("description_content_type"));
    let prose = descriptions.rendered(kind, text.to_owned()).await?;
    Ok(Some(prose))
}

impl Writing<'_> {
    fn page(&self, path: &str) -> WebPage {
        let project = self.known.merged.project();
        let metadata = self.described.metadata.as_ref();
        let shown = self.judged.shown.as_ref().map(|shown| &shown.version);
        let named = shown.filter(|_| self.is_release);
        let content = html! {
            (self.trail(project))
            h1 { (project) @if let Some(version) = named { " " span.version { (version) } } }
            @if let Some(summary) = metadata.and_then(|metadata| metadata.text("summary")) {
                p.summary { (one_line(summary)) }
            }
            p.taken { "Today " (self.judged.outcome) "." }
            (status(&self.known.merged))
            (silent(&self.known.stack, &self.known.sources))
            @if let Some(shown) = &self.judged.shown {
                h2 { "Install" }
                @if shown.passes() {
                    (install(&self.outside, self.index, project, named))
                } @else {
                    p.refused { "All files of " (shown.version) " are refused here." }
                }
            }
            div.columns {
                div.wide-column {
                    (self.description())
                    @if let Some(shown) = &self.judged.shown { (self.files(shown)) }
                }
                div.side-column { (self.side(path)) }
            }
        };
        let title = match named {
            Some(version) => format!("{project} {version} on {}", self.index),
            None => format!("{project} on {}", self.index),
        };
        WebPage::new(title, content)
    }

    /// Where the page stands.
    fn trail(&self, project: &ProjectName) -> Markup {
        html! {
            nav.trail aria-label="place" {
                a href=(self.way.user(self.index.user())) { (self.index.user()) } " / "
                a href=(self.way.index(self.index)) { (self.index.index()) } " / "
                @if self.is_release {
                    a href=(self.way.project(self.index, project)) { (project) } " /"
                } @else {
                    (project)
                }
            }
        }
    }

    fn description(&self) -> Markup {
        html! {
            h2 { "Description" }
            @if let Some(other) = &self.described.by {
                p.faint { "As " (other) " has it; the one above has no wheel that could be asked." }
            }
            @if let Some(note) = &self.described.note { p.note { (note) } }
            @match &self.prose {
                Some(prose) => {
                    // The only markup that is written as it is: it comes clean from the shelf.
                    div.prose dir="auto" { (PreEscaped(&prose.html)) }
                    @if prose.is_cut { p.faint { "The rest is left out here: it is very long." } }
                }
                None if self.described.note.is_none() => { p.faint { "none" } }
                None => {}
            }
        }
    }

    fn files(&self, shown: &ShownRelease) -> Markup {
        let list = FileList {
            way: &self.way,
            index: self.index,
            described: self.described,
        };
        let project = self.known.merged.project();
        let (most, own) = match self.is_release {
            true => (usize::MAX, self.way.simple(self.index, project)),
            false => {
                let version = shown.version.as_str();
                let own = self.way.release(self.index, project, version);
                (FILES_OF_PROJECT_MAX, own)
            }
        };
        let rest = html! { " on " a href=(own) { "their page" } };
        html! {
            h2 { "Files of " (shown.version) }
            (list.drawn(&shown.files, most, &rest))
            @if !self.described.results.is_empty() {
                h2 { "Test results of " (shown.version) }
                (list.results())
            }
        }
    }

    /// The way to the documentation that was uploaded.
    fn documentation(&self, shown: Option<&ShownRelease>) -> Markup {
        let shown = shown.filter(|_| self.described.has_documentation);
        html! {
            @if let Some(shown) = shown {
                @let version = shown.version.as_str();
                @let release = self.way.release(self.index, self.known.merged.project(), version);
                p { a href={ (release) "/+d/" } { "Documentation of " (version) } }
            }
        }
    }

    fn side(&self, path: &str) -> Markup {
        let project = self.known.merged.project();
        let shown = self.judged.shown.as_ref();
        let python = shown.and_then(|shown| {
            let mut files = shown.files.iter();
            files.find_map(|one| one.file.requires_python.as_deref())
        });
        html! {
            @if let Some(metadata) = &self.described.metadata {
                h2 { "About it" }
                (about::facts(metadata, python))
                (self.documentation(shown))
                (about::links(metadata))
                (elsewhere(&self.known.stack, &self.known.merged))
                (about::classifiers(metadata))
                h2 { "Requires" }
                (about::requirements(metadata, &self.way, self.index))
            } @else {
                (elsewhere(&self.known.stack, &self.known.merged))
            }
            h2 { "Releases" }
            @if self.is_release {
                p { a href=(self.way.project(self.index, project)) { "All releases" } }
            } @else {
                @let near = Way::releases_near(path, project);
                (releases(&self.judged.releases, &near, &self.way.simple(self.index, project)))
            }
        }
    }
}

/// The status of PEP 792, if there is something to say.
fn status(merged: &Merged) -> Markup {
    let status = merged.status();
    html! {
        @if status.state != ProjectState::Active {
            p.note.warn {
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
            p.note {
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

#[cfg(test)]
mod tests;
