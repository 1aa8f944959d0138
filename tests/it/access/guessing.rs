//! Many password guesses sent at the same time.

use std::thread;

use serde_json::json;

use super::super::support::{Door, Program, ask};

/// Guesses sent together.
const GUESSES: usize = 60;

/// How many are checked before the next one has to wait.
const LOOKED_AT: usize = 6;

#[tokio::test]
async fn guesses_at_the_same_time_are_no_more_than_one_after_the_other() {
    let program = Program::with_policies("indexes: { root/acme: { bases: [] } }\n").start();
    let door = Door::at(program.manage_url());
    let made = door.ask("PUT", "/me", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let url = format!("{}+login", program.manage_url());
    let statuses: Vec<u16> = thread::scope(|scope| {
        let guess = |number: usize| {
            let url = &url;
            scope.spawn(move || {
                let body = json!({"user": "me", "password": format!("guess {number}")});
                let got = ask::send("POST", url, &[], body.to_string().as_bytes());
                got.unwrap().status
            })
        };
        let sent: Vec<_> = (0..GUESSES).map(guess).collect();
        sent.into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
    // On a busy machine a debug build may take longer for one guess than the first wait lasts; then
    // one more has waited for its turn.
    assert!(count(401) <= LOOKED_AT + 1, "{statuses:?}");
    assert_eq!(count(401) + count(429), GUESSES, "{statuses:?}");
}
