//! `manage.ldap`: a directory of users. The keys are those of `devpi-ldap` in devpi's own file, which is
//! read here too, and a few of ours.

mod words;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::environment::{Environment, variable};
use crate::config::files::beside;
use crate::config::ldap::words::{LdapUrl, Template, Validate};
use crate::language::{
    Choice, Fields, Node, Notes, Placed, Shape, Table, Value, YamlKey, key, many, one,
};
use crate::model::{
    CertificateSource, DIRECTORY_RECHECK_MAX, DirectoryAccount, DirectoryScope, DirectorySearch,
    DirectoryServer, DirectorySettings, DirectoryTls, Fault, FindUser, Location, Person,
    PersonTemplate, Secret, is_localhost,
};

/// How long a server may take when no file says it; devpi-ldap's own default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that a server may take: clients wait meanwhile.
const TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// The keys of `manage.ldap`.
#[rustfmt::skip] // a table reads by rows
pub(super) const LDAP: &[YamlKey] = &[
    key("url", one::<LdapUrl>(), "", "the server: ldap://, ldaps:// or ldapi://, a host and perhaps a port"),
    key("server_pool", Shape::List(&Shape::Table(&[SERVER])), "",
        "several servers in place of one url: the next is asked when one does not answer"),
    key("tls", Shape::Table(TLS_TABLE), "", "how connections are encrypted"),
    key("user_template", one::<Template>(), "",
        "a user's distinguished name: uid={username},ou=people,dc=corp,dc=example"),
    key("user_search", Shape::Table(SEARCH_TABLE), "", "how a user's entry is found, in place of user_template"),
    key("group_search", Shape::Table(SEARCH_TABLE), "",
        "how the groups of a user are found; lists of who may do something name them as :group"),
    key("referrals", one::<bool>(), "false", "referrals to other servers are never followed"),
    key("reject_as_unknown", one::<bool>(), "false",
        "taken and decides nothing: users with a password here are looked at first"),
    key("timeout", one::<Duration>(), "10s", "how long a server may take to answer, at most 1m"),
    key("recheck", one::<Duration>(), "1m",
        "how long an answer of the directory holds, at most 1m: what it takes away is gone by then"),
];

#[rustfmt::skip] // a table reads by rows
const SERVER: &[YamlKey] = &[
    key("url", one::<LdapUrl>(), "", "the server: ldap://, ldaps:// or ldapi://, a host and perhaps a port"),
    key("tls", Shape::Table(TLS_TABLE), "", "how connections are encrypted"),
];

const TLS_TABLE: Table = &[TLS];

/// ldap3's names (of Python) for what a connection may be told, and `start_tls`.
#[rustfmt::skip] // a table reads by rows
const TLS: &[YamlKey] = &[
    key("start_tls", one::<bool>(), "false", "a connection to ldap:// is encrypted before anything is said"),
    key("validate", one::<Validate>(), "required",
        "whether the server's certificate has to be valid: required, or none"),
    key("ca_certs_file", one::<PathBuf>(), "", "the authorities, PEM, relative to this file; absent: the system's"),
    key("ca_certs_path", one::<PathBuf>(), "", "a folder of authorities, PEM"),
    key("ca_certs_data", one::<String>(), "", "the authorities themselves, PEM"),
    key("local_certificate_file", one::<PathBuf>(), "", "our own certificate, PEM, for servers that want one"),
    key("local_private_key_file", one::<PathBuf>(), "", "its key, PEM"),
    key("local_private_key_password", one::<String>(), "", "not supported: the key has to be without a password"),
    key("valid_names", many::<String>(), "", "not supported: the certificate has to name the host of the url"),
    key("sni", one::<String>(), "", "not supported: the host of the url is asked for"),
    key("version", one::<String>(), "", "taken and decides nothing: TLS 1.3 or 1.2"),
    key("ssl_options", many::<String>(), "", "taken and decides nothing"),
    key("ciphers", one::<String>(), "", "taken and decides nothing: only sound ones are offered"),
];

const SEARCH_TABLE: Table = &[SEARCH];

#[rustfmt::skip] // a table reads by rows
const SEARCH: &[YamlKey] = &[
    key("base", one::<String>(), "", "the entry below which it looks"),
    key("filter", one::<Template>(), "",
        "what it looks for: {username}, and in group_search {userdn}, are escaped"),
    key("scope", one::<DirectoryScope>(), "whole-subtree", "how far below the base"),
    key("attribute_name", one::<String>(), "",
        "the attribute with the name; absent: the entry's own for users, cn for groups"),
    key("userdn", one::<String>(), "", "who asks, if not everybody may"),
    key("password", one::<String>(), "", "their password"),
    key("password_env", one::<String>(), "", "the environment variable that holds it, in place of password"),
];

impl Choice for DirectoryScope {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("base-object", Self::Base),
        ("single-level", Self::OneLevel),
        ("whole-subtree", Self::Subtree),
    ];
}

/// A directory as written, with where.
#[derive(Debug)]
pub(super) struct LdapSource {
    location: Location,
    servers: Vec<DirectoryServer>,
    template: Option<Template>,
    user_search: Option<SearchSource>,
    group_search: Option<SearchSource>,
    timeout: Duration,
    recheck: Duration,
}

#[derive(Debug)]
struct SearchSource {
    search: DirectorySearch,
    password_env: Option<Placed<String>>,
}

/// Reads the block; `name` is what it is called in faults.
pub(super) fn read(node: &Node, name: &str, notes: &mut Notes) -> Placed<LdapSource> {
    let fields = notes.fields(node, &[LDAP]);
    let location = node.location.clone();
    let template = fields.placed::<Template>("user_template", notes);
    if let Some(template) = template.as_ref().filter(|one| one.value.0.has_userdn()) {
        let what = "user_template: {userdn} is what it makes";
        notes.note(Fault::at(&template.location, what).hint("say where {username} goes"));
    }
    let template = template.map(|template| template.value);
    let user_search = search(&fields, "user_search", notes);
    let group_search = search(&fields, "group_search", notes);
    let has = |key: &str| fields.node(key).is_some();
    let missing = match (has("user_template"), has("user_search")) {
        (true, true) => Some("with user_template and user_search"),
        (false, false) => Some("without user_template or user_search"),
        _ => None,
    };
    let no_server = match (has("url"), has("server_pool")) {
        (true, true) => Some("with url and server_pool"),
        (false, false) => Some("without url or server_pool"),
        _ => None,
    };
    for what in missing.into_iter().chain(no_server) {
        let fault = Fault::at(&location, format!("{name} {what}"));
        notes.note(fault.hint("give one of them"));
    }
    if let Some(follows) = fields.placed::<bool>("referrals", notes)
        && follows.value
    {
        let what =
            "referrals: they are never followed: a password goes to the servers named here only";
        notes
            .warnings
            .push(Fault::at(&follows.location, what).hint("name those servers"));
    }
    let _ = fields.one::<bool>("reject_as_unknown", notes);
    let mut bounded = |key, usual, most: Duration| {
        let Some(said) = fields.placed::<Duration>(key, notes) else {
            return usual;
        };
        if said.value.is_zero() || said.value > most {
            let what = format!("{key}: not from 1ms to {} s", most.as_secs());
            notes.note(Fault::at(&said.location, what));
        }
        said.value
    };
    let timeout = bounded("timeout", TIMEOUT, TIMEOUT_MAX);
    let recheck = bounded("recheck", DIRECTORY_RECHECK_MAX, DIRECTORY_RECHECK_MAX);
    let servers = servers(&fields, notes);
    Placed::at(
        &location,
        LdapSource {
            location: location.clone(),
            servers,
            template,
            user_search,
            group_search,
            timeout,
            recheck,
        },
    )
}

impl LdapSource {
    /// The settings, with the passwords that variables hold; `None` after a fault.
    pub(super) fn settle(
        self,
        env: Environment<'_>,
        notes: &mut Notes,
    ) -> Option<DirectorySettings> {
        let groups = self.group_search.map(|source| source.settle(env, notes));
        let groups = groups.transpose();
        let user = match (self.template, self.user_search) {
            (Some(template), _) => Some(FindUser::Template(template.0)),
            (None, Some(source)) => source.settle(env, notes).ok().map(FindUser::Search),
            (None, None) => None,
        };
        let searches = groups.as_ref().ok().and_then(Option::as_ref);
        let has_account = |search: &DirectorySearch| search.account.is_some();
        let knows_users = matches!(&user, Some(FindUser::Search(search)) if has_account(search));
        if let Some(FindUser::Template(template)) = &user {
            note_unseen(
                template,
                searches.is_some_and(has_account),
                &self.location,
                notes,
            );
        }
        if searches.is_some_and(|groups| !has_account(groups)) && !knows_users {
            let what = "group_search without userdn: groups of a login or a token are looked for as nobody";
            notes.warnings.push(Fault::at(&self.location, what).hint(
                "give it a userdn and a password, unless everybody may search the directory",
            ));
        }
        // A server that is misread is a fault already.
        (!self.servers.is_empty()).then_some(())?;
        Some(DirectorySettings {
            servers: self.servers,
            user: user?,
            groups: groups.ok()?,
            timeout: self.timeout,
            recheck: self.recheck,
        })
    }
}

impl SearchSource {
    fn settle(self, env: Environment<'_>, notes: &mut Notes) -> Result<DirectorySearch, ()> {
        let mut search = self.search;
        let Some(name) = self.password_env else {
            return Ok(search);
        };
        let Some(password) = variable(env, &name.value) else {
            let what = format!("password_env: {} is not set", name.value);
            notes.note(Fault::at(&name.location, what).hint("set it, or name another variable"));
            return Err(());
        };
        if let Some(account) = &mut search.account {
            account.password = Secret::new(password);
        }
        Ok(search)
    }
}

fn servers(fields: &Fields<'_>, notes: &mut Notes) -> Vec<DirectoryServer> {
    let url = fields.placed::<LdapUrl>("url", notes);
    let tls = fields.node("tls").map(|node| tls(node, notes));
    let mut servers: Vec<_> = url
        .map(|url| server(url, tls.clone(), notes))
        .into_iter()
        .collect();
    let Some(pool) = fields.node("server_pool") else {
        return servers;
    };
    let Value::Sequence(entries) = &pool.value else {
        let found = pool.value.article();
        let what = format!("server_pool: expected a list of servers, found {found}");
        notes.note(Fault::at(&pool.location, what));
        return servers;
    };
    if entries.is_empty() {
        notes.note(Fault::at(&pool.location, "server_pool without a server"));
    }
    for entry in entries {
        let fields = notes.fields(entry, &[SERVER]);
        let own = fields.node("tls").map(|node| self::tls(node, notes));
        match fields.placed::<LdapUrl>("url", notes) {
            Some(url) => servers.push(server(url, own.or_else(|| tls.clone()), notes)),
            // Anything but a mapping is a fault already.
            None if matches!(&entry.value, Value::Mapping(_)) && fields.node("url").is_none() => {
                notes.note(Fault::at(&entry.location, "a server without url"));
            }
            None => {}
        }
    }
    servers
}

fn server(url: Placed<LdapUrl>, tls: Option<DirectoryTls>, notes: &mut Notes) -> DirectoryServer {
    let Placed { value, location } = url;
    let url = value.0;
    let tls = tls.unwrap_or(DirectoryTls {
        start_tls: false,
        is_verified: true,
        authorities: Vec::new(),
        own: None,
    });
    if tls.start_tls && url.scheme() != "ldap" {
        let what = "start_tls is for ldap://: this connection is encrypted, or leaves no machine";
        notes.note(Fault::at(&location, what).hint("leave start_tls out"));
    }
    let is_here = url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        is_localhost(host) || address.is_ok_and(|address| address.is_loopback())
    });
    if url.scheme() == "ldap" && !tls.start_tls && !is_here {
        let what = "passwords go to this server as they are, for everybody on the way to read";
        let fault = Fault::at(&location, what).hint("say ldaps://, or tls: {start_tls: true}");
        notes.warnings.push(fault);
    }
    DirectoryServer { url, tls }
}

fn tls(node: &Node, notes: &mut Notes) -> DirectoryTls {
    let fields = notes.fields(node, TLS_TABLE);
    let mut path = |key| {
        let path: Option<Placed<PathBuf>> = fields.placed(key, notes);
        path.map(|path| beside(&path.location, &path.value))
    };
    let file = path("ca_certs_file").map(CertificateSource::File);
    let folder = path("ca_certs_path").map(CertificateSource::Folder);
    let (certificate, key) = (
        path("local_certificate_file"),
        path("local_private_key_file"),
    );
    if certificate.is_some() != key.is_some() {
        let what = "local_certificate_file and local_private_key_file belong together";
        notes.note(Fault::at(&node.location, what).hint("give both"));
    }
    let text = fields
        .one("ca_certs_data", notes)
        .map(CertificateSource::Text);
    for (name, hint) in [
        (
            "local_private_key_password",
            "keep the key without a password, readable by this server only",
        ),
        ("sni", "name the server as its certificate does"),
    ] {
        if let Some(said) = fields.placed::<String>(name, notes) {
            let fault = Fault::at(&said.location, format!("tls.{name} is not supported"));
            notes.note(fault.hint(hint));
        }
    }
    if fields.many::<String>("valid_names", notes).is_some() {
        let fault = Fault::at(&node.location, "tls.valid_names is not supported");
        notes.note(fault.hint("name the server in the url as its certificate does"));
    }
    let _ = fields.one::<String>("version", notes);
    let _ = fields.many::<String>("ssl_options", notes);
    let _ = fields.one::<String>("ciphers", notes);
    let validate = fields.placed::<Validate>("validate", notes);
    if let Some(said) = validate.as_ref().filter(|said| !said.value.0) {
        let what = "validate: whoever answers in the server's place gets every password";
        notes
            .warnings
            .push(Fault::at(&said.location, what).hint("name its authority in ca_certs_file"));
    }
    DirectoryTls {
        start_tls: fields.one("start_tls", notes).unwrap_or(false),
        is_verified: validate.is_none_or(|said| said.value.0),
        authorities: file.into_iter().chain(folder).chain(text).collect(),
        own: certificate.zip(key),
    }
}

fn search(fields: &Fields<'_>, name: &'static str, notes: &mut Notes) -> Option<SearchSource> {
    let node = fields.node(name)?;
    let is_of_groups = name == "group_search";
    let fields = notes.fields(node, SEARCH_TABLE);
    let base = fields.one::<String>("base", notes);
    let filter = fields.placed::<Template>("filter", notes);
    let scope = fields.one("scope", notes).unwrap_or_default();
    let attribute = fields.one::<String>("attribute_name", notes);
    let userdn = fields.one::<String>("userdn", notes);
    let password = fields.one::<String>("password", notes);
    let password_env = fields.placed::<String>("password_env", notes);
    let mut wrong = |what: &str, hint: &str| {
        let fault = Fault::at(&node.location, format!("{name} {what}"));
        notes.note(fault.hint(hint));
    };
    for key in ["base", "filter"] {
        if fields.node(key).is_none() {
            wrong(&format!("without {key}"), "say where and for what it looks");
        }
    }
    let has = |key: &str| fields.node(key).is_some();
    match (has("userdn"), has("password"), has("password_env")) {
        (_, true, true) => wrong("with password and password_env", "keep one"),
        (true, false, false) => {
            wrong(
                "with userdn and no password",
                "give password or password_env",
            );
        }
        (false, true, _) | (false, _, true) => {
            wrong("with a password and no userdn", "say whose it is")
        }
        _ => {}
    }
    if let Some(filter) = &filter {
        note_broken_filter(filter, notes);
    }
    if !is_of_groups
        && let Some(filter) = filter.as_ref().filter(|filter| filter.value.0.has_userdn())
    {
        let what = "filter: {userdn} is what user_search looks for";
        let fault = Fault::at(&filter.location, what);
        notes.note(fault.hint("ask by {username}"));
    }
    let account = userdn.map(|dn| DirectoryAccount {
        dn,
        password: Secret::new(password.unwrap_or_default()),
    });
    let usual = if is_of_groups { "cn" } else { "dn" };
    Some(SearchSource {
        search: DirectorySearch {
            base: base?,
            filter: filter?.value.0,
            scope,
            attribute: attribute.unwrap_or_else(|| usual.to_owned()),
            account,
        },
        password_env,
    })
}

/// Warns where it cannot be asked for sure whether a user is still there.
fn note_unseen(
    template: &PersonTemplate,
    has_account: bool,
    location: &Location,
    notes: &mut Notes,
) {
    let (what, hint) = match (template.names_entry(), has_account) {
        (true, true) => return,
        (true, false) => (
            "user_template without an account that searches: whether a user is still there is asked as nobody",
            "give group_search a userdn and a password, unless everybody may look at the entries of users",
        ),
        (false, _) => (
            "user_template names no entry, so nobody is asked whether a user is still there: logins and tokens of users who leave go on",
            "find users by user_search, or revoke the tokens of those who leave",
        ),
    };
    notes.warnings.push(Fault::at(location, what).hint(hint));
}

/// Notes a filter with which no server can be asked (RFC 4515), whoever it is for.
fn note_broken_filter(filter: &Placed<Template>, notes: &mut Notes) {
    let somebody = Person {
        username: "x",
        userdn: "x",
    };
    let filled = filter.value.0.fill(somebody, str::to_owned);
    if ldap3::parse_filter(&filled).is_err() {
        let fault = Fault::at(&filter.location, "filter: not a filter of LDAP (RFC 4515)");
        notes.note(fault.hint("each comparison stands in parentheses: (&(a=b)(c={username}))"));
    }
}

#[cfg(test)]
mod tests;
