//! What a file told of itself when it passed through: the facts its upstream does not state.
//!
//! Kept per mirror and project, laid over every page read later. An upstream's own word goes first, and
//! a file that is listed with other facts, or elsewhere, is not the one that passed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::carry::without_query;
use super::project_page::ProjectPage;
use crate::model::CoreMetadata;
use crate::model::File;
use crate::model::Hashes;
use crate::model::Sha256;

/// The first line of the stored form.
const HEADER: &str = "cheesecloth-learned 2";

/// The first line of the form before, in which everything was known of a file or nothing.
const OLD_HEADER: &str = "cheesecloth-learned 1";

/// What is known of a file since it, or its sidecar, was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Where it was fetched, without query.
    pub url: Arc<str>,
    /// Its digest and its length in bytes, once it has passed through.
    pub content: Option<(Sha256, u64)>,
    /// What is known of its sidecar.
    pub metadata: LearnedMetadata,
}

/// What is known of a sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LearnedMetadata {
    /// Nothing.
    #[default]
    Unknown,
    /// Its digest.
    Digest(Sha256),
    /// There is none that could be served.
    Unobtainable,
}

/// Stands for a sidecar's digest where there is no sidecar to be had.
const UNOBTAINABLE: &str = "none";

/// What is known of a project's files, by file name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LearnedFiles(BTreeMap<Arc<str>, Learned>);

/// A stored form that is damaged or of another version; to be treated as absent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of the learned facts is damaged or of another version")]
pub struct InvalidLearned(pub usize);

impl Learned {
    /// Nothing yet of a file at this URL.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self {
            url: without_query(Some(url)).unwrap_or("").into(),
            content: None,
            metadata: LearnedMetadata::Unknown,
        }
    }

    /// The same of a file that has passed through, with this digest and length.
    #[must_use]
    pub fn content(mut self, sha256: Sha256, size: u64) -> Self {
        self.content = Some((sha256, size));
        self
    }

    /// The same, with this known of its sidecar.
    #[must_use]
    pub fn metadata(mut self, metadata: LearnedMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    fn is_about(&self, file: &File) -> bool {
        let is_same = |(sha256, size): (Sha256, u64)| {
            let stated = file.hashes.sha256();
            stated.is_none_or(|stated| stated == sha256)
                && file.size.is_none_or(|stated| stated == size)
        };
        without_query(file.url.as_deref()) == Some(&*self.url) && self.content.is_none_or(is_same)
    }

    fn complete(&self, file: &mut File) {
        if let Some((sha256, size)) = self.content {
            file.size = Some(size);
            if file.hashes.sha256().is_none() {
                // A digest's own hexadecimal form is valid.
                let _ = file.hashes.insert("sha256", &sha256.to_hex());
            }
        }
        match (&file.core_metadata, self.metadata) {
            (_, LearnedMetadata::Unobtainable) => file.core_metadata = CoreMetadata::Unobtainable,
            (CoreMetadata::Absent | CoreMetadata::Present, LearnedMetadata::Digest(digest)) => {
                file.core_metadata = CoreMetadata::Hashed(Hashes::sha256_only(digest));
            }
            (CoreMetadata::Hashed(_) | CoreMetadata::Unobtainable, LearnedMetadata::Digest(_))
            | (_, LearnedMetadata::Unknown) => {}
        }
    }
}

impl LearnedFiles {
    /// Notes what a file told; what was known of the name before is forgotten.
    pub fn insert(&mut self, filename: &str, learned: Learned) {
        self.0.insert(filename.into(), learned);
    }

    /// What is known under a file name.
    #[must_use]
    pub fn get(&self, filename: &str) -> Option<&Learned> {
        self.0.get(filename)
    }

    /// Completes each file of a page that one of the facts is about.
    pub fn apply(&self, page: &mut ProjectPage) {
        for file in &mut page.files {
            let learned = self.get(file.filename.as_str());
            if let Some(learned) = learned.filter(|learned| learned.is_about(file)) {
                learned.complete(file);
            }
        }
    }

    /// The stored form: a header, then a line per file.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}\n");
        for (filename, learned) in &self.0 {
            let url = &learned.url;
            let content = match learned.content {
                Some((sha256, size)) => format!("{sha256} {size}"),
                None => "- -".to_owned(),
            };
            let metadata = match learned.metadata {
                LearnedMetadata::Unknown => "-".to_owned(),
                LearnedMetadata::Digest(digest) => digest.to_hex(),
                LearnedMetadata::Unobtainable => UNOBTAINABLE.to_owned(),
            };
            // Resolved URLs hold no space and file names no line feed; writing to a String succeeds.
            let _ = writeln!(text, "{content} {metadata} {url} {filename}");
        }
        text.into_bytes()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is damaged or of another version.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, InvalidLearned> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidLearned(1))?;
        let mut lines = text.split_inclusive('\n').zip(1..);
        let header = lines.next().and_then(|(line, _)| line.strip_suffix('\n'));
        if header.is_none_or(|header| ![HEADER, OLD_HEADER].contains(&header)) {
            return Err(InvalidLearned(1));
        }
        lines
            .map(|(line, number)| parse_line(line).ok_or(InvalidLearned(number)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn parse_line(line: &str) -> Option<(Arc<str>, Learned)> {
    let mut parts = line.strip_suffix('\n')?.splitn(5, ' ');
    let content = match (parts.next()?, parts.next()?) {
        ("-", "-") => None,
        (sha256, size) => Some((Sha256::parse(sha256).ok()?, size.parse().ok()?)),
    };
    let metadata = match parts.next()? {
        "-" => LearnedMetadata::Unknown,
        UNOBTAINABLE => LearnedMetadata::Unobtainable,
        hex => LearnedMetadata::Digest(Sha256::parse(hex).ok()?),
    };
    let url = parts.next()?.into();
    let filename = parts.next()?.into();
    let learned = Learned {
        url,
        content,
        metadata,
    };
    Some((filename, learned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples;

    const URL: &str = "https://files.example/f/six-1-py3-none-any.whl";

    fn learned() -> LearnedFiles {
        let mut learned = LearnedFiles::default();
        let digest = LearnedMetadata::Digest(Sha256::of(b"metadata"));
        let facts = Learned::at(URL).content(Sha256::of(b"six"), 3);
        learned.insert("six-1-py3-none-any.whl", facts.metadata(digest));
        let facts = Learned::at("https://files.example/x?sig").content(Sha256::of(b""), 0);
        learned.insert("six-1 a.zip", facts);
        learned
    }

    fn without_sidecar() -> LearnedFiles {
        let mut learned = LearnedFiles::default();
        let facts = Learned::at(URL).metadata(LearnedMetadata::Unobtainable);
        learned.insert("six-1-py3-none-any.whl", facts);
        learned
    }

    fn bare_page() -> ProjectPage {
        let mut page = samples::page("six", &["six-1-py3-none-any.whl"]);
        page.files[0].hashes = Hashes::default();
        page
    }

    #[test]
    fn a_page_is_completed() {
        let mut page = bare_page();
        page.files[0].url = Some(format!("{URL}?sig=1").into());
        learned().apply(&mut page);
        let file = &page.files[0];
        assert_eq!(
            (file.hashes.sha256(), file.size),
            (Some(Sha256::of(b"six")), Some(3))
        );
        let metadata = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(b"metadata")));
        assert_eq!(file.core_metadata, metadata);
    }

    #[test]
    fn a_file_that_is_listed_otherwise_is_not_the_one_that_passed() {
        let mut other_url = bare_page();
        other_url.files[0].url = Some("https://files.example/g/six-1-py3-none-any.whl".into());
        let mut other_size = bare_page();
        other_size.files[0].size = Some(4);
        let mut other_digest = bare_page();
        other_digest.files[0].hashes = Hashes::sha256_only(Sha256::of(b"seven"));
        for page in [other_url, other_size, other_digest] {
            let mut applied = page.clone();
            learned().apply(&mut applied);
            assert_eq!(applied, page);
        }
    }

    #[test]
    fn a_stated_sidecar_digest_goes_first() {
        let mut page = bare_page();
        let stated = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(b"stated")));
        page.files[0].core_metadata = stated.clone();
        learned().apply(&mut page);
        assert_eq!(page.files[0].core_metadata, stated);
    }

    #[test]
    fn a_sidecar_that_cannot_be_had_is_not_announced_whoever_states_it() {
        let mut page = bare_page();
        page.files[0].core_metadata =
            CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(b"stated")));
        without_sidecar().apply(&mut page);
        let file = &page.files[0];
        assert_eq!(file.core_metadata, CoreMetadata::Unobtainable);
        assert_eq!((file.hashes.sha256(), file.size), (None, None));
    }

    #[test]
    fn facts_of_the_form_before_are_still_known() {
        let stored = String::from_utf8(learned().to_stored()).unwrap();
        let before = stored.replacen(HEADER, OLD_HEADER, 1);
        assert_eq!(LearnedFiles::from_stored(before.as_bytes()), Ok(learned()));
    }

    #[test]
    fn facts_survive_their_stored_form() {
        for facts in [learned(), without_sidecar(), LearnedFiles::default()] {
            assert_eq!(LearnedFiles::from_stored(&facts.to_stored()), Ok(facts));
        }
    }

    #[test]
    fn a_damaged_form_is_refused_with_its_line() {
        let stored = String::from_utf8(learned().to_stored()).unwrap();
        let table = [
            (String::new(), 1),
            (stored.replace("learned 2", "learned 3"), 1),
            (stored.replace(" 3 ", " - "), 3),
            (stored.trim_end().to_owned(), 3),
            (stored.replace(" 3 ", " three "), 3),
            (format!("{stored}\n"), 4),
        ];
        for (text, line) in table {
            assert_eq!(
                LearnedFiles::from_stored(text.as_bytes()),
                Err(InvalidLearned(line)),
                "{text}"
            );
        }
        assert_eq!(LearnedFiles::from_stored(b"\xff"), Err(InvalidLearned(1)));
    }
}
