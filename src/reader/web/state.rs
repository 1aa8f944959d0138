//! How the gateway is doing, for its first page: upstreams, feeds of advisories, and what was refused most.
//!
//! Everything is looked up that something else found out: no upstream is asked, and no journal read.

use std::cmp::Reverse;
use std::time::Duration;

use maud::{Markup, html};

use crate::advisory::Freshness;
use crate::exchange::RefusedOften;
use crate::model::{ProjectName, Timestamp};
use crate::policy::Index;
use crate::reader::look::Look;
use crate::reader::web::held::counted;
use crate::reader::web::way::Way;
use crate::upstream::UpstreamState;

/// Most rows about what was refused.
const REFUSED_SHOWN_MAX: usize = 10;

/// The sections, as far as there is something to say at this door.
pub fn state(look: Look<'_>, way: &Way) -> Markup {
    html! {
        (upstreams(look, way))
        (feeds(look))
        (refused(look, way))
    }
}

fn upstreams(look: Look<'_>, way: &Way) -> Markup {
    let policies = &look.cx.generation.policies;
    let mirrors = policies.indexes().filter(|index| index.is_mirror());
    let mirrors: Vec<_> = mirrors.filter(|index| look.shows(&index.name)).collect();
    html! {
        @if !mirrors.is_empty() {
            h2 { "Upstreams" }
            table.list {
                tr { th { "mirror" } th { "upstream" } }
                @for index in mirrors {
                    tr {
                        td { a href=(way.index(&index.name)) { (index.name) } }
                        td { (upstream(look, index)) }
                    }
                }
            }
        }
    }
}

fn upstream(look: Look<'_>, index: &Index) -> Markup {
    let Some(upstream) = look.cx.generation.upstreams.get(&index.name) else {
        return html! { span.warn { "none is set" } };
    };
    if look.flows.core.settings.offline {
        return html! { span.faint { "not asked: this gateway is offline" } };
    }
    html! {
        @match upstream.state() {
            UpstreamState::Unasked => { span.faint { "not asked yet" } }
            UpstreamState::Answers => { span.good { "answers" } }
            UpstreamState::Failing(long) => {
                span.bad { "does not answer" } " since " (instant(before(look.cx.now, long)))
                " (" (for_people(long)) ")"
            }
            UpstreamState::Servers(0, all) => { span.bad { "none of " (all) " servers is up" } }
            UpstreamState::Servers(up, all) if up < all => {
                span.warn { (up) " of " (all) " servers are up" }
            }
            UpstreamState::Servers(_, all) => { span.good { "all of " (all) " servers are up" } }
        }
    }
}

fn feeds(look: Look<'_>) -> Markup {
    let known = look.cx.generation.policies.advisories();
    let feeds: Vec<&Freshness> = known.feeds().collect();
    html! {
        @if !feeds.is_empty() {
            h2 { "Advisories" }
            table.list {
                tr { th { "feed" } th { "confirmed" } th { "state" } }
                @for feed in feeds {
                    tr {
                        td { (feed.feed) }
                        td { (confirmed(feed, look.cx.now)) }
                        td { (reliance(feed, look.cx.now)) }
                    }
                }
            }
        }
    }
}

fn confirmed(feed: &Freshness, now: Timestamp) -> Markup {
    html! {
        @match feed.checked {
            Some(checked) => {
                @let age = Duration::try_from(now.duration_since(checked)).unwrap_or_default();
                (for_people(age)) " ago, " (instant(checked))
            }
            None => { "not loaded yet" }
        }
    }
}

/// What rules make of a feed of this age.
fn reliance(feed: &Freshness, now: Timestamp) -> Markup {
    let lack = match feed.checked {
        Some(_) => "too old",
        None => "nothing is held",
    };
    html! {
        @match (feed.is_stale(now), feed.denies) {
            (false, _) => { span.good { "up to date" } }
            (true, true) => { span.bad { (lack) ": rules about advisories refuse" } }
            (true, false) => { span.warn { (lack) ": rules judge by what is held" } }
        }
    }
}

fn refused(look: Look<'_>, way: &Way) -> Markup {
    let Some(lately) = look.flows.core.overview.refused() else {
        return html! {};
    };
    let shown = lately.often.iter().filter(|one| is_shown(look, one));
    let mut shown: Vec<&RefusedOften> = shown.collect();
    shown.sort_by_key(|one| Reverse(one.times));
    shown.truncate(REFUSED_SHOWN_MAX);
    html! {
        h2 { "Refused most this week" }
        @if shown.is_empty() {
            p.faint { "Nothing was refused." }
        } @else {
            table.list {
                tr { th { "project" } th { "rule" } th { "index" } th { "refusals" } }
                @for one in shown { (refused_row(way, one)) }
            }
        }
    }
}

/// What is asked for at an open index may have the name of something of the house, which is nobody else's
/// business.
fn is_shown(look: Look<'_>, one: &RefusedOften) -> bool {
    let is_reserved = || {
        let project = ProjectName::parse(&one.project);
        project.is_ok_and(|project| look.cx.generation.policies.reserves(&project))
    };
    look.shows(&one.index) && (look.ask.arrival.is_manage || !is_reserved())
}

fn refused_row(way: &Way, one: &RefusedOften) -> Markup {
    let project = ProjectName::parse(&one.project).ok();
    html! {
        tr {
            td {
                @match project {
                    Some(project) => { a href=(way.project(&one.index, &project)) { (project) } }
                    None => { (one.project) }
                }
            }
            td.name { (one.rule) }
            td { a href=(way.index(&one.index)) { (one.index) } }
            td { (counted(one.times, "time", "times")) }
        }
    }
}

fn before(now: Timestamp, long: Duration) -> Timestamp {
    now.checked_sub(long).unwrap_or(Timestamp::MIN)
}

/// An instant to the minute, for people, and exactly for programs.
pub fn instant(at: Timestamp) -> Markup {
    html! {
        time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (at.strftime("%Y-%m-%d %H:%M")) " UTC" }
    }
}

/// A duration in its largest unit that fits twice.
fn for_people(long: Duration) -> String {
    let seconds = long.as_secs();
    let (number, one, several) = match seconds {
        seconds if seconds >= 2 * 86_400 => (seconds / 86_400, "day", "days"),
        seconds if seconds >= 2 * 3_600 => (seconds / 3_600, "hour", "hours"),
        seconds if seconds >= 2 * 60 => (seconds / 60, "minute", "minutes"),
        seconds => (seconds, "second", "seconds"),
    };
    counted(number, one, several)
}
