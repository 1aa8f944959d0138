//! Why a directory does not answer.

/// A directory that does not answer: nothing is known about the user then, so nobody is refused for a
/// wrong password. No text of it names a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// No connection, no answer in time, or a certificate that is not accepted: another server may do.
    #[error("{server}: {why}")]
    Unreachable {
        /// The server, by host and port.
        server: String,
        /// What happened.
        why: String,
    },
    /// It answers, and will not do what was asked: every server would say so.
    #[error("{server} does not {doing}: {why}")]
    Unwilling {
        /// The server, by host and port.
        server: String,
        /// What was asked of it.
        doing: &'static str,
        /// What it says.
        why: String,
    },
    /// Too many questions are waiting to be asked.
    #[error("too many questions to the directory of users are waiting")]
    Busy,
}

/// Settings with which no directory can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDirectory(pub String);
