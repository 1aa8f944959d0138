//! What of a door's answers goes into the journal: project pages and files, delivered or refused.
//!
//! Metadata does not: a client that installs something asks for the file too. Nor does a HEAD, with which
//! nothing is delivered.

use std::time::Duration;

use http::Method;

use crate::exchange::{Decision, Route};
use crate::journal::{JournalAnswer, JournalDecision};
use crate::listen::recorder::Finished;
use crate::model::AskedPart;
use crate::protocol::PublicRoute;

/// Whether the answer to such a request, if it has one, goes into the journal.
pub(super) fn is_journalled(method: &Method, route: &PublicRoute) -> bool {
    let is_delivery = matches!(
        route,
        PublicRoute::ProjectPage { .. }
            | PublicRoute::File {
                part: AskedPart::Whole,
                ..
            }
    );
    is_delivery && method == Method::GET
}

/// What the journal is told of a request, if anything.
pub(super) fn answer_of<'a>(
    finished: &'a Finished<'_>,
    duration: Duration,
) -> Option<JournalAnswer<'a>> {
    let status = finished.status?;
    let record = &finished.record;
    let is_file = match record.route {
        Route::File => true,
        Route::ProjectPage => false,
        Route::ProjectList
        | Route::Sidecar
        | Route::Provenance
        | Route::Api
        | Route::Web
        | Route::Osv
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
    let file = if is_file {
        Some(record.file.as_ref()?)
    } else {
        None
    };
    let attempt = record.attempt.as_ref();
    let started = finished.started.time;
    Some(JournalAnswer {
        at: started.checked_add(duration).unwrap_or(started),
        client: finished.client,
        user: attempt.and_then(|attempt| attempt.user.as_ref()),
        token: attempt.and_then(|attempt| attempt.token.as_ref()),
        index: record.index.as_ref()?,
        project: record.project.as_ref(),
        file,
        sha256: record.sha256.as_ref().filter(|_| is_file),
        decision,
        rule: record.rule.as_ref().map(|ruled| &ruled.rule),
    })
}
