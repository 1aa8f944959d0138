//! `POST /user/index/+simple/project/refresh`: every mirror of the stack is to be asked anew, now.
//!
//! What was said before is kept until then: it confirms with its tag, and answers should upstream be
//! down.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use crate::gateway::{Body, Patience, Record, Reply, Resolution, Route, reply_head};
use crate::model::{IndexName, ProjectName};
use crate::writer::desk::Writer;
use crate::writer::refusal::Refusal;

impl Writer {
    /// Makes the next look at a project one at its upstreams.
    ///
    /// # Errors
    /// 404 for an index or project that is not there.
    pub async fn refresh(
        &self,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Reply, Refusal> {
        let cx = self.flows.core.context();
        let Some(stack) = cx.generation.policies.stack(index) else {
            return Err(Refusal::no_index(index.as_str()));
        };
        for member in stack
            .members
            .iter()
            .filter(|member| member.index.is_mirror())
        {
            let name = &member.index.name;
            self.flows.mirrors.expire(name, project, cx.now);
        }
        self.flows.forget_project(project);
        let resolved = self
            .flows
            .stacks
            .resolve(&cx, index, project, Patience::Page)
            .await;
        match resolved.map_err(|error| Refusal::from(&error))? {
            Resolution::Known(_) | Resolution::Refused(_) => Ok(to_the_page(project)),
            Resolution::Unknown => {
                let words = format!("The project {project} does not exist.");
                Err(Refusal::abort(StatusCode::NOT_FOUND, words))
            }
        }
    }
}

/// 302 from `…/project/refresh` to `…/project/`.
fn to_the_page(project: &ProjectName) -> Reply {
    let mut head = reply_head("text/plain", 0, "no-store");
    if let Ok(to) = HeaderValue::from_str(&format!("../{project}/")) {
        head.insert(LOCATION, to);
    }
    let record = Record {
        route: Route::Manage,
        ..Record::default()
    };
    Reply::new(StatusCode::FOUND, head, Body::Bytes(Bytes::new()), record)
}
