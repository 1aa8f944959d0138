//! A new data directory with the user root and, if wanted, the mirror root/pypi in its records: what
//! `devpi-init` makes.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use url::Url;

use crate::account::ROOT;
use crate::app::accounts::AccountOptions;
use crate::app::open_records::OpenRecords;
use crate::app::{Environment, accounts, data, neighbours};
use crate::clock::Clock;
use crate::config::{Overrides, PoliciesPath, discover, load};
use crate::db::{Cause, Db, NewIndex, Sqlite};
use crate::devpi::IndexSettings;
use crate::model::IndexName;

/// The file of the records below the data directory.
pub(super) const RECORDS: &str = "records.sqlite";

/// Makes a data directory.
///
/// # Errors
/// When there is one already, or it cannot be written, or nobody knows what root/pypi mirrors.
pub fn initialise(
    folder: &Path,
    options: &AccountOptions,
    root_password: &str,
    wants_mirror: bool,
    env: Environment,
) -> anyhow::Result<()> {
    let records = folder.join(RECORDS);
    if records.exists() {
        anyhow::bail!(
            "{} holds data already; choose another --serverdir",
            folder.display()
        );
    }
    data::own(folder)?;
    let url = if wants_mirror {
        Some(upstream(folder, env)?)
    } else {
        None
    };
    let work = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let now = Clock::system().now();
    let records: Arc<dyn Db> = Arc::new(work.block_on(Sqlite::open(&records, now))?);
    let _open = OpenRecords::new(work.handle(), &records);
    accounts::open(&work, &records, options, root_password, now)?;
    if let Some(url) = url {
        neighbours::note_own_index(folder, &url)?;
        let name = IndexName::parse("root/pypi").expect("it is a name");
        let keys = json!({ "type": "mirror", "volatile": false, "title": "PyPI", "mirror_url": url.as_str() });
        let keys = keys.as_object().cloned().unwrap_or_default();
        let settings = IndexSettings::create(&name, &keys, &|_| true)?;
        let (config, volatile) = (settings.to_json(), settings.volatile());
        let cause = Cause {
            who: Some(ROOT.to_owned()),
            at: now,
        };
        work.block_on(records.create_index(
            &cause,
            &NewIndex {
                name,
                config,
                volatile,
            },
        ))?;
    }
    Ok(())
}

/// What pip on this machine uses, its login included: the records keep what the mirror asks with.
fn upstream(folder: &Path, env: Environment) -> anyhow::Result<Url> {
    let overrides = Overrides {
        data: Some(folder.to_owned()),
        ..Overrides::default()
    };
    let nowhere = PoliciesPath::Default {
        folder: folder.to_owned(),
    };
    let loaded = load(&nowhere, &overrides, &env)?;
    let found = discover(&loaded.config, &env).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let mut url = found.url;
    if let Some(login) = &found.login {
        // These fail only for a URL without a host, and pip's has one.
        let _ = url.set_username(&login.user);
        let _ = url.set_password(Some(login.password.expose()));
    }
    Ok(url)
}
