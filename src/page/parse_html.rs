//! Reads the HTML project page of an upstream (PEP 503, 592, 658, 792; docs/protocol/simple-api.md §5).
//!
//! A link counts when the last segment of its URL names a file of the project; the anchor's text is
//! ignored, as installers do. Two attributes are not in the standard: `data-upload-time` and
//! `data-size`, which uv reads and gateways such as this one write.

use crate::model::{CoreMetadata, File, Inside, ProjectName, UploadTime, UploadTimeSource, Yanked};
use crate::page::anchors::{Anchor, Element, read_elements};
use crate::page::digests::attribute_metadata;
use crate::page::document::Links;
use crate::page::json_file::FIRST_SEEN;
use crate::page::parse_json::{parse_status, refuse_other_major};
use crate::page::project_page::{InvalidPage, PageBuilder, ProjectPage, clean};
use crate::page::source_url::Base;
use crate::page::upload_time::parse_upload_time;

/// Parses an HTML project page that was found at `page_url` (after redirects).
///
/// A page without links is a project without files, if it can be distinguished from a document that
/// only came in place of a page ([`Document`](crate::page::document::Document)).
///
/// # Errors
/// When the document is no page of an index, announces a major version other than 1, lists more than
/// any project has, or has excessively large tags.
#[cfg(test)]
pub(super) fn parse_html(
    body: &[u8],
    page_url: &str,
    project: &ProjectName,
) -> Result<ProjectPage, InvalidPage> {
    parse_html_within(usize::MAX, body, page_url, project)
}

/// The same, with at most so many bytes of values.
pub(super) fn parse_html_within(
    room: usize,
    body: &[u8],
    page_url: &str,
    project: &ProjectName,
) -> Result<ProjectPage, InvalidPage> {
    let mut base = Base::parse(page_url)?;
    let mut has_base = false;
    let mut builder = PageBuilder::within(room, project);
    let (mut state, mut reason) = (String::new(), String::new());
    let mut links = Links::default();
    let document = read_elements(body, &mut |element| {
        match element {
            Element::Base(href) if !has_base => {
                // The first one counts (HTML standard, 4.2.3).
                has_base = true;
                base.rebase(href);
            }
            Element::Base(_) => {}
            Element::Meta {
                name: "pypi:repository-version",
                content,
            } => {
                refuse_other_major(Some(content))?;
            }
            Element::Meta {
                name: "pypi:project-status",
                content,
            } => content.clone_into(&mut state),
            Element::Meta {
                name: "pypi:project-status-reason",
                content,
            } => {
                content.clone_into(&mut reason);
            }
            Element::Meta { .. } => {}
            Element::Comment(text) => {
                if let Some(serial) = text.trim().strip_prefix("SERIAL ") {
                    builder.serial(serial.trim().parse().ok());
                }
            }
            Element::Anchor(anchor) => {
                links.count(anchor.attribute("href").unwrap_or_default(), false);
                add_file(&mut builder, &mut base, anchor)?;
            }
        }
        Ok(())
    })?;
    builder.status(parse_status(&state, Some(&reason)));
    if builder.has_lost_all() {
        return Err(InvalidPage::NoFiles);
    }
    let page = builder.finish();
    if page.files.is_empty() && !document.is_page_of(project, links) {
        return Err(InvalidPage::NoIndex(document.words()));
    }
    Ok(page)
}

/// Adds the file that an anchor leads to.
fn add_file(
    builder: &mut PageBuilder,
    base: &mut Base,
    anchor: &Anchor,
) -> Result<(), InvalidPage> {
    let Some(href) = anchor.attribute("href") else {
        return Ok(());
    };
    let Some(url) = base.resolve(href) else {
        builder.drop_entry();
        return Ok(());
    };
    let Some(filename) = builder.filename(&url.filename().unwrap_or_default()) else {
        return Ok(());
    };
    let provenance = anchor
        .attribute("data-provenance")
        .filter(|text| !text.is_empty());
    let file = File {
        filename,
        hashes: url.hashes(),
        size: anchor
            .attribute("data-size")
            .and_then(|text| text.trim().parse().ok()),
        upload_time: upload_time(anchor),
        requires_python: builder.requires_python(anchor.attribute("data-requires-python")),
        yanked: anchor
            .attribute("data-yanked")
            .map_or(Yanked::No, |why| Yanked::Yes(clean(why))),
        core_metadata: core_metadata(anchor),
        provenance: provenance.and_then(|text| Some(base.resolve(text)?.into_text())),
        gpg_sig: anchor.attribute("data-gpg-sig") == Some("true"),
        inside: Inside::default(),
        url: Some(url.into_text()),
    };
    builder.file(file)
}

fn upload_time(anchor: &Anchor) -> Option<UploadTime> {
    let at = parse_upload_time(anchor.attribute("data-upload-time")?)?;
    let source = match anchor.attribute("data-upload-time-source") {
        Some(FIRST_SEEN) => UploadTimeSource::FirstSeen,
        _ => UploadTimeSource::Index,
    };
    Some(UploadTime { at, source })
}

/// The standard's attribute before the name it had in PEP 658 (PEP 714).
fn core_metadata(anchor: &Anchor) -> CoreMetadata {
    ["data-core-metadata", "data-dist-info-metadata"]
        .into_iter()
        .filter_map(|name| anchor.attribute(name))
        .map(attribute_metadata)
        .find(|announced| *announced != CoreMetadata::Absent)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProjectStatus, Sha256};

    fn parse(html: &str) -> Result<ProjectPage, InvalidPage> {
        let project = ProjectName::parse("torch").unwrap();
        parse_html(
            html.as_bytes(),
            "https://upstream.example/simple/torch/",
            &project,
        )
    }

    fn summary(page: &ProjectPage) -> Vec<String> {
        let line = |file: &File| {
            let hash = file
                .hashes
                .iter()
                .next()
                .map_or("-".to_owned(), |(name, hex)| {
                    format!("{name}={}", &hex[..4])
                });
            format!(
                "{} {} {hash}",
                file.filename,
                file.url.as_deref().unwrap_or("-")
            )
        };
        page.files.iter().map(line).collect()
    }

    #[test]
    fn an_odd_page_of_the_field() {
        let sha256 = Sha256::of(b"torch").to_hex();
        let page = parse(&format!(
            r#"<html><head><base href="https://files.example/whl/"><base href="/other/">
               <script>document.write('<a href="torch-6.6-py3-none-any.whl">x</a>')</script></head><body>
               <A HREF="cu121/torch-2.1.0%2Bcu121-cp311-cp311-linux_x86_64.whl#sha256={}">wrong-1.0.zip</A><br>
               <a href='torch-1.0.zip'>torch-1.0.zip</a> <a href="torch-1.0.tar.gz#md5={}&amp;egg=torch">
               <a href="/f/torch-1.0.zip?x=1&amp;y=2#sha256={sha256}">again, with a digest</a>
               <a href="../">parent</a> <a href="torch-2004d.egg">torch-2004d.egg</a> <a name=x>torch-9.zip</a>
               <a href="mailto:torch-3.zip">torch-3.zip</a> <a href="https://other.example/">home page</a>"#,
            sha256.to_uppercase(),
            "D41D8CD98F00B204E9800998ECF8427E",
        ))
        .unwrap();
        insta::assert_snapshot!(summary(&page).join("\n"), @r"
        torch-2.1.0+cu121-cp311-cp311-linux_x86_64.whl https://files.example/whl/cu121/torch-2.1.0%2Bcu121-cp311-cp311-linux_x86_64.whl sha256=37bf
        torch-1.0.tar.gz https://files.example/whl/torch-1.0.tar.gz md5=d41d
        torch-1.0.zip https://files.example/f/torch-1.0.zip?x=1&y=2 sha256=37bf
        torch-2004d.egg https://files.example/whl/torch-2004d.egg -
        ");
        assert_eq!(page.dropped, 3);
    }

    #[test]
    fn attributes_are_decoded_and_read() {
        let sha256 = Sha256::of(b"metadata").to_hex();
        let page = parse(&format!(
            r#"<a href="torch-1-py3-none-any.whl" data-requires-python="&gt;=3.8, &lt;4" data-yanked=""
                data-core-metadata="sha256={sha256}" data-dist-info-metadata="true" data-size=" 12 "
                data-upload-time="2026-05-04T10:11:12Z" data-gpg-sig="true" data-provenance="/p">
               <a href="torch-2-py3-none-any.whl" data-requires-python="" data-yanked="it&#39;s &quot;bad&quot;"
                data-dist-info-metadata="true" data-size="many" data-upload-time="" data-gpg-sig="false"
                data-provenance="">"#
        ))
        .unwrap();
        let [first, second] = &page.files[..] else {
            panic!("two files: {page:?}");
        };
        assert_eq!(first.requires_python.as_deref(), Some(">=3.8, <4"));
        assert_eq!(first.yanked, Yanked::Yes(None));
        let CoreMetadata::Hashed(hashes) = &first.core_metadata else {
            panic!("{:?}", first.core_metadata);
        };
        assert_eq!(hashes.sha256(), Some(Sha256::of(b"metadata")));
        assert_eq!((first.size, first.gpg_sig), (Some(12), true));
        let time = first.upload_time.unwrap();
        assert_eq!(
            (time.at.to_string().as_str(), time.source),
            ("2026-05-04T10:11:12Z", UploadTimeSource::Index)
        );
        assert_eq!(
            first.provenance.as_deref(),
            Some("https://upstream.example/p")
        );

        let mut bare = File::named(second.filename.clone());
        bare.url.clone_from(&second.url);
        bare.yanked = Yanked::Yes(Some("it's \"bad\"".into()));
        bare.core_metadata = CoreMetadata::Present;
        assert_eq!(*second, bare);
    }

    #[test]
    fn metas_and_serial_are_read_wherever_they_stand() {
        let page = parse(
            r#"<meta name="pypi:project-status-reason" content="see &quot;b&quot;">
               <meta name="pypi:project-status" content="deprecated">
               <meta name="pypi:repository-version" content="1.4"><a href="torch-1.zip"></a><!--SERIAL 42-->"#,
        )
        .unwrap();
        assert_eq!(page.status, parse_status("deprecated", Some("see \"b\"")));
        assert_eq!((page.serial, page.files.len()), (Some(42), 1));
        let page = parse("<h1>Links for torch</h1>").unwrap();
        assert_eq!((page.status, page.serial), (ProjectStatus::default(), None));
    }

    #[test]
    fn what_is_no_page_is_refused_not_taken_for_an_empty_one() {
        for (html, words) in [
            ("", "it says nothing"),
            ("overloaded", "it says \"overloaded\""),
            (
                "<title>Sign in</title><input type=password>",
                "it says \"Sign in\"",
            ),
        ] {
            assert_eq!(parse(html), Err(InvalidPage::NoIndex(words.to_owned())));
        }
        // Whatever surrounds them, files are files.
        let html = "<title>Sign in</title><input type=password><a href=torch-1.zip>";
        assert!(parse(html).is_ok());
    }

    #[test]
    fn files_of_other_projects_alone_are_no_page_and_links_to_no_files_are_nothing() {
        for html in [
            "<h1>Links for torch</h1><a href=vision-1-py3-none-any.whl></a>",
            "<!DOCTYPE html><html><body><a href=vision-1.zip></a><a href=../>up</a></body></html>",
        ] {
            assert_eq!(parse(html), Err(InvalidPage::NoFiles), "{html}");
        }
        for html in [
            "<h1>Links for torch</h1><a href=https://home.example/>home</a>",
            "<h1>Links for torch</h1><a href=README.txt>read me</a>",
            "<h1>Links for torch</h1><a href=vision-1.zip></a><a href=torch-1.zip></a>",
        ] {
            assert!(parse(html).is_ok(), "{html}");
        }
    }

    #[test]
    fn another_major_version_is_refused() {
        let html = r#"<meta name="pypi:repository-version" content="2.0">"#;
        assert_eq!(parse(html), Err(InvalidPage::ApiVersion("2.0".to_owned())));
    }

    #[test]
    fn a_huge_attribute_is_read_or_refused_but_never_held_twice() {
        let huge = |bytes: usize| {
            format!(
                "<a href=torch-1.zip data-requires-python='{}'></a>",
                "x".repeat(bytes)
            )
        };
        let page = parse(&huge(64 * 1024)).unwrap();
        assert_eq!(
            page.files[0].requires_python.as_ref().unwrap().len(),
            64 * 1024
        );
        assert!(matches!(
            parse(&huge(1024 * 1024)),
            Err(InvalidPage::Tag(_))
        ));
    }
}
