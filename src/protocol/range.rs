//! Which bytes of a file the client wants (RFC 9110 §14): one range, or the whole.
//!
//! Several ranges in one request are answered with the whole file: no installer sends them, and a
//! multipart answer is the classic way to make a server copy a file many times over.

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

use crate::model::Timestamp;
use crate::protocol::conditional::ETag;
use crate::protocol::date::parse_http_date;

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected {
    /// 200 with everything.
    Whole,
    /// 206 with `length` bytes from `start`; never empty.
    Part {
        /// First byte.
        start: u64,
        /// How many.
        length: u64,
    },
    /// 416: the file ends before the range starts.
    Unsatisfiable,
}

/// Reads `Range` and `If-Range` of a GET for a file of `length` bytes.
///
/// An invalid range is ignored, as the RFC requires; HEAD has no ranges, so do not call this for it.
#[must_use]
pub fn select_range(
    headers: &HeaderMap,
    length: u64,
    etag: Option<&ETag>,
    last_modified: Option<Timestamp>,
) -> Selected {
    let mut lines = headers.get_all(RANGE).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Selected::Whole;
    };
    if !is_same_file(headers, etag, last_modified) {
        return Selected::Whole;
    }
    line.to_str()
        .ok()
        .and_then(|text| parse(text, length))
        .unwrap_or(Selected::Whole)
}

/// Whether `If-Range`, if present, names exactly what we hold: two versions are never spliced.
fn is_same_file(headers: &HeaderMap, etag: Option<&ETag>, modified: Option<Timestamp>) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    let Ok(text) = value.to_str().map(str::trim) else {
        return false;
    };
    if text.starts_with('"') || text.starts_with("W/") {
        return etag.is_some_and(|etag| etag.as_str() == text);
    }
    let held = modified.map(Timestamp::as_second);
    held.is_some() && held == parse_http_date(text).map(Timestamp::as_second)
}

fn parse(text: &str, length: u64) -> Option<Selected> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    if first.is_empty() {
        return suffix(number(last)?, length);
    }
    let start = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < start {
        return None;
    }
    if start >= length {
        return Some(Selected::Unsatisfiable);
    }
    let end = last.saturating_add(1).min(length);
    Some(Selected::Part {
        start,
        length: end - start,
    })
}

/// `bytes=-N`: the last N bytes. For an empty file that is the whole of it.
fn suffix(wanted: u64, length: u64) -> Option<Selected> {
    if wanted == 0 {
        return Some(Selected::Unsatisfiable);
    }
    let taken = wanted.min(length);
    (taken > 0).then_some(Selected::Part {
        start: length - taken,
        length: taken,
    })
}

/// Digits only, no sign; a number beyond 64 bits is just beyond the end.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// `Content-Range` of a 206.
#[must_use]
pub fn content_range(start: u64, length: u64, total: u64) -> String {
    debug_assert!(
        length > 0 && start + length <= total,
        "a part lies within its file"
    );
    format!("bytes {start}-{}/{total}", start + length - 1)
}

/// `Content-Range` of a 416.
#[must_use]
pub fn content_range_unsatisfied(total: u64) -> String {
    format!("bytes */{total}")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn select(range: &str, length: u64) -> Selected {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(range).unwrap());
        select_range(&headers, length, None, None)
    }

    #[test]
    fn ranges_of_a_hundred_bytes() {
        let part = |start, length| Selected::Part { start, length };
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 10)),
            ("bytes=10-", part(10, 90)),
            ("bytes=90-1000", part(90, 10)),
            ("bytes=-10", part(90, 10)),
            ("bytes=-10000", part(0, 100)),
            ("Bytes = 99-", part(99, 1)),
            ("bytes=0-18446744073709551615", part(0, 100)),
            ("bytes=0-99999999999999999999999", part(0, 100)),
            ("bytes=100-", Selected::Unsatisfiable),
            ("bytes=99999999999999999999999-", Selected::Unsatisfiable),
            ("bytes=-0", Selected::Unsatisfiable),
            ("bytes=5-4", Selected::Whole),
            ("bytes=0-1,5-6", Selected::Whole),
            ("bytes=-", Selected::Whole),
            ("bytes=+1-2", Selected::Whole),
            ("bytes=a-b", Selected::Whole),
            ("lines=0-1", Selected::Whole),
            ("bytes", Selected::Whole),
        ] {
            assert_eq!(select(range, 100), expected, "{range}");
        }
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        assert_eq!(select("bytes=0-", 0), Selected::Unsatisfiable);
        assert_eq!(select("bytes=-5", 0), Selected::Whole);
    }

    #[test]
    fn two_range_lines_mean_the_whole() {
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(RANGE, HeaderValue::from_static("bytes=5-6"));
        assert_eq!(select_range(&headers, 100, None, None), Selected::Whole);
    }

    #[test]
    fn if_range_must_name_what_we_hold() {
        let etag = ETag::parse("abc").unwrap();
        let modified = "1994-11-06T08:49:37.5Z".parse::<Timestamp>().unwrap();
        for (condition, is_part) in [
            ("\"abc\"", true),
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("\"other\"", false),
            ("W/\"abc\"", false),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
            ("nonsense", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static("bytes=1-"));
            headers.insert(IF_RANGE, HeaderValue::from_static(condition));
            let selected = select_range(&headers, 10, Some(&etag), Some(modified));
            let expected = if is_part {
                Selected::Part {
                    start: 1,
                    length: 9,
                }
            } else {
                Selected::Whole
            };
            assert_eq!(selected, expected, "{condition}");
            assert_eq!(
                select_range(&headers, 10, None, None),
                Selected::Whole,
                "{condition}"
            );
        }
    }

    #[test]
    fn content_ranges_read_as_the_rfc_writes_them() {
        assert_eq!(content_range(10, 10, 100), "bytes 10-19/100");
        assert_eq!(content_range_unsatisfied(100), "bytes */100");
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_lies_within(text in "bytes=[0-9]{0,20}-[0-9]{0,20}", length in 0_u64..1000) {
            if let Selected::Part { start, length: taken } = select(&text, length) {
                prop_assert!(taken > 0 && start + taken <= length);
            }
        }
    }
}
