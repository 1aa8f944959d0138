//! `manage:`: what the operator decides about accounts and the management door.
//!
//! It is read at the start; a change needs a restart.

use url::Url;

use crate::config::environment::Environment;
use crate::config::ldap::{LDAP, LdapSource};
use crate::config::network::Network;
use crate::config::slots::Section;
use crate::language::{
    Choice, Grantee, HttpUrl, Misread, Notes, Placed, Shape, Word, YamlKey, key, many, one,
};
use crate::model::{DirectorySettings, Fault, Location, MirrorPlace, MirrorPlaces};

/// The keys of `manage:`.
#[rustfmt::skip] // a table reads by rows
pub(super) const MANAGE: &[YamlKey] = &[
    key("create_users", one::<CreateUsers>(), "auto",
        "who may make users: everyone, users (who are logged in) or root; auto: everyone while the \
         management door is on loopback or a Unix socket, root otherwise; while a directory or a proxy \
         knows users it is root, whatever stands here"),
    key("restrict_modify", many::<Grantee>(), "",
        "the only users who may make and change users and indexes, as --restrict-modify of devpi-server"),
    key("push_to", many::<HttpUrl>(), "",
        "where `devpi push` may send files to: URLs of upload APIs, and what lies below them"),
    key("mirrors_to", many::<Place>(), "",
        "what mirrors made through the API may reach beside public addresses: networks such as 10.0.0.0/8, \
         or servers such as https://index.corp.example/; never link-local addresses"),
    key("ldap", Shape::Table(&[LDAP]), "",
        "a directory that knows users and their groups: the block devpi-ldap of devpi's own file"),
    key("remote_user", one::<bool>(), "false",
        "whether trusted_proxies may name the user of a request in X-Remote-User"),
];

/// A place as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place(MirrorPlace);

impl Word for Place {
    fn wanted() -> String {
        "a network such as \"10.0.0.0/8\", or a server such as \"https://index.corp.example/\""
            .into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if let Ok(network) = Network::read(text) {
            return Ok(Self(MirrorPlace::Network(network.0)));
        }
        let wrong = || Misread::new(format!("{text:?} is not {}", Self::wanted()));
        let url = HttpUrl::read(text.trim()).map_err(|_| wrong())?;
        Ok(Self(MirrorPlace::Server(url.0)))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

/// Who may make users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CreateUsers {
    /// Depends on where the management door is.
    #[default]
    Auto,
    /// Every client that reaches the management door.
    Everyone,
    /// Every user who is logged in.
    Users,
    /// Root.
    Root,
}

impl Choice for CreateUsers {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("everyone", Self::Everyone),
        ("users", Self::Users),
        ("root", Self::Root),
    ];
}

/// What the operator decides about the management door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManageConfig {
    /// Who may create users, unless restricted further.
    pub create_users: CreateUsers,
    /// The only ones who may create and change users and indexes.
    pub restrict_modify: Option<Vec<String>>,
    /// Where a push to another server may go.
    pub push_to: Vec<Url>,
    /// What mirrors created through the API may reach.
    pub mirrors_to: MirrorPlaces,
    /// The directory that knows users.
    pub ldap: Option<DirectorySettings>,
    /// Where it is written.
    pub ldap_location: Option<Location>,
    /// Whether proxies may name users.
    pub remote_user: bool,
}

impl ManageConfig {
    /// Whether users are known elsewhere, whose names are not to be taken here.
    #[must_use]
    pub fn knows_others(&self) -> bool {
        self.ldap.is_some() || self.remote_user
    }
}

/// The keys of all files, each with its place.
#[derive(Debug, Default)]
pub(super) struct ManageSources {
    create_users: Option<Placed<CreateUsers>>,
    pub(super) restrict_modify: Option<Placed<Vec<Grantee>>>,
    push_to: Option<Placed<Vec<HttpUrl>>>,
    mirrors_to: Option<Placed<Vec<Place>>>,
    pub(super) ldap: Option<Placed<LdapSource>>,
    pub(super) remote_user: Option<Placed<bool>>,
}

impl ManageSources {
    /// Adds the section of one more file.
    pub(super) fn add(&mut self, mut manage: Section<'_, '_>) {
        manage.one(&mut self.create_users, "create_users");
        manage.many(&mut self.restrict_modify, "restrict_modify");
        manage.many(&mut self.push_to, "push_to");
        manage.many(&mut self.mirrors_to, "mirrors_to");
        manage.one(&mut self.remote_user, "remote_user");
    }

    /// Notes that no proxy is believed, if one is to name users.
    pub(super) fn note_missing_proxies(&self, notes: &mut Notes) {
        if let Some(said) = self.remote_user.as_ref().filter(|said| said.value) {
            let what = "manage.remote_user without trusted_proxies: nobody may name a user";
            let fault = Fault::at(&said.location, what);
            notes.note(fault.hint("name the proxies: trusted_proxies: [10.0.0.0/8]"));
        }
    }

    /// What was said, or the defaults.
    pub(super) fn settle(self, env: Environment<'_>, notes: &mut Notes) -> ManageConfig {
        let places = self.push_to.into_iter().flat_map(|places| places.value);
        let restricted = self.restrict_modify.map(|placed| placed.value.into_iter());
        let restrict_modify = restricted.map(|names| names.map(|name| name.0));
        let mirrors = self.mirrors_to.into_iter().flat_map(|places| places.value);
        let is_open =
            |said: &CreateUsers| matches!(said, CreateUsers::Everyone | CreateUsers::Users);
        let opened = self
            .create_users
            .clone()
            .filter(|said| is_open(&said.value));
        let config = ManageConfig {
            create_users: self
                .create_users
                .map(|placed| placed.value)
                .unwrap_or_default(),
            restrict_modify: restrict_modify.map(Iterator::collect),
            push_to: places.map(|place| place.0).collect(),
            mirrors_to: mirrors.map(|place| place.0).collect(),
            ldap_location: self.ldap.as_ref().map(|ldap| ldap.location.clone()),
            ldap: self.ldap.and_then(|ldap| ldap.value.settle(env, notes)),
            remote_user: self.remote_user.is_some_and(|placed| placed.value),
        };
        if let Some(said) = opened.filter(|_| config.knows_others()) {
            let what =
                "create_users: while a directory or a proxy knows users, only root makes them";
            let fault = Fault::at(&said.location, what).hint("say root, or leave it out");
            notes.warnings.push(fault);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_mirrors_is_a_network_or_a_server() {
        let read = |text| Place::read(text).map(|place| place.0.to_string()).ok();
        for (text, expected) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("127.0.0.1", Some("127.0.0.1/32")),
            (
                "https://index.corp.example",
                Some("https://index.corp.example/"),
            ),
            ("http://127.0.0.1:3142/", Some("http://127.0.0.1:3142/")),
            ("index.corp.example", None),
            ("ftp://index.corp.example/", None),
            ("10.0.0.0/33", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
