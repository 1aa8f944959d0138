//! D2: a company's index behind a load balancer, and the clients of its time.

use super::table::Table;
use super::{legacy_project, localhost, release, typed, upstream, with_release, write_at_home};
use crate::support::{Client, Program, Tool, Web, get};

pub(super) fn rows(table: &Table) {
    let index = upstream();
    let program = Program::without_policies()
        .mirroring(index.url().as_str())
        .start();
    let public = program.public_url().trim_end_matches('/');
    let manage = localhost(program.manage_url());
    let devpi = with_release(Tool::Devpi);
    table.elsewhere(
        "D2.1",
        "deploy: the compose files, the images' health checks",
    );
    table.elsewhere(
        "D2.3",
        "deploy: target client of the image; devpi is what it has",
    );
    accounts(table, &devpi, &manage);
    company_index(table, &devpi);
    table.row("D2.10", "setup.py", || legacy(public, &manage));
    table.row("D2.2", "a browser", || in_a_browser(public));
    reading(table, public, &manage);
}

fn accounts(table: &Table, devpi: &Client, manage: &str) {
    table.row("D2.4", "devpi", || {
        devpi.run(&["use", manage]).succeeds();
        devpi.run(&["login", "root", "--password", ""]).succeeds();
        devpi
            .run(&["user", "-m", "root", "password=123"])
            .succeeds();
        devpi.run(&["logoff"]).succeeds();
        devpi.run(&["login", "root", "--password", ""]).fails();
        devpi
            .run(&["login", "root", "--password", "123"])
            .succeeds();
    });
    table.row("D2.5", "devpi", || {
        for user in ["u1", "u2", "u3", "guest"] {
            let email = format!("email={user}@acme.example");
            devpi
                .run(&["user", "-c", user, &email, "password=pw"])
                .succeeds();
        }
        let shown = devpi.run(&["getjson", "/guest"]).succeeds();
        shown.says(r#""email": "guest@acme.example""#);
        devpi
            .run(&["user", "guest", "-y", "--delete"])
            .succeeds()
            .says("user deleted: guest");
        devpi.run(&["getjson", "/guest"]).says("no user 'guest'");
    });
}

fn company_index(table: &Table, devpi: &Client) {
    table.row("D2.6", "devpi", || {
        let create = ["index", "-c", "acme", "bases=root/pypi", "volatile=False"];
        devpi.run(&create).succeeds().says("/root/acme");
    });
    table.row("D2.7", "devpi", || {
        let set = devpi
            .run(&["index", "/root/acme", "acl_upload=u1,u3"])
            .succeeds();
        set.says("acl_upload=u1,u3");
        let more = devpi
            .run(&["index", "/root/acme", "acl_upload+=u2"])
            .succeeds();
        more.says("acl_upload=u1,u3,u2");
        let less = devpi
            .run(&["index", "/root/acme", "acl_upload-=u3"])
            .succeeds();
        less.says("acl_upload=u1,u2");
        let files = release(devpi);
        for (user, may) in [("u3", false), ("u1", true)] {
            devpi.run(&["login", user, "--password", "pw"]).succeeds();
            devpi.run(&["use", "root/acme"]).succeeds();
            let upload = devpi.run(&typed(&["upload"], &files));
            if may {
                upload.succeeds();
            } else {
                upload.fails().says("no permission to submit");
            }
        }
    });
}

fn in_a_browser(public: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (path, words) in [("/", "root/acme"), ("/root/acme", "acme-tool")] {
        let page = runtime.block_on(async {
            Web::new()
                .get_with(
                    &format!("{public}{path}"),
                    &[("accept", "text/html,*/*;q=0.8")],
                )
                .await
        });
        assert_eq!(page.status, 200, "{path}");
        assert!(
            page.header("content-type").starts_with("text/html"),
            "{path}"
        );
        assert!(page.text().contains(words), "{path}: {}", page.text());
    }
}

/// `setup.py register` and `upload`; register sends bare LF and tries without a login first.
fn legacy(public: &str, manage: &str) {
    let project = legacy_project("acme-old");
    let pypirc = format!(
        "[distutils]\nindex-servers = devpi\n\n[devpi]\n\
         repository = {manage}/root/acme/\nusername = u1\npassword = pw\n"
    );
    write_at_home(&project, ".pypirc", &pypirc);
    let said = project
        .run(&["setup.py", "register", "-r", "devpi"])
        .succeeds();
    said.says("Server response (200)");
    for kind in ["sdist", "bdist_egg", "bdist_wheel"] {
        let said = project
            .run(&["setup.py", kind, "upload", "-r", "devpi"])
            .succeeds();
        said.says("Server response (200)");
    }
    let page = get(&format!("{public}/root/acme/+simple/acme-old/")).unwrap();
    for file in [
        "acme_old-1.0.tar.gz",
        "acme_old-1.0-py3-none-any.whl",
        ".egg",
    ] {
        assert!(page.body.contains(file), "{file}: {}", page.body);
    }
}

fn reading(table: &Table, public: &str, manage: &str) {
    let simple = format!("{public}/root/acme/+simple/");
    table.row("D2.8", "pip", || {
        let pip = Client::fresh(Tool::Pip);
        let conf =
            format!("[global]\nindex-url = {simple}\n\n[search]\nindex = {public}/root/acme/\n");
        write_at_home(&pip, ".config/pip/pip.conf", &conf);
        let home = pip.home().to_owned();
        let pip = pip.at_home_in(&home);
        let install = [
            "install",
            "--target",
            "out",
            "acme-old",
            "--trusted-host",
            "127.0.0.1",
        ];
        pip.run(&install).succeeds();
    });
    table.row("D2.8", "easy_install", || {
        let easy = Client::fresh(Tool::Setuptools);
        write_at_home(
            &easy,
            ".pydistutils.cfg",
            &format!("[easy_install]\nindex_url = {simple}\n"),
        );
        let line = "from setuptools import setup\n\
                    setup(script_args=['easy_install', '--install-dir', '.', '-m', 'acme-old'])";
        easy.run(&["-c", line])
            .succeeds()
            .says("Finished processing dependencies for acme-old");
    });
    table.row("D2.9", "pip search", || {
        for door in [public, manage] {
            let pip = Client::fresh(Tool::Pip);
            let search = ["search", "acme", "--index", &format!("{door}/root/acme/")];
            pip.run(&search).succeeds().says("acme-");
        }
    });
    table.row("D2.11", "pip", || {
        let pip = Client::fresh(Tool::Pip);
        let index = format!("{public}/root/acme");
        pip.install(&index, &["simplejson"])
            .succeeds()
            .says("simplejson-3.20.1");
    });
}
