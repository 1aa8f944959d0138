//! The URLs on a source's page: resolved against the page, and what is written in them.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::model::Hashes;
use crate::page::digests::fragment_digests;
use crate::page::project_page::InvalidPage;

/// Longest URL kept. Some hosts sign their URLs with a kilobyte of query; more is an attack on memory,
/// and our own link to such a file (`+e`, made of the URL) would exceed what clients send.
const URL_BYTES_MAX: usize = 4096;

/// What relative URLs of a page are relative to.
pub(super) struct Base(Url);

/// A resolved URL.
pub(super) struct SourceUrl {
    url: Url,
}

impl Base {
    /// Reads the final URL of a page, after redirects.
    ///
    /// # Errors
    /// [`InvalidPage::Url`].
    pub(super) fn parse(text: &str) -> Result<Self, InvalidPage> {
        let url = Url::parse(text).ok().filter(is_web);
        url.map(Self)
            .ok_or_else(|| InvalidPage::Url(text.chars().take(200).collect()))
    }

    /// Follows a `<base href>`; one that leads nowhere changes nothing.
    pub(super) fn rebase(&mut self, href: &str) {
        if let Some(url) = self.0.join(href).ok().filter(is_web) {
            self.0 = url;
        }
    }

    /// Resolves a URL of the page; `None` unless it is an http or https URL of acceptable length.
    pub(super) fn resolve(&self, reference: &str) -> Option<SourceUrl> {
        if reference.len() > URL_BYTES_MAX {
            return None;
        }
        let url = self.0.join(reference).ok()?;
        (is_web(&url) && url.as_str().len() <= URL_BYTES_MAX).then_some(SourceUrl { url })
    }
}

impl SourceUrl {
    /// The last segment of the path, percent-decoded once; `None` if it is empty or not UTF-8.
    pub(super) fn filename(&self) -> Option<String> {
        let segment = self.url.path_segments()?.next_back()?;
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        (!decoded.is_empty()).then(|| decoded.into_owned())
    }

    /// The digests in the fragment.
    pub(super) fn hashes(&self) -> Hashes {
        fragment_digests(self.url.fragment().unwrap_or(""))
    }

    /// The URL without its fragment.
    pub(super) fn into_text(mut self) -> Arc<str> {
        self.url.set_fragment(None);
        self.url.as_str().into()
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://upstream.example/simple/six/";

    #[test]
    fn urls_are_resolved_against_the_page() {
        let base = Base::parse(PAGE).unwrap();
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
        let base = Base::parse(PAGE).unwrap();
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

    #[test]
    fn a_base_element_moves_relative_urls() {
        let mut base = Base::parse(PAGE).unwrap();
        base.rebase("https://files.example/x/");
        base.rebase("javascript:0");
        let url = base.resolve("a.zip").unwrap().into_text();
        assert_eq!(&*url, "https://files.example/x/a.zip");
    }
}
