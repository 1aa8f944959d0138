//! Which gateway this is: the one of this data folder, wherever the folder is.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;

/// The file below the data directory.
const NAME: &str = "gateway-id";

/// The id of a data folder's gateway; `None` if it has none yet.
///
/// # Errors
/// When it cannot be read.
pub(super) fn known(data: &Path) -> anyhow::Result<Option<String>> {
    let path = data.join(NAME);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Gives a data folder's gateway an id, unless it has one.
///
/// # Errors
/// When it cannot be written.
pub(super) fn settle(data: &Path) -> anyhow::Result<()> {
    if known(data)?.is_some() {
        return Ok(());
    }
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).context("get random bytes")?;
    let id = format!("{:032x}\n", u128::from_be_bytes(random));
    let write = || -> std::io::Result<()> {
        // Under its name only when it is whole.
        let draft = data.join(format!("{NAME}.new"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&draft)?;
        file.write_all(id.as_bytes())?;
        file.sync_all()?;
        fs::rename(draft, data.join(NAME))?;
        fs::File::open(data)?.sync_all()
    };
    write().with_context(|| format!("write {}", data.join(NAME).display()))
}

/// Where a data folder's gateway is, in words for those who look for it.
pub(super) fn name(data: &Path) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    format!("{}:{}", host.trim(), data.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_keeps_its_id_and_has_it_alone() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders.each_ref().map(|folder| {
            assert_eq!(known(folder.path()).unwrap(), None);
            settle(folder.path()).unwrap();
            known(folder.path()).unwrap().unwrap()
        });
        assert!(one.len() == 32 && one != other, "{one} {other}");
        settle(folders[0].path()).unwrap();
        assert_eq!(known(folders[0].path()).unwrap(), Some(one));
    }
}
