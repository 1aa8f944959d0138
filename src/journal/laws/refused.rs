//! What was refused is counted by day and rule, in steps that miss and repeat nothing.

use std::time::Duration;

use crate::journal::entry::JournalEntry;
use crate::journal::laws::support::{denied, file, noon, page, rules, write};
use crate::journal::ledger::Ledger;
use crate::journal::open::JOURNAL_FILE;
use crate::journal::read::JournalReader;
use crate::model::{IndexName, Timestamp};

#[tokio::test]
async fn refusals_are_counted_by_day_index_project_and_rule() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let rules = rules();
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let next_day = noon(0) + Duration::from_hours(13);
    let elsewhere = JournalEntry {
        index: IndexName::parse("me/dev").unwrap(),
        ..denied(page(noon(4), "192.0.2.1", "six"))
    };
    let entries = [
        denied(page(noon(1), "192.0.2.1", "six")),
        denied(file(noon(2), "192.0.2.2", "six-1.16.tar.gz")),
        page(noon(3), "192.0.2.1", "six"),
        elsewhere,
        denied(page(next_day, "192.0.2.1", "six")),
    ];
    write(&mut ledger, &entries, &rules).await;
    ledger.close().await;
    let mut reader = JournalReader::open(&path).await.unwrap().unwrap();
    let step = reader.refused(Timestamp::MIN, noon(10)).await.unwrap();
    assert!(!step.is_more);
    assert_eq!(step.end, noon(4));
    let mut told: Vec<_> = step
        .refused
        .iter()
        .map(|one| (one.day, &*one.index, &*one.project, &*one.rule, one.times))
        .collect();
    told.sort_unstable();
    let today = noon(0).as_second() / 86_400;
    let of = |index, times| (today, index, "six", "web/cool-down", times);
    // A file and the page of its project are two rows of one project.
    let expected = [of("me/dev", 1), of("root/pypi", 1), of("root/pypi", 1)];
    assert_eq!(told, expected);
    let rest = reader.refused(step.end, Timestamp::MAX).await.unwrap();
    let days: Vec<_> = rest
        .refused
        .iter()
        .map(|one| (one.day, one.times))
        .collect();
    assert_eq!((days, rest.end), (vec![(today + 1, 1)], next_day));
    let nothing = reader.refused(rest.end, Timestamp::MAX).await.unwrap();
    assert_eq!((nothing.refused.len(), nothing.end), (0, rest.end));
}
