//! The options of `devpi-init` and `devpi-server` as people's scripts pass them
//! (docs/protocol/devpi.md §20): honoured, accepted because they change nothing, or refused with
//! what to do instead.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::support::{DevpiServer, Tool, Web, command};

/// The login URL that `+api` gives to a client that uses this host.
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
fn the_version_of_a_devpi_program_is_devpis_and_nothing_else() {
    for name in ["devpi-init", "devpi-server", "devpi-import", "devpi-export"] {
        let output = command().args([name, "--version"]).output().unwrap();
        assert!(output.status.success(), "{name}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "6.20.3\n",
            "{name}"
        );
    }
    let own = command().arg("--version").output().unwrap();
    assert!(own.stdout.starts_with(b"cheesecloth "));
}

#[test]
fn every_option_of_the_real_devpi_server_is_known() {
    let help = Tool::DevpiServer.program();
    let help = std::process::Command::new(help)
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8_lossy(&help.stdout);
    let words = help.split(|one: char| !(one.is_ascii_alphanumeric() || one == '-'));
    let options: BTreeSet<&str> = words.filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 30, "{options:?}");
    let folder = tempfile::tempdir().unwrap();
    for option in options {
        let mut server = command();
        // An address that cannot be bound, so that nothing is served.
        server.args(["devpi-server", "--listen=nowhere", "--serverdir"]);
        let output = server.arg(folder.path()).arg(option).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("unexpected argument"), "{option}: {said}");
    }
}

/// The options of devpi's own parsers; the script next to the table writes it.
const OPTIONS: &str = include_str!("../devpi_options/options.tsv");

/// The options that do here what they do in devpi. Every other one says that it does not.
const HONOURED: [&str; 19] = [
    "-h",
    "--help",
    "-c",
    "--configfile",
    "--version",
    "--serverdir",
    "--no-root-pypi",
    "--root-passwd",
    "--skip-import-type",
    "--host",
    "--port",
    "--listen",
    "--unix-socket",
    "--outside-url",
    "--offline-mode",
    "--restrict-modify",
    "--argon2-memory-cost",
    "--argon2-parallelism",
    "--argon2-time-cost",
];

/// A value that devpi accepts for the option.
fn value(option: &str) -> &'static str {
    match option {
        "--role" => "standalone",
        "--storage" => "sqlite",
        "--trusted-proxy" => "127.0.0.1",
        "--host" => "localhost",
        "--port" => "0",
        "--outside-url" => "https://devpi.example",
        "--argon2-memory-cost" => "1024",
        // An address that cannot be bound and a folder that does not exist, so that nothing is
        // served.
        "--listen" => "nowhere",
        "--unix-socket" => "/nonexistent/devpi.sock",
        _ => "1",
    }
}

#[test]
fn every_option_of_every_program_of_devpis_does_something_or_says_why_not() {
    let mut checked = 0;
    for line in OPTIONS.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap();
        let (program, option, kind) = (field(), field(), field());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("devpi.yml");
        fs::write(
            &config,
            "devpi-server:\n  port: 4040\n  nothing-like-it: 1\n",
        )
        .unwrap();
        let mut run = command();
        // Values that are paths must end up in the folder as well.
        run.current_dir(folder.path());
        run.arg(program)
            .arg("--serverdir")
            .arg(folder.path().join("server"));
        match program {
            "devpi-server" => drop(run.arg("--listen=nowhere")),
            "devpi-import" | "devpi-export" => drop(run.arg(folder.path().join("nowhere"))),
            _ => {}
        }
        match (option, kind) {
            ("-c" | "--configfile", _) => drop(run.arg(option).arg(&config)),
            (_, "value") => drop(run.arg(option).arg(value(option))),
            _ => drop(run.arg(option)),
        }
        let output = run.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let at = format!("{program} {option}: {said}");
        for misunderstood in [
            "unexpected argument",
            "unrecognized",
            "invalid value",
            "panicked",
        ] {
            assert!(!said.contains(misunderstood), "{at}");
        }
        let name = if option == "--master-url" {
            "--primary-url"
        } else {
            option
        };
        let is_told = said.contains(&format!("{name} is taken and decides nothing here"))
            || said.contains(&format!("{name} is not supported here"))
            || said.contains(&format!("{program} is not supported here"));
        assert!(is_told || HONOURED.contains(&option), "{at}");
        checked += 1;
    }
    assert!(checked > 150, "{checked} options");
}

#[test]
fn the_environment_says_what_nobody_typed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, variable: (&str, &str), typed: &[&str]| {
        let mut run = command();
        run.arg(name)
            .arg("--serverdir")
            .arg(folder.path().join("server"));
        run.args(typed).env(variable.0, variable.1);
        let output = run.output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let nowhere = &["--listen=nowhere"][..];
    let said = run("devpi-server", ("DEVPISERVER_ROLE", "replica"), nowhere);
    assert!(
        said.contains("--role replica is not supported here"),
        "{said}"
    );
    let said = run(
        "devpi-server",
        ("DEVPISERVER_REQUESTS_ONLY", "yes"),
        nowhere,
    );
    assert!(
        said.contains("--requests-only is not supported here"),
        "{said}"
    );
    let said = run(
        "devpi-server",
        ("DEVPISERVER_REQUESTS_ONLY", "off"),
        nowhere,
    );
    assert!(said.contains("--listen nowhere is not HOST:PORT"), "{said}");
    let said = run("devpi-init", ("DEVPISERVER_NO_ROOT_PYPI", "perhaps"), &[]);
    assert!(
        said.contains("DEVPISERVER_NO_ROOT_PYPI is perhaps"),
        "{said}"
    );
    let typed = ["--root-passwd-hash=x"];
    let said = run("devpi-init", ("DEVPISERVER_ROOT_PASSWD", "s3cret"), &typed);
    assert!(
        said.contains("--root-passwd-hash is not supported"),
        "{said}"
    );
}

#[test]
fn programs_that_have_no_counterpart_say_what_to_do() {
    for (name, words) in [
        ("devpi-passwd", "devpi user -m"),
        ("devpi-gen-config", "deploy/"),
        ("devpi-gen-secret", "first start"),
        ("devpi-fsck", "digest"),
        ("devpi-clear-search-index", "no search index"),
    ] {
        let output = command().args([name, "--whatever"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(said.contains(words), "{name}: {said}");
    }
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
        (
            &["--outside-url=https://me@h.example"],
            "the host, and perhaps a path; nothing else",
        ),
        (
            &["--replica-file-search-path=/x"],
            "--replica-file-search-path is not supported here: for reading, put `cheesecloth serve`",
        ),
        (&["--hard-links"], "--hard-links is not supported here"),
        (&["--file-replication-threads=5"], "before the primary"),
        (
            &["--file-replication-skip-indexes=all"],
            "before the primary",
        ),
        (&["--proxy-timeout=30"], "before the primary"),
        (&["--no-replica-streaming"], "before the primary"),
        (&["--theme=t"], "have one look"),
        (&["--documentation-path=d"], "not unpacked"),
        (&["--indexer-backend=null"], "no search index"),
        (&["--recreate-search-index"], "no search index"),
        (&["--no-root-pypi"], "devpi-init"),
        (&["--root-passwd=x"], "devpi-init"),
        (&["--init"], "devpi-init"),
        (&["--import=d"], "devpi-import"),
        (&["--export=d"], "devpi-export"),
        (&["--gen-config"], "deploy/"),
        (&["--start"], "systemd"),
        (&["--stop"], "systemd"),
        (&["--status"], "+status"),
        (&["--log"], "stderr"),
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

/// The program's standard output and standard error when it is started under this name.
fn said_as(name: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(name);
    std::os::unix::fs::symlink(command().get_program(), &link).unwrap();
    let mut program = std::process::Command::new(link);
    let output = program
        .args(arguments)
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn started_by_its_name_it_is_used_by_that_name_and_nothing_else() {
    for name in ["devpi-server", "devpi-init", "devpi-import", "devpi-export"] {
        for arguments in [&["-h"][..], &["--help"], &["--nonsense"], &["--serverdir"]] {
            let said = said_as(name, arguments);
            assert!(!said.contains(&format!("{name} {name}")), "{said}");
            assert!(!said.contains("cheesecloth"), "{said}");
            if !arguments.contains(&"--serverdir") {
                assert!(said.contains(&format!("Usage: {name} ")), "{said}");
            }
        }
        assert_eq!(said_as(name, &["--version"]).trim(), "6.20.3");
    }
    let mut typed = command();
    let help = typed.args(["devpi-server", "-h"]).output().unwrap().stdout;
    let help = String::from_utf8_lossy(&help);
    assert!(help.contains("Usage: cheesecloth devpi-server "), "{help}");
}
