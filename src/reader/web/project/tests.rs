//! A project's page and a release's, as a browser gets them.

use serde_json::json;

use crate::db::{FileFacts, FileRole};
use crate::exchange::Body;
use crate::model::Yanked;
use crate::reader::api::{House, in_lines, release_file, text_of};

fn main_of(page: &str) -> String {
    let main = page.split("<main").nth(1).unwrap();
    in_lines(main.split("</main>").next().unwrap())
}

/// What stands after one heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let heading = format!("<h2>{heading}</h2>");
    let after = page.split(&*heading).nth(1);
    let after = after.unwrap_or_else(|| panic!("no {heading} in {page}"));
    after.split("<h2>").next().unwrap()
}

#[tokio::test]
async fn releases_stand_newest_first_with_what_is_refused_and_why() {
    let house = House::new().await;
    let page = text_of(&house.browse("/packages/stable/requests").await);
    insta::assert_snapshot!(main_of(&page), @r#"
     id="content" tabindex="-1"><nav class="trail" aria-label="place"><a href="../../packages">packages</a> / <a href="../../packages/stable">stable</a> / requests</nav>
    <h1>requests</h1>
    <p class="taken">Today an installer takes nothing: requests 2.99.0 is refused by policy corporate: cool-down (until 2026-03-07T15:00:00Z) (house.yaml:27).</p>
    <h2>Install</h2>
    <p class="refused">All files of 2.99.0 are refused here.</p>
    <div class="columns">
    <div class="wide-column">
    <h2>Description</h2>
    <p class="note">No wheel of it passes here, so it is not known what it says about itself.</p>
    <h2>Files of 2.99.0</h2>
    <ul class="files">
    <li>
    <div class="name">requests-2.99.0.tar.gz</div>
    <div class="facts"><span>source</span><span>10.7 KiB</span><span><time datetime="2026-02-28">2026-02-28</time></span><span>Python &gt;=2.7</span><span>from root/pypi</span></div>
    <div class="warn">cools down until <time datetime="2026-03-07">2026-03-07</time>: refused by policy corporate: cool-down (until 2026-03-07T15:00:00Z) (house.yaml:27)</div>
    <div><a href="../../packages/stable/+f/001/eb98c241529bb/requests-2.99.0.tar.gz" rel="nofollow">what to do</a></div>
    <details><summary>digests</summary>
    <div>sha256 <code class="digest">001eb98c241529bbe8d02873769201088bb1866a08754c26c73d272165796414</code></div></details></li></ul></div>
    <div class="side-column">
    <h2>Releases</h2>
    <ol class="releases">
    <li><a href="requests/2.99.0">2.99.0</a> <time datetime="2026-02-28">2026-02-28</time> <span class="warn">cools down until <time datetime="2026-03-07">2026-03-07</time>: refused by policy corporate: cool-down (until 2026-03-07T15:00:00Z) (house.yaml:27)</span></li>
    <li><a href="requests/2.31.0">2.31.0</a> <time datetime="2023-05-22">2023-05-22</time> <span class="warn">yanked: a &lt;test&gt;</span></li>
    <li><a href="requests/2.30.0">2.30.0</a> <time datetime="2023-05-03">2023-05-03</time> <span class="bad">refused by policy corporate: CVE-2023-32681 (house.yaml:26)</span></li></ol></div></div>
    "#);
}

#[tokio::test]
async fn a_private_name_says_why_the_mirror_is_not_asked() {
    let house = House::new().await;
    let page = text_of(&house.browse("/packages/develop/hello-pkg").await);
    let words = "root/pypi is not asked: packages/develop holds this name";
    assert!(page.contains(words), "{page}");
    assert!(!page.contains("hello_pkg-9"), "{page}");
}

#[tokio::test]
async fn a_release_page_has_only_its_files() {
    let house = House::new().await;
    let page = text_of(&house.browse("/packages/stable/requests/2.31").await);
    let other = "requests-2.31.0.tar.gz";
    assert!(page.contains(other), "another spelling of 2.31.0: {page}");
    assert!(!page.contains("requests-2.30.0.tar.gz"), "{page}");
    let install = section(&page, "Install");
    assert!(install.contains(" requests==2.31.0</pre>"), "{install}");
}

const SIX: &str = "\
Metadata-Version: 2.4
Name: six
Version: 1.16.0
Summary: Python 2 & 3
License-Expression: MIT
Author-email: Six <six@house.example>
Project-URL: Source, https://src.example/six
Project-URL: Trap, javascript:alert(1)
Classifier: Programming Language :: Python :: 3
Requires-Dist: Hello.Pkg[fast]>=1; python_version < \"3\"
Requires-Dist: ../odd
Description-Content-Type: text/markdown

# six

Says *more* <script>alert(1)</script>
";

#[tokio::test]
async fn a_mirrors_release_is_described_by_the_sidecar_of_its_wheel() {
    let house = House::new().await;
    house.mirror_sidecar("six-1.16.0-py2.py3-none-any.whl", SIX);
    let page = text_of(&house.browse("/root/pypi/six/1.16.0").await);
    insta::assert_snapshot!(main_of(&page), @r#"
     id="content" tabindex="-1"><nav class="trail" aria-label="place"><a href="../../../root">root</a> / <a href="../../../root/pypi">pypi</a> / <a href="../../../root/pypi/six">six</a> /</nav>
    <h1>six <span class="version">1.16.0</span></h1>
    <p class="summary">Python 2 &amp; 3</p>
    <p class="taken">Today an installer takes six 1.16.0.</p>
    <h2>Install</h2>
    <pre>pip install --index-url http://devpi.example:4040/root/pypi/+simple/ --trusted-host devpi.example six==1.16.0</pre>
    <pre>uv add --default-index http://devpi.example:4040/root/pypi/+simple/ six==1.16.0</pre>
    <div class="columns">
    <div class="wide-column">
    <h2>Description</h2>
    <div class="prose" dir="auto"><h3>six</h3>

    <p>Says <em>more</em> </p>
    </div>
    <h2>Files of 1.16.0</h2>
    <ul class="files">
    <li>
    <div class="name"><a href="../../../root/pypi/+f/cfe/b0022683830dc/six-1.16.0-py2.py3-none-any.whl">six-1.16.0-py2.py3-none-any.whl</a></div>
    <div class="facts"><span>wheel for py2, py3 on any</span><span>10.7 KiB</span><span><time datetime="2021-05-05">2021-05-05</time></span><span>Python &gt;=2.7</span><span>from root/pypi</span></div>
    <details><summary>digests</summary>
    <div>sha256 <code class="digest">cfeb0022683830dc7506d502d9ee66f32c27b3817d24ea9ca0662377102577ef</code></div></details></li>
    <li>
    <div class="name"><a href="../../../root/pypi/+f/135/e350f19a41303/six-1.16.0.tar.gz">six-1.16.0.tar.gz</a></div>
    <div class="facts"><span>source</span><span>10.7 KiB</span><span><time datetime="2021-05-05">2021-05-05</time></span><span>Python &gt;=2.7</span><span>from root/pypi</span></div>
    <details><summary>digests</summary>
    <div>sha256 <code class="digest">135e350f19a413031effd323157deca33127accf74d95f3a723e6ed10ee8ef25</code></div></details></li></ul></div>
    <div class="side-column">
    <h2>About it</h2><dl class="about"><dt>Licence</dt><dd>MIT</dd><dt>Python</dt><dd>&gt;=2.7</dd><dt>Author</dt><dd>Six &lt;six@house.example&gt;</dd></dl>
    <ul class="plain">
    <li><a href="https://src.example/six" rel="nofollow noreferrer">Source</a></li></ul>
    <details><summary>Classifiers</summary>
    <ul class="plain">
    <li>Programming Language :: Python :: 3</li></ul></details>
    <h2>Requires</h2>
    <ul class="plain">
    <li><a href="../../../root/pypi/hello-pkg">Hello.Pkg</a> [fast]&gt;=1 <span class="faint">; python_version &lt; &quot;3&quot;</span></li>
    <li>../odd</li></ul>
    <h2>Releases</h2>
    <p><a href="../../../root/pypi/six">All releases</a></p></div></div>
    "#);
}

#[tokio::test]
async fn what_cannot_be_had_is_said_and_is_no_error() {
    let house = House::new().await;
    let reply = house.browse("/root/pypi/six").await;
    assert_eq!(reply.status, 200);
    let page = text_of(&reply);
    let description = section(&page, "Description");
    let words = "What it says about itself cannot be had now: ";
    assert!(description.contains(words), "{description}");
    let page = text_of(&house.browse("/root/pypi/requests").await);
    let words = "No wheel of it passes here";
    assert!(section(&page, "Description").contains(words), "{page}");
}

#[tokio::test]
async fn a_release_without_a_wheel_is_described_by_another_on_the_projects_page() {
    let house = House::new().await;
    let old = "2021-05-05T14:18:18Z";
    let wheel = "six-1.16.0-py2.py3-none-any.whl";
    let files = [
        (wheel, Yanked::No, old),
        ("six-1.17.tar.gz", Yanked::No, old),
    ];
    house.mirror_page("six", &files);
    house.mirror_sidecar(wheel, SIX);
    let page = text_of(&house.browse("/root/pypi/six").await);
    let description = section(&page, "Description");
    assert!(description.contains("As 1.16.0 has it"), "{description}");
    assert!(description.contains("<em>more</em>"), "{description}");
    let page = text_of(&house.browse("/root/pypi/six/1.17").await);
    assert!(!page.contains("<em>more</em>"), "{page}");
}

#[tokio::test]
async fn an_uploaded_release_tells_who_brought_it_and_how_its_tests_went() {
    let house = House::new().await;
    let metadata = json!({
        "name": "tested", "version": "1!1.0", "summary": "is tested", "license": "MIT\nand more",
        "description": "Plain *text*", "description_content_type": "text/plain",
        "requires_dist": ["six"], "keywords": "a, b", "home_page": "https://home.example"
    });
    let file = "tested-1!1.0.tar.gz";
    let passed = r#"{"platform": "linux", "testenvs": {"py312": {"test": [{"retcode": 0}]}}}"#;
    let results = [("a", passed), ("b", "1")].map(|(number, json)| FileFacts {
        role: FileRole::ToxResult {
            for_file: file.to_owned(),
        },
        sha256: house.put_uploaded(json.as_bytes()),
        size: json.len() as u64,
        ..release_file(&format!("{file}.toxresult-{number}"))
    });
    let files = [release_file(file)].into_iter().chain(results).collect();
    house
        .publish_described("packages/develop", metadata, files)
        .await;
    let page = text_of(&house.browse("/packages/develop/tested/1!1.0").await);
    insta::assert_snapshot!(main_of(&page), @r#"
     id="content" tabindex="-1"><nav class="trail" aria-label="place"><a href="../../../packages">packages</a> / <a href="../../../packages/develop">develop</a> / <a href="../../../packages/develop/tested">tested</a> /</nav>
    <h1>tested <span class="version">1!1.0</span></h1>
    <p class="summary">is tested</p>
    <p class="taken">Today an installer takes tested 1!1.0.</p>
    <p class="note">root/pypi is not asked: packages/develop holds this name, and no mirror_whitelist lets mirrors add to it</p>
    <h2>Install</h2>
    <pre>pip install --index-url http://devpi.example:4040/packages/develop/+simple/ --trusted-host devpi.example 'tested==1!1.0'</pre>
    <pre>uv add --default-index http://devpi.example:4040/packages/develop/+simple/ 'tested==1!1.0'</pre>
    <div class="columns">
    <div class="wide-column">
    <h2>Description</h2>
    <div class="prose" dir="auto">
    <pre class="plain">Plain *text*</pre></div>
    <h2>Files of 1!1.0</h2>
    <ul class="files">
    <li>
    <div class="name"><a href="../../../packages/develop/+f/945/aa2f261507869/tested-1!1.0.tar.gz">tested-1!1.0.tar.gz</a></div>
    <div class="facts"><span>source</span><span>1.1 KiB</span><span><time datetime="2026-01-02">2026-01-02</time></span><span>Python &gt;=3.9</span><span>from packages/develop</span></div>
    <ul class="facts">
    <li>uploaded by packages to packages/develop, <time datetime="2026-01-02">2026-01-02</time></li></ul>
    <details><summary>digests</summary>
    <div>sha256 <code class="digest">945aa2f2615078696ca69585832dabe392ea077e7f5a7f89c5d01aca6d702347</code></div></details></li></ul>
    <h2>Test results of 1!1.0</h2>
    <ul class="files">
    <li>
    <div class="name"><a href="../../../packages/develop/+f/abb/99b6ce200ae4b/tested-1!1.0.tar.gz.toxresult-a">tested-1!1.0.tar.gz</a></div>
    <div class="facts"><span><time datetime="2026-01-02">2026-01-02</time></span><span>by packages</span><span>on linux</span></div>
    <ul class="facts">
    <li class="good">py312: passed</li></ul></li>
    <li>
    <div class="name"><a href="../../../packages/develop/+f/6b8/6b273ff34fce1/tested-1!1.0.tar.gz.toxresult-b">tested-1!1.0.tar.gz</a></div>
    <div class="facts"><span><time datetime="2026-01-02">2026-01-02</time></span><span>by packages</span></div>
    <div class="faint">not read here: it is too long, or in another form</div></li></ul></div>
    <div class="side-column">
    <h2>About it</h2><dl class="about"><dt>Licence</dt><dd>MIT</dd><dt>Python</dt><dd>&gt;=3.9</dd><dt>Keywords</dt><dd>a, b</dd></dl>
    <ul class="plain">
    <li><a href="https://home.example/" rel="nofollow noreferrer">Home page</a></li></ul>
    <h2>Requires</h2>
    <ul class="plain">
    <li><a href="../../../packages/develop/six">six</a> </li></ul>
    <h2>Releases</h2>
    <p><a href="../../../packages/develop/tested">All releases</a></p></div></div>
    "#);
}

#[tokio::test]
async fn a_version_that_could_be_a_command_is_not_one() {
    let house = House::new().await;
    let odd = "six-$(id);.tar.gz";
    house.mirror_page("six", &[(odd, Yanked::No, "2021-05-05T14:18:18Z")]);
    let page = text_of(&house.browse("/root/pypi/six/$(id);").await);
    let install = section(&page, "Install");
    assert!(
        !install.contains("$(id)") && install.contains(" six</pre>"),
        "{install}"
    );
}

#[tokio::test]
async fn a_page_of_two_hundred_releases_stays_small() {
    let house = House::new().await;
    let names: Vec<String> = (0..230)
        .map(|number| format!("requests-2.{number}.0.tar.gz"))
        .collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (&**name, Yanked::No, "2025-02-03T15:00:00Z"))
        .collect();
    house.mirror_page("requests", &files);
    let page = text_of(&house.browse("/packages/stable/requests").await);
    assert!(page.contains("and 30 older ones on "), "{page}");
    assert!(page.len() < 60_000, "{} bytes", page.len());
    let reply = house
        .browse_with("/packages/stable/requests", &[("accept-encoding", "gzip")])
        .await;
    assert_eq!(reply.head["content-encoding"], "gzip");
    let Body::Bytes(bytes) = &reply.body else {
        panic!("{:?}", reply.body);
    };
    assert!(bytes.len() < 10_000, "{} bytes", bytes.len());
}

#[tokio::test]
async fn who_has_a_page_is_not_sent_it_again() {
    let house = House::new().await;
    let path = "/packages/stable/requests";
    let first = house.browse(path).await;
    let tag = first.head["etag"].to_str().unwrap().to_owned();
    let again = house.browse_with(path, &[("if-none-match", &tag)]).await;
    assert_eq!(again.status, 304);
    assert!(matches!(again.body, Body::Empty));
    assert_eq!(again.head["etag"], &*tag);
    let packed = [("if-none-match", &*tag), ("accept-encoding", "gzip")];
    assert_eq!(
        house.browse_with(path, &packed).await.status,
        200,
        "another form"
    );
    let head = house.browse_with(path, &[("method", "HEAD")]).await;
    assert_eq!(head.head["content-length"], first.head["content-length"]);
    assert!(matches!(head.body, Body::Empty));
    let absent = house.browse("/packages/stable/nothing").await;
    assert!(absent.head.get("etag").is_none(), "{:?}", absent.head);
}
