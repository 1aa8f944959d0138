//! The body of a push request (docs/protocol/devpi.md §13).

use std::fmt;

use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use crate::devpi::{DevpiWords, Refusal};
use crate::model::{IndexName, ProjectName};

/// A release to be brought to another index.
#[derive(Debug, PartialEq, Eq)]
pub struct PushRequest {
    pub project: ProjectName,
    /// The project as written.
    pub spelling: String,
    pub version: String,
    pub target: Target,
    pub kinds: Kinds,
}

/// Where to.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// Another index of this gateway.
    Index(IndexName),
    /// Another server.
    Elsewhere(Elsewhere),
}

/// Another server's upload API, and how to log in there.
#[derive(PartialEq, Eq)]
pub struct Elsewhere {
    pub url: Url,
    pub user: String,
    pub password: String,
    /// Whether to register the release before its files are sent.
    pub register: bool,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Elsewhere({:?}, ***)", self.url.as_str())
    }
}

/// Which parts of the release are taken along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    Everything,
    NoDocs,
    OnlyDocs,
}

/// The keys of both kinds of pushes.
const KNOWN: [&str; 9] = [
    "name",
    "version",
    "targetindex",
    "posturl",
    "username",
    "password",
    "register_project",
    "no_docs",
    "only_docs",
];

/// Reads the body. A push to another server (`posturl`) needs a login.
pub fn parse(body: &[u8], is_logged_in: bool) -> Result<PushRequest, Refusal> {
    let keys = match serde_json::from_slice(body) {
        Ok(Value::Object(keys)) => keys,
        Ok(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        )
        | Err(_) => return Err(bad(DevpiWords::NoJson)),
    };
    let text = |name: &str| keys.get(name).and_then(Value::as_str);
    let (Some(spelling), Some(version)) = (text("name"), text("version")) else {
        return Err(bad(DevpiWords::NoNameOrVersion));
    };
    if let Some(unknown) = keys.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(bad(DevpiWords::UnknownOption(unknown)));
    }
    let kinds = kinds(&keys)?;
    let target = match text("posturl") {
        Some(url) => Target::Elsewhere(elsewhere(url, &keys, is_logged_in)?),
        None if keys.contains_key("posturl") => return Err(bad("posturl is not a URL")),
        None => {
            let target = text("targetindex").filter(|target| target.split('/').count() == 2);
            let target = target.ok_or_else(|| bad(DevpiWords::BadTarget))?;
            Target::Index(IndexName::parse(target).map_err(|_| Refusal::no_index(target))?)
        }
    };
    let project = ProjectName::parse(spelling)
        .map_err(|_| bad(format!("there are no files for {spelling} {version}")))?;
    Ok(PushRequest {
        project,
        spelling: spelling.to_owned(),
        version: version.to_owned(),
        target,
        kinds,
    })
}

fn kinds(keys: &Map<String, Value>) -> Result<Kinds, Refusal> {
    let is_on = |name: &str| keys.get(name).and_then(Value::as_bool).unwrap_or(false);
    match (is_on("no_docs"), is_on("only_docs")) {
        (true, true) => Err(bad(DevpiWords::DocsOrNot)),
        (true, false) => Ok(Kinds::NoDocs),
        (false, true) => Ok(Kinds::OnlyDocs),
        (false, false) => Ok(Kinds::Everything),
    }
}

fn elsewhere(
    url: &str,
    keys: &Map<String, Value>,
    is_logged_in: bool,
) -> Result<Elsewhere, Refusal> {
    if !is_logged_in {
        let words = "a push to another server needs a login";
        return Err(Refusal::api(StatusCode::UNAUTHORIZED, words));
    }
    let text = |name: &str| {
        keys.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let url = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    Ok(Elsewhere {
        url: url.ok_or_else(|| bad("posturl is not a URL"))?,
        user: text("username"),
        password: text("password"),
        register: keys
            .get("register_project")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}

fn bad(words: impl ToString) -> Refusal {
    Refusal::abort(StatusCode::BAD_REQUEST, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_says_what_and_where_to() {
        let body = br#"{"name": "Hello.Pkg", "version": "1.0", "targetindex": "me/prod", "no_docs": true}"#;
        let request = parse(body, true).unwrap();
        assert_eq!(request.project.as_str(), "hello-pkg");
        let target = IndexName::parse("me/prod").unwrap();
        assert_eq!(request.target, Target::Index(target));
        assert_eq!(request.kinds, Kinds::NoDocs);
    }

    #[test]
    fn what_cannot_be_pushed_is_refused_in_devpis_words() {
        let table = [
            ("no json", 400),
            ("[]", 400),
            ("{}", 400),
            (r#"{"name": "six", "version": "1"}"#, 400),
            (
                r#"{"name": "six", "version": "1", "targetindex": "prod"}"#,
                400,
            ),
            (
                r#"{"name": "six", "version": "1", "targetindex": "no/a b"}"#,
                404,
            ),
            (
                r#"{"name": "six", "version": "1", "targetindex": "a/b", "foo": 1}"#,
                400,
            ),
            (
                r#"{"name": "six", "version": "1", "targetindex": "a/b", "no_docs": true, "only_docs": true}"#,
                400,
            ),
            (
                r#"{"name": "six", "version": "1", "posturl": "files.example"}"#,
                400,
            ),
            (r#"{"name": "six", "version": "1", "posturl": 1}"#, 400),
            (
                r#"{"name": "six", "version": "1", "posturl": "file:///etc/passwd"}"#,
                400,
            ),
        ];
        for (body, status) in table {
            let refusal = parse(body.as_bytes(), true).unwrap_err();
            assert_eq!(refusal.status.as_u16(), status, "{body}: {refusal:?}");
        }
        let outside = br#"{"name": "six", "version": "1", "posturl": "https://files.example/"}"#;
        assert_eq!(parse(outside, false).unwrap_err().status.as_u16(), 401);
        let shown = format!("{:?}", parse(outside, true).unwrap().target);
        assert_eq!(
            shown,
            r#"Elsewhere(Elsewhere("https://files.example/", ***))"#
        );
    }
}
