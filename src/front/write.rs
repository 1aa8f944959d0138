//! What is more than reading, carried to the primary: once, as it comes in.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method};

use crate::front::answer::{Front, OFFLINE, UNANSWERED, hidden, unanswered, with_query};
use crate::front::pass::{Trust, request_headers};
use crate::front::place::{Place, Surroundings, index_of, place_of_errand};
use crate::gateway::{Arrival, Record, Reply, Route};
use crate::protocol::ManageRoute;
use crate::telemetry::{PATH_MAX, cut};
use crate::upstream::{FleetBody, FleetWrite};

/// A request that is more than reading.
#[derive(Debug)]
pub struct Errand<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, still percent-encoded.
    pub path: &'a str,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
    /// Its headers, the login included.
    pub headers: &'a HeaderMap,
    /// How it came to the door.
    pub arrival: Arrival<'a>,
    /// What it is.
    pub route: &'a ManageRoute,
}

impl Front {
    /// Whether a request is about what this gateway itself has, and nothing of devpi's.
    #[must_use]
    pub fn leaves_to_us(&self, route: &ManageRoute, path: &str, is_manage: bool) -> bool {
        let is_ours = self.place_of(route, path, is_manage) == Place::Ours;
        // Of an index of devpi's the flows answer, and after them the login counts.
        let is_devpis = match route {
            ManageRoute::Read(_) => {
                index_of(path).is_some_and(|index| self.declared(&index, is_manage).is_devpis())
            }
            _ => false,
        };
        is_ours && !is_devpis
    }

    fn place_of(&self, route: &ManageRoute, path: &str, is_manage: bool) -> Place {
        let around = Surroundings {
            undeclared: self.options.undeclared,
            declared: &|index| self.declared(index, is_manage),
        };
        place_of_errand(route, path, &around, &|| self.whole(is_manage))
    }

    /// Has a request carried out by devpi. If that changed anything, nothing that was made before it
    /// counts as fresh afterwards.
    pub async fn carry(&self, errand: &Errand<'_>, body: Option<FleetBody>) -> Reply {
        let record = Record {
            route: Route::Manage,
            index: errand.route.index().cloned(),
            ..Record::default()
        };
        let place = self.place_of(errand.route, errand.path, errand.arrival.is_manage);
        if let Place::Hidden(index) = &place {
            return hidden(index, errand.path, record);
        }
        if self.offline() {
            return unanswered(errand.path, OFFLINE, record);
        }
        let body = match &place {
            Place::Ruled(index) => match self.under_rules(errand, index, body).await {
                Ok(body) => body,
                Err(reply) => return reply,
            },
            _ => body,
        };
        let mut headers = request_headers(errand.headers, errand.arrival, Trust::Login);
        if let Some(length) = errand.headers.get(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        let write = FleetWrite {
            method: errand.method,
            path_and_query: &with_query(errand.path, errand.query),
            headers,
            body,
        };
        let before = self.fleet.last_write();
        let answered = self.fleet.write(write).await;
        // When no answer came it may have been carried out all the same.
        if answered.is_err() || self.fleet.last_write() != before {
            self.flows.devpi_changed();
        }
        match answered {
            Ok(answer) => {
                let is_head = errand.method == Method::HEAD;
                self.passed(errand.path, is_head, answer, record).await
            }
            Err(error) => {
                tracing::error!(path = cut(errand.path, PATH_MAX), %error, "not passed on");
                unanswered(errand.path, UNANSWERED, record)
            }
        }
    }
}
