//! Upload times on pages: PEP 700's `yyyy-mm-ddThh:mm:ss.ffffffZ`, read leniently and written strictly.

use std::io::Write;

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::model::Timestamp;

/// Reads an RFC 3339 time, or one without an offset as UTC, down to microseconds (PEP 700's
/// precision). Times before 1970 come from an unset clock and are ignored.
pub(super) fn parse_upload_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at = match as_written(text) {
        Some(at) => at,
        None => parse_any(text)?,
    };
    let at = Timestamp::new(at.as_second(), at.subsec_microsecond() * 1000).ok()?;
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

fn parse_any(text: &str) -> Option<Timestamp> {
    let with_offset = text.parse().ok();
    with_offset.or_else(|| Offset::UTC.to_timestamp(text.parse().ok()?).ok())
}

/// A time in exactly the form of the standard, as every file of a long page has one; anything else is
/// left to a parser that knows more.
fn as_written(text: &str) -> Option<Timestamp> {
    let text: &[u8; 27] = text.as_bytes().try_into().ok()?;
    let marks = [4, 7, 10, 13, 16, 19, 26].map(|at| text[at]);
    if marks != *b"--T::.Z" {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0, |number: i32, digit| {
            let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
            Some(10 * number + i32::from(digit))
        })
    };
    let small = |from| i8::try_from(number(from, from + 2)?).ok();
    let civil = DateTime::new(
        i16::try_from(number(0, 4)?).ok()?,
        small(5)?,
        small(8)?,
        small(11)?,
        small(14)?,
        small(17)?,
        number(20, 26)? * 1000,
    );
    Offset::UTC.to_timestamp(civil.ok()?).ok()
}

/// Writes a time with six fractional digits; pip and uv accept no more.
pub(super) fn write_upload_time(at: Timestamp, out: &mut Vec<u8>) {
    let civil = Offset::UTC.to_datetime(at.max(Timestamp::UNIX_EPOCH));
    let (year, month, day) = (civil.year(), civil.month(), civil.day());
    let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
    let micros = civil.subsec_nanosecond() / 1000;
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_finer_than_what_pages_carry_is_kept() {
        let fine = parse_upload_time("2026-05-04T10:11:12.123456789Z");
        assert_eq!(fine, parse_upload_time("2026-05-04T10:11:12.123456Z"));
    }

    #[test]
    fn the_form_of_the_standard_is_read_as_any_other() {
        for text in [
            "2026-05-04T10:11:12.123456Z",
            "2024-02-29T23:59:59.999999Z",
            "2026-02-29T00:00:00.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-05-04T24:00:00.000000Z",
            "2026-05-04T10:60:00.000000Z",
            "2026-06-30T23:59:60.000000Z",
            "0000-01-01T00:00:00.000000Z",
            "9999-12-31T23:59:59.999999Z",
            "2026-05-04T10:11:12.12345+Z",
            "2026-05-04t10:11:12.123456z",
        ] {
            let any = parse_any(text);
            let own = as_written(text);
            assert!(own.is_none() || own == any, "{text}: {own:?} {any:?}");
        }
        assert!(as_written("2026-05-04T10:11:12.123456Z").is_some());
    }

    #[test]
    fn spellings_of_the_field_are_read_and_written_as_one() {
        let table = [
            (
                "2026-05-04T10:11:12.000000Z",
                Some("2026-05-04T10:11:12.000000Z"),
            ),
            ("2026-05-04T10:11:12Z", Some("2026-05-04T10:11:12.000000Z")),
            (
                "2026-05-04T12:11:12.5+02:00",
                Some("2026-05-04T10:11:12.500000Z"),
            ),
            (" 2026-05-04 10:11:12 ", Some("2026-05-04T10:11:12.000000Z")),
            (
                "2026-05-04T10:11:12.123456789Z",
                Some("2026-05-04T10:11:12.123456Z"),
            ),
            ("1970-01-01T00:00:00Z", None),
            ("-002026-05-04T10:11:12Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in table {
            let written = parse_upload_time(text).map(|at| {
                let mut out = Vec::new();
                write_upload_time(at, &mut out);
                String::from_utf8(out).unwrap()
            });
            assert_eq!(written.as_deref(), expected, "{text:?}");
        }
    }
}
