//! devpi's messages, word for word: its clients, plugins and test suites look for these sentences
//! (docs/protocol/devpi.md). What only this gateway says stands where it is said.

use crate::model::{IndexName, ProjectName};

/// One of devpi's sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DevpiWords<'a> {
    // Of requests in general.
    #[error("Bad request: could not decode json")]
    NoJson,
    #[error(
        "Access was denied to this resource.\n\n\nUnauthorized: PyPIView failed permission check\n\n"
    )]
    Denied,
    #[error(
        "{0} '{1}' contains characters that aren't allowed. Any ascii symbol besides -.@_ is blocked."
    )]
    BadName(&'a str, &'a str),

    // Of logins and users.
    #[error("Bad request: no user/password specified")]
    NoCredentials,
    #[error("user '{0}' could not be authenticated")]
    NotAuthenticated(&'a str),
    #[error("login successful")]
    LoggedIn,
    #[error("no user '{0}'")]
    NoUser(&'a str),
    #[error("user already exists")]
    UserExists,
    #[error("Unknown keys in user config: {0}")]
    UnknownUserKeys(&'a str),
    #[error("password needs to be set")]
    NoPassword,
    #[error("no permission to modify user {0}")]
    MayNotModify(&'a str),
    #[error("no permission to change password for user {0}")]
    MayNotChangePassword(&'a str),
    #[error("user updated")]
    UserUpdated,
    #[error("user updated, new proxy auth")]
    PasswordUpdated,
    #[error("user '{0}' has non-volatile index: {1}")]
    HasNonVolatile(&'a str, &'a str),
    #[error("user '{0}' deleted")]
    UserDeleted(&'a str),

    // Of indexes.
    #[error("The stage {0} could not be found.")]
    NoStage(&'a str),
    #[error("no permission to create index {0}")]
    MayNotCreate(&'a IndexName),
    #[error("index '{0}' exists")]
    IndexExists(&'a IndexName),
    #[error("index {0} non-volatile, cannot delete")]
    NonVolatile(&'a IndexName),
    #[error("index {0} deleted")]
    IndexDeleted(&'a IndexName),

    // Of their settings.
    #[error("unknown index type '{0}'")]
    UnknownType(&'a str),
    #[error("indexconfig got unexpected keyword arguments: {0}")]
    UnexpectedKeys(&'a str),
    #[error("base index '{0}' does not exist")]
    NoBase(&'a str),
    #[error("invalid base index spec: '{0}'")]
    InvalidBase(&'a str),
    #[error("The '{0}' setting doesn't have value '{1}'")]
    NotInList(&'a str, &'a str),
    #[error("Default values can't be removed.")]
    DefaultStays,
    #[error("Unknown boolean value {0}.")]
    NoBoolean(&'a str),
    #[error("Unknown list value {0}.")]
    NoList(&'a str),
    #[error("'{0}' option must be a URL.")]
    NoUrl(&'a str),
    #[error("Unknown value {1} for {0}, must be 'intersection' or 'union'.")]
    NoInheritance(&'a str, &'a str),

    // Of projects and releases.
    #[error("The project {0} does not exist.")]
    NoProject(&'a ProjectName),
    #[error("no project '{0}'")]
    NoProjectConfig(&'a ProjectName),
    #[error("The version {1} of project {0} does not exist.")]
    NoVersion(&'a ProjectName, &'a str),

    // Of uploads.
    #[error("cannot submit to mirror index")]
    IsMirror,
    #[error("no permission to submit")]
    MayNotSubmit,
    #[error("{0} already exists in non-volatile index")]
    FileExists(&'a str),
    #[error("Upload of identical file to non volatile index.")]
    SameFile,
    #[error("content file field not found")]
    NoContent,
    #[error("doczip has no version and '{0}' has no releases to derive one from")]
    NoDocsVersion(&'a str),
    #[error(
        "No permission to upload tox results. You can use the devpi test --no-upload option to skip the upload."
    )]
    MayNotAddResult,
    #[error("no release file found at {0}/{1}")]
    NoReleaseFile(&'a IndexName, &'a str),

    // Of pushes.
    #[error("no name or version specified in json")]
    NoNameOrVersion,
    #[error("unknown additional options: {0}")]
    UnknownOption(&'a str),
    #[error("targetindex not in format user/index")]
    BadTarget,
    #[error("can't use 'no_docs' and 'only_docs' together")]
    DocsOrNot,
    #[error("user {0} cannot upload to '{1}'")]
    MayNotUpload(&'a str, &'a IndexName),
    #[error("there are no files for {0} {1} on stage {2}")]
    NoFiles(&'a str, &'a str, &'a IndexName),
    #[error("no release/files found for {0} {1}")]
    NothingToPush(&'a str, &'a str),

    // Of deletions.
    #[error("project '{0}' is on non-volatile index {1}")]
    ProjectStays(&'a ProjectName, &'a IndexName),
    #[error("cannot delete version on non-volatile index")]
    VersionStays,
    #[error("project not found")]
    ProjectNotFound,
    #[error("version '{1}' of project '{0}' not found on stage '{2}'")]
    VersionNotFound(&'a ProjectName, &'a str, &'a IndexName),
    #[error("package '{0}/{1}' doesn't exist")]
    FileNotFound(&'a IndexName, &'a str),
    #[error("file '{0}/{1}' existed, deleted in later serial")]
    FileGone(&'a IndexName, &'a str),
    #[error("project {0} deleted from stage {1}")]
    ProjectDeleted(&'a ProjectName, &'a IndexName),
    #[error("project '{0}' version '{1}' deleted")]
    VersionDeleted(&'a ProjectName, &'a str),
    #[error("package '{0}/{1}' deleted")]
    FileDeleted(&'a IndexName, &'a str),
}
