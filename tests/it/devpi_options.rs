//! The options of `devpi-init` and `devpi-server` as people's scripts pass them (devpi-protocol.md §20):
//! honoured, taken because they change nothing, or refused with what to do instead.

use std::fs;

use serde_json::Value;

use super::support::{DevpiServer, Web, command};

/// What `+api` says to a client that asks for this host.
fn login_url(server: &DevpiServer, host: &str) -> (u16, String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("{}+api", server.url());
    let got = runtime.block_on(async { Web::new().get_with(&url, &[("host", host)]).await });
    let said: Value = serde_json::from_slice(&got.body).unwrap();
    (
        got.status,
        said["result"]["login"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    )
}

#[test]
fn options_that_change_nothing_are_taken() {
    let harmless = [
        "--threads=4",
        "--debug",
        "--secretfile=s",
        "--request-timeout=5",
        "--mirror-cache-expiry=1800",
        "--enable-core-metadata",
        "--absolute-urls",
        "--connection-limit=100",
        "--max-request-body-size=1073741824",
        "--logger-cfg=l",
        "--profile-requests=0",
        "--keyfs-cache-size=10000",
        "--autocreate-users",
        "--trusted-proxy=127.0.0.1",
        "--trusted-proxy-count=1",
        "--trusted-proxy-headers=x-forwarded-for",
        "--role=standalone",
        "--storage=sqlite",
    ];
    let server = DevpiServer::with()
        .init(&["--no-root-pypi", "--role=standalone"])
        .server(&harmless)
        .start();
    assert_eq!(login_url(&server, "localhost").0, 200);
}

#[test]
fn where_it_listens_and_how_it_is_seen_are_honoured() {
    let launch = DevpiServer::with().init(&["--no-root-pypi"]);
    let outside = [
        "--listen=127.0.0.1:0",
        "--outside-url=https://devpi.example/packages/",
    ];
    let server = launch.clone().server(&outside).start();
    assert!(
        server.url().starts_with("http://127.0.0.1:"),
        "{}",
        server.url()
    );
    let expected = (200, "https://devpi.example/packages/+login".to_owned());
    for host in ["localhost", "devpi.example"] {
        assert_eq!(login_url(&server, host), expected, "{host}");
    }
    assert_eq!(login_url(&server, "evil.example").0, 421);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devpi.yml");
    fs::write(
        &path,
        "devpi-server:\n  outside-url: https://file.example\n  debug: true\n",
    )
    .unwrap();
    let path: &'static str = path.display().to_string().leak();
    let from_file = launch.clone().server(&["--configfile", path]).start();
    assert_eq!(
        login_url(&from_file, "localhost").1,
        "https://file.example/+login"
    );
    let typed = launch
        .server(&["-c", path, "--outside-url=https://typed.example"])
        .start();
    assert_eq!(
        login_url(&typed, "localhost").1,
        "https://typed.example/+login"
    );
}

#[test]
fn options_that_ask_for_something_else_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    for (options, words) in [
        (
            &["--role=replica"][..],
            "--role replica is not supported here: for reading, put `cheesecloth serve`",
        ),
        (
            &["--primary-url=http://upstream.example"],
            "--primary-url is not supported here",
        ),
        (&["--trusted-proxy=192.0.2.1"], "--outside-url instead"),
        (&["--storage=pg8000:host=db"], "records are kept in SQLite"),
        (&["--requests-only"], "one process serves everything"),
        (&["--unix-socket-perms=600"], "660"),
        (&["--passwd=root"], "devpi user -m NAME"),
        (
            &["--listen=127.0.0.1:1", "--listen=127.0.0.1:2"],
            "--listen is given more than once",
        ),
        (&["--listen=here"], "--listen here is not HOST:PORT"),
        (&["--outside-url=here"], "invalid value 'here'"),
        (&["-c", "/nowhere.yml"], "read --configfile /nowhere.yml"),
    ] {
        let mut server = command();
        server
            .args(["devpi-server", "--serverdir"])
            .arg(folder.path())
            .args(options);
        let output = server.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {said}");
        assert!(said.contains(words), "{options:?}: {said}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}
