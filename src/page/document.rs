//! What kind of document an HTML answer is: a page of an index, or something else that was sent with
//! status 200.
//!
//! A proxy's login page, an error message or an image is not a project without files: taking it for one
//! would make a name fall through to the next index. PEP 503 requires only anchors, so a page that
//! lists no file of the project has to show in another way that it is an index's: by what the standard
//! adds, by a heading as indexes and directory listings have them, or by being bare.

use crate::model::ProjectName;

/// Most headings that are remembered, and most of each, in bytes: an index has one or two short ones.
const HEADINGS_MAX: usize = 8;
const HEADING_BYTES_MAX: usize = 200;

/// How much of a foreign document's text is kept for the words of its refusal, in bytes.
const TEXT_BYTES_MAX: usize = 80;

/// What indexes and web servers write above their lists, in lower case.
const HEADINGS_OF_PAGES: [&str; 4] = ["links for", "index of", "simple index", "directory listing"];
const HEADINGS_OF_LISTS: [&str; 1] = ["simple list"];

/// Elements that say nothing by themselves: a hand-written empty page has these.
const BARE: [&str; 22] = [
    "html", "head", "body", "title", "meta", "link", "style", "base", "h1", "h2", "h3", "h4", "h5",
    "h6", "p", "br", "hr", "div", "ul", "table", "pre", "a",
];

/// What was seen of a document besides the elements that matter to an index.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// It has a doctype, a head or a body: a proxy without a message sends just `<html></html>`.
    has_frame: bool,
    /// A meta or a comment that only indexes write.
    announces: bool,
    /// It contains something that no page of an index needs: a form, a script, an image.
    has_foreign: bool,
    /// A form or a field of one.
    has_form: bool,
    asks_for_password: bool,
    /// Title and headings.
    headings: Vec<String>,
    /// The first text outside of anchors and headings.
    text: String,
    inside: Inside,
}

/// The anchors of a document that lead anywhere but up.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Links {
    all: usize,
    /// Those whose text is the name of the project that they lead to.
    to_projects: usize,
}

impl Links {
    /// Counts an anchor.
    pub(super) fn count(&mut self, href: &str, names_its_project: bool) {
        let is_up = matches!(href.trim(), "" | "." | "./" | ".." | "../" | "/")
            || href.starts_with(['#', '?']);
        self.all += usize::from(!is_up);
        self.to_projects += usize::from(!is_up && names_its_project);
    }
}

/// What the text that comes next belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Inside {
    #[default]
    Body,
    Heading,
    /// A script or a style, which is not read.
    Unread,
}

impl Document {
    /// A doctype.
    pub(super) fn frame(&mut self) {
        self.has_frame = true;
    }

    /// A comment. Mirrors of the public index put its serial into one.
    pub(super) fn comment(&mut self, text: &str) {
        self.announces |= text.trim_start().starts_with("SERIAL ");
    }

    /// The start of an element, whose name is in lower case.
    pub(super) fn start<'a>(
        &mut self,
        name: &str,
        attribute: impl Fn(&'static str) -> Option<&'a str>,
    ) {
        let is = |name, value: &str| {
            attribute(name).is_some_and(|text| text.trim().eq_ignore_ascii_case(value))
        };
        match name {
            // Most elements of a long page are these.
            "a" | "br" => return,
            "head" | "body" => self.has_frame = true,
            "meta" => {
                self.announces |= attribute("name").is_some_and(|name| name.starts_with("pypi:"));
                self.has_foreign |= is("http-equiv", "refresh");
            }
            "title" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
                if self.headings.len() < HEADINGS_MAX =>
            {
                self.headings.push(String::new());
                self.inside = Inside::Heading;
            }
            "script" | "style" => self.inside = Inside::Unread,
            "form" => self.has_form = true,
            "input" => {
                self.has_form = true;
                self.asks_for_password |= is("type", "password");
            }
            _ => {}
        }
        self.has_foreign |= !BARE.contains(&name);
    }

    /// The end of an element.
    pub(super) fn end(&mut self, name: &str) {
        if matches!(
            name,
            "title" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "script" | "style"
        ) {
            self.inside = Inside::Body;
        }
    }

    /// Text outside of anchors.
    pub(super) fn text(&mut self, text: &str) {
        let (into, bytes_max) = match (self.inside, self.headings.last_mut()) {
            (Inside::Heading, Some(heading)) => (heading, HEADING_BYTES_MAX),
            (Inside::Body | Inside::Heading, _) => (&mut self.text, TEXT_BYTES_MAX),
            (Inside::Unread, _) => return,
        };
        let text = if into.is_empty() {
            text.trim_start()
        } else {
            text
        };
        let room = bytes_max.saturating_sub(into.len());
        into.push_str(&text[..text.floor_char_boundary(room)]);
    }

    /// Whether a page without any file of the project is a page of the project nevertheless.
    pub(super) fn is_page_of(&self, project: &ProjectName, links: Links) -> bool {
        if self.announces {
            return true;
        }
        let names_project = |heading: &str| {
            // `six`, or the path of a listing: `/simple/six/`.
            let name = heading.trim_end_matches('/').rsplit('/').next();
            name.and_then(|name| ProjectName::parse(name).ok())
                .is_some_and(|name| name == *project)
        };
        let mut headings = self.headings.iter().map(|heading| heading.trim());
        let is_headed =
            headings.any(|heading| has_any(heading, &HEADINGS_OF_PAGES) || names_project(heading));
        !self.asks_for_password && (is_headed || self.is_bare(links))
    }

    /// Whether it is a list of projects.
    pub(super) fn is_list(&self, links: Links) -> bool {
        if self.announces {
            return true;
        }
        let mut headings = self.headings.iter();
        let is_headed = headings.any(|heading| {
            has_any(heading, &HEADINGS_OF_PAGES) || has_any(heading, &HEADINGS_OF_LISTS)
        });
        // Without a heading, the list has to consist of links to projects.
        let is_plain = !self.has_form && links.all > 0 && 2 * links.to_projects >= links.all;
        !self.asks_for_password && (is_headed || is_plain || self.is_bare(links))
    }

    /// Whether it is the frame of an empty document.
    fn is_bare(&self, links: Links) -> bool {
        let has_text = |text: &String| !text.trim().is_empty();
        self.has_frame
            && !self.has_foreign
            && links.all == 0
            && !has_text(&self.text)
            && !self.headings.iter().any(has_text)
    }

    /// What it says instead, in a few words.
    pub(super) fn words(&self) -> String {
        let said = self.headings.iter().chain([&self.text]);
        let mut said = said.map(|text| {
            let words: Vec<&str> = text
                .split(|character: char| character.is_whitespace() || is_unprintable(character))
                .filter(|word| !word.is_empty())
                .collect();
            words.join(" ")
        });
        match said.find(|words| !words.is_empty()) {
            Some(words) => format!("it says {words:?}"),
            None => "it says nothing".to_owned(),
        }
    }
}

/// Whether no words contain it: the bytes of an image are full of such characters.
fn is_unprintable(character: char) -> bool {
    character.is_control() || character == char::REPLACEMENT_CHARACTER
}

fn has_any(heading: &str, phrases: &[&str]) -> bool {
    let heading = heading.to_lowercase();
    phrases.iter().any(|phrase| heading.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::anchors::{Element, read_elements};

    fn read(html: &str) -> (Document, Links) {
        let mut links = Links::default();
        let document = read_elements(html.as_bytes(), &mut |element| {
            if let Element::Anchor(anchor) = element {
                let href = anchor.attribute("href").unwrap_or_default();
                links.count(href, href.trim_end_matches('/') == anchor.text);
            }
            Ok(())
        });
        (document.unwrap(), links)
    }

    fn is_page(html: &str) -> bool {
        let (document, links) = read(html);
        document.is_page_of(&ProjectName::parse("zope.interface").unwrap(), links)
    }

    fn is_list(html: &str) -> bool {
        let (document, links) = read(html);
        document.is_list(links)
    }

    #[test]
    fn a_page_without_files_is_known_by_what_indexes_write() {
        for html in [
            "<!DOCTYPE html><html><body></body></html>",
            "<html><head><meta charset=utf-8><title></title></head><body>\n</body></html>",
            "<body><a href='../'>up</a></body>",
            "<h1>Links for zope.interface</h1>",
            "<title>root/pypi: links for zope-interface</title><p>no files</p>",
            "<html><head><title>Index of /simple/zope.interface/</title></head><body><hr><pre><a href='../'>../</a></pre>",
            "<title>Directory listing for /simple/</title>",
            "<title>Zope_Interface</title><script>x</script>",
            "<title>/simple/zope.interface/</title><form><input type=text></form>",
            "<meta name='pypi:repository-version' content='1.0'><h1>Nothing here</h1>",
            "<html><body>nothing<!--SERIAL 42--></body></html>",
        ] {
            assert!(is_page(html), "{html}");
        }
    }

    #[test]
    fn what_only_came_instead_of_a_page_is_none() {
        for html in [
            "overloaded",
            "\u{fffd}PNG\r\n\u{0}\u{0}IHDR",
            "<html><body>overloaded</body></html>",
            "<title>Sign in</title><form><input name=user><input type=password></form>",
            "<title>zope.interface</title><form action=/login><input type=Password>",
            "<html><head><meta http-equiv=refresh content='0; url=/login'></head><body></body></html>",
            "<html><body><a href=/login>Sign in</a></body></html>",
            "<html><body><form method=post><input type=hidden name=SAMLRequest></form></body></html>",
            "<html><body><script>location='/login'</script></body></html>",
            "<html><body><img src=x></body></html>",
            "<html><head><title>503 Service Temporarily Unavailable</title></head><body></body></html>",
            "<svg xmlns='http://www.w3.org/2000/svg'></svg>",
            "<?xml version='1.0'?><ListBucketResult><Name>b</Name></ListBucketResult>",
            "<html></html>",
            "<br>",
            " ",
        ] {
            assert!(!is_page(html), "{html}");
        }
    }

    #[test]
    fn a_list_is_known_by_its_heading_or_by_its_links() {
        for html in [
            "<html><body><a href=torch/>torch</a><br/><a href=six/>six</a></body></html>",
            "My packages: <a href=torch/>torch</a> <a href=http://help.example/>help me</a>",
            "<title>Simple Index</title>",
            "<h2>root/pypi: simple list (including inherited indices)</h2>",
            "<meta name='pypi:repository-version' content='1.0'>",
            "<html><body></body></html>",
        ] {
            assert!(is_list(html), "{html}");
        }
        for html in [
            "overloaded",
            "<title>Sign in</title><a href=register/>register</a><form><input type=password></form>",
            "<a href=/register>Sign up</a> <a href=help/>help</a> <a href=/terms>Terms of use</a>",
            "<a href=help/>help</a><form><input type=text></form>",
            "<html><body>We will be back soon.</body></html>",
        ] {
            assert!(!is_list(html), "{html}");
        }
    }

    #[test]
    fn a_foreign_document_is_told_by_its_own_words() {
        for (html, words) in [
            ("<title> Sign\n in </title><p>please", "it says \"Sign in\""),
            ("overloaded \u{1b}[1m", "it says \"overloaded [1m\""),
            ("<script>var x</script>", "it says nothing"),
            ("\u{fffd}\u{fffd}", "it says nothing"),
        ] {
            assert_eq!(read(html).0.words(), words, "{html}");
        }
    }
}
