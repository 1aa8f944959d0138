//! Attestations, right and wrong ones, with certificates of their own.

use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

use super::*;

/// DER of a UTF8String shorter than 128 bytes.
fn utf8_string(text: &str) -> Vec<u8> {
    [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A certificate that makes these claims, by the last number of the extension's name.
fn certificate(claims: &[(u64, &str)], email: Option<&str>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.custom_extensions = claims
        .iter()
        .map(|(number, text)| {
            let oid = [1, 3, 6, 1, 4, 1, 57264, 1, *number];
            CustomExtension::from_oid_content(&oid, utf8_string(text))
        })
        .collect();
    let names = email.map(|email| SanType::Rfc822Name(email.try_into().unwrap()));
    params.subject_alt_names = names.into_iter().collect();
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn of_github() -> Vec<u8> {
    let claims = [
        (8, "https://token.actions.githubusercontent.com"),
        (12, "https://github.com/acme/six"),
        (
            18,
            "https://github.com/acme/six/.github/workflows/release.yml@refs/tags/v1",
        ),
    ];
    certificate(&claims, None)
}

fn statement(filename: &str, sha256: &str) -> Value {
    json!({
        "_type": STATEMENT_TYPE,
        "subject": [{"name": filename, "digest": {"sha256": sha256}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": null,
    })
}

fn attestation(certificate: &[u8], statement: &Value) -> Value {
    json!({
        "version": 1,
        "verification_material": {
            "certificate": STANDARD.encode(certificate),
            "transparency_entries": [{"logIndex": "1"}],
        },
        "envelope": {
            "statement": STANDARD.encode(statement.to_string()),
            "signature": STANDARD.encode("signed"),
        },
    })
}

fn sha256() -> Sha256 {
    Sha256::of(b"six")
}

fn right() -> Value {
    let hex = sha256().to_hex();
    attestation(&of_github(), &statement("six-1.0.zip", &hex))
}

/// Why a field with this one attestation is refused.
fn fault_of(one: Value) -> String {
    let field = Value::Array(vec![one]).to_string();
    match Attestations::parse(&field) {
        Ok(read) => match read.provenance("six-1.0.zip", &sha256()) {
            Ok(_) => "nothing".to_owned(),
            Err(fault) => fault.to_string(),
        },
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn a_provenance_has_a_bundle_for_each_publisher_with_what_was_sent() {
    let hex = sha256().to_hex();
    let other = certificate(
        &[(8, "https://accounts.google.com")],
        Some("ci@acme.example"),
    );
    let other = attestation(&other, &statement("six-1.0.zip", &hex.to_uppercase()));
    let (one, two) = (right(), right());
    let field = json!([one, other, two]).to_string();
    let made = Attestations::parse(&field).unwrap();
    let made = made.provenance("six-1.0.zip", &sha256()).unwrap();
    assert!(is_provenance(&made));
    let made: Value = serde_json::from_slice(&made).unwrap();
    let expected = json!({"version": 1, "attestation_bundles": [
        {
            "publisher": {"kind": "GitHub", "repository": "acme/six", "workflow": "release.yml"},
            "attestations": [one, two],
        },
        {
            "publisher": {"kind": "Google", "email": "ci@acme.example"},
            "attestations": [other],
        },
    ]});
    assert_eq!(made, expected);
}

#[test]
fn publishers_have_the_words_of_the_standard_or_who_vouches_for_them() {
    let gitlab = [
        (8, "https://gitlab.com"),
        (12, "https://gitlab.com/acme/tools/six"),
        (
            18,
            "https://gitlab.com/acme/tools/six//.gitlab-ci.yml@refs/heads/main",
        ),
    ];
    let elsewhere = [
        (8, "https://token.actions.githubusercontent.com"),
        (12, "https://github.com/acme/six"),
        (
            18,
            "https://github.com/other/six/.github/workflows/release.yml@refs/tags/v1",
        ),
    ];
    let own = [(8, "https://ci.acme.example")];
    for (claims, expected) in [
        (
            &gitlab[..],
            json!({"kind": "GitLab", "repository": "acme/tools/six", "workflow_filepath": ".gitlab-ci.yml"}),
        ),
        (
            &elsewhere[..],
            json!({"kind": "https://token.actions.githubusercontent.com"}),
        ),
        (&own[..], json!({"kind": "https://ci.acme.example"})),
        (&[], json!({"kind": "unknown"})),
    ] {
        assert_eq!(publisher_of(&certificate(claims, None)), Ok(expected));
    }
}

#[test]
fn what_is_no_attestation_of_this_file_is_refused_in_words() {
    let hex = sha256().to_hex();
    let about = |statement: Value| attestation(&of_github(), &statement);
    let with = |change: fn(&mut Value)| {
        let mut changed = right();
        change(&mut changed);
        changed
    };
    let mut two = statement("six-1.0.zip", &hex);
    let again = two["subject"][0].clone();
    two["subject"].as_array_mut().unwrap().push(again);
    let mut strange = statement("six-1.0.zip", &hex);
    strange["_type"] = "https://in-toto.io/Statement/v0.1".into();
    for (sent, expected) in [
        (right(), "nothing"),
        (
            about(statement("six-2.0.zip", &hex)),
            "one is about \"six-2.0.zip\", not about six-1.0.zip",
        ),
        (
            about(statement("six-1.0.zip", &Sha256::of(b"other").to_hex())),
            "one is about another six-1.0.zip, whose sha256 is",
        ),
        (about(two), "number 1 is about 2 files instead of one"),
        (about(strange), "number 1 has a statement that is no"),
        (
            about(json!("text")),
            "number 1 has a statement of no such form",
        ),
        (
            attestation(b"no certificate", &statement("six-1.0.zip", &hex)),
            "number 1 has a certificate that cannot be read",
        ),
        (
            with(|one| one["version"] = 2.into()),
            "number 1 has version 2",
        ),
        (
            with(|one| one["verification_material"]["transparency_entries"] = json!([])),
            "number 1 has no entry of a transparency log",
        ),
        (
            with(|one| one["envelope"]["signature"] = "".into()),
            "number 1 has an empty signature",
        ),
        (
            with(|one| one["envelope"]["signature"] = "?".into()),
            "number 1 has a signature that is no base64",
        ),
        (json!("text"), "number 1 is of no such form"),
    ] {
        let said = fault_of(sent);
        assert!(said.contains(expected), "{said}\n{expected}");
        assert!(!said.contains('\n'), "{said}");
    }
    for (field, expected) in [
        ("not json", "attestations: not a JSON array of objects"),
        ("{}", "attestations: not a JSON array of objects"),
        ("[]", "attestations: 0 of them, of 1 to 16"),
    ] {
        let said = Attestations::parse(field).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_page_for_people_is_no_provenance() {
    for body in [
        &b"<html>"[..],
        b"{}",
        br#"{"version": 2, "attestation_bundles": [{}]}"#,
        br#"{"version": 1, "attestation_bundles": []}"#,
    ] {
        assert!(!is_provenance(body));
    }
    assert!(is_provenance(
        br#"{"version": 1, "attestation_bundles": [{"publisher": {}}], "more": 1}"#
    ));
}
