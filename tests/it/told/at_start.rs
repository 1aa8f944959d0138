//! What a start prints besides its doors, what the log says of files that disappear and appear, and
//! how `explain` says that something is not held.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::super::support::{Program, command};

/// `serve` in this folder, with the public door as `arguments` place it.
fn serve(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command();
    command.current_dir(folder).arg("serve").args(arguments);
    command.args(["--manage", "off", "--metrics", "off"]);
    command.env(
        "CHEESECLOTH_MIRROR_URL",
        "https://u:s3cret@upstream.example/simple/",
    );
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The lines of standard output up to the advice on use, and this many more.
fn first_lines(child: &mut Child, more: usize) -> Vec<String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let mut said: Vec<String> = Vec::new();
    for line in lines.by_ref() {
        let is_last = line.starts_with("try ");
        said.push(line);
        if is_last {
            break;
        }
    }
    said.extend(lines.take(more));
    said
}

/// Kills a server, and returns its log.
fn log_of(mut child: Child) -> String {
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_first_run_says_where_everything_is_and_what_to_write_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let mut child = serve(&path, &["--public", "127.0.0.1:0"]).spawn().unwrap();
    let said = first_lines(&mut child, 2);
    let log = log_of(child);
    let here = path.display();
    assert_eq!(said[2], format!("data {here}/data"));
    let next = format!("next write {here}/cheesecloth.yaml: ");
    assert!(said[3].starts_with(&next), "{said:?}");
    // It says which index was found instead of pip's, but never the login for it.
    let found = "upstream found: https://upstream.example/simple/ (by CHEESECLOTH_MIRROR_URL; with a login)";
    assert!(log.contains(found), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
    assert!(
        !log.contains("the public door is open to other machines"),
        "{log}"
    );

    // The second start prints neither, and nobody is told to write a file that exists.
    let mut child = serve(&path, &["--public", "127.0.0.1:0"]).spawn().unwrap();
    let said = first_lines(&mut child, 0);
    drop(log_of(child));
    assert_eq!(said.len(), 2, "{said:?}");
}

#[test]
fn a_file_that_opens_the_public_door_is_told_of() {
    let log = |yaml: &str, arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cheesecloth.yaml"), yaml).unwrap();
        // No folder can be created there, so the start ends before any door is open.
        fs::write(folder.path().join("data"), "").unwrap();
        let output = serve(folder.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let warning = "the public door is open to other machines (0.0.0.0:4040): there is a \
                   configuration file, and it does not say where that door is";
    for yaml in [
        "log: { format: json }\n",
        "listen: { public: { allow: [read] } }\n",
    ] {
        let said = log(yaml, &[]);
        assert!(said.contains(warning), "{yaml}: {said}");
    }
    for yaml in [
        "listen: { public: '0.0.0.0:4040' }\n",
        "listen: { public: off, manage: ':0' }\n",
    ] {
        let said = log(yaml, &["--manage", "127.0.0.1:0"]);
        assert!(!said.contains(warning), "{yaml}: {said}");
    }
    let said = log("log: { format: json }\n", &["--public", "127.0.0.1:0"]);
    assert!(!said.contains(warning), "{said}");
}

#[test]
fn files_that_go_and_come_back_are_told_of() {
    let launch = Program::without_policies();
    let folder = launch.folder().join("pol");
    fs::create_dir_all(folder.join("osv")).unwrap();
    let yaml = "advisories: [osv]\nindexes: { a/stage: { whitelist_files: [uv.lock] } }\n";
    let texts = [
        ("c.yaml", yaml),
        ("osv/1.json", "[]"),
        ("osv/2.json", "[]"),
        ("uv.lock", "version = 1\n"),
    ];
    for (name, text) in texts {
        fs::write(folder.join(name), text).unwrap();
    }
    let shop = launch.argument("--policies").argument(&folder).start();
    let folder = folder.canonicalize().unwrap();
    for (name, text) in texts {
        let file = folder.join(name);
        let told =
            |what: &str| format!("a file of the configuration is {what}: {}", file.display());
        fs::remove_file(&file).unwrap();
        shop.wait_until_it_says(&told("gone"));
        fs::write(&file, text).unwrap();
        shop.wait_until_it_says(&told("back"));
    }
    assert!(shop.stop().success());
}

#[test]
fn explain_says_offline_only_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let yaml = |more: &str| {
        let mirror = "root/dairy: { type: mirror, mirror_url: 'http://127.0.0.1:1/simple/' }";
        format!("indexes: {{ {mirror} }}\n{more}")
    };
    fs::write(path.join("on.yaml"), yaml("")).unwrap();
    fs::write(path.join("off.yaml"), yaml("offline: true\n")).unwrap();
    let said = |arguments: &[&str]| {
        let mut command = command();
        command.current_dir(path);
        command
            .args(["explain", "root/dairy", "sieve"])
            .args(arguments);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let page = "a page of sieve from root/dairy";
    let online = said(&["--policies", "on.yaml"]);
    let wanted = format!("{page} is not held here: it was not asked for yet");
    assert!(online.contains(&wanted), "{online}");
    assert!(!online.contains("offline"), "{online}");
    for arguments in [
        ["--policies", "off.yaml"].as_slice(),
        &["--policies", "on.yaml", "--offline"],
    ] {
        let offline = said(arguments);
        let wanted = format!("this gateway is offline and does not hold {page}");
        assert!(offline.contains(&wanted), "{offline}");
    }
    assert!(!path.join("data").exists(), "explaining makes nothing");
}
