//! The URLs on a source's page: resolved against the page, and what is written in them.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::model::Hashes;
use crate::page::digests::fragment_digests;
use crate::page::project_page::InvalidPage;

/// Longest URL kept. Some hosts sign their URLs with a kilobyte of query; more is an attack on memory,
/// and our own link to such a file (`+e`, made of the URL) would exceed what clients send.
const URL_BYTES_MAX: usize = 4096;

/// What relative URLs of a page are relative to.
pub(super) struct Base {
    url: Url,
    /// Scheme and host of the last absolute URL, with a slash: the same for nearly every file of a long
    /// page. Written exactly so, they need not be parsed again. Empty at first.
    origin: String,
}

/// A resolved URL.
#[derive(Debug)]
pub(super) enum SourceUrl<'a> {
    /// As it stands on the page: parsing would change nothing.
    Plain { url: &'a str, fragment: &'a str },
    /// Any other.
    Parsed(Url),
}

impl Base {
    /// Reads the final URL of a page, after redirects.
    ///
    /// # Errors
    /// [`InvalidPage::Url`].
    pub(super) fn parse(text: &str) -> Result<Self, InvalidPage> {
        let url = Url::parse(text).ok().filter(is_web);
        let origin = String::new();
        url.map(|url| Self { url, origin })
            .ok_or_else(|| InvalidPage::Url(text.chars().take(200).collect()))
    }

    /// Follows a `<base href>`; one that leads nowhere changes nothing.
    pub(super) fn rebase(&mut self, href: &str) {
        if let Some(url) = self.url.join(href).ok().filter(is_web) {
            self.url = url;
        }
    }

    /// Resolves a URL of the page; `None` unless it is an http or https URL of acceptable length.
    pub(super) fn resolve<'a>(&mut self, reference: &'a str) -> Option<SourceUrl<'a>> {
        if reference.len() > URL_BYTES_MAX {
            return None;
        }
        if let Some(path) = reference.strip_prefix(&*self.origin)
            && !self.origin.is_empty()
            && is_plain(path)
        {
            let (url, fragment) = reference.split_once('#').unwrap_or((reference, ""));
            return Some(SourceUrl::Plain { url, fragment });
        }
        let url = self.url.join(reference).ok()?;
        if !is_web(&url) || url.as_str().len() > URL_BYTES_MAX {
            return None;
        }
        self.remember(reference, &url);
        Some(SourceUrl::Parsed(url))
    }

    /// Remembers the origin of a URL, if it stands on the page as it is parsed.
    fn remember(&mut self, reference: &str, url: &Url) {
        let origin = &url[..Position::BeforePath];
        if reference
            .strip_prefix(origin)
            .is_some_and(|path| path.starts_with('/'))
        {
            self.origin.clear();
            self.origin.extend([origin, "/"]);
        }
    }
}

impl SourceUrl<'_> {
    /// The last segment of the path, percent-decoded once; `None` if it is empty or not UTF-8.
    pub(super) fn filename(&self) -> Option<Cow<'_, str>> {
        let segment = match self {
            Self::Plain { url, .. } => url.rsplit('/').next()?,
            Self::Parsed(url) => url.path_segments()?.next_back()?,
        };
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        (!decoded.is_empty()).then_some(decoded)
    }

    /// The digests in the fragment.
    pub(super) fn hashes(&self) -> Hashes {
        fragment_digests(match self {
            Self::Plain { fragment, .. } => fragment,
            Self::Parsed(url) => url.fragment().unwrap_or(""),
        })
    }

    /// The URL without its fragment.
    pub(super) fn into_text(self) -> Arc<str> {
        match self {
            Self::Plain { url, .. } => url.into(),
            Self::Parsed(mut url) => {
                url.set_fragment(None);
                url.as_str().into()
            }
        }
    }
}

/// Whether a path with its fragment is written as every parser would write it: of letters, digits and
/// marks that mean themselves, and without segments that begin with a dot, some of which mean another
/// path.
fn is_plain(path: &str) -> bool {
    let path = path.as_bytes();
    let mut before = b'/';
    let mut is_fragment = false;
    for &byte in path {
        let is_plain = match byte {
            b'-' | b'_' | b'~' | b'/' => true,
            b'.' => is_fragment || before != b'/',
            b'=' | b'&' => is_fragment,
            b'#' => !std::mem::replace(&mut is_fragment, true),
            _ => byte.is_ascii_alphanumeric(),
        };
        if !is_plain {
            return false;
        }
        before = byte;
    }
    true
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = "https://upstream.example/simple/six/";

    #[test]
    fn urls_are_resolved_against_the_page() {
        let mut base = Base::parse(PAGE).unwrap();
        let table = [
            (
                "../../f/six-1.zip",
                "https://upstream.example/f/six-1.zip",
                "six-1.zip",
            ),
            (
                "six-1.zip?sig=a#md5=0",
                "https://upstream.example/simple/six/six-1.zip?sig=a",
                "six-1.zip",
            ),
            (
                "//files.example/a%2Bb.zip",
                "https://files.example/a%2Bb.zip",
                "a+b.zip",
            ),
            (
                "http://files.example/a%252B.zip",
                "http://files.example/a%252B.zip",
                "a%2B.zip",
            ),
            (
                " /six 1.zip\n",
                "https://upstream.example/six%201.zip",
                "six 1.zip",
            ),
        ];
        for (reference, url, filename) in table {
            let resolved = base.resolve(reference).unwrap();
            assert_eq!(
                resolved.filename().as_deref(),
                Some(filename),
                "{reference}"
            );
            assert_eq!(&*resolved.into_text(), url, "{reference}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_nothing() {
        let mut base = Base::parse(PAGE).unwrap();
        let long = "a".repeat(URL_BYTES_MAX + 1);
        let grows = "ü".repeat(URL_BYTES_MAX / 4);
        for reference in [
            "file:///etc/passwd",
            "data:,x",
            "mailto:a@b",
            "http://",
            &long,
            &grows,
        ] {
            assert!(base.resolve(reference).is_none(), "{reference}");
        }
        assert_eq!(base.resolve("/").unwrap().filename(), None);
        assert_eq!(base.resolve("%ff.zip").unwrap().filename(), None);
        for page in ["", "/simple/", "ftp://upstream.example/"] {
            assert!(
                matches!(Base::parse(page), Err(InvalidPage::Url(_))),
                "{page}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_url_means_the_same_whatever_was_resolved_before(
            first in prop::sample::select(&ORIGINS[..]),
            second in prop::sample::select(&ORIGINS[..]),
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..8),
        ) {
            let text = format!("{second}{}", parts.concat());
            let mut base = Base::parse(PAGE).unwrap();
            let told = |url: Option<SourceUrl<'_>>| url.map(|url| {
                let filename = url.filename().map(Cow::into_owned);
                (filename, url.hashes(), url.into_text())
            });
            let alone = told(base.resolve(&text));
            for _ in 0..2 {
                base.resolve(&format!("{first}a/b"));
                prop_assert_eq!(&told(base.resolve(&text)), &alone, "after {}", first);
            }
        }
    }

    const ORIGINS: [&str; 10] = [
        "https://files.example/",
        "https://files.example",
        "HTTPS://files.example/",
        "https://Files.example/",
        "https://files.example:443/",
        "https://files.example:8443/",
        "https://user:word@files.example/",
        "http://files.example/",
        "//files.example/",
        "",
    ];

    const PARTS: [&str; 22] = [
        "a",
        "Z9",
        "six-1.0.zip",
        "/",
        "/",
        ".",
        "..",
        "%2e",
        "%2B",
        "+",
        "~_-",
        " ",
        "\n",
        "\\",
        "?",
        "#",
        "#sha256=",
        "&md5=d41d8cd98f00b204e9800998ecf8427e",
        ":",
        "@",
        "\"",
        "ü",
    ];

    #[test]
    fn a_base_element_moves_relative_urls() {
        let mut base = Base::parse(PAGE).unwrap();
        base.rebase("https://files.example/x/");
        base.rebase("javascript:0");
        let url = base.resolve("a.zip").unwrap().into_text();
        assert_eq!(&*url, "https://files.example/x/a.zip");
    }
}
