//! Dates in headers (RFC 9110 §5.6.7): written in one form, read in all three.

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// The preferred form, that of RFC 850 and that of C's `asctime`.
const FORMS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// Longest text looked at; a date of the longest form has 33 characters.
const LENGTH_MAX: usize = 40;

/// Writes `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(at: Timestamp) -> String {
    // Only a year before 0 cannot be formatted, and such a date would mean nothing to a client.
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

/// Parses a date in any of the three forms; `None` if it is none of them.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > LENGTH_MAX {
        return None;
    }
    FORMS.iter().find_map(|form| {
        let civil = BrokenDownTime::parse(form, text).ok()?.to_datetime().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_instant_in_three_forms() {
        let expected = "1994-11-06T08:49:37Z".parse::<Timestamp>().unwrap();
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(parse_http_date(text), Some(expected), "{text}");
        }
        assert_eq!(http_date(expected), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn what_is_no_date_is_nothing() {
        for text in [
            "",
            "0",
            "Sun, 06 Nov 1994",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "\"abc\"",
            &"9".repeat(10_000),
        ] {
            assert_eq!(parse_http_date(text), None, "{text:.40}");
        }
    }

    proptest! {
        #[test]
        fn a_written_date_reads_back(second in 0_i64..4_102_444_800) {
            let at = Timestamp::from_second(second).unwrap();
            prop_assert_eq!(parse_http_date(&http_date(at)), Some(at));
        }
    }
}
