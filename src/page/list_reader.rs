//! Reads an upstream's project list as it comes, JSON or HTML, straight into the compact form
//! (docs/protocol/simple-api.md §4.5).
//!
//! The list is tens of megabytes. Only the names are held, and what has not been parsed yet: an entry, a
//! tag. Entries that are not project names are skipped. Names can be taken before the whole has come,
//! once it is certain that this is a list; whether it is whole only its end says.

use encoding_rs::{CoderResult, Decoder};
use percent_encoding::percent_decode_str;

use crate::model::ProjectName;
use crate::page::anchors::{Anchor, Element, Elements, TakeElement};
use crate::page::document::Links;
use crate::page::json_list::{JsonList, PROJECTS_MAX};
use crate::page::parse_json::refuse_other_major;
use crate::page::project_list::{ProjectNames, ProjectNamesBuilder};
use crate::page::project_page::InvalidPage;
use crate::page::read::{PRESCAN_BYTES, markup_and_charset, nothing};
use crate::page::sniff::{Markup, without_bom};

/// A list that is coming.
pub struct ListReader {
    content_type: Option<String>,
    /// What came before it was clear how to read it.
    start: Vec<u8>,
    reading: Option<ListBody>,
    /// Bytes of names that were taken.
    taken: usize,
}

/// The names of a list that came whole, in the upstream's order.
pub struct NamesRead {
    names: ProjectNamesBuilder,
    taken: usize,
}

struct ListBody {
    /// `None` for JSON in UTF-8.
    decoder: Option<Decoder>,
    list: ListKind,
}

enum ListKind {
    Json(JsonList),
    Html(Box<Elements<ListLinks>>),
}

impl ListReader {
    /// A list of which nothing has come but its type.
    #[must_use]
    pub fn new(content_type: Option<String>) -> Self {
        Self {
            content_type,
            start: Vec::new(),
            reading: None,
            taken: 0,
        }
    }

    /// Reads what comes next.
    ///
    /// # Errors
    /// When it is no list, announces a major version other than 1, or has more names than any index.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), InvalidPage> {
        if let Some(reading) = &mut self.reading {
            return reading.feed(bytes, false);
        }
        self.start.extend_from_slice(bytes);
        let text = without_bom(&self.start).trim_ascii_start();
        if self.start.len() < PRESCAN_BYTES || text.is_empty() {
            return Ok(());
        }
        self.begin()
    }

    /// Appends the names that have come since the last time, each followed by a line feed, in the
    /// upstream's order; none before it is certain that this is a list.
    pub fn take_names(&mut self, to: &mut String) {
        let Some(reading) = &self.reading else {
            return;
        };
        let before = to.len();
        match &reading.list {
            ListKind::Json(list) => to.push_str(list.names.text_from(self.taken)),
            ListKind::Html(elements) => elements.look(|document, list| {
                if document.is_list(list.links) {
                    to.push_str(list.names.text_from(self.taken));
                }
            }),
        }
        self.taken += to.len() - before;
    }

    /// The names, now that the whole has come.
    ///
    /// # Errors
    /// As of [`ListReader::feed`].
    pub fn end(mut self) -> Result<NamesRead, InvalidPage> {
        if self.reading.is_none() {
            if self.start.trim_ascii().is_empty() {
                return Err(nothing());
            }
            self.begin()?;
        }
        let mut reading = self.reading.ok_or_else(nothing)?;
        reading.feed(&[], true)?;
        let names = match reading.list {
            ListKind::Json(list) => list.end()?,
            ListKind::Html(elements) => {
                let (document, list) = elements.end()?;
                if !document.is_list(list.links) {
                    return Err(InvalidPage::NoIndex(document.words()));
                }
                list.names
            }
        };
        let taken = self.taken;
        Ok(NamesRead { names, taken })
    }

    fn begin(&mut self) -> Result<(), InvalidPage> {
        let start = std::mem::take(&mut self.start);
        let (markup, charset) = markup_and_charset(self.content_type.as_deref(), &start);
        let reading = self.reading.insert(ListBody {
            decoder: charset.map(|charset| charset.new_decoder_with_bom_removal()),
            list: match markup {
                Markup::Json => ListKind::Json(JsonList::default()),
                Markup::Html => ListKind::Html(Box::new(Elements::new(ListLinks::default()))),
            },
        });
        match charset {
            Some(_) => reading.feed(&start, false),
            None => reading.feed(without_bom(&start), false),
        }
    }
}

impl NamesRead {
    /// Those that were not taken before, each followed by a line feed.
    #[must_use]
    pub fn not_taken(&self) -> &str {
        self.names.text_from(self.taken)
    }

    /// The names, sorted. That takes longer than reading them where they came in another order.
    #[must_use]
    pub fn sorted(self) -> ProjectNames {
        self.names.finish()
    }
}

impl ListBody {
    fn feed(&mut self, bytes: &[u8], is_last: bool) -> Result<(), InvalidPage> {
        let Some(decoder) = &mut self.decoder else {
            return self.list.feed(bytes);
        };
        let most = decoder.max_utf8_buffer_length(bytes.len());
        let mut text = String::with_capacity(most.unwrap_or(bytes.len()));
        let mut rest = bytes;
        loop {
            let (result, read, _) = decoder.decode_to_string(rest, &mut text, is_last);
            rest = &rest[read..];
            self.list.feed(text.as_bytes())?;
            text.clear();
            if result == CoderResult::InputEmpty {
                return Ok(());
            }
        }
    }
}

impl ListKind {
    fn feed(&mut self, text: &[u8]) -> Result<(), InvalidPage> {
        match self {
            Self::Json(list) => list.feed(text),
            Self::Html(elements) => elements.feed(&String::from_utf8_lossy(text)),
        }
    }
}

/// What an HTML list says.
#[derive(Default)]
struct ListLinks {
    names: ProjectNamesBuilder,
    links: Links,
}

impl TakeElement for ListLinks {
    fn take(&mut self, element: Element<'_>) -> Result<(), InvalidPage> {
        match element {
            Element::Anchor(anchor) => self.anchor(anchor),
            Element::Meta {
                name: "pypi:repository-version",
                content,
            } => refuse_other_major(Some(content)),
            Element::Meta { .. } | Element::Base(_) | Element::Comment(_) => Ok(()),
        }
    }
}

impl ListLinks {
    fn anchor(&mut self, anchor: &Anchor) -> Result<(), InvalidPage> {
        let project = anchor_project(anchor);
        let is_named = project.as_ref().is_some_and(|(_, is_named)| *is_named);
        let href = anchor.attribute("href").unwrap_or_default();
        self.links.count(href, is_named);
        if self.names.len() >= PROJECTS_MAX {
            return Err(InvalidPage::TooMany(PROJECTS_MAX));
        }
        if let Some((name, _)) = project {
            self.names.push(&name);
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The names of a list that comes in pieces of so many bytes: as they could be taken before its end,
    /// and sorted.
    fn read(
        content_type: Option<&str>,
        body: &[u8],
        pieces: &[usize],
    ) -> Result<(String, ProjectNames), InvalidPage> {
        let mut reader = ListReader::new(content_type.map(str::to_owned));
        let (mut rest, mut taken) = (body, String::new());
        for size in pieces.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*size));
            reader.feed(piece)?;
            reader.take_names(&mut taken);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        Ok((taken, reader.end()?.sorted()))
    }

    fn whole(content_type: &str, body: &[u8]) -> Result<ProjectNames, InvalidPage> {
        let (_, names) = read(Some(content_type), body, &[usize::MAX])?;
        Ok(names)
    }

    fn names_of(text: &str) -> ProjectNames {
        let names: Vec<_> = text
            .lines()
            .map(|name| ProjectName::parse(name).unwrap())
            .collect();
        names.iter().collect()
    }

    const JSON: &str = "application/vnd.pypi.simple.v1+json";
    const HTML: &str = "text/html";

    #[test]
    fn a_json_list_is_read_past_its_odd_entries() {
        let body = r#"{"meta": {"api-version": "1.0", "_last-serial": 3}, "projects": [
            {"name": "Zope.Interface", "_last-serial": 1}, {"name": "six"}, {"name": null}, "flask",
            {"name": "not a name"}, {"name": "\u0061bc"}, {"name": "six"}]}"#;
        let names = whole(JSON, body.as_bytes()).unwrap();
        assert_eq!(names.as_text(), "abc\nsix\nzope-interface\n");
    }

    #[test]
    fn an_html_list_is_read_from_indexes_and_directory_listings() {
        let body = r#"<h1>Index of /simple</h1><a href="?C=N;O=D">Name</a> <a href="../">../</a>
            <a href="/">Parent Directory</a> <a href="/simple/six/">Six</a>
            <a href="a-very-long-project-name/">a-very-long-pro..&gt;</a> <a href="hello%5Fpkg/"></a>
            <a href="flask/index.html">Flask</a> <a>nowhere</a> <a href="zope.interface/">zope.interface/</a>"#;
        let names = whole(HTML, body.as_bytes()).unwrap();
        let expected = "a-very-long-project-name\nflask\nhello-pkg\nsix\nzope-interface\n";
        assert_eq!(names.as_text(), expected);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for body in [
            "[]",
            "{}",
            r#"{"projects": [] "#,
            r#"{"projects": [{"name": "six"},]}"#,
            r#"{"projects": [,{"name": "six"}]}"#,
            r#"{"projects": [{"name": "six"} {"name": "abc"}]}"#,
            r#"{"projects": [{"name": "six"]}"#,
            r#"{"projects": [{"name": "six"}}"#,
            r#"{"projects": [nonsense]}"#,
            r#"{"projects": []]}"#,
            r#"{"projects": [], "projects": []}"#,
            r#"{"projects": []} more"#,
            r#"["projects": [{"name": "six"}]]"#,
            r#"{"meta": "projects": []}"#,
            r#"{"files": []}"#,
            r#"{"projects": null}"#,
            r#"{"projects": [{"#,
        ] {
            let read = whole(JSON, body.as_bytes());
            assert!(matches!(read, Err(InvalidPage::Json(_))), "{body}");
        }
        let body = r#"{"projects": [], "meta": {"api-version": "2.0"}}"#;
        let read = whole(JSON, body.as_bytes());
        assert_eq!(read, Err(InvalidPage::ApiVersion("2.0".to_owned())));
    }

    #[test]
    fn nothing_is_no_list() {
        for body in ["", " \r\n", &" ".repeat(2 * PRESCAN_BYTES)] {
            for content_type in [JSON, HTML] {
                assert_eq!(whole(content_type, body.as_bytes()), Err(nothing()));
            }
        }
    }

    #[test]
    fn what_is_called_projects_elsewhere_is_not_the_list() {
        let body = r#"\ufeff {"x": {"projects": [{"name": "no"}]}, "y": ["projects", [{"name": "no"}]], "s": "projects",
            "a\"projects": [{"name": "no"}], "\u0070rojects" : [{"name": "yes"}, 7], "projects"  :
            [{"name": "six", "projects": [{"name": "no"}]}, 12, [], "]", {"name": "\ud800"}, {"name": {}}, -1.5e-3, {"x": [-1.5e+3], "name": "abc"}], "meta": {}}"#;
        // Long enough to be read before its end.
        let space = " ".repeat(PRESCAN_BYTES);
        let body = body.replace("\\ufeff", &format!("\u{feff}{space}"));
        for size in 1..400 {
            let (_, names) = read(None, body.as_bytes(), &[size]).unwrap();
            assert_eq!(names.as_text(), "abc\nsix\nyes\n", "{size}");
        }
    }

    #[test]
    fn another_major_version_is_refused_before_its_names_are_taken() {
        let body = format!(
            r#"{{"meta": {{"api-version": "2.0"}}, "x": "{}", "projects": [{{"name": "six"}}"#,
            " ".repeat(PRESCAN_BYTES)
        );
        let mut reader = ListReader::new(Some(JSON.to_owned()));
        let read = reader.feed(body.as_bytes());
        assert_eq!(read, Err(InvalidPage::ApiVersion("2.0".to_owned())));
    }

    #[test]
    fn an_entry_beyond_all_measure_is_refused_before_it_ends() {
        let body = format!(r#"{{"projects": [{{"x": "{}"#, "x".repeat(200 << 10));
        let mut reader = ListReader::new(None);
        assert!(matches!(
            reader.feed(body.as_bytes()),
            Err(InvalidPage::Json(_))
        ));
    }

    #[test]
    fn names_of_html_are_taken_once_it_is_certain_that_it_is_a_list() {
        let links = |count: usize| (0..count).map(|n| format!("<a href=p{n}/>p{n}</a>"));
        let many = links(1_000).collect::<String>();
        let sign_in = format!("<title>Sign in</title><input type=password>{many}");
        for (body, is_list) in [(&many, true), (&sign_in, false)] {
            let mut reader = ListReader::new(Some(HTML.to_owned()));
            let mut taken = String::new();
            reader.feed(body.as_bytes()).unwrap();
            reader.take_names(&mut taken);
            assert_eq!(taken.lines().count() > 900, is_list);
            assert_eq!(reader.end().is_ok(), is_list);
        }
    }

    #[test]
    fn a_list_is_read_in_its_charset() {
        let html = "<meta charset=utf-16><a href=six/>s\u{ed}x</a><a href=abc/>abc</a>";
        let units = |text: &str| -> Vec<u8> {
            let units = format!("\u{feff}{text}{}", " ".repeat(PRESCAN_BYTES));
            units.encode_utf16().flat_map(u16::to_le_bytes).collect()
        };
        let json = r#"{"projects": [{"name": "six"}, {"name": "abc"}]}"#;
        for (content_type, body) in [
            (HTML, units(html)),
            (JSON, units(json)),
            ("text/html; charset=latin1", html.as_bytes().to_vec()),
            (HTML, html.as_bytes().to_vec()),
        ] {
            for size in [1, 2, 3, 4096] {
                let (_, names) = read(Some(content_type), &body, &[size]).unwrap();
                assert_eq!(names.as_text(), "abc\nsix\n", "{content_type} {size}");
            }
        }
    }

    proptest! {
        /// Whatever comes, and however it is cut: what is read is the same, and what was taken early is
        /// a part of it, or all.
        #[test]
        fn a_list_in_pieces_is_the_list(
            body in prop_oneof![
                r#"\{("meta":\{("api-version":"[12].0")?\},)?"projects":\[(\{"name":"[A-Ca.]{1,2}"\},){0,3}(\{"name":"x"\}|7|null|\{\})?\](\}|,"x":[0-9]\})?"#,
                r#"[\[\]{},:"a7.e\n \\-]{0,30}"#,
                r#"\{"projects":\[[\[\]{},:"a7.e\n \\-]{0,30}\]\}"#,
                "(<a href=[a-c]{1,2}/>[a-cA-Z&;é]{0,3}</a>|<input type=password>|<br>|<h1>Index of</h1>){0,12}",
            ],
            pieces in prop::collection::vec(1..40_usize, 1..4),
            padding in prop_oneof![Just(0), Just(1_200)],
        ) {
            let body = format!("{}{body}", " ".repeat(padding));
            let one = whole(HTML, body.as_bytes());
            let other = read(Some(HTML), body.as_bytes(), &pieces);
            match (one, other) {
                (Ok(one), Ok((taken, names))) => {
                    prop_assert_eq!(&one, &names);
                    for name in taken.lines() {
                        prop_assert!(names.contains(name));
                    }
                    prop_assert_eq!(names_of(&taken).len(), taken.lines().count());
                }
                (one, other) => prop_assert_eq!(one.map(drop).is_err(), other.map(drop).is_err()),
            }
        }

        /// serde on its own says what is JSON.
        #[test]
        fn what_is_no_json_is_no_list(
            body in r#"(\{"meta":\{\},|\{)"projects":\[([\[\]{},:"a7.e\n \\-]{0,9}|(\{"name":"a"\},?){0,3})\]?\}?"#,
        ) {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
            prop_assert_eq!(whole(JSON, body.as_bytes()).is_ok(), is_json, "{}", body);
        }
    }
}
