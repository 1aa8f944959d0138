//! `upstream` against a fake index over real HTTP.

mod files;
mod metadata;
mod pages;
mod trouble;
mod unreadable;

use std::time::Duration;

use cheesecloth::testing::model::{IndexName, Login, ProjectName, UpstreamLimits, WorkLimits};
use cheesecloth::testing::telemetry::WaitMeter;
use cheesecloth::testing::upstream::{Decoding, Proxies, Upstream, UpstreamSettings};
use url::Url;

/// The defaults, with pauses too short to notice.
fn limits() -> UpstreamLimits {
    UpstreamLimits {
        retry_pause: Duration::from_millis(1),
        ..UpstreamLimits::default()
    }
}

fn settings(url: Url) -> UpstreamSettings {
    UpstreamSettings {
        name: IndexName::parse("root/pypi").unwrap(),
        url,
        credentials: None,
        limits: limits(),
        decoding: Decoding::of(&WorkLimits::default(), WaitMeter::default()),
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

/// Makes failures leave no upstream alone.
fn never_resting(limits: &mut UpstreamLimits) {
    limits.upstream_failures = 1000;
    (limits.upstream_cool_off, limits.upstream_cool_off_max) = (Duration::ZERO, Duration::ZERO);
}

/// An upstream at this URL that has a user name and a password.
fn authenticated(url: Url) -> Upstream {
    let credentials = Some(Login::new("me", "s3cret"));
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
