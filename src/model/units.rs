//! Durations (`7d`, `10m`, plain seconds) and sizes (`20MiB`, plain bytes) as operators write them.

use std::time::Duration;

/// The text is neither a number nor a number with a known unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct InvalidUnit {
    text: String,
    wanted: &'static str,
}

const DURATIONS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

const SIZES: [(&str, u64); 12] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
];

/// Parses `250ms`, `30s`, `10m`, `12h`, `7d`, `2w`, or plain seconds as devpi writes them.
///
/// # Errors
/// When the number or the unit is not known, or the result is beyond 64-bit milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidUnit> {
    split(text, &DURATIONS, 1_000)
        .map(Duration::from_millis)
        .ok_or_else(|| InvalidUnit {
            text: text.into(),
            wanted: "a duration such as 7d, 12h, 10m or 30s",
        })
}

/// Parses `20MiB`, `1GB`, or plain bytes.
///
/// # Errors
/// When the number or the unit is not known, or the result is beyond 64-bit bytes.
pub fn parse_bytes(text: &str) -> Result<u64, InvalidUnit> {
    split(text, &SIZES, 1).ok_or_else(|| InvalidUnit {
        text: text.into(),
        wanted: "a size such as 20MiB or 1GiB",
    })
}

fn split(text: &str, units: &[(&str, u64)], plain: u64) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    if unit.is_empty() {
        return number.checked_mul(plain);
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// Writes a duration in the largest unit that divides it: `7d`, `90m`, `1500ms`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, factor): &&(&str, u64)| millis != 0 && millis.is_multiple_of(*factor);
    match DURATIONS[..5].iter().rev().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", millis / factor),
        None => "0s".to_owned(),
    }
}

/// Writes a size in the largest binary unit that divides it: `20MiB`, `1025B`.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes != 0 && bytes.is_multiple_of(*factor);
    match SIZES[..5].iter().rev().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => "0B".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_as_written() {
        assert_eq!(parse_duration("600").unwrap(), Duration::from_mins(10));
        assert_eq!(parse_duration("7d").unwrap(), Duration::from_hours(168));
        assert_eq!(
            parse_duration("250 ms").unwrap(),
            Duration::from_millis(250)
        );
        assert_eq!(parse_bytes("20MiB").unwrap(), 20 << 20);
        assert_eq!(parse_bytes("1024").unwrap(), 1024);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for text in [
            "",
            "d",
            "7 days",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "7D",
            "é",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
            assert!(parse_bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn written_units_parse_back() {
        for text in ["7d", "90m", "1500ms", "36h"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["20MiB", "1025B", "3GiB"] {
            assert_eq!(format_bytes(parse_bytes(text).unwrap()), text);
        }
    }
}
