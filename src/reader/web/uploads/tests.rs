//! Uploads of late, on the page and as a feed.

use quick_xml::Reader as XmlReader;
use quick_xml::events::Event;
use serde_json::json;

use crate::db::FileFacts;
use crate::model::Sha256;
use crate::reader::api::{House, in_lines, release_file, text_of};

const FEED: &str = "/packages/stable/+uploads.atom";

async fn upload(house: &House, version: &str, filename: &str, at: &str) {
    let facts = FileFacts {
        uploaded_at: at.parse().unwrap(),
        ..release_file(filename)
    };
    let name = filename.split('-').next().unwrap();
    let metadata = json!({"name": name, "version": version});
    house
        .publish_described("packages/stable", metadata, vec![facts])
        .await;
}

/// The texts of all elements of a name; the text has to be well-formed to its end.
fn texts(xml: &str, of: &str) -> Vec<String> {
    let mut reader = XmlReader::from_str(xml);
    let (mut found, mut open, mut depth) = (Vec::new(), None, 0);
    loop {
        match reader.read_event().expect("it is well-formed") {
            Event::Start(start) => {
                depth += 1;
                if start.name().as_ref() == of.as_bytes() {
                    open = Some(String::new());
                }
            }
            Event::End(_) => {
                depth -= 1;
                found.extend(open.take());
            }
            Event::Text(text) => {
                let text = text.decode().unwrap();
                open.iter_mut().for_each(|open| open.push_str(&text));
            }
            Event::GeneralRef(entity) => {
                let entity = format!("&{};", entity.decode().unwrap());
                let sign = quick_xml::escape::unescape(&entity).expect("XML knows it");
                open.iter_mut().for_each(|open| open.push_str(&sign));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{xml}");
    found
}

#[tokio::test]
async fn a_feed_tells_what_was_uploaded_of_late_as_rfc_4287_has_it() {
    let house = House::new().await;
    upload(&house, "2.0", "odd-2.0.tar.gz", "2026-02-01T00:00:00Z").await;
    let reply = house.browse(FEED).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.head["content-type"],
        "application/atom+xml; charset=utf-8"
    );
    let feed = text_of(&reply);
    let titles = texts(&feed, "title");
    let expected = [
        "Uploads to packages/stable",
        "odd 2.0: odd-2.0.tar.gz",
        "hello-pkg 1.0: Hello.Pkg-1.0.tar.gz",
        "hello-pkg 2.0: Hello.Pkg-2.0.tar.gz",
        "six 1.0+house: six-1.0+house.tar.gz",
    ];
    assert_eq!(titles, expected);
    let ids = texts(&feed, "id");
    assert!(
        ids.iter()
            .all(|id| id.starts_with("urn:uuid:") && id.len() == 45),
        "{ids:?}"
    );
    let updated = texts(&feed, "updated");
    assert_eq!(
        updated[..2],
        ["2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    );
    let hex = Sha256::of(b"six-1.0+house.tar.gz").to_hex();
    let (first, then) = (&hex[..3], &hex[3..16]);
    for words in [
        r#"<link rel="self" type="application/atom+xml" href="http://devpi.example:4040/packages/stable/+uploads.atom"/>"#.to_owned(),
        "<author><name>packages</name></author>".to_owned(),
        r#"href="http://devpi.example:4040/packages/stable/six/1.0+house"/>"#.to_owned(),
        format!(r#"<link rel="enclosure" href="http://devpi.example:4040/packages/stable/+f/{first}/{then}/six-1.0+house.tar.gz" length="1200"/>"#),
        "<summary>packages, 1.1 KiB</summary>".to_owned(),
    ] {
        assert!(feed.contains(&words), "{words} in {feed}");
    }
    // A further upload changes nobody's id.
    upload(&house, "3.0", "odd-3.0.tar.gz", "2026-02-02T00:00:00Z").await;
    let later = texts(&text_of(&house.browse(FEED).await), "id");
    assert_eq!((&later[0], &later[2..]), (&ids[0], &ids[1..]));
}

#[tokio::test]
async fn what_somebody_calls_a_release_cannot_break_the_feed() {
    let house = House::new().await;
    let version = "1.0 <b>&\"'\u{1}\u{fffe}]]>";
    upload(&house, version, "odd-1.0.tar.gz", "2026-02-01T00:00:00Z").await;
    let feed = text_of(&house.browse(FEED).await);
    let titles = texts(&feed, "title");
    assert_eq!(titles[1], "odd 1.0 <b>&\"']]>: odd-1.0.tar.gz");
    assert!(!feed.contains('\u{1}') && !feed.contains('\u{fffe}'));
}

#[tokio::test]
async fn what_is_refused_is_in_no_list_of_uploads() {
    let house = House::new().await;
    // Refused by version, and until it has cooled down.
    upload(&house, "2.0", "requests-2.0.tar.gz", "2026-02-01T00:00:00Z").await;
    upload(&house, "9.0", "odd-9.0.tar.gz", "2026-02-28T00:00:00Z").await;
    upload(&house, "8.0", "odd-8.0.tar.gz", "2026-02-01T00:00:00Z").await;
    for path in [FEED, "/packages/stable"] {
        let text = text_of(&house.browse(path).await);
        assert!(text.contains("odd-8.0.tar.gz"), "{path}: {text}");
        for refused in ["requests-2.0", "odd-9.0"] {
            assert!(!text.contains(refused), "{path}: {text}");
        }
    }
    let page = text_of(&house.browse("/packages/stable").await);
    let rows = page.split("Uploads of late").nth(1).unwrap();
    let first = in_lines(rows).lines().nth(3).unwrap_or_default().to_owned();
    insta::assert_snapshot!(first, @r#"<tr><td class="name"><a href="../packages/stable/odd/8.0">odd 8.0</a></td><td class="name"><a href="../packages/stable/+f/430/5e46429a3d026/odd-8.0.tar.gz">odd-8.0.tar.gz</a> <span class="faint">1.1 KiB</span></td><td><time datetime="2026-02-01T00:00:00Z">2026-02-01 00:00 UTC</time></td><td>packages</td></tr>"#);
}

#[tokio::test]
async fn a_feed_is_sent_once_and_only_of_what_takes_uploads() {
    let house = House::new().await;
    let reply = house.browse(FEED).await;
    let tag = reply.head["etag"].to_str().unwrap().to_owned();
    let again = house.browse_with(FEED, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status.as_u16(), &*text_of(&again)), (304, ""));
    let head = house.browse_with(FEED, &[("method", "HEAD")]).await;
    assert_eq!((head.status.as_u16(), &*text_of(&head)), (200, ""));
    assert_eq!(head.head["content-length"], reply.head["content-length"]);
    let packed = house
        .browse_with(FEED, &[("accept-encoding", "gzip")])
        .await;
    assert_eq!(packed.head["content-encoding"], "gzip");
    let page = text_of(&house.browse("/packages/stable").await);
    let link = "<link rel=\"alternate\" type=\"application/atom+xml\" title=\"Uploads to packages/stable\" \
                href=\"../packages/stable/+uploads.atom\">";
    assert!(page.contains(link), "{page}");
    for (path, words) in [
        (
            "/root/pypi/+uploads.atom",
            "is a mirror: nothing is uploaded to it",
        ),
        ("/packages/nowhere/+uploads.atom", "could not be found"),
    ] {
        let reply = house.browse(path).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(text_of(&reply).contains(words), "{path}");
    }
    let mirror = text_of(&house.browse("/root/pypi").await);
    assert!(!mirror.contains("+uploads.atom"), "{mirror}");
}
