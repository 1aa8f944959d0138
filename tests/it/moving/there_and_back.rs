//! Our own exports, read by ourselves and by the real `devpi-import`.

use std::fs;
use std::path::Path;
use std::thread;

use super::export::{export, import, of_wheels, read, run};
use super::from_devpi::{filled, json_of, page_of, serve};
use crate::support::{Client, Devpi, DevpiServer, Program, Tool, Web, Wheel};

/// A data directory with what the real server of these tests holds.
async fn furnished(folder: &Path) -> std::path::PathBuf {
    let theirs = filled().await;
    let (exported, data) = (folder.join("theirs"), folder.join("data"));
    theirs.export_to(&exported);
    import(&exported, &data).ends_with(0);
    data
}

/// Everything that clients read of the stages, without addresses.
async fn told(server: &Program) -> Vec<String> {
    let web = Web::new();
    let mut told = Vec::new();
    for path in [
        "",
        "packages",
        "qa",
        "packages/stable",
        "packages/develop",
        "packages/mirror?no_projects=",
        "packages/stable/hello-pkg",
        "packages/develop/hello-pkg",
        "packages/stable/hello-pkg/1.0",
    ] {
        let json = json_of(&web, &format!("{}{path}", server.public_url())).await;
        told.push(json["result"].to_string());
    }
    for index in ["packages/stable", "packages/develop"] {
        let page = format!("{}hello-pkg/", server.index_url(index));
        told.push(web.page(&page).await.value.to_string());
        told.push(web.page(&server.index_url(index)).await.value.to_string());
    }
    let address = server.public_url().trim_end_matches('/');
    told.iter().map(|text| text.replace(address, "")).collect()
}

#[tokio::test]
async fn what_is_exported_is_the_same_here_and_in_devpi_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = furnished(folder.path()).await;
    let first = serve(&data);
    // What only we know of files has to be exported too, so one comes from an upload of our own.
    let devpi = Client::fresh(Tool::Devpi);
    let wheel = Wheel::new("hello-pkg", "9.0").requires_python(">=3.5");
    fs::write(devpi.folder().join(wheel.filename()), wheel.build()).unwrap();
    for line in [
        &["use", first.manage_url()][..],
        &["login", "packages", "--password", "s3cret"],
        &["use", "packages/develop"],
        &["upload", &wheel.filename()],
    ] {
        devpi.run(line).succeeds();
    }
    let before = told(&first).await;
    // While the server is running.
    let out = folder.path().join("out");
    let report = export(&data, &out).ends_with(0).report();
    assert_eq!(report["files"], 9, "{report}");
    assert_eq!(told(&first).await, before);

    let again = folder.path().join("again");
    let report = import(&out, &again).ends_with(0).report();
    assert_eq!(report["files"], 9, "{report}");
    let second = serve(&again);
    assert_eq!(told(&second).await, before);
    devpi.run(&["use", second.manage_url()]).succeeds();
    devpi.run(&["login", "qa", "--password", "pw"]).succeeds();
    drop(second);

    let third = folder.path().join("third");
    export(&again, &third).ends_with(0);
    assert_eq!(
        read(&third),
        read(&out),
        "and so is what is exported of that"
    );
    devpi_imports_and_serves_it(&out, &first).await;
}

async fn devpi_imports_and_serves_it(out: &Path, ours: &Program) {
    let theirs = Devpi::importing(out);
    let web = Web::new();
    for index in ["packages/stable", "packages/develop"] {
        let there = page_of(&web, &theirs.url(), index).await;
        assert_eq!(there, page_of(&web, ours.public_url(), index).await);
        let pip = Client::fresh(Tool::Pip);
        let url = format!("{}{index}/+simple/", theirs.url());
        pip.install(&url, &["hello-pkg==1.0"]).succeeds();
    }
    let version = json_of(
        &web,
        &format!("{}packages/stable/hello-pkg/1.0", theirs.url()),
    )
    .await;
    let links = version["result"]["+links"].as_array().unwrap();
    let mut rels: Vec<_> = links
        .iter()
        .map(|link| link["rel"].as_str().unwrap())
        .collect();
    rels.sort_unstable();
    assert_eq!(rels, ["doczip", "releasefile", "releasefile", "toxresult"]);
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", &theirs.url()]).succeeds();
    for (user, password) in [("packages", "s3cret"), ("root", "toor")] {
        devpi
            .run(&["login", user, "--password", password])
            .succeeds();
    }
}

#[test]
fn an_export_goes_into_an_empty_directory_and_is_whole_or_marked() {
    let folder = tempfile::tempdir().unwrap();
    let (source, data) = (folder.path().join("source"), folder.path().join("data"));
    fs::create_dir(&source).unwrap();
    of_wheels(&source, 3);
    let out = folder.path().join("out");
    let told = export(&data, &out).ends_with(2).stderr;
    assert!(told.contains("holds no data"), "{told}");
    import(&source, &data).ends_with(0);
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine"), "").unwrap();
    let told = export(&data, &out).ends_with(2).stderr;
    assert!(
        told.contains("is not empty: name a directory that is new or empty"),
        "{told}"
    );
    fs::remove_file(out.join("mine")).unwrap();

    // Bytes that are missing, and bytes that have changed.
    let kept = |number: usize| {
        let digest = &read(&source)["indexes"]["root/dev"]["files"][number]["entrymapping"];
        let digest = digest["hashes"]["sha256"].as_str().unwrap().to_owned();
        data.join("private").join(&digest[..2]).join(&digest[2..])
    };
    let (gone, damaged) = (fs::read(kept(0)).unwrap(), fs::read(kept(1)).unwrap());
    fs::remove_file(kept(0)).unwrap();
    fs::write(kept(1), "other").unwrap();
    let report = export(&data, &out).ends_with(1).report();
    let faults = report["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{report}");
    assert!(
        report
            .to_string()
            .contains("its bytes are not in the store")
    );
    assert!(
        report
            .to_string()
            .contains("its bytes in the store are damaged")
    );
    let told = import(&out, &folder.path().join("new")).ends_with(2).stderr;
    assert!(told.contains("holds an export that broke off"), "{told}");
    let told = export(&data, &out).ends_with(2).stderr;
    assert!(
        told.contains("holds an export that broke off: remove it"),
        "{told}"
    );

    fs::write(kept(0), gone).unwrap();
    fs::write(kept(1), damaged).unwrap();
    fs::remove_dir_all(&out).unwrap();
    export(&data, &out).ends_with(0);
    assert!(!out.join("export-incomplete").exists());
    let mode = std::os::unix::fs::PermissionsExt::mode;
    let index = out.join("dataindex.json").metadata().unwrap().permissions();
    assert_eq!(mode(&index) & 0o777, 0o600, "password hashes are in it");
}

#[test]
fn an_export_is_of_one_moment_while_uploads_go_on() {
    let server = DevpiServer::start();
    let devpi = Client::fresh(Tool::Devpi);
    for line in [
        &["use", server.url()][..],
        &["login", "root", "--password", ""],
        &["index", "-c", "root/dev", "bases="],
        &["use", "root/dev"],
    ] {
        devpi.run(line).succeeds();
    }
    let mut files = Vec::new();
    for number in 1..=12 {
        let wheel = Wheel::new("hello-pkg", &format!("{number}.0"));
        fs::write(devpi.folder().join(wheel.filename()), wheel.build()).unwrap();
        files.push(wheel.filename());
    }
    let (folder, serverdir) = (tempfile::tempdir().unwrap(), server.serverdir());
    thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            for file in &files {
                devpi.run(&["upload", file]).succeeds();
            }
        });
        let mut number = 0;
        while !uploads.is_finished() {
            number += 1;
            let out = folder.path().join(format!("out-{number}"));
            let place = ["devpi-export", "--serverdir", serverdir.to_str().unwrap()];
            run(&place, &[&out]).ends_with(0);
            let data = folder.path().join(format!("data-{number}"));
            import(&out, &data).ends_with(0);
        }
        assert!(number > 0);
    });
}
