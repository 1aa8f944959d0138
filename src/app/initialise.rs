//! A new data directory with the user root and, if wanted, the mirror root/pypi in its records, as
//! `devpi-init` creates it.

use std::path::Path;

use serde_json::json;
use url::Url;

use crate::account::ROOT;
use crate::app::accounts::AccountOptions;
use crate::app::open_records::{OpenRecords, RECORDS};
use crate::app::setup::{Environment, Setup};
use crate::app::work::runtime;
use crate::app::{accounts, data, neighbours};
use crate::clock::Clock;
use crate::config::{Overrides, PoliciesPath, discover};
use crate::db::{Cause, Serial};
use crate::devpi::IndexSettings;
use crate::model::IndexName;

/// Creates a data directory.
///
/// # Errors
/// When there already is one, when it cannot be written, or when no upstream is known for root/pypi.
pub fn initialise(
    folder: &Path,
    options: &AccountOptions,
    root_password: &str,
    wants_mirror: bool,
    env: Environment,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        !folder.join(RECORDS).exists(),
        "{} holds data already; choose another --serverdir",
        folder.display()
    );
    data::own(folder)?;
    let url = if wants_mirror {
        Some(upstream(folder, env)?)
    } else {
        None
    };
    let (work, now) = (runtime()?, Clock::system().now());
    let open = OpenRecords::in_folder(&work, folder, now, None)?;
    let records = &open.records;
    accounts::open(&work, records, options, root_password, now)?;
    if let Some(url) = url {
        neighbours::note_own_index(folder, &url)?;
        let name = IndexName::parse("root/pypi").expect("it is a name");
        let keys = json!({ "type": "mirror", "volatile": false, "title": "PyPI", "mirror_url": url.as_str() });
        let keys = keys.as_object().cloned().unwrap_or_default();
        let settings = IndexSettings::create(&name, &keys, &|_| true);
        let settings = settings.map_err(anyhow::Error::msg)?;
        let index = settings.to_record(Serial::default(), now);
        let cause = Cause {
            who: Some(ROOT.to_owned()),
            at: now,
        };
        work.block_on(records.create_index(&cause, &index))?;
    }
    Ok(())
}

/// The index that pip on this machine uses, including its login: the records keep what the mirror asks.
fn upstream(folder: &Path, env: Environment) -> anyhow::Result<Url> {
    let setup = Setup {
        policies: PoliciesPath::Default {
            folder: folder.to_owned(),
        },
        overrides: Overrides {
            data: Some(folder.to_owned()),
            ..Overrides::default()
        },
        env,
    };
    let found =
        discover(&setup.load()?.config, &env).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    Ok(found.url_with_login())
}
