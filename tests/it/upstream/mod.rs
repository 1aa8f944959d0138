//! `upstream` against a fake index over real HTTP.

mod files;
mod metadata;
mod pages;
mod trouble;
mod unreadable;

use std::time::Duration;

use cheesecloth::testing::model::{IndexName, ProjectName};
use cheesecloth::testing::upstream::{
    Proxies, Upstream, UpstreamLimits, UpstreamLogin, UpstreamSettings,
};
use url::Url;

use crate::support::default_limits;

/// The defaults, with pauses too short to notice.
fn limits() -> UpstreamLimits {
    let mut limits = default_limits();
    limits.retry.pause = Duration::from_millis(1);
    limits
}

fn settings(url: Url) -> UpstreamSettings {
    UpstreamSettings {
        name: IndexName::parse("root/pypi").unwrap(),
        url,
        credentials: None,
        limits: limits(),
        proxies: Proxies::Direct,
        bounds: cheesecloth::testing::upstream::Bounds::default(),
    }
}

/// An upstream at this URL.
fn upstream(url: Url) -> Upstream {
    Upstream::new(settings(url)).unwrap()
}

/// An upstream at this URL with other limits.
fn limited(url: Url, change: impl FnOnce(&mut UpstreamLimits)) -> Upstream {
    let mut settings = settings(url);
    change(&mut settings.limits);
    Upstream::new(settings).unwrap()
}

/// An upstream at this URL that knows a user and a password.
fn authenticated(url: Url) -> Upstream {
    let credentials = Some(UpstreamLogin::new("me", "s3cret"));
    let settings = settings(url);
    Upstream::new(UpstreamSettings {
        credentials,
        ..settings
    })
    .unwrap()
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}
