//! Writes through the front's management door: to the primary, only once, and visible immediately.

use std::fs;

use super::super::support::{Client, Devpi, Form, Program, Tool, Wheel, ask};
use super::wire::Request;
use super::{installed, make_stable, servers, upload, with_releases};

/// The page that everybody sees at this moment.
#[track_caller]
fn page(front: &Program, project: &str) -> String {
    let url = format!("{}{project}/", front.index_url("packages/stable"));
    ask::get(&url).unwrap().body
}

#[test]
fn devpi_client_manages_through_the_front_and_readers_see_it_at_once() {
    let primary = Devpi::primary();
    let replica = Devpi::replica_of(&primary);
    let front = Program::with_policies(&servers(&[&primary, &replica])).start();
    let manage = front.manage_url().to_owned();

    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", &manage]).succeeds().says(&manage);
    make_stable(&devpi);
    devpi
        .run(&["index", "-c", "packages/live", "bases="])
        .succeeds();
    devpi
        .run(&["use", "packages/stable"])
        .succeeds()
        .says(&manage);
    for version in ["1.0", "2.0", "3.0"] {
        let before = page(&front, "hello-pkg");
        assert!(
            !before.contains(&format!("hello_pkg-{version}")),
            "{before}"
        );
        upload(&devpi, version);
        let after = page(&front, "hello-pkg");
        assert!(after.contains(&format!("hello_pkg-{version}")), "{after}");
    }
    for tool in [Tool::Pip, Tool::Uv] {
        let client = Client::fresh(tool);
        client
            .install(&front.index_url("packages/stable"), &["hello-pkg==3.0"])
            .succeeds();
        assert!(installed(&client, "3.0"), "{tool:?}");
    }
    devpi
        .run(&["push", "hello-pkg==2.0", "packages/live"])
        .succeeds();
    let live = ask::get(&format!("{}hello-pkg/", front.index_url("packages/live"))).unwrap();
    assert!(live.body.contains("hello_pkg-2.0"), "{}", live.body);
    devpi.run(&["remove", "-y", "hello-pkg==3.0"]).succeeds();
    assert!(!page(&front, "hello-pkg").contains("hello_pkg-3.0"));
    devpi.run(&["list", "hello-pkg"]).succeeds().says(&manage);

    // devpi itself tells a client that it needs a login.
    let stranger = Client::fresh(Tool::Devpi);
    stranger.run(&["use", &format!("{manage}packages/stable")]);
    stranger
        .run(&["index", "-c", "packages/other"])
        .fails()
        .says("you need to be logged in");
    let numbers = front.metrics();
    for part in [
        "cheesecloth_devpi_up{server=",
        "cheesecloth_devpi_requests_inflight{server=",
        "cheesecloth_devpi_breaker_open{server=",
        "cheesecloth_devpi_requests_total{result=\"answered\",server=",
    ] {
        let count = numbers
            .lines()
            .filter(|line| line.starts_with(part))
            .count();
        assert_eq!(count, 2, "{part} in {numbers}");
    }
}

/// `packages`, whose password is `x`.
const LOGIN: &str = "Basic cGFja2FnZXM6eA==";

#[test]
fn a_page_that_was_just_made_is_made_anew_after_a_write() {
    let primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let front = Program::with_policies(&servers(&[&primary])).start();
    for (number, version) in ["3.0", "4.0", "5.0"].into_iter().enumerate() {
        let wheel = Wheel::new("hello-pkg", version);
        let upload = Request::new("POST", "/packages/stable/")
            .with("Authorization", LOGIN)
            .with("Content-Type", &Form::content_type())
            .body(&Form::of_wheel("hello-pkg", version).body());
        // So fresh that nothing but the write makes the front ask for it again.
        let before = page(&front, "hello-pkg");
        assert!(!before.contains(&wheel.filename()), "{before}");
        let uploaded = upload.send(front.manage_url()).unwrap();
        let after = page(&front, "hello-pkg");
        assert_eq!(uploaded.status, 200, "{}", uploaded.text());
        assert!(after.contains(&wheel.filename()), "round {number}: {after}");

        let remove = format!("/packages/stable/hello-pkg/{version}");
        let removed = Request::new("DELETE", &remove)
            .with("Authorization", LOGIN)
            .send(front.manage_url())
            .unwrap();
        let after = page(&front, "hello-pkg");
        assert_eq!(removed.status, 200, "{}", removed.text());
        assert!(
            !after.contains(&wheel.filename()),
            "round {number}: {after}"
        );
    }
}

#[test]
fn uploads_of_twine_and_uv_pass_and_too_long_ones_do_not() {
    let primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let limits = "limits: {upload: 64KiB}\n";
    let yaml = format!("{}{limits}", servers(&[&primary]));
    let front = Program::with_policies(&yaml).start();
    let target = format!("{}packages/stable/", front.manage_url());

    let wheel = Wheel::new("by-twine", "1.0");
    let twine = Client::fresh(Tool::Twine);
    fs::write(twine.folder().join(wheel.filename()), wheel.build()).unwrap();
    let login = ["-u", "packages", "-p", "x", "--repository-url", &target];
    twine
        .run(&[&["upload"], &login[..], &[&wheel.filename()]].concat())
        .succeeds();
    assert!(page(&front, "by-twine").contains("by_twine-1.0"));

    let wheel = Wheel::new("by-uv", "1.0");
    let uv = Client::fresh(Tool::Uv);
    fs::write(uv.folder().join(wheel.filename()), wheel.build()).unwrap();
    let login = ["-u", "packages", "-p", "x", "--publish-url", &target];
    uv.run(&[&["publish"], &login[..], &[&wheel.filename()]].concat())
        .succeeds();
    assert!(page(&front, "by-uv").contains("by_uv-1.0"));

    // More than `limits.upload` and the room for the form around it.
    let long = vec![b'x'; (64 << 10) + (9 << 20)];
    let post = Request::new("POST", "/packages/stable/")
        .with("Content-Type", "multipart/form-data; boundary=b")
        .with("Authorization", "Basic cGFja2FnZXM6eA==");
    let announced = post.clone().body(&long).send(front.manage_url()).unwrap();
    let mut chunked = post.clone().with("Transfer-Encoding", "chunked");
    chunked.body = format!("{:x}\r\n", long.len()).into_bytes();
    chunked.body.extend_from_slice(&long);
    chunked.body.extend_from_slice(b"\r\n0\r\n\r\n");
    let chunked = chunked.send(front.manage_url()).unwrap();
    for answer in [announced, chunked] {
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.text().contains("limits.upload"), "{}", answer.text());
    }

    // A body that waits for a 100 is asked for, and devpi's own answer comes back.
    let waiting = post.with("Expect", "100-continue").body(b"--b--\r\n");
    let answer = waiting.send(front.manage_url()).unwrap();
    let direct = waiting.send(&primary.url()).unwrap();
    assert_eq!(answer.status, direct.status, "{}", answer.text());
    assert_eq!(answer.text(), direct.text());
}

/// The third of the nginx configurations that lock a devpi down: uploads at the public address.
#[test]
fn a_public_door_opened_for_uploads_takes_them_to_the_primary_and_nothing_else() {
    let primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let listen = "listen: {public: {allow: [read, upload]}, manage: 'off'}\n";
    let yaml = format!("{}{listen}", servers(&[&primary]));
    let front = Program::with_policies(&yaml).start();

    let wheel = Wheel::new("by-twine", "1.0");
    let twine = Client::fresh(Tool::Twine);
    fs::write(twine.folder().join(wheel.filename()), wheel.build()).unwrap();
    let target = format!("{}packages/stable/", front.public_url());
    let login = ["-u", "packages", "-p", "x", "--repository-url", &target];
    twine
        .run(&[&["upload"], &login[..], &[&wheel.filename()]].concat())
        .succeeds();
    assert!(page(&front, "by-twine").contains("by_twine-1.0"));
    let held = format!("{}packages/stable/+simple/by-twine/", primary.url());
    let held = ask::get(&held).unwrap();
    assert!(held.body.contains("by_twine-1.0"), "{}", held.body);

    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", front.public_url()]).succeeds();
    devpi
        .run(&["login", "packages", "--password", "x"])
        .fails()
        .says("this address does not allow manage operations");
}

#[test]
fn a_write_is_not_sent_to_a_replica_while_the_primary_is_down() {
    let mut primary = Devpi::primary();
    let releases = with_releases(&primary);
    let replica = Devpi::replica_of(&primary);
    let front = Program::with_policies(&servers(&[&primary, &replica])).start();
    let put = Request::new("PUT", "/packages")
        .with("Accept", "application/json")
        .body(b"{}");
    primary.kill();
    let answer = put.send(front.manage_url()).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("no devpi-server answers"));
    let read = Request::get("/packages").with("Accept", "application/json");
    assert_eq!(read.send(front.manage_url()).unwrap().status, 200);
    primary.start();
    drop(releases);
    assert_eq!(put.send(front.manage_url()).unwrap().status, 409);
}

#[test]
fn offline_nothing_is_asked_of_devpi_and_what_is_held_is_served() {
    let primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let data = tempfile::tempdir().unwrap();
    let yaml = servers(&[&primary]);
    let online = Program::with_policies(&yaml).data(data.path()).start();
    let pip = Client::fresh(Tool::Pip);
    pip.install(&online.index_url("packages/stable"), &["hello-pkg==1.0"])
        .succeeds();
    online.kill();
    let offline = Program::with_policies(&yaml)
        .data(data.path())
        .offline()
        .start();
    let pip = Client::fresh(Tool::Pip);
    pip.install(&offline.index_url("packages/stable"), &["hello-pkg==1.0"])
        .succeeds();
    let page = Request::get("/packages/stable/+simple/never-asked/");
    assert_eq!(page.send(offline.public_url()).unwrap().status, 503);
    let api = Request::get("/packages/stable/+api").send(offline.public_url());
    let put = Request::new("PUT", "/me")
        .body(b"{}")
        .send(offline.manage_url());
    for answer in [api.unwrap(), put.unwrap()] {
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("offline"), "{}", answer.text());
    }
    let asked = offline.metric("cheesecloth_devpi_requests_total");
    assert_eq!(asked.unwrap_or(0.0), 0.0, "requests to devpi while offline");
}
