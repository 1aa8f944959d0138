//! Stand-in for the `page` room: only the shapes of path under which a page is asked.

/// The shape of the path a page is asked under, which decides how its links begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageForm {
    /// `…/+simple/p/`.
    Simple,
    /// `…/+simple/p`.
    SimpleNoSlash,
    /// `/u/i/p/`.
    Index,
    /// `/u/i/p`.
    IndexNoSlash,
    /// `/simple/p/`.
    Default,
}
