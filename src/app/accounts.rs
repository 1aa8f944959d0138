//! Who is who, and who may make users and indexes.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::config::Config;
use crate::config::Doors;
use crate::config::Listen;
use crate::db::Db;
use crate::gateway::account::Accounts;
use crate::gateway::account::Cost;
use crate::gateway::account::HouseRules;
use crate::gateway::account::Passwords;
use crate::gateway::account::SessionKey;
use crate::gateway::account::UserCreation;
use crate::model::OperationClass;
use crate::model::Timestamp;

/// What is decided about accounts on the command line.
#[derive(Debug, Clone, Default)]
pub struct AccountOptions {
    /// `--restrict-modify`: the only ones who may make and change users and indexes.
    pub restrict_modify: Option<Vec<String>>,
    /// How dear a password hash is.
    pub cost: Cost,
}

/// Opens the accounts, with root among them: at the first start with the password of the
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

/// Refuses to open a door to others that takes passwords, with TLS for it, while root needs none.
/// Without TLS such a door is what `devpi-server --host` asks for in so many words.
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

/// Who may make users and indexes. A door that only this machine reaches lets everybody make a user,
/// as devpi does; one that others reach leaves that to root.
pub(super) fn rules(options: &AccountOptions, doors: &Doors) -> HouseRules {
    let mut managing = doors.allowing(OperationClass::Manage);
    let is_local = managing.all(Listen::is_local);
    HouseRules {
        restrict_modify: options.restrict_modify.clone(),
        user_creation: if is_local {
            UserCreation::Everyone
        } else {
            UserCreation::Root
        },
    }
}
