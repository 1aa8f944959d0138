//! What the upstream holds: pages of real sizes, files with true digests, all from seeds.
//!
//! Pages of `page-…` and `cold-…` are made when asked for, as many as a scenario likes. Their files
//! are only listed. The files that are fetched belong to `wares`, `cold-file`, `closure-…` and `many-…`,
//! of which the last are made when asked for, too.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::wheel;

/// Files on a page of about 15 KB, an ordinary project's.
const SMALL_PAGE_FILES: usize = 32;

/// Files on a page of about 2 MB, one of the largest in use.
const LARGE_PAGE_FILES: usize = 4400;

/// Names on the project list: the index has about as many.
const PROJECTS: usize = 700_000;

/// Names on the list that is asked for as a whole: what the index had when it was looked at.
const WHOLE_LIST_PROJECTS: usize = 932_088;

/// Where that list is; it stays below another name so that the row of the memory keeps its meaning.
pub(crate) const WHOLE_LIST: &str = "/whole/";

/// Files of each `many-…` project, and the size of one.
pub(crate) const MANY_FILES: usize = 100;
const MANY_FILE_SIZE: usize = 10_000;

/// Packages of the closure.
pub(crate) const CLOSURE: usize = 100;

/// The payload of each; about the median wheel.
const CLOSURE_PAYLOAD: usize = 50_000;

/// The project with the hot files.
pub(crate) const WARES: &str = "wares";

/// The project with the files of [`LARGE_FILE`] bytes that are fetched once each.
pub(crate) const COLD_FILE: &str = "cold-file";

/// The project whose page is another one each time it is asked for.
pub(crate) const TURNING: &str = "turning";

/// The largest file of the scenarios.
pub(crate) const LARGE_FILE: usize = 100_000_000;

/// Everything that the origin answers.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pages: HashMap<String, Bytes>,
    files: HashMap<String, Vec<Bytes>>,
    whole_list: OnceLock<Bytes>,
    turns: AtomicUsize,
}

/// One line of a page.
struct Listed {
    filename: String,
    size: usize,
    sha256: String,
    metadata: Option<String>,
}

impl Content {
    /// The small page, and what is made when asked for.
    pub(crate) fn small() -> Self {
        let mut content = Self::default();
        content
            .pages
            .insert("small".to_owned(), phantom_page("small", SMALL_PAGE_FILES));
        content
    }

    /// Makes everything; `cold_files` of them have [`LARGE_FILE`] bytes each, and `large_pages` 2 MB.
    pub(crate) fn make(cold_files: usize, large_pages: usize) -> anyhow::Result<Self> {
        let mut content = Self::small();
        content
            .pages
            .insert("large".to_owned(), phantom_page("large", LARGE_PAGE_FILES));
        for number in 0..large_pages {
            let name = large_page_name(number);
            let page = phantom_page(&name, LARGE_PAGE_FILES);
            content.pages.insert(name, page);
        }
        let mut wares = Vec::new();
        for (version, payload) in [("1.0", 14_000), ("2.0", 1_000_000), ("3.0", LARGE_FILE)] {
            wares.push(content.add_wheel(wheel::build(WARES, version, payload, &[])?));
        }
        content.pages.insert(WARES.to_owned(), page(WARES, &wares));
        content.add_cold_files(cold_files);
        for number in 0..CLOSURE {
            let below = [2 * number + 1, 2 * number + 2].into_iter();
            let requires: Vec<_> = below.filter(|at| *at < CLOSURE).map(closure_name).collect();
            let module = closure_name(number).replace('-', "_");
            let wheel = wheel::build(&module, "1.0", CLOSURE_PAYLOAD, &requires)?;
            let listed = content.add_wheel(wheel);
            let name = closure_name(number);
            content.pages.insert(name.clone(), page(&name, &[listed]));
        }
        Ok(content)
    }

    /// The page of a project.
    pub(crate) fn page(&self, project: &str) -> Option<Bytes> {
        if project == TURNING {
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            return Some(phantom_page_from(project, turn, SMALL_PAGE_FILES));
        }
        let made = || match project.split_once('-')?.0 {
            "page" | "cold" => Some(phantom_page(project, SMALL_PAGE_FILES)),
            "many" => Some(many_page(project)),
            _ => None,
        };
        self.pages.get(project).cloned().or_else(made)
    }

    /// The parts of a file.
    pub(crate) fn file(&self, filename: &str) -> Option<Vec<Bytes>> {
        let made = || {
            let made = filename.starts_with("many_");
            made.then(|| vec![wheel::noise(filename, MANY_FILE_SIZE).into()])
        };
        self.files.get(filename).cloned().or_else(made)
    }

    /// The project list that is asked for as a whole, as JSON. Made once: the upstream is not measured.
    pub(crate) fn whole_list(&self) -> Bytes {
        let list = || list(WHOLE_LIST_PROJECTS, varied_name);
        self.whole_list.get_or_init(list).clone()
    }

    fn add_wheel(&mut self, wheel: wheel::Wheel) -> Listed {
        let listed = Listed {
            size: wheel.content.len(),
            sha256: hex(&Sha256::digest(&wheel.content)),
            metadata: Some(hex(&Sha256::digest(&wheel.metadata))),
            filename: wheel.filename.clone(),
        };
        self.files.insert(
            format!("{}.metadata", wheel.filename),
            vec![wheel.metadata.into()],
        );
        self.files
            .insert(wheel.filename, vec![wheel.content.into()]);
        listed
    }

    /// Files that differ in their first bytes and share the others, or they would fill the memory.
    fn add_cold_files(&mut self, count: usize) {
        let length = if count == 0 { 0 } else { LARGE_FILE - 16 };
        let tail = Bytes::from(wheel::noise(COLD_FILE, length));
        let mut listed = Vec::new();
        for number in 0..count {
            let head = Bytes::from(format!("{number:016}"));
            let mut digest = Sha256::new();
            digest.update(&head);
            digest.update(&tail);
            let filename = cold_filename(number);
            let sha256 = hex(&digest.finalize());
            listed.push(Listed {
                size: LARGE_FILE,
                sha256,
                metadata: None,
                filename: filename.clone(),
            });
            self.files.insert(filename, vec![head, tail.clone()]);
        }
        self.pages
            .insert(COLD_FILE.to_owned(), page(COLD_FILE, &listed));
    }
}

/// The name of a project of the closure; number 0 leads to all others.
pub(crate) fn closure_name(number: usize) -> String {
    format!("closure-{number:03}")
}

/// The name of a file of [`COLD_FILE`].
pub(crate) fn cold_filename(number: usize) -> String {
    format!("cold_file-{number}.0.tar.gz")
}

/// The name of a project whose page has 2 MB.
pub(crate) fn large_page_name(number: usize) -> String {
    format!("heavy-{number}")
}

/// The name of a file of a `many-…` project.
pub(crate) fn many_filename(project: &str, number: usize) -> String {
    format!("{}-{number}.0.tar.gz", project.replace('-', "_"))
}

/// The project list whose weight in memory is measured, as JSON.
pub(crate) fn project_list() -> Bytes {
    list(PROJECTS, |number| format!("project-{number}"))
}

/// A project list, as JSON.
fn list(count: usize, name: impl Fn(usize) -> String) -> Bytes {
    let mut text = String::from(r#"{"meta":{"api-version":"1.4"},"projects":["#);
    for number in 0..count {
        let separator = if number == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{separator}{{"_last-serial":{},"name":"{}"}}"#,
            number + 20_000_000,
            name(number)
        );
    }
    text.push_str("]}");
    text.into()
}

/// A name that compresses about as badly as people's do; they come in their order.
fn varied_name(number: usize) -> String {
    let digest = Sha256::digest(number.to_le_bytes());
    let syllables = digest.iter().take(4).map(|byte| {
        let (consonant, vowel) = (usize::from(byte >> 4), usize::from(byte & 3));
        [
            "bcdfghjklmnprstv"[consonant..].chars().next(),
            "aeiu"[vowel..].chars().next(),
        ]
    });
    let syllables: String = syllables.flatten().flatten().collect();
    format!("p{number:06}-{syllables}")
}

/// A page whose files are made when they are fetched.
fn many_page(project: &str) -> Bytes {
    let file = |number: usize| {
        let filename = many_filename(project, number);
        Listed {
            size: MANY_FILE_SIZE,
            sha256: hex(&Sha256::digest(wheel::noise(&filename, MANY_FILE_SIZE))),
            metadata: None,
            filename,
        }
    };
    page(project, &(0..MANY_FILES).map(file).collect::<Vec<_>>())
}

/// A page whose files nobody fetches.
fn phantom_page(project: &str, count: usize) -> Bytes {
    phantom_page_from(project, 0, count)
}

/// The same, beginning with a later release.
fn phantom_page_from(project: &str, first: usize, count: usize) -> Bytes {
    let module = project.replace('-', "_");
    let file = |number: usize| {
        let filename = format!(
            "{module}-{}.{}.0-py3-none-any.whl",
            number / 10,
            number % 10
        );
        let sha256 = hex(&Sha256::digest(&filename));
        let metadata = Some(hex(&Sha256::digest(&sha256)));
        Listed {
            size: 10_000 + number,
            sha256,
            metadata,
            filename,
        }
    };
    page(
        project,
        &(first..first + count).map(file).collect::<Vec<_>>(),
    )
}

/// A page, as JSON.
fn page(project: &str, files: &[Listed]) -> Bytes {
    let mut text = format!(
        r#"{{"meta":{{"api-version":"1.4","_last-serial":20000000}},"name":"{project}","versions":[],"files":["#
    );
    for (number, file) in files.iter().enumerate() {
        let separator = if number == 0 { "" } else { "," };
        let Listed {
            filename,
            size,
            sha256,
            metadata,
        } = file;
        let metadata = metadata.as_ref().map_or("false".to_owned(), |sha256| {
            format!(r#"{{"sha256":"{sha256}"}}"#)
        });
        let _ = write!(
            text,
            r#"{separator}{{"filename":"{filename}","url":"../../files/{filename}","hashes":{{"sha256":"{sha256}"}},"#
        );
        let _ = write!(
            text,
            r#""size":{size},"upload-time":"2024-03-01T10:20:30.123456Z","requires-python":">=3.8","#
        );
        let _ = write!(text, r#""yanked":false,"core-metadata":{metadata}}}"#);
    }
    text.push_str("]}");
    text.into()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_the_sizes_of_real_ones() {
        let small = phantom_page("small", SMALL_PAGE_FILES).len();
        let large = phantom_page("large", LARGE_PAGE_FILES).len();
        assert!((10_000..20_000).contains(&small), "{small}");
        assert!((1_500_000..2_500_000).contains(&large), "{large}");
    }

    #[test]
    fn what_is_listed_is_there_with_its_digest() {
        let mut content = Content::default();
        let listed = content.add_wheel(wheel::build(WARES, "1.0", 100, &[]).unwrap());
        let text = page(WARES, &[listed]);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let file = &json["files"][0];
        let filename = file["filename"].as_str().unwrap();
        for (name, digest) in [
            (filename.to_owned(), &file["hashes"]["sha256"]),
            (
                format!("{filename}.metadata"),
                &file["core-metadata"]["sha256"],
            ),
        ] {
            let parts = content.file(&name).unwrap().concat();
            assert_eq!(
                hex(&Sha256::digest(&parts)),
                digest.as_str().unwrap(),
                "{name}"
            );
        }
        assert!(content.page("page-17").is_some() && content.page("six").is_none());
    }

    #[test]
    fn a_file_that_is_made_when_asked_for_has_the_digest_that_its_page_says() {
        let content = Content::default();
        let page = content.page("many-3").unwrap();
        let json: serde_json::Value = serde_json::from_slice(&page).unwrap();
        let files = json["files"].as_array().unwrap();
        assert_eq!(files.len(), MANY_FILES);
        let filename = files[7]["filename"].as_str().unwrap();
        let parts = content.file(filename).unwrap().concat();
        let digest = hex(&Sha256::digest(&parts));
        assert_eq!(digest, files[7]["hashes"]["sha256"].as_str().unwrap());
    }

    #[test]
    fn a_page_that_turns_is_never_the_same_twice() {
        let content = Content::small();
        assert_ne!(content.page(TURNING), content.page(TURNING));
        assert_eq!(content.page("small"), content.page("small"));
    }

    #[test]
    fn names_of_a_list_are_in_order_and_differ() {
        let names: Vec<String> = (0..1000).map(varied_name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
