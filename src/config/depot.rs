//! `depot:`: where uploaded files are kept, if not on this machine's disk alone.
//!
//! It is read at the start; a change needs a restart. What leads to credentials is not in these files, but
//! in AWS's own variables, in a file, or with the machine.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::config::environment::{Environment, variable};
use crate::config::files::plain;
use crate::config::slots::Section;
use crate::language::{
    HttpUrl, Misread, Node, Notes, Placed, Shape, Table, Word, YamlKey, key, one,
};
use crate::model::{BucketCredentials, BucketPlace, Fault, Location, Secret};

/// The keys of `depot:`.
#[rustfmt::skip] // a table reads by rows
pub(super) const DEPOT: &[YamlKey] = &[
    key("s3", Shape::Table(S3_TABLE), "",
        "the bucket that holds uploaded files: AWS's, or of a server with conditional writes; the data folder is a cache before it"),
    key("grace", one::<Duration>(), "1h",
        "how old an object has to be before it is removed because no record needs it: longer than any upload takes, and 1s at least"),
    key("collect_every", one::<Duration>(), "10m",
        "how often objects are looked for that no record needs, if there may be any; a look lists the whole bucket"),
];

const S3_TABLE: Table = &[S3];

#[rustfmt::skip] // a table reads by rows
const S3: &[YamlKey] = &[
    key("bucket", one::<BucketName>(), "", "its name; it is not created"),
    key("endpoint", one::<HttpUrl>(), "", "the server, such as https://s3.example; without it AWS, of the region"),
    key("region", one::<Region>(), "us-east-1",
        "the region that requests are signed for; without it AWS_REGION or AWS_DEFAULT_REGION"),
    key("prefix", one::<Prefix>(), "", "what precedes every key, for a bucket that others use too"),
    key("credentials_file", one::<PathBuf>(), "",
        "a file with aws_access_key_id and aws_secret_access_key, read for each request; without it AWS's variables, or the machine's role"),
];

/// What AWS's own programs read, as far as it leads to credentials.
const VARIABLES: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Where the region is, for AWS's own programs.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// The region of servers that have none.
const REGION: &str = "us-east-1";

/// Shortest grace: with none, objects of uploads under way would be removed.
const GRACE_MIN: Duration = Duration::from_secs(1);

/// Longest prefix: keys have at most 1024 bytes, and a digest has to fit.
const PREFIX_MAX: usize = 200;

/// The bucket, and when what nobody needs is removed from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepotConfig {
    /// Where it is.
    pub place: BucketPlace,
    /// How old an object has to be to be removed.
    pub grace: Duration,
    /// How often it is looked for.
    pub collect_every: Duration,
}

/// A bucket's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BucketName(String);

impl Word for BucketName {
    fn wanted() -> String {
        "a bucket's name, of 3 to 63 lower-case letters, digits, dots and hyphens".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let is_fit = |one: char| matches!(one, 'a'..='z' | '0'..='9' | '.' | '-');
        let ends = |one: char| one.is_ascii_alphanumeric();
        let is_name = (3..=63).contains(&text.len())
            && text.chars().all(is_fit)
            && text.starts_with(ends)
            && text.ends_with(ends);
        match is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(Misread::new(format!("{text:?} is not {}", Self::wanted()))),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$" })
    }
}

/// A region's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region(String);

impl Word for Region {
    fn wanted() -> String {
        "a region's name, such as eu-central-1".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let is_fit = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_');
        match !text.is_empty() && text.chars().all(is_fit) {
            true => Ok(Self(text.to_owned())),
            false => Err(Misread::new(format!("{text:?} is not {}", Self::wanted()))),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" })
    }
}

/// What precedes every key. Only characters that no server writes another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(String);

impl Word for Prefix {
    fn wanted() -> String {
        "a prefix of letters, digits, hyphens and underscores, with slashes between, such as \
         team/wheels"
            .into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let is_fit = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_');
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        let is_part = |part: &str| !part.is_empty() && part.chars().all(is_fit);
        match trimmed.len() <= PREFIX_MAX && trimmed.split('/').all(is_part) {
            true => Ok(Self(trimmed.to_owned())),
            false => Err(Misread::new(format!("{text:?} is not {}", Self::wanted()))),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/?$" })
    }
}

/// The keys of all files, each with its place.
#[derive(Debug, Default)]
pub(super) struct DepotSources {
    s3: Option<Location>,
    bucket: Option<Placed<BucketName>>,
    endpoint: Option<Placed<HttpUrl>>,
    region: Option<Placed<Region>>,
    prefix: Option<Placed<Prefix>>,
    credentials_file: Option<Placed<PathBuf>>,
    pub(super) grace: Option<Placed<Duration>>,
    pub(super) collect_every: Option<Placed<Duration>>,
    is_misread: bool,
}

impl DepotSources {
    /// Adds the section of one more file.
    pub(super) fn add(&mut self, depot: &Node, notes: &mut Notes) {
        let fields = notes.fields(depot, &[DEPOT]);
        let mut section = Section::new("depot.", &fields, notes);
        section.one(&mut self.grace, "grace");
        section.one(&mut self.collect_every, "collect_every");
        let Some(s3) = fields.node("s3") else {
            self.s3.get_or_insert(depot.location.clone());
            return;
        };
        self.s3.get_or_insert(s3.location.clone());
        let fields = notes.fields(s3, S3_TABLE);
        self.is_misread |= fields.node("bucket").is_some();
        let mut s3 = Section::new("depot.s3.", &fields, notes);
        s3.one(&mut self.bucket, "bucket");
        s3.one(&mut self.endpoint, "endpoint");
        s3.one(&mut self.region, "region");
        s3.one(&mut self.prefix, "prefix");
        s3.one(&mut self.credentials_file, "credentials_file");
    }

    /// The bucket; `None` for files in the data folder.
    pub(super) fn place(self, env: Environment<'_>, notes: &mut Notes) -> Option<BucketPlace> {
        let location = self.s3?;
        if let Some(grace) = self.grace.filter(|grace| grace.value < GRACE_MIN) {
            let what = "depot.grace: objects of uploads under way would be removed";
            let hint = "write 1s at least, and longer than any upload takes, such as 1h";
            notes.note(Fault::at(&grace.location, what).hint(hint));
        }
        let Some(bucket) = self.bucket else {
            if !self.is_misread {
                let fault = Fault::at(&location, "depot without a bucket");
                notes.note(fault.hint("name it, such as s3: { bucket: wheels }"));
            }
            return None;
        };
        let endpoint = self.endpoint.map(|placed| {
            let url = placed.value.0;
            if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
                let what = "depot.s3.endpoint: a URL with more than a server and a path";
                let hint = "credentials belong into a file or into variables";
                notes.note(Fault::at(&placed.location, what).hint(hint));
            }
            url
        });
        let said = |name: &&str| variable(env, name);
        let region = self.region.map(|placed| placed.value.0);
        let region = region.or_else(|| REGION_VARIABLES.iter().find_map(said));
        let credentials = match self.credentials_file {
            Some(file) => {
                // It is read again for each request; that it cannot be read at all is said now.
                if let Err(error) = std::fs::File::open(&file.value) {
                    let (path, why) = (file.value.display(), plain(&error));
                    let what = format!("credentials_file: cannot read {path}: {why}");
                    notes.note(Fault::at(&file.location, what));
                }
                BucketCredentials::File(file.value)
            }
            None => BucketCredentials::Environment(of_environment(env)),
        };
        Some(BucketPlace {
            bucket: bucket.value.0,
            endpoint,
            region: region.unwrap_or_else(|| REGION.to_owned()),
            prefix: self.prefix.map(|placed| placed.value.0).unwrap_or_default(),
            credentials,
        })
    }
}

fn of_environment(env: Environment<'_>) -> Vec<(String, Secret)> {
    let found = VARIABLES.iter().filter_map(|name| {
        let value = variable(env, name)?;
        Some(((*name).to_owned(), Secret::new(value)))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::{folder, load_folder};

    const ENVIRONMENT: [(&str, &str); 3] = [
        ("AWS_ACCESS_KEY_ID", "ID"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "eu-north-1"),
    ];

    #[test]
    fn files_are_in_the_data_folder_unless_a_bucket_is_said() {
        let bare = load_folder(&folder(&[("a.yaml", "offline: true\n")]), &[]).unwrap();
        assert_eq!(bare.config.depot, None);
        let keys = folder(&[("key", "")]);
        let key = keys.path().join("key");
        let yaml = format!(
            "depot: {{ s3: {{ bucket: wheels, prefix: team/a/, credentials_file: '{}' }}, grace: 2s }}\n",
            key.display()
        );
        let depot = load_folder(&folder(&[("a.yaml", &yaml)]), &ENVIRONMENT).unwrap();
        let depot = depot.config.depot.unwrap();
        assert_eq!(
            depot.place.words(),
            "bucket wheels in eu-north-1 below team/a/"
        );
        assert_eq!(depot.place.credentials, BucketCredentials::File(key));
        assert_eq!(depot.grace, Duration::from_secs(2));
        assert_eq!(depot.collect_every, Duration::from_mins(10));
        let yaml =
            "depot: { s3: { bucket: wheels, region: x, endpoint: 'http://s3.example:9000' } }\n";
        let loaded = load_folder(&folder(&[("a.yaml", yaml)]), &ENVIRONMENT).unwrap();
        assert!(!format!("{loaded:?}").contains("hunter2"));
        let place = loaded.config.depot.unwrap().place;
        assert_eq!(place.words(), "bucket wheels at http://s3.example:9000/");
        assert_eq!(place.region, "x");
        let BucketCredentials::Environment(found) = place.credentials else {
            panic!("{place:?}");
        };
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn a_fault_says_where_and_what() {
        for (depot, expected) in [
            ("{}", "a.yaml:1:8: depot without a bucket"),
            ("{ s3: {} }", "a.yaml:1:14: depot without a bucket"),
            (
                "{ s3: { bucket: wheels, credentials_file: /nowhere/key } }",
                "a.yaml:1:50: credentials_file: cannot read /nowhere/key: not found",
            ),
            (
                "{ s3: { bucket: Wheels } }",
                "a.yaml:1:24: bucket: \"Wheels\" is not a bucket's name",
            ),
            (
                "{ s3: { bucket: wheels, prefix: ../x } }",
                "a.yaml:1:40: prefix: \"../x\" is not a prefix",
            ),
            (
                "{ s3: { bucket: wheels, endpoint: 'https://me:hunter2@s3.example' } }",
                "a.yaml:1:42: depot.s3.endpoint: a URL with more than a server and a path",
            ),
            (
                "{ s3: { bucket: wheels }, grace: 0s }",
                "depot.grace: objects of uploads under way would be removed, write 1s at least",
            ),
            ("{ folder: /mnt }", "a.yaml:1:8: depot without a bucket"),
        ] {
            let yaml = format!("depot: {depot}\n");
            let told = load_folder(&folder(&[("a.yaml", &yaml)]), &[]).unwrap_err();
            assert!(told.contains(expected), "{depot}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
