//! Unusual pages and archives, end to end: the charset of a page, rarer archive formats, and wheels
//! with something after the end of the zip.

use bytes::Bytes;

use super::support::{Canned, Content, Form, Program, Setup, Web, Wheel, ask};

/// A page in the charset that its upstream states, with the rarer formats of source archives.
const PAGE: &str = "<!DOCTYPE html><title>K\u{e4}se</title>\
    <a href=\"kaese-1.0.txz\" data-yanked=\"zu w\u{fc}rzig\">kaese-1.0.txz</a>\
    <a href=\"kaese-1.1.tlz\">kaese-1.1.tlz</a><a href=\"kaese-1.2.tar.lz\">kaese-1.2.tar.lz</a>";

#[tokio::test]
async fn a_page_is_read_in_its_charset_and_rarer_archives_are_files() {
    // In ISO-8859-1 every character is one byte with the number of its code point.
    let latin: Vec<u8> = PAGE
        .chars()
        .map(|one| u8::try_from(u32::from(one)).unwrap())
        .collect();
    let page = Canned {
        content_type: "text/html; charset=ISO-8859-1".to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(Bytes::from(latin)),
    };
    let archive = Canned {
        content_type: "application/octet-stream".to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(Bytes::from_static(b"sources")),
    };
    let index = Setup::default()
        .canned("/simple/kaese/", page)
        .canned("/simple/kaese/kaese-1.0.txz", archive)
        .start();
    let program = Program::without_policies()
        .mirroring(index.url().as_str())
        .start();
    let web = Web::new();
    let page = web
        .page(&format!("{}kaese/", program.index_url("root/pypi")))
        .await;
    assert_eq!(page.file("kaese-1.0.txz")["yanked"], "zu w\u{fc}rzig");
    for name in ["kaese-1.1.tlz", "kaese-1.2.tar.lz"] {
        assert!(page.file(name)["url"].is_string(), "{name}");
    }
    let got = web.get(&page.url_of("kaese-1.0.txz")).await;
    assert_eq!((got.status, &got.body[..]), (200, &b"sources"[..]));
}

const POLICIES: &str = "indexes:\n  me/dev: { acl_upload: [':ANONYMOUS:'] }\n";

#[test]
fn a_wheel_with_something_behind_its_zip_is_refused_at_upload() {
    let program = Program::with_policies(POLICIES).start();
    let index = format!("{}me/dev/", program.manage_url());
    let bytes = [&Wheel::new("hello", "1.0").build()[..], b"and more"].concat();
    let refused = Form::of_wheel("hello", "1.0")
        .holding(&bytes)
        .post(&index)
        .unwrap();
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("does not end where"), "{refused:?}");
}

#[test]
fn devpis_search_finds_what_is_there() {
    let program = Program::with_policies(POLICIES).start();
    let index = format!("{}me/dev/", program.manage_url());
    assert_eq!(
        Form::of_wheel("hello", "1.0").post(&index).unwrap().status,
        200
    );
    for door in [program.public_url(), program.manage_url()] {
        for (query, is_found) in [("hello", true), ("goodbye", false)] {
            let url = format!("{door}+search?query={query}");
            let ask = || ask::send("GET", &url, &[("Accept", "text/html")], b"").unwrap();
            let mut got = ask();
            // Uploads are found soon.
            while is_found && !got.body.contains("/me/dev/hello") {
                got = ask();
            }
            assert_eq!(got.status, 200, "{got:?}");
            assert_eq!(
                got.body.contains("/me/dev/hello"),
                is_found,
                "{url}: {}",
                got.body
            );
        }
    }
}
