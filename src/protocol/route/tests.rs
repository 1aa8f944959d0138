//! Which path is which route, for whom.

use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::AskedPart;
use crate::protocol::route::*;

fn headers(audience: Audience) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (name, value) = match audience {
        Audience::Installer => (USER_AGENT, "pip/26.3"),
        Audience::Json => (ACCEPT, "application/json"),
        Audience::Person => (ACCEPT, "text/html"),
    };
    headers.insert(name, HeaderValue::from_static(value));
    headers
}

/// A route on one line, so that a table of them can be read.
#[expect(clippy::too_many_lines, reason = "a case for each route")]
fn route(path_and_query: &str, audience: Audience) -> String {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let of = |index: &AskedIndex| match index {
        AskedIndex::Default => "default".to_owned(),
        AskedIndex::Named(index) => index.to_string(),
    };
    match PublicRoute::parse(path, query, Audience::of(&headers(audience))).unwrap() {
        PublicRoute::ProjectList { index, form } => format!("list of {} as {form:?}", of(&index)),
        PublicRoute::ProjectPage {
            index,
            project,
            form,
        } => {
            format!("page of {project} in {} as {form:?}", of(&index))
        }
        PublicRoute::File {
            index,
            path,
            filename,
            part,
        } => {
            let what = match part {
                AskedPart::Whole => "file",
                AskedPart::Metadata => "sidecar of",
                AskedPart::Provenance => "provenance of",
            };
            format!("{what} {filename} at {index} {path}")
        }
        PublicRoute::Api(of) => format!("api {of:?}"),
        PublicRoute::Status => "status".to_owned(),
        PublicRoute::Doctor(index) => format!("doctor {index:?}"),
        PublicRoute::Users(audience) => format!("users for {audience:?}"),
        PublicRoute::User { user, audience } => format!("user {user} for {audience:?}"),
        PublicRoute::Index { index, audience } => format!("index {index} for {audience:?}"),
        PublicRoute::Project {
            index,
            project,
            audience,
        } => {
            format!("project {project} in {index} for {audience:?}")
        }
        PublicRoute::Release {
            index,
            project,
            version,
            audience,
        } => {
            format!("release {project} {version} in {index} for {audience:?}")
        }
        PublicRoute::Documentation {
            index,
            project,
            version,
            path,
            moved,
        } => {
            let moved = moved.map_or(String::new(), |to| format!(" moved to {to}"));
            format!("documentation of {project} {version} in {index}: {path:?}{moved}")
        }
        PublicRoute::Uploads { index } => format!("uploads to {index}"),
        PublicRoute::Search => "search".to_owned(),
        PublicRoute::Static { name } => format!("static {name}"),
        PublicRoute::Redirect {
            to,
            is_permanent: true,
        } => format!("301 {to}"),
        PublicRoute::Redirect {
            to,
            is_permanent: false,
        } => format!("302 {to}"),
        PublicRoute::NotFound => "404".to_owned(),
    }
}

#[test]
fn installers_find_simple_pages_everywhere() {
    for (path, expected) in [
        ("/u/i", "list of u/i as IndexNoSlash"),
        ("/u/i/", "list of u/i as Index"),
        ("/u/i/+simple", "list of u/i as SimpleNoSlash"),
        ("/u/i/+simple/", "list of u/i as Simple"),
        ("/u/i/%2Bsimple/", "list of u/i as Simple"),
        ("/u/i/six", "page of six in u/i as IndexNoSlash"),
        ("/u/i/six/", "page of six in u/i as Index"),
        ("/u/i/+simple/six", "page of six in u/i as SimpleNoSlash"),
        ("/u/i/+simple/six/", "page of six in u/i as Simple"),
        ("//u/i/%2Bsimple/six/", "page of six in u/i as Simple"),
        ("/simple", "302 simple/"),
        ("/simple/", "list of default as Default"),
        ("/simple/six", "302 six/"),
        ("/simple/six/", "page of six in default as Default"),
        ("/u/i/six/1.0", "release six 1.0 in u/i for Installer"),
        ("/u/i/+uploads.atom", "uploads to u/i"),
    ] {
        assert_eq!(route(path, Audience::Installer), expected, "{path}");
    }
}

#[test]
fn others_find_objects_and_web_pages() {
    for (path, expected) in [
        ("/", "users for Json"),
        ("/u", "user u for Json"),
        ("/u/", "user u for Json"),
        ("/u/i", "index u/i for Json"),
        ("/u/i/?no_projects=", "index u/i for Json"),
        ("/u/i/six", "project six in u/i for Json"),
        ("/u/i/six/?ignore_bases=", "project six in u/i for Json"),
        ("/u/i/Six/1.0/+d/", "documentation of six 1.0 in u/i: \"\""),
        (
            "/u/i/six/latest/+d/a/b%20c.html",
            "documentation of six latest in u/i: \"a/b c.html\"",
        ),
        (
            "/u/i/six/1.0/+d/a/",
            "documentation of six 1.0 in u/i: \"a/\"",
        ),
        (
            "/u/i/six/1.0/+d",
            "documentation of six 1.0 in u/i: \"\" moved to +d/",
        ),
        (
            "/u/i/six/1.0/+doc",
            "documentation of six 1.0 in u/i: \"\" moved to +d/",
        ),
        (
            "/u/i/six/1.0/+doc/",
            "documentation of six 1.0 in u/i: \"\" moved to ../+d/",
        ),
        (
            "/u/i/six/1.0/+doc/a%20b/c",
            "documentation of six 1.0 in u/i: \"a b/c\" moved to ../../+d/a%20b/c",
        ),
        ("/u/i/Six/1.0+x", "release six 1.0+x in u/i for Json"),
        ("/u/i/six/1.0%2Bx/", "release six 1.0+x in u/i for Json"),
        ("/u/i/+simple", "302 +simple/"),
        ("/u/i/+simple/six", "302 six/"),
        ("/u/i/+simple/six/", "page of six in u/i as Simple"),
        ("/+api", "api Root"),
        ("/u/+api", "api User(\"u\")"),
        ("/u/i/+api", "api Index(IndexName(u/i))"),
        ("/+status", "status"),
        ("/+search?query=six", "search"),
        ("/+static/style.css", "static style.css"),
        ("/u/i/+uploads.atom", "uploads to u/i"),
        ("/u/i/%2Buploads.atom", "uploads to u/i"),
    ] {
        assert_eq!(route(path, Audience::Json), expected, "{path}");
        let for_person = expected.replace("Json", "Person");
        assert_eq!(route(path, Audience::Person), for_person, "{path}");
    }
}

#[test]
fn names_are_sent_to_their_proper_spelling_and_the_query_is_kept() {
    for (path, audience, expected) in [
        (
            "/simple/Hello.Pkg/",
            Audience::Installer,
            "301 ../hello-pkg/",
        ),
        ("/simple/Hello.Pkg", Audience::Installer, "301 hello-pkg/"),
        (
            "/u/i/+simple/Hello.Pkg/?format=x",
            Audience::Installer,
            "301 ../hello-pkg/?format=x",
        ),
        ("/u/i/+simple/hello_pkg", Audience::Person, "301 hello-pkg/"),
        ("/u/i/Hello.Pkg", Audience::Installer, "301 hello-pkg"),
        ("/u/i/Hello.Pkg/", Audience::Installer, "301 ../hello-pkg/"),
        (
            "/u/i/Hello.Pkg?ignore_bases=",
            Audience::Json,
            "301 hello-pkg?ignore_bases=",
        ),
        ("/u/i/Hello.Pkg/", Audience::Json, "301 ../hello-pkg/"),
        ("/simple/six?a=b", Audience::Json, "302 six/?a=b"),
        ("/simple/Six?\u{1}ü", Audience::Json, "301 six/?%01%C3%BC"),
    ] {
        assert_eq!(route(path, audience), expected, "{path}");
    }
}

#[test]
fn files_are_known_by_their_marker() {
    for (path, expected) in [
        (
            "/u/i/+f/2fb/5f64/six-1.0.tar.gz",
            "file six-1.0.tar.gz at u/i +f/2fb/5f64/six-1.0.tar.gz",
        ),
        (
            "/u/i/%2Bf/2fb/5f64/a-1%2Bx.zip/",
            "file a-1+x.zip at u/i +f/2fb/5f64/a-1+x.zip",
        ),
        (
            "/u/i/+e/http_x_8080/a-1.zip",
            "file a-1.zip at u/i +e/http_x_8080/a-1.zip",
        ),
        (
            "/u/i/+f/2fb/5f64/a-1.whl.metadata",
            "sidecar of a-1.whl at u/i +f/2fb/5f64/a-1.whl.metadata",
        ),
        (
            "/u/i/+f/2fb/.metadata",
            "file .metadata at u/i +f/2fb/.metadata",
        ),
    ] {
        for audience in [Audience::Installer, Audience::Json, Audience::Person] {
            assert_eq!(route(path, audience), expected, "{path}");
        }
    }
}

#[test]
fn what_is_no_route_is_not_found() {
    for path in [
        "/+login",
        "/+nothing",
        "/+static/a/b",
        "/u//i",
        "/u+/i",
        "/u/i+",
        "/u/i/+f",
        "/u/i/+f/x",
        "/u/i/+f//x",
        "/u/i/+f/abc//x",
        "/u/i/+simple/a b/",
        "/u/i/-six/",
        "/u/i/ünï/",
        "/u/i/six/1.0/x",
        "/u/i//",
        "/u/i/six//",
        "/u/i/+simple/six/refresh",
        "/u/i/+unknown",
    ] {
        for audience in [Audience::Installer, Audience::Json, Audience::Person] {
            assert_eq!(route(path, audience), "404", "{path} for {audience:?}");
        }
    }
}

#[test]
fn a_bad_path_is_an_error() {
    for path in ["/u/i/+f/../../x/y", "/u/%2e%2e/i", "/a%2fb", "/%ff"] {
        assert!(
            PublicRoute::parse(path, None, Audience::Json).is_err(),
            "{path}"
        );
    }
}

proptest! {
    /// Links may leave `+` and `!` plain or encode whatever they like: the route is the same.
    #[test]
    fn links_lead_back_to_their_file(
        user in "[a-z][a-z0-9_.@-]{0,8}",
        index in "[a-zü][a-z0-9_.-]{0,8}",
        hex in "[0-9a-f]{16}",
        filename in "[A-Za-z0-9][A-Za-z0-9._!+-]{0,30}\\.(whl|tar\\.gz)",
        is_encoded in any::<bool>(),
        part in select(vec![AskedPart::Whole, AskedPart::Metadata, AskedPart::Provenance]),
    ) {
        prop_assume!(user != "simple");
        let ending = part.ending();
        let inner = format!("+f/{}/{}/{filename}{ending}", &hex[..3], &hex[3..]);
        let encode = |part: &str| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
        let link = if is_encoded { inner.split('/').map(encode).collect::<Vec<_>>().join("/") } else { inner.clone() };
        let path = format!("/{user}/{}/{link}", encode(&index));
        let found = PublicRoute::parse(&path, None, Audience::Json);
        let index = IndexName::parse(&format!("{user}/{index}")).unwrap();
        prop_assert_eq!(found, Ok(PublicRoute::File { index, path: inner, filename, part }));
    }

    #[test]
    fn any_path_is_read_without_panic_and_redirects_stay_here(path in any::<String>(), query in proptest::option::of(any::<String>())) {
        if let Ok(PublicRoute::Redirect { to, .. }) = PublicRoute::parse(&path, query.as_deref(), Audience::Json) {
            prop_assert!(!to.starts_with('/') && to.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        }
    }
}
