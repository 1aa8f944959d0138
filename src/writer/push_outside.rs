//! Brings a release to another server (docs/protocol/devpi.md §13, external): only for users who are
//! logged in, and only to where `manage.push_to` allows. The file's own bytes and metadata are sent,
//! one form per file, as twine would.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::db::{FileFacts, FileRole};
use crate::devpi::{ApiAnswer, Refusal};
use crate::exchange::Reply;
use crate::gateway::About as Held;
use crate::model::{Filename, Kind, Login};
use crate::page::entry_path;
use crate::policy::Index;
use crate::store::{Key, StoredFile};
use crate::telemetry::AuditKind;
use crate::upstream::{Outgoing, Publisher};
use crate::writer::caller::Caller;
use crate::writer::desk::{About, Writer};
use crate::writer::push::HeldRelease;
use crate::writer::push_request::{Elsewhere, PushRequest};
use crate::writer::refusal::answered;

/// How much is read at a time.
const PIECE_BYTES: usize = 64 << 10;

impl Writer {
    /// Refuses a place that the operator has not named.
    pub fn check_place(&self, place: &Elsewhere) -> Result<(), Refusal> {
        if self
            .rules
            .push_to
            .iter()
            .any(|allowed| is_below(allowed, &place.url))
        {
            return Ok(());
        }
        let mut shown = place.url.clone();
        // These fail only for URLs without a host, and this one is http or https.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        let words = format!(
            "{shown} is not among the places that manage.push_to names; an operator can add it there, or upload from the client, for example with twine"
        );
        Err(Refusal::api(StatusCode::FORBIDDEN, words))
    }

    /// Sends a release's files, and reports the outcome of each; the first failure ends it.
    pub async fn send_outside(
        &self,
        caller: &Caller,
        source: &Index,
        request: &PushRequest,
        place: &Elsewhere,
        found: HeldRelease,
    ) -> Result<Reply, Refusal> {
        let login = Login::new(place.user.as_str(), place.password.as_str());
        let (limits, doors) = (
            &self.flows.core.settings.limits.upstream,
            self.doors.clone(),
        );
        let publisher = Publisher::new(place.url.clone(), login, limits, doors);
        let publisher = publisher.map_err(|why| {
            let words = format!("no files are sent to that place: {why}");
            Refusal::api(StatusCode::FORBIDDEN, words)
        })?;
        let mut log = Vec::new();
        let (mut is_good, mut goes_on) = (true, true);
        if place.register {
            let fields = form("submit", &found, None);
            let (status, words) = outcome(publisher.send(&fields, None).await);
            is_good = status.is_success();
            // Indexes that no longer need registration answer that it is gone.
            goes_on = is_good || status == StatusCode::GONE;
            log.push(json!([
                status.as_u16(),
                "register",
                found.spelling,
                request.version,
                words
            ]));
        }
        for facts in &found.files {
            let (action, word) = match facts.role {
                FileRole::DocZip => ("doc_upload", "docfile"),
                FileRole::ReleaseFile => ("file_upload", "upload"),
                FileRole::ToxResult { .. } | FileRole::Provenance { .. } => continue,
            };
            if !goes_on {
                continue;
            }
            let fields = form(action, &found, Some((facts, request)));
            let outgoing = self.outgoing(facts).await?;
            let (status, words) = outcome(publisher.send(&fields, Some(outgoing)).await);
            is_good = status.is_success();
            goes_on = is_good;
            let path = entry_path(&source.name, &facts.sha256, &facts.filename);
            log.push(json!([status.as_u16(), word, path, words]));
        }
        let detail = format!("{} to {}", request.version, place.url);
        let about = About {
            index: Some(&source.name),
            project: Some(&request.project),
            file: None,
            detail: Some(&detail),
        };
        self.account_for(AuditKind::Push, caller, about);
        let status = if is_good {
            StatusCode::OK
        } else {
            StatusCode::BAD_GATEWAY
        };
        let answer = ApiAnswer::result("actionlog", Value::Array(log));
        Ok(answered(&answer.with_status(status)))
    }

    async fn outgoing(&self, facts: &FileFacts) -> Result<Outgoing, Refusal> {
        let about = Held {
            name: &facts.filename,
            size: Some(facts.size),
        };
        let key = Key::PrivateFile(facts.sha256);
        let held = self.flows.held.checked_file(&key, about).await?;
        let held = held.ok_or_else(|| {
            let lost = format!("{} is lost", facts.filename);
            Refusal::internal("send a file elsewhere", lost)
        })?;
        Ok(Outgoing {
            filename: facts.filename.clone(),
            length: held.len(),
            pieces: stream::unfold((held, 0_u64), next_piece).boxed(),
        })
    }
}

type Reading = (Arc<StoredFile>, u64);

/// The piece at an offset, read off the runtime's threads, and the next offset.
async fn next_piece((held, offset): Reading) -> Option<(std::io::Result<Bytes>, Reading)> {
    let file = Arc::clone(&held);
    let work = move || {
        let mut piece = BytesMut::zeroed(PIECE_BYTES);
        let read = file.file().read_at(&mut piece, offset)?;
        piece.truncate(read);
        Ok(piece.freeze())
    };
    let read = tokio::task::spawn_blocking(work).await;
    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match read {
        Ok(piece) if piece.is_empty() => None,
        Ok(piece) => {
            let end = offset + piece.len() as u64;
            Some((Ok(piece), (held, end)))
        }
        Err(error) => Some((Err(error), (held, u64::MAX))),
    }
}

fn outcome(sent: Result<crate::upstream::PublishAnswer, String>) -> (StatusCode, String) {
    match sent {
        Ok(said) => (said.status, said.words),
        Err(why) => (StatusCode::BAD_GATEWAY, why),
    }
}

/// The fields of a form: the action, all metadata, and the fields about a file.
fn form(
    action: &str,
    found: &HeldRelease,
    file: Option<(&FileFacts, &PushRequest)>,
) -> Vec<(String, String)> {
    let mut fields = vec![
        (":action".to_owned(), action.to_owned()),
        ("protocol_version".to_owned(), "1".to_owned()),
    ];
    for (name, value) in &found.metadata {
        let texts = match value {
            Value::String(text) if !text.is_empty() => vec![text.clone()],
            Value::Array(items) => items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => Vec::new(),
        };
        fields.extend(texts.into_iter().map(|text| (name.clone(), text)));
    }
    let Some((facts, request)) = file else {
        return fields;
    };
    fields.push(("sha256_digest".to_owned(), facts.sha256.to_hex()));
    if let Ok(filename) = Filename::parse(&facts.filename, &request.project) {
        let (kind, python) = match (filename.kind(), filename.tags()) {
            (Kind::Wheel, Some(tags)) => {
                ("bdist_wheel", tags.python().collect::<Vec<_>>().join("."))
            }
            (Kind::Egg, _) => ("bdist_egg", "any".to_owned()),
            _ => ("sdist", "source".to_owned()),
        };
        fields.push(("filetype".to_owned(), kind.to_owned()));
        fields.push(("pyversion".to_owned(), python));
    }
    fields
}

/// Whether a URL is the allowed one, or lies below it.
fn is_below(allowed: &Url, url: &Url) -> bool {
    let folder = allowed.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(folder);
    let is_plain = url.username().is_empty() && url.password().is_none();
    is_plain
        && allowed.origin() == url.origin()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_one_that_is_named_or_below_it() {
        let allowed: Url = "https://files.example/legacy/".parse().unwrap();
        for (url, expected) in [
            ("https://files.example/legacy/", true),
            ("https://files.example/legacy", true),
            ("https://files.example/legacy/team/", true),
            ("https://files.example/legacy-too/", false),
            ("https://files.example/legacy/../admin", false),
            ("https://files.example/legacy/%2e%2e/admin", false),
            ("https://files.example/", false),
            ("http://files.example/legacy/", false),
            ("https://files.example:444/legacy/", false),
            ("https://files.example@evil.example/legacy/", false),
            ("https://me@files.example/legacy/", false),
        ] {
            assert_eq!(is_below(&allowed, &url.parse().unwrap()), expected, "{url}");
        }
    }
}
