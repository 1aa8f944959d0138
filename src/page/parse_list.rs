//! Reads an upstream's project list, JSON or HTML, straight into the compact form
//! (docs/protocol/simple-api.md §4.5).
//!
//! The list is tens of megabytes. Only the names and one entry at a time are held beside the body;
//! entries that are not project names are skipped.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::ProjectName;
use crate::page::anchors::{Anchor, Element, read_elements};
use crate::page::document::Links;
use crate::page::parse_json::refuse_other_major;
use crate::page::project_list::{ProjectNames, ProjectNamesBuilder};
use crate::page::project_page::InvalidPage;
use crate::page::sniff::{Markup, without_bom};
use crate::page::wire::{Items, Loose, refuse};

/// Most projects of a list, six times those of the largest index.
const PROJECTS_MAX: usize = 5_000_000;

/// Reads a project list in the markup that [`sniff`](crate::page::sniff::sniff()) found.
///
/// # Errors
/// When the body is not a list, announces a major version other than 1, or has more names than any index.
pub fn parse_project_list(markup: Markup, body: &[u8]) -> Result<ProjectNames, InvalidPage> {
    match markup {
        Markup::Json => parse_json_list(body),
        Markup::Html => parse_html_list(body),
    }
}

fn parse_json_list(body: &[u8]) -> Result<ProjectNames, InvalidPage> {
    let mut list = JsonList::default();
    let mut json = serde_json::Deserializer::from_slice(without_bom(body));
    let read = ListSeed(&mut list).deserialize(&mut json);
    let end = read.and_then(|()| json.end());
    if let Some(refused) = list.refused {
        return Err(refused);
    }
    end.map_err(|error| InvalidPage::Json(error.to_string()))?;
    if !list.has_projects {
        return Err(InvalidPage::Json(
            "it has no list of \"projects\"".to_owned(),
        ));
    }
    Ok(list.names.finish())
}

fn parse_html_list(body: &[u8]) -> Result<ProjectNames, InvalidPage> {
    let mut names = ProjectNamesBuilder::default();
    let mut links = Links::default();
    let document = read_elements(body, &mut |element| match element {
        Element::Anchor(anchor) => {
            let project = anchor_project(anchor);
            let (name, is_named) =
                project.map_or((None, false), |(name, is_named)| (Some(name), is_named));
            links.count(anchor.attribute("href").unwrap_or_default(), is_named);
            add(&mut names, name)
        }
        Element::Meta {
            name: "pypi:repository-version",
            content,
        } => refuse_other_major(Some(content)),
        Element::Meta { .. } | Element::Base(_) | Element::Comment(_) => Ok(()),
    })?;
    if !document.is_list(links) {
        return Err(InvalidPage::NoIndex(document.words()));
    }
    Ok(names.finish())
}

fn add(names: &mut ProjectNamesBuilder, name: Option<ProjectName>) -> Result<(), InvalidPage> {
    if names.len() >= PROJECTS_MAX {
        return Err(InvalidPage::TooMany(PROJECTS_MAX));
    }
    if let Some(name) = name {
        names.push(&name);
    }
    Ok(())
}

/// The project an anchor names: by its text (PEP 503), or by its URL where a directory listing has
/// shortened the text; and whether the two agree. Links back to the list itself (`?C=N;O=D`) name no
/// project.
fn anchor_project(anchor: &Anchor) -> Option<(ProjectName, bool)> {
    let href = anchor.attribute("href")?;
    let path = href
        .split(['?', '#'])
        .next()
        .unwrap_or("")
        .trim()
        .trim_end_matches('/');
    let segment = path
        .rsplit('/')
        .next()
        .filter(|segment| !segment.is_empty())?;
    let text = anchor.text.trim().trim_end_matches('/');
    let of_url = || {
        let segment = percent_decode_str(segment).decode_utf8().ok()?;
        ProjectName::parse(&segment).ok()
    };
    match ProjectName::parse(text) {
        Ok(name) => {
            let is_named = name.is_spelled(segment) || of_url().is_some_and(|other| other == name);
            Some((name, is_named))
        }
        Err(_) => of_url().map(|name| (name, false)),
    }
}

#[derive(Default)]
struct JsonList {
    names: ProjectNamesBuilder,
    refused: Option<InvalidPage>,
    has_projects: bool,
}

#[derive(Deserialize)]
struct WireProject<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

struct ListSeed<'r>(&'r mut JsonList);

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a project list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let JsonList {
            names,
            refused,
            has_projects,
        } = self.0;
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "projects" => {
                    let each = &mut |json: &str| add_project(names, json);
                    *has_projects |= entries.next_value_seed(Items { each, refused })?;
                }
                "meta" => {
                    let meta: Loose<'de> = entries.next_value()?;
                    refuse(
                        refuse_other_major(meta.entry("api-version").text()),
                        refused,
                    )?;
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn add_project(names: &mut ProjectNamesBuilder, json: &str) -> Result<(), InvalidPage> {
    let project = serde_json::from_str::<WireProject<'_>>(json).ok();
    add(
        names,
        project.and_then(|project| ProjectName::parse(&project.name).ok()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_list_is_read_past_its_odd_entries() {
        let body = r#"{"meta": {"api-version": "1.0", "_last-serial": 3}, "projects": [
            {"name": "Zope.Interface", "_last-serial": 1}, {"name": "six"}, {"name": null}, "flask",
            {"name": "not a name"}, {"name": "\u0061bc"}, {"name": "six"}]}"#;
        let names = parse_project_list(Markup::Json, body.as_bytes()).unwrap();
        assert_eq!(names.as_text(), "abc\nsix\nzope-interface\n");
    }

    #[test]
    fn an_html_list_is_read_from_indexes_and_directory_listings() {
        let body = r#"<h1>Index of /simple</h1><a href="?C=N;O=D">Name</a> <a href="../">../</a>
            <a href="/">Parent Directory</a> <a href="/simple/six/">Six</a>
            <a href="a-very-long-project-name/">a-very-long-pro..&gt;</a> <a href="hello%5Fpkg/"></a>
            <a href="flask/index.html">Flask</a> <a>nowhere</a> <a href="zope.interface/">zope.interface/</a>"#;
        let names = parse_project_list(Markup::Html, body.as_bytes()).unwrap();
        let expected = "a-very-long-project-name\nflask\nhello-pkg\nsix\nzope-interface\n";
        assert_eq!(names.as_text(), expected);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"files": []}"#,
            r#"{"projects": null}"#,
            r#"{"projects": [{"#,
        ] {
            let read = parse_project_list(Markup::Json, body.as_bytes());
            assert!(matches!(read, Err(InvalidPage::Json(_))), "{body}");
        }
        let body = r#"{"projects": [], "meta": {"api-version": "2.0"}}"#;
        let read = parse_project_list(Markup::Json, body.as_bytes());
        assert_eq!(read, Err(InvalidPage::ApiVersion("2.0".to_owned())));
    }
}
