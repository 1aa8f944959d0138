//! What single words may say: flags, counts, durations, sizes, names, dates, paths.
//!
//! Most of the reading is the model's; here it gets the words for a fault, and its JSON Schema.

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use url::Url;

use crate::language::naming::DEFAULT;
use crate::language::read::keys::{Choice, Misread, Word};
use crate::model::{
    IndexName, Kind, ProjectName, ProjectState, Sha256, Timestamp, parse_bytes, parse_duration,
};

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct Bytes(pub u64);

/// The last instant of a rule: a date means its end, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Until(pub(super) Timestamp);

/// An instant; a date means its beginning, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

/// Who may do something: a user, `:group`, `:ANONYMOUS:` or `:AUTHENTICATED:` (docs/protocol/devpi.md §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantee(pub String);

/// A status by which an upstream may signal that it has no such project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsentStatus(pub u16);

/// What a rule is called within its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleKey(pub(super) String);

/// Longest `id` of a rule, in bytes: it is a label of metrics and stands in every line about a refusal.
const RULE_KEY_MAX: usize = 64;

/// An `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

impl Word for String {
    fn wanted() -> String {
        "a text".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if text.trim().is_empty() {
            return Err(Misread::new("empty").hint("give it a text, or leave the key out"));
        }
        Ok(text.to_owned())
    }

    fn schema() -> Json {
        // An unquoted number or flag is a valid title for us, and a number to an editor.
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl Word for bool {
    fn wanted() -> String {
        "true or false".into()
    }

    /// devpi's booleans: `true`, `false`, `yes`, `no`, in any case.
    fn read(text: &str) -> Result<Self, Misread> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            _ => Err(Misread::new(format!("{text:?} is not true or false"))),
        }
    }

    fn schema() -> Json {
        let words = "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo])$";
        json!({ "type": ["boolean", "string"], "pattern": words })
    }
}

impl Word for u64 {
    fn wanted() -> String {
        "a whole number".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let wrong = || Misread::new(format!("{text:?} is not a whole number"));
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.ok_or_else(wrong)
    }

    fn schema() -> Json {
        json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+$" })
    }
}

impl Word for Duration {
    fn wanted() -> String {
        "a duration such as 7d, 12h, 10m or 30s".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        parse_duration(text).map_err(Misread::new)
    }

    fn schema() -> Json {
        let pattern = "^\\s*[0-9]+\\s*(ms|s|m|h|d|w)?\\s*$";
        json!({ "type": ["integer", "string"], "minimum": 0, "pattern": pattern })
    }
}

impl Word for Bytes {
    fn wanted() -> String {
        "a size such as 20MiB or 1GiB".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        parse_bytes(text).map(Self).map_err(Misread::new)
    }

    fn schema() -> Json {
        let pattern = "^\\s*[0-9]+\\s*(B|[KMGT]iB|[kKMGT]B|K|M)?\\s*$";
        json!({ "type": ["integer", "string"], "minimum": 0, "pattern": pattern })
    }
}

impl Word for Until {
    fn wanted() -> String {
        "a date such as 2027-01-31, or an instant such as 2027-01-31T12:00:00Z".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let wrong = || Misread::new(format!("{text:?} is not {}", Self::wanted()));
        if text.len() > "2027-01-31".len() {
            return text.parse().map(Self).map_err(|_| wrong());
        }
        let date: Date = text.parse().map_err(|_| wrong())?;
        let end = TimeZone::UTC.to_timestamp(date.at(23, 59, 59, 999_999_999));
        end.map(Self).map_err(|_| wrong())
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}" })
    }
}

impl Word for Moment {
    fn wanted() -> String {
        Until::wanted()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let wrong = || Misread::new(format!("{text:?} is not {}", Self::wanted()));
        if text.len() > "2027-01-31".len() {
            return text.parse().map(Self).map_err(|_| wrong());
        }
        let date: Date = text.parse().map_err(|_| wrong())?;
        let begin = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0));
        begin.map(Self).map_err(|_| wrong())
    }

    fn schema() -> Json {
        Until::schema()
    }
}

impl Word for Sha256 {
    fn wanted() -> String {
        "a sha256, in 64 hexadecimal digits".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        Self::parse(text).map_err(Misread::new)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" })
    }
}

impl Word for IndexName {
    fn wanted() -> String {
        "an index name such as \"root/pypi\"".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        Self::parse(text).map_err(Misread::new)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^/?[^/]+/[^/]+/?$" })
    }
}

impl Word for ProjectName {
    fn wanted() -> String {
        "a project name".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        Self::parse(text).map_err(Misread::new)
    }
}

impl Word for Grantee {
    fn wanted() -> String {
        "a user, :group, :ANONYMOUS: or :AUTHENTICATED:".into()
    }

    /// The two special groups are kept in upper case, as devpi does.
    fn read(text: &str) -> Result<Self, Misread> {
        let upper = text.to_ascii_uppercase();
        if upper == ":ANONYMOUS:" || upper == ":AUTHENTICATED:" {
            return Ok(Self(upper));
        }
        if let Some(meant) = meant_for_everybody(text) {
            let misread = Misread::new(format!("{text:?} is no group"));
            return Err(misread.hint(format!("did you mean \"{meant}\"?")));
        }
        let is_good = match text.strip_prefix(':') {
            // A directory's groups are called as people like, but lists are written with commas.
            Some(group) => {
                let is_bare = group.trim() == group && !group.is_empty();
                is_bare && !group.contains([',', ':']) && !group.contains(char::is_control)
            }
            None => IndexName::is_part(text),
        };
        if is_good {
            return Ok(Self(text.to_owned()));
        }
        Err(Misread::new(format!("{text:?} is not {}", Self::wanted())))
    }
}

/// What a group called like one of the two special ones was meant to be: nobody would be in it.
#[must_use]
pub fn meant_for_everybody(text: &str) -> Option<&'static str> {
    let name = text.strip_prefix(':')?.trim_matches(':');
    let mut special = [":ANONYMOUS:", ":AUTHENTICATED:"].into_iter();
    special.find(|word| name.eq_ignore_ascii_case(word.trim_matches(':')))
}

impl Word for PathBuf {
    fn wanted() -> String {
        "a path".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if text.is_empty() || text.contains('\0') {
            return Err(Misread::new(format!("{text:?} is not a path")));
        }
        Ok(text.into())
    }
}

impl Word for AbsentStatus {
    fn wanted() -> String {
        "a status such as 403".into()
    }

    /// Some refusals can only mean something else: if they counted as absence, an expired login would let
    /// every name fall through to the next mirror.
    fn read(text: &str) -> Result<Self, Misread> {
        match u64::read(text) {
            Ok(status @ (401 | 407)) => Err(Misread::new(format!(
                "{status} says that the login failed, not that a project is absent"
            ))
            .hint("see username and password_env")),
            Ok(status @ (408 | 425 | 429)) => Err(Misread::new(format!(
                "{status} says to come back later, not that a project is absent"
            ))),
            Ok(status @ 400..=499) => u16::try_from(status)
                .map(Self)
                .map_err(|error| Misread::new(error.to_string())),
            Ok(_) | Err(_) => Err(Misread::new(format!(
                "{text:?} is not a status from 400 to 499"
            ))),
        }
    }

    fn schema() -> Json {
        json!({ "type": ["integer", "string"], "minimum": 400, "maximum": 499, "pattern": "^4[0-9][0-9]$" })
    }
}

impl Word for RuleKey {
    fn wanted() -> String {
        "an id such as cool-down".into()
    }

    /// What metrics and log lines can quote as it is, and no slash, which ends the policy's name.
    fn read(text: &str) -> Result<Self, Misread> {
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text == DEFAULT {
            let taken = Misread::new("\"default\" is what the policy's default is called");
            return Err(taken.hint("choose another id"));
        }
        if text.len() > RULE_KEY_MAX || text.is_empty() || !text.bytes().all(is_sign) {
            return Err(
                Misread::new(format!("{text:?} is not {}", Self::wanted())).hint(format!(
                    "use letters, digits, \"-\", \"_\" and \".\", at most {RULE_KEY_MAX}"
                )),
            );
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> Json {
        let pattern = format!("^[A-Za-z0-9_.-]{{1,{RULE_KEY_MAX}}}$");
        json!({ "type": ["string", "integer"], "pattern": pattern, "not": { "const": DEFAULT } })
    }
}

impl Word for HttpUrl {
    fn wanted() -> String {
        "a URL that starts with http:// or https://".into()
    }

    /// A fault does not repeat the URL: it may contain a password.
    fn read(text: &str) -> Result<Self, Misread> {
        let wrong = |why: String| Misread::new(format!("not {}{why}", Self::wanted()));
        let url = Url::parse(text).map_err(|error| wrong(format!(" ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong(String::new()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(" and has neither \"?\" nor \"#\"".into()));
        }
        Ok(Self(url))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^https?://" })
    }
}

impl Choice for Kind {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Wheel.as_str(), Self::Wheel),
        (Self::Sdist.as_str(), Self::Sdist),
        (Self::Egg.as_str(), Self::Egg),
        (Self::Other.as_str(), Self::Other),
    ];
}

impl Choice for ProjectState {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Active.as_str(), Self::Active),
        (Self::Archived.as_str(), Self::Archived),
        (Self::Quarantined.as_str(), Self::Quarantined),
        (Self::Deprecated.as_str(), Self::Deprecated),
    ];
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn assert_read<T: Word + PartialEq + Debug>(good: &[(&str, T)], bad: &[&str]) {
        for (text, wanted) in good {
            assert_eq!(T::read(text).as_ref(), Ok(wanted), "{text:?}");
        }
        for text in bad {
            let misread = T::read(text).expect_err(text);
            assert!(!misread.what.ends_with('.'), "{}", misread.what);
        }
    }

    #[test]
    fn words_read_as_devpi_and_operators_write_them() {
        let flags = [
            ("true", true),
            ("YES", true),
            ("No", false),
            ("False", false),
        ];
        assert_read(&flags, &["1", "on", "", "maybe"]);
        assert_read(
            &[("0", 0), ("600", 600)],
            &["", "-1", "+1", "1.0", "1e3", "99999999999999999999"],
        );
        assert_read(&[("7d", Duration::from_hours(168))], &["7 days"]);
        assert_read(&[("20MiB", Bytes(20 << 20))], &["20 megs"]);
        assert_read(
            &[("403", AbsentStatus(403)), ("400", AbsentStatus(400))],
            &["401", "407", "408", "425", "429", "399", "500", "", "4xx"],
        );
        let id = |text: &str| RuleKey(text.into());
        assert_read(
            &[("cool-down", id("cool-down")), ("7d_x.Y", id("7d_x.Y"))],
            &["", "default", "a/b", "a b", "ä", "a\"", &"a".repeat(65)],
        );
        let principal = |text: &str| Grantee(text.into());
        assert_read(
            &[
                ("alice", principal("alice")),
                (":anonymous:", principal(":ANONYMOUS:")),
                (":qa", principal(":qa")),
                (":Domain Users", principal(":Domain Users")),
            ],
            &["", ":", "a b", "a/b", ": a", ":a,b", "::a", ":a\n"],
        );
    }

    #[test]
    fn a_date_holds_to_its_end_and_an_instant_exactly() {
        let until = |text: &str| Until(text.parse().unwrap());
        assert_read(
            &[
                ("2027-01-31", until("2027-01-31T23:59:59.999999999Z")),
                ("2027-01-31T12:00:00Z", until("2027-01-31T12:00:00Z")),
                ("2027-01-31T12:00:00+02:00", until("2027-01-31T10:00:00Z")),
            ],
            &[
                "",
                "tomorrow",
                "2027-02-30",
                "31.01.2027",
                "2027-01-31T12:00",
                "9999-12-31",
            ],
        );
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_refused_without_repeating_it() {
        for text in [
            "upstream.example",
            "ftp://upstream.example/",
            "https://",
            "",
            "http://u:secret@:1",
        ] {
            let misread = HttpUrl::read(text).expect_err(text);
            assert!(!misread.what.contains("secret"), "{}", misread.what);
        }
        assert!(HttpUrl::read("https://u:p@upstream.example:8443/simple/").is_ok());
    }

    #[test]
    fn a_choice_names_its_words_and_the_nearest() {
        let misread = Kind::read("Sdits").unwrap_err();
        assert_eq!(misread.what, "\"Sdits\" is not wheel, sdist, egg or other");
        assert_eq!(misread.hint.as_deref(), Some("did you mean \"sdist\"?"));
        assert_eq!(Kind::read("wheel"), Ok(Kind::Wheel));
    }
}
