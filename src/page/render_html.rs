//! Writes the HTML project page, frozen at 1.4 by PEP 833 (docs/protocol/simple-api.md §5).
//!
//! Beyond the standard there are only `data-upload-time` and `data-size`, which uv reads, and the mark
//! of a time that this gateway made up. The files and their order are those of the JSON page.

use crate::model::{AskedPart, CoreMetadata, ProjectState, UploadTimeSource, Yanked};
use crate::page::API_VERSION;
use crate::page::digests::fragment_digest;
use crate::page::filter::Listed;
use crate::page::json_file::FIRST_SEEN;
use crate::page::links::FileLinks;
use crate::page::merge::Heading;
use crate::page::stretch::Frame;
use crate::page::upload_time::write_upload_time;

/// What stands around the files of a page; there is no list of versions.
pub(super) fn frame(heading: &Heading<'_>) -> Frame {
    let mut head = Vec::new();
    raw(&mut head, "<!DOCTYPE html>\n<html><head>");
    meta(&mut head, "pypi:repository-version", API_VERSION);
    let status = heading.status;
    if status.state != ProjectState::Active || status.reason.is_some() {
        meta(&mut head, "pypi:project-status", status.state.as_str());
    }
    if let Some(reason) = &status.reason {
        meta(&mut head, "pypi:project-status-reason", reason);
    }
    let project = heading.project.as_str();
    raw(
        &mut head,
        &format!("<title>Links for {project}</title></head><body>\n"),
    );
    raw(&mut head, &format!("<h1>Links for {project}</h1>\n"));
    let mut middle = b"</body></html>\n".to_vec();
    if let Some(serial) = heading.serial {
        raw(&mut middle, &format!("<!--SERIAL {serial}-->\n"));
    }
    Frame {
        head,
        separator: b"",
        middle,
        tail: b"",
    }
}

fn meta(out: &mut Vec<u8>, name: &str, content: &str) {
    raw(out, &format!("<meta name=\"{name}\""));
    attribute(out, "content", content);
    raw(out, ">");
}

/// Writes one file.
pub(super) fn write_file(out: &mut Vec<u8>, listed: &Listed<'_>, links: &FileLinks) {
    let file = listed.file;
    raw(out, "<a href=\"");
    links.write(file, out);
    if let Some((algorithm, hex)) = fragment_digest(&file.hashes) {
        raw(out, &format!("#{algorithm}={hex}"));
    }
    raw(out, "\"");
    if let Some(python) = &file.requires_python {
        attribute(out, "data-requires-python", python);
    }
    match &listed.yanked {
        Yanked::No => {}
        Yanked::Yes(reason) => attribute(out, "data-yanked", reason.as_deref().unwrap_or("")),
    }
    if listed.sidecar {
        write_sidecar(out, &file.core_metadata);
    }
    if let Some(size) = file.size {
        attribute(out, "data-size", &size.to_string());
    }
    if let Some(time) = file.upload_time {
        raw(out, " data-upload-time=\"");
        write_upload_time(time.at, out);
        raw(out, "\"");
        match time.source {
            UploadTimeSource::Index => {}
            UploadTimeSource::FirstSeen => attribute(out, "data-upload-time-source", FIRST_SEEN),
        }
    }
    if file.provenance.is_some() {
        raw(out, " data-provenance=\"");
        links.write_beside(file, AskedPart::Provenance, out);
        raw(out, "\"");
    }
    if file.gpg_sig {
        attribute(out, "data-gpg-sig", "true");
    }
    raw(out, ">");
    escaped(out, file.filename.as_str());
    raw(out, "</a><br>\n");
}

/// Announces the sidecar under the standard's name and, for older installers, PEP 658's.
fn write_sidecar(out: &mut Vec<u8>, metadata: &CoreMetadata) {
    let digest = match metadata {
        CoreMetadata::Hashed(hashes) => fragment_digest(hashes),
        CoreMetadata::Absent | CoreMetadata::Present | CoreMetadata::Unobtainable => None,
    };
    let value = digest.map_or("true".to_owned(), |(algorithm, hex)| {
        format!("{algorithm}={hex}")
    });
    for name in ["data-core-metadata", "data-dist-info-metadata"] {
        attribute(out, name, &value);
    }
}

fn attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    raw(out, " ");
    raw(out, name);
    raw(out, "=\"");
    escaped(out, value);
    raw(out, "\"");
}

/// Escapes text so that it reads back the same, in an attribute or between tags. A parser would turn a
/// carriage return into a line feed, and has no representation for NUL.
fn escaped(out: &mut Vec<u8>, text: &str) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\r' => "&#13;",
            0 => "\u{fffd}",
            _ => continue,
        };
        raw(out, &text[plain..at]);
        raw(out, escape);
        plain = at + 1;
    }
    raw(out, &text[plain..]);
}

fn raw(out: &mut Vec<u8>, html: &str) {
    out.extend_from_slice(html.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::laws::{odd_page, written};
    use crate::page::samples;
    use crate::page::sniff::Markup;

    fn render(page: crate::page::project_page::ProjectPage) -> String {
        String::from_utf8(written(page, Markup::Html)).unwrap()
    }

    #[test]
    fn a_page_with_everything() {
        insta::assert_snapshot!(render(odd_page()), @r#"
        <!DOCTYPE html>
        <html><head><meta name="pypi:repository-version" content="1.4"><meta name="pypi:project-status" content="deprecated"><meta name="pypi:project-status-reason" content="use &quot;seven&quot; &amp; &lt;eight&gt;"><title>Links for six</title></head><body>
        <h1>Links for six</h1>
        <a href="../../+f/f28/960fee271105d/Six-2.0%2Bl.1-py3-none-any.whl#sha256=f28960fee271105d2be1fa8ba5a01ae7a56283175b4b6602aa85e5cd3bfbd084" data-requires-python="&gt;=3.8, &lt;4" data-core-metadata="sha256=45447b7afbd5e544f7d0f1df0fccd26014d9850130abd3f020b89ff96b82079f" data-dist-info-metadata="sha256=45447b7afbd5e544f7d0f1df0fccd26014d9850130abd3f020b89ff96b82079f" data-size="48211" data-upload-time="2026-05-04T10:11:12.500000Z" data-provenance="../../+f/f28/960fee271105d/Six-2.0%2Bl.1-py3-none-any.whl.provenance" data-gpg-sig="true">Six-2.0+l.1-py3-none-any.whl</a><br>
        <a href="../../+f/602/13faea760f93f/six-1.0.zip#sha256=60213faea760f93f9f8403e1a115c27c5397006830d247ea847e0911817d6be5" data-yanked="it's &lt;b&gt;&quot;bad&quot;&lt;/b&gt; &amp; old" data-upload-time="2026-05-04T10:11:12.000000Z" data-upload-time-source="first-seen">six-1.0.zip</a><br>
        <a href="../../+e/https_files.example_f/six-2004d.tar.bz2" data-yanked="">six-2004d.tar.bz2</a><br>
        <a href="../../+f/a60/0eeb0e6ce4374/six-0.9-py2.7.egg#sha256=a600eeb0e6ce43746998e9998673aa2d1c76ccc5092a661ff86abab731f72197">six-0.9-py2.7.egg</a><br>
        </body></html>
        <!--SERIAL 42-->
        "#);
    }

    #[test]
    fn a_page_with_nothing() {
        insta::assert_snapshot!(render(samples::page("six", &[])), @r#"
        <!DOCTYPE html>
        <html><head><meta name="pypi:repository-version" content="1.4"><title>Links for six</title></head><body>
        <h1>Links for six</h1>
        </body></html>
        "#);
    }

    #[test]
    fn no_text_leaves_its_attribute() {
        let mut out = Vec::new();
        attribute(&mut out, "data-yanked", "\"><a href=x>&amp;\r\n\0'é");
        let expected = " data-yanked=\"&quot;&gt;&lt;a href=x&gt;&amp;amp;&#13;\n\u{fffd}'é\"";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
