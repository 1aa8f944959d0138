//! `POST /user/index/+simple/project/refresh`: every mirror of the stack will be asked again.
//!
//! Earlier answers are kept until then: their tags confirm them, and they are used if upstream is down.

use std::sync::Arc;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use crate::catalog::Resolution;
use crate::devpi::{DevpiWords, Refusal};
use crate::exchange::{Patience, Reply};
use crate::model::{IndexName, ProjectName};
use crate::writer::desk::Writer;
use crate::writer::refusal::managed;

impl Writer {
    /// Makes the next request for a project ask its upstreams.
    ///
    /// # Errors
    /// 404 for an index or project that does not exist.
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
        let stacks = &self.flows.stacks;
        match stacks
            .resolve(&cx, index, project, Patience::LatestPage)
            .await?
        {
            Resolution::Known(_) | Resolution::Refused(_) => Ok(to_the_page(project)),
            Resolution::Unknown => {
                let words = DevpiWords::NoProject(project);
                Err(Refusal::abort(StatusCode::NOT_FOUND, words))
            }
        }
    }
}

/// 302 from `…/project/refresh` to `…/project/`.
fn to_the_page(project: &ProjectName) -> Reply {
    let mut reply = managed(StatusCode::FOUND, "text/plain", Bytes::new());
    let to = HeaderValue::from_str(&format!("../{project}/")).ok();
    let to = to.map(|to| (LOCATION, to));
    Arc::make_mut(&mut reply.head).extend(to.into_iter().collect());
    reply
}
