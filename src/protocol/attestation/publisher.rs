//! Who published a file, as the certificate of an attestation says.
//!
//! Certificates for signing name the work flow that asked for them in extensions of their own, each a
//! string. An index tells a publisher in the words of PEP 740, which verifiers compare with the certificate.

use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::asn1_rs::{FromDer as _, Utf8String, oid};

/// Who said who it is.
const ISSUER: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.8);
/// The repository that was built.
const REPOSITORY: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.12);
/// The file that says how, and as of which commit.
const BUILD: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.18);

const GITHUB: (&str, &str) = (
    "https://token.actions.githubusercontent.com",
    "https://github.com/",
);
const GITLAB: (&str, &str) = ("https://gitlab.com", "https://gitlab.com/");
const GOOGLE: &str = "https://accounts.google.com";

/// The publisher, in PEP 740's words for those that have some; for others only who vouches for them.
pub(super) fn publisher_of(certificate: &[u8]) -> Result<Value, String> {
    let (_, read) = X509Certificate::from_der(certificate)
        .map_err(|_| "has a certificate that cannot be read".to_owned())?;
    let issuer = claim(&read, &ISSUER).unwrap_or_default();
    let known = match issuer.as_str() {
        issuer if issuer == GITHUB.0 => github(&read),
        issuer if issuer == GITLAB.0 => gitlab(&read),
        GOOGLE => email(&read).map(|email| json!({ "kind": "Google", "email": email })),
        _ => None,
    };
    Ok(known.unwrap_or_else(|| match issuer.is_empty() {
        true => json!({ "kind": "unknown" }),
        false => json!({ "kind": issuer }),
    }))
}

fn github(read: &X509Certificate<'_>) -> Option<Value> {
    let (repository, build) = claims(read, GITHUB.1)?;
    let path = build.strip_prefix("/.github/workflows/")?;
    let (workflow, _) = path.split_once('@')?;
    Some(json!({ "kind": "GitHub", "repository": repository, "workflow": workflow }))
}

fn gitlab(read: &X509Certificate<'_>) -> Option<Value> {
    let (repository, build) = claims(read, GITLAB.1)?;
    let (path, _) = build.strip_prefix("//")?.split_once('@')?;
    Some(json!({ "kind": "GitLab", "repository": repository, "workflow_filepath": path }))
}

/// The repository below a host, and where in it the work flow is.
fn claims(read: &X509Certificate<'_>, host: &str) -> Option<(String, String)> {
    let repository = claim(read, &REPOSITORY)?;
    let build = claim(read, &BUILD)?;
    let inside = build.strip_prefix(repository.as_str())?.to_owned();
    Some((repository.strip_prefix(host)?.to_owned(), inside))
}

fn claim(read: &X509Certificate<'_>, oid: &Oid<'_>) -> Option<String> {
    let extension = read.get_extension_unique(oid).ok()??;
    let (_, text) = Utf8String::from_der(extension.value).ok()?;
    Some(text.string())
}

fn email(read: &X509Certificate<'_>) -> Option<String> {
    let names = read.subject_alternative_name().ok()??;
    let mut names = names.value.general_names.iter();
    names.find_map(|name| match name {
        GeneralName::RFC822Name(email) => Some((*email).to_owned()),
        _ => None,
    })
}
