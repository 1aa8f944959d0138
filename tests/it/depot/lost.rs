//! Objects that are gone from the bucket though a record needs them.

use super::{INDEXES, S3, gateway, lose_files, upload, url_of};
use crate::support::{Wheel, ask};

#[test]
fn whoever_asks_for_the_metadata_of_a_lost_file_hears_what_whoever_asks_for_the_file_hears() {
    let s3 = S3::start();
    let yaml = s3.yaml("lost", INDEXES);
    let data = tempfile::tempdir().unwrap();
    let before = gateway(&yaml, data.path()).start();
    assert_eq!(upload(&before, "1.0").status, 200);
    assert!(before.stop().success());
    lose_files(data.path());
    for key in s3.deposited() {
        s3.lose(&key);
    }
    let server = gateway(&yaml, data.path()).start();
    let url = url_of(&server, &Wheel::new("hello-pkg", "1.0"));
    for asked in [format!("{url}.metadata"), url] {
        let answer = ask::get(&asked).unwrap();
        assert_eq!(answer.status, 500, "{answer:?}");
        let words = "the bytes of hello_pkg-1.0-py3-none-any.whl, which was uploaded here, are missing \
                     from the depot; upload the same file again, or restore it from a backup";
        assert!(answer.body.contains(words), "{answer:?}");
    }
    assert_eq!(upload(&server, "1.0").status, 200);
    let url = url_of(&server, &Wheel::new("hello-pkg", "1.0"));
    assert_eq!(ask::get(&format!("{url}.metadata")).unwrap().status, 200);
}
