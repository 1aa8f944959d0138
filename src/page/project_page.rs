//! One source's statement on a project: its files in the source's order, and what else it said.
//!
//! Both parsers and the stored form fill a [`PageBuilder`], which holds the rules that do not depend
//! on the markup: an entry that cannot be read is counted and left out, and each file name appears once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{
    CoreMetadata, File, Filename, License, ProjectName, ProjectStatus, Version, Yanked,
};

/// Most files, and most versions, that one page may list. The largest known projects have fewer
/// than twenty thousand; an entry of twenty bytes becomes half a kilobyte of values.
const ENTRIES_MAX: usize = 50_000;

/// Two counters in front of each shared text, and the allocator's own share.
const SHARED: usize = 32;

/// A license expression of a few terms, besides its text.
const LICENSE_BYTES: usize = 400;

/// What one index, a stage or an upstream, says about one project.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectPage {
    /// The project.
    pub project: ProjectName,
    /// Its status (PEP 792).
    pub status: ProjectStatus,
    /// Its files in the source's order; each name appears once.
    pub files: Vec<File>,
    /// Versions the source lists without any file (PEP 700 allows them), each once.
    pub versions: Vec<Version>,
    /// The source's serial for the project, where it gives one.
    pub serial: Option<u64>,
    /// How many entries were left out because they could not be read.
    pub dropped: usize,
}

/// Why a body is not a simple page, of a project or the list of projects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPage {
    /// The URL of the page is not an absolute http or https URL.
    #[error("page url {0:?} is not an absolute http or https url")]
    Url(String),
    /// Not JSON, or not the JSON of such a page.
    #[error("simple page is not the expected json: {0}")]
    Json(String),
    /// Some other document in its place: a login page, an error message, nothing.
    #[error("it is no page of an index, {0}")]
    NoIndex(String),
    /// The page of a project other than the one asked for.
    #[error("it is the page of {0:?}")]
    OtherProject(String),
    /// A major version we do not know; PEP 629 says to fail.
    #[error("simple page announces api version {0:?}, only 1.x is understood")]
    ApiVersion(String),
    /// Its entries are not files, or belong to other projects: whatever it is, it does not say that
    /// the project has no files.
    #[error("simple page has entries, and none of them is a file of the project")]
    NoFiles,
    /// More entries than the largest index has.
    #[error("simple page has more than {0} entries")]
    TooMany(usize),
    /// Parsed, it takes more memory than it may; in bytes.
    #[error("simple page becomes more than {0} bytes of values")]
    Room(usize),
    /// A tag that is longer, or has more attributes, than any real page has.
    #[error("simple page has a tag beyond all measure before byte {0}")]
    Tag(usize),
}

impl ProjectPage {
    /// A page without files.
    #[must_use]
    pub fn empty(project: ProjectName) -> Self {
        Self {
            project,
            status: ProjectStatus::default(),
            files: Vec::new(),
            versions: Vec::new(),
            serial: None,
            dropped: 0,
        }
    }

    /// Approximate size in memory, in bytes, for a cache that weighs its entries.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let files = self.files.iter().map(file_weight);
        let versions = self.versions.iter();
        let versions = versions.map(|version| version_weight(version.as_str()));
        size_of::<Self>() + files.sum::<usize>() + versions.sum::<usize>()
    }
}

/// What one file takes, with its texts.
pub(super) fn file_weight(file: &File) -> usize {
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len() + SHARED);
    let name = file.filename.as_str().len() + file.filename.version_text().len();
    let texts = text(&file.url) + text(&file.requires_python) + text(&file.provenance);
    let yanked = match &file.yanked {
        Yanked::Yes(reason) => text(reason),
        Yanked::No => 0,
    };
    let sidecar = match &file.core_metadata {
        CoreMetadata::Hashed(hashes) => hashes.weight_bytes(),
        CoreMetadata::Absent | CoreMetadata::Present | CoreMetadata::Unobtainable => 0,
    };
    let license = match &file.inside.license {
        License::Stated(expression) => LICENSE_BYTES + 2 * expression.as_str().len(),
        License::Unread | License::Unknown => 0,
    };
    let hashes = file.hashes.weight_bytes() + sidecar;
    size_of::<File>() + name + 2 * SHARED + texts + yanked + hashes + license
}

/// The text and its sort key, which is at most about twice as long.
fn version_weight(text: &str) -> usize {
    size_of::<Version>() + 3 * text.len() + 2 * SHARED
}

/// A page in the making.
pub(super) struct PageBuilder {
    page: ProjectPage,
    /// The versions that the source lists. Most of them have files, which shows without parsing them.
    versions: Vec<Arc<str>>,
    requires_python: Option<Arc<str>>,
    /// How many bytes of values it may hold, and how many it holds.
    room: usize,
    weight: usize,
    /// Whether an entry was left out that should have been a file of the project.
    has_lost: bool,
}

impl PageBuilder {
    /// A page of at most this many bytes of values ([`ProjectPage::weight_bytes`]).
    pub(super) fn within(room: usize, project: &ProjectName) -> Self {
        Self {
            page: ProjectPage::empty(project.clone()),
            versions: Vec::new(),
            requires_python: None,
            room,
            weight: 0,
            has_lost: false,
        }
    }

    /// Whose page it is.
    pub(super) fn project(&self) -> &ProjectName {
        &self.page.project
    }

    /// Reads a file name for the page's project; one that does not belong to it is counted as left out.
    pub(super) fn filename(&mut self, raw: &str) -> Option<Filename> {
        let filename = Filename::parse(raw, &self.page.project).ok();
        if filename.is_none() {
            self.drop_entry();
            self.has_lost |= Filename::is_archive(raw);
        }
        filename
    }

    /// Counts an entry that says nothing of a file.
    pub(super) fn lose_entry(&mut self) {
        self.drop_entry();
        self.has_lost = true;
    }

    /// Whether files should be there, and none could be read.
    pub(super) fn has_lost_all(&self) -> bool {
        self.has_lost && self.page.files.is_empty()
    }

    /// Counts an entry that could not be read.
    pub(super) fn drop_entry(&mut self) {
        self.page.dropped += 1;
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`InvalidPage::TooMany`], [`InvalidPage::Room`].
    pub(super) fn file(&mut self, mut file: File) -> Result<(), InvalidPage> {
        if self.page.files.len() >= ENTRIES_MAX {
            return Err(InvalidPage::TooMany(ENTRIES_MAX));
        }
        self.weigh(file_weight(&file))?;
        self.share_requires_python(&mut file);
        self.page.files.push(file);
        Ok(())
    }

    /// `Requires-Python` of a file; neighbouring files mostly say the same.
    pub(super) fn requires_python(&mut self, text: Option<&str>) -> Option<Arc<str>> {
        if text.is_some() && self.requires_python.as_deref() == text {
            return self.requires_python.clone();
        }
        text.and_then(clean)
    }

    /// Adds a version that the source lists, with files or without.
    ///
    /// # Errors
    /// [`InvalidPage::TooMany`], [`InvalidPage::Room`].
    pub(super) fn version(&mut self, text: &str) -> Result<(), InvalidPage> {
        if self.versions.len() >= ENTRIES_MAX {
            return Err(InvalidPage::TooMany(ENTRIES_MAX));
        }
        if let Some(text) = clean(text) {
            self.weigh(version_weight(&text))?;
            self.versions.push(text);
        }
        Ok(())
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), InvalidPage> {
        self.weight += bytes;
        if self.weight > self.room {
            return Err(InvalidPage::Room(self.room));
        }
        Ok(())
    }

    pub(super) fn status(&mut self, status: ProjectStatus) {
        self.page.status = status;
    }

    pub(super) fn serial(&mut self, serial: Option<u64>) {
        self.page.serial = serial;
    }

    /// The page, with each file name once and without the versions that have files.
    pub(super) fn finish(mut self) -> ProjectPage {
        keep_best_of_each_name(&mut self.page.files);
        self.page.versions = versions_without_files(&self.versions, &self.page.files);
        // Spare capacity would not be counted by `weight_bytes`.
        self.page.files.shrink_to_fit();
        self.page.versions.shrink_to_fit();
        self.page
    }

    /// Neighbouring files mostly say the same; they share one text.
    fn share_requires_python(&mut self, file: &mut File) {
        if file.requires_python == self.requires_python {
            file.requires_python.clone_from(&self.requires_python);
        } else {
            self.requires_python.clone_from(&file.requires_python);
        }
    }
}

/// The versions that no file has, each once.
fn versions_without_files(stated: &[Arc<str>], files: &[File]) -> Vec<Version> {
    let names = files.iter().map(|file| &file.filename);
    let texts: HashSet<&str> = names.map(Filename::version_text).collect();
    let others = stated.iter().filter(|text| !texts.contains(&***text));
    let mut others: Vec<Version> = others.map(|text| Version::parse(text)).collect();
    if !others.is_empty() {
        // Ordered, not hashed: 1.0 and 1.0.0 are one version.
        let mut seen: BTreeSet<Version> = texts.into_iter().map(Version::parse).collect();
        others.retain(|version| seen.insert(version.clone()));
    }
    others
}

/// Of several files with the same name, keeps the first with a sha256, else the first with any digest,
/// else the first (devpi's rule, docs/protocol/devpi.md §11), in its place.
fn keep_best_of_each_name(files: &mut Vec<File>) {
    let rank = |file: &File| match (file.hashes.sha256(), file.hashes.is_empty()) {
        (Some(_), _) => 0,
        (None, false) => 1,
        (None, true) => 2,
    };
    let mut best: HashMap<&str, usize> = HashMap::with_capacity(files.len());
    for (at, file) in files.iter().enumerate() {
        let known = best.entry(file.filename.as_str()).or_insert(at);
        if rank(file) < rank(&files[*known]) {
            *known = at;
        }
    }
    if best.len() == files.len() {
        return;
    }
    let mut keep = vec![false; files.len()];
    for at in best.into_values() {
        keep[at] = true;
    }
    let mut keep = keep.into_iter();
    files.retain(|_| keep.next().unwrap_or(true));
}

/// A text from outside, trimmed, with control characters replaced by spaces; `None` if empty.
///
/// Clients print these texts and HTML cannot carry some control characters at all.
pub(super) fn clean(text: &str) -> Option<Arc<str>> {
    let is_plain = |text: &str| !text.contains(char::is_control);
    let text = text.trim();
    match text {
        "" => None,
        plain if is_plain(plain) => Some(plain.into()),
        other => {
            let spaced: String = other
                .chars()
                .map(|character| {
                    if character.is_control() {
                        ' '
                    } else {
                        character
                    }
                })
                .collect();
            let spaced = spaced.trim();
            (!spaced.is_empty()).then(|| spaced.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    fn builder() -> PageBuilder {
        PageBuilder::within(usize::MAX, &ProjectName::parse("six").unwrap())
    }

    fn add(builder: &mut PageBuilder, name: &str, hash: Option<(&str, &str)>) {
        let mut file = File::named(builder.filename(name).unwrap());
        if let Some((algorithm, hex)) = hash {
            file.hashes.insert(algorithm, hex).unwrap();
        }
        builder.file(file).unwrap();
    }

    #[test]
    fn of_one_name_the_best_digest_stays_in_its_place() {
        let sha256 = Sha256::of(b"six").to_hex();
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        let mut page = builder();
        add(&mut page, "six-1.0.zip", None);
        add(&mut page, "six-2.0.zip", Some(("md5", md5)));
        add(&mut page, "six-1.0.zip", Some(("sha256", &sha256)));
        add(&mut page, "six-2.0.zip", None);
        add(
            &mut page,
            "six-1.0.zip",
            Some(("sha256", &Sha256::of(b"other").to_hex())),
        );
        let page = page.finish();
        let names: Vec<_> = page
            .files
            .iter()
            .map(|file| file.filename.as_str())
            .collect();
        assert_eq!(names, ["six-2.0.zip", "six-1.0.zip"]);
        assert_eq!(page.files[1].hashes.sha256(), Some(Sha256::of(b"six")));
    }

    #[test]
    fn versions_that_have_files_are_not_listed_twice() {
        let mut page = builder();
        add(&mut page, "six-1.0.zip", None);
        for text in ["1.0.0", "1.0", "2004d", "3.0", " ", "3.0.0", "2004d"] {
            page.version(text).unwrap();
        }
        let page = page.finish();
        let versions: Vec<_> = page.versions.iter().map(Version::as_str).collect();
        assert_eq!(versions, ["2004d", "3.0"]);
    }

    #[test]
    fn a_name_of_another_project_is_counted() {
        let mut page = builder();
        assert_eq!(page.filename("seven-1.0.zip"), None);
        assert_eq!(page.finish().dropped, 1);
    }

    #[test]
    fn equal_texts_are_held_once() {
        let mut page = builder();
        for name in ["six-1.zip", "six-2.zip"] {
            let mut file = File::named(page.filename(name).unwrap());
            file.requires_python = Some(">=3".into());
            page.file(file).unwrap();
        }
        let page = page.finish();
        let texts: Vec<_> = page
            .files
            .iter()
            .filter_map(|f| f.requires_python.as_ref())
            .collect();
        assert!(Arc::ptr_eq(texts[0], texts[1]));
    }

    #[test]
    fn more_entries_than_any_project_has_are_refused() {
        let mut page = builder();
        page.versions = vec!["1".into(); ENTRIES_MAX];
        assert_eq!(page.version("2"), Err(InvalidPage::TooMany(ENTRIES_MAX)));
        let file = File::named(page.filename("six-1.zip").unwrap());
        page.page.files = vec![file.clone(); ENTRIES_MAX];
        assert_eq!(page.file(file), Err(InvalidPage::TooMany(ENTRIES_MAX)));
    }

    #[test]
    fn texts_lose_what_nobody_can_print() {
        assert_eq!(clean(" a\r\nb\0 ").as_deref(), Some("a  b"));
        assert_eq!(clean("\u{85}\0"), None);
    }
}
