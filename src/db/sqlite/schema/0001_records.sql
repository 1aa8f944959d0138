-- Instants are microseconds since 1970 UTC, digests of 32 bytes are BLOBs, JSON is TEXT.
-- Content refers to its index by name only: an index declared in YAML has no row here.

CREATE TABLE server (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    uuid    TEXT    NOT NULL,
    secret  BLOB    NOT NULL,
    created INTEGER NOT NULL
) STRICT;

-- One row for each committed write; its key is the serial that clients see.
CREATE TABLE changes (
    serial     INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    who        TEXT,
    what       TEXT    NOT NULL,
    index_name TEXT,
    project    TEXT,
    detail     TEXT
) STRICT;

CREATE TABLE users (
    name          TEXT    PRIMARY KEY,
    password_hash TEXT,
    generation    INTEGER NOT NULL,
    email         TEXT,
    title         TEXT,
    description   TEXT,
    custom_data   TEXT,
    created       INTEGER NOT NULL,
    modified      INTEGER
) STRICT;

CREATE TABLE indexes (
    name      TEXT    PRIMARY KEY,
    user_name TEXT    NOT NULL REFERENCES users (name),
    volatile  INTEGER NOT NULL,
    config    TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    created   INTEGER NOT NULL
) STRICT;
CREATE INDEX indexes_by_user ON indexes (user_name);

CREATE TABLE projects (
    index_name TEXT NOT NULL,
    name       TEXT NOT NULL,
    spelling   TEXT NOT NULL,
    PRIMARY KEY (index_name, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    index_name TEXT    NOT NULL,
    project    TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    metadata   TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    PRIMARY KEY (index_name, project, version),
    FOREIGN KEY (index_name, project) REFERENCES projects (index_name, name)
) STRICT;

CREATE TABLE files (
    index_name      TEXT    NOT NULL,
    project         TEXT    NOT NULL,
    filename        TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    for_file        TEXT,
    sha256          BLOB    NOT NULL,
    size            INTEGER NOT NULL,
    md5             TEXT,
    blake2b_256     TEXT,
    uploaded_at     INTEGER NOT NULL,
    uploader        TEXT,
    requires_python TEXT,
    metadata_sha256 BLOB,
    yanked          TEXT,
    log             TEXT    NOT NULL,
    PRIMARY KEY (index_name, project, filename),
    FOREIGN KEY (index_name, project, version) REFERENCES releases (index_name, project, version)
) STRICT;
CREATE INDEX files_by_release ON files (index_name, project, version);
CREATE INDEX files_by_sha256 ON files (sha256);
CREATE INDEX files_by_metadata_sha256 ON files (metadata_sha256) WHERE metadata_sha256 IS NOT NULL;

-- What once stood at `+f/{sha256}/{filename}`, so that asking for it is answered 410 and not 404.
CREATE TABLE deleted_files (
    index_name TEXT    NOT NULL,
    sha256     BLOB    NOT NULL,
    filename   TEXT    NOT NULL,
    PRIMARY KEY (index_name, sha256, filename)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
    id          TEXT    PRIMARY KEY,
    user_name   TEXT    NOT NULL REFERENCES users (name),
    secret_hash BLOB    NOT NULL,
    note        TEXT    NOT NULL,
    index_name  TEXT,
    operations  TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    last_used   INTEGER
) STRICT;
CREATE INDEX api_tokens_by_user ON api_tokens (user_name);
