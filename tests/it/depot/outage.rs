//! A server that goes away and comes back, without a restart of the gateway.

use super::{
    INDEXES, KEY, S3, download, gateway, large, lose_files, readiness, upload, upload_of, url_of,
    wait_until,
};
use crate::support::{Program, Wheel, ask, command, free_address};

#[test]
fn without_its_depot_a_gateway_serves_what_is_here_and_refuses_uploads_until_it_is_back() {
    let s3 = S3::start();
    let yaml = s3.yaml("outage", INDEXES);
    let data = tempfile::tempdir().unwrap();
    let before = gateway(&yaml, data.path()).start();
    let (small, large) = (Wheel::new("hello-pkg", "1.0"), large("2.0"));
    assert_eq!(upload(&before, "1.0").status, 200);
    assert_eq!(upload_of(&before, &large, "2.0").status, 200);
    assert!(before.stop().success());
    lose_files(data.path());
    let gateway = gateway(&yaml, data.path()).start();
    assert_eq!(download(&gateway, &small).bytes, small.build());
    s3.cut();
    let refused = upload(&gateway, "3.0");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("the depot"), "{refused:?}");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    let elsewhere = download(&gateway, &large);
    assert_eq!(elsewhere.status, 503, "{elsewhere:?}");
    assert!(elsewhere.body.contains("the depot"), "{elsewhere:?}");
    assert!(!elsewhere.header("retry-after").is_empty(), "{elsewhere:?}");
    assert_eq!(download(&gateway, &small).bytes, small.build());
    let unready = readiness(&gateway);
    assert_eq!(unready.status, 503, "{unready:?}");
    assert!(unready.body.contains("the depot"), "{unready:?}");
    assert_eq!(gateway.metric("cheesecloth_depot_reachable"), Some(0.0));
    s3.mend();
    gateway.wait_until_ready();
    assert_eq!(gateway.metric("cheesecloth_depot_reachable"), Some(1.0));
    assert_eq!(upload(&gateway, "3.0").status, 200);
    assert_eq!(download(&gateway, &large).bytes, large.build());
}

#[test]
fn a_gateway_that_starts_while_its_depot_is_away_serves_what_is_here_and_goes_on_by_itself() {
    let s3 = S3::start();
    let yaml = s3.yaml("start", INDEXES);
    let data = tempfile::tempdir().unwrap();
    let before = gateway(&yaml, data.path()).start();
    let wheel = Wheel::new("hello-pkg", "1.0");
    assert_eq!(upload(&before, "1.0").status, 200);
    let path = url::Url::parse(&url_of(&before, &wheel))
        .unwrap()
        .path()
        .to_owned();
    assert!(before.stop().success());
    s3.cut();
    let policies = data.path().join("policies.yaml");
    std::fs::write(&policies, &yaml).unwrap();
    let (public, metrics) = (free_address(), free_address());
    let mut serve = command();
    serve.arg("serve").arg("--policies").arg(&policies);
    serve.arg("--data").arg(data.path()).envs(KEY);
    serve.args([
        "--public",
        &public,
        "--manage",
        "off",
        "--metrics",
        &metrics,
    ]);
    let mut serve = serve.spawn().unwrap();
    let url = format!("http://{public}{path}");
    wait_until("it serves", || ask::get(&url).is_ok());
    let answer = ask::get(&url).unwrap();
    assert_eq!((answer.status, answer.bytes), (200, wheel.build()));
    let ready = || {
        ask::get(&format!("http://{metrics}/readyz"))
            .unwrap()
            .status
    };
    assert_eq!(ready(), 503);
    s3.mend();
    wait_until("it is ready", || ready() == 200);
    serve.kill().unwrap();
    serve.wait().unwrap();
}

#[test]
fn a_wrong_object_is_told_counted_and_never_served_until_it_is_uploaded_again() {
    let s3 = S3::start();
    let yaml = s3.yaml(
        "wrong",
        "indexes:\n  team/stage: { acl_upload: [':ANONYMOUS:'], volatile: false }\n",
    );
    let data = tempfile::tempdir().unwrap();
    let mut server = gateway(&yaml, data.path()).start();
    let wheels = [
        (Wheel::new("hello-pkg", "1.0"), "1.0"),
        (large("2.0"), "2.0"),
    ];
    for (wheel, version) in &wheels {
        assert_eq!(upload_of(&server, wheel, version).status, 200);
        let content = wheel.build();
        let digest = cheesecloth::testing::model::Sha256::of(&content).to_hex();
        let key = format!("wrong/p/{}/{digest}", &digest[..2]);
        let mut flipped = content.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&flipped[..], &content[1..]] {
            assert!(server.stop().success());
            lose_files(data.path());
            s3.put(&key, damaged);
            server = gateway(&yaml, data.path()).start();
            let before = wrong(&server);
            // A large one is cut off before its end, which its client notices by the length.
            let answer = ask::get(&url_of(&server, wheel));
            if damaged.len() <= 8 << 20 || damaged.len() != content.len() {
                let answer = answer.unwrap();
                assert_eq!(answer.status, 500, "{answer:?}");
                assert!(answer.body.contains("in the depot"), "{answer:?}");
            } else {
                assert!(answer.is_err(), "{version} was served");
            }
            server.wait_for_metric("cheesecloth_depot_requests_total", |_| {
                wrong(&server) > before
            });
            assert_eq!(upload_of(&server, wheel, version).status, 200);
            assert_eq!(download(&server, wheel).bytes, content);
            assert_eq!(s3.objects()[&key], content.len() as u64);
        }
    }
}

/// How often the depot had something else than its key says.
fn wrong(server: &Program) -> u64 {
    let metrics = server.metrics();
    let of_it = |line: &&str| {
        line.starts_with("cheesecloth_depot_requests_total") && line.contains("result=\"wrong\"")
    };
    let counts = metrics
        .lines()
        .filter(of_it)
        .map(|line| line.rsplit(' ').next().unwrap());
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}
