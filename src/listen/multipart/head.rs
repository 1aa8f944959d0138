//! The heads of a form: the boundary in the request's content type, and each part's disposition.
//!
//! Written by browsers, `requests`, `distutils` and hand-made scripts alike: quotes are optional,
//! spaces after a semicolon too, and headers other than `Content-Disposition` are irrelevant.

/// RFC 2046 §5.1.1: a boundary has at most 70 characters.
const BOUNDARY_MAX: usize = 70;

/// What a part states about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartHead {
    /// `name`
    pub name: String,
    /// `filename`, or `filename*` (RFC 5987) if both are present. A part with one is a file.
    pub filename: Option<String>,
}

/// The boundary in a `Content-Type`; other parameters (`charset`) may surround it.
pub(super) fn boundary_of(content_type: &str) -> Option<String> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters(rest).find(|(name, _)| name == "boundary")?.1;
    let printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let fits = (1..=BOUNDARY_MAX).contains(&boundary.len())
        && boundary.bytes().all(printable)
        && !boundary.ends_with(' ');
    fits.then_some(boundary)
}

/// Parses a part's header lines, with either line end; `None` without a form-data name.
pub(super) fn part_head(lines: &str) -> Option<PartHead> {
    let disposition = lines.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let (kind, rest) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let mut name = None;
    let mut plain = None;
    let mut extended = None;
    for (key, value) in parameters(rest) {
        match key.as_str() {
            "name" => name = name.or(Some(value)),
            "filename" => plain = plain.or(Some(value)),
            "filename*" => extended = extended.or_else(|| extended_value(&value)),
            _ => {}
        }
    }
    Some(PartHead {
        name: name?,
        filename: extended.or(plain),
    })
}

/// `key=value; key="value"`: keys in lower case, quotes removed.
fn parameters(text: &str) -> impl Iterator<Item = (String, String)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([';', ' ', '\t']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(['=', ';']).unwrap_or(rest.len());
            let key = rest[..end].trim().to_ascii_lowercase();
            rest = &rest[end..];
            if let Some(after) = rest.strip_prefix('=') {
                let (value, left) = value(after.trim_start());
                rest = left;
                return Some((key, value));
            }
        }
    })
}

/// A value and what follows it. In quotes `\"` and `\\` are escapes; any other backslash stands for
/// itself, because some clients send paths.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim_end().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => {
                let escaped = characters.next_if(|(_, next)| matches!(next, '"' | '\\'));
                value.push(escaped.map_or('\\', |(_, next)| next));
            }
            other => value.push(other),
        }
    }
    (value, "")
}

/// RFC 5987: `UTF-8'language'percent-encoded`.
fn extended_value(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_met_in_the_field() {
        let table = [
            ("multipart/form-data; boundary=abc", Some("abc")),
            (
                "multipart/form-data; boundary=--------------GHSKF_lv; charset=utf-8",
                Some("--------------GHSKF_lv"),
            ),
            (
                "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b;c\"",
                Some("a b;c"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; charset=utf-8", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=abc", None),
            ("multipart/form-data; boundary=\"a\u{e9}\"", None),
            ("multipart/form-data; boundary=\"a \"", None),
        ];
        for (content_type, boundary) in table {
            assert_eq!(
                boundary_of(content_type).as_deref(),
                boundary,
                "{content_type}"
            );
        }
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        assert_eq!(boundary_of(&long), None);
    }

    #[test]
    fn dispositions_met_in_the_field() {
        let table = [
            ("form-data; name=\":action\"", ":action", None),
            ("form-data; name=:action", ":action", None),
            (
                "form-data;name=content;filename=a-1.zip",
                "content",
                Some("a-1.zip"),
            ),
            (
                "form-data; name=\"content\";filename=\"a-1.zip\"",
                "content",
                Some("a-1.zip"),
            ),
            (
                "form-data; filename=\"a \\\"b\\\".zip\"; name=x",
                "x",
                Some("a \"b\".zip"),
            ),
            (
                "form-data; name=x; filename=\"C:\\dir\\a.zip\"",
                "x",
                Some("C:\\dir\\a.zip"),
            ),
            (
                "form-data; name=x; filename=\"_.zip\"; filename*=UTF-8''%C3%BC.zip",
                "x",
                Some("ü.zip"),
            ),
            (
                "form-data; name=x; filename*=latin-1''%FC.zip; filename=u.zip",
                "x",
                Some("u.zip"),
            ),
            ("form-data; name=\"\"; filename=\"\"", "", Some("")),
            (
                "form-data; lonely; name=\"never closed",
                "never closed",
                None,
            ),
        ];
        for (disposition, name, filename) in table {
            for end in ["\r\n", "\n"] {
                let lines =
                    format!("Content-Type: x/y{end}content-disposition: {disposition}{end}");
                let filename = filename.map(str::to_owned);
                let expected = PartHead {
                    name: name.into(),
                    filename,
                };
                assert_eq!(part_head(&lines), Some(expected), "{disposition}");
            }
        }
    }

    #[test]
    fn a_part_without_a_name_has_no_head() {
        for lines in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; filename=x",
            "Content-Disposition: attachment; name=x",
        ] {
            assert_eq!(part_head(lines), None, "{lines:?}");
        }
    }
}
