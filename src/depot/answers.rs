//! What servers answer, cut to what may be said and read.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use url::Url;

/// The longest message of a server's that is repeated.
const MESSAGE_CHARS_MAX: usize = 200;

/// The longest code of an error: S3's have some forty letters.
const CODE_CHARS_MAX: usize = 64;

/// The longest name of a server or region that is repeated.
const NAME_CHARS_MAX: usize = 260;

/// Stands for what must not be said.
const REDACTED: &str = "***";

/// A server sends requests on, which is not followed: they carry credentials.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answers {status}, which is not followed: {advice}")]
pub(super) struct Redirected {
    status: StatusCode,
    advice: String,
}

impl Redirected {
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let advice = advice(headers);
        Self { status, advice }
    }

    /// Whether it will be the same in a moment (RFC 9110 §15.4.2, §15.4.9).
    pub(super) fn is_lasting(&self) -> bool {
        let lasting = [
            StatusCode::MOVED_PERMANENTLY,
            StatusCode::PERMANENT_REDIRECT,
        ];
        lasting.contains(&self.status)
    }
}

fn advice(headers: &HeaderMap) -> String {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_name = |name: &&str| {
        let is_fit = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_');
        (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(is_fit)
    };
    if let Some(region) = said("x-amz-bucket-region").filter(is_name) {
        return format!(
            "the bucket is in another region, write region: {region} below depot.s3, and an endpoint of \
             that region if any"
        );
    }
    let to = said(LOCATION.as_str()).and_then(|location| Url::parse(location).ok());
    let origin = to.map(|to| to.origin()).filter(url::Origin::is_tuple);
    let origin = origin.map(|origin| origin.ascii_serialization());
    match origin.filter(|origin| origin.len() <= NAME_CHARS_MAX) {
        Some(origin) => format!(
            "it sends requests on to {origin}; if the bucket is there, write endpoint: {origin} below \
             depot.s3"
        ),
        None => {
            "it does not say to which server; the region or the endpoint below depot.s3 is not the \
                 bucket's"
                .to_owned()
        }
    }
}

/// The code and the message of an error of S3's, in one line. Nothing else of the answer is repeated, as
/// it may contain the request.
pub(super) fn error_words(answer: &str, secrets: &[String]) -> String {
    let is_code = |code: &&str| {
        let is_fit = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '-');
        (1..=CODE_CHARS_MAX).contains(&code.len()) && code.chars().all(is_fit)
    };
    let Some(code) = element(answer, "Code").filter(is_code) else {
        return "an answer that is no error of S3's".to_owned();
    };
    let message = element(answer, "Message")
        .map(unescaped)
        .unwrap_or_default();
    let plain = message.replace(|one: char| !matches!(one, ' '..='~'), " ");
    let mut line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut code = code.to_owned();
    for secret in secrets {
        line = line.replace(secret.as_str(), REDACTED);
        code = code.replace(secret.as_str(), REDACTED);
    }
    if let Some((end, _)) = line.char_indices().nth(MESSAGE_CHARS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    match line.is_empty() {
        true => code,
        false => format!("{code}: {line}"),
    }
}

/// A listing without the objects whose keys no client of ours would write, and how many they are: a key
/// with an empty segment, or one that is no text, makes `object_store` fail at all of it.
pub(super) fn readable(listing: &str) -> (String, u64) {
    const BEGIN: &str = "<Contents>";
    const END: &str = "</Contents>";
    let (mut kept, mut rest, mut passed_over) = (String::with_capacity(listing.len()), listing, 0);
    while let Some((before, from)) = rest.split_once(BEGIN) {
        let Some((object, after)) = from.split_once(END) else {
            break;
        };
        kept.push_str(before);
        match element(object, "Key").is_some_and(is_plain) {
            true => kept.extend([BEGIN, object, END]),
            false => passed_over += 1,
        }
        rest = after;
    }
    kept.push_str(rest);
    (kept, passed_over)
}

/// Whether a key has letters, digits and single slashes only, and needs no escapes in XML or paths.
fn is_plain(key: &str) -> bool {
    let is_fit = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
    let mut segments = key.split('/');
    segments.all(|segment| !matches!(segment, "" | "." | "..") && segment.chars().all(is_fit))
}

/// What stands in the first element of a name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = from.split_once(&format!("</{name}>"))?;
    Some(content)
}

fn unescaped(text: &str) -> String {
    let marks = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    let unescape = |text: String, (mark, one): &(&str, &str)| text.replace(mark, one);
    marks.iter().fold(text.to_owned(), unescape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_error_only_its_code_and_message_are_repeated_and_no_secret() {
        let answer = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>The token \
                      &quot;TOKEN/with+signs&quot;\r\n\u{1b}[31mdoes not fit.</Message><StringToSign>\
                      x-amz-security-token:TOKEN/with+signs</StringToSign></Error>";
        let secrets = ["TOKEN/with+signs".to_owned()];
        assert_eq!(
            error_words(answer, &secrets),
            "SignatureDoesNotMatch: The token \"***\" [31mdoes not fit."
        );
        let none = error_words(
            "<html>x-amz-security-token: TOKEN/with+signs</html>",
            &secrets,
        );
        assert_eq!(none, "an answer that is no error of S3's");
        let long = format!("<Code>A</Code><Message>{}</Message>", "x".repeat(1000));
        assert_eq!(error_words(&long, &[]).chars().count(), 204);
        assert_eq!(error_words("<Code>NoSuchKey</Code>", &[]), "NoSuchKey");
    }

    #[test]
    fn a_listing_is_cut_to_keys_that_can_be_read() {
        let object = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
        let ours = [object("p/ab/cd"), object("team/a-b_c.d/p/ab/cd.metadata")].concat();
        for foreign in [
            "p/ab//x",
            "p/../x",
            "p/./x",
            "/p",
            "p/",
            "",
            "p/a&#10;b",
            "p/a\nb",
            "p/a&amp;b",
            "p/\u{e9}",
        ] {
            let listing = format!("<List><Prefix>p/</Prefix>{}{ours}</List>", object(foreign));
            let expected = format!("<List><Prefix>p/</Prefix>{ours}</List>");
            assert_eq!(readable(&listing), (expected, 1), "{foreign:?}");
        }
        let cut = format!("{ours}<Contents><Key>p/ab");
        assert_eq!(readable(&cut), (cut.clone(), 0));
    }

    #[test]
    fn a_redirect_says_what_to_write() {
        let told = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let headers: HeaderMap = pairs.collect();
            Redirected::of(StatusCode::TEMPORARY_REDIRECT, &headers).to_string()
        };
        let elsewhere = told(&[("location", "https://other.example:9000/x?token=hunter2")]);
        assert!(
            elsewhere.contains("307 Temporary Redirect, which is not followed"),
            "{elsewhere}"
        );
        assert!(
            elsewhere.contains("endpoint: https://other.example:9000 below"),
            "{elsewhere}"
        );
        assert!(!elsewhere.contains("hunter2"), "{elsewhere}");
        let region = told(&[
            ("x-amz-bucket-region", "eu-west-1"),
            ("location", "https://x.example"),
        ]);
        assert!(
            region.contains("write region: eu-west-1 below depot.s3"),
            "{region}"
        );
        for odd in ["/relative", "data:x", ""] {
            assert!(
                told(&[("location", odd)]).contains("does not say to which server"),
                "{odd}"
            );
        }
    }
}
