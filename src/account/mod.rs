//! Who somebody is and what they may do.

mod api_token;
mod authenticate;
mod by_password;
mod credential_cache;
mod credentials;
mod guesses;
mod login_limiter;
mod new_names;
mod password;
mod permission;
mod principal;
mod salted;
#[cfg(test)]
mod sample;
mod session;
mod standings;

pub use api_token::MintedToken;
pub use authenticate::{AccountError, Accounts, LoggedIn};
pub use credentials::{BadName, Credentials, NotAccepted};
pub use new_names::{NameFault, check_name, check_user_name};
pub use password::{Checked, Cost, ExportedHash, PasswordError, Passwords};
pub use permission::{HouseRules, IndexAcl, Operation, UserCreation, permits};
#[cfg(test)]
pub use principal::{Identity, Scope};
pub use principal::{Means, Principal, ROOT};
pub use session::{SESSION_LIFETIME, SessionKey};
