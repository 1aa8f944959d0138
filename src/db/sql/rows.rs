//! From rows to records: what cannot be read back is [`DbError::Corrupt`], and says what it was.

use serde_json::{Map, Value};
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

use crate::db::error::DbError;
use crate::db::file::{FileFacts, FileRole};
use crate::db::record::{
    ApiToken, ArrivedFile, Change, ChangeKind, FileRecord, IndexHoldings, IndexRecord,
    ProjectSpelling, ReleaseRecord, Serial, TokenOperation, User, UserDetails,
};
use crate::db::sql::connection::Row;
use crate::model::{IndexName, ProjectName, Recall, Sha256, Timestamp, Yanked};

/// An unsigned number as the databases' integers; none of ours come near the limit.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads columns that must exist and be valid.
pub(in crate::db) struct Reader<'a> {
    row: &'a Row,
    doing: &'static str,
}

pub(in crate::db) fn reader<'a>(row: &'a Row, doing: &'static str) -> Reader<'a> {
    Reader { row, doing }
}

impl<'a> Reader<'a> {
    pub(in crate::db) fn get<T>(&self, column: &str) -> Result<T, DbError>
    where
        T: Decode<'a, Sqlite> + Type<Sqlite> + Decode<'a, Postgres> + Type<Postgres>,
    {
        let value = match self.row {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        };
        value.map_err(|error| DbError::Corrupt {
            doing: self.doing,
            what: error.to_string(),
        })
    }

    fn wrong(&self, column: &str, found: &str) -> DbError {
        DbError::Corrupt {
            doing: self.doing,
            what: format!("{found:?} as {column}"),
        }
    }

    fn parsed<T>(&self, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, DbError> {
        let text: String = self.get(column)?;
        parse(&text).ok_or_else(|| self.wrong(column, &text))
    }

    fn parsed_if_any<T>(
        &self,
        column: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, DbError> {
        let text: Option<String> = self.get(column)?;
        let parsed = text.map(|text| parse(&text).ok_or_else(|| self.wrong(column, &text)));
        parsed.transpose()
    }

    pub(in crate::db) fn index(&self) -> Result<IndexName, DbError> {
        self.parsed("index_name", |text| IndexName::parse(text).ok())
    }

    pub(in crate::db) fn project(&self, column: &str) -> Result<ProjectName, DbError> {
        self.parsed(column, |text| ProjectName::parse(text).ok())
    }

    pub(in crate::db) fn number(&self, column: &str) -> Result<u64, DbError> {
        let number: i64 = self.get(column)?;
        u64::try_from(number).map_err(|_| self.wrong(column, &number.to_string()))
    }

    pub(in crate::db) fn instant(&self, column: &str) -> Result<Timestamp, DbError> {
        let micros: i64 = self.get(column)?;
        Timestamp::from_microsecond(micros).map_err(|_| self.wrong(column, &micros.to_string()))
    }

    fn instant_if_any(&self, column: &str) -> Result<Option<Timestamp>, DbError> {
        let micros: Option<i64> = self.get(column)?;
        micros.map(|_| self.instant(column)).transpose()
    }

    fn bytes_if_any(&self, column: &str) -> Result<Option<[u8; 32]>, DbError> {
        let bytes: Option<Vec<u8>> = self.get(column)?;
        let bytes = bytes.map(|bytes| {
            let length = format!("{} bytes", bytes.len());
            bytes.try_into().map_err(|_| self.wrong(column, &length))
        });
        bytes.transpose()
    }

    pub(in crate::db) fn bytes(&self, column: &str) -> Result<[u8; 32], DbError> {
        self.bytes_if_any(column)?
            .ok_or_else(|| self.wrong(column, "nothing"))
    }

    pub(in crate::db) fn digest_if_any(&self, column: &str) -> Result<Option<Sha256>, DbError> {
        Ok(self.bytes_if_any(column)?.map(Sha256::from_bytes))
    }

    pub(in crate::db) fn digest(&self, column: &str) -> Result<Sha256, DbError> {
        self.bytes(column).map(Sha256::from_bytes)
    }

    pub(in crate::db) fn kind(&self, column: &str) -> Result<ChangeKind, DbError> {
        self.parsed(column, ChangeKind::parse)
    }

    fn object(&self, column: &str) -> Result<Map<String, Value>, DbError> {
        self.parsed(column, |text| serde_json::from_str(text).ok())
    }
}

/// A row of `users`.
pub(super) fn user(row: &Row) -> Result<User, DbError> {
    let read = reader(row, "read a user");
    Ok(User {
        name: read.get("name")?,
        password_hash: read.get("password_hash")?,
        generation: read.number("generation")?,
        details: UserDetails {
            email: read.get("email")?,
            title: read.get("title")?,
            description: read.get("description")?,
            custom_data: read
                .parsed_if_any("custom_data", |text| serde_json::from_str(text).ok())?,
        },
        created: read.instant("created")?,
        modified: read.instant_if_any("modified")?,
    })
}

/// A row of `indexes`.
pub(super) fn index(row: &Row) -> Result<IndexRecord, DbError> {
    let read = reader(row, "read an index");
    Ok(IndexRecord {
        name: read.parsed("name", |text| IndexName::parse(text).ok())?,
        config: read.object("config")?,
        volatile: read.get("volatile")?,
        revision: Serial(read.number("revision")?),
        created: read.instant("created")?,
    })
}

/// A row of `projects`.
pub(super) fn project(row: &Row) -> Result<ProjectSpelling, DbError> {
    let read = reader(row, "list the projects of an index");
    Ok(ProjectSpelling {
        name: read.project("name")?,
        spelling: read.get("spelling")?,
    })
}

/// A row of `releases`.
pub(super) fn release(row: &Row) -> Result<ReleaseRecord, DbError> {
    let read = reader(row, "read a release");
    Ok(ReleaseRecord {
        version: read.get("version")?,
        metadata: read.object("metadata")?,
        created: read.instant("created")?,
    })
}

/// A row of `files`.
pub(super) fn file(row: &Row) -> Result<FileRecord, DbError> {
    let read = reader(row, "read a file");
    let for_file: Option<String> = read.get("for_file")?;
    Ok(FileRecord {
        index: read.index()?,
        project: read.project("project")?,
        version: read.get("version")?,
        facts: FileFacts {
            filename: read.get("filename")?,
            role: read.parsed("role", |word| FileRole::parse(word, for_file.clone()))?,
            sha256: read.digest("sha256")?,
            size: read.number("size")?,
            md5: read.get("md5")?,
            blake2b_256: read.get("blake2b_256")?,
            uploaded_at: read.instant("uploaded_at")?,
            uploader: read.get("uploader")?,
            requires_python: read.get("requires_python")?,
            metadata_sha256: read.digest_if_any("metadata_sha256")?,
            yanked: Yanked::of_text(read.get::<Option<String>>("yanked")?.as_deref()),
            log: read.parsed("log", |text| serde_json::from_str(text).ok())?,
        },
    })
}

/// A row of `files` with the time of its arrival.
pub(super) fn arrived(row: &Row) -> Result<ArrivedFile, DbError> {
    Ok(ArrivedFile {
        file: file(row)?,
        at: reader(row, "read what came to an index last").instant("arrived")?,
    })
}

/// A row of `holdings`.
pub(super) fn holdings(row: &Row) -> Result<(IndexName, IndexHoldings), DbError> {
    let read = reader(row, "read what indexes hold");
    let holdings = IndexHoldings {
        projects: read.number("projects")?,
        files: read.number("files")?,
        bytes: read.number("bytes")?,
    };
    Ok((read.index()?, holdings))
}

/// A row of `api_tokens`.
pub(super) fn api_token(row: &Row) -> Result<ApiToken, DbError> {
    let read = reader(row, "read a token");
    let operations = |text: &str| -> Option<Vec<TokenOperation>> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(TokenOperation::parse)
            .collect()
    };
    let globs = |text: String| text.split(' ').map(str::to_owned).collect();
    Ok(ApiToken {
        id: read.get("id")?,
        user: read.get("user_name")?,
        secret_hash: read.digest("secret_hash")?,
        note: read.get("note")?,
        indexes: read
            .get::<Option<String>>("index_name")?
            .map(globs)
            .unwrap_or_default(),
        operations: read.parsed("operations", operations)?,
        created: read.instant("created")?,
        expires: read.instant("expires")?,
        last_used: read.instant_if_any("last_used")?,
    })
}

/// A row of `recalls`. What cannot be read is a fault: it would be taken for nothing otherwise.
pub(super) fn recall(row: &Row) -> Result<Recall, DbError> {
    let read = reader(row, "read the recalls");
    let text: String = read.get("reason")?;
    let who: Option<String> = read.get("who")?;
    Ok(Recall {
        id: read.number("id")?,
        subject: read.parsed("subject", |text| text.parse().ok())?,
        reason: text.into(),
        who: who.map(Into::into),
        at: read.instant("at")?,
        is_kept: read.get("is_kept")?,
    })
}

/// A row of `changes`.
pub(super) fn change(row: &Row) -> Result<Change, DbError> {
    let read = reader(row, "read the change log");
    Ok(Change {
        serial: Serial(read.number("serial")?),
        at: read.instant("at")?,
        who: read.get("who")?,
        kind: read.kind("what")?,
        index: read.parsed_if_any("index_name", |text| IndexName::parse(text).ok())?,
        project: read.parsed_if_any("project", |text| ProjectName::parse(text).ok())?,
        detail: read.get("detail")?,
    })
}
