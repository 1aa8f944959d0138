//! Lock files written in TOML: `uv.lock`, `pylock.toml` (PEP 751) and `poetry.lock`.
//!
//! Which one it is shows in its first keys. Keys that say nothing about files are ignored, so newer
//! minor versions of the formats still read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::language::lockfile::pin::{Lockfile, LockfileFormat, Pin, PinnedFile, sha256_of};
use crate::model::{Fault, Faults, Location, ProjectName, Version};

/// Reads a lock file in TOML.
pub(super) fn parse(path: &str, text: &str) -> Result<Lockfile, Faults> {
    let mut reading = Reading {
        path: path.into(),
        lines: line_starts(text),
        pins: Vec::new(),
        faults: Faults::default(),
    };
    let format = reading.toml::<Marks>(text).and_then(|marks| marks.format());
    match format {
        Some(LockfileFormat::Uv) => reading.uv(text),
        Some(LockfileFormat::Pylock) => reading.pylock(text),
        Some(LockfileFormat::Poetry) => reading.poetry(text),
        Some(LockfileFormat::Requirements) | None if reading.faults.0.is_empty() => {
            let what = "not a lock file that is read here";
            let hint = "name a requirements .txt, uv.lock, pylock.toml or poetry.lock";
            let fault = Fault::at(&reading.location(0), what).hint(hint);
            reading.faults.push(fault);
        }
        Some(LockfileFormat::Requirements) | None => {}
    }
    let format = format.unwrap_or(LockfileFormat::Requirements);
    let pins = reading.pins;
    reading.faults.or(Lockfile { format, pins })
}

/// The keys that tell the formats apart.
#[derive(Deserialize)]
struct Marks {
    #[serde(rename = "lock-version")]
    lock_version: Option<String>,
    version: Option<u32>,
    metadata: Option<PoetryMetadata>,
}

impl Marks {
    fn format(&self) -> Option<LockfileFormat> {
        if self.lock_version.is_some() {
            return Some(LockfileFormat::Pylock);
        }
        let metadata = self.metadata.as_ref();
        if metadata.is_some_and(|metadata| metadata.lock_version.is_some()) {
            return Some(LockfileFormat::Poetry);
        }
        self.version.map(|_| LockfileFormat::Uv)
    }
}

struct Reading {
    path: Arc<str>,
    lines: Vec<usize>,
    pins: Vec<Pin>,
    faults: Faults,
}

impl Reading {
    fn toml<T: DeserializeOwned>(&mut self, text: &str) -> Option<T> {
        match toml::from_str(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let what = error.message().replace('\n', ", ");
                self.faults.push(Fault::at(&self.location(start), what));
                None
            }
        }
    }

    fn location(&self, offset: usize) -> Location {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).map_or(0, |before| self.lines[before]);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Location {
            file: Arc::clone(&self.path),
            line: count(line.max(1)),
            column: count(offset.saturating_sub(start) + 1),
        }
    }

    /// Adds a release; `files` come with the digests as the file writes them.
    fn pin(
        &mut self,
        name: &Spanned<String>,
        version: Option<&str>,
        files: impl IntoIterator<Item = (PinnedFile, Vec<String>)>,
    ) {
        let Range { start, .. } = name.span();
        let location = self.location(start);
        let mut pinned = Vec::new();
        let mut has_digests = false;
        for (mut file, digests) in files {
            for digest in digests {
                has_digests = true;
                match sha256_of(&digest) {
                    Ok(sha256) => file.sha256 = file.sha256.or(sha256),
                    Err(what) => self.faults.push(Fault::at(&location, what)),
                }
            }
            pinned.push(file);
        }
        match ProjectName::parse(name.get_ref()) {
            Ok(project) => self.pins.push(Pin {
                project,
                version: version.map(Version::parse),
                files: pinned,
                has_digests,
                location,
            }),
            Err(error) => self.faults.push(Fault::at(&location, error.to_string())),
        }
    }

    fn uv(&mut self, text: &str) {
        let Some(document) = self.toml::<UvLock>(text) else {
            return;
        };
        for package in document.package {
            if package.source.registry.is_some() {
                let files = package.sdist.into_iter().chain(package.wheels);
                let version = package.version.as_deref();
                self.pin(&package.name, version, files.map(LockedFile::pinned));
            }
        }
    }

    fn pylock(&mut self, text: &str) {
        let Some(document) = self.toml::<Pylock>(text) else {
            return;
        };
        for package in document.packages {
            let direct = [&package.vcs, &package.directory, &package.archive];
            if direct.iter().all(|source| source.is_none()) {
                let files = package.sdist.into_iter().chain(package.wheels);
                let version = package.version.as_deref();
                self.pin(&package.name, version, files.map(LockedFile::pinned));
            }
        }
    }

    fn poetry(&mut self, text: &str) {
        let Some(document) = self.toml::<PoetryLock>(text) else {
            return;
        };
        let mut elsewhere = document.metadata.files.unwrap_or_default();
        for package in document.package {
            let source = package.source.map(|source| source.kind);
            // `legacy` is poetry's word for an index other than its default one.
            if source.is_none_or(|kind| kind == "legacy") {
                let mut files = package.files.unwrap_or_default();
                files.extend(elsewhere.remove(package.name.get_ref()).unwrap_or_default());
                let files = files.into_iter().map(PoetryFile::pinned);
                self.pin(&package.name, Some(&package.version), files);
            }
        }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let after = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(after).collect()
}

#[derive(Deserialize)]
struct UvLock {
    #[serde(default)]
    package: Vec<UvPackage>,
}

#[derive(Deserialize)]
struct UvPackage {
    name: Spanned<String>,
    version: Option<String>,
    source: UvSource,
    sdist: Option<LockedFile>,
    #[serde(default)]
    wheels: Vec<LockedFile>,
}

#[derive(Deserialize)]
struct UvSource {
    registry: Option<String>,
}

#[derive(Deserialize)]
struct Pylock {
    #[serde(default)]
    packages: Vec<PylockPackage>,
}

#[derive(Deserialize)]
struct PylockPackage {
    name: Spanned<String>,
    version: Option<String>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
    archive: Option<toml::Table>,
    sdist: Option<LockedFile>,
    #[serde(default)]
    wheels: Vec<LockedFile>,
}

/// A file as uv and PEP 751 write it: the former has a `filename` and one `hash`, the latter a `name`
/// and a table of `hashes`.
#[derive(Deserialize)]
struct LockedFile {
    #[serde(alias = "filename")]
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    /// A string for uv, TOML's own kind of instant for PEP 751.
    #[serde(rename = "upload-time")]
    upload_time: Option<toml::Value>,
    hash: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl LockedFile {
    fn pinned(self) -> (PinnedFile, Vec<String>) {
        let place = self.url.as_deref().or(self.path.as_deref());
        let instant = |value: &toml::Value| match value {
            toml::Value::String(text) => text.parse().ok(),
            other => other.as_datetime()?.to_string().parse().ok(),
        };
        let file = PinnedFile {
            filename: self.name.as_deref().or(last_part(place)).map(Into::into),
            url: self.url.as_deref().map(Into::into),
            sha256: None,
            size: self.size,
            upload_time: self.upload_time.as_ref().and_then(instant),
        };
        let digests = self.hashes.iter();
        let digests = digests.map(|(algorithm, hex)| format!("{algorithm}:{hex}"));
        (file, self.hash.into_iter().chain(digests).collect())
    }
}

#[derive(Deserialize)]
struct PoetryLock {
    #[serde(default)]
    package: Vec<PoetryPackage>,
    metadata: PoetryMetadata,
}

#[derive(Deserialize)]
struct PoetryMetadata {
    #[serde(rename = "lock-version")]
    lock_version: Option<String>,
    /// Where poetry before 1.3 kept the files of all packages.
    files: Option<BTreeMap<String, Vec<PoetryFile>>>,
}

#[derive(Deserialize)]
struct PoetryPackage {
    name: Spanned<String>,
    version: String,
    source: Option<PoetrySource>,
    files: Option<Vec<PoetryFile>>,
}

#[derive(Deserialize)]
struct PoetrySource {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct PoetryFile {
    file: String,
    hash: String,
}

impl PoetryFile {
    fn pinned(self) -> (PinnedFile, Vec<String>) {
        let file = PinnedFile {
            filename: Some(self.file.into()),
            ..PinnedFile::default()
        };
        (file, vec![self.hash])
    }
}

/// The file name at the end of a URL or path.
fn last_part(place: Option<&str>) -> Option<&str> {
    let place = place?.split(['?', '#']).next()?;
    place
        .rsplit(['/', '\\'])
        .next()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    const UV: &str = r#"
version = 1
revision = 3

[[package]]
name = "app"
version = "0.1"
source = { virtual = "." }

[[package]]
name = "Left_Pad"
version = "1.3"
source = { registry = "https://upstream.example/simple" }
sdist = { url = "https://files.example/a/left_pad-1.3.tar.gz", hash = "sha256:HEX", size = 12, upload-time = "2024-01-01T00:00:00Z" }
wheels = [
    { url = "https://files.example/b/left_pad-1.3-py3-none-any.whl#x", hash = "sha512:00" },
]

[[package]]
name = "local"
source = { registry = "wheels" }
wheels = [{ path = "local-1-py3-none-any.whl" }]
"#;

    const PYLOCK: &str = r#"
lock-version = "1.0"
created-by = "some tool"

[[packages]]
name = "left-pad"
version = "1.3"
sdist = { name = "left_pad-1.3.tar.gz", url = "https://files.example/x", upload-time = 2024-01-01T00:00:00Z, size = 12, hashes = { sha256 = "HEX", md5 = "00" } }

[[packages]]
name = "direct"
archive = { url = "https://files.example/direct.zip", hashes = { sha256 = "HEX" } }
"#;

    const POETRY: &str = r#"
[[package]]
name = "left-pad"
version = "1.3"
files = [{file = "left_pad-1.3.tar.gz", hash = "sha256:HEX"}]

[[package]]
name = "other"
version = "2"
[package.source]
type = "legacy"
url = "https://upstream.example/simple"

[[package]]
name = "direct"
version = "2"
[package.source]
type = "git"

[metadata]
lock-version = "1.1"
[metadata.files]
other = [{file = "other-2.tar.gz", hash = "sha256:HEX"}]
"#;

    fn read(text: &str) -> Result<Lockfile, Faults> {
        parse("x.lock", &text.replace("HEX", &Sha256::of(b"x").to_hex()))
    }

    /// One line for each pin and each of its files.
    fn summary(text: &str) -> String {
        let lockfile = read(text).unwrap();
        let mut lines = vec![format!("{:?}", lockfile.format)];
        for pin in &lockfile.pins {
            let version = pin.version.as_ref().map_or("any", Version::as_str);
            let line = pin.location.line;
            lines.push(format!(
                "{line}: {} {version} {}",
                pin.project, pin.has_digests
            ));
            for file in &pin.files {
                let known = file.sha256 == Some(Sha256::of(b"x"));
                let (name, url) = (file.filename.as_deref(), file.url.is_some());
                lines.push(format!(
                    "  {name:?} url {url} sha256 {known} {:?} {:?}",
                    file.size, file.upload_time
                ));
            }
        }
        lines.join("\n")
    }

    #[test]
    fn uv_lock_lists_what_registries_serve() {
        insta::assert_snapshot!(summary(UV), @r#"
        Uv
        11: left-pad 1.3 true
          Some("left_pad-1.3.tar.gz") url true sha256 true Some(12) Some(2024-01-01T00:00:00Z)
          Some("left_pad-1.3-py3-none-any.whl") url true sha256 false None None
        20: local any false
          Some("local-1-py3-none-any.whl") url false sha256 false None None
        "#);
    }

    #[test]
    fn pylock_lists_what_indexes_serve() {
        insta::assert_snapshot!(summary(PYLOCK), @r#"
        Pylock
        6: left-pad 1.3 true
          Some("left_pad-1.3.tar.gz") url true sha256 true Some(12) Some(2024-01-01T00:00:00Z)
        "#);
    }

    #[test]
    fn poetry_lock_of_both_ages_is_read() {
        insta::assert_snapshot!(summary(POETRY), @r#"
        Poetry
        3: left-pad 1.3 true
          Some("left_pad-1.3.tar.gz") url false sha256 true None None
        8: other 2 true
          Some("other-2.tar.gz") url false sha256 true None None
        "#);
    }

    #[test]
    fn faults_name_the_line() {
        let table = [
            (
                "",
                "x.lock:1:1: not a lock file that is read here, name a requirements .txt, uv.lock, pylock.toml or poetry.lock",
            ),
            (
                "[tool]\nx = 1",
                "x.lock:1:1: not a lock file that is read here, name a requirements .txt, uv.lock, pylock.toml or poetry.lock",
            ),
            (
                "version = 1\n[[package]]\nname = \"a\"",
                "x.lock:2:1: missing field `source`",
            ),
            (
                "lock-version = \"1\"\n[[packages]]\nname = \"-a\"",
                "x.lock:3:8: \"-a\" is not a project name",
            ),
            (
                "version = 1\n[[package]]\nname = \"a\"\nsource = {registry = \"x\"}\nsdist = {hash = \"12\"}",
                "x.lock:3:8: \"12\" is not a digest such as sha256:…",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).unwrap_err().to_string(), expected, "{text}");
        }
        let broken = read("version = [\n").unwrap_err().to_string();
        assert!(broken.starts_with("x.lock:"), "{broken}");
    }
}
