//! What is fixed when a database is created.

use crate::db::error::DbError;

/// A new server's uuid and secret.
///
/// # Errors
/// When the operating system has no random bytes.
pub(in crate::db) fn new_facts(doing: &'static str) -> Result<(String, Vec<u8>), DbError> {
    let mut uuid = [0_u8; 16];
    let mut secret = [0_u8; 32];
    let random = getrandom::fill(&mut uuid).and_then(|()| getrandom::fill(&mut secret));
    random.map_err(|error| DbError::Unavailable {
        doing,
        cause: Box::new(error),
    })?;
    let uuid = format!("{:032x}", u128::from_be_bytes(uuid));
    Ok((uuid, secret.to_vec()))
}
