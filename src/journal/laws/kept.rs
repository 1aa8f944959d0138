//! What has to go goes, and nothing else.

use std::path::Path;

use crate::journal::laws::support::{all, denied, file, noon, page, rules, write};
use crate::journal::ledger::Ledger;
use crate::journal::open::{JOURNAL_FILE, bytes_of};

#[tokio::test]
async fn what_is_too_old_goes_with_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let mut rules = rules();
    rules.limits.journal_removed = 3;
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    let day = 86_400_000_000;
    let old: Vec<_> = (0..20)
        .map(|number| {
            file(
                noon(number),
                &format!("192.0.2.{number}"),
                &format!("old-{number}.zip"),
            )
        })
        .collect();
    write(&mut ledger, &old, &rules).await;
    let both = file(noon(2 * day), "192.0.2.19", "old-19.zip");
    write(&mut ledger, std::slice::from_ref(&both), &rules).await;
    let now = noon(2 * day + 1);
    let mut rounds = 1;
    while !ledger.remove_old((noon(day), now), &rules).await.unwrap() {
        rounds += 1;
    }
    assert_eq!(rounds, 2, "a few transactions at a time");
    let rows = all(&path).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].item.file.as_deref(), Some("old-19.zip"));
    assert_eq!(ledger.oldest().await.unwrap(), Some(noon(2 * day)));
    let left: i64 =
        sqlx::query_scalar("SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM clients)")
            .fetch_one(&mut ledger.connection)
            .await
            .unwrap();
    assert_eq!(left, 2);
    // What is written from now on names rows that are there.
    write(&mut ledger, &[old[3].clone(), both], &rules).await;
    assert_eq!(all(&path).await.len(), 3);
}

#[tokio::test]
async fn the_oldest_make_room_for_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let mut rules = rules();
    rules.disk = 1 << 20;
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    for batch in 0..20 {
        let entries: Vec<_> = (0..5_000)
            .map(|number| {
                let name = format!("six-{}.tar.gz", number % 7);
                file(noon(batch * 1_000_000 + number), "192.0.2.1", &name)
            })
            .collect();
        write(&mut ledger, &entries, &rules).await;
        while !ledger.make_room(noon(0), &rules).await.unwrap() {}
    }
    let rows = all(&path).await;
    assert!(rows.len() > 10_000, "{}", rows.len());
    assert_eq!(rows.last().unwrap().at, noon(19_004_999));
    assert!(rows[0].at > noon(10_000_000), "{}", rows[0].at);
    rules.disk = 256 << 10;
    while !ledger.make_room(noon(0), &rules).await.unwrap() {}
    assert!(ledger.shrink(&rules).await.unwrap());
    ledger.close().await;
    assert!(bytes_of(&path) <= 256 << 10, "{}", bytes_of(&path));
    assert!(all(&path).await.len() > 1_000);
}

/// Whether a text stands anywhere in the files of the journal.
fn stands(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn addresses_that_are_left_out_are_nowhere_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let mut rules = rules();
    let mut entries = vec![denied(page(noon(1), "203.0.113.77", "left-pad"))];
    for number in 0..500 {
        let address = format!("203.0.113.{}", number % 200);
        entries.push(file(
            noon(10 + number),
            &address,
            &format!("six-{number}.zip"),
        ));
    }
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    write(&mut ledger, &entries, &rules).await;
    assert!(
        stands(folder.path(), "203.0.113."),
        "they are kept unless told otherwise"
    );
    ledger.close().await;
    rules.has_clients = false;
    let mut ledger = Ledger::open(&path, &rules).await.unwrap();
    ledger.remove_addresses().await.unwrap();
    assert!(
        !stands(folder.path(), "203.0.113."),
        "those of before are removed"
    );
    write(&mut ledger, &entries, &rules).await;
    ledger.remove_addresses().await.unwrap();
    assert!(!stands(folder.path(), "203.0.113."), "none is added");
    assert_eq!(all(&path).await.len(), 2 * entries.len());
}
