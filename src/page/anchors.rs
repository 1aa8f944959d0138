//! The few elements of an HTML page that matter to an index: anchors, metas, base and comments; and
//! what all others say about the kind of document it is ([`Document`]).
//!
//! html5ever's tokenizer parses them as browsers do: entities, odd quoting and upper case come out
//! right, and what looks like a link inside a script, a style or a title is none. No tree is built.
//!
//! The tokenizer compares each attribute of a tag with all before it, and holds an unfinished tag in
//! memory; both are bounded here, by feeding it piece by piece and watching that tags come out.

use std::cell::RefCell;

use html5ever::Attribute;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use crate::page::document::Document;
use crate::page::project_page::InvalidPage;
use crate::page::sniff::without_bom;

/// How much the tokenizer gets at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// Longest tag or comment. The longest in the field are links with a kilobyte of signature.
const TAG_BYTES_MAX: usize = 128 * 1024;

/// Most attributes of one tag; links on simple pages have fewer than ten.
const ATTRIBUTES_MAX: usize = 64;

/// How much of an anchor's text is kept: a project's name, generously.
const TEXT_BYTES_MAX: usize = 512;

/// Something that an index states in HTML.
#[derive(Debug)]
pub(super) enum Element<'a> {
    /// `<base href>`
    Base(&'a str),
    /// `<meta name content>`
    Meta { name: &'a str, content: &'a str },
    /// `<a …>text</a>`
    Anchor(&'a Anchor),
    /// `<!-- … -->`
    Comment(&'a str),
}

/// One anchor.
#[derive(Debug, Default)]
pub(super) struct Anchor {
    attributes: Vec<Attribute>,
    /// Its text, cut at 512 bytes; the URL takes precedence over it.
    pub(super) text: String,
}

impl Anchor {
    /// The value of an attribute, entities decoded.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        attribute(&self.attributes, name)
    }
}

/// Takes the elements of a page, in order.
pub(super) trait TakeElement {
    /// The next one.
    ///
    /// # Errors
    /// Why the page is refused.
    fn take(&mut self, element: Element<'_>) -> Result<(), InvalidPage>;
}

impl<F: FnMut(Element<'_>) -> Result<(), InvalidPage>> TakeElement for F {
    fn take(&mut self, element: Element<'_>) -> Result<(), InvalidPage> {
        self(element)
    }
}

/// Parses a page, passes each element on, in order, and returns what kind of document it was.
///
/// # Errors
/// What `each` refuses, and [`InvalidPage::Tag`].
pub(super) fn read_elements(
    body: &[u8],
    each: &mut dyn FnMut(Element<'_>) -> Result<(), InvalidPage>,
) -> Result<Document, InvalidPage> {
    let mut elements = Elements::new(|element: Element<'_>| each(element));
    elements.feed(&String::from_utf8_lossy(without_bom(body)))?;
    let (document, _) = elements.end()?;
    Ok(document)
}

/// A page that is parsed as it comes.
pub(super) struct Elements<T> {
    tokenizer: Tokenizer<Sink<T>>,
    queue: BufferQueue,
    /// What was fed, and how much of it since the last token.
    fed_bytes: usize,
    silent_bytes: usize,
}

impl<T: TakeElement> Elements<T> {
    /// A page of which nothing has come.
    pub(super) fn new(taker: T) -> Self {
        let reading = Reading {
            taker,
            open: None,
            document: Document::default(),
            outcome: Ok(()),
            has_token: false,
        };
        Self {
            tokenizer: Tokenizer::new(Sink(RefCell::new(reading)), TokenizerOpts::default()),
            queue: BufferQueue::default(),
            fed_bytes: 0,
            silent_bytes: 0,
        }
    }

    /// Parses what comes next.
    ///
    /// # Errors
    /// What the taker refuses, and [`InvalidPage::Tag`].
    pub(super) fn feed(&mut self, mut text: &str) -> Result<(), InvalidPage> {
        while !text.is_empty() {
            let (piece, after) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
            text = after;
            self.fed_bytes += piece.len();
            self.queue.push_back(StrTendril::from_slice(piece));
            // The sink never asks for a script to be run, so everything that is fed is read.
            let _ = self.tokenizer.feed(&self.queue);
            let mut reading = self.tokenizer.sink.0.borrow_mut();
            self.silent_bytes = if reading.has_token {
                0
            } else {
                self.silent_bytes + piece.len()
            };
            reading.has_token = false;
            if self.silent_bytes > TAG_BYTES_MAX || reading.outcome == Err(InvalidPage::Tag(0)) {
                return Err(InvalidPage::Tag(self.fed_bytes));
            }
            reading.outcome.clone()?;
        }
        Ok(())
    }

    /// Looks at what the taker has so far, and at the document as far as it has come.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Document, &T) -> R) -> R {
        let reading = self.tokenizer.sink.0.borrow();
        look(&reading.document, &reading.taker)
    }

    /// The whole has come.
    ///
    /// # Errors
    /// What the taker refuses.
    pub(super) fn end(self) -> Result<(Document, T), InvalidPage> {
        self.tokenizer.end();
        let Reading {
            taker,
            document,
            outcome,
            ..
        } = self.tokenizer.sink.0.into_inner();
        outcome.map(|()| (document, taker))
    }
}

struct Sink<T>(RefCell<Reading<T>>);

struct Reading<T> {
    taker: T,
    /// The anchor whose text is being read.
    open: Option<Anchor>,
    document: Document,
    outcome: Result<(), InvalidPage>,
    has_token: bool,
}

impl<T: TakeElement> TokenSink for Sink<T> {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut reading = self.0.borrow_mut();
        if reading.outcome.is_err() {
            return TokenSinkResult::Continue;
        }
        // The tokenizer's own error reports are no sign of progress.
        reading.has_token |= !matches!(token, Token::ParseError(_));
        match token {
            Token::TagToken(tag) => reading.tag(tag),
            Token::CharacterTokens(text) => {
                reading.text(&text);
                TokenSinkResult::Continue
            }
            Token::CommentToken(text) => {
                reading.document.comment(&text);
                reading.hand_on(Element::Comment(&text));
                TokenSinkResult::Continue
            }
            Token::EOFToken => {
                reading.close_anchor();
                TokenSinkResult::Continue
            }
            Token::DoctypeToken(_) => {
                reading.document.frame();
                TokenSinkResult::Continue
            }
            Token::NullCharacterToken | Token::ParseError(_) => TokenSinkResult::Continue,
        }
    }
}

impl<T: TakeElement> Reading<T> {
    fn tag(&mut self, tag: Tag) -> TokenSinkResult<()> {
        if tag.attrs.len() > ATTRIBUTES_MAX {
            // The caller, who knows the position, fills it in.
            self.outcome = Err(InvalidPage::Tag(0));
            return TokenSinkResult::Continue;
        }
        let name = &*tag.name;
        match tag.kind {
            TagKind::StartTag => self
                .document
                .start(name, |name| attribute(&tag.attrs, name)),
            TagKind::EndTag => self.document.end(name),
        }
        match (tag.kind, name) {
            (TagKind::EndTag, "a") => self.close_anchor(),
            (TagKind::StartTag, "a") => {
                self.close_anchor();
                self.open = Some(Anchor {
                    attributes: tag.attrs,
                    text: String::new(),
                });
            }
            (TagKind::StartTag, "base") => {
                if let Some(href) = attribute(&tag.attrs, "href") {
                    self.hand_on(Element::Base(href));
                }
            }
            (TagKind::StartTag, "meta") => {
                let value = |name| attribute(&tag.attrs, name).unwrap_or("");
                self.hand_on(Element::Meta {
                    name: value("name"),
                    content: value("content"),
                });
            }
            (TagKind::StartTag, name) => return raw_text_of(name),
            (TagKind::EndTag, _) => {}
        }
        TokenSinkResult::Continue
    }

    fn text(&mut self, text: &str) {
        if let Some(anchor) = &mut self.open {
            let room = TEXT_BYTES_MAX.saturating_sub(anchor.text.len());
            anchor
                .text
                .push_str(&text[..text.floor_char_boundary(room)]);
        } else {
            self.document.text(text);
        }
    }

    fn close_anchor(&mut self) {
        if let Some(anchor) = self.open.take() {
            self.hand_on(Element::Anchor(&anchor));
        }
    }

    fn hand_on(&mut self, element: Element<'_>) {
        if self.outcome.is_ok() {
            self.outcome = self.taker.take(element);
        }
    }
}

/// Elements whose content is text whatever it looks like (HTML standard, 13.2.6; a tree builder would
/// switch the tokenizer, here it is done by hand).
fn raw_text_of(element: &str) -> TokenSinkResult<()> {
    match element {
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}

fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|one| *one.name.local == *name)
        .map(|one| &*one.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &[u8]) -> Result<Vec<String>, InvalidPage> {
        let mut found = Vec::new();
        read_elements(html, &mut |element| {
            found.push(match element {
                Element::Base(href) => format!("base {href}"),
                Element::Meta { name, content } => format!("meta {name}={content}"),
                Element::Anchor(anchor) => {
                    let href = anchor.attribute("href").unwrap_or("none");
                    format!("a {href} {:?}", anchor.text)
                }
                Element::Comment(text) => format!("comment {}", text.trim()),
            });
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn elements_are_found_in_every_spelling() {
        let table: [(&str, &[&str]); 9] = [
            ("<A HREF='x&amp;y'>t<b>e</b>xt</A>", &["a x&y \"text\""]),
            (
                "<a href=x>one<a href=y>two",
                &["a x \"one\"", "a y \"two\""],
            ),
            ("<a>none</a>", &["a none \"none\""]),
            ("<a href=\"1\" href=\"2\"></a>", &["a 1 \"\""]),
            (
                "<base href=b><META content=c NAME=n>",
                &["base b", "meta n=c"],
            ),
            (
                "<script>'<a href=x>'</script><style><a href=y></style><a href=z>",
                &["a z \"\""],
            ),
            (
                "<title><a href=x></a></title><!-- SERIAL 5 -->",
                &["comment SERIAL 5"],
            ),
            (
                "<a href=\"&#x68;&quot;&gt;&nosuch;\">",
                &["a h\">&nosuch; \"\""],
            ),
            ("\u{feff}<a href=x", &[]),
        ];
        for (html, expected) in table {
            assert_eq!(read(html.as_bytes()).unwrap(), expected, "{html}");
        }
        assert_eq!(
            read(b"<a href=\xff>\xfe</a>").unwrap(),
            ["a \u{fffd} \"\u{fffd}\""]
        );
    }

    #[test]
    fn a_tag_cut_anywhere_by_the_pieces_is_still_one() {
        for padding in PIECE_BYTES - 30..PIECE_BYTES + 3 {
            let html = format!("{}<a href=\"ünï\">tëxt</a>", " ".repeat(padding));
            assert_eq!(read(html.as_bytes()).unwrap(), ["a ünï \"tëxt\""]);
        }
    }

    #[test]
    fn tags_beyond_measure_are_refused() {
        let attributes: String = (0..=ATTRIBUTES_MAX).map(|n| format!(" a{n}")).collect();
        let long = "x".repeat(TAG_BYTES_MAX + 2 * PIECE_BYTES);
        for html in [
            format!("<p{attributes}>"),
            format!("<a href='{long}'>"),
            format!("<!--{long}-->"),
            format!("<{long}"),
            format!("<a {}", "b=' ".repeat(TAG_BYTES_MAX)),
        ] {
            let start: String = html.chars().take(20).collect();
            assert!(
                matches!(read(html.as_bytes()), Err(InvalidPage::Tag(at)) if at > 0),
                "{start}"
            );
        }
        let large = format!("<a href='{}'>", "x".repeat(TAG_BYTES_MAX - PIECE_BYTES));
        assert_eq!(read(large.as_bytes()).unwrap().len(), 1);
        let text = format!("<a href=x>{long}");
        assert_eq!(
            read(text.as_bytes()).unwrap()[0].len(),
            TEXT_BYTES_MAX + "a x \"\"".len()
        );
    }

    #[test]
    fn what_the_caller_refuses_ends_the_reading() {
        let mut count = 0;
        let outcome = read_elements(b"<a></a><a></a><a></a>", &mut |_| {
            count += 1;
            Err(InvalidPage::TooMany(0))
        });
        let outcome = outcome.map(drop);
        assert_eq!((outcome, count), (Err(InvalidPage::TooMany(0)), 1));
    }
}
