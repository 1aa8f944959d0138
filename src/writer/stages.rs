//! Stages as writes see them: found, and with the people they let in.

use std::sync::Arc;

use http::StatusCode;

use crate::account::{IndexAcl, Operation, permits};
use crate::db::{OnConflict, TokenOperation};
use crate::model::IndexName;
use crate::policy::Index;
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::refusal::Refusal;

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

/// What to do about a file that is there with other content.
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

    /// Whether public doors do not show an index.
    #[must_use]
    pub fn is_hidden(&self, index: &IndexName) -> bool {
        self.flows.core.generation().policies.is_hidden(index)
    }

    /// The stage that somebody may upload to. Asked before the body of a request is read.
    pub fn stage_to_upload(
        &self,
        caller: &Caller,
        name: &IndexName,
    ) -> Result<Arc<Index>, Refusal> {
        let index = self.index(name)?;
        if index.is_mirror() {
            let words = "cannot submit to mirror index";
            return Err(Refusal::exception(StatusCode::NOT_FOUND, words));
        }
        if permits(
            Operation::Upload(acl_of(&index)),
            &caller.principal,
            &self.rules,
        ) {
            return Ok(index);
        }
        match caller.principal.name() {
            None => Err(caller.must_log_in()),
            Some(_) => {
                let words = match caller.principal.scope() {
                    Some(scope) if !scope.reaches(name) => {
                        format!("no permission to submit: this token is not for {name}")
                    }
                    Some(scope) if !scope.operations.contains(&TokenOperation::Upload) => {
                        "no permission to submit: this token is not for uploads".to_owned()
                    }
                    Some(_) | None => "no permission to submit".to_owned(),
                };
                Err(Refusal::exception(StatusCode::FORBIDDEN, words))
            }
        }
    }
}
