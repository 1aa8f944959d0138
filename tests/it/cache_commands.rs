//! `cheesecloth cache`, in a terminal: beside the server and without one, with what a disk does to files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use cheesecloth::testing::model::Sha256;
use serde_json::Value;

use super::support::{
    Client, Door, FakeIndex, Launch, Program, Project, Setup, Tool, Wheel, ask, command, soon,
};

const INDEX: &str = "shop/dev";

/// Collections until nobody reads what is to go; generous, for a busy machine.
const HELD_BACK_MAX: usize = 100;

/// Background verification would find the damage first, so it is off.
const UNWATCHED: &str = "limits: { verify_pace: 0B, collect_after: 100ms }\n";

/// A shop with a mirror below a stage; pip has installed a wheel of each.
struct Shop {
    dairy: FakeIndex,
    data: tempfile::TempDir,
    program: Program,
}

fn launch(dairy: &FakeIndex, data: &Path, more: &str) -> Launch {
    let url = dairy.url();
    let policies = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         {INDEX}: {{ bases: [root/dairy], acl_upload: [root] }}\n{UNWATCHED}{more}"
    );
    let launch = Program::with_policies(&policies).data(data);
    launch.with("CHEESECLOTH_ROOT_PASSWORD", "pw")
}

impl Shop {
    async fn open() -> Self {
        let dairy = Setup::default()
            .project(Project::new("sieve").wheel("1.0"))
            .project(Project::new("whey").wheel("1.0"))
            .start();
        let data = tempfile::tempdir().unwrap();
        let program = launch(&dairy, data.path(), "").start();
        let root = Door::at(program.manage_url()).by("root", "pw");
        assert_eq!(root.upload(INDEX, "press", "1.0").await.status, 200);
        let pip = Client::fresh(Tool::Pip);
        let asked = program.index_url(INDEX);
        pip.install(&asked, &["sieve", "press"]).succeeds();
        Self {
            dairy,
            data,
            program,
        }
    }

    /// The same with another process, which has nothing in memory.
    fn restarted(self) -> Self {
        assert!(self.program.stop().success());
        let program = launch(&self.dairy, self.data.path(), "").start();
        Self { program, ..self }
    }

    /// Runs the command with the environment of the server.
    fn cache(&self, words: &[&str]) -> Told {
        let at = |url: &str| {
            url.trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned()
        };
        let mut cache = command();
        cache
            .arg("cache")
            .args(words)
            .arg("--data")
            .arg(self.data.path());
        cache
            .arg("--policies")
            .arg(self.program.folder().join("policies.yaml"));
        cache.env("CHEESECLOTH_MANAGE", at(self.program.manage_url()));
        cache.env("CHEESECLOTH_METRICS", at(self.program.metrics_url()));
        Told::by(&cache.current_dir(self.program.folder()).output().unwrap())
    }

    fn path(&self, folder: &str, project: &str) -> PathBuf {
        let hex = digest(project);
        self.data
            .path()
            .join(folder)
            .join(&hex[..2])
            .join(&hex[2..])
    }

    fn ask_for(&self, project: &str) -> ask::Answer {
        let (hex, name) = (digest(project), Wheel::new(project, "1.0").filename());
        let (folder, rest) = (&hex[..3], &hex[3..16]);
        let url = format!(
            "{}{INDEX}/+f/{folder}/{rest}/{name}",
            self.program.public_url()
        );
        ask::get(&url).unwrap()
    }
}

fn digest(project: &str) -> String {
    Sha256::of(&Wheel::new(project, "1.0").build()).to_hex()
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[derive(Debug)]
struct Told {
    code: i32,
    said: String,
    errors: String,
}

impl Told {
    fn by(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap(),
            said: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.said).unwrap_or_else(|_| panic!("{self:?}"))
    }

    #[track_caller]
    fn lines(&self) -> Vec<Value> {
        let lines = self.said.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn what_is_held_is_counted_and_listed_beside_the_server_and_without_it() {
    let shop = Shop::open().await;
    let told = shop.cache(&["stat", "--json"]);
    assert_eq!(told.code, 0, "{told:?}");
    let stat = told.json();
    for (kind, files) in [
        ("mirror_files", 1),
        ("private_files", 1),
        ("private_sidecars", 1),
    ] {
        assert_eq!(stat["kinds"][kind]["files"], files, "{kind} of {stat}");
    }
    // The page, and soon beside it what its release says of itself.
    let copies = stat["kinds"]["page_copies"]["files"].as_u64();
    assert!(matches!(copies, Some(1 | 2)), "{stat}");
    let wheel = Wheel::new("sieve", "1.0").build().len();
    assert_eq!(stat["kinds"]["mirror_files"]["bytes"], wheel, "{stat}");
    assert_eq!(stat["quota"]["bytes_max"], 50_u64 << 30, "{stat}");
    assert!(stat["memory"]["bytes"].is_u64(), "{stat}");
    let text = shop.cache(&["stat"]).said;
    assert!(
        text.contains("private files") && text.contains("50.00 GiB"),
        "{text}"
    );

    let rows = shop.cache(&["ls", "--json"]).lines();
    let named: Vec<_> = rows
        .iter()
        .map(|row| ["index", "project", "file", "sha256"].map(|key| row[key].as_str().unwrap()))
        .collect();
    let (sieve, press) = (digest("sieve"), digest("press"));
    let expected = [
        ["root/dairy", "sieve", "sieve-1.0-py3-none-any.whl", &sieve],
        [INDEX, "press", "press-1.0-py3-none-any.whl", &press],
    ];
    assert_eq!(named, expected, "{rows:?}");
    assert_eq!(
        (&rows[0]["private"], &rows[1]["private"]),
        (&false.into(), &true.into())
    );
    assert!(
        rows[0]["last_access"].as_str().unwrap().ends_with('Z'),
        "{rows:?}"
    );
    for (words, expected) in [
        (["--project", "Press"], "press-1.0"),
        (["--index", "root/*"], "sieve-1.0"),
    ] {
        let told = shop.cache(&[&["ls"], &words[..]].concat());
        assert_eq!(told.said.lines().count(), 1, "{told:?}");
        assert!(told.said.contains(expected), "{told:?}");
    }
    assert_eq!(shop.cache(&["ls", "whey*"]).said, "");

    let Shop {
        dairy,
        data,
        program,
    } = shop;
    let folder = program.folder().to_owned();
    let policies = fs::read(folder.join("policies.yaml")).unwrap();
    assert!(program.stop().success());
    let aside = tempfile::tempdir().unwrap();
    fs::write(aside.path().join("p.yaml"), policies).unwrap();
    let mut stat = command();
    stat.args(["cache", "stat", "--json", "--policies", "p.yaml", "--data"])
        .arg(data.path());
    stat.env("CHEESECLOTH_METRICS", "off");
    let stat = Told::by(&stat.current_dir(aside.path()).output().unwrap()).json();
    assert_eq!(stat["memory"]["bytes"], Value::Null);
    assert_eq!(stat["kinds"]["private_files"]["files"], 1);
    drop(dairy);
}

#[tokio::test]
async fn a_flipped_byte_of_a_mirror_is_dropped_and_one_of_a_stage_is_told() {
    let shop = Shop::open().await;
    let sound = shop.cache(&["verify"]);
    assert_eq!(sound.code, 0, "{sound:?}");
    assert!(sound.said.ends_with("nothing is damaged\n"), "{sound:?}");
    assert!(sound.errors.contains("read "), "no progress: {sound:?}");

    let (mirrors, private) = (shop.path("files", "sieve"), shop.path("private", "press"));
    flip(&mirrors);
    flip(&private);
    let told = shop.cache(&["verify", "--json", "--rate", "1GiB"]);
    assert_eq!(told.code, 1, "{told:?}");
    let report = told.json();
    let damaged = report["damaged"].as_array().unwrap();
    let told: Vec<_> = damaged
        .iter()
        .map(|one| {
            (
                one["sha256"].as_str().unwrap(),
                one["remedy"].as_str().unwrap(),
            )
        })
        .collect();
    let (sieve, press) = (digest("sieve"), digest("press"));
    assert_eq!(told, [(&*press, "kept"), (&*sieve, "dropped")], "{report}");
    let name = damaged[0]["name"].as_str().unwrap();
    assert!(name.contains("press-1.0") && name.contains(INDEX), "{name}");

    assert!(!mirrors.exists());
    assert!(private.exists());
    shop.program.wait_until_it_says("a kept file is damaged");
    let known = shop.program.metric("cheesecloth_store_damaged_files");
    assert_eq!(known, Some(1.0));

    // Without what it has in memory, the server fetches the mirror's again and serves nothing of the other.
    let shop = shop.restarted();
    assert_eq!(shop.ask_for("press").status, 500);
    let pip = Client::fresh(Tool::Pip);
    let asked = shop.program.index_url(INDEX);
    pip.install(&asked, &["sieve"]).succeeds();
    pip.install(&asked, &["press"]).fails();
    soon(async {
        while !mirrors.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let again = shop.cache(&["verify"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.said.contains("restore it from a backup"), "{again:?}");
    assert!(again.said.contains("1 is damaged"), "{again:?}");
    let root = Door::at(shop.program.manage_url()).by("root", "pw");
    assert_eq!(root.upload(INDEX, "press", "1.0").await.status, 200);
    assert_eq!(shop.cache(&["verify"]).code, 0);
    assert_eq!(shop.ask_for("press").status, 200);
}

#[tokio::test]
async fn a_collection_is_done_by_the_server_or_on_its_data() {
    let shop = Shop::open().await;
    let told = shop.cache(&["gc", "--json"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(told.json()["evicted"]["files"], 0, "{told:?}");

    // Bytes that no record needs any more.
    let root = Door::at(shop.program.manage_url()).by("root", "pw");
    let path = format!("/{INDEX}/press?force");
    assert_eq!(root.ask("DELETE", &path, Value::Null).await.status, 200);
    let mut told = shop.cache(&["gc", "--json"]);
    // What somebody reads at that moment is left for the next time.
    for _ in 0..HELD_BACK_MAX {
        if told.json()["held_back"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        told = shop.cache(&["gc", "--json"]);
    }
    let left = shop.path("private", "press");
    assert!(!left.exists(), "{told:?}");

    let Shop {
        dairy,
        data,
        program,
    } = shop;
    assert!(program.stop().success());
    let Told { code, said, errors } = {
        let small = launch(&dairy, data.path(), "cache: { disk: 1B }\n");
        let mut gc = command();
        gc.args(["cache", "gc", "--policies"])
            .arg(small.folder().join("policies.yaml"));
        gc.arg("--data").arg(data.path());
        Told::by(&gc.current_dir(small.folder()).output().unwrap())
    };
    assert_eq!(code, 0, "{errors}");
    assert!(said.contains("files of mirrors evicted"), "{said}");
    assert!(
        said.lines()
            .any(|line| line.starts_with("0 files of mirrors left")),
        "{said}"
    );
}

#[test]
fn a_folder_without_data_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for words in ["stat", "ls", "gc", "verify"] {
        let mut cache = command();
        cache.args(["cache", words, "--data", "nowhere"]);
        cache.env("CHEESECLOTH_MIRROR_URL", "https://upstream.example/simple/");
        let told = Told::by(&cache.current_dir(folder.path()).output().unwrap());
        assert_eq!(told.code, 2, "{words}: {told:?}");
        assert!(
            told.errors.contains("nowhere holds no data"),
            "{words}: {told:?}"
        );
        assert!(!folder.path().join("nowhere").exists(), "{words}");
    }
}
