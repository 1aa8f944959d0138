//! What an index holds, in a few words: a stage by what was uploaded to it, a mirror by the list that is here.

use std::collections::HashMap;

use maud::{Markup, html};

use crate::db::IndexHoldings;
use crate::exchange::{Flow, records_failed};
use crate::model::IndexName;
use crate::reader::look::Look;
use crate::reader::web::files::size;

/// What every index holds, as of one request.
pub struct Held<'a> {
    look: Look<'a>,
    stages: HashMap<IndexName, IndexHoldings>,
}

impl<'a> Held<'a> {
    /// Reads it: nothing is counted for it.
    pub async fn read(look: Look<'a>) -> Flow<Self> {
        let stages = look.flows.core.records.holdings().await;
        let stages = stages.map_err(|error| records_failed("read what indexes hold", error))?;
        let stages = stages.into_iter().collect();
        Ok(Self { look, stages })
    }

    /// What an index holds; nothing of one that the door does not show.
    pub fn by(&self, index: &IndexName, is_mirror: bool) -> Markup {
        html! {
            @if self.look.shows(index) {
                @if is_mirror { (self.listed(index)) } @else { (self.uploaded(index)) }
            }
        }
    }

    fn listed(&self, index: &IndexName) -> Markup {
        html! {
            @match self.look.flows.core.overview.listed(index) {
                Some(names) => { "lists " (counted(names, "project", "projects")) }
                None => { "no list of it is held yet" }
            }
        }
    }

    fn uploaded(&self, index: &IndexName) -> Markup {
        let held = self.stages.get(index).copied().unwrap_or_default();
        html! {
            @if held == IndexHoldings::default() {
                "empty"
            } @else {
                (counted(held.projects, "project", "projects")) ", "
                (counted(held.files, "file", "files")) ", "
                (size(held.bytes))
            }
        }
    }
}

/// A number with what it counts.
pub fn counted(number: u64, one: &str, several: &str) -> String {
    let what = if number == 1 { one } else { several };
    format!("{} {what}", grouped(number))
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let table = [
            (0, "0 files"),
            (1, "1 file"),
            (999, "999 files"),
            (1_000, "1,000 files"),
            (1_234_567, "1,234,567 files"),
        ];
        for (number, text) in table {
            assert_eq!(counted(number, "file", "files"), text);
        }
    }
}
