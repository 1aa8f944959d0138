//! Many files together: a request without a place waits for its turn, a slow mirror starves no
//! other, and a fill that nobody reads any more gives way.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use http::Method;

use super::support::{
    Client, Content, FakeIndex, Fault, Listed, Program, Project, Setup, Tool, Web, soon, tls,
};

const FILE: &str = "/files/round/";

fn mirrors(all: &[(&str, &FakeIndex)], limits: &str) -> String {
    let mirrors = all.iter().map(|(name, upstream)| {
        let url = upstream.url();
        format!("  {name}: {{ type: mirror, mirror_url: \"{url}\" }}\n")
    });
    format!(
        "limits: {{ {limits} }}\nindexes:\n{}",
        mirrors.collect::<String>()
    )
}

/// An index with this many files of a megabyte each, all of one project.
fn rounds(count: u64) -> FakeIndex {
    let project = (0..count).fold(Project::new("round"), |project, number| {
        let version = format!("{number}.0");
        let name = format!("round-{version}.tar.gz");
        project.file(Listed::new(
            &name,
            &version,
            Content::noise(number, 1 << 20),
        ))
    });
    Setup::default().project(project).start()
}

async fn urls(web: &Web, shop: &Program, index: &str, count: u64) -> Vec<String> {
    let page = web.page(&format!("{}round/", shop.index_url(index))).await;
    let names = (0..count).map(|number| format!("round-{number}.0.tar.gz"));
    names.map(|name| page.url_of(&name)).collect()
}

/// How many projects each of the two clients installs.
const WHEELS: usize = 60;

fn project_name(set: &str, number: usize) -> String {
    format!("{set}-{number:02}")
}

#[tokio::test]
async fn two_uv_installs_of_sixty_cold_wheels_succeed_beside_a_mirror_that_hangs() {
    let slow = rounds(12);
    let wheels = ["curd", "whey"]
        .into_iter()
        .flat_map(|set| (0..WHEELS).map(move |number| project_name(set, number)));
    let fast = wheels.fold(Setup::default(), |setup, name| {
        setup.project(Project::new(&name).wheel("1.0"))
    });
    let fast = fast.start();
    let yaml = mirrors(&[("root/slow", &slow), ("root/fast", &fast)], "fills: 8");
    let shop = Program::with_policies(&yaml).start();
    let web = Web::new();
    let urls = urls(&web, &shop, "root/slow", 12).await;
    let gate = slow.gate(FILE, 1000);
    let hanging: Vec<_> = urls
        .into_iter()
        .map(|url| tokio::spawn(async move { Web::new().get(&url).await }))
        .collect();
    // Half of the places are taken, and more requests wait in line.
    gate.reached(4).await;

    let index = shop.index_url("root/fast");
    let installs = ["curd", "whey"].map(|set| {
        let index = index.clone();
        tokio::task::spawn_blocking(move || {
            let names: Vec<_> = (0..WHEELS)
                .map(|number| project_name(set, number))
                .collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            Client::fresh(Tool::Uv).install(&index, &names).succeeds();
        })
    });
    for install in installs {
        install.await.unwrap();
    }
    assert_eq!(
        slow.journal().count(FILE),
        4,
        "the slow mirror took more than its share"
    );
    gate.release();
    for (number, got) in (0..).zip(hanging) {
        let got = got.await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
        assert!(got.body == Content::noise(number, 1 << 20).to_vec());
    }
}

/// A fill that takes half a minute for each of its megabytes.
fn dripping(upstream: &FakeIndex, path: &str) {
    let every = Duration::from_millis(50);
    upstream.misbehave(path, Fault::new().drip(2048, every));
}

#[tokio::test]
async fn a_slow_file_that_nobody_reads_gives_its_place_to_one_that_waits() {
    let dairy = rounds(2);
    let yaml = mirrors(&[("root/dairy", &dairy)], "fills: 1");
    let shop = Program::with_policies(&yaml).start();
    let web = Web::new();
    let [slow, next] = &urls(&web, &shop, "root/dairy", 2).await[..] else {
        panic!("two files");
    };
    dripping(&dairy, "/files/round/round-0.0");
    let mut leaving = Web::new().open(Method::GET, slow, &[]).await.unwrap();
    assert!(leaving.chunk().await.unwrap().is_some());
    drop(leaving);
    // The only place is taken by a file that would need much longer than anybody waits.
    assert_eq!(web.get(next).await.status, 200);
    shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
    // Only time is lost.
    dairy.behave();
    assert!(web.get(slow).await.body == Content::noise(0, 1 << 20).to_vec());
}

#[tokio::test]
async fn a_slow_file_that_is_read_keeps_its_place_and_who_waits_too_long_is_told_when_to_come_back()
{
    let dairy = rounds(2);
    let yaml = mirrors(&[("root/dairy", &dairy)], "fills: 1, fill_wait: 2s");
    let shop = Program::with_policies(&yaml).start();
    let web = Web::new();
    let [slow, next] = &urls(&web, &shop, "root/dairy", 2).await[..] else {
        panic!("two files");
    };
    dripping(&dairy, "/files/round/round-0.0");
    let mut reading = Web::new().open(Method::GET, slow, &[]).await.unwrap();
    assert!(reading.chunk().await.unwrap().is_some());
    let refused = web.get(next).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "10");
    assert!(
        refused.text().contains("limits.fills"),
        "{}",
        refused.text()
    );
    assert!(
        reading.chunk().await.unwrap().is_some(),
        "it was told to give way"
    );
}

/// Clients of the slow upstream below, each requesting its own file.
const CLIENTS: u64 = 60;

#[tokio::test]
async fn clients_of_more_files_than_there_are_places_wait_as_long_as_the_line_moves() {
    let project = (0..CLIENTS).fold(Project::new("round"), |project, number| {
        let version = format!("{number}.0");
        let name = format!("round-{version}.tar.gz");
        project.file(Listed::new(&name, &version, Content::noise(number, 1000)))
    });
    let dairy = Setup::default().project(project).start();
    let yaml = mirrors(&[("root/dairy", &dairy)], "fills: 4, fill_wait: 5s");
    let shop = Program::with_policies(&yaml).start();
    let urls = urls(&Web::new(), &shop, "root/dairy", CLIENTS).await;
    let gate = dairy.gate(FILE, 10);
    let clients = urls
        .into_iter()
        .map(|url| tokio::spawn(async move { Web::new().get(&url).await }));
    let clients: Vec<_> = clients.collect();
    gate.reached(2).await;
    assert_eq!(dairy.journal().count(FILE), 2, "half of the places");
    // Two at a time, which altogether takes far longer than anybody waits for a line that stands
    // still.
    dairy.misbehave(FILE, Fault::new().latency(300));
    gate.release();
    for client in clients {
        let got = client.await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
    }
    assert_eq!(dairy.journal().count(FILE) as u64, CLIENTS);
}

#[tokio::test]
async fn the_line_for_a_place_has_an_end() {
    let dairy = rounds(3);
    let yaml = mirrors(&[("root/dairy", &dairy)], "fills: 1, fills_waiting: 2");
    let shop = Program::with_policies(&yaml).start();
    let urls = urls(&Web::new(), &shop, "root/dairy", 3).await;
    dairy.misbehave(FILE, Fault::new().silent());
    let mut asking = tokio::task::JoinSet::new();
    for url in urls {
        asking.spawn(async move { Web::new().get(&url).await });
    }
    // One is being fetched, two wait; the one that came last is told to come back.
    let refused = asking.join_next().await.unwrap().unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    // It may be told so before the first one has reached upstream.
    soon(async {
        while dairy.journal().count(FILE) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(dairy.journal().count(FILE), 1);
    assert_eq!(asking.len(), 2);
}

/// Limits under which only a client's departure ends a fill.
const PATIENT: &str =
    "fills: 1, fill_wait: 20s, upstream_read_timeout: 10m, upstream_total_timeout: 10m";

/// Sends a request that is not answered, and leaves once `asked` is done.
async fn ask_and_leave(url: &str, asked: impl Future<Output = ()>) {
    let url = url.to_owned();
    let client = tokio::spawn(async move { Web::new().get(&url).await });
    asked.await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled(), "it was answered");
}

#[tokio::test]
async fn a_client_that_leaves_while_upstream_is_silent_is_noticed_without_a_byte_more() {
    // Before the head can be sent, and in the middle of the body.
    for held_after in [1000, 600_000] {
        let dairy = rounds(2);
        let shop = Program::with_policies(&mirrors(&[("root/dairy", &dairy)], PATIENT)).start();
        let web = Web::new();
        let [stalled, next] = &urls(&web, &shop, "root/dairy", 2).await[..] else {
            panic!("two files");
        };
        let gate = dairy.gate("/files/round/round-0.0", held_after);
        ask_and_leave(stalled, gate.reached(1)).await;
        let answer = web.get(next).await;
        assert_eq!(answer.status, 200, "{held_after}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_file_that_upstream_does_not_begin_gives_way_once_nobody_waits_for_it() {
    let dairy = rounds(2);
    let shop = Program::with_policies(&mirrors(&[("root/dairy", &dairy)], PATIENT)).start();
    let web = Web::new();
    let [silent, next] = &urls(&web, &shop, "root/dairy", 2).await[..] else {
        panic!("two files");
    };
    let path = "/files/round/round-0.0";
    dairy.misbehave(path, Fault::new().silent());
    ask_and_leave(silent, dairy.journal().wait_for(path, 1)).await;
    let answer = web.get(next).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_client_that_leaves_while_its_page_is_awaited_holds_no_connection() {
    let dairy = rounds(1);
    let shop = Program::with_policies(&mirrors(&[("root/dairy", &dairy)], PATIENT)).start();
    let path = "/simple/round/";
    dairy.misbehave(path, Fault::new().silent());
    let url = format!("{}round/", shop.index_url("root/dairy"));
    ask_and_leave(&url, dairy.journal().wait_for(path, 1)).await;
    let open = "cheesecloth_connections{door=\"public\"}";
    shop.wait_for_metric(open, |connections| connections == 0.0);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_through_tls_and_whoever_reads_its_request() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = tls::self_signed(folder.path(), "127.0.0.1");
    let place = folder.path().display();
    let trusting = tls::trusting(&[&certificate], &["http/1.1"]);
    let secure = format!(
        "listen: {{ public: {{ tls: {{ cert: {place}/cert.pem, key: {place}/key.pem }} }} }}\n"
    );
    // HTTP/1.0 requests are read by Pingora.
    for (has_tls, version) in [(false, "1.0"), (true, "1.0"), (true, "1.1")] {
        let dairy = rounds(1);
        let yaml = mirrors(&[("root/dairy", &dairy)], PATIENT);
        let listen = if has_tls { &*secure } else { "" };
        let shop = Program::with_policies(&format!("{listen}{yaml}")).start();
        dairy.misbehave("/simple/round/", Fault::new().silent());
        let (_, door) = shop.public_url().split_once("://").unwrap();
        let socket = TcpStream::connect(door.trim_end_matches('/')).unwrap();
        let mut client: Box<dyn Write> = if has_tls {
            Box::new(tls::agree(&trusting, "127.0.0.1", socket))
        } else {
            Box::new(socket)
        };
        let host = "Host: 127.0.0.1\r\n\r\n";
        let head = format!("GET /root/dairy/+simple/round/ HTTP/{version}\r\n{host}");
        client.write_all(head.as_bytes()).unwrap();
        dairy.journal().wait_for("/simple/round/", 1).await;
        drop(client);
        let open = "cheesecloth_connections{door=\"public\"}";
        shop.wait_for_metric(open, |connections| connections == 0.0);
    }
}
