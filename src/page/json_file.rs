//! One entry of `files` on a JSON page (PEP 691, 700, 714, 740; docs/protocol/simple-api.md §4.1).

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::model::{CoreMetadata, File, Inside, UploadTime, UploadTimeSource, Yanked};
use crate::page::digests::{attribute_metadata, hashed_metadata, table_digests};
use crate::page::project_page::{InvalidPage, PageBuilder, clean};
use crate::page::source_url::{Base, SourceUrl};
use crate::page::upload_time::parse_upload_time;
use crate::page::wire::Loose;

/// The value of `_upload-time-source` for a time that a gateway such as this one made up.
pub(super) const FIRST_SEEN: &str = "first-seen";

/// Reads one entry and adds it to the page, or counts it as left out.
///
/// # Errors
/// [`InvalidPage::TooMany`].
pub(super) fn add_file(
    builder: &mut PageBuilder,
    base: &mut Base,
    json: &str,
) -> Result<(), InvalidPage> {
    let wire: WireFile<'_> = serde_json::from_str(json).unwrap_or_default();
    let Some(url) = wire.url.text().and_then(|url| base.resolve(url)) else {
        builder.lose_entry();
        return Ok(());
    };
    let Some(filename) = builder.filename(&wire.filename(&url)) else {
        return Ok(());
    };
    let stated = table_digests(&wire.hashes);
    let file = File {
        filename,
        hashes: if stated.is_empty() {
            url.hashes()
        } else {
            stated
        },
        size: wire.size.number(),
        upload_time: wire.upload_time(),
        requires_python: builder.requires_python(wire.requires_python.text()),
        yanked: wire.yanked(),
        core_metadata: wire.core_metadata(),
        provenance: wire.provenance(base),
        gpg_sig: wire.gpg_sig == Loose::Bool(true),
        inside: Inside::default(),
        url: Some(url.into_text()),
    };
    builder.file(file)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default, bound(deserialize = "'de: 'a"))]
struct WireFile<'a> {
    filename: Loose<'a>,
    url: Loose<'a>,
    hashes: Loose<'a>,
    requires_python: Loose<'a>,
    size: Loose<'a>,
    upload_time: Loose<'a>,
    yanked: Loose<'a>,
    core_metadata: Loose<'a>,
    dist_info_metadata: Loose<'a>,
    data_dist_info_metadata: Loose<'a>,
    provenance: Loose<'a>,
    gpg_sig: Loose<'a>,
    #[serde(rename = "_upload-time-source")]
    upload_time_source: Loose<'a>,
}

impl WireFile<'_> {
    /// The name stated, or the URL's last segment. Some indexes state the name as it stands in the URL;
    /// a `%` that is not also in the URL's own name is taken as a sign of that, and decoded once.
    fn filename<'n>(&'n self, url: &'n SourceUrl<'_>) -> Cow<'n, str> {
        let in_url = url.filename().unwrap_or_default();
        match self.filename.text() {
            None | Some("") => in_url,
            Some(stated) if stated == in_url => in_url,
            Some(stated) => percent_decode_str(stated).decode_utf8_lossy(),
        }
    }

    fn upload_time(&self) -> Option<UploadTime> {
        let at = parse_upload_time(self.upload_time.text()?)?;
        let source = match self.upload_time_source.text() {
            Some(FIRST_SEEN) => UploadTimeSource::FirstSeen,
            _ => UploadTimeSource::Index,
        };
        Some(UploadTime { at, source })
    }

    fn yanked(&self) -> Yanked {
        match &self.yanked {
            Loose::Bool(true) => Yanked::Yes(None),
            Loose::Text(reason) if !reason.is_empty() => Yanked::Yes(clean(reason)),
            Loose::Absent
            | Loose::Bool(false)
            | Loose::Number(_)
            | Loose::Text(_)
            | Loose::Table(_)
            | Loose::Other => Yanked::No,
        }
    }

    /// The first spelling that announces a sidecar, the standard's own before its aliases.
    fn core_metadata(&self) -> CoreMetadata {
        [
            &self.core_metadata,
            &self.dist_info_metadata,
            &self.data_dist_info_metadata,
        ]
        .into_iter()
        .map(announced_metadata)
        .find(|announced| *announced != CoreMetadata::Absent)
        .unwrap_or_default()
    }

    fn provenance(&self, base: &mut Base) -> Option<Arc<str>> {
        let text = self.provenance.text().filter(|text| !text.is_empty())?;
        Some(base.resolve(text)?.into_text())
    }
}

fn announced_metadata(value: &Loose<'_>) -> CoreMetadata {
    match value {
        Loose::Bool(true) => CoreMetadata::Present,
        Loose::Table(_) => hashed_metadata(table_digests(value)),
        Loose::Text(text) => attribute_metadata(text),
        Loose::Absent | Loose::Bool(false) | Loose::Number(_) | Loose::Other => {
            CoreMetadata::Absent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProjectName;

    const DIGITS: &str = "0123456789abcdef0123456789ABCDEF";

    fn read(json: &str) -> Option<File> {
        let mut base = Base::parse("https://upstream.example/simple/six/").unwrap();
        let mut builder = PageBuilder::within(usize::MAX, &ProjectName::parse("six").unwrap());
        add_file(&mut builder, &mut base, json).unwrap();
        let page = builder.finish();
        assert_eq!(
            page.files.len() + page.dropped,
            1,
            "kept or counted: {json}"
        );
        page.files.into_iter().next()
    }

    fn read_with(key: &str, value: &str) -> File {
        let json = format!(r#"{{"filename": "six-1.zip", "url": "six-1.zip", "{key}": {value}}}"#);
        read(&json).unwrap()
    }

    #[test]
    fn what_cannot_be_listed_is_left_out_and_counted() {
        for json in [
            "null",
            "7",
            "[]",
            "{}",
            r#"{"filename": "six-1.zip"}"#,
            r#"{"filename": "six-1.zip", "url": null}"#,
            r#"{"filename": "six-1.zip", "url": "javascript:0"}"#,
            r#"{"filename": "seven-1.zip", "url": "six-1.zip"}"#,
            r#"{"filename": "../six-1.zip", "url": "six-1.zip"}"#,
            r#"{"filename": "%2e%2e%2fsix-1.zip", "url": "six-1.zip"}"#,
            r#"{"filename": "six-1.zip", "url": "a", "url": "b"}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn the_name_is_decoded_once() {
        let table = [
            (r#"{"filename": "six-1+l.zip", "url": "x"}"#, "six-1+l.zip"),
            (
                r#"{"filename": "six-1%2Bl.zip", "url": "x"}"#,
                "six-1+l.zip",
            ),
            (
                r#"{"filename": "six-1%252Bl.zip", "url": "x"}"#,
                "six-1%2Bl.zip",
            ),
            (
                r#"{"filename": "six-1%2B.zip", "url": "six-1%252B.zip"}"#,
                "six-1%2B.zip",
            ),
            (
                r#"{"filename": null, "url": "f/six-1%2Bl.zip#x"}"#,
                "six-1+l.zip",
            ),
            (r#"{"url": "f/six-1+l.zip?q"}"#, "six-1+l.zip"),
        ];
        for (json, name) in table {
            assert_eq!(read(json).unwrap().filename.as_str(), name, "{json}");
        }
    }

    #[test]
    fn odd_values_cost_one_fact_only() {
        for key in [
            "hashes",
            "requires-python",
            "size",
            "upload-time",
            "yanked",
            "core-metadata",
        ] {
            for value in ["null", "[1]", "{}", "-1", "\"\"", "false", "1.5"] {
                let file = read_with(key, value);
                let bare = File {
                    url: file.url.clone(),
                    ..File::named(file.filename.clone())
                };
                if key == "core-metadata" && matches!(value, "{}" | "\"\"") {
                    assert_eq!(file.core_metadata, CoreMetadata::Present, "{value}");
                } else {
                    assert_eq!(file, bare, "{key} {value}");
                }
            }
        }
    }

    #[test]
    fn facts_are_read_in_every_spelling() {
        assert_eq!(read_with("size", "\"12\"").size, Some(12));
        assert_eq!(read_with("yanked", "true").yanked, Yanked::Yes(None));
        let reason = read_with("yanked", r#""bad\nbuild""#).yanked;
        assert_eq!(reason, Yanked::Yes(Some("bad build".into())));
        assert_eq!(
            read_with("requires-python", "\" >=3.8 \"")
                .requires_python
                .as_deref(),
            Some(">=3.8")
        );
        assert!(read_with("gpg-sig", "true").gpg_sig);
        let provenance = read_with("provenance", "\"/p#x\"").provenance;
        assert_eq!(provenance.as_deref(), Some("https://upstream.example/p"));
        for key in [
            "core-metadata",
            "dist-info-metadata",
            "data-dist-info-metadata",
        ] {
            let metadata = read_with(key, &format!(r#"{{"md5": "{DIGITS}"}}"#)).core_metadata;
            let CoreMetadata::Hashed(hashes) = metadata else {
                panic!("{key}: {metadata:?}");
            };
            let stated: Vec<_> = hashes.iter().collect();
            assert_eq!(stated, [("md5", DIGITS.to_lowercase())]);
        }
    }

    #[test]
    fn digests_come_from_the_object_else_from_the_fragment() {
        let url = format!("\"url\": \"six-1.zip#md5={DIGITS}\"");
        let file = read(&format!("{{{url}, \"hashes\": {{}}}}")).unwrap();
        let stated: Vec<_> = file.hashes.iter().collect();
        assert_eq!(stated, [("md5", DIGITS.to_lowercase())]);
        assert_eq!(
            file.url.as_deref(),
            Some("https://upstream.example/simple/six/six-1.zip")
        );
        let json = format!(
            "{{{url}, \"hashes\": {{\"sha1\": \"{}\"}}}}",
            "0".repeat(40)
        );
        let file = read(&json).unwrap();
        assert_eq!(
            file.hashes
                .iter()
                .map(|(name, _)| name.to_owned())
                .collect::<Vec<_>>(),
            ["sha1"]
        );
    }

    #[test]
    fn a_time_that_a_gateway_made_up_stays_marked() {
        let json = r#"{"url": "six-1.zip", "upload-time": "2026-05-04T10:11:12Z",
                       "_upload-time-source": "first-seen"}"#;
        let time = read(json).unwrap().upload_time.unwrap();
        assert_eq!(time.source, UploadTimeSource::FirstSeen);
        let time = read_with("upload-time", "\"2026-05-04T10:11:12Z\"")
            .upload_time
            .unwrap();
        assert_eq!(time.source, UploadTimeSource::Index);
    }
}
