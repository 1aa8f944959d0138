//! Records in a real PostgreSQL: a day with the real clients, a database that goes away, a second gateway,
//! and records that are moved there and back.

mod day;
mod moved;
mod outage;

use std::path::Path;

use crate::support::ask::{self, Answer};
use crate::support::{Cluster, Form, Launch, Program};

const STAGE: &str = "team/stage";

/// Lets anonymous clients upload, so that a test needs no login.
const INDEXES: &str = "indexes:\n  team/stage: { acl_upload: [':ANONYMOUS:'] }\n";

pub(crate) fn wait_for<T>(what: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(what)
}

/// A configuration with its records there.
pub(crate) fn in_postgres(url: &str, rest: &str) -> String {
    format!("records: {{ postgres: {{ url: \"{url}\" }} }}\n{rest}")
}

fn gateway(yaml: &str, data: &Path) -> Launch {
    Program::with_policies(yaml).data(data)
}

fn upload(gateway: &Program, version: &str) -> Answer {
    let form = Form::of_wheel("hello-pkg", version);
    form.post(&format!("{}{STAGE}/", gateway.manage_url()))
        .unwrap()
}

/// How many files the stage's page of the project lists.
fn listed(gateway: &Program) -> usize {
    let page = format!("{}hello-pkg/", gateway.index_url(STAGE));
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let page = ask::send("GET", &page, &accept, b"").unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    page.json()["files"].as_array().unwrap().len()
}

fn readiness(gateway: &Program) -> Answer {
    ask::get(&format!("{}readyz", gateway.metrics_url())).unwrap()
}

/// The URL of a schema of its own in the cluster.
pub(crate) fn schema(cluster: &Cluster) -> String {
    wait_for(cluster.schema())
}
