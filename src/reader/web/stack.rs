//! A stack, drawn in resolution order: who is asked first, and whose rules, whitelists and reserved names
//! apply.

use std::sync::Arc;

use maud::{Markup, html};

use crate::devpi::IndexSettings;
use crate::language::{PolicyMode, WhitelistName};
use crate::model::Location;
use crate::policy::{Index, Policy, Stack};
use crate::reader::web::held::Held;
use crate::reader::web::way::Way;

/// Most rules of one policy, and most names of one list, that are drawn.
const SHOWN_MAX: usize = 100;

/// `shows` tells which indexes have a page at this door.
pub fn drawn(way: &Way, stack: &Stack, held: &Held<'_>, shows: &dyn Fn(&Index) -> bool) -> Markup {
    html! {
        ol.stack {
            @for member in &stack.members {
                (drawn_member(way, &member.index, held, shows(&member.index)))
            }
        }
    }
}

fn drawn_member(way: &Way, index: &Arc<Index>, held: &Held<'_>, has_page: bool) -> Markup {
    let kind = if index.is_mirror() { "mirror" } else { "stage" };
    html! {
        li class=(kind) {
            @if has_page {
                a href=(way.index(&index.name)) { (index.name) }
            } @else {
                (index.name)
            }
            " " span.tag.faint { (kind) }
            @if !index.settings.public() { " " span.tag.faint { "not public" } }
            @if index.stage().is_some() && !index.settings.volatile() { " " span.tag.faint { "non-volatile" } }
            @if let Some(title) = index.settings.title() { " " span.faint { (title) } }
            @if has_page { div { (held.by(&index.name, index.is_mirror())) } }
            @if let Some(url) = mirror_url(index) { div.faint { "mirrors " (url) } }
            @if let Some(policy) = &index.policy { (drawn_policy(policy)) }
            @if let Some(entries) = index.whitelisted() {
                div { span.warn { "whitelist" } ": only " (entries) " names or pinned projects pass from mirrors" }
            }
            @let owned = index.owned_names().take(SHOWN_MAX).collect::<Vec<_>>();
            @if !owned.is_empty() {
                div { span.good { "owns" } " " (owned.join(", ")) ": never from a mirror" }
            }
            @if let Some(names) = mirror_whitelist(index) {
                div { "private names that mirrors may add to: " (names) }
            }
        }
    }
}

fn drawn_policy(policy: &Policy) -> Markup {
    let rules = &policy.rules;
    html! {
        details {
            summary {
                "policy " strong { (policy.name) } " "
                @match policy.mode {
                    PolicyMode::Enforce => { span.tag.good { "enforced" } }
                    PolicyMode::Audit => { span.tag.warn { "only audits" } }
                }
                " " span.faint { (place(&policy.location)) }
            }
            ul {
                @for rule in rules.iter().take(SHOWN_MAX) {
                    li {
                        (rule.words())
                        @if let Some(reason) = &rule.reason { " “" (reason) "”" }
                        " " span.faint { (rule.name) " " (place(&rule.location)) }
                    }
                }
                @if rules.len() > SHOWN_MAX { li.faint { "and " (rules.len() - SHOWN_MAX) " more" } }
                @if let Some(location) = &policy.default_deny {
                    li { "deny everything else " span.faint { (place(location)) } }
                }
            }
        }
    }
}

/// `file:line`, as refusals name it.
fn place(location: &Location) -> String {
    location.for_strangers()
}

/// Without its password.
fn mirror_url(index: &Index) -> Option<String> {
    index.mirror()?;
    let shown = IndexSettings::from_index(index).to_public_json();
    Some(shown.get("mirror_url")?.as_str()?.to_owned())
}

fn mirror_whitelist(index: &Index) -> Option<String> {
    let entries = &index.stage()?.mirror_whitelist().entries;
    let names = entries.iter().take(SHOWN_MAX).map(|name| match name {
        WhitelistName::All => "*",
        WhitelistName::Project(project) => project.as_str(),
    });
    (!entries.is_empty()).then(|| names.collect::<Vec<_>>().join(", "))
}
