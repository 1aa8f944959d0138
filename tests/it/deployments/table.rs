//! The table: rows, clients, results.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// The number of rows in each of the five deployments; none may be forgotten.
const ROWS: [usize; 5] = [8, 11, 5, 6, 7];

/// Rows and their results. Several deployments fill it in parallel.
#[derive(Default)]
pub(super) struct Table {
    rows: Mutex<Vec<Row>>,
}

struct Row {
    name: &'static str,
    client: &'static str,
    result: Outcome,
}

enum Outcome {
    Works,
    Fails,
    Elsewhere(&'static str),
}

impl Table {
    /// Runs the commands of a row; it works if nothing panics.
    pub(super) fn row(&self, name: &'static str, client: &'static str, work: impl FnOnce()) {
        let result = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(()) => Outcome::Works,
            Err(_) => Outcome::Fails,
        };
        self.push(name, client, result);
    }

    /// Notes a row that no client can show, and what covers it instead.
    pub(super) fn elsewhere(&self, name: &'static str, shown_by: &'static str) {
        self.push(name, "-", Outcome::Elsewhere(shown_by));
    }

    fn push(&self, name: &'static str, client: &'static str, result: Outcome) {
        let row = Row {
            name,
            client,
            result,
        };
        self.rows.lock().unwrap().push(row);
    }

    /// Prints the table.
    ///
    /// # Panics
    /// When a row fails or is missing.
    pub(super) fn finish(self) {
        let mut rows = self.rows.into_inner().unwrap();
        rows.sort_by_key(|row| number(row.name));
        for row in &rows {
            let result = match row.result {
                Outcome::Works => "works".to_owned(),
                Outcome::Fails => "FAILS".to_owned(),
                Outcome::Elsewhere(shown_by) => format!("see {shown_by}"),
            };
            eprintln!("{:<6} {:<22} {result}", row.name, row.client);
        }
        for (deployment, count) in (1..).zip(ROWS) {
            for row in 1..=count {
                let is_there = rows.iter().any(|one| number(one.name) == (deployment, row));
                assert!(is_there, "D{deployment}.{row} is missing");
            }
        }
        let failed = rows
            .iter()
            .filter(|row| matches!(row.result, Outcome::Fails));
        let failed: Vec<_> = failed.map(|row| (row.name, row.client)).collect();
        assert!(failed.is_empty(), "{failed:?} fail");
    }
}

/// `D2.10` as the numbers 2 and 10.
fn number(name: &str) -> (usize, usize) {
    let numbers = name.trim_start_matches('D').split_once('.');
    let numbers =
        numbers.and_then(|(deployment, row)| Some((deployment.parse().ok()?, row.parse().ok()?)));
    numbers.unwrap_or_else(|| panic!("{name} is no row"))
}

#[test]
fn a_row_that_fails_fails_the_table() {
    let table = Table::default();
    for (deployment, count) in [(1, 8), (2, 11), (3, 5), (4, 6), (5, 7)] {
        for row in 1..=count {
            table.elsewhere(format!("D{deployment}.{row}").leak(), "nothing");
        }
    }
    table.row("D1.1", "none", || panic!("as asked"));
    let outcome = catch_unwind(AssertUnwindSafe(|| table.finish()));
    let words = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(words, r#"[("D1.1", "none")] fail"#);
}
