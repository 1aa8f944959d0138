//! What people do in a day, with their own tools, over a disk that is lost in between.

use std::fs;

use super::{
    INDEXES, S3, download, gateway, large, lose_files, upload, upload_of, url_of, waiting,
};
use crate::postgres::{in_postgres, schema, wait_for};
use crate::support::{Client, Cluster, Tool, Web, Wheel, ask, paths_below};

#[test]
fn what_twine_uploads_pip_installs_from_a_gateway_whose_disk_is_lost() {
    let s3 = S3::start();
    let yaml = s3.yaml("team/day", INDEXES);
    let data = tempfile::tempdir().unwrap();
    let before = gateway(&yaml, data.path()).start();
    let twine = Client::fresh(Tool::Twine);
    let wheel = Wheel::new("hello-pkg", "1.0");
    fs::write(twine.folder().join(wheel.filename()), wheel.build()).unwrap();
    let repository = format!("{}team/stage/", before.manage_url());
    let words = ["upload", "--non-interactive", "-u", "", "-p", ""];
    let name = wheel.filename();
    let place = ["--repository-url", &repository, &name];
    twine.run(&[&words[..], &place].concat()).succeeds();
    assert_eq!(upload_of(&before, &large("2.0"), "2.0").status, 200);
    // Two files, and what each says of itself.
    assert_eq!(s3.deposited().len(), 4, "{:?}", s3.objects());
    assert!(waiting(data.path()).is_empty());
    assert!(before.stop().success());

    lose_files(data.path());
    let after = gateway(&yaml, data.path()).start();
    for version in ["1.0", "2.0"] {
        let pip = Client::fresh(Tool::Pip);
        let from = after.index_url("team/stage");
        let wanted = format!("hello-pkg=={version}");
        pip.install(&from, &[&wanted]).succeeds();
    }
    assert!(waiting(data.path()).is_empty());
    // From here on the disk has them.
    s3.cut();
    assert_eq!(download(&after, &large("2.0")).bytes, large("2.0").build());
}

/// A method, headers, and the status and content that answer them.
type Asked<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a [u8]);

#[test]
fn ranges_heads_and_sidecars_come_from_the_depot_too() {
    let s3 = S3::start();
    let yaml = s3.yaml("ranges", INDEXES);
    let data = tempfile::tempdir().unwrap();
    let mut server = gateway(&yaml, data.path()).start();
    let wheels = [
        (Wheel::new("hello-pkg", "1.0"), "1.0"),
        (large("2.0"), "2.0"),
    ];
    for (wheel, version) in &wheels {
        assert_eq!(upload_of(&server, wheel, version).status, 200);
    }
    for (wheel, _) in &wheels {
        let content = wheel.build();
        let asks: [Asked<'_>; 4] = [
            ("HEAD", &[], 200, b""),
            ("GET", &[("Range", "bytes=10-19")], 206, &content[10..20]),
            (
                "GET",
                &[("Range", "bytes=-100")],
                206,
                &content[content.len() - 100..],
            ),
            ("GET", &[], 200, &content),
        ];
        for (method, headers, status, expected) in asks {
            assert!(server.stop().success());
            lose_files(data.path());
            server = gateway(&yaml, data.path()).start();
            let url = url_of(&server, wheel);
            if method == "HEAD" {
                let head = wait_for(async { Web::new().head_with(&url, &[]).await });
                assert_eq!(head.status, status);
                assert_eq!(head.header("content-length"), content.len().to_string());
                continue;
            }
            let answer = ask::send(method, &url, headers, b"").unwrap();
            assert_eq!(answer.status, status, "{method} {headers:?}");
            assert!(answer.bytes == expected, "{method} {headers:?}");
        }
        assert!(server.stop().success());
        lose_files(data.path());
        server = gateway(&yaml, data.path()).start();
        let sidecar = format!("{}.metadata", url_of(&server, wheel));
        assert_eq!(ask::get(&sidecar).unwrap().body, wheel.metadata());
        // It alone came, and not the wheel.
        let lengths = paths_below(&data.path().join("files"));
        let lengths = lengths.iter().map(|path| path.metadata().unwrap().len());
        assert!(lengths.max().unwrap_or_default() < content.len() as u64);
    }
}

#[test]
fn a_second_gateway_over_the_same_records_serves_what_the_first_took() {
    let (s3, cluster) = (S3::start(), Cluster::shared());
    let records = in_postgres(&schema(&cluster), INDEXES);
    let yaml = s3.yaml("second", &records);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = gateway(&yaml, folders[0].path()).start();
    assert_eq!(upload(&first, "1.0").status, 200);
    assert!(first.stop().success());
    let second = gateway(&yaml, folders[1].path()).start();
    let pip = Client::fresh(Tool::Pip);
    let from = second.index_url("team/stage");
    pip.install(&from, &["hello-pkg==1.0"]).succeeds();
    assert_eq!(upload(&second, "2.0").status, 200);
}
