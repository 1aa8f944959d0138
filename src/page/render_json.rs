//! Writes the JSON project page, API 1.4 (docs/protocol/simple-api.md §4): what any client
//! chokes on is never sent.
//!
//! No `null`, no empty strings, `hashes` always present, `size` left out where it is unknown.

use crate::model::{AskedPart, CoreMetadata, Hashes, UploadTimeSource, Yanked};
use crate::page::API_VERSION;
use crate::page::filter::Listed;
use crate::page::json_file::FIRST_SEEN;
use crate::page::links::FileLinks;
use crate::page::merge::Heading;
use crate::page::stretch::Frame;
use crate::page::upload_time::write_upload_time;

/// Between two files, and between two versions.
pub(super) const SEPARATOR: &[u8] = b",";

/// What stands around the files of a page. The versions come after the files, so that a page can be sent
/// while it is written.
pub(super) fn frame(heading: &Heading<'_>) -> Frame {
    let mut head = Vec::new();
    raw(
        &mut head,
        &format!(r#"{{"meta":{{"api-version":"{API_VERSION}""#),
    );
    if let Some(serial) = heading.serial {
        raw(&mut head, &format!(r#","_last-serial":{serial}"#));
    }
    raw(&mut head, r#"},"name":"#);
    text(&mut head, heading.project.as_str());
    raw(&mut head, r#","project-status":{"status":"#);
    text(&mut head, heading.status.state.as_str());
    if let Some(reason) = &heading.status.reason {
        raw(&mut head, r#","reason":"#);
        text(&mut head, reason);
    }
    raw(&mut head, r#"},"files":["#);
    Frame {
        head,
        separator: SEPARATOR,
        middle: br#"],"versions":["#.to_vec(),
        tail: b"]}",
    }
}

/// Writes versions as they stand in their list.
pub(super) fn versions<'a>(versions: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for (position, version) in versions.enumerate() {
        separate(&mut out, position);
        text(&mut out, version);
    }
    out
}

/// Writes one file.
pub(super) fn write_file(out: &mut Vec<u8>, listed: &Listed<'_>, links: &FileLinks) {
    let file = listed.file;
    raw(out, r#"{"filename":"#);
    text(out, file.filename.as_str());
    raw(out, r#","url":""#);
    links.write(file, out);
    raw(out, r#"","hashes":"#);
    write_hashes(out, &file.hashes);
    if let Some(size) = file.size {
        raw(out, &format!(r#","size":{size}"#));
    }
    if let Some(time) = file.upload_time {
        raw(out, r#","upload-time":""#);
        write_upload_time(time.at, out);
        raw(out, "\"");
        match time.source {
            UploadTimeSource::Index => {}
            UploadTimeSource::FirstSeen => {
                raw(out, &format!(r#","_upload-time-source":"{FIRST_SEEN}""#));
            }
        }
    }
    if let Some(python) = &file.requires_python {
        raw(out, r#","requires-python":"#);
        text(out, python);
    }
    raw(out, r#","yanked":"#);
    match &listed.yanked {
        Yanked::No => raw(out, "false"),
        Yanked::Yes(None) => raw(out, "true"),
        Yanked::Yes(Some(reason)) => text(out, reason),
    }
    if listed.sidecar {
        raw(out, r#","core-metadata":"#);
        let value = out.len();
        match &file.core_metadata {
            CoreMetadata::Hashed(hashes) => write_hashes(out, hashes),
            CoreMetadata::Absent | CoreMetadata::Present | CoreMetadata::Unobtainable => {
                raw(out, "true");
            }
        }
        let value = value..out.len();
        // The key's name before PEP 714, which older installers read.
        raw(out, r#","dist-info-metadata":"#);
        out.extend_from_within(value);
    }
    if file.provenance.is_some() {
        raw(out, r#","provenance":""#);
        links.write_beside(file, AskedPart::Provenance, out);
        raw(out, "\"");
    }
    if file.gpg_sig {
        raw(out, r#","gpg-sig":true"#);
    }
    raw(out, "}");
}

fn write_hashes(out: &mut Vec<u8>, hashes: &Hashes) {
    raw(out, "{");
    for (position, (algorithm, hex)) in hashes.strongest().enumerate() {
        separate(out, position);
        text(out, algorithm);
        raw(out, ":");
        text(out, &hex);
    }
    raw(out, "}");
}

fn separate(out: &mut Vec<u8>, position: usize) {
    if position > 0 {
        out.extend_from_slice(SEPARATOR);
    }
}

fn raw(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Serialising strings into a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use crate::page::laws::{odd_page, written};
    use crate::page::samples;
    use crate::page::sniff::Markup;

    fn render(page: crate::page::project_page::ProjectPage) -> String {
        let json = written(page, Markup::Json);
        serde_json::from_slice::<serde_json::Value>(&json).expect("it is JSON");
        String::from_utf8(json)
            .unwrap()
            .replace("},{\"filename", "},\n{\"filename")
    }

    #[test]
    fn a_page_with_everything() {
        insta::assert_snapshot!(render(odd_page()), @r#"
        {"meta":{"api-version":"1.4","_last-serial":42},"name":"six","project-status":{"status":"deprecated","reason":"use \"seven\" & <eight>"},"files":[{"filename":"Six-2.0+l.1-py3-none-any.whl","url":"../../+f/f28/960fee271105d/Six-2.0%2Bl.1-py3-none-any.whl","hashes":{"sha256":"f28960fee271105d2be1fa8ba5a01ae7a56283175b4b6602aa85e5cd3bfbd084"},"size":48211,"upload-time":"2026-05-04T10:11:12.500000Z","requires-python":">=3.8, <4","yanked":false,"core-metadata":{"sha256":"45447b7afbd5e544f7d0f1df0fccd26014d9850130abd3f020b89ff96b82079f"},"dist-info-metadata":{"sha256":"45447b7afbd5e544f7d0f1df0fccd26014d9850130abd3f020b89ff96b82079f"},"provenance":"../../+f/f28/960fee271105d/Six-2.0%2Bl.1-py3-none-any.whl.provenance","gpg-sig":true},
        {"filename":"six-1.0.zip","url":"../../+f/602/13faea760f93f/six-1.0.zip","hashes":{"sha256":"60213faea760f93f9f8403e1a115c27c5397006830d247ea847e0911817d6be5"},"upload-time":"2026-05-04T10:11:12.000000Z","_upload-time-source":"first-seen","yanked":"it's <b>\"bad\"</b> & old"},
        {"filename":"six-2004d.tar.bz2","url":"../../+e/https_files.example_f/six-2004d.tar.bz2","hashes":{},"yanked":true},
        {"filename":"six-0.9-py2.7.egg","url":"../../+f/a60/0eeb0e6ce4374/six-0.9-py2.7.egg","hashes":{"sha256":"a600eeb0e6ce43746998e9998673aa2d1c76ccc5092a661ff86abab731f72197"},"yanked":false}],"versions":["2.0+l.1","1.0","2004d","0.9"]}
        "#);
    }

    #[test]
    fn a_page_with_nothing() {
        insta::assert_snapshot!(render(samples::page("six", &[])), @r#"{"meta":{"api-version":"1.4"},"name":"six","project-status":{"status":"active"},"files":[],"versions":[]}"#);
    }
}
