//! `upstream` against a fake index over real HTTP.

mod files;
mod metadata;
mod pages;
mod trouble;
mod unreadable;

use std::time::Duration;

use cheesecloth::model::{IndexName, ProjectName};
use cheesecloth::upstream::{Credentials, Limits, Proxies, Settings, Upstream};
use url::Url;

use crate::support::default_limits;

/// The defaults, with pauses too short to notice.
fn limits() -> Limits {
    let mut limits = default_limits();
    limits.retry.pause = Duration::from_millis(1);
    limits
}

fn settings(url: Url) -> Settings {
    Settings {
        name: IndexName::parse("root/pypi").unwrap(),
        url,
        credentials: None,
        limits: limits(),
        proxies: Proxies::Direct,
        bounds: cheesecloth::upstream::Bounds::default(),
    }
}

/// An upstream at this URL.
fn upstream(url: Url) -> Upstream {
    Upstream::new(settings(url)).unwrap()
}

/// An upstream at this URL with other limits.
fn limited(url: Url, change: impl FnOnce(&mut Limits)) -> Upstream {
    let mut settings = settings(url);
    change(&mut settings.limits);
    Upstream::new(settings).unwrap()
}

/// An upstream at this URL that knows a user and a password.
fn authenticated(url: Url) -> Upstream {
    let credentials = Some(Credentials::new("me", "s3cret"));
    let settings = settings(url);
    Upstream::new(Settings {
        credentials,
        ..settings
    })
    .unwrap()
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}
