//! The requests: every kind of path, as every kind of client requests it.

use super::super::wire::Request;
use super::{Case, Door};

/// The host name that clients use; the management door on loopback answers to it too.
const HOST: &str = "localhost:4040";

/// An index with its own files, a mirror, one with both, and one that does not exist.
const INDEXES: [&str; 4] = [
    "packages/stable",
    "packages/mirror",
    "packages/dev",
    "no/such",
];

const PIP: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The user agents and `Accept` headers of pip, an old pip, a browser, devpi-client and curl.
const CLIENTS: [(&str, &str); 5] = [
    ("pip/26.3 {\"ci\":null}", PIP),
    ("pip/1.5", "text/html"),
    ("Mozilla/5.0 (X11)", BROWSER),
    ("devpi-client/7.3.0", "application/json"),
    ("curl/8.5.0", "*/*"),
];

/// All requests; `nginx` is asked first, for the places of the files.
pub(super) fn cases(nginx: &str) -> Vec<Case> {
    let mut requests = pages();
    requests.extend(objects());
    requests.extend(files(nginx));
    requests.extend(hosts());
    let mut cases: Vec<Case> = requests
        .into_iter()
        .map(|request| (request, Door::Public))
        .chain(methods().into_iter().map(|request| (request, Door::Public)))
        .chain(methods().into_iter().map(|request| (request, Door::Manage)))
        .chain(logins().into_iter().map(|request| (request, Door::Manage)))
        .map(|(request, door)| Case { request, door })
        .collect();
    for case in &mut cases {
        let names_host = |(name, _): &(String, String)| name == "Host";
        if !case.request.headers.iter().any(names_host) {
            case.request = case.request.clone().with("Host", HOST);
        }
    }
    cases
}

fn as_client(request: Request, (agent, accept): (&str, &str)) -> Request {
    request.with("User-Agent", agent).with("Accept", accept)
}

/// Project pages and lists, in every form of their path.
fn pages() -> Vec<Request> {
    let mut requests = Vec::new();
    for index in INDEXES {
        for path in [
            "+simple/",
            "+simple",
            "",
            "/",
            "+simple/hello-pkg/",
            "+simple/hello-pkg",
            "hello-pkg",
            "hello-pkg/",
            "+simple/six/",
            "six/",
            "+simple/no-such/",
            "+simple/Hello.Pkg/",
            "Hello_Pkg",
        ] {
            let target = format!("/{index}/{path}").replace("//", "/");
            let target = if path.is_empty() {
                format!("/{index}")
            } else {
                target
            };
            for client in CLIENTS {
                requests.push(as_client(Request::get(&target), client));
            }
        }
        let page = format!("/{index}/+simple/six/");
        let pip = as_client(Request::get(&page), CLIENTS[0]);
        requests.push(pip.clone().with("Accept-Encoding", "gzip"));
        requests.push(pip.clone().with("If-None-Match", "\"0\""));
        requests.push(pip.with("If-None-Match", "*"));
        requests.push(as_client(Request::new("HEAD", &page), CLIENTS[0]));
        requests.push(as_client(Request::get(&format!("{page}?x=1")), CLIENTS[0]));
    }
    requests
}

/// The objects that `getjson` and people look at.
fn objects() -> Vec<Request> {
    let mut requests = Vec::new();
    let mut targets: Vec<String> = [
        "/",
        "/+api",
        "/+status",
        "/packages",
        "/packages/",
        "/nobody",
    ]
    .map(str::to_owned)
    .to_vec();
    for index in INDEXES {
        for path in [
            "+api",
            "hello-pkg/1.0",
            "hello-pkg/9.9",
            "six/1.16.0",
            "hello-pkg/1.0/+d/",
        ] {
            targets.push(format!("/{index}/{path}"));
        }
        targets.push(format!("/{index}?no_projects="));
        targets.push(format!("/{index}/hello-pkg?ignore_bases"));
    }
    targets.push("/+nothing".to_owned());
    targets.push("/packages/stable/a/b/c/d".to_owned());
    for target in targets {
        for client in [CLIENTS[2], CLIENTS[3]] {
            requests.push(as_client(Request::get(&target), client));
        }
    }
    requests
}

/// Files: from disk, fetched for the first time, deleted, misspelt, in part, conditional.
fn files(nginx: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    for (page, base) in [
        ("/packages/stable/+simple/hello-pkg/", "/packages/stable"),
        ("/packages/mirror/+simple/six/", "/packages/mirror"),
    ] {
        for place in places(nginx, page) {
            let file = format!("{base}/{place}");
            // Before anybody has fetched it; for the sdist, the first request is the one that
            // fetches it.
            if base == "/packages/mirror" && place.ends_with(".whl") {
                requests.push(Request::get(&file).with("Accept", "application/json"));
            }
            requests.push(Request::get(&file));
            requests.push(Request::get(&file).with("Accept", "application/json"));
            requests.push(Request::get(&file));
            requests.push(Request::new("HEAD", &file));
            for range in [
                "bytes=0-9",
                "bytes=10-",
                "bytes=-7",
                "bytes=999999-",
                "bytes=0-1,4-5",
                "lines=1-2",
            ] {
                requests.push(Request::get(&file).with("Range", range));
            }
            for (name, value) in [
                ("If-None-Match", "\"0\""),
                ("If-None-Match", "*"),
                ("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT"),
                ("If-Modified-Since", "Thu, 01 Jan 2004 00:00:00 GMT"),
                ("Accept-Encoding", "gzip"),
            ] {
                requests.push(Request::get(&file).with(name, value));
            }
            requests.push(Request::get(&format!("{file}.metadata")));
            requests.push(Request::get(&format!("{file}?x=1")));
            requests.push(Request::get(&format!("{file}x")));
        }
    }
    for missing in [
        "/packages/stable/+f/000/0000000000000/hello_pkg-1.0-py3-none-any.whl",
        "/packages/stable/+f/000/0000000000000/",
        "/no/such/+f/000/0000000000000/hello_pkg-1.0-py3-none-any.whl",
    ] {
        requests.push(Request::get(missing));
        requests.push(Request::get(missing).with("Accept", "application/json"));
        requests.push(Request::new("HEAD", missing));
    }
    requests
}

/// The links on a page, without their digests.
fn places(nginx: &str, page: &str) -> Vec<String> {
    let page = as_client(Request::get(page), CLIENTS[1])
        .send(nginx)
        .unwrap()
        .text();
    let links = page.split("href=\"").skip(1);
    let links = links.filter_map(|rest| rest.split('#').next());
    let places = links.filter_map(|link| Some(link[link.find("+f/")?..].to_owned()));
    let places: Vec<String> = places.collect();
    assert!(places.len() >= 3, "{page}");
    places
}

/// Names of the gateway, and claims of clients to be its proxy.
fn hosts() -> Vec<Request> {
    let mut requests = Vec::new();
    for target in ["/packages/stable/+api", "/packages/stable/hello-pkg"] {
        let ask = || as_client(Request::get(target), CLIENTS[3]);
        for host in [
            "devpi.example",
            "devpi.example:8080",
            "127.0.0.1:4040",
            "[::1]:4040",
        ] {
            requests.push(ask().with("Host", host));
        }
        let forged = ask().with("Host", "devpi.example");
        requests.push(forged.clone().with("X-Forwarded-Proto", "https"));
        requests.push(forged.clone().with("X-Forwarded-Host", "evil.example"));
        requests.push(forged.clone().with("X-Forwarded-For", "203.0.113.9"));
        requests.push(forged.clone().with("X-Real-IP", "203.0.113.9"));
        requests.push(forged.with("X-Outside-Url", "http://evil.example/x"));
    }
    requests
}

/// Requests other than reads, without a login.
fn methods() -> Vec<Request> {
    let json = |method: &str, target: &str, body: &str| {
        as_client(Request::new(method, target), CLIENTS[3])
            .with("Content-Type", "application/json")
            .body(body.as_bytes())
    };
    let wrong = r#"{"user": "packages", "password": "wrong"}"#;
    vec![
        json("POST", "/+login", wrong),
        json("PUT", "/packages/other", "{}"),
        json("PATCH", "/packages/stable", "[]"),
        json("DELETE", "/packages/stable", ""),
        json("DELETE", "/packages/stable/hello-pkg/1.0", ""),
        json(
            "PUSH",
            "/packages/stable",
            r#"{"name": "hello-pkg", "version": "1.0", "targetindex": "packages/dev"}"#,
        ),
        json("POST", "/packages/stable/", "{}"),
        json("POST", "/no/such/", "{}"),
        json("PUT", "/packages", "{}"),
        json("DELETE", "/nobody", ""),
        Request::new("POST", "/packages/stable/")
            .with("Content-Type", "application/x-www-form-urlencoded")
            .body(b"%3Aaction=submit&name=other&version=1"),
        Request::new("OPTIONS", "/packages/stable"),
    ]
}

/// The same with credentials, right and wrong.
fn logins() -> Vec<Request> {
    let right = r#"{"user": "packages", "password": "x"}"#;
    let mut requests = Vec::new();
    for request in methods() {
        if request.method == "PUSH" || request.target == "/packages/stable/" {
            continue;
        }
        if !(request.method == "DELETE" && request.target.starts_with("/packages"))
            && request.target != "/packages/other"
        {
            requests.push(request.with("Authorization", "Basic cGFja2FnZXM6d3Jvbmc="));
        }
    }
    for target in [
        "/packages/stable/+api",
        "/+api",
        "/packages",
        "/packages/stable/hello-pkg",
    ] {
        let ask = as_client(Request::get(target), CLIENTS[3]);
        requests.push(ask.clone().with("Authorization", "Basic cGFja2FnZXM6eA=="));
        requests.push(ask.with("X-Devpi-Auth", "cGFja2FnZXM6bm90LWEtdG9rZW4="));
    }
    requests.push(Request::get("/+authcheck"));
    let misplaced = as_client(Request::new("PUT", "/+login"), CLIENTS[3]);
    requests.push(misplaced.body(right.as_bytes()));
    requests
}
