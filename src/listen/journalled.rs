//! What of a door's answers goes into the journal: project pages and files, delivered or refused.
//!
//! Metadata does not: a client that installs something asks for the file too. Nor does a HEAD, with which
//! nothing is delivered.

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::gateway::{Decision, Record, Route};
use crate::journal::{JournalDecision, JournalEntry, JournalledFile};
use crate::listen::recorder::Finished;
use crate::protocol::PublicRoute;
use crate::telemetry::{NAME_MAX, cut};

/// Whether the answer to such a request, if it has one, goes into the journal.
pub(super) fn is_journalled(method: &Method, route: &PublicRoute) -> bool {
    let is_delivery = matches!(
        route,
        PublicRoute::ProjectPage { .. }
            | PublicRoute::File {
                is_sidecar: false,
                ..
            }
    );
    is_delivery && method == Method::GET
}

/// The entry of a request, if it is to have one.
pub(super) fn entry_of(finished: Finished<'_>, duration: Duration) -> Option<JournalEntry> {
    let status = finished.status?;
    let record = finished.record;
    let is_file = match record.route {
        Route::File => true,
        Route::ProjectPage => false,
        Route::ProjectList
        | Route::Sidecar
        | Route::Api
        | Route::Web
        | Route::Manage
        | Route::Other => return None,
    };
    let decision = match record.decision {
        Decision::Deny => JournalDecision::Deny,
        // With a 304 the client has it, with a redirection it is told where to get it.
        _ if !(status.is_success() || status.is_redirection()) => return None,
        Decision::Audit => JournalDecision::Audit,
        Decision::Allow | Decision::None => JournalDecision::Allow,
    };
    if finished.method != Method::GET {
        return None;
    }
    let Record { index, attempt, .. } = record;
    let name = if is_file { Some(record.file?) } else { None };
    let file = name.map(|name| JournalledFile {
        name: if name.len() > NAME_MAX {
            cut(&name, NAME_MAX).into()
        } else {
            name
        },
        sha256: record.sha256,
    });
    let (user, token) = attempt.map_or((None, None), |attempt| {
        (attempt.user.clone(), attempt.token.clone())
    });
    let started = finished.started.time;
    Some(JournalEntry {
        at: started.checked_add(duration).unwrap_or(started),
        client: finished.client,
        user,
        token,
        index: index?,
        project: record.project,
        file,
        decision,
        rule: record.rule.map(|ruled| Arc::clone(&ruled.rule)),
    })
}
