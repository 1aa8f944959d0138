//! Reads the JSON project page of an upstream (PEP 691, 700, 792; docs/protocol/simple-api.md §4).
//!
//! Each item of `files` is cut out raw and parsed by itself (`json_file`): a bad one is left out and
//! counted, and only one file at a time is held in wire form beside the body and the page.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::model::{ProjectName, ProjectState, ProjectStatus};
use crate::page::json_file::add_file;
use crate::page::project_page::{InvalidPage, PageBuilder, ProjectPage, clean};
use crate::page::sniff::without_bom;
use crate::page::source_url::Base;
use crate::page::wire::{Items, Loose, refuse};

/// Reads a JSON project page that was found at `page_url` (after redirects).
///
/// Unknown keys are ignored, so API 1.0 to 1.5 and any later 1.x are understood.
///
/// # Errors
/// When the body is not a JSON object with `files`, has entries but none that can be read, names another
/// project, announces a major version other than 1, or lists more than any project has.
pub fn parse_json(
    body: &[u8],
    page_url: &str,
    project: &ProjectName,
) -> Result<ProjectPage, InvalidPage> {
    parse_json_within(usize::MAX, body, page_url, project)
}

/// The same, with a page of at most this many bytes of values.
pub(super) fn parse_json_within(
    room: usize,
    body: &[u8],
    page_url: &str,
    project: &ProjectName,
) -> Result<ProjectPage, InvalidPage> {
    let mut reading = Reading {
        base: Base::parse(page_url)?,
        builder: PageBuilder::within(room, project),
        refused: None,
        has_files: false,
        has_status: false,
    };
    let mut json = serde_json::Deserializer::from_slice(without_bom(body));
    let read = PageSeed(&mut reading).deserialize(&mut json);
    let end = read.and_then(|()| json.end());
    if let Some(refused) = reading.refused {
        return Err(refused);
    }
    end.map_err(|error| InvalidPage::Json(error.to_string()))?;
    if !reading.has_files {
        // The error document of a proxy in between, not a project without files.
        return Err(InvalidPage::Json("it has no list of \"files\"".to_owned()));
    }
    if reading.builder.has_lost_all() {
        return Err(InvalidPage::NoFiles);
    }
    Ok(reading.builder.finish())
}

/// Refuses a page of another major version, as PEP 629 says; no version at all counts as 1.0.
///
/// # Errors
/// [`InvalidPage::ApiVersion`].
pub(super) fn refuse_other_major(announced: Option<&str>) -> Result<(), InvalidPage> {
    let announced = announced.unwrap_or("1.0").trim();
    if announced.split('.').next() == Some("1") {
        return Ok(());
    }
    Err(InvalidPage::ApiVersion(
        announced.chars().take(40).collect(),
    ))
}

/// A status as PEP 792 names it; an unknown state counts as none.
pub(super) fn parse_status(state: &str, reason: Option<&str>) -> ProjectStatus {
    ProjectStatus {
        state: ProjectState::parse(state.trim()).unwrap_or_default(),
        reason: reason.and_then(clean),
    }
}

struct Reading {
    base: Base,
    builder: PageBuilder,
    /// Why the page is refused for its content; the error that serde returns then is ignored.
    refused: Option<InvalidPage>,
    has_files: bool,
    has_status: bool,
}

impl Reading {
    /// The project that the page names (PEP 691). An invalid name counts as none.
    fn name(&mut self, name: &Loose<'_>) -> Result<(), InvalidPage> {
        let text = name.text().unwrap_or_default().trim();
        let is_other = !text.is_empty()
            && ProjectName::parse(text).is_ok_and(|name| name != *self.builder.project());
        if is_other {
            return Err(InvalidPage::OtherProject(text.to_owned()));
        }
        Ok(())
    }

    fn meta(&mut self, meta: &Loose<'_>) -> Result<(), InvalidPage> {
        self.builder.serial(meta.entry("_last-serial").number());
        // PEP 792 was first deployed with the status inside `meta`.
        let (state, reason) = (
            meta.entry("project-status"),
            meta.entry("project-status-reason"),
        );
        if !self.has_status {
            self.status(state, reason);
        }
        let version = meta.entry("api-version");
        refuse_other_major(
            version
                .number()
                .map(|major| major.to_string())
                .as_deref()
                .or(version.text()),
        )
    }

    /// Accepts a status written as a string with its reason beside it, or as an object with both.
    fn status(&mut self, value: &Loose<'_>, reason_beside: &Loose<'_>) {
        let state = value.text().or_else(|| value.entry("status").text());
        let reason = value
            .entry("reason")
            .text()
            .or_else(|| reason_beside.text());
        if let Some(state) = state {
            self.builder.status(parse_status(state, reason));
        }
    }
}

struct PageSeed<'r>(&'r mut Reading);

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a project page")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let reading = self.0;
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                // Two lists would mean different things to different readers.
                "files" if reading.has_files => return Err(A::Error::duplicate_field("files")),
                "files" => {
                    let (builder, base) = (&mut reading.builder, &mut reading.base);
                    let each = &mut |json: &str| add_file(builder, base, json);
                    let refused = &mut reading.refused;
                    reading.has_files = entries.next_value_seed(Items { each, refused })?;
                }
                "versions" => {
                    let each = &mut |json: &str| add_version(&mut reading.builder, json);
                    let refused = &mut reading.refused;
                    entries.next_value_seed(Items { each, refused })?;
                }
                "name" => {
                    let name: Loose<'de> = entries.next_value()?;
                    let outcome = reading.name(&name);
                    refuse(outcome, &mut reading.refused)?;
                }
                "meta" => {
                    let meta: Loose<'de> = entries.next_value()?;
                    let outcome = reading.meta(&meta);
                    refuse(outcome, &mut reading.refused)?;
                }
                "project-status" => {
                    let value: Loose<'de> = entries.next_value()?;
                    reading.status(&value, &Loose::Absent);
                    reading.has_status = true;
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn add_version(builder: &mut PageBuilder, json: &str) -> Result<(), InvalidPage> {
    let version: Loose<'_> = serde_json::from_str(json).unwrap_or_default();
    version.text().map_or(Ok(()), |text| builder.version(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_which_none_can_be_read_are_not_an_empty_project() {
        for files in [
            "[1, 2]",
            r#"[{"filename": "pytz-1.zip", "url": null}]"#,
            r#"[{"filename": "other-1.zip", "url": "/x"}]"#,
        ] {
            let read = parse(&format!(r#"{{"name": "pytz", "files": {files}}}"#));
            assert_eq!(read, Err(InvalidPage::NoFiles), "{files}");
        }
        for files in [
            "[]",
            r#"[{"filename": "README.txt", "url": "/x"}]"#,
            r#"[1, {"filename": "pytz-1.zip", "url": "/x"}]"#,
        ] {
            let read = parse(&format!(r#"{{"name": "pytz", "files": {files}}}"#));
            assert!(read.is_ok(), "{files}: {read:?}");
        }
    }

    fn parse(json: &str) -> Result<ProjectPage, InvalidPage> {
        let project = ProjectName::parse("pytz").unwrap();
        parse_json(
            json.as_bytes(),
            "https://upstream.example/simple/pytz/",
            &project,
        )
    }

    fn names(page: &ProjectPage) -> Vec<&str> {
        page.files
            .iter()
            .map(|file| file.filename.as_str())
            .collect()
    }

    #[test]
    fn an_odd_page_of_the_field() {
        let page = parse(
            "\u{feff}{\"alternate-locations\": [[[{}]]], \"namespaces\": null, \"name\": 7,
              \"versions\": [\"2004d\", null, \"2024.1\", \"2024.1\", {\"a\": 1}],
              \"files\": [
                {\"filename\": \"pytz-2004d.tar.bz2\", \"url\": \"../../f/pytz-2004d.tar.bz2\", \"hashes\": {}},
                null,
                {\"filename\": \"pytz-2004d-py2.3.egg\", \"url\": \"//files.example/pytz-2004d-py2.3.egg\",
                 \"size\": null, \"yanked\": null, \"upload-time\": null},
                {\"filename\": \"README.txt\", \"url\": \"README.txt\"},
                {\"filename\": \"pytz-2023.1+l-py2.py3-none-any.whl\", \"url\": \"pytz-2023.1%2Bl-py2.py3-none-any.whl\"}],
              \"meta\": {\"api-version\": \"1.5\", \"_last-serial\": 12},
              \"project-status\": {\"status\": \"archived\", \"reason\": \"use zoneinfo\"}}",
        )
        .unwrap();
        let expected = [
            "pytz-2004d.tar.bz2",
            "pytz-2004d-py2.3.egg",
            "pytz-2023.1+l-py2.py3-none-any.whl",
        ];
        assert_eq!(names(&page), expected);
        assert_eq!(
            page.files[0].url.as_deref(),
            Some("https://upstream.example/f/pytz-2004d.tar.bz2")
        );
        assert_eq!(
            page.versions
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["2024.1"]
        );
        assert_eq!((page.dropped, page.serial), (2, Some(12)));
        assert_eq!(page.status, parse_status("archived", Some("use zoneinfo")));
    }

    #[test]
    fn a_status_is_found_wherever_it_was_put() {
        let quarantined = parse_status("quarantined", Some("why"));
        for json in [
            r#"{"files": [], "project-status": {"status": "quarantined", "reason": "why"}}"#,
            r#"{"files": [], "meta": {"project-status": "quarantined", "project-status-reason": "why"}}"#,
            r#"{"files": [], "meta": {"project-status": {"status": "quarantined", "reason": "why"}}}"#,
            r#"{"files": [], "project-status": {"status": "quarantined", "reason": "why"},
                "meta": {"project-status": "active"}}"#,
        ] {
            assert_eq!(parse(json).unwrap().status, quarantined, "{json}");
        }
        for json in [
            r#"{"files": [], "project-status": null, "meta": null}"#,
            r#"{"files": [], "project-status": "haunted"}"#,
        ] {
            assert_eq!(
                parse(json).unwrap().status,
                ProjectStatus::default(),
                "{json}"
            );
        }
    }

    #[test]
    fn only_major_version_one_is_understood() {
        for version in ["\"1.0\"", "\"1.99\"", "\"1\"", "1", "null"] {
            let json = format!(r#"{{"files": [], "meta": {{"api-version": {version}}}}}"#);
            assert!(parse(&json).is_ok(), "{version}");
        }
        for version in ["\"2.0\"", "\"0.9\"", "\"x\"", "2", "\"10.0\""] {
            let json = format!(r#"{{"files": [], "meta": {{"api-version": {version}}}}}"#);
            assert!(
                matches!(parse(&json), Err(InvalidPage::ApiVersion(_))),
                "{version}"
            );
        }
    }

    #[test]
    fn a_page_that_names_another_project_is_not_this_ones() {
        for name in ["\"pytz\"", "\"PyTZ\"", "\"\"", "7", "null"] {
            let json = format!(r#"{{"name": {name}, "files": []}}"#);
            assert!(parse(&json).is_ok(), "{name}");
        }
        for json in [
            r#"{"name": "six", "files": []}"#,
            r#"{"files": [], "name": "pytz-2"}"#,
        ] {
            let read = parse(json);
            assert!(matches!(read, Err(InvalidPage::OtherProject(_))), "{json}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused_not_taken_for_an_empty_one() {
        for json in [
            "",
            "{",
            "[]",
            "null",
            r#"{"message": "not found"}"#,
            r#"{"files": null}"#,
            r#"{"files": {}}"#,
            r#"{"files": [], "files": []}"#,
            r#"{"files": []} trailing"#,
            r#"{"files": [{"filename": "#,
            r#"{"projects": []}"#,
        ] {
            assert!(matches!(parse(json), Err(InvalidPage::Json(_))), "{json}");
        }
        let deep = format!("{{\"files\": [], \"meta\": {}", "[".repeat(100_000));
        assert!(matches!(parse(&deep), Err(InvalidPage::Json(_))));
    }
}
