//! Indexes whose files devpi gives to some logins only, and proxies that state the client.

use super::super::support::{Client, Devpi, Program, Tool};
use super::wire::{Answer, Request};
use super::{installed, servers, with_releases};

/// `packages`, whose password is `x`.
const LOGIN: (&str, &str) = ("Authorization", "Basic cGFja2FnZXM6eA==");

/// The path of the wheel of hello-pkg 1.0, from the page.
fn file(front: &Program) -> String {
    let page = Request::get("/packages/stable/+simple/hello-pkg/").send(front.public_url());
    let text = page.unwrap().text();
    let start = text.find("+f/").expect("a link");
    let end = text[start..].find("#sha256").expect("with its digest") + start;
    format!("/packages/stable/{}", &text[start..end])
}

#[test]
fn what_devpi_shows_to_logins_only_is_never_everybodys() {
    let primary = Devpi::primary_with_private_indexes();
    let releases = with_releases(&primary);
    let front = Program::with_policies(&servers(&[&primary])).start();
    let path = file(&front);
    let ask = |door: &str, login: bool| -> Answer {
        let request = Request::get(&path);
        let request = if login {
            request.with(LOGIN.0, LOGIN.1)
        } else {
            request
        };
        request.send(door).unwrap()
    };
    let (public, manage) = (front.public_url(), front.manage_url());
    let open = ask(public, false);
    assert_eq!((open.status, ask(public, false).status), (200, 200));

    // From now on the index needs a login, and so does the copy that is kept here.
    releases
        .run(&["index", "packages/stable", "title=private"])
        .succeeds();
    for _ in 0..100 {
        if ask(public, false).status == 403 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for _ in 0..2 {
        assert_eq!(ask(public, false).status, 403);
        // The public door passes no credentials on.
        assert_eq!(ask(public, true).status, 403);
        assert_eq!(ask(manage, false).status, 403);
        let shown = ask(manage, true);
        assert_eq!(shown.status, 200, "{}", shown.text());
        assert_eq!(shown.body, open.body);
    }
    let pip = Client::fresh(Tool::Pip);
    let index = manage.replace("http://", "http://packages:x@");
    pip.install(
        &format!("{index}packages/stable/+simple/"),
        &["hello-pkg==1.0"],
    )
    .succeeds();
    assert!(installed(&pip, "1.0"));
    let pip = Client::fresh(Tool::Pip);
    pip.install(&front.index_url("packages/stable"), &["hello-pkg==1.0"])
        .fails();

    // A change through the front's own door takes effect immediately.
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", manage]).succeeds();
    devpi
        .run(&["login", "packages", "--password", "x"])
        .succeeds();
    devpi
        .run(&["index", "packages/stable", "title=open"])
        .succeeds();
    assert_eq!(ask(public, false).status, 200);
}

#[test]
fn only_named_proxies_say_who_asks_and_where_we_are() {
    let primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let url = |front: &Program| {
        let api = Request::get("/packages/stable/+api")
            .with("Host", "inside.example:4040")
            .with("X-Outside-Url", "https://devpi.example/pypi")
            .with("X-Forwarded-For", "198.51.100.7, 203.0.113.9");
        api.send(front.public_url()).unwrap().text()
    };
    let named = format!(
        "{}trusted_proxies: [127.0.0.0/8]\nlog: {{format: json}}\n",
        servers(&[&primary])
    );
    let front = Program::with_policies(&named).start();
    let text = url(&front);
    assert!(
        text.contains("https://devpi.example/pypi/packages/stable"),
        "{text}"
    );
    front.wait_until_it_says("\"client\":\"203.0.113.9\"");
    let elsewhere = named.replace("127.0.0.0/8", "192.0.2.0/24");
    let front = Program::with_policies(&elsewhere).start();
    url(&front);
    front.wait_until_it_says("\"client\":\"127.0.0.1\"");
}
