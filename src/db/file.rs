//! What is recorded about one file that an index holds, and the log of how it came there.
//!
//! The log is kept in the shape devpi's clients read (docs/protocol/devpi.md §12.1): they count and show
//! its entries, and `devpi push` carries them from index to index.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::model::{IndexName, Sha256, Timestamp, Yanked};

/// A file with everything that is known about it, apart from where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Its name, unique within the project on an index.
    pub filename: String,
    /// Its role in its release.
    pub role: FileRole,
    /// The digest its bytes are kept under.
    pub sha256: Sha256,
    /// Length in bytes.
    pub size: u64,
    /// MD5 in lower-case hex, if it was stated and matched.
    pub md5: Option<String>,
    /// BLAKE2b-256 in lower-case hex, likewise.
    pub blake2b_256: Option<String>,
    /// When it arrived on its first index (PEP 700 `upload-time`).
    pub uploaded_at: Timestamp,
    /// Who uploaded it; `None` for an anonymous upload.
    pub uploader: Option<String>,
    /// `Requires-Python`, never empty.
    pub requires_python: Option<String>,
    /// The digest its metadata sidecar (PEP 658) is kept under.
    pub metadata_sha256: Option<Sha256>,
    /// Whether it is yanked (PEP 592).
    pub yanked: Yanked,
    /// How it came here, oldest first.
    pub log: Vec<LogEntry>,
}

/// A file's role in its release; devpi calls it `rel`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// A wheel, an sdist, or an older archive.
    ReleaseFile,
    /// The result of a test run.
    ToxResult {
        /// The release file that was tested; removed together with it.
        for_file: String,
    },
    /// Documentation.
    DocZip,
    /// Who says where a release file comes from, signed (PEP 740).
    Provenance {
        /// That file; this is removed together with it.
        for_file: String,
    },
}

/// The name that the provenance of a file is recorded under. Another file of the same name has another.
#[must_use]
pub fn provenance_name(filename: &str, sha256: &Sha256) -> String {
    let digits = sha256.to_hex();
    format!("{filename}.provenance-{}", &digits[..PROVENANCE_DIGITS])
}

/// Digits of a file's sha256 in the name of its provenance, as many as its URL has.
const PROVENANCE_DIGITS: usize = 16;

impl FileRole {
    /// The word for it in `+links`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ReleaseFile => "releasefile",
            Self::ToxResult { .. } => "toxresult",
            Self::DocZip => "doczip",
            Self::Provenance { .. } => "provenance",
        }
    }

    /// The release file that something is attached to.
    #[must_use]
    pub fn for_file(&self) -> Option<&str> {
        match self {
            Self::ToxResult { for_file } | Self::Provenance { for_file } => Some(for_file),
            Self::ReleaseFile | Self::DocZip => None,
        }
    }

    /// Reads the word and what it is about.
    #[must_use]
    pub fn parse(word: &str, for_file: Option<String>) -> Option<Self> {
        match (word, for_file) {
            ("releasefile", None) => Some(Self::ReleaseFile),
            ("toxresult", Some(for_file)) => Some(Self::ToxResult { for_file }),
            ("doczip", None) => Some(Self::DocZip),
            ("provenance", Some(for_file)) => Some(Self::Provenance { for_file }),
            _ => None,
        }
    }
}

/// One line of a file's log. Written as JSON it is devpi's, with seconds as the finest unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "LogLine", try_from = "LogLine")]
pub struct LogEntry {
    /// Who did it; `None` for consequences and anonymous actions.
    pub who: Option<String>,
    /// When.
    pub when: Timestamp,
    /// What was done.
    pub event: LogEvent,
}

/// What happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// It was uploaded.
    Upload {
        /// To this index.
        dst: IndexName,
    },
    /// It was pushed from one index to another.
    Push {
        /// From.
        src: IndexName,
        /// To.
        dst: IndexName,
    },
    /// It replaced a file of the same name.
    Overwrite {
        /// How often that has happened to the name.
        count: u32,
    },
}

/// The text is not a log line as devpi writes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an entry of a file's log")]
pub struct InvalidLogEntry(String);

#[derive(Serialize, Deserialize)]
struct LogLine {
    what: String,
    who: Option<String>,
    when: [i16; 6],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    src: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dst: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
}

impl From<LogEntry> for LogLine {
    fn from(entry: LogEntry) -> Self {
        let utc = entry.when.to_zoned(TimeZone::UTC);
        let (what, src, dst, count) = match entry.event {
            LogEvent::Upload { dst } => ("upload", None, Some(dst), None),
            LogEvent::Push { src, dst } => ("push", Some(src), Some(dst), None),
            LogEvent::Overwrite { count } => ("overwrite", None, None, Some(count)),
        };
        Self {
            what: what.to_owned(),
            who: entry.who,
            when: [
                utc.year(),
                utc.month().into(),
                utc.day().into(),
                utc.hour().into(),
                utc.minute().into(),
                utc.second().into(),
            ],
            src: src.map(|index| index.to_string()),
            dst: dst.map(|index| index.to_string()),
            count,
        }
    }
}

impl TryFrom<LogLine> for LogEntry {
    type Error = InvalidLogEntry;

    fn try_from(line: LogLine) -> Result<Self, Self::Error> {
        let invalid = || InvalidLogEntry(format!("{:?} at {:?}", line.what, line.when));
        let index = |name: &Option<String>| {
            let name = name.as_deref().and_then(|name| IndexName::parse(name).ok());
            name.ok_or_else(invalid)
        };
        let event = match line.what.as_str() {
            "upload" => LogEvent::Upload {
                dst: index(&line.dst)?,
            },
            "push" => LogEvent::Push {
                src: index(&line.src)?,
                dst: index(&line.dst)?,
            },
            "overwrite" => LogEvent::Overwrite {
                count: line.count.ok_or_else(invalid)?,
            },
            _ => return Err(invalid()),
        };
        let when = instant(line.when).ok_or_else(invalid)?;
        Ok(Self {
            who: line.who,
            when,
            event,
        })
    }
}

fn instant([year, month, day, hour, minute, second]: [i16; 6]) -> Option<Timestamp> {
    let small = |number: i16| i8::try_from(number).ok();
    let (month, day, hour) = (small(month)?, small(day)?, small(hour)?);
    let at = DateTime::new(year, month, day, hour, small(minute)?, small(second)?, 0);
    Some(at.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: LogEvent) -> LogEntry {
        let when = "2026-01-02T03:04:05Z".parse().unwrap();
        LogEntry {
            who: Some("packages".into()),
            when,
            event,
        }
    }

    #[test]
    fn log_lines_are_devpis_and_read_back() {
        let dst = IndexName::parse("packages/develop").unwrap();
        let src = IndexName::parse("root/pypi").unwrap();
        let table = [
            (
                entry(LogEvent::Upload { dst: dst.clone() }),
                r#"{"what":"upload","who":"packages","when":[2026,1,2,3,4,5],"dst":"packages/develop"}"#,
            ),
            (
                entry(LogEvent::Push { src, dst }),
                r#"{"what":"push","who":"packages","when":[2026,1,2,3,4,5],"src":"root/pypi","dst":"packages/develop"}"#,
            ),
            (
                LogEntry {
                    who: None,
                    ..entry(LogEvent::Overwrite { count: 2 })
                },
                r#"{"what":"overwrite","who":null,"when":[2026,1,2,3,4,5],"count":2}"#,
            ),
        ];
        for (entry, json) in table {
            assert_eq!(serde_json::to_string(&entry).unwrap(), json);
            assert_eq!(serde_json::from_str::<LogEntry>(json).unwrap(), entry);
        }
    }

    #[test]
    fn roles_read_back_and_some_are_about_a_file() {
        let result = FileRole::ToxResult {
            for_file: "a-1.zip".into(),
        };
        let provenance = FileRole::Provenance {
            for_file: "a-1.zip".into(),
        };
        for role in [FileRole::ReleaseFile, result, FileRole::DocZip, provenance] {
            let for_file = role.for_file().map(str::to_owned);
            assert_eq!(FileRole::parse(role.as_str(), for_file), Some(role));
        }
        assert_eq!(FileRole::parse("toxresult", None), None);
        assert_eq!(FileRole::parse("provenance", None), None);
        assert_eq!(FileRole::parse("doczip", Some("a-1.zip".into())), None);
    }

    #[test]
    fn what_is_no_log_line_is_refused() {
        for json in [
            r#"{"what":"upload","who":null,"when":[2026,1,2,3,4,5]}"#,
            r#"{"what":"upload","who":null,"when":[2026,13,2,3,4,5],"dst":"a/b"}"#,
            r#"{"what":"upload","who":null,"when":[2026,1,2,3,4,500],"dst":"a/b"}"#,
            r#"{"what":"moved","who":null,"when":[2026,1,2,3,4,5],"dst":"a/b"}"#,
            r#"{"what":"overwrite","who":null,"when":[2026,1,2,3,4,5]}"#,
        ] {
            assert!(serde_json::from_str::<LogEntry>(json).is_err(), "{json}");
        }
    }
}
