//! Attestations of files (PEP 740): read from an upload, compared with the file that they are about, and
//! put together as the provenance that an index answers.
//!
//! Whether a signature is right is not decided here: whoever relies on one verifies it, which needs nothing
//! but the provenance and the file.

mod publisher;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::Sha256;
use crate::protocol::attestation::publisher::publisher_of;

/// The media type of a provenance.
pub const PROVENANCE_TYPE: &str = "application/vnd.pypi.integrity.v1+json";

/// The only version there is, of attestations and of provenances.
const VERSION: u64 = 1;

/// What every statement is.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Most attestations of one file: one for each kind of statement, of which two are in use.
const ATTESTATIONS_MAX: usize = 16;

/// Longest part of a statement that is repeated in words, in characters.
const QUOTED_MAX: usize = 100;

/// What is wrong with the attestations of an upload, for people; one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attestations: {0}")]
pub struct AttestationFault(String);

/// Attestations as they were sent, each of the right form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestations(Vec<Attested>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attested {
    sent: Value,
    publisher: Value,
    subject: Subject,
}

#[derive(Debug, Deserialize)]
struct Attestation {
    version: u64,
    verification_material: Material,
    envelope: Envelope,
}

#[derive(Debug, Deserialize)]
struct Material {
    certificate: String,
    transparency_entries: Vec<serde_json::Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Envelope {
    statement: String,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Subject {
    name: String,
    digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Digest {
    sha256: String,
}

impl Attestations {
    /// Reads the form field `attestations`: a JSON array of attestation objects.
    ///
    /// # Errors
    /// When it is none, or one of them is not of the form that PEP 740 gives it.
    pub fn parse(field: &str) -> Result<Self, AttestationFault> {
        let all: Vec<Value> = serde_json::from_str(field)
            .map_err(|error| fault(format!("not a JSON array of objects: {error}")))?;
        if all.is_empty() || all.len() > ATTESTATIONS_MAX {
            let count = all.len();
            return Err(fault(format!(
                "{count} of them, of 1 to {ATTESTATIONS_MAX} that a file may have"
            )));
        }
        let read = all.into_iter().enumerate().map(|(at, one)| {
            let number = at + 1;
            attested(one).map_err(|why| fault(format!("number {number} {why}")))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// The provenance of a file, if that is what they all are about.
    ///
    /// # Errors
    /// When one is about another file.
    pub fn provenance(&self, filename: &str, sha256: &Sha256) -> Result<Vec<u8>, AttestationFault> {
        let mut bundles: Vec<(&Value, Vec<&Value>)> = Vec::new();
        for one in &self.0 {
            one.is_about(filename, sha256)?;
            let known = bundles.iter_mut().find(|(by, _)| **by == one.publisher);
            match known {
                Some((_, all)) => all.push(&one.sent),
                None => bundles.push((&one.publisher, vec![&one.sent])),
            }
        }
        let bundles: Vec<Value> = bundles
            .into_iter()
            .map(|(publisher, all)| json!({ "publisher": publisher, "attestations": all }))
            .collect();
        let provenance = json!({ "version": VERSION, "attestation_bundles": bundles });
        Ok(provenance.to_string().into_bytes())
    }
}

impl Attested {
    fn is_about(&self, filename: &str, sha256: &Sha256) -> Result<(), AttestationFault> {
        let Subject { name, digest } = &self.subject;
        if name != filename {
            let name = quoted(name);
            return Err(fault(format!("one is about {name}, not about {filename}")));
        }
        if !digest.sha256.eq_ignore_ascii_case(&sha256.to_hex()) {
            return Err(fault(format!(
                "one is about another {filename}, whose sha256 is {}; that of this one is {sha256}",
                quoted(&digest.sha256)
            )));
        }
        Ok(())
    }
}

/// Whether something is a provenance, of which no more is said than that it has bundles.
#[must_use]
pub fn is_provenance(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Provenance<'a> {
        version: u64,
        #[serde(borrow)]
        attestation_bundles: Vec<&'a RawValue>,
    }
    serde_json::from_slice::<Provenance<'_>>(body)
        .is_ok_and(|read| read.version == VERSION && !read.attestation_bundles.is_empty())
}

fn attested(sent: Value) -> Result<Attested, String> {
    let read =
        Attestation::deserialize(&sent).map_err(|error| format!("is of no such form: {error}"))?;
    if read.version != VERSION {
        let version = read.version;
        return Err(format!(
            "has version {version}, of which only {VERSION} is known"
        ));
    }
    if read.verification_material.transparency_entries.is_empty() {
        return Err("has no entry of a transparency log".to_owned());
    }
    decoded("signature", &read.envelope.signature)?;
    let certificate = decoded("certificate", &read.verification_material.certificate)?;
    let publisher = publisher_of(&certificate)?;
    let statement = decoded("statement", &read.envelope.statement)?;
    let statement: Statement = serde_json::from_slice(&statement)
        .map_err(|error| format!("has a statement of no such form: {error}"))?;
    if statement.kind != STATEMENT_TYPE || statement.predicate.is_empty() {
        return Err(format!("has a statement that is no {STATEMENT_TYPE}"));
    }
    let [subject] = <[Subject; 1]>::try_from(statement.subject)
        .map_err(|all| format!("is about {} files instead of one", all.len()))?;
    Ok(Attested {
        sent,
        publisher,
        subject,
    })
}

fn decoded(what: &str, text: &str) -> Result<Vec<u8>, String> {
    match STANDARD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(format!("has an empty {what}")),
        Err(error) => Err(format!("has a {what} that is no base64: {error}")),
    }
}

fn fault(words: impl Into<String>) -> AttestationFault {
    let line: String = words.into();
    let is_plain = |one: &char| !one.is_control();
    AttestationFault(line.chars().filter(is_plain).collect())
}

fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(QUOTED_MAX).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests;
