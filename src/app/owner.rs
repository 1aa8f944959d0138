//! Whoever owns a data directory, at the command line: root of its server without a password, and alone on it
//! while no server runs.
//!
//! The directory holds the key that signs logins, so its owner could make one anyway; saying who they are
//! spares them a password in the environment.

use crate::account::{ROOT, SessionKey};
use crate::app::data;
use crate::app::lock::DataLock;
use crate::app::open_records::{OpenRecords, are_there};
use crate::app::work::runtime;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Secret;

/// A login of root at the server of this data directory; `None` if no records can be seen there.
///
/// # Errors
/// When the records cannot be read.
pub fn sign_in_as_root(config: &Config) -> anyhow::Result<Option<Secret>> {
    if !are_there(config) {
        return Ok(None);
    }
    data::make_closed();
    let (work, now) = (runtime()?, Clock::system().now());
    let open = OpenRecords::open(&work, config, now, None)?;
    let Some(root) = work.block_on(open.records.user(ROOT))? else {
        return Ok(None);
    };
    let key = SessionKey::new(work.block_on(open.records.facts())?.secret);
    Ok(Some(Secret::new(key.issue(ROOT, root.generation, now))))
}

/// Held by a command that works on the data directory itself.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "held, never read")] DataLock);

/// Takes the data directory for a command; `None` while a server runs on it, which is then asked instead.
///
/// # Errors
/// When the directory cannot be written, or holds an unfinished restore.
pub fn unless_served(config: &Config) -> anyhow::Result<Option<Alone>> {
    Ok(DataLock::unless_served(&config.data)?.map(Alone))
}
