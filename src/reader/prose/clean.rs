//! HTML of strangers as HTML of ours: only allowed elements and attributes, well nested, not too deep.
//!
//! html5ever's tokenizer reads it as browsers do, and nothing is built: a tree of it may be thousands of
//! times as large as the text (formatting elements are opened again in each paragraph), while this takes
//! one pass and a stack of [`DEPTH_MAX`] elements. Everything that is written here is escaped here, so
//! whatever the tokenizer took something for, it cannot become a tag or an attribute that is not in the
//! table.
//!
//! The tokenizer compares each attribute of a tag with all before it; so it is fed piece by piece, and text
//! that does not come out in tokens is not read on.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use crate::reader::prose::allowed::{Treatment, belongs_in, keeps_attribute, treatment};
use crate::reader::prose::linked::{push_attribute, push_linked, push_text, web_url};
use crate::reader::prose::rendering::Prose;

/// Deepest nesting that is written. Browsers stop at some hundreds, and readers long before.
const DEPTH_MAX: usize = 60;

/// How much the tokenizer gets at a time, in bytes.
const PIECE_BYTES: usize = 8 << 10;

/// Longest tag or comment, in bytes; an image that is written out may be longer, and is not read.
const TAG_BYTES_MAX: usize = 32 << 10;

/// Most that is written, in bytes: several times what is read, since text grows when it is escaped.
const WRITTEN_BYTES_MAX: usize = 1 << 20;

/// Longest text that stands for an image, in bytes.
const ALT_BYTES_MAX: usize = 300;

/// The page's own heading above a description is of the second level.
const HEADING_ABOVE: u8 = 2;

/// Elements that end an open paragraph.
const BLOCKS: [&str; 8] = [
    "blockquote",
    "details",
    "div",
    "ol",
    "p",
    "pre",
    "table",
    "ul",
];

/// The text cannot be read within limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tag or comment is longer than {TAG_BYTES_MAX} bytes")]
pub(super) struct TagTooLong;

/// Reads HTML and writes what is allowed of it.
///
/// # Errors
/// [`TagTooLong`].
pub(super) fn clean(html: &str) -> Result<Prose, TagTooLong> {
    let tokenizer = Tokenizer::new(
        Sink(RefCell::new(Cleaning::default())),
        TokenizerOpts::default(),
    );
    let queue = BufferQueue::default();
    let (mut text, mut silent_bytes) = (html, 0);
    while !text.is_empty() {
        let (piece, after) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
        text = after;
        queue.push_back(StrTendril::from_slice(piece));
        // The sink never asks for a script to be run, so everything that is fed is read.
        let _ = tokenizer.feed(&queue);
        let mut cleaning = tokenizer.sink.0.borrow_mut();
        silent_bytes = match std::mem::take(&mut cleaning.has_token) {
            true => 0,
            false => silent_bytes + piece.len(),
        };
        if silent_bytes > TAG_BYTES_MAX {
            return Err(TagTooLong);
        }
        if cleaning.is_cut {
            break;
        }
    }
    tokenizer.end();
    Ok(tokenizer.sink.0.into_inner().finish())
}

struct Sink(RefCell<Cleaning>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut cleaning = self.0.borrow_mut();
        // The tokenizer's own error reports are no sign of progress.
        cleaning.has_token |= !matches!(token, Token::ParseError(_));
        match token {
            Token::CharacterTokens(text) => cleaning.text(&text),
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return cleaning.start(&tag),
            Token::TagToken(tag) => cleaning.end(&tag.name),
            Token::CommentToken(_)
            | Token::DoctypeToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

/// An element that is open.
struct Open {
    /// As the description calls it.
    name: String,
    /// As it is written; empty for a link that leads nowhere.
    written: &'static str,
}

#[derive(Default)]
struct Cleaning {
    out: String,
    /// Text that has not been written yet: the tokenizer gives a URL with an entity in it in pieces.
    pending: String,
    open: Vec<Open>,
    /// Elements that are open and not written because they are too deep.
    too_deep: usize,
    /// The element that is left out with its content, and how many of its name are open.
    muted: Option<(String, usize)>,
    /// The last heading's level.
    heading: Option<u8>,
    /// Where the open link's text begins, and what stands there if it has none.
    link: Option<(usize, String)>,
    has_token: bool,
    is_cut: bool,
}

impl Cleaning {
    fn finish(mut self) -> Prose {
        self.flush();
        while !self.open.is_empty() {
            self.close_last();
        }
        Prose {
            html: self.out,
            is_cut: self.is_cut,
        }
    }

    fn text(&mut self, text: &str) {
        if self.muted.is_none() && !self.is_cut {
            self.pending.push_str(text);
            self.is_cut = self.out.len() + self.pending.len() > WRITTEN_BYTES_MAX;
        }
    }

    /// Writes the text so far; URLs become links unless they are within one, or code.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.pending);
        let is_plain = |one: &Open| matches!(one.written, "a" | "code" | "pre" | "kbd" | "samp");
        if self.open.iter().any(is_plain) {
            push_text(&text, &mut self.out);
        } else {
            push_linked(&text, &mut self.out);
        }
    }

    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if let Some((muted, depth)) = &mut self.muted {
            *depth += usize::from(muted == name && !tag.self_closing);
            return TokenSinkResult::Continue;
        }
        if self.out.len() + self.pending.len() > WRITTEN_BYTES_MAX {
            self.is_cut = true;
            return TokenSinkResult::Continue;
        }
        self.flush();
        match treatment(name) {
            Treatment::Opened => {}
            Treatment::Muted => return self.mute(tag),
            Treatment::Void(written) => {
                if written == "hr" {
                    self.close_paragraph();
                }
                self.out.push_str(&format!("<{written}>"));
            }
            Treatment::Image => self.image(attribute(tag, "alt").unwrap_or_default()),
            Treatment::Tick => {
                let is_box = attribute(tag, "type") == Some("checkbox");
                let tick = match attribute(tag, "checked") {
                    Some(_) => "☑",
                    None => "☐",
                };
                self.out.push_str(if is_box { tick } else { "" });
            }
            Treatment::Link => self.link(tag),
            Treatment::Heading(level) => self.heading(tag, level),
            Treatment::Written(written) => self.element(tag, written),
        }
        TokenSinkResult::Continue
    }

    fn mute(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        // As in a browser, such a tag ends itself only within pictures and formulas.
        if tag.self_closing && matches!(name, "svg" | "math") {
            return TokenSinkResult::Continue;
        }
        self.muted = Some((name.to_owned(), 1));
        match name {
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "iframe" => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn image(&mut self, alt: &str) {
        let is_linked = self.link.is_some();
        let alt = match alt.trim() {
            "" if is_linked => "image",
            alt => &alt[..alt.floor_char_boundary(ALT_BYTES_MAX)],
        };
        if !alt.is_empty() {
            self.out.push_str("<span class=\"image\">");
            push_text(alt, &mut self.out);
            self.out.push_str("</span>");
        }
    }

    fn link(&mut self, tag: &Tag) {
        self.close_within(&["a"], &[]);
        let target = attribute(tag, "href").and_then(web_url);
        if !self.open(tag, if target.is_some() { "a" } else { "" }) {
            return;
        }
        let Some(target) = target else { return };
        self.out.push_str("<a href=\"");
        push_attribute(target.as_str(), &mut self.out);
        self.out.push_str("\" rel=\"nofollow noreferrer\">");
        let host = target.host_str().unwrap_or_default().to_owned();
        self.link = Some((self.out.len(), host));
    }

    /// A heading, below the page's own and no more than one level below the last.
    fn heading(&mut self, tag: &Tag, level: u8) {
        self.close_paragraph();
        let last = self.heading.unwrap_or(HEADING_ABOVE);
        let level = (level + HEADING_ABOVE).min(last + 1).min(6);
        let written = ["h3", "h4", "h5", "h6"][usize::from(level.clamp(3, 6) - 3)];
        if self.open(tag, written) {
            self.heading = Some(level);
            self.write_start(tag, written);
        }
    }

    fn element(&mut self, tag: &Tag, written: &'static str) {
        if BLOCKS.contains(&written) {
            self.close_paragraph();
        }
        match written {
            "li" => self.close_within(&["li"], &["ul", "ol"]),
            "tr" => self.close_within(&["tr"], &["table"]),
            "td" | "th" => self.close_within(&["td", "th"], &["tr", "table"]),
            "thead" | "tbody" | "tfoot" => {
                self.close_within(&["thead", "tbody", "tfoot"], &["table"]);
            }
            _ => {}
        }
        let around = self.open.last().map_or("", |open| open.written);
        let written = match belongs_in(written) {
            Some(those) if !those.contains(&around) => "div",
            Some(_) | None => written,
        };
        if !self.open(tag, written) {
            return;
        }
        if written == "table" {
            // A wide table scrolls within itself, for a keyboard too.
            let wide = "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"table\">";
            self.out.push_str(wide);
        }
        self.write_start(tag, written);
    }

    /// Notes an element as open, if it is not too deep.
    fn open(&mut self, tag: &Tag, written: &'static str) -> bool {
        if self.open.len() >= DEPTH_MAX {
            self.too_deep += 1;
            return false;
        }
        let name = tag.name.to_string();
        self.open.push(Open { name, written });
        true
    }

    fn write_start(&mut self, tag: &Tag, written: &str) {
        self.out.push_str(&format!("<{written}"));
        for attribute in &tag.attrs {
            let (name, value): (&str, &str) = (&attribute.name.local, &attribute.value);
            // How Markdown aligns columns.
            let (name, value) = match value.strip_prefix("text-align: ") {
                Some(side) if name == "style" => ("align", side),
                Some(_) | None => (name, value),
            };
            if keeps_attribute(written, name, value) {
                self.out.push_str(&format!(" {name}=\""));
                push_attribute(value, &mut self.out);
                self.out.push('"');
            }
        }
        self.out.push('>');
    }

    fn end(&mut self, name: &str) {
        if let Some((muted, depth)) = &mut self.muted {
            if muted == name {
                *depth -= 1;
                self.muted = self.muted.take().filter(|(_, depth)| *depth > 0);
            }
            return;
        }
        self.flush();
        let is_counted = matches!(
            treatment(name),
            Treatment::Written(_) | Treatment::Heading(_) | Treatment::Link
        );
        if is_counted && self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        // The end of a table's part does not reach out of the table, and so on.
        let found = self.open.iter().rposition(|open| open.name == name);
        if let Some(at) = found {
            while self.open.len() > at {
                self.close_last();
            }
        }
    }

    /// Closes what a block ends: the heading that it stands in, and a paragraph around it.
    fn close_paragraph(&mut self) {
        let around = self.open.last().map(|open| open.written);
        if matches!(around, Some("h3" | "h4" | "h5" | "h6")) {
            self.close_last();
        }
        self.close_within(&["p"], &["table", "td", "th", "caption"]);
    }

    /// Closes the innermost of some elements, unless others are further in.
    fn close_within(&mut self, those: &[&str], others: &[&str]) {
        let mut inwards = self.open.iter().enumerate().rev();
        let found = inwards.find_map(|(at, open)| {
            let name = &&*open.name;
            (those.contains(name) || others.contains(name)).then(|| (at, those.contains(name)))
        });
        if let Some((at, true)) = found {
            while self.open.len() > at {
                self.close_last();
            }
        }
    }

    fn close_last(&mut self) {
        let Some(open) = self.open.pop() else { return };
        if open.written == "a"
            && let Some((from, host)) = self.link.take()
            && self.out[from..].trim().is_empty()
        {
            push_text(&host, &mut self.out);
        }
        match open.written {
            "" => {}
            "table" => self.out.push_str("</table></div>"),
            written => self.out.push_str(&format!("</{written}>")),
        }
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    let found = tag.attrs.iter().find(|one| &*one.name.local == name);
    found.map(|one| &*one.value)
}
