//! The nouns of Python packaging, valid by construction; and the limits that every room observes.
//!
//! A value of one of these types cannot be wrong: a `ProjectName` is normalised, a `Filename` belongs to
//! the project it was parsed for, a `Sha256` has 32 bytes. Nothing that holds one need check again.

mod address;
mod ascii;
mod depot;
mod digest;
mod directory;
mod door;
mod file;
mod filename;
mod index;
mod inside;
mod license;
mod likeness;
mod limits;
mod location;
mod login;
mod mirror_place;
mod one_line;
mod operation;
mod part;
mod pep440;
mod project;
mod recall;
mod requirement;
mod specifier;
mod status;
mod units;
mod version;
mod webhook;

pub use address::{Reach, client_network};
pub use ascii::to_ascii;
pub use depot::{BucketCredentials, BucketPlace};
pub use digest::{CUT_SHA256, Hashes, Sha256};
pub use directory::{
    CertificateSource, DIRECTORY_RECHECK_MAX, DirectoryAccount, DirectoryScope, DirectorySearch,
    DirectoryServer, DirectorySettings, DirectoryTls, FindUser, Person, PersonTemplate,
};
pub use door::DoorName;
pub use file::{CoreMetadata, File, UploadTime, UploadTimeSource, Yanked};
pub use filename::{Filename, InvalidFilename, Kind};
pub use index::IndexName;
pub use inside::{Inside, License, StartupFiles};
pub use license::{LicenseExpression, LicenseTerm, license_ids};
pub use likeness::Likenesses;
pub use limits::{
    AuditLimits, DoorLimits, FeedLimits, FleetLimits, JournalLimits, LIMITS, LimitUnit, Limits,
    NotifyLimits, OwnLimits, SearchLimits, UpstreamLimits, WorkLimits, WriteLimits, milliseconds,
};
pub use location::{Fault, Faults, Location, suggest};
pub use login::{Login, Secret};
pub use mirror_place::{MirrorPlace, MirrorPlaces, is_localhost};
pub use one_line::one_line;
pub use operation::OperationClass;
pub use part::AskedPart;
pub use project::ProjectName;
pub use recall::{RECALL_REASON_MAX, Recall, RecallSubject, Recalled};
pub use requirement::Requirement;
pub use specifier::{InvalidSpecifier, VersionMatch, VersionSpecifiers};
pub use status::{ProjectState, ProjectStatus};
pub use units::{format_bytes, format_duration, parse_bytes, parse_duration};
pub use version::Version;
pub use webhook::{NoticeKind, Webhook};

/// An instant in UTC. Time is always an argument below the second floor, never read from a clock.
pub type Timestamp = jiff::Timestamp;
