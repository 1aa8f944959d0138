//! A project's releases, newest first: when each came, and whether installers get it.

use maud::{Markup, html};

use crate::page::encode;
use crate::reader::web::files::{day, uploaded};
use crate::reader::web::judged::{Release, ReleaseState};

/// Most releases on one page. Few projects have more; their simple page has all.
pub const RELEASES_SHOWN_MAX: usize = 200;

/// The list. `near` is the way from the page to the folder of the releases' pages: with the way from the
/// root, two hundred links would be half of the page.
pub fn releases(all: &[Release], near: &str, simple: &str) -> Markup {
    html! {
        @if all.is_empty() { p { "It has no files." } }
        ol.releases {
            @for one in all.iter().take(RELEASES_SHOWN_MAX) { (release(one, near)) }
        }
        @if all.len() > RELEASES_SHOWN_MAX {
            p {
                "and " (all.len() - RELEASES_SHOWN_MAX) " older ones on "
                a href=(simple) { "the simple page" } "."
            }
        }
    }
}

fn release(release: &Release, near: &str) -> Markup {
    let version = release.version.as_str();
    html! {
        li {
            a href={ (near) (encode(version)) } { (version) }
            @if let Some(time) = release.uploaded { " " (uploaded(time)) }
            @match &release.state {
                ReleaseState::Served { refused: 0, .. } => {}
                ReleaseState::Served { refused, files } => {
                    " " span.warn { (refused) " of " (files) " files refused" }
                }
                ReleaseState::Yanked(None) => { " " span.warn { "yanked" } }
                ReleaseState::Yanked(Some(reason)) => { " " span.warn { "yanked: " (reason) } }
                ReleaseState::Refused(refused) => {
                    @match refused.matures {
                        Some(until) => {
                            " " span.warn { "cools down until " (day(until)) ": " (refused.words) }
                        }
                        None => { " " span.bad { (refused.words) } }
                    }
                }
            }
            @if let Some(words) = &release.audited {
                " " span.warn { "audit only: would be " (words) }
            }
        }
    }
}
