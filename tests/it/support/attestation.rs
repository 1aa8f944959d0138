//! Attestations made to order (PEP 740): everything about them is right but the signature, which nobody
//! here verifies.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cheesecloth::testing::model::Sha256;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use serde_json::{Value, json};

/// What the certificate of a work flow says of it, by the last number of the extension's name.
const CLAIMS: [(u64, &str); 3] = [
    (8, "https://token.actions.githubusercontent.com"),
    (12, "https://github.com/acme/rennet"),
    (
        18,
        "https://github.com/acme/rennet/.github/workflows/release.yml@refs/tags/v1",
    ),
];

/// An attestation that a work flow published this file.
pub(crate) fn attestation(filename: &str, content: &[u8]) -> Value {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": Sha256::of(content).to_hex()}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": null,
    });
    json!({
        "version": 1,
        "verification_material": {
            "certificate": BASE64_STANDARD.encode(certificate()),
            "transparency_entries": [{"logIndex": "1"}],
        },
        "envelope": {
            "statement": BASE64_STANDARD.encode(statement.to_string().as_bytes()),
            "signature": BASE64_STANDARD.encode(b"signed"),
        },
    })
}

fn certificate() -> Vec<u8> {
    let mut params = CertificateParams::default();
    let extensions = CLAIMS.iter().map(|(number, text)| {
        let content = [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, *number], content)
    });
    params.custom_extensions = extensions.collect();
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}
