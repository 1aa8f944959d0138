//! D1: stable, staging and develop behind a load balancer that only allows reading.

use std::fs;

use super::table::Table;
use super::{legacy_project, localhost, release, typed, upstream, with_release, write_at_home};
use crate::support::{Client, Program, Tool, Wheel, get};

const IN_YAML: &str = include_str!("../../../policies/stable-staging-develop.yaml");

pub(super) fn rows(table: &Table) {
    let index = upstream();
    let program = Program::without_policies()
        .mirroring(index.url().as_str())
        .start();
    let public = program.public_url().trim_end_matches('/');
    let manage = localhost(program.manage_url());
    let devpi = with_release(Tool::Devpi);
    users_and_indexes(table, &devpi, public, &manage);
    table.row("D1.3", "devpi (YAML)", || {
        let program = Program::with_policies(IN_YAML)
            .mirroring(index.url().as_str())
            .start();
        let devpi = Client::fresh(Tool::Devpi);
        devpi
            .run(&["use", &localhost(program.manage_url())])
            .succeeds();
        let list = devpi.run(&["index", "--list", "packages"]).succeeds();
        list.says("packages/develop packages/stable packages/staging");
    });
    table.row("D1.4", "setup.py, twine", || by_pypirc(public, &manage));
    installs(table, public);
    switching(table, &devpi, &manage);
    table.row("D1.7", "devpi, twine", || overwriting(&devpi, &manage));
    table.row("D1.8", "devpi, twine", || {
        from_the_host_only(&devpi, public, &manage)
    });
}

fn users_and_indexes(table: &Table, devpi: &Client, public: &str, manage: &str) {
    table.row("D1.2", "devpi", || {
        devpi.run(&["use", manage]).succeeds();
        let user = [
            "user",
            "-c",
            "packages",
            "email=p@acme.example",
            "password=pw",
        ];
        devpi.run(&user).succeeds().says("user created: packages");
        devpi.run(&["user", "-l"]).succeeds().says("packages");
    });
    table.row("D1.1", "devpi", || {
        let login = ["login", "packages", "--password", "pw"];
        devpi.run(&["use", public]).succeeds();
        devpi.run(&login).fails().says("this address only reads");
        devpi.run(&["use", manage]).succeeds();
        devpi.run(&login).succeeds().says("logged in 'packages'");
    });
    table.row("D1.3", "devpi", || {
        let stable = [
            "index",
            "-c",
            "packages/stable",
            "bases=root/pypi",
            "volatile=False",
        ];
        devpi.run(&stable).succeeds().says("volatile=False");
        for name in ["packages/staging", "packages/develop"] {
            let index = [
                "index",
                "-c",
                name,
                "bases=packages/stable",
                "volatile=True",
            ];
            devpi.run(&index).succeeds().says("bases=packages/stable");
        }
    });
}

/// `python3 setup.py sdist bdist_wheel; twine upload -r devpi-stable dist/*`
fn by_pypirc(public: &str, manage: &str) {
    let project = legacy_project("acme-legacy");
    project
        .run(&["setup.py", "sdist", "bdist_wheel"])
        .succeeds();
    let pypirc = format!(
        "[distutils]\nindex-servers = devpi-stable\n\n[devpi-stable]\n\
         repository = {manage}/packages/stable\nusername = packages\npassword = pw\n"
    );
    write_at_home(&project, ".pypirc", &pypirc);
    let twine = Client::fresh(Tool::Twine).at_home_in(project.home());
    let dist = fs::read_dir(project.folder().join("dist")).unwrap();
    let dist: Vec<String> = dist
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    assert_eq!(dist.len(), 2, "{dist:?}");
    twine
        .run(&typed(&["upload", "-r", "devpi-stable"], &dist))
        .succeeds();
    let page = get(&format!("{public}/packages/stable/+simple/acme-legacy/")).unwrap();
    assert!(
        page.body.contains("acme_legacy-1.0.tar.gz"),
        "{}",
        page.body
    );
}

/// `index-url = http://devpi:4040/packages/stable`, without `+simple/`.
fn installs(table: &Table, public: &str) {
    table.row("D1.5", "pip", || {
        let pip = Client::fresh(Tool::Pip);
        let conf = format!("[global]\nindex-url = {public}/packages/stable\n");
        write_at_home(&pip, ".config/pip/pip.conf", &conf);
        let home = pip.home().to_owned();
        let pip = pip.at_home_in(&home);
        let wanted = ["install", "--target", "out", "acme-legacy", "simplejson"];
        pip.run(&wanted)
            .succeeds()
            .says("acme-legacy-1.0 simplejson-3.20.1");
    });
    table.row("D1.5", "uv", || {
        let uv = Client::fresh(Tool::Uv);
        let index = format!("{public}/packages/stable");
        uv.install(&index, &["acme-legacy", "simplejson"])
            .succeeds();
    });
}

fn switching(table: &Table, devpi: &Client, manage: &str) {
    let files = release(devpi);
    table.row("D1.6", "devpi, pip, uv", || {
        devpi.run(&["use", "packages/staging"]).succeeds();
        devpi.run(&typed(&["upload"], &files)).succeeds();
        for name in ["packages/stable", "packages/develop", "packages/staging"] {
            let now = format!("current devpi index: {manage}/{name} (logged in as packages)");
            devpi.run(&["use", name]).succeeds().says(&now);
        }
        devpi
            .run(&["use", "packages/staging", "--set-cfg"])
            .succeeds();
        let pip = Client::fresh(Tool::Pip).at_home_in(devpi.home());
        pip.run(&["install", "--target", "out", "acme-tool"])
            .succeeds();
        pip.run(&["config", "list"])
            .succeeds()
            .says(&format!("'{manage}/packages/staging/+simple/'"));
        let conf = devpi.home().join(".config/uv/uv.toml");
        let uv = Client::fresh(Tool::Uv).with("UV_CONFIG_FILE", conf.display().to_string());
        let uv = uv.at_home_in(devpi.home());
        uv.run(&["pip", "install", "--target", "out", "acme-tool"])
            .succeeds();
    });
}

fn overwriting(devpi: &Client, manage: &str) {
    let (again, files) = (Client::fresh(Tool::Twine), release(devpi));
    let wheel = Wheel::new("acme-tool", "1.0").description("another one");
    fs::write(again.folder().join(wheel.filename()), wheel.build()).unwrap();
    let other = release(&again);
    let upload = |index: &str| {
        let url = format!("{manage}/packages/{index}");
        let words = ["upload", "--non-interactive", "-u", "packages", "-p", "pw"];
        let words = [&words[..], &["--repository-url", &url]].concat();
        again.run(&typed(&words, &other))
    };
    upload("staging").succeeds();
    devpi.run(&["use", "packages/staging"]).succeeds();
    devpi.run(&["remove", "-y", "acme-tool==1.0"]).succeeds();
    devpi.run(&["use", "packages/stable"]).succeeds();
    devpi.run(&typed(&["upload"], &files)).succeeds();
    upload("stable")
        .fails()
        .says("acme_tool-1.0-py3-none-any.whl already exists in non-volatile index");
    let gone = devpi.run(&["remove", "-y", "acme-tool"]);
    gone.fails()
        .says("is on non-volatile index packages/stable");
}

fn from_the_host_only(devpi: &Client, public: &str, manage: &str) {
    devpi.run(&["use", manage]).succeeds();
    devpi
        .run(&["index", "--list"])
        .succeeds()
        .says("packages/develop");
    for place in ["/packages/develop", &format!("{manage}/packages/develop")] {
        devpi
            .run(&["getjson", place])
            .succeeds()
            .says(r#""type": "indexconfig""#);
    }
    let outside = with_release(Tool::Devpi);
    outside
        .run(&["use", &format!("{public}/packages/develop")])
        .succeeds();
    outside
        .run(&["index", "--list", "packages"])
        .succeeds()
        .says("packages/develop");
    for line in [
        &["login", "packages", "--password", "pw"][..],
        &["user", "-c", "guest", "password=guest"],
        &["index", "-c", "packages/more"],
        &["index", "packages/stable", "volatile=True"],
        &["push", "acme-tool==1.0", "packages/develop"],
        &["remove", "-y", "acme-tool"],
        &["upload", &release(&outside)[0]],
    ] {
        outside.run(line).fails();
    }
    let twine = with_release(Tool::Twine);
    let url = format!("{public}/packages/develop");
    let words = [
        "upload",
        "--non-interactive",
        "-u",
        "packages",
        "-p",
        "pw",
        "--repository-url",
    ];
    let files = release(&twine);
    twine
        .run(&typed(&[&words[..], &[&url]].concat(), &files))
        .fails()
        .says("this address only reads");
}
