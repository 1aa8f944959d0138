//! Wheels and sdists made to order: real archives that pip, uv and twine accept.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cheesecloth::testing::model::Sha256;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Content, gzip};

/// A wheel to be built.
#[derive(Debug, Clone)]
pub(crate) struct Wheel {
    project: String,
    version: String,
    tag: String,
    requires: Vec<String>,
    requires_python: Option<String>,
    description: String,
    data_bytes: u64,
    compression: CompressionMethod,
    license: Option<String>,
    extra: Vec<String>,
    states: Vec<String>,
}

impl Wheel {
    /// A pure-Python wheel with one module that knows its version.
    pub(crate) fn new(project: &str, version: &str) -> Self {
        Self {
            project: project.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            requires: Vec::new(),
            requires_python: None,
            description: String::new(),
            data_bytes: 0,
            compression: CompressionMethod::Deflated,
            license: None,
            extra: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Sets its tags; the default is `py3-none-any`.
    pub(crate) fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// Adds a `Requires-Dist`.
    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.to_owned());
        self
    }

    /// Sets its `Requires-Python`.
    pub(crate) fn requires_python(mut self, specifier: &str) -> Self {
        self.requires_python = Some(specifier.to_owned());
        self
    }

    /// Sets its `License-Expression`.
    pub(crate) fn license(mut self, expression: &str) -> Self {
        self.license = Some(expression.to_owned());
        self
    }

    /// Adds a line to the headers of its metadata.
    pub(crate) fn states(mut self, line: &str) -> Self {
        self.states.push(line.to_owned());
        self
    }

    /// Adds an empty file of this name.
    pub(crate) fn entry(mut self, name: &str) -> Self {
        self.extra.push(name.to_owned());
        self
    }

    /// Sets the text after the headers of its metadata.
    pub(crate) fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// Adds a file of this many bytes that do not compress.
    pub(crate) fn data(mut self, bytes: u64) -> Self {
        self.data_bytes = bytes;
        self
    }

    pub(crate) fn filename(&self) -> String {
        format!("{}-{}-{}.whl", self.module(), self.version, self.tag)
    }

    pub(crate) fn metadata(&self) -> String {
        let mut text = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\nSummary: made for a test\n",
            self.project, self.version
        );
        if let Some(specifier) = &self.requires_python {
            text.push_str(&format!("Requires-Python: {specifier}\n"));
        }
        if let Some(expression) = &self.license {
            text.push_str(&format!("License-Expression: {expression}\n"));
        }
        for line in &self.states {
            text.push_str(&format!("{line}\n"));
        }
        for requirement in &self.requires {
            text.push_str(&format!("Requires-Dist: {requirement}\n"));
        }
        format!("{text}\n{}", self.description)
    }

    pub(crate) fn requires_python_text(&self) -> Option<String> {
        self.requires_python.clone()
    }

    /// The archive.
    pub(crate) fn build(&self) -> Vec<u8> {
        let module = self.module();
        let info = format!("{module}-{}.dist-info", self.version);
        let code = format!("__version__ = {:?}\n", self.version);
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: fake_index\nRoot-Is-Purelib: true\nTag: {}\n",
            self.tag
        );
        let mut entries = vec![(format!("{module}/__init__.py"), code.into_bytes())];
        if self.data_bytes > 0 {
            let data = Content::noise(7, self.data_bytes).to_vec();
            entries.push((format!("{module}/data.bin"), data));
        }
        let extra = self.extra.iter().cloned();
        entries.extend(extra.map(|name| (name, Vec::new())));
        entries.push((format!("{info}/METADATA"), self.metadata().into_bytes()));
        entries.push((format!("{info}/WHEEL"), wheel.into_bytes()));
        let record = record(&entries, &format!("{info}/RECORD"));
        entries.push((format!("{info}/RECORD"), record.into_bytes()));

        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(self.compression);
        for (name, content) in &entries {
            writer
                .start_file(name.as_str(), options)
                .expect("a new entry");
            writer.write_all(content).expect("room in memory");
        }
        writer.finish().expect("room in memory").into_inner()
    }

    fn module(&self) -> String {
        self.project.replace(['-', '.'], "_").to_lowercase()
    }
}

/// `RECORD` (PEP 376): each file with its digest and size, except for itself.
fn record(entries: &[(String, Vec<u8>)], own_name: &str) -> String {
    let mut text = String::new();
    for (name, content) in entries {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::of(content).as_bytes());
        text.push_str(&format!("{name},sha256={digest},{}\n", content.len()));
    }
    format!("{text}{own_name},,\n")
}

/// A source archive with `PKG-INFO` and a `pyproject.toml`: its file name and bytes.
pub(crate) fn sdist(project: &str, version: &str) -> (String, Vec<u8>) {
    let stem = format!(
        "{}-{version}",
        project.replace(['-', '.'], "_").to_lowercase()
    );
    let info = format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n");
    let build =
        "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n";
    let module = project.replace(['-', '.'], "_");
    let entries = [
        (format!("{stem}/PKG-INFO"), info),
        (
            format!("{stem}/pyproject.toml"),
            format!("{build}[project]\nname = {project:?}\nversion = {version:?}\n"),
        ),
        (
            format!("{stem}/{module}.py"),
            format!("__version__ = {version:?}\n"),
        ),
    ];
    let mut archive: Vec<u8> = entries
        .iter()
        .flat_map(|(name, content)| tar_entry(name, content.as_bytes()))
        .collect();
    // Two empty blocks end a tar archive.
    archive.extend_from_slice(&[0; 1024]);
    (format!("{stem}.tar.gz"), gzip(&archive).to_vec())
}

/// One file in the POSIX ustar format: a header of 512 bytes, the content, padding.
fn tar_entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
    [&head, content, &padding].concat()
}
