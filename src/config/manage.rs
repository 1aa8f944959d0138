//! `manage:`, what the operator decides about accounts and about what the management door may do.
//!
//! It is read at the start; a changed value takes a restart.

use url::Url;

use super::server::{put, take};
use crate::policy::Placed;
use crate::policy::read::{Choice, Fields, HttpUrl, Key, Notes};
use crate::policy::read::{key, many, one};

/// The keys of `manage:`.
#[rustfmt::skip] // a table reads by rows
pub(super) const MANAGE: &[Key] = &[
    key("create_users", one::<CreateUsers>(), "auto",
        "who may make users: everyone, users (who are logged in) or root; auto: everyone while the \
         management door is on loopback or a Unix socket, root otherwise"),
    key("restrict_modify", many::<String>(), "",
        "the only users who may make and change users and indexes, as --restrict-modify of devpi-server"),
    key("push_to", many::<HttpUrl>(), "",
        "where `devpi push` may send files to: URLs of upload APIs, and what lies below them"),
];

/// Who may make users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CreateUsers {
    /// It depends on where the management door is.
    #[default]
    Auto,
    /// Whoever reaches the management door.
    Everyone,
    /// Whoever is logged in.
    Users,
    /// Root.
    Root,
}

impl Choice for CreateUsers {
    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("auto", Self::Auto),
            ("everyone", Self::Everyone),
            ("users", Self::Users),
            ("root", Self::Root),
        ]
    }
}

/// What the operator decides about the management door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManageConfig {
    /// Who may make users, while nothing restricts it further.
    pub create_users: CreateUsers,
    /// The only ones who may make and change users and indexes.
    pub restrict_modify: Option<Vec<String>>,
    /// Where a push to another server may go.
    pub push_to: Vec<Url>,
}

/// The keys of all files, each with its place.
#[derive(Debug, Default)]
pub(super) struct ManageSources {
    create_users: Option<Placed<CreateUsers>>,
    restrict_modify: Option<Placed<Vec<String>>>,
    push_to: Option<Placed<Vec<HttpUrl>>>,
}

impl ManageSources {
    /// Adds the section of one more file.
    pub(super) fn add(&mut self, fields: &Fields<'_>, notes: &mut Notes) {
        take(
            &mut self.create_users,
            "manage",
            "create_users",
            fields,
            notes,
        );
        let names = list(fields, "restrict_modify", notes);
        put(
            &mut self.restrict_modify,
            "manage.restrict_modify",
            names,
            notes,
        );
        let places = list(fields, "push_to", notes);
        put(&mut self.push_to, "manage.push_to", places, notes);
    }

    /// What was said, or else the defaults.
    pub(super) fn settle(self) -> ManageConfig {
        let places = self.push_to.into_iter().flat_map(|places| places.value);
        ManageConfig {
            create_users: self
                .create_users
                .map(|placed| placed.value)
                .unwrap_or_default(),
            restrict_modify: self.restrict_modify.map(|placed| placed.value),
            push_to: places.map(|place| place.0).collect(),
        }
    }
}

fn list<T: crate::policy::read::Word>(
    fields: &Fields<'_>,
    name: &str,
    notes: &mut Notes,
) -> Option<Placed<Vec<T>>> {
    let values: Vec<Placed<T>> = fields.many(name, notes)?;
    let location = fields.node(name)?.location.clone();
    let value = values.into_iter().map(|placed| placed.value).collect();
    Some(Placed { value, location })
}
