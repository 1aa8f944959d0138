//! The real uv asks the gateway what is known against what it installs.

use std::fs;
use std::process::Command;

use cheesecloth::testing::model::Sha256;

use super::{held, naming, upstream};
use crate::support::{Client, FeedSource, Mood, Program, Tool, Wheel};

/// A project that has locked one package, from a source that the lock names.
fn locked(uv: &Client, program: &Program, registry: &str) {
    uv.write(
        "pyproject.toml",
        "[project]\nname = \"shop\"\nversion = \"1\"\nrequires-python = \">=3.8\"\ndependencies = [\"rennet==1.0\"]\n",
    );
    let wheel = Wheel::new("rennet", "1.0");
    let digest = Sha256::of(&wheel.build()).to_hex();
    let (a, b) = (&digest[..3], &digest[3..16]);
    let url = format!(
        "{}root/pypi/+f/{a}/{b}/{}",
        program.public_url(),
        wheel.filename()
    );
    uv.write(
        "uv.lock",
        &format!(
            "version = 1\nrevision = 3\nrequires-python = \">=3.8\"\n\n\
             [[package]]\nname = \"rennet\"\nversion = \"1.0\"\nsource = {{ registry = \"{registry}\" }}\n\
             wheels = [\n    {{ url = \"{url}\", hash = \"sha256:{digest}\" }},\n]\n\n\
             [[package]]\nname = \"shop\"\nversion = \"1\"\nsource = {{ virtual = \".\" }}\n\
             dependencies = [\n    {{ name = \"rennet\" }},\n]\n\n\
             [package.metadata]\nrequires-dist = [{{ name = \"rennet\", specifier = \"==1.0\" }}]\n"
        ),
    );
}

/// The public index, as pip names it when nobody has configured one.
fn public_index() -> String {
    let mut pip = Command::new(Tool::Pip.program());
    let help = pip.args(["help", "install"]).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = help.split_once("--index-url").unwrap();
    let (_, rest) = rest.split_once("(default ").unwrap();
    rest.split(')').next().unwrap().replace(' ', "")
}

#[test]
fn uv_asks_the_gateway_what_is_known_against_what_it_installs() {
    // No rule here: it is uv that refuses.
    let (index, source) = (upstream(), FeedSource::with(naming("1.0", 0)));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let yaml = format!(
        "advisories: [{{ url: '{}' }}]\nindexes: {{ root/pypi: {{ type: mirror }} }}\n",
        source.url()
    );
    let launch = Program::with_policies(&yaml);
    let program = launch.mirroring(index.url().as_str()).data(&data).start();
    held(&program, 1.0);
    let service = format!("{}+osv/", program.public_url());
    let gateway = program.index_url("root/pypi");
    let audit = [
        "audit",
        "--frozen",
        "--preview-features",
        "audit",
        "--service-format",
        "osv",
        "--service-url",
    ];
    let questions = || source_questions(&program);

    // What was locked through the gateway is audited.
    let uv = Client::fresh(Tool::Uv).with("UV_DEFAULT_INDEX", gateway.clone());
    locked(&uv, &program, gateway.trim_end_matches('/'));
    uv.run(&[&audit[..], &[service.as_str()]].concat())
        .fails()
        .says("MAL-2026-1");

    // Its check for malware asks only about what the lock says is from the public index …
    let check = |client: Client| {
        client
            .with("UV_MALWARE_CHECK", "1")
            .with("UV_MALWARE_CHECK_URL", service.clone())
    };
    let uv = check(Client::fresh(Tool::Uv));
    locked(&uv, &program, &public_index());
    let before = questions();
    uv.run(&["sync", "--frozen"]).fails().says("MAL-2026-1");
    assert!(questions() > before);

    // … and not about what it says is from the gateway: there a rule of the gateway has to refuse.
    let uv = check(Client::fresh(Tool::Uv)).with("UV_DEFAULT_INDEX", gateway.clone());
    locked(&uv, &program, gateway.trim_end_matches('/'));
    let before = questions();
    uv.run(&["sync", "--frozen"]).succeeds();
    assert_eq!(
        questions(),
        before,
        "uv has learned to ask: say so in the documentation"
    );

    // A feed that cannot be relied on fails the audit instead of passing it.
    drop(program);
    fs::remove_dir_all(data.join("advisories")).unwrap();
    source.is(Mood::Status(500));
    let launch = Program::with_policies(&yaml);
    let program = launch.mirroring(index.url().as_str()).data(&data).start();
    let service = format!("{}+osv/", program.public_url());
    let gateway = program.index_url("root/pypi");
    let uv = Client::fresh(Tool::Uv).with("UV_DEFAULT_INDEX", gateway.clone());
    locked(&uv, &program, gateway.trim_end_matches('/'));
    uv.run(&[&audit[..], &[service.as_str()]].concat())
        .fails()
        .never_says("No known");
}

/// How many questions about advisories were answered.
fn source_questions(program: &Program) -> f64 {
    let metrics = program.metrics();
    let lines = metrics.lines().filter(|line| {
        line.starts_with("cheesecloth_http_requests_total") && line.contains("route=\"osv\"")
    });
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}
