//! `cheesecloth reload`, in a terminal beside the server: through every kind of door, with faults, and without
//! a server.

use std::path::Path;
use std::process::Output;

use super::{GENERATION, OPEN, SHUT, dairy, policies};
use crate::support::{Launch, Program, command, free_address, tls};

/// The command, with the environment of a server whose management door is at `manage`.
fn reload(server: &Program, data: &Path, manage: &str, words: &[&str]) -> Output {
    let mut reload = command();
    reload.arg("reload").args(words);
    reload
        .arg("--policies")
        .arg(server.folder().join("policies.yaml"));
    reload
        .arg("--data")
        .arg(data)
        .env("CHEESECLOTH_MANAGE", manage);
    reload.current_dir(server.folder()).output().unwrap()
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

/// The address of a door, as flags and variables spell it.
fn address(url: &str) -> &str {
    let bare = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    bare.unwrap_or(url).trim_end_matches('/')
}

#[test]
fn its_owner_reloads_a_server_without_a_password_and_is_told_the_faults_as_check_tells_them() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let launch = Program::with_policies(&policies(&dairy, OPEN)).data(data.path());
    let shop = launch.with("CHEESECLOTH_ROOT_PASSWORD", "pw").start();
    let manage = address(shop.manage_url()).to_owned();

    shop.write_policies(&policies(&dairy, SHUT));
    let (code, said, errors) = told(&reload(&shop, data.path(), &manage, &[]));
    assert_eq!((code, &*errors), (0, ""), "{said}");
    assert!(said.starts_with("generation "), "{said}");
    let generation = shop.metric(GENERATION).unwrap();
    assert!(generation >= 2.0, "{generation}");

    shop.write_policies(&policies(
        &dairy,
        "deny: { knid: [sdist], yuonger_than: 7d }",
    ));
    let (code, said, _) = told(&reload(&shop, data.path(), &manage, &[]));
    let mut check = command();
    check.arg("check").arg(shop.folder().join("policies.yaml"));
    let checked = check.current_dir(shop.folder()).output().unwrap();
    let (_, expected, _) = told(&checked);
    let faults = |said: &str| -> Vec<String> {
        let named = said
            .lines()
            .filter(|line| line.contains("policies.yaml:8:"));
        named.map(str::to_owned).collect()
    };
    assert_eq!((code, faults(&said)), (1, faults(&expected)));
    assert_eq!(faults(&said).len(), 2, "{said}");
    assert!(
        said.ends_with("2 faults: what was in force stays in force\n"),
        "{said}"
    );
    assert!(said.contains("did you mean"), "{said}");

    let (code, said, _) = told(&reload(&shop, data.path(), &manage, &["--json"]));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, said["faults"].as_array().unwrap().len()), (1, 2));
}

#[test]
fn others_need_a_password_and_only_roots_will_do() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let launch = Program::with_policies(&policies(&dairy, OPEN)).data(data.path());
    let shop = launch.with("CHEESECLOTH_ROOT_PASSWORD", "pw").start();
    let elsewhere = tempfile::tempdir().unwrap();
    let run = |password: &str, words: &[&str]| {
        let mut reload = command();
        reload.arg("reload").args(words).env("PASSWORD", password);
        reload.args(["--url", shop.manage_url(), "--data"]);
        reload.arg(elsewhere.path().join("data"));
        told(&reload.current_dir(elsewhere.path()).output().unwrap())
    };
    let (code, _, errors) = run("", &[]);
    assert_eq!(code, 2);
    assert!(errors.contains("nothing to log in with"), "{errors}");
    assert!(errors.contains("--password-env"), "{errors}");
    let (code, _, errors) = run("wrong", &["--password-env", "PASSWORD"]);
    assert_eq!(code, 2);
    assert!(errors.contains("does not let root do this"), "{errors}");
    assert!(!errors.contains("wrong"), "{errors}");
    let (code, said, errors) = run("pw", &["--password-env", "PASSWORD"]);
    assert_eq!(code, 0, "{errors}");
    assert!(said.starts_with("generation "), "{said}");
}

#[test]
fn it_speaks_through_a_socket_and_through_tls_with_the_doors_own_certificate() {
    let dairy = dairy();
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let socket = format!("unix:{}", folder.path().join("manage.sock").display());
    let served = |launch: Launch, manage: &str| {
        let shop = launch.data(data.path()).manage(manage).start();
        told(&reload(&shop, data.path(), manage, &[]))
    };
    let (code, said, errors) = served(Program::with_policies(&policies(&dairy, OPEN)), &socket);
    assert_eq!(code, 0, "{errors}");
    assert!(said.starts_with("generation "), "{said}");

    // A certificate for another name than this machine uses, and by no authority.
    tls::self_signed(folder.path(), "devpi.corp.example");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let secured = format!(
        "listen: {{ manage: {{ address: '127.0.0.1:0', tls: {{ cert: '{}', key: '{}' }} }} }}\n{}",
        at("cert.pem"),
        at("key.pem"),
        policies(&dairy, OPEN)
    );
    let manage = free_address();
    let (code, said, errors) = served(Program::with_policies(&secured), &manage);
    assert_eq!(code, 0, "{errors}");
    assert!(said.starts_with("generation "), "{said}");

    // Somebody else's.
    let shop = Program::with_policies(&secured)
        .data(data.path())
        .manage(&manage);
    let shop = shop.start();
    let other = tempfile::tempdir().unwrap();
    tls::self_signed(other.path(), "devpi.corp.example");
    let policies = secured.replace(
        &at("cert.pem"),
        &other.path().join("cert.pem").display().to_string(),
    );
    std::fs::write(other.path().join("policies.yaml"), policies).unwrap();
    let mut reload = command();
    reload
        .args(["reload", "--policies"])
        .arg(other.path().join("policies.yaml"));
    reload
        .arg("--data")
        .arg(data.path())
        .env("CHEESECLOTH_MANAGE", &manage);
    let (code, _, errors) = told(&reload.current_dir(shop.folder()).output().unwrap());
    assert_eq!(code, 2);
    assert!(errors.contains("another certificate"), "{errors}");
}

#[test]
fn without_a_server_it_says_so() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let shop = Program::with_policies(&policies(&dairy, OPEN)).data(data.path());
    let shop = shop.start();
    let nobody = free_address();
    let (code, said, errors) = told(&reload(&shop, data.path(), &nobody, &[]));
    assert_eq!((code, &*said), (2, ""));
    assert!(
        errors.contains(&format!("no server answers at http://{nobody}/")),
        "{errors}"
    );
    let (code, _, errors) = told(&reload(&shop, data.path(), "127.0.0.1:0", &[]));
    assert_eq!(code, 2);
    assert!(errors.contains("name it with --url"), "{errors}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        shop.folder().join("policies.yaml"),
        folder.path().join("policies.yaml"),
    )
    .unwrap();
    assert!(shop.stop().success());
    let mut reload = command();
    reload
        .args(["reload", "--policies", "policies.yaml", "--data"])
        .arg(data.path());
    reload
        .env("CHEESECLOTH_MANAGE", &nobody)
        .current_dir(folder.path());
    let (code, _, errors) = told(&reload.output().unwrap());
    assert_eq!(code, 2);
    assert!(errors.contains("no server runs on "), "{errors}");
}
