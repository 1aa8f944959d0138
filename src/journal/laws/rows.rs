//! What is written comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::journal::entry::{JournalDecision, JournalEntry, JournalledFile};
use crate::journal::laws::support::{all, denied, file, noon, page, rules, told, write};
use crate::journal::ledger::Ledger;
use crate::journal::open::JOURNAL_FILE;
use crate::journal::read::JournalReader;
use crate::journal::row::{JournalRow, JournalSubject};
use crate::model::{ProjectName, Sha256, Timestamp, Version};

/// A row in one line.
fn line(row: &JournalRow) -> String {
    let (item, client, ruling) = (&row.item, &row.client, &row.ruling);
    let or = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
    let micros = row.at.as_microsecond() - noon(0).as_microsecond();
    let digest = item.sha256.map_or(String::new(), |sha256| sha256.to_hex());
    format!(
        "{micros} x{} {} {} {} {} {} {} {:?} {} {}",
        row.times,
        or(&client.address),
        or(&client.user),
        or(&client.token),
        or(&item.project),
        or(&item.version),
        or(&item.file),
        ruling.decision,
        or(&ruling.rule),
        digest.get(..8).unwrap_or("-"),
    )
}

#[tokio::test]
async fn what_is_written_comes_back_in_the_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let rules = rules();
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let of_user = JournalEntry {
        user: Some("alice".into()),
        token: Some("ci-1".into()),
        ..file(noon(7), "192.0.2.1", "Six_Pack-1.0-py3-none-any.whl")
    };
    let odd = JournalEntry {
        file: Some(JournalledFile {
            name: "what is this".into(),
            sha256: None,
        }),
        ..file(noon(9), "192.0.2.1", "unused")
    };
    let first = [
        of_user,
        denied(file(noon(3), "2001:db8::1", "six-1.16.tar.gz")),
        odd,
        denied(page(noon(1), "192.0.2.1", "left-pad")),
    ];
    assert_eq!(write(&mut ledger, &first, &rules).await, 4);
    ledger.close().await;
    let mut again = Ledger::open(&path, &rules).await.unwrap();
    let unix = JournalEntry {
        client: None,
        ..file(noon(5), "192.0.2.9", "six-1.17.tar.gz")
    };
    assert_eq!(write(&mut again, &[unix], &rules).await, 1);
    let lines: Vec<String> = all(&path).await.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    1 x1 192.0.2.1 - - left-pad - - Deny web/cool-down -
    3 x1 2001:db8::1 - - six 1.16 six-1.16.tar.gz Deny web/cool-down a9922385
    5 x1 - - - six 1.17 six-1.17.tar.gz Allow - 2c72a3cc
    7 x1 192.0.2.1 alice ci-1 six-pack 1.0 Six_Pack-1.0-py3-none-any.whl Allow - 2e5167f2
    9 x1 192.0.2.1 - - - - what is this Allow - -
    ");
}

#[tokio::test]
async fn pages_have_a_row_a_minute_and_files_one_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let rules = rules();
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let (one, other) = ("192.0.2.1", "192.0.2.2");
    for second in [0, 20, 40, 60] {
        let at = noon(second * 1_000_000);
        let entries = [
            page(at, one, "six"),
            page(at, one, "six"),
            page(at, other, "six"),
            page(at, one, "numpy"),
            file(at, one, "six-1.tar.gz"),
            file(at, one, "six-1.tar.gz"),
        ];
        write(&mut ledger, &entries, &rules).await;
    }
    let rows = all(&path).await;
    let count = |client: &str, project: &str, is_page: bool| {
        let meant = rows.iter().filter(|row| {
            row.client.address.as_deref() == Some(client)
                && row.item.project.as_deref() == Some(project)
                && row.item.file.is_none() == is_page
        });
        meant.map(|row| row.times).collect::<Vec<_>>()
    };
    assert_eq!(count(one, "six", true), [6, 2]);
    assert_eq!(count(other, "six", true), [3, 1]);
    assert_eq!(count(one, "numpy", true), [3, 1]);
    assert_eq!(count(one, "six", false), [1; 8]);
}

#[tokio::test]
async fn everything_of_one_instant_has_a_row_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let rules = rules();
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let mut expected = Vec::new();
    for batch in 0..20 {
        let names = (0..20).map(|number| format!("six-{batch}.{number}.tar.gz"));
        let mut entries: Vec<_> = names
            .map(|name| file(noon(0), "192.0.2.1", &name))
            .collect();
        entries.push(page(noon(0), "192.0.2.1", &format!("page-{batch}")));
        entries.push(page(noon(1), "192.0.2.1", "numpy"));
        write(&mut ledger, &entries, &rules).await;
        expected.extend(
            entries
                .iter()
                .filter_map(|one| Some(one.file.as_ref()?.name.clone())),
        );
    }
    let rows = all(&path).await;
    let mut files: Vec<_> = rows
        .iter()
        .filter_map(|row| row.item.file.clone())
        .collect();
    files.sort();
    expected.sort();
    assert_eq!(files, expected);
    assert!(rows.is_sorted_by_key(|row| row.at));
    let of_numpy = rows
        .iter()
        .filter(|row| row.item.project.as_deref() == Some("numpy"));
    let of_numpy: Vec<u64> = of_numpy.map(|row| row.times).collect();
    assert_eq!(of_numpy, [20], "a row that had to move is found again");
}

#[tokio::test]
async fn it_is_known_who_received_a_file_a_release_or_a_project() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let rules = rules();
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let entries = [
        file(noon(1), "192.0.2.1", "six-1.0.tar.gz"),
        file(noon(2), "192.0.2.2", "six-1.0.0-py3-none-any.whl"),
        file(noon(3), "192.0.2.3", "six-1.1.tar.gz"),
        file(noon(4), "192.0.2.4", "sixty-1.0.tar.gz"),
        page(noon(5), "192.0.2.5", "six"),
        file(noon(6), "192.0.2.6", "six-1.0.tar.gz"),
    ];
    write(&mut ledger, &entries, &rules).await;
    let six = || ProjectName::parse("six").unwrap();
    let digest = Sha256::of(b"six-1.0.tar.gz");
    let table = [
        (JournalSubject::Sha256(digest), noon(0), "16"),
        (JournalSubject::Sha256(digest), noon(2), "6"),
        (JournalSubject::Sha256(Sha256::of(b"")), noon(0), ""),
        (JournalSubject::Project(six()), noon(0), "12356"),
        (JournalSubject::Project(six()), noon(5), "56"),
        (
            JournalSubject::Release(six(), Version::parse("1")),
            noon(0),
            "126",
        ),
        (JournalSubject::All, noon(4), "456"),
    ];
    for (of, since, expected) in table {
        let rows = told(&path, &of, since).await;
        let addresses = rows.iter().filter_map(|row| row.client.address.as_deref());
        let last: String = addresses
            .filter_map(|address| address.chars().last())
            .collect();
        assert_eq!(last, expected, "{of:?} since {since}");
    }
}

#[tokio::test]
async fn a_flood_of_refusals_leaves_room_for_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let mut rules = rules();
    rules.limits.journal_refusals = 10;
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    // One network, with as many addresses as it likes.
    let flood = (0..100).map(|number| {
        let client = format!("2001:db8::{number:x}");
        denied(page(noon(number), &client, &format!("name-{number}")))
    });
    let mut entries: Vec<_> = flood.collect();
    entries.push(denied(page(noon(200), "192.0.2.1", "left-pad")));
    entries.push(file(noon(201), "2001:db8::1", "six-1.0.tar.gz"));
    write(&mut ledger, &entries, &rules).await;
    let rows = all(&path).await;
    assert_eq!(rows.len(), 10 + 1 + 2);
    let rest = &rows[10];
    assert_eq!((rest.times, rest.item.project.as_deref()), (90, None));
    assert_eq!(rest.client.address.as_deref(), Some("2001:db8::"));
}

#[tokio::test]
async fn a_reader_makes_no_file_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    assert!(JournalReader::open(&path).await.unwrap().is_none());
    assert!(!path.exists());
    let rules = rules();
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let mut reader = JournalReader::open(&path).await.unwrap().unwrap();
    write(&mut ledger, &[page(noon(0), "192.0.2.1", "six")], &rules).await;
    let mut rows = reader.rows(&JournalSubject::All, noon(0)).await.unwrap();
    assert!(rows.next().await.unwrap().is_some(), "beside a writer");
    assert!(rows.next().await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_asked_for_is_all_rows_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let rules = rules();
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let mut entries = Vec::new();
    // Every combination of a few clients, files and rulings, some of them often.
    for number in 0..600_i64 {
        let client = format!("192.0.2.{}", number % 17);
        let at = noon(number * 1_000_000);
        let name = format!("six-{}.tar.gz", number % 5);
        entries.push(match number % 7 {
            0 => page(at, &client, "six"),
            1 | 2 => denied(file(at, &client, &name)),
            _ => file(at, &client, &name),
        });
    }
    write(&mut ledger, &entries, &rules).await;
    ledger.close().await;
    type Sums = BTreeMap<Option<String>, (u64, u64, Timestamp, BTreeSet<String>)>;
    for since in [Timestamp::MIN, noon(300_500_000), noon(900_000_000)] {
        let mut expected = Sums::new();
        let rows = told(&path, &JournalSubject::All, since).await;
        for row in &rows {
            let key = row.item.file.as_deref().map(str::to_owned);
            let sum = expected.entry(key).or_default();
            sum.0 += row.times;
            if row.ruling.decision == JournalDecision::Deny {
                sum.1 += row.times;
            }
            sum.2 = sum.2.max(row.at);
            sum.3
                .insert(row.client.address.as_deref().unwrap().to_owned());
        }
        let mut reader = JournalReader::open(&path).await.unwrap().unwrap();
        let (asked, count) = reader.asked(since).await.unwrap();
        assert_eq!(count, rows.len() as u64);
        assert_eq!(asked.len(), expected.len(), "each once");
        let found = asked.into_iter().map(|asked| {
            let clients = asked.clients.iter();
            let names = clients.map(|client| client.address.as_deref().unwrap().to_owned());
            let names: Vec<String> = names.collect();
            let distinct: BTreeSet<String> = names.iter().cloned().collect();
            assert_eq!(names.len(), distinct.len(), "a client twice");
            let key = asked.item.file.as_deref().map(str::to_owned);
            (key, (asked.times, asked.refused, asked.last, distinct))
        });
        assert_eq!(found.collect::<Sums>(), expected);
    }
}
