//! Search as people and pip use it: over uploads, mirrors' lists and what wheels say of themselves.

use serde_json::Value;

use super::support::{
    Client, Door, FakeIndex, Listed, Program, Project, Setup, Tool, Web, Wheel, ask, soon,
};

const POLICIES: &str = "
indexes:
  root/pypi: { type: mirror }
  acme/dev: { bases: [root/pypi], volatile: true, acl_upload: [':ANONYMOUS:'], owns: ['acme-*'] }
  acme/secret: { volatile: true, acl_upload: [':ANONYMOUS:'], public: false }
";

fn index() -> FakeIndex {
    let metadata = "Metadata-Version: 2.1\nName: brie\nVersion: 1.0\nSummary: soft and mild\n";
    let wheel = Listed::wheel(&Wheel::new("brie", "1.0"), "1.0").sidecar(metadata);
    Setup::default()
        .project(Project::new("brie").file(wheel))
        .project(Project::new("gouda").wheel("1.0"))
        .start()
}

/// What a door finds, as `name [indexes] summary`.
async fn found(door: &str, query: &str) -> Vec<String> {
    let accept = [("accept", "application/json")];
    let got = Web::new()
        .get_with(&format!("{door}+search?query={query}"), &accept)
        .await;
    assert_eq!(got.status, 200, "{}", got.text());
    let answer: Value = serde_json::from_str(&got.text()).unwrap();
    let items = answer["result"]["items"].as_array().unwrap().iter();
    let told = items.map(|one| {
        let text = format!("{} {} {}", one["name"], one["indexes"], one["summary"]);
        text.replace('"', "")
    });
    told.collect()
}

/// Waits until a door finds exactly this.
async fn finds(door: &str, query: &str, expected: &[&str]) {
    soon(async {
        while found(door, query).await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn upload(program: &Program, index: &str, name: &str, summary: &str) {
    let wheel = Wheel::new(name, "1.0");
    let fields = [
        (":action", "file_upload"),
        ("name", name),
        ("version", "1.0"),
        ("summary", summary),
        ("keywords", "dairy"),
        ("import_names", "cheesemaker.tools"),
    ];
    let file = (&*wheel.filename(), &*wheel.build());
    let door = Door::at(program.manage_url());
    let uploaded = door.form(index, &fields, Some(file)).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
}

#[tokio::test]
async fn uploads_are_found_soon_by_all_they_say_and_deletions_are_gone_soon() {
    let index = index();
    let data = tempfile::tempdir().unwrap();
    let launch = || {
        let launch = Program::with_policies(POLICIES).data(data.path());
        launch.mirroring(index.url().as_str()).start()
    };
    let program = launch();
    upload(&program, "acme/dev", "acme-tool", "cuts cheese").await;
    upload(&program, "acme/secret", "acme-plan", "cuts jobs").await;
    let tool = "acme-tool [acme/dev] cuts cheese";
    for door in [program.public_url(), program.manage_url()] {
        for query in [
            "acme-tool",
            "amce-tool",
            "tool",
            "cheese",
            "dairy",
            "cheesemaker",
        ] {
            // What the door does not show is not found there by words that it shares.
            let query = &format!("{query}&index=acme/dev");
            finds(door, query, &[tool]).await;
        }
    }
    finds(program.public_url(), "cuts", &[tool]).await;
    let plan = "acme-plan [acme/secret] cuts jobs";
    finds(program.manage_url(), "cuts", &[plan, tool]).await;
    let hidden = format!(
        "{}+search?query=cuts&index=acme/secret",
        program.public_url()
    );
    let accept = [("accept", "application/json")];
    assert_eq!(Web::new().get_with(&hidden, &accept).await.status, 404);
    // A new process gathers the same, from what is held.
    assert!(program.stop().success());
    let program = launch();
    finds(program.public_url(), "cuts", &[tool]).await;
    let door = Door::at(program.manage_url());
    let deleted = door.ask("DELETE", "/acme/dev/acme-tool", Value::Null).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    finds(program.public_url(), "cuts", &[]).await;
}

#[tokio::test]
async fn mirrors_are_searched_by_their_lists_and_what_was_asked_for_also_by_what_it_says() {
    let index = index();
    let launch = Program::with_policies(POLICIES).mirroring(index.url().as_str());
    let program = launch.start();
    let lists = || {
        let asked = index.journal().all("/simple/").into_iter();
        asked.filter(|seen| seen.path == "/simple/").count()
    };
    assert_eq!(lists(), 0, "nobody has searched");
    finds(program.public_url(), "guoda", &["gouda [root/pypi] null"]).await;
    assert_eq!(found(program.public_url(), "mild").await, [""; 0]);
    let page = Web::new()
        .page(&format!("{}brie/", program.index_url("root/pypi")))
        .await;
    let wheel = page.url_of("brie-1.0-py3-none-any.whl");
    assert_eq!(
        Web::new().get(&format!("{wheel}.metadata")).await.status,
        200
    );
    finds(
        program.public_url(),
        "mild",
        &["brie [root/pypi] soft and mild"],
    )
    .await;
    assert_eq!(lists(), 1, "and not again for an hour");
}

#[test]
fn pip_search_prints_what_an_index_finds() {
    let index = index();
    let launch = Program::with_policies(POLICIES).mirroring(index.url().as_str());
    let program = launch.start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        upload(&program, "acme/dev", "acme-tool", "cuts <cheese> & more").await;
        finds(program.public_url(), "gouda", &["gouda [root/pypi] null"]).await;
        let tool = "acme-tool [acme/dev] cuts <cheese> & more";
        finds(program.public_url(), "cheese", &[tool]).await;
    });
    let pip = Client::fresh(Tool::Pip);
    for door in [program.public_url(), program.manage_url()] {
        // pip asks for either.
        let either = [
            "search",
            "cheese",
            "gouda",
            "--index",
            &format!("{door}acme/dev/"),
        ];
        let said = pip.run(&either).succeeds().says("acme-tool (1.0)");
        said.says("gouda (0+unknown)");
        let at = format!("{door}acme/dev/");
        let search = |words: &str| pip.run(&["search", words, "--index", &at]);
        let line = "acme-tool (1.0)  - [acme/dev] cuts <cheese> & more";
        search("cheese").succeeds().says(line);
        search("gouda")
            .succeeds()
            .says("gouda (0+unknown)  - [acme/dev]");
        search("nothing-of-this-kind").fails();
        let hidden = format!("{door}no/body/");
        let said = pip.run(&["search", "acme", "--index", &hidden]).fails();
        said.says("The stage no/body could not be found.");
    }
}

#[test]
fn what_is_no_question_is_told_so_and_changes_nothing() {
    let program = Program::with_policies(POLICIES).start();
    let long = format!("<methodCall>{}</methodCall>", "x".repeat(100 << 10));
    let nested = format!("<methodCall>{}", "<a>".repeat(20_000));
    let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]><methodCall><methodName>\
                search</methodName><params><param><value><struct><member><name>name</name><value><string>\
                &y;</string></value></member></struct></value></param></params></methodCall>";
    let table = [
        ("/acme/dev/", "<methodCall>", "the question cannot be read"),
        ("/acme/dev/", long.as_str(), ""),
        (
            "/acme/dev/",
            nested.as_str(),
            "more than 32 elements within each other",
        ),
        (
            "/acme/dev/",
            "<methodCall><methodName>os.system</methodName></methodCall>",
            "no method",
        ),
        ("/acme/dev/", bomb, "<data></data>"),
        ("/", "<methodCall>", ""),
    ];
    for (path, body, words) in table {
        for door in [program.public_url(), program.manage_url()] {
            let url = format!("{}{}", door.trim_end_matches('/'), path);
            let kind = [("Content-Type", "text/xml")];
            let got = ask::send("POST", &url, &kind, body.as_bytes()).unwrap();
            let is_public = door == program.public_url();
            if is_public || !words.is_empty() {
                assert_eq!(got.status, 200, "{url}: {got:?}");
                assert!(got.body.contains("<methodResponse>"), "{url}: {got:?}");
            }
            assert!(got.body.contains(words), "{url}: {got:?}");
            if is_public && body == long {
                let words = "larger than the 65536 bytes that limits.search_body allows";
                assert!(got.body.contains(words), "{url}: {got:?}");
            }
        }
    }
}

/// An index whose rules refuse some releases, beside one without rules and a mirror.
const REFUSING: &str = "
indexes:
  root/pypi: { type: mirror }
  acme/base: { acl_upload: [':ANONYMOUS:'], volatile: true, policy: strict }
  acme/mid: { bases: [acme/base], policy: stricter }
  acme/top: { bases: [acme/mid] }
  acme/hidden: { acl_upload: [':ANONYMOUS:'], volatile: true, public: false }
  acme/over: { bases: [acme/hidden] }
policies:
  strict: { rules: [ deny: { project: stinky, versions: '>=1' } ] }
  stricter: { rules: [ deny: { project: runny, versions: '>=1' } ] }
";

#[tokio::test]
async fn what_a_release_says_that_its_own_index_refuses_is_not_told() {
    let program = Program::with_policies(REFUSING).start();
    upload(&program, "acme/base", "stinky", "limburger washed in brine").await;
    upload(&program, "acme/base", "runny", "camembert washed in milk").await;
    upload(&program, "acme/base", "mild", "gouda washed in nothing").await;
    let mild = |index: &str| format!("mild [{index}] gouda washed in nothing");
    let runny = "runny [acme/base] camembert washed in milk";
    let door = program.public_url();
    for (query, expected) in [
        // Everywhere and on its own index, nothing of the refused release is told or leads to it.
        ("washed", vec![mild("acme/base"), runny.to_owned()]),
        ("limburger", vec![]),
        ("stinky", vec!["stinky [acme/base] null".to_owned()]),
        (
            "washed&index=acme/base",
            vec![mild("acme/base"), runny.to_owned()],
        ),
        // What a base between refuses is refused through it.
        ("washed&index=acme/top", vec![mild("acme/top")]),
        ("camembert&index=acme/top", vec![]),
        (
            "runny&index=acme/top",
            vec!["runny [acme/top] null".to_owned()],
        ),
        (
            "stinky&index=acme/top",
            vec!["stinky [acme/top] null".to_owned()],
        ),
    ] {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        finds(door, query, &expected).await;
    }
}

#[tokio::test]
async fn a_hidden_base_is_searched_through_what_inherits_it_and_never_named() {
    let program = Program::with_policies(REFUSING).start();
    upload(&program, "acme/hidden", "secret-plan", "cuts jobs").await;
    let plan = "secret-plan [acme/over] cuts jobs";
    finds(program.public_url(), "cuts&index=acme/over", &[plan]).await;
    finds(program.public_url(), "cuts", &[]).await;
    let hidden = "secret-plan [acme/hidden] cuts jobs";
    finds(program.manage_url(), "cuts", &[hidden]).await;
    for kind in ["application/json", "text/html"] {
        let asked = format!("{}+search?query=cuts&index=acme/over", program.public_url());
        let got = Web::new().get_with(&asked, &[("accept", kind)]).await;
        assert!(got.text().contains("secret-plan"), "{}", got.text());
        assert!(!got.text().contains("acme/hidden"), "{}", got.text());
    }
}

#[tokio::test]
async fn what_turns_or_hides_letters_is_not_shown() {
    let program = Program::with_policies(POLICIES).start();
    let summary = "a safe\u{202e} tool\u{200b}\u{7}\u{2066}";
    upload(&program, "acme/dev", "acme-odd", summary).await;
    let door = program.public_url();
    finds(door, "safe", &["acme-odd [acme/dev] a safe tool"]).await;
    for page in ["+search?query=acme-odd", "acme/dev/acme-odd"] {
        let accept = [("accept", "text/html")];
        let text = Web::new()
            .get_with(&format!("{door}{page}"), &accept)
            .await
            .text();
        assert!(text.contains("a safe tool"), "{page}: {text}");
        assert!(
            !text.contains(['\u{202e}', '\u{200b}', '\u{2066}']),
            "{page}"
        );
    }
}

#[tokio::test]
async fn what_a_wheel_is_imported_as_is_found_though_the_form_does_not_say_it() {
    let program = Program::with_policies(POLICIES).start();
    let wheel = Wheel::new("acme-tool", "1.0").states("Import-Name: fondue_pot");
    let wheel = wheel.states("Import-Namespace: raclette");
    let fields = [
        (":action", "file_upload"),
        ("name", "acme-tool"),
        ("version", "1.0"),
        ("metadata_version", "2.5"),
    ];
    let file = (&*wheel.filename(), &*wheel.build());
    let door = Door::at(program.manage_url());
    let uploaded = door.form("acme/dev", &fields, Some(file)).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    for query in ["fondue_pot", "raclette"] {
        let tool = "acme-tool [acme/dev] null";
        finds(program.public_url(), query, &[tool]).await;
    }
}
