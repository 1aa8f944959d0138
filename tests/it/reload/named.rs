//! Every file that the configuration names takes effect when it changes, however it is changed and
//! however it is named; nothing else is watched.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::super::support::{
    Content, FakeIndex, Launch, Listed, Program, Project, Setup, Web, tls,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const GENERATION: &str = "cheesecloth_policy_generation";
const RELOAD: &str = "cheesecloth_config_last_reload_successful";

/// Until a change is in force; generous, for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The files in the configuration folder.
const FILES: [&str; 6] = [
    "shop.yaml",
    "osv.json",
    "known.txt",
    "secret",
    "cert.pem",
    "key.pem",
];

/// How a file is changed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Another file is renamed over it, as editors do.
    Rename,
    /// It is overwritten in place.
    Overwrite,
    /// The link to the folder that holds it is replaced, as Kubernetes does with a ConfigMap.
    Swap,
}

/// A program over a configuration folder whose files change in one manner.
struct Shop {
    dairy: FakeIndex,
    program: Program,
    folder: PathBuf,
    manner: Manner,
    certificate: String,
    asked: usize,
    swaps: usize,
}

fn yaml(dairy: &FakeIndex, denied: &str) -> String {
    let url = dairy.url();
    format!(
        "advisories: [osv.json]\n\
         indexes:\n  \
         root/dairy: {{ type: mirror, mirror_url: '{url}', username: u, password_file: secret }}\n  \
         shop/all: {{ bases: [root/dairy], policy: house }}\n  \
         shop/known: {{ bases: [root/dairy], whitelist_files: [known.txt] }}\n\
         policies:\n  house:\n    rules:\n      \
         - deny: {{ advisory: malware }}\n      - deny: {{ project: {denied} }}\n\
         listen: {{ manage: {{ address: '127.0.0.1:0', tls: {{ cert: cert.pem, key: key.pem }} }} }}\n\
         limits: {{ watch_interval: 1h }}\n"
    )
}

fn advisory(project: &str) -> String {
    let package = json!({ "ecosystem": "PyPI", "name": project });
    json!({ "id": "MAL-1", "affected": [{ "package": package, "versions": ["1.0"] }] }).to_string()
}

fn dairy() -> FakeIndex {
    let projects = (0..9).map(|number| format!("whey{number}"));
    let projects = projects.chain(["sieve".to_owned()]);
    projects
        .fold(Setup::default(), |setup, name| {
            let file = Listed::new(&format!("{name}-1.0.tar.gz"), "1.0", Content::noise(9, 99));
            setup.project(Project::new(&name).file(file))
        })
        .start()
}

impl Shop {
    fn open(manner: Manner, is_relative: bool) -> Self {
        let dairy = dairy();
        let launch = Program::without_policies();
        let folder = launch.folder().join("pol");
        fs::create_dir(&folder).unwrap();
        let certificate = tls::self_signed(&folder, "localhost");
        for (name, text) in [
            ("shop.yaml", yaml(&dairy, "nothing")),
            ("osv.json", advisory("nothing")),
            ("known.txt", "whey==1.0\n".to_owned()),
            ("secret", "first".to_owned()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        if manner == Manner::Swap {
            fs::create_dir(folder.join("..0")).unwrap();
            symlink("..0", folder.join("..data")).unwrap();
            for name in FILES {
                fs::rename(folder.join(name), folder.join("..0").join(name)).unwrap();
                symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
            }
        }
        let named = if is_relative {
            PathBuf::from("pol")
        } else {
            folder.clone()
        };
        let launch: Launch = launch.argument("--policies").argument(named);
        Self {
            dairy,
            program: launch.start(),
            folder,
            manner,
            certificate,
            asked: 0,
            swaps: 0,
        }
    }

    /// Changes these files together.
    fn change(&mut self, files: &[(&str, &str)]) {
        match self.manner {
            Manner::Rename => {
                for (name, text) in files {
                    fs::write(self.folder.join(".draft"), text).unwrap();
                    fs::rename(self.folder.join(".draft"), self.folder.join(name)).unwrap();
                }
            }
            Manner::Overwrite => {
                for (name, text) in files {
                    fs::write(self.folder.join(name), text).unwrap();
                }
            }
            Manner::Swap => {
                let old = self.folder.join(format!("..{}", self.swaps));
                self.swaps += 1;
                let new = self.folder.join(format!("..{}", self.swaps));
                fs::create_dir(&new).unwrap();
                for name in FILES {
                    let text = files.iter().find(|(changed, _)| *changed == name);
                    match text {
                        Some((_, text)) => fs::write(new.join(name), text).unwrap(),
                        None => drop(fs::copy(old.join(name), new.join(name)).unwrap()),
                    }
                }
                symlink(new.file_name().unwrap(), self.folder.join("..draft")).unwrap();
                fs::rename(self.folder.join("..draft"), self.folder.join("..data")).unwrap();
                fs::remove_dir_all(old).unwrap();
            }
        }
    }

    /// The status of a project's file through an index; the status of its page if that is refused,
    /// 0 if it lists nothing.
    async fn status(&self, index: &str, project: &str) -> u16 {
        let web = Web::new();
        let page_url = format!("{}{project}/", self.program.index_url(index));
        let page = web.get_with(&page_url, &[("accept", JSON)]).await;
        if page.status != 200 {
            return page.status;
        }
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        match page["files"][0]["url"].as_str() {
            None => 0,
            Some(link) => {
                let url = Url::parse(&page_url).unwrap().join(link).unwrap();
                web.get(url.as_str()).await.status
            }
        }
    }

    async fn becomes(&self, index: &str, project: &str, wanted: u16, what: &str) {
        let becomes = async {
            while self.status(index, project).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        let became = tokio::time::timeout(PATIENCE, becomes).await;
        assert!(became.is_ok(), "{what}: not in force, {:?}", self.manner);
    }

    /// The credentials sent upstream, seen in a request for a project that was not requested
    /// before.
    async fn password(&mut self) -> String {
        let project = format!("whey{}", self.asked % 9);
        self.asked += 1;
        self.status("root/dairy", &project).await;
        let seen = self.dairy.journal().last(&format!("/simple/{project}/"));
        seen.header("authorization").to_owned()
    }

    /// Whether the management door shows this certificate.
    fn shows(&self, certificate: &str) -> bool {
        let config = tls::trusting(&[certificate], &["http/1.1"]);
        let url = self.program.manage_url().trim_start_matches("https://");
        let socket = TcpStream::connect(url.trim_end_matches('/')).unwrap();
        tls::try_to_agree(&config, "localhost", socket).is_ok()
    }
}

/// Changes every kind of file once, in one manner, with relative and absolute names.
async fn each_kind(manner: Manner) {
    for is_relative in [false, true] {
        let mut shop = Shop::open(manner, is_relative);
        assert_eq!(shop.status("shop/all", "sieve").await, 200);
        assert_eq!(shop.status("shop/known", "sieve").await, 451);

        let denied = yaml(&shop.dairy, "sieve");
        shop.change(&[("shop.yaml", &denied)]);
        shop.becomes("shop/all", "sieve", 451, "a policy").await;
        let allowed = yaml(&shop.dairy, "nothing");
        shop.change(&[("shop.yaml", &allowed)]);
        shop.becomes("shop/all", "sieve", 200, "a policy withdrawn")
            .await;

        shop.change(&[("osv.json", &advisory("sieve"))]);
        shop.becomes("shop/all", "sieve", 0, "an advisory").await;
        shop.change(&[("osv.json", &advisory("nothing"))]);
        shop.becomes("shop/all", "sieve", 200, "an advisory withdrawn")
            .await;

        shop.change(&[("known.txt", "sieve==1.0\n")]);
        shop.becomes("shop/known", "sieve", 200, "a whitelist")
            .await;

        let first = shop.password().await;
        let number = shop.program.metric(GENERATION).unwrap();
        shop.change(&[("secret", "second")]);
        shop.program.wait_for_metric(GENERATION, |now| now > number);
        assert_ne!(shop.password().await, first);

        let number = shop.program.metric(GENERATION);
        assert!(shop.shows(&shop.certificate));
        let renewed = tempfile::tempdir().unwrap();
        let certificate = tls::self_signed(renewed.path(), "localhost");
        let key = fs::read_to_string(renewed.path().join("key.pem")).unwrap();
        shop.change(&[("cert.pem", &certificate), ("key.pem", &key)]);
        shop.program.wait_until_it_says("certificate renewed");
        assert!(shop.shows(&certificate) && !shop.shows(&shop.certificate));
        if manner != Manner::Swap {
            // A certificate does not change pages or decisions.
            assert_eq!(shop.program.metric(GENERATION), number);
        }
        assert_eq!(shop.program.metric(RELOAD), Some(1.0));
    }
}

#[tokio::test]
async fn a_file_of_each_kind_that_is_renamed_over_takes_effect() {
    each_kind(Manner::Rename).await;
}

#[tokio::test]
async fn a_file_of_each_kind_that_is_overwritten_takes_effect() {
    each_kind(Manner::Overwrite).await;
}

#[tokio::test]
async fn a_file_of_each_kind_that_is_exchanged_by_a_link_above_takes_effect() {
    each_kind(Manner::Swap).await;
}

/// The data directory is in the same folder, and every request writes to it.
#[tokio::test]
async fn requests_have_nothing_read_again_and_only_what_is_named_is_watched() {
    let dairy = dairy();
    for named in ["policies.yaml", "."] {
        let launch = Program::without_policies();
        let folder = launch.folder().to_owned();
        for number in 0..200 {
            fs::create_dir_all(folder.join(format!("data/files/{number}"))).unwrap();
        }
        let url = dairy.url();
        let text = format!(
            "indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{url}' }}\n  \
             shop/all: {{ bases: [root/dairy], policy: house }}\n\
             policies: {{ house: {{ rules: [{{ deny: {{ kind: [sdist] }} }}] }} }}\n"
        );
        fs::write(folder.join("policies.yaml"), &text).unwrap();
        let shop = launch.argument("--policies").argument(named).start();
        let web = Web::new();
        for number in 0..9 {
            let project = format!("whey{number}");
            let page = web
                .page(&format!("{}{project}/", shop.index_url("root/dairy")))
                .await;
            let url = page.url_of(&format!("{project}-1.0.tar.gz"));
            assert_eq!(web.get(&url).await.status, 200);
            let refused = url.replace("root/dairy", "shop/all");
            assert_eq!(web.get(&refused).await.status, 403);
        }
        assert!(
            (1..=2).contains(&shop.folders_watched()),
            "{named}: {}",
            shop.folders_watched()
        );
        fs::write(folder.join("policies.yaml"), text.replace("sdist", "egg")).unwrap();
        shop.wait_for_metric(GENERATION, |number| number >= 2.0);
        assert_eq!(
            shop.metric(GENERATION),
            Some(2.0),
            "{named}: read again before"
        );
    }
}

#[tokio::test]
async fn without_watches_changes_are_looked_for_and_it_says_so() {
    let dairy = dairy();
    let text = |denied: &str| yaml(&dairy, denied).replace("1h", "100ms, watches: 0");
    let launch = Program::with_policies(&text("nothing"));
    tls::self_signed(launch.folder(), "localhost");
    for (name, text) in [
        ("osv.json", advisory("x")),
        ("known.txt", String::new()),
        ("secret", "s".to_owned()),
    ] {
        fs::write(launch.folder().join(name), text).unwrap();
    }
    let shop = launch.start();
    shop.wait_until_it_says("limits.watches is 0");
    assert_eq!(shop.folders_watched(), 0);
    shop.write_policies(&text("sieve"));
    shop.wait_for_metric(GENERATION, |number| number >= 2.0);
}

/// The default file is read once it exists, and no policy is lost because the file is, for a moment
/// or by mistake.
#[tokio::test]
async fn a_file_that_comes_is_read_and_one_that_goes_leaves_its_policies_in_force() {
    let dairy = dairy();
    let launch = Program::without_policies().mirroring(dairy.url().as_str());
    let shop = launch.start();
    let web = Web::new();
    let page = format!("{}sieve/", shop.index_url("root/pypi"));
    assert_eq!(web.get(&page).await.status, 200);
    let file = shop.folder().join("cheesecloth.yaml");
    let text = "indexes: { root/pypi: { type: mirror, policy: house } }\n\
                policies: { house: { rules: [{ deny: { project: sieve } }] } }\n\
                limits: { head: 32KiB }\n";
    fs::write(&file, text).unwrap();
    shop.wait_for_metric(GENERATION, |number| number >= 2.0);
    assert_eq!(web.get(&page).await.status, 451);
    let said = shop.wait_until_it_says("in force after a restart");
    assert!(said.contains("\"keys\":\"limits\""), "{said}");

    for (loss, words) in [(None, "is gone"), (Some(""), "is empty")] {
        match loss {
            None => fs::remove_file(&file).unwrap(),
            Some(text) => fs::write(&file, text).unwrap(),
        }
        shop.wait_for_metric(RELOAD, |good| good == 0.0);
        shop.wait_until_it_says(words);
        assert_eq!(web.get(&page).await.status, 451);
        fs::write(&file, text).unwrap();
        shop.wait_for_metric(RELOAD, |good| good == 1.0);
    }
    fs::write(&file, text.replace("sieve", "whey")).unwrap();
    let opened = async {
        while web.get(&page).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.unwrap();
}

/// A fault in the policies does not hold back certificates, nor the other way round.
#[tokio::test]
async fn a_fault_in_one_file_keeps_nothing_else_back() {
    let mut shop = Shop::open(Manner::Rename, false);
    let old = shop.certificate.clone();
    let faulty = yaml(&shop.dairy, "{ knid: x }");
    shop.change(&[("shop.yaml", &faulty)]);
    shop.program.wait_for_metric(RELOAD, |good| good == 0.0);
    let renewed = tempfile::tempdir().unwrap();
    let certificate = tls::self_signed(renewed.path(), "localhost");
    let key = fs::read_to_string(renewed.path().join("key.pem")).unwrap();
    shop.change(&[("cert.pem", &certificate), ("key.pem", &key)]);
    shop.program.wait_until_it_says("certificate renewed");
    assert!(shop.shows(&certificate) && !shop.shows(&old));

    let denied = yaml(&shop.dairy, "sieve");
    shop.change(&[("key.pem", "nothing"), ("shop.yaml", &denied)]);
    shop.becomes("shop/all", "sieve", 451, "a policy").await;
    shop.program.wait_until_it_says("certificate not renewed");
    shop.program.wait_for_metric(RELOAD, |good| good == 0.0);
    assert!(shop.shows(&certificate));
}
