-- What was called back. A row goes when its recall is withdrawn; its number is never used again, and the
-- change log tells of both.
CREATE TABLE recalls (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT    NOT NULL UNIQUE,
    reason  TEXT    NOT NULL,
    who     TEXT,
    at      INTEGER NOT NULL,
    is_kept INTEGER NOT NULL
) STRICT;
