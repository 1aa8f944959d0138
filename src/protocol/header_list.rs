//! Lists in headers: elements between commas, over every line of that name, and their q-values.

use http::HeaderMap;
use http::header::HeaderName;

/// Most elements looked at in one list; the longest `Accept` seen in the wild has nine.
const ELEMENTS_MAX: usize = 64;

/// The elements of a list header, trimmed, empty ones left out (RFC 9110 §5.6.1).
///
/// A quoted string that contains a comma is split in two; no list read this way has one.
pub(super) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
        .take(ELEMENTS_MAX)
}

/// Splits `token;param;q=0.5` into the token and its weight in thousandths (RFC 9110 §12.4.2).
///
/// `None` if the weight is invalid: such an element is ignored.
pub(super) fn weighted(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let token = parts.next().filter(|token| !token.is_empty())?;
    let weight = parts.find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then_some(value.trim())
    });
    match weight {
        None => Some((token, 1000)),
        Some(text) => parse_weight(text).map(|weight| (token, weight)),
    }
}

/// `0`, `1`, `0.25`, `1.000`: at most three decimals, at most one.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_short = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !is_short || !matches!(whole, "0" | "1") {
        return None;
    }
    let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let weight = if whole == "1" {
        1000 + thousandths
    } else {
        thousandths
    };
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn a_list_runs_over_every_line() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("a, ,b;q=0.1,"));
        headers.append(ACCEPT, HeaderValue::from_static("c"));
        let found: Vec<_> = elements(&headers, ACCEPT).collect();
        assert_eq!(found, ["a", "b;q=0.1", "c"]);
    }

    #[test]
    fn a_list_without_end_is_cut() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(&"a,".repeat(10_000)).unwrap());
        assert_eq!(elements(&headers, ACCEPT).count(), ELEMENTS_MAX);
    }

    #[test]
    fn weights_are_thousandths() {
        for (element, expected) in [
            ("a", Some(("a", 1000))),
            ("a;q=0", Some(("a", 0))),
            ("a ; level=1 ; Q=0.25", Some(("a", 250))),
            ("a;q=1.000", Some(("a", 1000))),
            ("a;q=0.001", Some(("a", 1))),
            ("a;q=1.001", None),
            ("a;q=0.0001", None),
            ("a;q=2", None),
            ("a;q=-1", None),
            ("a;q=", None),
            ("a;q=0.é", None),
            (";q=1", None),
        ] {
            assert_eq!(weighted(element), expected, "{element}");
        }
    }
}
