//! What nobody needs any more is removed from the bucket, and nothing else, however often it is looked for.

use std::thread;

use super::{S3, download, gateway, listed, lose_files, upload, wait_until};
use crate::support::{Program, Wheel, ask};

/// A stage whose files may be deleted by anybody, and a collector that never rests.
const HASTY: &str = "\
indexes:
  team/stage: { acl_upload: [':ANONYMOUS:'], volatile: true }
limits: { collect_after: 100ms }
";

fn hasty(s3: &S3, prefix: &str) -> String {
    let place = s3.place(prefix);
    format!("depot: {{ s3: {place}, grace: 1s, collect_every: 10ms }}\n{HASTY}")
}

fn delete(gateway: &Program, version: &str) -> u16 {
    let url = format!("{}team/stage/hello-pkg/{version}", gateway.manage_url());
    ask::send("DELETE", &url, &[], b"").unwrap().status
}

#[test]
fn what_is_deleted_leaves_the_bucket_and_what_stays_stays() {
    let s3 = S3::start();
    let yaml = hasty(&s3, "gone");
    let data = tempfile::tempdir().unwrap();
    let gateway = gateway(&yaml, data.path()).start();
    for version in ["1.0", "2.0"] {
        assert_eq!(upload(&gateway, version).status, 200);
    }
    assert_eq!(s3.deposited().len(), 4);
    s3.put("gone/p/notes.txt", b"not ours");
    assert_eq!(delete(&gateway, "1.0"), 200);
    wait_until("what was deleted is gone", || s3.deposited().len() == 3);
    let wheel = Wheel::new("hello-pkg", "2.0");
    assert_eq!(download(&gateway, &wheel).bytes, wheel.build());
    assert!(s3.objects().contains_key("gone/p/notes.txt"));
}

#[test]
fn objects_of_others_are_told_and_do_not_keep_the_rest_from_being_collected() {
    let s3 = S3::start();
    let yaml = hasty(&s3, "foreign");
    let data = tempfile::tempdir().unwrap();
    let gateway = gateway(&yaml, data.path()).start();
    assert_eq!(upload(&gateway, "1.0").status, 200);
    // No path of the client's has an empty segment, or a line's end.
    let foreign = ["foreign/p/00//x", "foreign/p/ab/a%0Ab", "foreign/p/ff/"];
    for key in foreign {
        s3.put(key, b"not ours");
    }
    assert_eq!(delete(&gateway, "1.0"), 200);
    wait_until("what was deleted is gone", || s3.deposited().len() == 3);
    let left = s3.objects();
    assert!(left.contains_key("foreign/p/ab/a\nb"), "{left:?}");
    gateway.wait_until_it_says("3 objects below p/ that no gateway has put there");
}

#[test]
fn uploads_are_never_lost_to_a_collector_that_never_rests() {
    const ROUNDS: usize = 40;
    let s3 = S3::start();
    let yaml = hasty(&s3, "tight");
    let data = tempfile::tempdir().unwrap();
    let server = gateway(&yaml, data.path()).start();
    // The same bytes come and go, so that what is garbage one moment is needed the next.
    thread::scope(|scope| {
        for client in 0..3 {
            let server = &server;
            scope.spawn(move || {
                let version = format!("{client}.0");
                let wheel = Wheel::new("hello-pkg", &version);
                for round in 0..ROUNDS {
                    let answer = upload(server, &version);
                    assert_eq!(answer.status, 200, "round {round}: {answer:?}");
                    let answer = download(server, &wheel);
                    assert_eq!(answer.status, 200, "round {round}: {answer:?}");
                    assert_eq!(answer.bytes, wheel.build(), "round {round}");
                    assert_eq!(delete(server, &version), 200);
                }
                assert_eq!(upload(server, &version).status, 200);
            });
        }
    });
    assert_eq!(listed(&server).len(), 3);
    // Only what is needed is left, and all of that.
    wait_until("only what is needed is left", || s3.deposited().len() == 6);
    assert!(server.stop().success());
    lose_files(data.path());
    let again = gateway(&yaml, data.path()).start();
    for client in 0..3 {
        let wheel = Wheel::new("hello-pkg", &format!("{client}.0"));
        assert_eq!(download(&again, &wheel).bytes, wheel.build());
    }
}
