//! `records:`: where records are kept, if not in the data folder.
//!
//! It is read at the start; a change needs a restart.

use std::fmt;

use serde_json::json;
use url::Url;

use crate::config::environment::{Environment, variable};
use crate::config::slots::Section;
use crate::language::{Misread, Node, Notes, Placed, Shape, Table, Word, YamlKey, key, one};
use crate::model::{Fault, Location, Secret};

/// The keys of `records:`.
#[rustfmt::skip] // a table reads by rows
pub(super) const RECORDS: &[YamlKey] = &[
    key("postgres", Shape::Table(POSTGRES_TABLE), "",
        "the PostgreSQL database that holds them, by its url or url_env; without it they are in the data folder"),
];

const POSTGRES_TABLE: Table = &[POSTGRES];

#[rustfmt::skip] // a table reads by rows
const POSTGRES: &[YamlKey] = &[
    key("url", one::<PostgresUrl>(), "", "where it is: postgres://user@host/database"),
    key("url_env", one::<String>(), "", "the environment variable with the url, for one with a password"),
];

/// The parameters of libpq's URLs that have an effect. Others are refused here: the driver would pass over
/// them and log their values, which may be secrets.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// The values of `sslmode`.
const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// A URL of a database, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
struct PostgresUrl(Secret);

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Word for PostgresUrl {
    fn wanted() -> String {
        "a URL such as postgres://cheesecloth@db.example/cheesecloth".into()
    }

    /// A fault does not repeat the URL.
    fn read(text: &str) -> Result<Self, Misread> {
        let wrong = |why: String| Misread::new(format!("not {}{why}", Self::wanted()));
        let url = Url::parse(text.trim()).map_err(|error| wrong(format!(" ({error})")))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong(String::new()));
        }
        for (name, value) in url.query_pairs() {
            if !PARAMETERS.contains(&&*name) {
                return Err(wrong(format!(", whose parameter {name} is not known here")));
            }
            if name == "sslmode" && !SSL_MODES.contains(&&*value) {
                return Err(wrong(format!(
                    ", whose sslmode is none of {}",
                    SSL_MODES.join(", ")
                )));
            }
        }
        Ok(Self(Secret::new(text.trim())))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^postgres(ql)?://" })
    }
}

/// The keys of all files, each with its place.
#[derive(Debug, Default)]
pub(super) struct RecordsSources {
    /// Where it is said, and whether with a url, readable or not.
    postgres: Option<(Location, bool)>,
    url: Option<Placed<PostgresUrl>>,
    url_env: Option<Placed<String>>,
}

impl RecordsSources {
    /// Adds the section of one more file.
    pub(super) fn add(&mut self, records: &Node, notes: &mut Notes) {
        let fields = notes.fields(records, &[RECORDS]);
        let Some(postgres) = fields.node("postgres") else {
            return;
        };
        let location = postgres.location.clone();
        let fields = notes.fields(postgres, POSTGRES_TABLE);
        let has_url = ["url", "url_env"]
            .iter()
            .any(|key| fields.node(key).is_some());
        let said = self.postgres.get_or_insert((location, has_url));
        said.1 |= has_url;
        let mut postgres = Section::new("records.postgres.", &fields, notes);
        postgres.one(&mut self.url, "url");
        postgres.one(&mut self.url_env, "url_env");
    }

    /// The URL of the database; `None` for records in the data folder.
    pub(super) fn settle(self, env: Environment<'_>, notes: &mut Notes) -> Option<Secret> {
        let (location, has_url) = self.postgres?;
        match (self.url, self.url_env) {
            (Some(url), None) => Some(url.value.0),
            (None, Some(name)) => of_variable(&name, env)
                .map_err(|fault| notes.note(fault))
                .ok(),
            (Some(_), Some(name)) => {
                let fault = Fault::at(&name.location, "records.postgres has a url and a url_env");
                notes.note(fault.hint("keep one"));
                None
            }
            (None, None) => {
                if !has_url {
                    let fault = Fault::at(&location, "records.postgres without a url");
                    let hint = "give a url, or a url_env that names the variable with it";
                    notes.note(fault.hint(hint));
                }
                None
            }
        }
    }
}

fn of_variable(name: &Placed<String>, env: Environment<'_>) -> Result<Secret, Fault> {
    let variable_name = &name.value;
    let Some(text) = variable(env, variable_name) else {
        let what = format!("records.postgres.url_env: {variable_name} is not set");
        return Err(Fault::at(&name.location, what).hint("set it, or name another variable"));
    };
    let url = PostgresUrl::read(&text).map_err(|misread| {
        let what = format!(
            "records.postgres.url_env: {variable_name} is {}",
            misread.what
        );
        Fault::at(&name.location, what)
    })?;
    Ok(url.0)
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::{folder, load_folder};

    const VARIABLES: [(&str, &str); 2] = [
        ("DB", "postgres://me:hunter2@db.example/x"),
        ("WRONG", "http://me:hunter2@db.example/x"),
    ];

    #[test]
    fn records_are_in_the_data_folder_unless_a_url_is_said() {
        for (yaml, expected) in [
            ("offline: true\n", None),
            ("records: {}\n", None),
            (
                "records: { postgres: { url: 'postgresql://db.example/x' } }\n",
                Some("postgresql://db.example/x"),
            ),
            (
                "records: { postgres: { url_env: DB } }\n",
                Some(VARIABLES[0].1),
            ),
        ] {
            let folder = folder(&[("a.yaml", yaml)]);
            let loaded = load_folder(&folder, &VARIABLES).unwrap();
            let url = loaded.config.records.as_ref();
            assert_eq!(url.map(|url| url.expose()), expected, "{yaml}");
            assert!(!format!("{loaded:?}").contains("hunter2"), "{yaml}");
        }
    }

    #[test]
    fn a_fault_says_where_and_what_and_never_the_url() {
        for (postgres, expected) in [
            ("{}", "a.yaml:1:22: records.postgres without a url"),
            (
                "{ url: 'http://me:hunter2@db.example/' }",
                "a.yaml:1:29: url: not a URL such as postgres://",
            ),
            (
                "{ url: 'postgres://db.example/x?sslpassword=hunter2' }",
                "a.yaml:1:29: url: not a URL such as postgres://cheesecloth@db.example/cheesecloth, \
                 whose parameter sslpassword is not known here",
            ),
            (
                "{ url: 'postgres://db.example/x?sslmode=hunter2' }",
                "a.yaml:1:29: url: not a URL such as postgres://cheesecloth@db.example/cheesecloth, \
                 whose sslmode is none of disable, allow",
            ),
            (
                "{ url_env: NONE }",
                "a.yaml:1:33: records.postgres.url_env: NONE is not set",
            ),
            (
                "{ url_env: WRONG }",
                "a.yaml:1:33: records.postgres.url_env: WRONG is not a URL such as",
            ),
            (
                "{ url: 'postgres://db.example/x', url_env: DB }",
                "a.yaml:1:65: records.postgres has a url and a url_env",
            ),
            (
                "{ dsn: x }",
                "a.yaml:1:22: records.postgres without a url, give a url, or a url_env that names \
                 the variable with it\na.yaml:1:24: unknown key",
            ),
        ] {
            let yaml = format!("records: {{ postgres: {postgres} }}\n");
            let folder = folder(&[("a.yaml", &yaml)]);
            let told = load_folder(&folder, &VARIABLES).unwrap_err();
            assert!(told.starts_with(expected), "{postgres}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
