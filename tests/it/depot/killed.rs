//! Gateways that are killed while files are uploaded.

use std::collections::BTreeSet;
use std::thread;

use super::{INDEXES, S3, STAGE, becomes, gateway, listed, lose_files};
use crate::support::{Form, Program, Wheel, ask};

/// How often a gateway is killed.
const KILLS: usize = 30;

/// Uploads at the same time.
const CLIENTS: usize = 3;

#[test]
fn whenever_it_is_killed_what_was_answered_is_readable_and_nothing_else_visible() {
    let s3 = S3::start();
    let yaml = s3.yaml("killed", INDEXES);
    let data = tempfile::tempdir().unwrap();
    let mut answered = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for round in 0..KILLS {
        let server = gateway(&yaml, data.path()).start();
        let rounds = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let server = &server;
                    scope.spawn(move || uploads(server, &format!("{round}.{client}")))
                })
                .collect();
            // Killed at whatever instant this many uploads are in the bucket.
            let wanted = s3.deposited().len() + 1 + (round * 7) % 30;
            let goes_on = becomes(|| s3.deposited().len() >= wanted);
            server.cut_power();
            assert!(
                goes_on,
                "uploads stop at {} of {wanted} objects",
                s3.deposited().len()
            );
            let rounds = clients.into_iter().map(|client| client.join().unwrap());
            rounds.collect::<Vec<_>>()
        });
        for (done, cut) in rounds {
            asked.extend(done.iter().cloned().chain(cut));
            answered.extend(done);
        }
        lose_files(data.path());
    }
    let server = gateway(&yaml, data.path()).start();
    let listed = listed(&server);
    let names: BTreeSet<_> = listed.iter().map(|(name, _)| name.clone()).collect();
    assert!(
        answered.len() >= KILLS,
        "only {} were answered",
        answered.len()
    );
    assert!(
        answered.is_subset(&names),
        "{:?}",
        answered.difference(&names)
    );
    assert!(names.is_subset(&asked), "{:?}", names.difference(&asked));
    for (name, url) in listed {
        let version = name.split('-').nth(1).unwrap();
        let content = Wheel::new("hello-pkg", version).build();
        let answer = ask::get(&url).unwrap();
        assert_eq!((answer.status, answer.bytes), (200, content), "{name}");
    }
}

/// Uploads until the gateway is gone; returns the names that were answered 200, and the one that was not.
fn uploads(server: &Program, prefix: &str) -> (Vec<String>, Option<String>) {
    let mut done = Vec::new();
    for number in 0.. {
        let version = format!("{prefix}.{number}");
        let wheel = Wheel::new("hello-pkg", &version);
        let form = Form::of_wheel("hello-pkg", &version);
        let name = wheel.filename();
        match form.post(&format!("{}{}/", server.manage_url(), STAGE)) {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                done.push(name);
            }
            Err(_) => return (done, Some(name)),
        }
    }
    (done, None)
}
