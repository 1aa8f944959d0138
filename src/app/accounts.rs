//! The accounts, and who may create users and indexes.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::account::{Accounts, Cost, HouseRules, Passwords, SessionKey, UserCreation};
use crate::config::{Config, CreateUsers, Listen};
use crate::db::Db;
use crate::identity::UserDirectory;
use crate::model::{OperationClass, Timestamp};
use crate::telemetry::Metrics;

/// What the command line decides about accounts.
#[derive(Debug, Clone, Default)]
pub struct AccountOptions {
    /// `--restrict-modify`: the only ones who may make and change users and indexes.
    pub restrict_modify: Option<Vec<String>>,
    /// Cost of a password hash.
    pub cost: Cost,
}

/// Whoever knows users besides the records.
#[derive(Debug, Default)]
pub(super) struct Others {
    directory: Option<Arc<UserDirectory>>,
    named_by_proxies: bool,
}

impl Others {
    /// Those that the configuration names. None is asked yet.
    pub(super) fn of(config: &Config, metrics: &Metrics) -> anyhow::Result<Self> {
        let settings = config.manage.ldap.clone();
        let directory = settings.map(|settings| UserDirectory::open(settings, metrics.directory()));
        let directory = directory.transpose().context("read manage.ldap")?;
        Ok(Self {
            directory: directory.map(Arc::new),
            named_by_proxies: config.manage.remote_user,
        })
    }

    /// Accounts beside them.
    pub(super) fn beside(self, accounts: Accounts) -> Accounts {
        accounts.beside(self.directory, self.named_by_proxies)
    }
}

/// Opens the accounts, with root among them: created at the first start with the password from the
/// environment, or an empty one.
pub(super) fn open(
    work: &Runtime,
    records: &Arc<dyn Db>,
    options: &AccountOptions,
    root_password: &str,
    now: Timestamp,
) -> anyhow::Result<Accounts> {
    let facts = work
        .block_on(records.facts())
        .context("read the server's secret")?;
    let mut cache_key = [0; 32];
    getrandom::fill(&mut cache_key).context("get random bytes")?;
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let passwords = Passwords::new(options.cost, at_once);
    let key = SessionKey::new(facts.secret);
    let accounts = Accounts::new(Arc::clone(records), passwords, key, cache_key);
    work.block_on(accounts.settle_root(root_password, now))
        .context("make the user root")?;
    Ok(accounts)
}

/// Refuses to open a TLS door to others that takes passwords while root needs none. Without TLS such a
/// door is what `devpi-server --host` explicitly asks for.
pub(super) fn check_root(
    work: &Runtime,
    accounts: &Accounts,
    config: &Config,
) -> anyhow::Result<()> {
    let classes = [OperationClass::Upload, OperationClass::Manage];
    let mut taking = classes
        .into_iter()
        .flat_map(|class| config.listen.allowing(class));
    let is_wide =
        taking.any(|door| !door.is_local() && matches!(door, Listen::Tcp { tls: Some(_), .. }));
    if is_wide {
        let is_open = work.block_on(accounts.is_root_open());
        anyhow::ensure!(
            !is_open.context("look whether root has a password")?,
            "root has no password, and a door that takes passwords is open beyond this machine: \
             set CHEESECLOTH_ROOT_PASSWORD at the first start, or open the door on loopback and \
             give root one with `devpi user -m root password=…`"
        );
    }
    Ok(())
}

/// Who may create users and indexes. Unless the operator said otherwise, a door that only this machine
/// reaches lets everybody create a user, as devpi does; one that others reach leaves that to root.
pub(super) fn rules(options: &AccountOptions, config: &Config) -> HouseRules {
    let mut managing = config.listen.allowing(OperationClass::Manage);
    let is_local = managing.all(Listen::is_local);
    let said = &config.manage;
    let restrict_modify = options
        .restrict_modify
        .as_ref()
        .or(said.restrict_modify.as_ref());
    HouseRules {
        restrict_modify: restrict_modify.cloned(),
        user_creation: match said.create_users {
            // Or else anybody could take the name of somebody whom others know.
            _ if said.knows_others() => UserCreation::Root,
            CreateUsers::Auto if is_local => UserCreation::Everyone,
            CreateUsers::Everyone => UserCreation::Everyone,
            CreateUsers::Users => UserCreation::EveryUser,
            CreateUsers::Auto | CreateUsers::Root => UserCreation::Root,
        },
        push_to: said.push_to.clone(),
        mirrors_to: said.mirrors_to.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Overrides, PoliciesPath, load};

    /// The rules in force with this door and this file.
    fn ruled(manage: &str, file: &str, options: &AccountOptions) -> HouseRules {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("c.yaml");
        std::fs::write(&path, file).unwrap();
        let overrides = Overrides {
            manage: Some(manage.to_owned()),
            manage_plain: true,
            ..Overrides::default()
        };
        let loaded = load(&PoliciesPath::Named(path), &overrides, &|_| None).unwrap();
        rules(options, &loaded.config)
    }

    const PROXY: &str = "{manage: {remote_user: true}, trusted_proxies: 127.0.0.1}";
    const DIRECTORY: &str =
        "manage: {ldap: {url: 'ldap://localhost', user_template: 'uid={username},dc=x'}}";

    #[test]
    fn the_door_decides_until_the_operator_does() {
        let (near, far) = ("127.0.0.1:1", "0.0.0.0:1");
        let key = |word: &str| format!("manage: {{create_users: {word}}}");
        let with = |file: &str, word: &str| {
            file.replace("manage: {", &format!("manage: {{create_users: {word}, "))
        };
        for (manage, file, expected) in [
            (near, String::new(), UserCreation::Everyone),
            ("unix:/run/c", String::new(), UserCreation::Everyone),
            (far, String::new(), UserCreation::Root),
            (far, key("auto"), UserCreation::Root),
            (near, key("root"), UserCreation::Root),
            (near, key("users"), UserCreation::EveryUser),
            (far, key("everyone"), UserCreation::Everyone),
            (near, PROXY.to_owned(), UserCreation::Root),
            (near, DIRECTORY.to_owned(), UserCreation::Root),
            (near, with(PROXY, "everyone"), UserCreation::Root),
            (near, with(DIRECTORY, "everyone"), UserCreation::Root),
            (near, with(DIRECTORY, "users"), UserCreation::Root),
        ] {
            let found = ruled(manage, &file, &AccountOptions::default());
            assert_eq!(found.user_creation, expected, "{manage} {file}");
        }
    }

    #[test]
    fn an_option_wins_over_the_key() {
        let file = "manage: {restrict_modify: [ops], push_to: ['https://files.example/']}";
        let mut options = AccountOptions::default();
        let found = ruled("off", file, &options);
        assert_eq!(found.restrict_modify, Some(vec!["ops".to_owned()]));
        assert_eq!(found.push_to[0].as_str(), "https://files.example/");
        options.restrict_modify = Some(vec!["root".to_owned()]);
        let found = ruled("off", file, &options);
        assert_eq!(found.restrict_modify, Some(vec!["root".to_owned()]));
    }
}
