-- Rows are many, what they say is not: each text stands once in a side table. `last` is the last day on
-- which something was used (days since 1970), so that what no row needs any more can be found without
-- reading the rows.

-- What was asked for: a file, or a project's page (no file). Neither: the refusals of a client that had
-- more than its share.
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- an id is never used again: readers remember them
    project TEXT,
    version TEXT,
    file TEXT,
    sha256 BLOB,
    last INTEGER NOT NULL
) STRICT;

CREATE INDEX items_by_project ON items (project, version);
CREATE INDEX items_by_sha256 ON items (sha256) WHERE sha256 IS NOT NULL;

CREATE TABLE clients (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT,
    user TEXT,
    token TEXT,
    last INTEGER NOT NULL
) STRICT;

CREATE INDEX clients_by_address ON clients (address, user, token);

-- What was decided, at which index, by which rule.
CREATE TABLE rulings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    index_name TEXT NOT NULL,
    decision TEXT NOT NULL,
    rule TEXT,
    last INTEGER NOT NULL
) STRICT;

-- Ordered by time, in microseconds since 1970; of two in the same microsecond one is a little later.
CREATE TABLE entries (
    at INTEGER PRIMARY KEY,
    item INTEGER NOT NULL,
    client INTEGER NOT NULL,
    ruling INTEGER NOT NULL,
    times INTEGER NOT NULL
) STRICT;

CREATE INDEX entries_by_item ON entries (item);
