//! Requests that do more than read, carried to the primary: once, as they come in.

use http::Method;
use http::header::CONTENT_LENGTH;
use http::request::Parts;

use crate::exchange::{Arrival, Record, Reply, Route};
use crate::front::answer::{Front, OFFLINE, UNANSWERED, hidden, unanswered, with_query};
use crate::front::pass::{Trust, request_headers};
use crate::front::place::{Place, index_of, place_of_errand};
use crate::protocol::ManageRoute;
use crate::telemetry::{PATH_MAX, cut};
use crate::upstream::{FleetBody, FleetWrite};

/// A request that does more than read.
#[derive(Debug)]
pub struct Errand<'a> {
    /// Its head, the login included.
    pub head: &'a Parts,
    /// How it came to the door.
    pub arrival: Arrival<'a>,
    /// What it is.
    pub route: &'a ManageRoute,
}

impl Front {
    /// Whether a request concerns only what this gateway itself has, and nothing of devpi's.
    #[must_use]
    pub fn leaves_to_us(&self, route: &ManageRoute, path: &str, is_manage: bool) -> bool {
        let place = self.placed(is_manage, |around| place_of_errand(route, path, around));
        // For a devpi index the flows answer, and after them the login counts.
        let is_devpis = match route {
            ManageRoute::Read(_) => {
                index_of(path).is_some_and(|index| self.declared(&index, is_manage).is_devpis())
            }
            _ => false,
        };
        place == Place::Ours && !is_devpis
    }

    /// Has devpi carry out a request. If that changed anything, nothing that was made earlier counts as
    /// fresh afterwards.
    pub async fn carry(&self, errand: &Errand<'_>, body: Option<FleetBody>) -> Reply {
        let record = Record {
            route: Route::Manage,
            index: errand.route.index().cloned(),
            ..Record::default()
        };
        let (head, path) = (errand.head, errand.head.uri.path());
        let place = self.placed(errand.arrival.is_manage, |around| {
            place_of_errand(errand.route, path, around)
        });
        if let Place::Hidden(index) = &place {
            return hidden(index, path, record);
        }
        if self.offline() {
            return unanswered(path, OFFLINE, record);
        }
        let body = match &place {
            Place::Ruled(index) => match self.under_rules(errand, index, body).await {
                Ok(body) => body,
                Err(reply) => return reply,
            },
            _ => body,
        };
        let mut headers = request_headers(&head.headers, errand.arrival, Trust::Login);
        if let Some(length) = head.headers.get(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        let write = FleetWrite {
            method: &head.method,
            path_and_query: &with_query(path, head.uri.query()),
            headers,
            body,
        };
        let before = self.fleet.last_write();
        let answered = self.fleet.write(write).await;
        // Without an answer it may have been carried out all the same.
        if answered.is_err() || self.fleet.last_write() != before {
            self.flows.devpi_changed();
        }
        match answered {
            Ok(answer) => {
                let is_head = head.method == Method::HEAD;
                self.passed(path, is_head, answer, record).await
            }
            Err(error) => {
                tracing::error!(path = cut(path, PATH_MAX), %error, "not passed on");
                unanswered(path, UNANSWERED, record)
            }
        }
    }
}
