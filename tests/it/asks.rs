//! Asking for an exception: the link in every refusal, and the page that a person gets at the URL that an
//! installer printed, with the rule that would grant it.

use std::fs;

use http::Method;

use super::diff::run;
use super::support::{
    Client, FakeIndex, Fault, Got, Listed, Program, Project, Setup, Tool, Web, Wheel,
};

const BROWSER: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);

/// What pip and uv send, and what looks like a browser and is none.
const INSTALLERS: [&[(&str, &str)]; 4] = [
    &[("accept", "*/*"), ("user-agent", "pip/26.3 {\"ci\":null}")],
    &[("accept", "*/*"), ("user-agent", "uv/0.13.8")],
    &[("accept", "text/html"), ("user-agent", "pip/1.5")],
    &[],
];

const LINK: &str =
    "https://tracker.example/new?title={project}%20{version}&rule={rule}&of={filename}";
const RULE: &str = "deny: { id: holes, project: sieve, size_over: 1B, reason: 'ask the dairy' }";

fn dairy() -> FakeIndex {
    let sieve = |version| Listed::wheel(&Wheel::new("sieve", version), version);
    let sieves = Project::new("sieve")
        .file(sieve("1.0"))
        .file(sieve("2.0"))
        .file(sieve("2.0+local"));
    Setup::default()
        .project(sieves)
        .project(Project::new("mould").wheel("1.0"))
        .start()
}

/// A stack over the dairy with these rules, and a link.
fn policies(dairy: &FakeIndex, link: &str, rules: &str) -> String {
    let url = dairy.url();
    format!(
        "refusals: {{ ask: \"{link}\" }}\nindexes:\n  \
         root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         shop/all: {{ bases: [root/dairy], policy: house }}\n\
         policies:\n  house:\n    on_block: yank\n    rules:\n{rules}"
    )
}

fn rules(rules: &[&str]) -> String {
    rules
        .iter()
        .map(|rule| format!("      - {rule}\n"))
        .collect()
}

async fn sieve(web: &Web, shop: &Program, version: &str) -> String {
    let page = web
        .page(&format!("{}sieve/", shop.index_url("shop/all")))
        .await;
    page.url_of(&format!("sieve-{version}-py3-none-any.whl"))
}

/// A text of a page as people see it.
fn seen(html: &str) -> String {
    html.replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// What stands on a page between two marks.
#[track_caller]
fn between(page: &str, start: &str, end: &str) -> String {
    let (_, rest) = page
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start:?} in {page}"));
    seen(rest.split(end).next().unwrap())
}

#[track_caller]
fn is_page(got: &Got, status: u16) -> String {
    assert_eq!(got.status, status, "{}", got.text());
    assert_eq!(got.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(got.header("vary"), "Accept, User-Agent, Accept-Encoding");
    assert!(
        got.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert!(!got.text().contains("<script"));
    got.text()
}

#[tokio::test]
async fn the_waiver_of_a_refusals_page_lets_exactly_this_version_pass() {
    let dairy = dairy();
    let before = rules(&["deny: { project: whey }", RULE, "deny: { project: curd }"]);
    let yaml = policies(&dairy, LINK, &before);
    let shop = Program::with_policies(&yaml).start();
    let web = Web::new();
    let refused = web
        .get_with(&sieve(&web, &shop, "2.0").await, &[BROWSER])
        .await;
    let page = is_page(&refused, 403);

    let waiver = between(&page, "<pre class=\"waiver\">", "</pre>");
    let (place, rule) = waiver.split_once('\n').unwrap();
    let line: usize = place
        .trim_end_matches(':')
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let mut lines: Vec<String> = yaml.lines().map(str::to_owned).collect();
    assert!(lines[line - 1].contains("id: holes"), "{place}");
    let pasted = rule.lines().map(|line| format!("      {line}"));
    lines.splice(line - 1..line - 1, pasted);
    shop.write_policies(&lines.join("\n"));
    shop.wait_for_metric("cheesecloth_policy_generation", |generation| {
        generation >= 2.0
    });

    for (version, status) in [("2.0", 200), ("1.0", 403), ("2.0+local", 403)] {
        let url = sieve(&web, &shop, version).await;
        assert_eq!(
            web.get(&url).await.status,
            status,
            "{version}\n{}",
            lines.join("\n")
        );
    }
    let after = web
        .get_with(&sieve(&web, &shop, "1.0").await, &[BROWSER])
        .await;
    let allowed = between(&is_page(&after, 403), "Allowed versions", "</ul>");
    assert!(
        allowed.contains(">2.0</a>") && !allowed.contains(">1.0<"),
        "{allowed}"
    );
}

#[tokio::test]
async fn the_link_is_in_every_refusal_and_installers_get_what_they_got() {
    let dairy = dairy();
    let all = rules(&[RULE, "deny: { id: spores, project: mould }"]);
    let shop = Program::with_policies(&policies(&dairy, LINK, &all)).start();
    let web = Web::new();
    let file = sieve(&web, &shop, "2.0+local").await;
    let link = "https://tracker.example/new?title=sieve%202.0%2Blocal&rule=house%2Fholes\
                &of=sieve-2.0%2Blocal-py3-none-any.whl";
    let mould = format!("{}mould/", shop.index_url("shop/all"));
    let of_mould = "https://tracker.example/new?title=mould%20&rule=house%2Fspores&of=";
    for (url, status, link) in [
        (&file, 403, link),
        (&format!("{file}.metadata"), 403, link),
        (&mould, 451, of_mould),
    ] {
        for headers in INSTALLERS {
            let got = web.get_with(url, headers).await;
            assert_eq!(got.status, status, "{}", got.text());
            assert_eq!(
                got.header("content-type"),
                "application/problem+json",
                "{headers:?}"
            );
            assert_eq!(got.header("vary"), "", "{headers:?}");
            let problem: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
            assert_eq!(problem["ask"], link);
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.ends_with(&format!(" Ask for an exception: {link}")),
                "{detail}"
            );
            assert!(!problem["title"].as_str().unwrap().contains("tracker"));
        }
        let page = is_page(&web.get_with(url, &[BROWSER]).await, status);
        assert_eq!(
            between(&page, "<h2>An exception</h2><p><a href=\"", "\""),
            link
        );
        let head = web.head_with(url, &[BROWSER]).await;
        assert_eq!((head.status, head.text().as_str()), (status, ""));
        assert_eq!(head.header("content-length"), page.len().to_string());
    }
    let listed = web
        .get_with(&format!("{}shop/all/sieve", shop.public_url()), &[BROWSER])
        .await;
    let listed = seen(&listed.text());
    assert!(listed.contains(&format!("<a href=\"{link}\"")), "{listed}");
}

#[test]
fn uv_and_pip_print_the_link() {
    let dairy = dairy();
    let all =
        rules(&["deny: { id: spores, project: [mould, sieve], size_over: 1B, reason: 'no' }"]);
    let shop = Program::with_policies(&policies(&dairy, "https://ask.example/{project}", &all));
    let shop = shop.start();
    for (tool, words) in [
        (Tool::Pip, "ask: https://ask.example/mould"),
        (Tool::Uv, "Ask for an exception: https://ask.example/mould"),
    ] {
        let pinned = Client::fresh(tool).install(&shop.index_url("shop/all"), &["mould==1.0"]);
        pinned.fails().says(words);
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_or_speaks_nonsense_has_a_page() {
    let dairy = dairy();
    let shop = Program::with_policies(&policies(&dairy, LINK, &rules(&[RULE]))).start();
    let web = Web::new();
    for (status, body, expected) in [(503, "", 503), (200, "{nonsense", 502)] {
        dairy.misbehave("/simple/", Fault::new().status(status).body(body));
        let url = format!("{}rind{status}/", shop.index_url("shop/all"));
        let page = is_page(&web.get_with(&url, &[BROWSER]).await, expected);
        assert!(
            page.contains("What is held here is still served."),
            "{page}"
        );
        let got = web
            .attempt(Method::GET, &url, &[("user-agent", "pip/26.3")])
            .await
            .unwrap();
        assert_eq!(
            (got.status, got.header("content-type")),
            (expected, "application/problem+json")
        );
        dairy.behave();
    }
}

#[test]
fn a_link_that_leads_nowhere_is_a_fault_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (link, words) in [
        (
            "https://t.example/{projct}",
            "ask: unknown placeholder {projct}, did you mean {project}?",
        ),
        (
            "javascript:alert(1)",
            "ask: \"javascript:alert(1)\" is not a link of http, https or mailto",
        ),
        ("tracker", "ask: \"tracker\" is not a link such as"),
    ] {
        let yaml = format!("refusals:\n  ask: \"{link}\"\n");
        fs::write(folder.path().join("c.yaml"), yaml).unwrap();
        let check = run(folder.path(), &["check", "c.yaml"]);
        let said = check.out + &check.err;
        assert!(said.contains(&format!("c.yaml:2:8: {words}")), "{said}");
        assert_eq!(check.code, Some(1), "{said}");
    }
}
