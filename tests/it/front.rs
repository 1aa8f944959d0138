//! In nginx's place in front of real devpi-servers, with the real clients.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::support::{Client, Devpi, Program, Tool, Wheel, ask};

mod compare;
mod nginx;
mod private;
mod rules;
mod wire;
mod writes;

/// Installs that have to succeed between two events.
const INSTALLS: usize = 3;

/// A client logged in at a server with an index `packages/stable` that holds hello-pkg 1.0 and 2.0.
fn with_releases(primary: &Devpi) -> Client {
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", &primary.url()]).succeeds();
    make_stable(&devpi);
    devpi.run(&["use", "packages/stable"]).succeeds();
    for version in ["1.0", "2.0"] {
        upload(&devpi, version);
    }
    devpi
}

/// Creates the user `packages` and its index on the server in use.
fn make_stable(devpi: &Client) {
    devpi.run(&["login", "root", "--password", ""]).succeeds();
    devpi
        .run(&["user", "-c", "packages", "password=x"])
        .succeeds();
    devpi
        .run(&["login", "packages", "--password", "x"])
        .succeeds();
    devpi
        .run(&["index", "-c", "packages/stable", "bases=", "volatile=True"])
        .succeeds();
}

fn upload(devpi: &Client, version: &str) {
    let wheel = Wheel::new("hello-pkg", version);
    let name = wheel.filename();
    fs::write(devpi.folder().join(&name), wheel.build()).unwrap();
    devpi.run(&["upload", &name]).succeeds();
}

fn servers(of: &[&Devpi]) -> String {
    let urls: Vec<String> = of
        .iter()
        .map(|server| format!("\"{}\"", server.url()))
        .collect();
    format!("devpi: {{servers: [{}]}}\n", urls.join(", "))
}

fn installed(client: &Client, version: &str) -> bool {
    client
        .folder()
        .join(format!("out/hello_pkg-{version}.dist-info"))
        .is_dir()
}

#[test]
fn clients_of_devpi_work_through_the_front_and_fetched_files_outlive_the_server() {
    let mut primary = Devpi::primary();
    let releases = with_releases(&primary);
    let front = Program::with_policies(&servers(&[&primary])).start();
    let address = front.public_url().to_owned();

    // What devpi answers at its own address is answered at ours.
    let devpi = Client::fresh(Tool::Devpi);
    devpi
        .run(&["use", &format!("{address}packages/stable")])
        .succeeds()
        .says(&address);
    devpi
        .run(&["list", "hello-pkg"])
        .succeeds()
        .says(&format!("{address}packages/stable/+f/"));
    devpi
        .run(&["getjson", "/packages/stable"])
        .succeeds()
        .says("hello-pkg");
    devpi
        .run(&["login", "packages", "--password", "x"])
        .says("management door");

    // As deployment D1 spells it, without `+simple/`; the links are the index's own URLs.
    for tool in [Tool::Pip, Tool::Uv] {
        let client = Client::fresh(tool);
        client
            .install(&format!("{address}packages/stable"), &["hello-pkg==1.0"])
            .succeeds();
        assert!(installed(&client, "1.0"), "{tool:?}");
    }
    // What is uploaded past the front is listed, and what is removed there disappears.
    upload(&releases, "3.0");
    let page = format!("{}hello-pkg/", front.index_url("packages/stable"));
    wait_for(&page, |body| body.contains("hello_pkg-3.0"));
    releases.run(&["remove", "-y", "hello-pkg==3.0"]).succeeds();
    wait_for(&page, |body| !body.contains("hello_pkg-3.0"));

    primary.kill();
    for tool in [Tool::Pip, Tool::Uv] {
        let client = Client::fresh(tool);
        client
            .install(&front.index_url("packages/stable"), &["hello-pkg==1.0"])
            .succeeds();
    }
    let answer = ask::get(&format!("{address}packages/stable/+api")).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("\"message\""), "{}", answer.body);
    let unknown = ask::get(&format!(
        "{}never-asked/",
        front.index_url("packages/stable")
    ))
    .unwrap();
    assert_eq!(
        unknown.status, 503,
        "an outage is not an absence: {}",
        unknown.body
    );
}

/// Waits until the page shows it; a second at most is promised, but a busy machine takes longer.
#[track_caller]
fn wait_for(page: &str, shows: impl Fn(&str) -> bool) {
    let mut last = String::new();
    for _ in 0..100 {
        last = ask::get(page).unwrap().body;
        if shows(&last) {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{page} shows\n{last}");
}

#[test]
fn an_index_of_devpi_gets_rules_and_what_is_undeclared_can_be_hidden() {
    let primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let yaml = format!(
        "devpi: {{servers: [\"{}\"], undeclared: hide}}\n\
         indexes: {{packages/stable: {{type: devpi, policy: corporate}}}}\n\
         policies: {{corporate: {{rules: [{{deny: {{project: hello-pkg, versions: \">=2\", reason: \"not yet\"}}}}]}}}}\n",
        primary.url()
    );
    let front = Program::with_policies(&yaml).start();
    let index = front.index_url("packages/stable");
    let uv = Client::fresh(Tool::Uv);
    uv.install(&index, &["hello-pkg"]).succeeds();
    assert!(installed(&uv, "1.0"), "the refused release was taken");
    let pip = Client::fresh(Tool::Pip);
    pip.install(&index, &["hello-pkg==2.0"]).fails();
    let page = ask::get(&format!("{index}hello-pkg/")).unwrap();
    assert!(!page.body.contains("hello_pkg-2.0"), "{}", page.body);
    for hidden in ["root/other", "root/other/+simple/six/", "root/other/+api"] {
        let answer = ask::get(&format!("{}{hidden}", front.public_url())).unwrap();
        assert_eq!(answer.status, 404, "{hidden}: {}", answer.body);
        assert!(
            answer
                .body
                .contains("The stage root/other could not be found."),
            "{}",
            answer.body
        );
    }
}

#[test]
fn a_restart_of_any_server_costs_no_install() {
    let mut primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let mut replica = Devpi::replica_of(&primary);
    let front = Program::with_policies(&servers(&[&primary, &replica])).start();
    let index = front.index_url("packages/stable");
    let (done, ends) = (AtomicUsize::new(0), AtomicBool::new(false));
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for tool in [Tool::Uv, Tool::Pip] {
            let (index, done, ends) = (&index, &done, &ends);
            scope.spawn(move || {
                let mut version = ["1.0", "2.0"].into_iter().cycle();
                while !ends.load(Ordering::Relaxed) {
                    let client = Client::fresh(tool);
                    let wanted = version.next().unwrap();
                    client
                        .install(index, &[&format!("hello-pkg=={wanted}")])
                        .succeeds();
                    assert!(installed(&client, wanted));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (page, asked, ends_too) = (format!("{index}hello-pkg/"), &asked, &ends);
        scope.spawn(move || {
            while !ends_too.load(Ordering::Relaxed) {
                let answer = ask::get(&page).unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                let files = answer.body.matches(".whl</a>").count();
                assert_eq!(files, 2, "neither more nor less: {}", answer.body);
                asked.fetch_add(1, Ordering::Relaxed);
                // Often enough to see every state, while the installs get some of the machine too.
                thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        // Ends the load however this thread ends, so that a failure here is reported.
        let _last = OnDrop(|| ends.store(true, Ordering::Relaxed));
        some_installs(&done);
        primary.kill();
        some_installs(&done);
        primary.start();
        some_installs(&done);
        replica.kill();
        some_installs(&done);
        replica.start();
        some_installs(&done);
    });
    assert!(asked.load(Ordering::Relaxed) > 0, "no page was looked at");
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[track_caller]
fn some_installs(done: &AtomicUsize) {
    let start = done.load(Ordering::Relaxed);
    for _ in 0..1200 {
        if done.load(Ordering::Relaxed) >= start + INSTALLS {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no {INSTALLS} installs went well since");
}
