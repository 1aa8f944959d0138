//! What `tests/` and `benches/` use of the rooms; nothing else reaches into the library.

/// Of `advisory`.
pub mod advisory {
    pub use crate::advisory::read_feed;
}

/// Of `search`.
pub mod search {
    pub use crate::search::{Catalogue, CatalogueKeeper, CataloguedIndex, SearchQuery};
}

/// Of `clock`.
pub mod clock {
    pub use crate::clock::Clock;
}

/// Of `config`.
pub mod config {
    pub use crate::config::{CacheConfig, PoliciesPath, Undeclared, load};
}

/// Of `db`.
pub mod db {
    pub use crate::db::{
        Cause, Db, FileFacts, FileRole, OnConflict, Publication, Published, Sqlite,
    };
}

/// Of `exchange`.
pub mod exchange {
    pub use crate::exchange::{
        Answers, Arrival, Ask, Body, CacheResult, Core, Generation, Growing, Overview, Readable,
        Record, RefusedLately, RefusedOften, Reply, Route, Settings, StoredFile,
    };
}

/// Of `depot`.
pub mod depot {
    pub use crate::depot::{Deposited, Depot, DepotError, DepotKey};
}

/// Of `front`.
pub mod front {
    pub use crate::front::Front;
}

/// Of `gateway`.
pub mod gateway {
    pub use crate::gateway::{Flows, mirror_metadata_key};
}

/// Of `language`.
pub mod language {
    pub use crate::language::{
        Document, Files, Mirror, NamedKind, Pin, PinnedFile, TextFile, read_text,
    };

    /// Where a mirror's upstream is.
    #[must_use]
    pub fn mirror_url(mirror: &Mirror) -> Option<&str> {
        mirror.mirror_url()
    }
}

/// Of `listen`.
pub mod listen {
    pub use crate::listen::{
        Certificates, DoorOptions, DoorServer, HttpService, ListenAddress, MetricsDoor, Ready,
        Recorder, ServerOptions, Stop, TrustedProxies,
    };
}

/// Of `model`.
pub mod model {
    pub use crate::model::{
        AuditLimits, BucketCredentials, BucketPlace, CoreMetadata, DoorLimits, DoorName, Fault,
        FeedLimits, File, Filename, Hashes, IndexName, Limits, Location, Login, ProjectName,
        ProjectState, Recall, Secret, Sha256, Timestamp, UploadTime, UploadTimeSource,
        UpstreamLimits, Version, VersionSpecifiers, WorkLimits, Yanked,
    };
}

/// Of `page`.
pub mod page {
    pub use crate::page::{
        Decided, FileLinks, Markup, PageForm, PageWriter, ProjectPage, Ruling, StoredMeta,
        file_path, filter, from_stored, merge, parse_json, read_project_page, to_stored,
    };
}

/// Of `policy`.
pub mod policy {
    pub use crate::policy::{Candidate, Policies, Recalls};
}

/// Of `protocol`.
pub mod protocol {
    pub use crate::protocol::{Audience, Preferences, Problem, PublicRoute};
}

/// Of `reader`.
pub mod reader {
    pub use crate::reader::{
        AskedProject, Foreseen, Question, Reader, Turn, explain_verdicts, foresee, replay,
    };
}

/// Of `store`.
pub mod store {
    pub use crate::store::{FsStore, Key};
}

/// Of `telemetry`.
pub mod telemetry {
    pub use crate::telemetry::{AccessLog, AuditLog, LogFormat, Metrics, Staleness, WaitMeter};
}

/// Of `trial`.
pub mod trial {
    pub use crate::trial::{Bench, CaseFile};
}

/// Of `upstream`.
pub mod upstream {
    pub use crate::upstream::{
        BodyPart, Bounds, Breaker, ByteRange, Decoding, FileAnswer, FilePart, Fleet, InvalidWheel,
        Outcome, Page, PageAnswer, Permit, Proxies, Upstream, UpstreamError, UpstreamFile,
        UpstreamSettings, Validators, WheelAnswer, install_crypto_provider,
    };
}
