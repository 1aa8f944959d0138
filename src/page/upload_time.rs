//! Upload times on pages: PEP 700's `yyyy-mm-ddThh:mm:ss.ffffffZ`, read leniently and written strictly.

use std::io::Write;

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::model::Timestamp;

/// Reads an RFC 3339 time, or one without an offset as UTC, down to microseconds (PEP 700's
/// precision). Times before 1970 come from an unset clock and are ignored.
pub(super) fn parse_upload_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at: Timestamp = match text.parse() {
        Ok(at) => at,
        Err(_) => Offset::UTC
            .to_timestamp(text.parse::<DateTime>().ok()?)
            .ok()?,
    };
    let at = Timestamp::new(at.as_second(), at.subsec_microsecond() * 1000).ok()?;
    (at > Timestamp::UNIX_EPOCH).then_some(at)
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
