//! The answer to `pip search`, which asks by XML-RPC.
//!
//! pip prints the text of a fault and nothing of any other answer than 200, so what cannot be answered is a
//! fault with status 200. As at devpi-web, words for the name and for the summary are looked for together, and
//! a summary begins with the index.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use maud::html;
use quick_xml::Reader as XmlReader;
use quick_xml::encoding::EncodingError;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

use crate::exchange::{Context, Core};
use crate::model::IndexName;
use crate::reader::found::{FoundProject, Wanted, begin, find_at};
use crate::search::SearchQuery;

/// The content type of an answer.
pub const FAULT_CONTENT_TYPE: &str = "text/xml";

/// The XML-RPC specification's number for a method that does not exist.
const METHOD_NOT_FOUND: i32 = -32601;

/// The one for a question that cannot be read.
const NOT_WELL_FORMED: i32 = -32700;

/// The one for a failure on the server's side.
const INTERNAL: i32 = -32603;

/// Most projects in an answer: pip prints all of them.
const HITS_MAX: usize = 100;

/// Elements within each other: a question has ten at most.
const DEPTH_MAX: usize = 32;

/// The longest method that is repeated.
const METHOD_CHARS_MAX: usize = 40;

/// pip reads each version, so it has to be one where none is known (PEP 440).
const NO_VERSION: &str = "0+unknown";

/// Answers a question about an index.
pub async fn pip_search(
    core: &Arc<Core>,
    cx: &Context,
    (index, is_manage): (&IndexName, bool),
    body: &[u8],
) -> Bytes {
    // Reading a question is part of the work.
    let permit = match begin(core) {
        Ok(permit) => permit,
        Err(error) => return fault(INTERNAL, &error.message),
    };
    let query = match question(body) {
        Ok(query) => query,
        Err((code, words)) => return fault(code, &words),
    };
    let wanted = Wanted {
        query,
        index: Some(index.clone()),
        first: 0,
        most: HITS_MAX,
        is_manage,
    };
    match find_at(core, cx, wanted, permit).await {
        Ok(found) => hits(&found.results),
        Err(error) => fault(INTERNAL, &error.message),
    }
}

/// A fault that says where to search instead; `gateway` is the URL of the public door.
#[must_use]
pub fn search_fault(gateway: &str) -> Bytes {
    let gateway = gateway.trim_end_matches('/');
    let words = format!(
        "pip search needs an index, as in {gateway}/root/pypi/; search everywhere in a browser at {gateway}/+search"
    );
    fault(METHOD_NOT_FOUND, &words)
}

/// A fault of a question that is too long.
#[must_use]
pub fn too_large_fault(bytes_max: usize) -> Bytes {
    let words = format!(
        "the question is larger than the {bytes_max} bytes that limits.search_body allows: look for fewer words"
    );
    fault(NOT_WELL_FORMED, &words)
}

/// Of a question that is no XML, or not in UTF-8.
fn unread(why: impl std::fmt::Display) -> (i32, String) {
    let words = format!("the question cannot be read: {why}");
    (NOT_WELL_FORMED, words)
}

fn read(text: Result<Cow<'_, str>, EncodingError>) -> Result<Cow<'_, str>, (i32, String)> {
    text.map_err(unread)
}

/// Reads `search({"name": […], "summary": […]}, "or")`. Nothing outside the text itself is read: an entity
/// that XML does not define is passed over.
fn question(body: &[u8]) -> Result<SearchQuery, (i32, String)> {
    let text = std::str::from_utf8(body).map_err(unread)?;
    let mut xml = XmlReader::from_str(text);
    let mut open: Vec<String> = Vec::new();
    let (mut method, mut words) = (String::new(), BTreeSet::new());
    // As PyPI had it, of a question that says neither.
    let mut operator = "and".to_owned();
    let mut value = String::new();
    loop {
        match xml.read_event().map_err(unread)? {
            Event::Start(start) => {
                let name: &[u8] = start.name().into_inner();
                if open.len() == DEPTH_MAX {
                    let words = format!("it has more than {DEPTH_MAX} elements within each other");
                    return Err(unread(words));
                }
                open.push(String::from_utf8_lossy(name).into_owned());
                value.clear();
            }
            Event::End(_) => {
                let closed = open.pop().unwrap_or_default();
                let is_inside = open.iter().any(|one| one == "struct");
                match closed.as_str() {
                    "methodName" => method = value.trim().to_owned(),
                    "string" | "value" if is_inside => {
                        words.extend(value.split_whitespace().map(str::to_owned));
                    }
                    "string" | "value" if !value.trim().is_empty() => {
                        operator = value.trim().to_ascii_lowercase();
                    }
                    _ => {}
                }
                value.clear();
            }
            Event::Text(text) => value.push_str(&read(text.xml10_content())?),
            Event::CData(text) => value.push_str(&read(text.xml10_content())?),
            Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                Ok(Some(character)) => value.push(character),
                Ok(None) => {
                    let name = read(entity.decode())?;
                    value.push_str(resolve_xml_entity(&name).unwrap_or_default());
                }
                Err(error) => return Err(unread(error)),
            },
            Event::Eof => break,
            Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
    if !open.is_empty() {
        return Err(unread("it ends too early".to_owned()));
    }
    if method != "search" {
        let method: String = method.chars().take(METHOD_CHARS_MAX).collect();
        let words = format!("there is no method {method:?}, only search");
        return Err((METHOD_NOT_FOUND, words));
    }
    let words: Vec<String> = words.into_iter().collect();
    let words = words.join(" ");
    Ok(match operator.as_str() {
        "or" => SearchQuery::either(&words),
        _ => SearchQuery::parse(&words),
    })
}

fn hits(found: &[FoundProject]) -> Bytes {
    let member = |name: &str, value: &str| {
        html! { member { name { (name) } value { string { (sendable(value)) } } } }
    };
    let found = found.iter().enumerate().map(|(at, one)| {
        let summary = one.summary.as_deref().unwrap_or_default();
        let summary = format!("[{}] {summary}", one.indexes[0]);
        let version = one.version.as_deref().unwrap_or(NO_VERSION);
        html! {
            value { struct {
                (member("name", one.project.as_str()))
                (member("version", version))
                (member("summary", summary.trim_end()))
                member { name { "_pypi_ordering" } value { int { (HITS_MAX.saturating_sub(at)) } } }
            } }
        }
    });
    let found: Vec<_> = found.collect();
    let content = html! {
        params { param { value { array { data { @for one in &found { (one) } } } } } }
    };
    response(&content.into_string())
}

fn fault(code: i32, words: &str) -> Bytes {
    let content = html! {
        fault { value { struct {
            member { name { "faultCode" } value { int { (code) } } }
            member { name { "faultString" } value { string { (sendable(words)) } } }
        } } }
    };
    response(&content.into_string())
}

fn response(content: &str) -> Bytes {
    format!("<?xml version=\"1.0\"?>\n<methodResponse>{content}</methodResponse>\n").into()
}

/// Without characters that no XML may contain.
fn sendable(text: &str) -> String {
    let is_sendable = |one: &char| !one.is_control() && !matches!(one, '\u{fffe}' | '\u{ffff}');
    text.chars().filter(is_sendable).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fault_says_where_to_search_and_cannot_be_broken_out_of() {
        let fault = search_fault("http://h/</string>&/\u{1}");
        insta::assert_snapshot!(std::str::from_utf8(&fault).unwrap(), @r#"
        <?xml version="1.0"?>
        <methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-32601</int></value></member><member><name>faultString</name><value><string>pip search needs an index, as in http://h/&lt;/string&gt;&amp;//root/pypi/; search everywhere in a browser at http://h/&lt;/string&gt;&amp;//+search</string></value></member></struct></value></fault></methodResponse>
        "#);
    }

    #[test]
    fn words_are_taken_from_the_struct_once() {
        let call = |method: &str, inside: &str| {
            format!(
                "<?xml version='1.0'?>\n<methodCall><methodName>{method}</methodName><params><param><value>\
                 <struct>{inside}</struct></value></param><param><value><string>or</string></value></param>\
                 </params></methodCall>"
            )
        };
        let member = |name: &str, value: &str| {
            format!("<member>\n<name>{name}</name>\n<value>{value}</value>\n</member>")
        };
        let words =
            "<array><data>\n<value><string>a&amp;b</string></value><value>c</value></data></array>";
        let asked = call(
            "search",
            &(member("name", words) + &member("summary", words)),
        );
        assert_eq!(question(asked.as_bytes()).unwrap().words(), ["a", "b", "c"]);
        let (code, words) = question(call("system.exit", "").as_bytes()).unwrap_err();
        assert_eq!(
            (code, words.contains("system.exit")),
            (METHOD_NOT_FOUND, true)
        );
        let long = call(&"x".repeat(60_000), "");
        let (_, words) = question(long.as_bytes()).unwrap_err();
        assert!(words.len() < 100, "{}", words.len());
        let deep = call("search", &("<a>".repeat(40) + &"</a>".repeat(40)));
        let (_, words) = question(deep.as_bytes()).unwrap_err();
        assert!(words.contains("more than 32 elements"), "{words}");
        let either = question(asked.as_bytes()).unwrap();
        assert_eq!(either.alternatives().count(), 4);
        let both = question(asked.replace(">or<", ">and<").as_bytes()).unwrap();
        assert_eq!(both.alternatives().count(), 1);
        for broken in ["<methodCall><methodName>search", "<a></b>", "\u{0}", ""] {
            assert!(question(broken.as_bytes()).is_err(), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(query) = question(&body) {
                prop_assert!(query.words().len() <= 8);
            }
        }
    }
}
