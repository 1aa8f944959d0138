//! A connection to one server of a directory, and what its answers mean.

use std::sync::Arc;

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchEntry, SearchOptions,
};
use rustls::ClientConfig;
use url::Url;

use crate::identity::error::DirectoryError;
use crate::identity::wording::filter;
use crate::model::{DirectoryAccount, DirectoryScope, DirectorySearch, Person};

/// Result codes by which a server says that this is not who they say they are (RFC 4511 appendix A):
/// constraintViolation and unwillingToPerform are those of accounts that are locked or expired.
const REFUSALS: [u32; 6] = [19, 32, 34, 48, 49, 53];

/// Result codes of searches that need other words than their number.
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const REFERRAL: u32 = 10;
const NO_SUCH_OBJECT: u32 = 32;
const INSUFFICIENT_ACCESS: u32 = 50;

/// Result codes by which a server says that whoever asks may not look, or not at what is called that:
/// operationsError is what Active Directory says to nobody.
const SHUT: [u32; 7] = [1, 8, 13, 34, 48, INSUFFICIENT_ACCESS, 53];

/// Any entry, and nothing of what stands in it (RFC 4511 §4.5.1.8).
const ANYTHING: &str = "(objectClass=*)";
const NO_ATTRIBUTES: &str = "1.1";

/// What is to be found.
struct Wanted<'a> {
    base: &'a str,
    scope: Scope,
    filter: &'a str,
    attribute: &'a str,
    /// More entries than this are not read.
    most: usize,
}

/// A server, ready to be asked.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: Url,
    pub(super) start_tls: bool,
    /// What encrypts; `None` if nothing does, or if no certificate is looked at.
    pub(super) config: Option<Arc<ClientConfig>>,
    pub(super) is_verified: bool,
}

/// A connection; at first nobody's.
pub(super) struct Connection {
    ldap: Ldap,
    server: String,
}

impl Server {
    /// Its host and port, by which logs call it.
    pub(super) fn name(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Opens a connection, encrypted if it has to be: no password goes over one that is not.
    pub(super) async fn connect(&self) -> Result<Connection, DirectoryError> {
        let mut settings = LdapConnSettings::new()
            .set_starttls(self.start_tls)
            .set_no_tls_verify(!self.is_verified);
        if let Some(config) = &self.config {
            settings = settings.set_config(Arc::clone(config));
        }
        let opened = LdapConnAsync::from_url_with_settings(settings, &self.url).await;
        let (connection, ldap) = opened.map_err(|error| self.unreachable(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to the directory of users broke");
            }
        });
        Ok(Connection {
            ldap,
            server: self.name(),
        })
    }

    fn unreachable(&self, error: &LdapError) -> DirectoryError {
        let why = match error {
            LdapError::Io { source } => source.to_string(),
            other => other.to_string(),
        };
        let why = match why.contains("certificate") {
            true => format!(
                "its certificate is not accepted ({why}); name who signed it in tls.ca_certs_file"
            ),
            false => format!("cannot be reached ({why})"),
        };
        let server = self.name();
        DirectoryError::Unreachable { server, why }
    }
}

impl Connection {
    /// Makes the connection that of an entry; false if this is not its password.
    ///
    /// An empty name or password would be no question at all: servers answer such a bind with success,
    /// for nobody (RFC 4513 §5.1.2).
    pub(super) async fn bind(&mut self, dn: &str, password: &str) -> Result<bool, DirectoryError> {
        if dn.is_empty() || password.is_empty() || password.contains('\0') {
            return Ok(false);
        }
        let bound = self.ldap.simple_bind(dn, password).await;
        let bound = bound.map_err(|error| self.lost(&error))?;
        match bound.rc {
            0 => Ok(true),
            code if REFUSALS.contains(&code) => Ok(false),
            _ => Err(self.unwilling("let users log in", &bound)),
        }
    }

    /// Makes the connection that of an account which searches.
    pub(super) async fn bind_account(
        &mut self,
        account: &DirectoryAccount,
    ) -> Result<(), DirectoryError> {
        if self.bind(&account.dn, account.password.expose()).await? {
            return Ok(());
        }
        Err(DirectoryError::Unwilling {
            server: self.server.clone(),
            doing: "let the account log in that searches",
            why: "its userdn or its password is wrong".to_owned(),
        })
    }

    /// What a search finds: the values of its attribute, of every entry in turn. Referrals to other
    /// servers are passed over.
    pub(super) async fn search(
        &mut self,
        search: &DirectorySearch,
        person: Person<'_>,
        doing: &'static str,
        most: usize,
    ) -> Result<Vec<Vec<String>>, DirectoryError> {
        let scope = match search.scope {
            DirectoryScope::Base => Scope::Base,
            DirectoryScope::OneLevel => Scope::OneLevel,
            DirectoryScope::Subtree => Scope::Subtree,
        };
        let wanted = Wanted {
            base: &search.base,
            scope,
            filter: &filter(&search.filter, person),
            attribute: &search.attribute,
            most,
        };
        let (found, result) = self.find(wanted, doing).await?;
        let entries = found.into_iter();
        let values = entries.map(|entry| values_of(entry, &search.attribute));
        match result.rc {
            0 => Ok(values.collect()),
            SIZE_LIMIT_EXCEEDED => Err(self.too_many(doing, most)),
            _ => Err(self.unwilling(doing, &result)),
        }
    }

    /// Whether there is an entry of this name; `None` if the server does not let us look.
    pub(super) async fn has_entry(&mut self, dn: &str) -> Result<Option<bool>, DirectoryError> {
        let doing = "look for a user";
        let wanted = Wanted {
            base: dn,
            scope: Scope::Base,
            filter: ANYTHING,
            attribute: NO_ATTRIBUTES,
            most: 1,
        };
        let (found, result) = self.find(wanted, doing).await?;
        match result.rc {
            // It is there, and not for us to see.
            0 if found.is_empty() => Ok(None),
            0 => Ok(Some(true)),
            NO_SUCH_OBJECT => Ok(Some(false)),
            code if SHUT.contains(&code) => Ok(None),
            _ => Err(self.unwilling(doing, &result)),
        }
    }

    /// The entries that a search finds, and how it ended.
    async fn find(
        &mut self,
        wanted: Wanted<'_>,
        doing: &'static str,
    ) -> Result<(Vec<SearchEntry>, LdapResult), DirectoryError> {
        let Wanted {
            base,
            scope,
            filter,
            attribute,
            most,
        } = wanted;
        let limit = i32::try_from(most).unwrap_or(i32::MAX);
        let ldap = self
            .ldap
            .with_search_options(SearchOptions::new().sizelimit(limit));
        let started = ldap
            .streaming_search(base, scope, filter, vec![attribute])
            .await;
        let mut stream = match started {
            Ok(stream) => stream,
            Err(LdapError::FilterParsing) => {
                let server = self.server.clone();
                let why = "the filter is not one (RFC 4515)".to_owned();
                return Err(DirectoryError::Unwilling { server, doing, why });
            }
            Err(error) => return Err(self.lost(&error)),
        };
        let mut found = Vec::new();
        loop {
            match stream.next().await {
                Ok(Some(entry)) if entry.is_ref() || entry.is_intermediate() => {}
                Ok(Some(_)) if found.len() >= most => return Err(self.too_many(doing, most)),
                Ok(Some(entry)) => found.push(SearchEntry::construct(entry)),
                Ok(None) => break,
                Err(error) => return Err(self.lost(&error)),
            }
        }
        let result = stream.finish().await;
        Ok((found, result))
    }

    /// Says goodbye; the connection is closed either way.
    pub(super) async fn end(mut self) {
        let _ = self.ldap.unbind().await;
    }

    fn lost(&self, error: &LdapError) -> DirectoryError {
        DirectoryError::Unreachable {
            server: self.server.clone(),
            why: format!("the connection broke ({error})"),
        }
    }

    fn unwilling(&self, doing: &'static str, result: &LdapResult) -> DirectoryError {
        DirectoryError::Unwilling {
            server: self.server.clone(),
            doing,
            // Only the code: a server's own text may name whom it was asked about.
            why: match result.rc {
                REFERRAL => {
                    "it refers to another server, and referrals are not followed".to_owned()
                }
                NO_SUCH_OBJECT => "there is no such base, or it may not be searched".to_owned(),
                INSUFFICIENT_ACCESS => {
                    "whoever asks may not: give the search a userdn and a password".to_owned()
                }
                code => format!("result code {code} of RFC 4511"),
            },
        }
    }

    fn too_many(&self, doing: &'static str, most: usize) -> DirectoryError {
        DirectoryError::Unwilling {
            server: self.server.clone(),
            doing,
            why: format!("it finds more than {most} entries for one user"),
        }
    }
}

/// The values of an attribute, whatever its case; the entry's own name under either of its names.
fn values_of(entry: SearchEntry, attribute: &str) -> Vec<String> {
    if ["dn", "distinguishedname"].contains(&attribute.to_ascii_lowercase().as_str()) {
        return vec![entry.dn];
    }
    let mut attributes = entry.attrs.into_iter();
    let named = attributes.find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    named.map(|(_, values)| values).unwrap_or_default()
}
