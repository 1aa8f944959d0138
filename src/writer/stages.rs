//! Stages as writes see them: looked up, with their access lists.

use std::sync::Arc;

use http::StatusCode;

use crate::account::{IndexAcl, Operation, permits};
use crate::db::{OnConflict, TokenOperation};
use crate::devpi::{DevpiWords, Refusal};
use crate::model::IndexName;
use crate::policy::Index;
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;

/// The access lists of an index; a mirror's are empty.
pub fn acl_of(index: &Index) -> IndexAcl<'_> {
    let (upload, toxresult_upload): (&[String], &[String]) = match index.stage() {
        Some(stage) => (stage.acl_upload(), stage.acl_toxresult_upload()),
        None => (&[], &[]),
    };
    IndexAcl {
        name: &index.name,
        upload,
        toxresult_upload,
    }
}

/// What to do about an existing file with other content.
pub fn on_conflict(index: &Index) -> OnConflict {
    if index.settings.volatile() {
        OnConflict::Replace
    } else {
        OnConflict::Refuse
    }
}

impl Writer {
    /// An index, or 404.
    pub fn index(&self, name: &IndexName) -> Result<Arc<Index>, Refusal> {
        let generation = self.flows.core.generation();
        let index = generation.policies.index(name).cloned();
        index.ok_or_else(|| Refusal::no_index(name.as_str()))
    }

    /// Whether the caller may do it.
    pub fn may(&self, caller: &Caller, operation: Operation<'_>) -> bool {
        permits(operation, &caller.principal, &self.rules)
    }

    /// Whether public doors do not show an index.
    #[must_use]
    pub fn is_hidden(&self, index: &IndexName) -> bool {
        self.flows.core.generation().policies.is_hidden(index)
    }

    /// The stage that the caller may upload to. Checked before the body of a request is read.
    pub fn stage_to_upload(
        &self,
        caller: &Caller,
        name: &IndexName,
    ) -> Result<Arc<Index>, Refusal> {
        let index = self.index(name)?;
        if index.is_mirror() {
            return Err(Refusal::exception(
                StatusCode::NOT_FOUND,
                DevpiWords::IsMirror,
            ));
        }
        if self.may(caller, Operation::Upload(acl_of(&index))) {
            return Ok(index);
        }
        if caller.principal.name().is_none() {
            return Err(caller.must_log_in());
        }
        let mut words = DevpiWords::MayNotSubmit.to_string();
        if let Some(scope) = caller.principal.scope() {
            if !scope.reaches(name) {
                words = format!("{words}: this token is not for {name}");
            } else if !scope.operations.contains(&TokenOperation::Upload) {
                words = format!("{words}: this token is not for uploads");
            }
        }
        Err(Refusal::exception(StatusCode::FORBIDDEN, words))
    }
}
