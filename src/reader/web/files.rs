//! The files of a release, and the results of its tests.

use maud::{Markup, html};

use crate::db::{LogEntry, LogEvent};
use crate::devpi::TestOutcome;
use crate::model::{
    AskedPart, File, IndexName, Kind, Timestamp, UploadTime, UploadTimeSource, Yanked,
};
use crate::page::entry_path;
use crate::reader::web::described::Described;
use crate::reader::web::judged::{JudgedFile, Refused};
use crate::reader::web::waiver::beside_refused;
use crate::reader::web::way::Way;

/// Most files that stand on a page: a release for every platform has two hundred.
const FILES_SHOWN_MAX: usize = 300;

/// Most files on the page of the whole project; the release's own page has them all.
pub const FILES_OF_PROJECT_MAX: usize = 12;

/// Most tags of one kind that are named.
const TAGS_SHOWN_MAX: usize = 6;

/// Writes files for a page at one path, about one index.
pub struct FileList<'a> {
    pub way: &'a Way,
    pub index: &'a IndexName,
    pub described: &'a Described,
}

impl FileList<'_> {
    /// The files, at most so many of them; `rest` stands in for the others.
    pub fn drawn(&self, files: &[JudgedFile], most: usize, rest: &Markup) -> Markup {
        let most = most.min(FILES_SHOWN_MAX);
        html! {
            ul.files { @for file in files.iter().take(most) { (self.file(file)) } }
            @if files.len() > most {
                p { "and " (files.len() - most) " more" (rest) }
            }
        }
    }

    fn provenance(&self, file: &File) -> String {
        let path = self.way.file(self.index, file);
        format!("{path}{}", AskedPart::Provenance.ending())
    }

    fn file(&self, judged: &JudgedFile) -> Markup {
        let file = &judged.file;
        let record = self.described.record_of(file.filename.as_str());
        html! {
            li {
                div.name {
                    @if judged.refused.is_none() {
                        a href=(self.way.file(self.index, file)) { (file.filename) }
                    } @else {
                        (file.filename)
                    }
                }
                div.facts {
                    span { (kind(file)) }
                    @if let Some(bytes) = file.size { span { (size(bytes)) } }
                    @if let Some(time) = file.upload_time { span { (uploaded(time)) } }
                    @if let Some(python) = &file.requires_python { span { "Python " (python) } }
                    span { "from " (judged.owner) }
                    @if file.provenance.is_some() && judged.refused.is_none() {
                        span { a href=(self.provenance(file)) rel="nofollow" { "provenance" } }
                    }
                }
                @if let Some(record) = record { (history(&record.facts.log)) }
                @if let Some(refused) = &judged.refused {
                    (refusal(refused)) (beside_refused(refused, &self.way.file(self.index, file)))
                }
                @if let Some(words) = &judged.audited {
                    div.warn { "audit only: would be " (words) }
                }
                (yanked(&file.yanked))
                (digests(file))
            }
        }
    }

    /// What came of the tests of a release, by file.
    pub fn results(&self) -> Markup {
        html! {
            ul.files {
                @for (record, run) in &self.described.results {
                    @let facts = &record.facts;
                    @let path = entry_path(&record.index, &facts.sha256, &facts.filename);
                    li {
                        div.name {
                            a href=(self.way.below_root(&path)) { (facts.role.for_file().unwrap_or_default()) }
                        }
                        div.facts {
                            span { (day(facts.uploaded_at)) }
                            @if let Some(who) = &facts.uploader { span { "by " (who) } }
                            @if let Some(platform) = run.as_ref().and_then(|run| run.platform.as_ref()) {
                                span { "on " (platform) }
                            }
                        }
                        @match run {
                            Some(run) => {
                                ul.facts {
                                    @for one in &run.environments {
                                        li class=(outcome_class(one.outcome)) { (one.name) ": " (one.outcome.words()) }
                                    }
                                }
                            }
                            None => { div.faint { "not read here: it is too long, or in another form" } }
                        }
                    }
                }
            }
        }
    }
}

fn outcome_class(outcome: TestOutcome) -> &'static str {
    match outcome {
        TestOutcome::Passed => "good",
        TestOutcome::Failed | TestOutcome::NotSetUp => "bad",
        TestOutcome::NotRun => "faint",
    }
}

/// Why something is refused; a cool-down with the day on which it ends.
pub fn refusal(refused: &Refused) -> Markup {
    html! {
        @match refused.matures {
            Some(until) => { div.warn { "cools down until " (day(until)) ": " (refused.words) } }
            None => { div.bad { (refused.words) } }
        }
    }
}

fn yanked(yanked: &Yanked) -> Markup {
    html! {
        @match yanked {
            Yanked::No => {}
            Yanked::Yes(None) => { div.warn { "yanked" } }
            Yanked::Yes(Some(reason)) => { div.warn { "yanked: " (reason) } }
        }
    }
}

fn kind(file: &File) -> String {
    let several = |tags: &mut dyn Iterator<Item = &str>| {
        let named: Vec<&str> = tags.take(TAGS_SHOWN_MAX).collect();
        named.join(", ")
    };
    match (file.filename.kind(), file.filename.tags()) {
        (Kind::Wheel, Some(tags)) => {
            let python = several(&mut tags.python());
            format!("wheel for {python} on {}", several(&mut tags.platform()))
        }
        (Kind::Wheel, None) => "wheel".to_owned(),
        (Kind::Sdist, _) => "source".to_owned(),
        (Kind::Egg, _) => "egg".to_owned(),
        (Kind::Other, _) => "other".to_owned(),
    }
}

/// How an uploaded file came here.
fn history(log: &[LogEntry]) -> Markup {
    html! {
        ul.facts {
            @for entry in log {
                @let who = entry.who.as_deref().unwrap_or("somebody");
                li {
                    @match &entry.event {
                        LogEvent::Upload { dst } => { "uploaded by " (who) " to " (dst) }
                        LogEvent::Push { src, dst } => { "pushed by " (who) " from " (src) " to " (dst) }
                        LogEvent::Overwrite { count } => { "replaced " (count) " times" }
                    }
                    ", " (day(entry.when))
                }
            }
        }
    }
}

fn digests(file: &File) -> Markup {
    html! {
        @if !file.hashes.is_empty() {
            details {
                summary { "digests" }
                @for (algorithm, hex) in file.hashes.iter() {
                    div { (algorithm) " " code.digest { (hex) } }
                }
            }
        }
    }
}

/// The day of an instant, for people and for programs.
pub fn day(at: Timestamp) -> Markup {
    html! {
        @let day = at.strftime("%Y-%m-%d");
        time datetime=(day) { (day) }
    }
}

/// When something was uploaded, as far as that is known.
pub fn uploaded(time: UploadTime) -> Markup {
    html! {
        @match time.source {
            UploadTimeSource::Index => {}
            UploadTimeSource::FirstSeen => { "first seen " }
        }
        (day(time.at))
    }
}

/// A size for people: about three digits.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (11_053, "10.7 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "1677721.5 TiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }
}
