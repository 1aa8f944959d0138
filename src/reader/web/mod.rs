//! Pages for people: the indexes and their stacks, a project's versions with what is blocked and why,
//! what a search finds.
//!
//! They need no script and load one stylesheet. `layout` holds what all pages share, `answer` makes the
//! reply, also where there is no page; every other file is one page, or one part of a page. The markup is maud's: compiled, with every value
//! escaped.

mod about;
mod answer;
mod assets;
mod denied;
mod described;
mod files;
mod held;
mod home;
mod index;
mod judged;
mod layout;
mod near;
mod project;
mod refused;
mod releases;
mod search;
mod sent;
mod stack;
mod state;
mod uploads;
mod usage;
mod waiver;
mod way;

pub use answer::{for_person, web_reply};
pub use assets::static_file;
pub use denied::denied_page;
pub use home::{web_home, web_user};
pub use index::web_index;
pub use layout::WebPage;
pub use project::web_project;
pub use search::{AskedSearch, web_search};
pub use sent::Sent;
pub use uploads::uploads_feed;
