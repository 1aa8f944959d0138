//! The questions that every door answers although they have bodies: they change nothing.

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::exchange::{Arrival, inside_path};
use crate::listen::handler::RequestHandler;
use crate::listen::osv::is_osv;
use crate::listen::xml_search::is_search;

/// Who answers them.
#[derive(Clone)]
pub struct Questions {
    /// Those about advisories.
    pub osv: Arc<dyn RequestHandler>,
    /// Those of `pip search`, at a door that has nobody else for it.
    pub search: Option<Arc<dyn RequestHandler>>,
}

impl Questions {
    /// Who answers a request, if it is such a question.
    pub(super) fn answering(
        &self,
        (method, path): (&Method, &str),
        arrival: Arrival<'_>,
        headers: &HeaderMap,
    ) -> Option<&dyn RequestHandler> {
        if is_osv(inside_path(path, arrival, headers)) {
            return Some(&*self.osv);
        }
        let search = self.search.as_deref();
        search.filter(|_| is_search(method, headers))
    }
}
