//! The URLs of files, in both directions: written on pages, read from requests (docs/protocol/devpi.md
//! §10).
//!
//! `/{user}/{index}/+f/{sha256[0:3]}/{sha256[3:16]}/{filename}`, or `+e/{directory}/{filename}` for a
//! file that nobody has hashed yet. Lock files keep these URLs for years while more becomes known about
//! a file, so a place is not compared with the link we would write today: [`FilePlace::holds`] accepts
//! any digest the file has, and the directory it had before there was one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::model::{AskedPart, File, IndexName, Sha256};

/// Hexadecimal digits of the two segments that stand for a digest.
const DIGITS: (usize, usize) = (3, 13);

/// Longest `+e` directory read back; it is made of a URL of at most 4096 bytes.
const DIRECTORY_BYTES_MAX: usize = 4096;

/// Longest file name read from a path, as `model` has it.
const FILENAME_BYTES_MAX: usize = 255;

/// The directory of a file that has neither a digest nor a URL.
const NOWHERE: &str = "unknown";

/// What is percent-encoded in a path: everything except the unreserved characters, and `+` and `!`,
/// which devpi leaves plain in its objects.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+')
    .remove(b'!');

/// The same for a file's name on a page: caches, object stores and proxies are known to take a `+` in a
/// URL for a blank, and every index of wheels with local versions writes it encoded.
const ENCODED_ON_PAGES: &AsciiSet = &ENCODED.add(b'+');

/// The URL form under which a page is shown, which its links are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageForm {
    /// `/{user}/{index}/+simple/{project}/`
    Simple,
    /// `/{user}/{index}/+simple/{project}`
    SimpleNoSlash,
    /// `/{user}/{index}/{project}/`
    Index,
    /// `/{user}/{index}/{project}`
    IndexNoSlash,
    /// `/simple/{project}/`, the default index
    Default,
}

impl PageForm {
    /// Every form.
    pub const ALL: [Self; 5] = [
        Self::Simple,
        Self::SimpleNoSlash,
        Self::Index,
        Self::IndexNoSlash,
        Self::Default,
    ];
}

/// Writes the links of one page. They are relative, so that they work behind any prefix that a proxy
/// adds or removes, and lead to the asked index, whose policy then decides.
#[derive(Debug, Clone)]
pub struct FileLinks {
    prefix: String,
}

impl FileLinks {
    /// The links of a page shown in this form for this index.
    #[must_use]
    pub fn new(form: PageForm, index: &IndexName) -> Self {
        let prefix = match form {
            PageForm::Simple => "../../".to_owned(),
            PageForm::SimpleNoSlash | PageForm::Index => "../".to_owned(),
            PageForm::IndexNoSlash => String::new(),
            PageForm::Default => {
                format!("../../{}/{}/", encode(index.user()), encode(index.index()))
            }
        };
        Self { prefix }
    }

    /// Appends the link to a file: ASCII without any character that HTML or JSON would escape.
    pub fn write(&self, file: &File, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix.as_bytes());
        write_file_path(file, ENCODED_ON_PAGES, out);
    }

    /// Appends the link to what is told beside a file: through us, so that it can be had wherever the file
    /// can, and only where it can.
    pub fn write_beside(&self, file: &File, part: AskedPart, out: &mut Vec<u8>) {
        self.write(file, out);
        out.extend_from_slice(part.ending().as_bytes());
    }
}

/// The path of a file below its index, percent-encoded: `+f/abc/0123456789abc/six-1.0.zip`.
#[must_use]
pub fn file_path(file: &File) -> String {
    let mut path = Vec::new();
    write_file_path(file, ENCODED, &mut path);
    path.into_iter().map(char::from).collect()
}

fn write_file_path(file: &File, encoded: &'static AsciiSet, out: &mut Vec<u8>) {
    match FilePlace::of(file) {
        FilePlace::Digest(digits) => {
            let (first, second) = digits.split_at(DIGITS.0);
            for part in ["+f/", first, "/", second, "/"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        FilePlace::Directory(directory) => {
            for part in ["+e/", &directory, "/"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        FilePlace::Any => {}
    }
    for part in percent_encode(file.filename.as_str().as_bytes(), encoded) {
        out.extend_from_slice(part.as_bytes());
    }
}

/// One segment of a path, percent-encoded; `+` and `!` stay, as in devpi's own links.
#[must_use]
pub fn encode(segment: &str) -> String {
    percent_encode(segment.as_bytes(), ENCODED).to_string()
}

/// Where a file stands below its index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FilePlace {
    /// The first sixteen hexadecimal digits of a digest, in lower case.
    Digest(String),
    /// The upstream directory of a file without digest, as devpi flattens it.
    Directory(String),
    /// Wherever the index has the file of this name: in an address that anybody can make up from it.
    Any,
}

impl FilePlace {
    /// Where our pages put a file: under its sha256, otherwise under another digest, otherwise by its
    /// URL.
    #[must_use]
    pub fn of(file: &File) -> Self {
        let sha256 = file.hashes.sha256().map(|digest| leading_digits(&digest));
        let digits = sha256.or_else(|| {
            let mut others = file.hashes.iter();
            others.find_map(|(_, hex)| {
                let shown = hex.len().min(DIGITS.0 + DIGITS.1);
                (shown > DIGITS.0).then(|| hex[..shown].to_owned())
            })
        });
        match digits {
            Some(digits) => Self::Digest(digits),
            None => Self::Directory(directory(file.url.as_deref())),
        }
    }

    /// Whether a file with the right name is the one at this place: under any of its digests, or where
    /// it was before it had one.
    #[must_use]
    pub fn holds(&self, file: &File) -> bool {
        match self {
            Self::Digest(digits) => file
                .hashes
                .iter()
                .any(|(_, hex)| hex.starts_with(&**digits)),
            Self::Directory(place) => *place == directory(file.url.as_deref()),
            Self::Any => true,
        }
    }
}

/// The digits of a sha256 that a link needs; done for every listed file, so not by formatting all
/// sixty-four.
fn leading_digits(digest: &Sha256) -> String {
    let bytes = &digest.as_bytes()[..(DIGITS.0 + DIGITS.1) / 2];
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect()
}

/// devpi's flattening: scheme, host, port and directories joined by `_`, odd characters as `_`.
fn directory(url: Option<&str>) -> String {
    let Some((scheme, rest)) = url.and_then(|url| url.split_once("://")) else {
        return NOWHERE.to_owned();
    };
    let path = rest.split(['?', '#']).next().unwrap_or("");
    let (host, path) = path.split_once('/').unwrap_or((path, ""));
    // Credentials have no place in a URL that everyone sees.
    let host = host.rsplit('@').next().unwrap_or("");
    let directories = path.rsplit_once('/').map(|(directories, _)| directories);
    let parts = [Some(scheme), Some(host), directories];
    let joined = parts.into_iter().flatten().collect::<Vec<_>>().join("_");
    joined
        .chars()
        .map(|one| if is_plain(one) { one } else { '_' })
        .collect()
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

/// A file as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath {
    /// Where it should stand.
    pub place: FilePlace,
    /// Its name, without the ending of what is told beside it; not yet read for a project.
    pub filename: String,
    /// What of it is asked for.
    pub part: AskedPart,
}

/// Parses the path of a file below `/{user}/{index}/`, percent-decoded once; `None` if it is none.
#[must_use]
pub fn parse_file_path(path: &str) -> Option<FilePath> {
    if let Some(rest) = path.strip_prefix("integrity/") {
        return parse_integrity_path(rest);
    }
    let (place, name) = if let Some(rest) = path.strip_prefix("+f/") {
        let (first, rest) = rest.split_once('/')?;
        let (second, name) = rest.split_once('/')?;
        // Shorter only if a source states a truncated digest.
        if first.len() != DIGITS.0 || !(1..=DIGITS.1).contains(&second.len()) {
            return None;
        }
        let digits = format!("{first}{second}");
        let is_hex = digits
            .bytes()
            .all(|one| matches!(one, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex.then_some(FilePlace::Digest(digits))?, name)
    } else {
        let (directory, name) = path.strip_prefix("+e/")?.split_once('/')?;
        let fits = (1..=DIRECTORY_BYTES_MAX).contains(&directory.len());
        let is_safe = fits && directory.chars().all(is_plain) && !directory.starts_with('.');
        (
            is_safe.then_some(FilePlace::Directory(directory.to_owned()))?,
            name,
        )
    };
    let (filename, part) = AskedPart::split(name);
    named(place, filename, part)
}

/// `project/version/filename/provenance`, as the index that PEP 740 began with has it. The file's name says
/// of which project and version it is.
fn parse_integrity_path(path: &str) -> Option<FilePath> {
    let mut parts = path.trim_end_matches('/').split('/').skip(2);
    let (filename, last) = (parts.next()?, parts.next()?);
    let is_whole = last == "provenance" && parts.next().is_none();
    named(
        FilePlace::Any,
        is_whole.then_some(filename)?,
        AskedPart::Provenance,
    )
}

fn named(place: FilePlace, filename: &str, part: AskedPart) -> Option<FilePath> {
    let bad = |one: char| one.is_control() || matches!(one, '/' | '\\');
    let fits = (1..=FILENAME_BYTES_MAX).contains(&filename.len());
    let is_name = fits && !filename.starts_with('.') && !filename.contains(bad);
    is_name.then(|| FilePath {
        place,
        filename: filename.to_owned(),
        part,
    })
}

/// `user/index/+f/abc/0123456789abc/name`, plain, as devpi's answers show it.
#[must_use]
pub fn entry_path(index: &IndexName, sha256: &Sha256, filename: &str) -> String {
    format!("{index}/{}", digest_path(sha256, filename))
}

/// `+f/abc/0123456789abc/name`: the same below its index. A name in a link has to be encoded.
#[must_use]
pub fn digest_path(sha256: &Sha256, filename: &str) -> String {
    let digits = sha256.to_hex();
    format!("+f/{}/{}/{filename}", &digits[..3], &digits[3..16])
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use url::Url;

    use super::*;
    use crate::model::{Filename, ProjectName};
    use crate::page::samples;

    fn file(name: &str, url: Option<&str>) -> File {
        let filename = Filename::parse(name, &ProjectName::parse("pkg").unwrap()).unwrap();
        File {
            url: url.map(Into::into),
            ..File::named(filename)
        }
    }

    #[test]
    fn a_place_is_made_of_what_is_known() {
        let mut one = file(
            "pkg-1!2017.4+devpi.zip",
            Some("http://localhost:8080/pkg/pkg-1.0.zip"),
        );
        assert_eq!(
            file_path(&one),
            "+e/http_localhost_8080_pkg/pkg-1!2017.4+devpi.zip"
        );
        one.hashes
            .insert("md5", "d41d8cd98f00b204e9800998ecf8427e")
            .unwrap();
        assert_eq!(
            file_path(&one),
            "+f/d41/d8cd98f00b204/pkg-1!2017.4+devpi.zip"
        );
        one.hashes
            .insert("sha256", &Sha256::of(b"").to_hex())
            .unwrap();
        assert_eq!(
            file_path(&one),
            "+f/e3b/0c44298fc1c14/pkg-1!2017.4+devpi.zip"
        );
        for place in [
            "+e/http_localhost_8080_pkg/x",
            "+f/d41/d8cd98f00b204/x",
            "+f/e3b/0c44298fc1c14/x",
        ] {
            assert!(parse_file_path(place).unwrap().place.holds(&one), "{place}");
        }
        assert!(
            !parse_file_path("+f/e3b/0c44298fc1c15/x")
                .unwrap()
                .place
                .holds(&one)
        );
    }

    #[test]
    fn directories_are_flattened_as_devpi_does() {
        let table = [
            (
                Some("https://files.example/a/b%20c/pkg-1.zip?sig=a/b"),
                "https_files.example_a_b_20c",
            ),
            (
                Some("https://files.example/pkg-1.zip"),
                "https_files.example",
            ),
            (
                Some("https://me:secret@files.example:81/x/pkg-1.zip"),
                "https_files.example_81_x",
            ),
            (Some("https://files.example"), "https_files.example"),
            (None, "unknown"),
        ];
        for (url, expected) in table {
            assert_eq!(directory(url), expected, "{url:?}");
        }
    }

    #[test]
    fn odd_names_are_encoded() {
        let path = file_path(&file("pkg-1 a%2B?#\"<&'ü.zip", None));
        assert_eq!(
            path,
            "+e/unknown/pkg-1%20a%252B%3F%23%22%3C%26%27%C3%BC.zip"
        );
    }

    #[test]
    fn a_plus_is_encoded_on_pages_and_plain_in_devpis_objects() {
        let one = file("pkg-1.0+cu121.zip", None);
        assert_eq!(file_path(&one), "+e/unknown/pkg-1.0+cu121.zip");
        let mut link = Vec::new();
        let index = IndexName::parse("root/pypi").unwrap();
        FileLinks::new(PageForm::Index, &index).write(&one, &mut link);
        assert_eq!(link, b"../+e/unknown/pkg-1.0%2Bcu121.zip");
    }

    #[test]
    fn a_digest_that_is_cut_short_has_a_place_and_reads_back() {
        let mut cut = file("pkg-1.0.zip", None);
        cut.hashes.insert_cut("1234").unwrap();
        assert_eq!(file_path(&cut), "+f/123/4/pkg-1.0.zip");
        assert!(
            parse_file_path("+f/123/4/pkg-1.0.zip")
                .unwrap()
                .place
                .holds(&cut)
        );
    }

    #[test]
    fn what_is_no_file_path_is_none() {
        for path in [
            "",
            "+f",
            "+f/abc/0123456789abc",
            "+f/abc/0123456789abc/",
            "+f/ABC/0123456789abc/x",
            "+f/abcd/123456789abc/x",
            "+f/ab/c0123456789abc/x",
            "+f/abc//x",
            "+f/ab\u{e9}/0123456789abc/x",
            "+f/abc/0123456789abc/../x",
            "+f/abc/0123456789abc/a\\b",
            "+f/abc/0123456789abc/.metadata",
            "+f/abc/0123456789abc/x\n",
            "+e/../x",
            "+e//x",
            "+e/a b/x",
            "+x/abc/0123456789abc/x",
            "integrity/pkg/1/pkg-1.zip",
            "integrity/pkg/1/pkg-1.zip/provenance/x",
            "integrity/pkg/1//provenance",
            "integrity/pkg/pkg-1.zip/provenance",
        ] {
            assert_eq!(parse_file_path(path), None, "{path:?}");
        }
        let long = format!("+e/a/{}", "x".repeat(256));
        assert_eq!(parse_file_path(&long), None);
    }

    #[test]
    fn a_provenance_is_also_found_by_its_files_name() {
        let read = parse_file_path("integrity/Pkg/1/pkg-1.zip/provenance").unwrap();
        let one = file("pkg-1.zip", None);
        assert!(read.place.holds(&one));
        assert_eq!(
            (&*read.filename, read.part),
            ("pkg-1.zip", AskedPart::Provenance)
        );
    }

    #[test]
    fn links_lead_from_every_page_to_the_same_file() {
        let index = IndexName::parse("ünï@x/stable").unwrap();
        let one = file("pkg-1.zip", None);
        let pages = [
            (PageForm::Simple, "/ünï@x/stable/+simple/pkg/"),
            (PageForm::SimpleNoSlash, "/ünï@x/stable/+simple/pkg"),
            (PageForm::Index, "/ünï@x/stable/pkg/"),
            (PageForm::IndexNoSlash, "/ünï@x/stable/pkg"),
            (PageForm::Default, "/simple/pkg/"),
        ];
        assert_eq!(pages.map(|(form, _)| form), PageForm::ALL);
        for (form, path) in pages {
            let mut link = Vec::new();
            FileLinks::new(form, &index).write(&one, &mut link);
            let page = Url::parse(&format!("http://devpi.example/prefix{path}")).unwrap();
            let file = page.join(std::str::from_utf8(&link).unwrap()).unwrap();
            let decoded = percent_decode_str(file.path()).decode_utf8().unwrap();
            assert_eq!(
                decoded, "/prefix/ünï@x/stable/+e/unknown/pkg-1.zip",
                "{form:?}"
            );
        }
    }

    fn any_part() -> impl Strategy<Value = AskedPart> {
        let all = [AskedPart::Whole, AskedPart::Metadata, AskedPart::Provenance];
        proptest::sample::select(all.to_vec())
    }

    proptest! {
        #[test]
        fn every_link_is_read_back(file in samples::any_file("pkg"), part in any_part()) {
            let mut path = file_path(&file);
            prop_assert!(path.is_ascii() && !path.contains(['"', '<', '>', '&', '\'', '\\', ' ', '#', '?']));
            path.push_str(part.ending());
            let decoded = percent_decode_str(&path).decode_utf8().unwrap();
            let read = parse_file_path(&decoded).unwrap();
            prop_assert!(read.place.holds(&file));
            prop_assert_eq!(read.place, FilePlace::of(&file));
            prop_assert_eq!(read.filename, file.filename.as_str());
            prop_assert_eq!(read.part, part);
        }

        #[test]
        fn no_path_makes_it_fail(path in "(\\+[ef]/)?[+a-f0-9/.é%]{0,40}") {
            if let Some(read) = parse_file_path(&path) {
                prop_assert!(!read.filename.contains('/') && !read.filename.starts_with('.'));
            }
        }
    }
}
