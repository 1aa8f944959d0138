//! What a feed of advisories costs: time to read OSV's zip of an ecosystem, and memory to hold it.
//!
//! `cargo bench --bench advisories [-- NUMBER]`; 300,000 documents when no number is given. The zip is made
//! here: two in three say one version of a project of its own, as reports of malware do, the others have
//! ranges and long lists of versions of few projects, as reports of vulnerabilities do.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use cheesecloth::testing::advisory::read_feed;
use cheesecloth::testing::model::FeedLimits;
use zip::write::SimpleFileOptions;

/// What is promised for this many.
const PROMISED: &str = "5 s and 300 MiB for 300,000";

fn main() -> anyhow::Result<()> {
    let number = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let number: u32 = number.unwrap_or(300_000);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("all.zip");
    write_zip(&path, number)?;
    let length = fs::metadata(&path)?.len();
    let before = memory("VmRSS:")?;
    let started = Instant::now();
    let advisories = read_feed(
        fs::File::open(&path)?,
        length,
        &path,
        &FeedLimits::default(),
    )?;
    let took = started.elapsed();
    let (after, peak) = (memory("VmRSS:")?, memory("VmHWM:")?);
    writeln!(
        std::io::stdout(),
        "{} advisories of a zip of {} MiB: {:.2} s, {} MiB held, {} MiB at the peak ({PROMISED})",
        advisories.len(),
        length >> 20,
        took.as_secs_f64(),
        after.saturating_sub(before) >> 10,
        peak.saturating_sub(before) >> 10,
    )?;
    Ok(())
}

/// A line of this process's status, in kilobytes.
fn memory(line: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|text| text.strip_prefix(line));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(number.unwrap_or_default().trim().parse()?)
}

fn write_zip(path: &Path, number: u32) -> anyhow::Result<()> {
    let mut zip = zip::ZipWriter::new(BufWriter::new(fs::File::create(path)?));
    for at in 0..number {
        let (id, text) = document(at);
        zip.start_file(format!("{id}.json"), SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    zip.finish()?.flush()?;
    Ok(())
}

/// About two kilobytes, like most of the real ones.
fn document(at: u32) -> (String, String) {
    let details =
        format!("What number {at} does, how it was found and who is thanked. ").repeat(20);
    let (id, aliases, project, affected) = if at.is_multiple_of(3) {
        let mut versions = String::new();
        for minor in 0..40 {
            let comma = if minor == 0 { "" } else { ", " };
            let _ = write!(versions, "{comma}\"1.{minor}.{}\"", at % 7);
        }
        let affected = format!(
            r#""ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "1.{}.{}"}}]}}],
            "versions": [{versions}]"#,
            at % 40,
            at % 11,
        );
        let aliases = format!(r#""CVE-2026-{at}", "GHSA-aaaa-bbbb-{at}""#);
        (
            format!("PYSEC-2026-{at}"),
            aliases,
            format!("library-{}", at % 3000),
            affected,
        )
    } else {
        let affected = r#""versions": ["1.0.0", "1.0.1"]"#.to_owned();
        (
            format!("MAL-2026-{at}"),
            String::new(),
            format!("squatter-{at}"),
            affected,
        )
    };
    let text = format!(
        r#"{{"schema_version": "1.7.0", "id": "{id}", "modified": "2026-01-02T03:04:05.123456Z",
        "published": "2026-01-01T00:00:00Z", "aliases": [{aliases}], "summary": "number {at}", "details": "{details}",
        "affected": [{{"package": {{"ecosystem": "PyPI", "name": "{project}", "purl": "pkg:pypi/{project}"}}, {affected}}}],
        "references": [{{"type": "WEB", "url": "https://advisories.example/{id}"}}]}}"#
    );
    (id, text)
}
