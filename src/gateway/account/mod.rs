//! Who asks, and what they may do.
//!
//! `credentials` reads what a request carries; `authenticate` finds out whose it is with `password`,
//! `session` (login tokens) and `api_token` (CI tokens); `permission` decides, without I/O.

mod api_token;
mod authenticate;
mod by_password;
mod credential_cache;
mod credentials;
mod login_limiter;
mod password;
mod permission;
mod principal;
mod salted;
#[cfg(test)]
mod sample;
mod session;

pub use api_token::{ApiTokenRefusal, MintedToken, PresentedToken};
pub use authenticate::{AccountError, Accounts, Authentication, LoggedIn, Login, Refusal};
pub use credential_cache::CredentialCache;
pub use credentials::{Credentials, InvalidCredentials};
pub use login_limiter::LoginLimiter;
pub use password::ExportedHash;
pub use password::{Checked, Cost, PasswordError, Passwords};
pub use permission::{HouseRules, IndexAcl, Operation, UserCreation, permits};
pub use principal::{Identity, Principal, ROOT, Scope};
pub use session::{SESSION_LIFETIME, SessionKey};
