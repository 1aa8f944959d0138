//! Attestations (PEP 740): sent by the real uv, kept with their file, answered as provenance to the real
//! auditor; and those of mirrors, which reach who reaches nothing else.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::support::ask::{self, Answer};
use super::support::{
    Canned, Client, Content, FakeIndex, Form, Listed, Program, Project, Setup, Tool, Wheel,
    attestation, command,
};

const POLICIES: &str = "
indexes:
  acme/dev: { volatile: true, acl_upload: [':ANONYMOUS:'] }
  acme/stable: { bases: [acme/dev], policy: p }
policies: { p: { rules: [{ deny: { id: old, versions: '<2', reason: 'too old' } }] } }
";

const JSON: [(&str, &str); 1] = [("Accept", "application/vnd.pypi.simple.v1+json")];

/// Prints the publisher of each bundle, as the auditors' own library reads it.
const READ: &str = "
import sys
from pypi_attestations import Provenance
read = Provenance.model_validate_json(sys.stdin.buffer.read())
for bundle in read.attestation_bundles:
    claims = bundle.attestations[0].certificate_claims
    print(bundle.publisher.kind, bundle.publisher.repository, bundle.publisher.workflow)
    print(bundle.attestations[0].statement['subject'][0]['name'], len(claims))
";

/// A file of a project as the index lists it.
fn listed(program: &Program, index: &str, filename: &str) -> Option<Value> {
    let page = ask::send("GET", &page_url(program, index), &JSON, b"").unwrap();
    let page = page.json();
    let files = page["files"].as_array()?.iter();
    let mut found = files.filter(|file| file["filename"] == filename);
    found.next().cloned()
}

fn page_url(program: &Program, index: &str) -> String {
    format!("{}rennet/", program.index_url(index))
}

/// What stands at a link of the project's page.
fn follow(program: &Program, index: &str, link: &Value) -> Answer {
    let page = url::Url::parse(&page_url(program, index)).unwrap();
    let url = page.join(link.as_str().unwrap()).unwrap();
    ask::get(url.as_str()).unwrap()
}

fn by_name(program: &Program, index: &str, version: &str, filename: &str) -> Answer {
    let index = program.index_url(index).replace("+simple/", "");
    ask::get(&format!(
        "{index}integrity/rennet/{version}/{filename}/provenance"
    ))
    .unwrap()
}

fn read_by_auditor(provenance: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("provenance");
    fs::write(&file, provenance).unwrap();
    let mut python = Command::new(Tool::Attestations.program());
    python
        .args(["-c", READ])
        .stdin(fs::File::open(&file).unwrap());
    let said = python.output().unwrap();
    let trouble = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{trouble}");
    String::from_utf8(said.stdout).unwrap()
}

fn upload(program: &Program, wheel: &Wheel, version: &str, attestations: Option<&str>) -> Answer {
    let form = Form::of("rennet", version, &wheel.filename(), &wheel.build());
    let form = match attestations {
        Some(text) => form.field("attestations", text),
        None => form,
    };
    form.post(&format!("{}acme/dev/", program.manage_url()))
        .unwrap()
}

#[test]
fn uv_publishes_with_attestations_and_auditors_read_them() {
    let program = Program::with_policies(POLICIES).start();
    let (wheel, uv) = (Wheel::new("rennet", "2.0"), Client::fresh(Tool::Uv));
    let (name, content) = (wheel.filename(), wheel.build());
    fs::write(uv.folder().join(&name), &content).unwrap();
    let attested = attestation(&name, &content).to_string();
    let beside = format!("{name}.publish.attestation");
    uv.write(&beside, &attested);
    let place = format!("{}acme/dev/", program.manage_url());
    let uv = uv
        .with("UV_PUBLISH_USERNAME", "x")
        .with("UV_PUBLISH_PASSWORD", "x");
    uv.run(&["publish", "--publish-url", &place, &name, &beside])
        .succeeds();

    for index in ["acme/dev", "acme/stable"] {
        let file = listed(&program, index, &name).unwrap();
        let answer = follow(&program, index, &file["provenance"]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.pypi.integrity.v1+json"
        );
        let said = read_by_auditor(&answer.body);
        assert_eq!(said, format!("GitHub acme/rennet release.yml\n{name} 3\n"));
        let same = by_name(&program, index, "2.0", &name);
        assert_eq!((same.status, &same.body), (200, &answer.body));
    }
    // pip takes no offence.
    let pip = Client::fresh(Tool::Pip);
    pip.install(&program.index_url("acme/stable"), &["rennet"])
        .succeeds();
}

#[test]
fn what_is_about_another_file_or_is_nothing_of_the_kind_is_refused_whole() {
    let program = Program::with_policies(POLICIES).start();
    let (wheel, other) = (Wheel::new("rennet", "2.0"), Wheel::new("rennet", "3.0"));
    let of_other = attestation(&other.filename(), &other.build());
    let of_other_bytes = attestation(&wheel.filename(), &other.build());
    for (sent, words) in [
        (
            json!([of_other]).to_string(),
            "not about rennet-2.0-py3-none-any.whl",
        ),
        (json!([of_other_bytes]).to_string(), "whose sha256 is"),
        ("not json".to_owned(), "attestations: not a JSON array"),
        ("[]".to_owned(), "attestations: 0 of them"),
    ] {
        let answer = upload(&program, &wheel, "2.0", Some(&sent));
        assert_eq!(answer.status, 400, "{sent}: {}", answer.body);
        assert!(answer.body.contains(words), "{sent}: {}", answer.body);
        assert_eq!(
            listed(&program, "acme/dev", &wheel.filename()),
            None,
            "{sent}"
        );
    }
}

#[test]
fn a_provenance_goes_where_its_file_goes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::with_policies(POLICIES).data(&data).start();
    let (old, new) = (Wheel::new("rennet", "1.0"), Wheel::new("rennet", "2.0"));
    for (wheel, version) in [(&old, "1.0"), (&new, "2.0")] {
        let attested = json!([attestation(&wheel.filename(), &wheel.build())]).to_string();
        let answer = upload(&program, wheel, version, Some(&attested));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    // What is refused has none, in the words of the refusal.
    let (old_name, new_name) = (old.filename(), new.filename());
    let shown = listed(&program, "acme/dev", &old_name).unwrap();
    let refused = follow(&program, "acme/stable", &shown["provenance"]);
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.body.contains("too old"), "{}", refused.body);
    let refused = by_name(&program, "acme/stable", "1.0", &old_name);
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(
        by_name(&program, "acme/dev", "9.0", "rennet-9.0.zip").status,
        404
    );
    // Another file of the name has none of its own.
    let other = Wheel::new("rennet", "1.0").entry("other.py");
    assert_eq!(upload(&program, &other, "1.0", None).status, 200);
    let shown = listed(&program, "acme/dev", &old_name).unwrap();
    assert_eq!(shown.get("provenance"), None, "{shown}");
    assert_eq!(by_name(&program, "acme/dev", "1.0", &old_name).status, 404);

    let kept = by_name(&program, "acme/dev", "2.0", &new_name).body;
    assert!(program.stop().success());
    let (out, again) = (folder.path().join("out"), folder.path().join("again"));
    let policies = folder.path().join("policies.yaml");
    fs::write(&policies, POLICIES).unwrap();
    for (word, paths) in [("export", [&data, &out]), ("import", [&out, &again])] {
        let mut moved = command();
        moved.arg(word).arg("--policies").arg(&policies);
        match word {
            "export" => moved.arg("--data").arg(paths[0]).arg(paths[1]),
            _ => moved.arg("--data").arg(paths[1]).arg(paths[0]),
        };
        let said = moved.output().unwrap();
        assert!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    let text = fs::read_to_string(out.join("dataindex.json")).unwrap();
    let index: Value = serde_json::from_str(&text).unwrap();
    let files = index["indexes"]["acme/dev"]["files"].as_array().unwrap();
    let is_known = |file: &Value| file["type"] == "releasefile";
    assert!(
        files.iter().all(is_known),
        "devpi reads no other type: {text}"
    );
    let program = Program::with_policies(POLICIES).data(&again).start();
    let moved = by_name(&program, "acme/dev", "2.0", &new_name);
    assert_eq!((moved.status, moved.body), (200, kept));
}

/// A mirror's upstream that states a provenance, and what stands there.
fn upstream(provenance: &str) -> FakeIndex {
    let wheel = |version: &str| {
        let wheel = Wheel::new("rennet", version);
        Listed::wheel(&wheel, version).provenance("/proof/rennet")
    };
    let canned = Canned {
        content_type: "application/vnd.pypi.integrity.v1+json".to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(provenance.to_owned().into()),
    };
    Setup::default()
        .project(Project::new("rennet").file(wheel("1.0")).file(wheel("2.0")))
        .canned("/proof/rennet", canned)
        .start()
}

const MIRROR: &str = "
indexes: { root/pypi: { type: mirror, policy: p } }
policies: { p: { rules: [{ deny: { id: old, versions: '<2', reason: 'too old' } }] } }
limits: { upstream_retry_time: 0s }
";

#[test]
fn an_upstreams_provenance_is_had_through_us_and_kept() {
    let wheel = Wheel::new("rennet", "2.0");
    let bundle = json!({
        "publisher": {"kind": "GitHub", "repository": "acme/rennet", "workflow": "release.yml"},
        "attestations": [attestation(&wheel.filename(), &wheel.build())],
    });
    let proof = json!({"version": 1, "attestation_bundles": [bundle]}).to_string();
    let mut index = upstream(&proof);
    let program = Program::with_policies(MIRROR)
        .mirroring(index.url().as_str())
        .start();
    let name = wheel.filename();
    let file = listed(&program, "root/pypi", &name).unwrap();
    assert!(!file["provenance"].to_string().contains("/proof"), "{file}");
    assert_eq!(index.journal().all("/proof").len(), 0);
    for _ in 0..3 {
        let answer = follow(&program, "root/pypi", &file["provenance"]);
        assert_eq!((answer.status, &answer.body), (200, &proof));
    }
    assert_eq!(index.journal().all("/proof").len(), 1);
    index.stop();
    let answer = by_name(&program, "root/pypi", "2.0", &name);
    assert_eq!((answer.status, &answer.body), (200, &proof));
    assert!(read_by_auditor(&answer.body).starts_with("GitHub acme/rennet release.yml"));
    let old = Wheel::new("rennet", "1.0").filename();
    assert_eq!(listed(&program, "root/pypi", &old), None);
    let refused = by_name(&program, "root/pypi", "1.0", &old);
    assert_eq!(refused.status, 403, "{}", refused.body);
}

#[test]
fn what_is_no_provenance_is_neither_passed_on_nor_kept() {
    let index = upstream("<html>please log in</html>");
    let program = Program::with_policies(MIRROR)
        .mirroring(index.url().as_str())
        .start();
    let name = Wheel::new("rennet", "2.0").filename();
    let answer = by_name(&program, "root/pypi", "2.0", &name);
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert!(answer.body.contains("no provenance"), "{}", answer.body);
    let again = by_name(&program, "root/pypi", "2.0", &name);
    assert_eq!(again.status, 502, "{}", again.body);
}
