//! What a file told of itself when it passed through: the facts its upstream does not state.
//!
//! Kept per mirror and project, laid over every page read later. An upstream's own word goes first, and
//! a file that is listed with other facts, or elsewhere, is not the one that passed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::model::{CoreMetadata, File, Hashes, Inside, Sha256};
use crate::page::carry::{is_same_digest, without_query};
use crate::page::inside_word::{inside_of_word, inside_word};
use crate::page::project_page::ProjectPage;

/// The first line of the stored form.
const HEADER: &str = "cheesecloth-learned 4";

/// The first lines of earlier forms. The third does not say what stands inside a file, those before it not
/// which digests were stated for it. In the first form either everything about it was known or nothing.
const OLD_HEADERS: [&str; 3] = [
    "cheesecloth-learned 3",
    "cheesecloth-learned 2",
    "cheesecloth-learned 1",
];

/// What is known about a file since it, or its sidecar, was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Where it was fetched, without query.
    pub url: Arc<str>,
    /// The digests other than sha256 that were stated for it then.
    pub stated: Hashes,
    /// Its digest and its length in bytes, once it has passed through.
    pub content: Option<(Sha256, u64)>,
    /// What is known of its sidecar.
    pub metadata: LearnedMetadata,
    /// What was found inside the file of this digest.
    pub inside: Option<(Sha256, Inside)>,
}

/// What is known about a sidecar.
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

const SHA256: &str = "sha256";

/// Stands for the digest of a sidecar that is unavailable.
const UNOBTAINABLE: &str = "none";

/// What is known about a project's files, by file name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LearnedFiles(BTreeMap<Arc<str>, Learned>);

/// A stored form that is damaged or of another version; to be treated as absent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of the learned facts is damaged or of another version")]
pub struct InvalidLearned(pub usize);

impl Learned {
    /// Nothing known about a file yet.
    #[must_use]
    pub fn of(file: &File) -> Self {
        let mut stated = Hashes::default();
        for (algorithm, hex) in file.hashes.iter().filter(|(name, _)| *name != SHA256) {
            // It is valid: it was in a `Hashes` before.
            let _ = stated.insert(algorithm, &hex);
        }
        Self {
            url: without_query(file.url.as_deref()).unwrap_or("").into(),
            stated,
            content: None,
            metadata: LearnedMetadata::Unknown,
            inside: None,
        }
    }

    /// The same of a file that has passed through, with this digest and length.
    #[must_use]
    pub fn content(mut self, sha256: Sha256, size: u64) -> Self {
        self.content = Some((sha256, size));
        self
    }

    /// The same, with this knowledge about its sidecar.
    #[must_use]
    pub fn metadata(mut self, metadata: LearnedMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same, with what was found inside the file of this digest, besides what was found before.
    #[must_use]
    pub fn inside(mut self, sha256: Sha256, found: Inside) -> Self {
        let before = self.inside.take().filter(|(known, _)| *known == sha256);
        let known = before.map(|(_, known)| known).unwrap_or_default();
        self.inside = Some((sha256, found.or(&known)));
        self
    }

    /// The same, with what another knows of the inside: bytes are what they are, wherever they are listed.
    #[must_use]
    pub fn with_inside_of(mut self, other: Option<&Self>) -> Self {
        if self.inside.is_none() {
            self.inside = other.and_then(|other| other.inside.clone());
        }
        self
    }

    /// Whether it is about this exact file, judging by what is stated about both.
    #[must_use]
    pub fn is_about(&self, file: &File) -> bool {
        let is_same = |(sha256, size): (Sha256, u64)| {
            let stated = file.hashes.sha256();
            stated.is_none_or(|stated| stated == sha256)
                && file.size.is_none_or(|stated| stated == size)
        };
        without_query(file.url.as_deref()) == Some(&*self.url)
            && self.content.is_none_or(is_same)
            && is_same_digest(&file.hashes, &self.stated) != Some(false)
    }

    fn complete(&self, file: &mut File) {
        if let Some((sha256, size)) = self.content {
            file.size = Some(size);
            if file.hashes.sha256().is_none() {
                // A digest's own hexadecimal form is valid.
                let _ = file.hashes.insert(SHA256, &sha256.to_hex());
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
    /// Notes what a file told; earlier knowledge under this name is forgotten.
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
            if let Some((sha256, inside)) = learned.and_then(|learned| learned.inside.as_ref())
                && file.hashes.sha256() == Some(*sha256)
            {
                file.inside = inside.clone();
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
            let stated = stated_words(&learned.stated);
            let inside = inside_word(learned.inside.as_ref());
            let _ = writeln!(
                text,
                "{content} {metadata} {stated} {inside} {url} {filename}"
            );
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
        let header = header.ok_or(InvalidLearned(1))?;
        if header != HEADER && !OLD_HEADERS.contains(&header) {
            return Err(InvalidLearned(1));
        }
        let before = OLD_HEADERS.iter().position(|old| *old == header);
        // The first two forms have the same parts.
        let form = before.map_or(4, |before| 3 - before.min(1));
        lines
            .map(|(line, number)| parse_line(line, form).ok_or(InvalidLearned(number)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Digests as one word: `md5=…,sha1=…`, or a dash.
fn stated_words(stated: &Hashes) -> String {
    let words: Vec<String> = stated
        .iter()
        .map(|(algorithm, hex)| format!("{algorithm}={hex}"))
        .collect();
    if words.is_empty() {
        return "-".to_owned();
    }
    words.join(",")
}

fn parse_stated(word: &str) -> Option<Hashes> {
    let mut stated = Hashes::default();
    for digest in word.split(',').filter(|_| word != "-") {
        let (algorithm, hex) = digest.split_once('=')?;
        stated.insert(algorithm, hex).ok()?;
    }
    Some(stated)
}

/// Reads a line of this form.
fn parse_line(line: &str, form: usize) -> Option<(Arc<str>, Learned)> {
    let count = form + 3;
    let mut parts = line.strip_suffix('\n')?.splitn(count, ' ');
    let content = match (parts.next()?, parts.next()?) {
        ("-", "-") => None,
        (sha256, size) => Some((Sha256::parse(sha256).ok()?, size.parse().ok()?)),
    };
    let metadata = match parts.next()? {
        "-" => LearnedMetadata::Unknown,
        UNOBTAINABLE => LearnedMetadata::Unobtainable,
        hex => LearnedMetadata::Digest(Sha256::parse(hex).ok()?),
    };
    let stated = match form {
        3.. => parse_stated(parts.next()?)?,
        _ => Hashes::default(),
    };
    let inside = match form {
        4.. => inside_of_word(parts.next()?)?,
        _ => None,
    };
    let url = parts.next()?.into();
    let filename = parts.next()?.into();
    let learned = Learned {
        url,
        stated,
        content,
        metadata,
        inside,
    };
    Some((filename, learned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{License, LicenseExpression, StartupFiles};
    use crate::page::samples;

    const URL: &str = "https://files.example/f/six-1-py3-none-any.whl";

    /// A file at this URL about which nothing is stated.
    fn at(url: &str) -> File {
        let mut file = bare_page().files.remove(0);
        file.url = Some(url.into());
        file
    }

    fn learned() -> LearnedFiles {
        let mut learned = LearnedFiles::default();
        let digest = LearnedMetadata::Digest(Sha256::of(b"metadata"));
        let facts = Learned::of(&at(URL)).content(Sha256::of(b"six"), 3);
        learned.insert("six-1-py3-none-any.whl", facts.metadata(digest));
        let facts = Learned::of(&at("https://files.example/x?sig")).content(Sha256::of(b""), 0);
        learned.insert("six-1 a.zip", facts);
        learned
    }

    fn without_sidecar() -> LearnedFiles {
        let mut learned = LearnedFiles::default();
        let facts = Learned::of(&at(URL)).metadata(LearnedMetadata::Unobtainable);
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
    fn a_file_that_another_digest_is_stated_of_now_is_another_file() {
        let stating = |hex: &str| {
            let mut page = bare_page();
            page.files[0].hashes.insert("sha1", hex).unwrap();
            page
        };
        let mut learned = LearnedFiles::default();
        let facts = Learned::of(&stating(&"a".repeat(40)).files[0]).content(Sha256::of(b"six"), 3);
        learned.insert("six-1-py3-none-any.whl", facts);
        let learned = LearnedFiles::from_stored(&learned.to_stored()).unwrap();
        let mut same = stating(&"a".repeat(40));
        same.files[0].size = None;
        learned.apply(&mut same);
        assert_eq!(same.files[0].hashes.sha256(), Some(Sha256::of(b"six")));
        let mut other = stating(&"b".repeat(40));
        other.files[0].size = None;
        learned.apply(&mut other);
        assert_eq!(other.files[0].hashes.sha256(), None);
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
        let third = stored.replace(" - https", " https");
        let older = third.replace(" - https", " https");
        for (header, stored) in OLD_HEADERS.iter().zip([&third, &older, &older]) {
            let before = stored.replacen(HEADER, header, 1);
            assert_eq!(LearnedFiles::from_stored(before.as_bytes()), Ok(learned()));
        }
    }

    /// A file of this content, in which a licence was found.
    fn licensed(content: &[u8], license: License) -> LearnedFiles {
        let mut learned = LearnedFiles::default();
        let found = Inside {
            license,
            startup_files: StartupFiles::Absent,
        };
        let facts = Learned::of(&at(URL)).inside(Sha256::of(content), found);
        learned.insert("six-1-py3-none-any.whl", facts);
        learned
    }

    fn mit() -> License {
        License::Stated(Arc::new(LicenseExpression::parse("MIT OR 0BSD").unwrap()))
    }

    #[test]
    fn what_is_inside_belongs_to_the_bytes_wherever_they_are_listed() {
        let learned = licensed(b"six", mit());
        let mut page = bare_page();
        page.files[0].url = Some("https://other.example/six-1-py3-none-any.whl".into());
        for (content, expected) in [
            (Some(&b"six"[..]), mit()),
            (Some(b"seven"), License::Unread),
            (None, License::Unread),
        ] {
            let mut page = page.clone();
            let digest = content.map(|content| Hashes::sha256_only(Sha256::of(content)));
            page.files[0].hashes = digest.unwrap_or_default();
            learned.apply(&mut page);
            assert_eq!(page.files[0].inside.license, expected, "{content:?}");
        }
    }

    #[test]
    fn facts_survive_their_stored_form() {
        for facts in [
            learned(),
            without_sidecar(),
            licensed(b"six", mit()),
            licensed(b"six", License::Unknown),
            LearnedFiles::default(),
        ] {
            assert_eq!(LearnedFiles::from_stored(&facts.to_stored()), Ok(facts));
        }
    }

    #[test]
    fn a_damaged_form_is_refused_with_its_line() {
        let stored = String::from_utf8(learned().to_stored()).unwrap();
        let table = [
            (String::new(), 1),
            (stored.replace("learned 4", "learned 5"), 1),
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
