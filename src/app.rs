//! Puts everything together and runs it; the only room that knows every type.

mod accounts;
mod backup;
mod chores;
mod data;
mod descriptors;
mod doors;
mod explain;
mod files;
mod generation;
mod house;
mod initialise;
mod lock;
mod moving;
mod neighbours;
mod notify;
mod open_records;
mod presence;
mod reload;
mod reported;
mod serve;
mod setup;
mod starting;
mod streams;
mod succession;
mod tokens;
mod watch;
mod words;
mod work;

pub use crate::app::accounts::AccountOptions;
pub use crate::app::backup::{backup, restore};
pub use crate::app::explain::explain;
pub use crate::app::initialise::initialise;
pub use crate::app::moving::{ImportStart, export, import};
pub use crate::app::serve::{Start, serve};
pub use crate::app::setup::Setup;
pub use crate::app::tokens::TokenDrawer;
