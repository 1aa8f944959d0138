//! How long an upstream's answer may be used without asking again (RFC 9111 §4.2).
//!
//! The operator's `mirror_cache_expiry` is the ceiling, as in devpi. An upstream may shorten it, since it
//! knows when a page changes; it may not lengthen it, since a cache that cannot be bounded cannot be
//! trusted after a malicious release.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES};

use crate::protocol::date::parse_http_date;
use crate::protocol::header_list::elements;

/// Shortest freshness while the operator allows any. An upstream that says `no-cache`, as another gateway
/// does, would otherwise be asked once per client request.
const FRESH_MIN: Duration = Duration::from_secs(5);

/// How long a page may be used when its upstream states this lifetime. `expiry` is the operator's; zero
/// means that every request asks upstream.
#[must_use]
pub fn lifetime(stated: Option<Duration>, expiry: Duration) -> Duration {
    stated.map_or(expiry, |stated| expiry.min(stated.max(FRESH_MIN)))
}

/// Whether a client wants upstream's own answer and nothing cached (`no-cache`, RFC 9111 §5.2.1.4).
///
/// pip sends `max-age=0` with every page request, so that cannot mean the same.
#[must_use]
pub fn wants_validated(headers: &HeaderMap) -> bool {
    elements(headers, CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-cache"))
}

/// How long the upstream lets a shared cache use its answer: `s-maxage`, else `max-age`, else `Expires`,
/// minus the time it has spent in other caches; zero for `no-cache` and `no-store`.
#[must_use]
pub fn stated_lifetime(headers: &HeaderMap) -> Option<Duration> {
    Some(stated(headers)?.saturating_sub(age(headers)))
}

fn stated(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    let mut shared = None;
    for directive in elements(headers, CACHE_CONTROL) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" | "no-store" => return Some(Duration::ZERO),
            "s-maxage" => shared = seconds(value),
            "max-age" => max_age = seconds(value),
            _ => {}
        }
    }
    shared.or(max_age).or_else(|| expires(headers))
}

fn expires(headers: &HeaderMap) -> Option<Duration> {
    let date = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(parse_http_date)
    };
    // An `Expires` that is no date means "already" (RFC 9111 §5.3).
    let (Some(end), Some(Some(sent))) = (date(EXPIRES)?, date(DATE)) else {
        return Some(Duration::ZERO);
    };
    let lifetime = end.as_second() - sent.as_second();
    Some(Duration::from_secs(u64::try_from(lifetime).unwrap_or(0)))
}

/// How long other caches have held the page.
fn age(headers: &HeaderMap) -> Duration {
    let text = headers.get(AGE).and_then(|value| value.to_str().ok());
    text.and_then(seconds).unwrap_or_default()
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = text.trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::from(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HeaderName;

    use super::*;

    fn seconds_of(headers: &[(HeaderName, &'static str)], expiry: u64) -> u64 {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let stated = stated_lifetime(&headers.collect());
        lifetime(stated, Duration::from_secs(expiry)).as_secs()
    }

    #[test]
    fn upstream_may_shorten_but_never_lengthen() {
        for (cache_control, expiry, expected) in [
            ("max-age=600, public", 1800, 600),
            ("max-age=86400", 1800, 1800),
            ("public", 1800, 1800),
            ("max-age=600", 0, 0),
            ("no-cache", 0, 0),
            ("no-cache", 1800, 5),
            ("max-age=0, must-revalidate", 1800, 5),
            ("no-store", 2, 2),
            ("max-age=600, s-maxage=60", 1800, 60),
            ("Max-Age=\"60\"", 1800, 60),
            ("max-age=-1", 1800, 1800),
            ("max-age=soon", 1800, 1800),
            ("max-age=600, no-cache", 1800, 5),
            ("max-age=99999999999999999999", 1800, 1800),
        ] {
            let found = seconds_of(&[(CACHE_CONTROL, cache_control)], expiry);
            assert_eq!(found, expected, "{cache_control} with {expiry}");
        }
        assert_eq!(seconds_of(&[], 1800), 1800);
    }

    #[test]
    fn only_no_cache_wants_upstreams_own_word() {
        for (said, expected) in [
            ("no-cache", true),
            ("max-age=0, No-Cache", true),
            ("max-age=0", false),
            ("no-cache=\"x\"", false),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(said))]);
            assert_eq!(wants_validated(&headers), expected, "{said}");
        }
        assert!(!wants_validated(&HeaderMap::new()));
    }

    #[test]
    fn age_counts_against_it() {
        assert_eq!(
            seconds_of(&[(CACHE_CONTROL, "max-age=600"), (AGE, "100")], 1800),
            500
        );
        assert_eq!(
            seconds_of(&[(CACHE_CONTROL, "max-age=600"), (AGE, "900")], 1800),
            5
        );
    }

    #[test]
    fn expires_stands_in_for_max_age() {
        let sent = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            seconds_of(
                &[sent.clone(), (EXPIRES, "Sun, 06 Nov 1994 08:50:37 GMT")],
                1800
            ),
            60
        );
        assert_eq!(seconds_of(&[sent.clone(), (EXPIRES, "0")], 1800), 5);
        let both = [sent, (EXPIRES, "0"), (CACHE_CONTROL, "max-age=60")];
        assert_eq!(seconds_of(&both, 1800), 60);
    }
}
