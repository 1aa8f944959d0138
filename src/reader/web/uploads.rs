//! What came to an index last: on its page, and as a feed (RFC 4287).
//!
//! Both show what passes now: a release that is refused or recalled is in neither.

use std::fmt::Write as _;

use http::StatusCode;
use maud::{Markup, html};

use crate::catalog::unknown_index;
use crate::db::{ArrivedFile, FileFacts, LogEvent};
use crate::exchange::{Error, Outside, Record, Reply, Trouble, records_failed};
use crate::model::{IndexName, Sha256, Timestamp};
use crate::page::{digest_path, encode};
use crate::protocol::{UPLOADS_FEED, constant_headers};
use crate::reader::look::Look;
use crate::reader::web::files::size;
use crate::reader::web::sent::Sent;
use crate::reader::web::state::instant;
use crate::reader::web::way::Way;

/// The feed's type.
pub const FEED_TYPE: &str = "application/atom+xml";

/// The title of an index's feed.
pub fn feed_title(index: &IndexName) -> String {
    format!("Uploads to {index}")
}

/// The way to an index's feed.
pub fn feed_path(way: &Way, index: &IndexName) -> String {
    format!("{}/{UPLOADS_FEED}", way.index(index))
}

/// What came last, for the page of the index.
pub fn uploads(way: &Way, index: &IndexName, latest: &[ArrivedFile]) -> Markup {
    html! {
        @if latest.is_empty() {
            p.faint { "none that passes the rules" }
        } @else {
            table.list {
                tr { th { "release" } th { "file" } th { "when" } th { "by" } }
                @for one in latest { (row(way, index, one)) }
            }
        }
        p { a href=(feed_path(way, index)) { "Follow the uploads as a feed" } }
    }
}

fn row(way: &Way, index: &IndexName, one: &ArrivedFile) -> Markup {
    let (file, facts) = (&one.file, &one.file.facts);
    let place = format!("{}/{}", way.index(index), place_of(facts));
    html! {
        tr {
            td.name {
                a href=(way.release(index, &file.project, &file.version)) { (file.project) " " (file.version) }
            }
            td.name { a href=(place) { (facts.filename) } " " span.faint { (size(facts.size)) } }
            td { (instant(one.at)) }
            td { (brought(one)) }
        }
    }
}

/// Where a file is below its index, as links say it.
fn place_of(facts: &FileFacts) -> String {
    digest_path(&facts.sha256, &encode(&facts.filename))
}

/// Who brought a file, and how, as its log says.
fn brought(one: &ArrivedFile) -> String {
    let (who, is_push) = bringer(one);
    let who = who.unwrap_or("somebody");
    match is_push {
        true => format!("{who}, by a push"),
        false => who.to_owned(),
    }
}

/// The user, and whether it was a push from another index.
fn bringer(one: &ArrivedFile) -> (Option<&str>, bool) {
    let came = |event: &LogEvent| match event {
        LogEvent::Upload { dst } => (*dst == one.file.index).then_some(false),
        LogEvent::Push { dst, .. } => (*dst == one.file.index).then_some(true),
        LogEvent::Overwrite { .. } => None,
    };
    let log = one.file.facts.log.iter().rev();
    let mut log = log.filter_map(|entry| Some((entry.who.as_deref(), came(&entry.event)?)));
    log.next()
        .unwrap_or((one.file.facts.uploader.as_deref(), false))
}

/// `/{user}/{index}/+uploads.atom`.
///
/// # Errors
/// When there is no such stage, or the records cannot be read.
pub async fn uploads_feed(
    look: Look<'_>,
    name: &IndexName,
    record: &Record,
) -> Result<Reply, Trouble> {
    let index = look.cx.generation.policies.index(name);
    let index = index.ok_or_else(|| unknown_index(name))?;
    if index.is_mirror() {
        let words = format!("{name} is a mirror: nothing is uploaded to it");
        return Err(Error::not_found(words).into());
    }
    let latest = look.flows.uploads.latest(look.cx, name).await?;
    let facts = look.flows.core.records.facts().await;
    let facts = facts.map_err(|error| records_failed("read the server's facts", error))?;
    let atom = Atom {
        outside: look.outside(),
        index: name,
        server: &facts.uuid,
    };
    let sent = Sent {
        status: StatusCode::OK,
        content_type: "application/atom+xml; charset=utf-8",
        caching: "no-cache",
        body: atom.feed(&latest, facts.created).into(),
        more: constant_headers(&[("x-content-type-options", "nosniff")]),
    };
    Ok(sent.reply(look.ask, record.clone()).await)
}

/// Writes a feed.
struct Atom<'a> {
    outside: Outside,
    index: &'a IndexName,
    /// The server's uuid, which its address may outlive.
    server: &'a str,
}

impl Atom<'_> {
    /// The feed; one without entries is as old as the server.
    fn feed(&self, latest: &[ArrivedFile], created: Timestamp) -> String {
        let url = self.outside.index(self.index);
        let updated = latest.first().map_or(created, |one| one.at);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        let _ = write!(
            text,
            "<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
             <id>{}</id>\n<title>{}</title>\n<updated>{updated}</updated>\n\
             <link rel=\"self\" type=\"{FEED_TYPE}\" href=\"{}/{UPLOADS_FEED}\"/>\n\
             <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n\
             <author><name>{}</name></author>\n\
             <generator>cheesecloth</generator>\n",
            self.id(&[]),
            xml(&feed_title(self.index)),
            xml(&url),
            xml(&url),
            xml(self.index.as_str()),
        );
        for one in latest {
            self.entry(one, &url, &mut text);
        }
        text.push_str("</feed>\n");
        text
    }

    fn entry(&self, one: &ArrivedFile, url: &str, text: &mut String) {
        let (file, facts) = (&one.file, &one.file.facts);
        let (project, version) = (file.project.as_str(), file.version.as_str());
        let release = format!("{url}/{project}/{}", encode(version));
        let place = format!("{url}/{}", place_of(facts));
        let (who, _) = bringer(one);
        let author = who.map(|who| format!("<author><name>{}</name></author>\n", xml(who)));
        let _ = write!(
            text,
            "<entry>\n<id>{}</id>\n<title>{}</title>\n<updated>{}</updated>\n\
             <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n\
             <link rel=\"enclosure\" href=\"{}\" length=\"{}\"/>\n{}\
             <summary>{}</summary>\n</entry>\n",
            self.id(&[project, &facts.filename, &facts.sha256.to_hex()]),
            xml(&format!("{project} {version}: {}", facts.filename)),
            one.at,
            xml(&release),
            xml(&place),
            facts.size,
            author.unwrap_or_default(),
            xml(&format!("{}, {}", brought(one), size(facts.size))),
        );
    }

    /// An id that is the same as long as the server keeps its records, wherever it is reached: a UUID of the
    /// eighth version, which leaves its bits to us (RFC 9562).
    fn id(&self, of: &[&str]) -> String {
        let named = [&[self.server, self.index.as_str()], of]
            .concat()
            .join("\n");
        let hex = Sha256::of(named.as_bytes()).to_hex();
        format!(
            "urn:uuid:{}-{}-8{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..15],
            &hex[15..18],
            &hex[18..30],
        )
    }
}

/// A text as XML 1.0 may have it, in elements and between double quotes.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => safe.push(sign),
            // Not even a reference to it is well-formed.
            _ => {}
        }
    }
    safe
}

#[cfg(test)]
mod tests;
