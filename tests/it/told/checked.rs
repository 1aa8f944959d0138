//! `check` reads what a server would and says what it read; a missing file is exit 2 for every
//! command.

use std::fs;
use std::path::Path;

use super::super::support::{command, tls};

/// Runs a command in a folder; returns its exit code and its output, without the folder's own path.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command();
    for name in ["CHEESECLOTH_MIRROR_URL", "PIP_INDEX_URL"] {
        command.env_remove(name);
    }
    let output = command.current_dir(folder).args(arguments).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let folder = folder.canonicalize().unwrap();
    let text = text.replace(&format!("{}", folder.display()), "HERE");
    (output.status.code(), text.trim_end().to_owned())
}

const YAML: &str = "\
advisories: [osv]
indexes:
  root/dairy: { type: mirror, mirror_url: 'https://upstream.example/simple/', username: u, password_file: secret }
  shop/all: { bases: [root/dairy], whitelist_files: [uv.lock] }
listen:
  manage: { address: '127.0.0.1:0', tls: { cert: cert.pem, key: key.pem } }
";

#[test]
fn check_reads_certificates_and_passwords_and_says_what_it_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    tls::self_signed(path, "localhost");
    fs::create_dir(path.join("osv")).unwrap();
    for (name, text) in [
        ("cheesecloth.yaml", YAML),
        ("secret", "s3cret"),
        ("uv.lock", "version = 1\n"),
        ("osv/1.json", "[]"),
    ] {
        fs::write(path.join(name), text).unwrap();
    }
    let (code, said) = run(path, &["check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no faults"), "{said}");
    assert!(said.contains(" in cheesecloth.yaml\n"), "{said}");
    let named = "with what is named there: cert.pem, key.pem, osv, secret, uv.lock";
    assert!(said.ends_with(named), "{said}");
    let (_, json) = run(path, &["check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"], serde_json::json!(["cheesecloth.yaml"]));
    assert_eq!(json["named"][0], "cert.pem");

    // Each is a fault, as it would be at the start.
    let key = fs::read_to_string(path.join("key.pem")).unwrap();
    tls::self_signed(path, "localhost");
    fs::write(path.join("key.pem"), key).unwrap();
    let (code, said) = run(path, &["check"]);
    assert_eq!(code, Some(1), "{said}");
    let pair = "listen.manage.tls: cert.pem and key.pem do not make a pair: ";
    assert!(said.starts_with(pair), "{said}");
    assert!(said.contains("1 fault in cheesecloth.yaml\n"), "{said}");
    fs::remove_file(path.join("cert.pem")).unwrap();
    fs::remove_file(path.join("secret")).unwrap();
    let (code, said) = run(path, &["check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("listen.manage.tls: read cert.pem: "),
        "{said}"
    );
    assert!(said.contains("password_file: cannot read secret"), "{said}");
}

#[test]
fn a_lock_file_is_checked_against_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let yaml = "\
indexes:
  root/dairy: { type: mirror, mirror_url: 'https://upstream.example/simple/', policy: house }
  shop/all: { bases: [root/dairy] }
policies:
  house:
    rules:
      - deny: { id: holes, project: sieve, versions: '>=2', reason: 'too large holes' }
      - deny: { id: fresh, project: whey, younger_than: 7d }
";
    fs::write(path.join("cheesecloth.yaml"), yaml).unwrap();
    fs::write(path.join("lock.txt"), "sieve==2.0\nwhey==1.0\nsalt==1.0\n").unwrap();
    for arguments in [
        &["check", "lock.txt", "--index", "shop/all"][..],
        &[
            "check",
            "cheesecloth.yaml",
            "lock.txt",
            "--index",
            "shop/all",
        ],
    ] {
        let (code, said) = run(path, arguments);
        assert_eq!(code, Some(1), "{said}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @"
            no faults in cheesecloth.yaml
            lock.txt:1: sieve 2.0 is refused through shop/all by house/holes (cheesecloth.yaml:7): too large holes
            warning: lock.txt:2: whey 1.0 may be refused through shop/all by house/fresh (cheesecloth.yaml:8): it has no upload-time, which this rule needs: project: whey, younger_than: 7d
            lock.txt through shop/all: 1 of 3 entries refused, 1 depend on what the file does not state
            ");
        }
    }
    fs::write(path.join("lock.txt"), "whey==1.0\nsalt==1.0\n").unwrap();
    assert_eq!(run(path, &["check", "lock.txt"]).0, Some(0));
    assert_eq!(run(path, &["check", "lock.txt", "--strict"]).0, Some(1));
    let (_, json) = run(path, &["check", "lock.txt", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let finding = &json["lockfiles"][0]["findings"][0];
    assert_eq!(finding["rule"], "house/fresh", "{json}");
    assert_eq!(finding["certain"], false, "{json}");

    fs::write(path.join("lock.txt"), "whey ~ 1.0\n").unwrap();
    let (code, said) = run(path, &["check", "lock.txt"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("lock.txt:1:1: "), "{said}");
    for arguments in [
        &["check", "no.lock"][..],
        &["check", "lock.txt", "--index", "shop/no"],
    ] {
        fs::write(path.join("lock.txt"), "salt==1.0\n").unwrap();
        let (code, said) = run(path, arguments);
        assert_eq!(code, Some(2), "{said}");
    }
}

#[test]
fn what_reading_finds_hides_nothing_of_what_shows_later() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "indexes: { a/b: { bases: [a/c], polcy: p, policy: q, volatile: maybe } }\n";
    fs::write(folder.path().join("c.yaml"), yaml).unwrap();
    let (code, said) = run(folder.path(), &["check", "c.yaml"]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(said, @r#"
    c.yaml:1:27: unknown base "a/c", did you mean "a/b"?
    c.yaml:1:33: unknown key "polcy", did you mean "policy"?
    c.yaml:1:51: unknown policy "q"
    c.yaml:1:64: volatile: "maybe" is not true or false
    4 faults in c.yaml
    "#);
}

#[test]
fn a_file_of_devpis_is_checked_as_devpi_server_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write = |text: &str| fs::write(path.join("devpi.yml"), text).unwrap();
    write("devpi-server:\n  port: 4000\n  outside-url: https://devpi.example/\n");
    let (code, said) = run(path, &["check", "devpi.yml"]);
    assert_eq!((code, said.as_str()), (Some(0), "no faults in devpi.yml"));
    for (wrong, words) in [
        ("port: many", "many"),
        ("prot: 4000", "--prot"),
        ("hard-links: true", "--hard-links"),
        ("port: {a: 1}", "devpi.yml:2:9: a word is expected"),
    ] {
        write(&format!("devpi-server:\n  {wrong}\n"));
        let (code, said) = run(path, &["check", "devpi.yml"]);
        assert_eq!(code, Some(1), "{wrong}: {said}");
        assert!(said.starts_with("devpi.yml"), "{said}");
        assert!(said.contains(words), "{wrong}: {said}");
        assert!(said.ends_with("1 fault in devpi.yml"), "{said}");
    }
}

#[test]
fn what_the_environment_names_for_mirrors_without_an_upstream_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("c.yaml"), "log: { format: text }\n").unwrap();
    let said = |url: &str| {
        let mut command = command();
        command.env("CHEESECLOTH_MIRROR_URL", url);
        command.current_dir(folder.path()).args(["check", "c.yaml"]);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, own) = said("http://127.0.0.1:4040/root/pypi/+simple/");
    assert_eq!(code, Some(1), "{own}");
    assert!(own.contains("leads back to this gateway"), "{own}");
    assert_eq!(said("ftp://upstream.example/").0, Some(1));
    assert_eq!(said("https://upstream.example/simple/").0, Some(0));
}

#[test]
fn a_folder_without_policies_and_a_path_that_is_not_there_are_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("empty")).unwrap();
    let (code, said) = run(path, &["check"]);
    assert_eq!(code, Some(2), "{said}");
    let wanted = "there is no cheesecloth.yaml in HERE: name a file, or a folder of them";
    assert_eq!(said, wanted);
    let (code, said) = run(path, &["check", "empty"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("cannot read empty: no *.yaml in it"),
        "{said}"
    );
    let commands: [&[&str]; 14] = [
        &["check", "no"],
        &["check", "no", "--json"],
        &["serve", "--policies", "no"],
        &["explain", "root/pypi", "six", "--policies", "no"],
        &["explain", "root/pypi", "six", "--data", "no"],
        &["import", "no"],
        &["import", "no", "--check"],
        &["restore", "no"],
        &["export", "out", "--data", "no"],
        &["backup", "out", "--data", "no"],
        &["warm", "no", "--url", "http://127.0.0.1:1/"],
        &["token", "list", "--data", "no"],
        &["devpi-import", "no", "--serverdir", "new"],
        &["devpi-server", "--configfile", "no"],
    ];
    for arguments in commands {
        let mut command = command();
        command.env("CHEESECLOTH_MIRROR_URL", "https://upstream.example/simple/");
        let output = command.current_dir(path).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("no"), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!path.join("no").exists(), "{arguments:?} has made it");
    }
}
