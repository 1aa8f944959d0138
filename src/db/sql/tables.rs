//! The tables with their columns: what is brought over when records move. A test compares them with the
//! schema that each database has.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Kind {
    Text,
    Integer,
    Bytes,
    Truth,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(in crate::db) struct Column {
    pub(in crate::db) name: &'static str,
    pub(in crate::db) kind: Kind,
}

/// A table, its columns led by those of its key.
#[derive(Debug)]
pub(in crate::db) struct Table {
    pub(in crate::db) name: &'static str,
    key: usize,
    pub(in crate::db) columns: &'static [Column],
}

/// The statements of a table.
pub(super) struct TableText {
    pub(super) name: &'static str,
    /// How many of the columns are its key.
    pub(super) key: usize,
    pub(super) columns: &'static [Column],
    /// Any row.
    pub(super) first: String,
    /// The first rows, at most `$1`.
    pub(super) begin: String,
    /// The rows after a key, at most as many as the last place says.
    pub(super) after: String,
    /// Adds a row.
    pub(super) insert: String,
}

const fn text(name: &'static str) -> Column {
    let kind = Kind::Text;
    Column { name, kind }
}

const fn integer(name: &'static str) -> Column {
    let kind = Kind::Integer;
    Column { name, kind }
}

const fn bytes(name: &'static str) -> Column {
    let kind = Kind::Bytes;
    Column { name, kind }
}

const fn truth(name: &'static str) -> Column {
    let kind = Kind::Truth;
    Column { name, kind }
}

/// All tables but `server`, and `holdings`, which the databases keep themselves; in an order in which what a row refers to comes before it.
#[rustfmt::skip] // a table reads by rows
pub(in crate::db) const TABLES: [Table; 9] = [
    Table { name: "changes", key: 1, columns: &[
        integer("serial"), integer("at"), text("who"), text("what"), text("index_name"),
        text("project"), text("detail"),
    ] },
    Table { name: "users", key: 1, columns: &[
        text("name"), text("password_hash"), integer("generation"), text("email"), text("title"),
        text("description"), text("custom_data"), integer("created"), integer("modified"),
    ] },
    Table { name: "indexes", key: 1, columns: &[
        text("name"), text("user_name"), truth("volatile"), text("config"), integer("revision"),
        integer("created"),
    ] },
    Table { name: "projects", key: 2, columns: &[
        text("index_name"), text("name"), text("spelling"),
    ] },
    Table { name: "releases", key: 3, columns: &[
        text("index_name"), text("project"), text("version"), text("metadata"), integer("created"),
        text("normalised"),
    ] },
    Table { name: "files", key: 3, columns: &[
        text("index_name"), text("project"), text("filename"), text("version"), text("role"),
        text("for_file"), bytes("sha256"), integer("size"), text("md5"), text("blake2b_256"),
        integer("uploaded_at"), text("uploader"), text("requires_python"), bytes("metadata_sha256"),
        text("yanked"), text("log"), integer("arrived_at"),
    ] },
    Table { name: "deleted_files", key: 3, columns: &[
        text("index_name"), bytes("sha256"), text("filename"),
    ] },
    Table { name: "api_tokens", key: 1, columns: &[
        text("id"), text("user_name"), bytes("secret_hash"), text("note"), text("index_name"),
        text("operations"), integer("created"), integer("expires"), integer("last_used"),
    ] },
    Table { name: "recalls", key: 1, columns: &[
        integer("id"), text("subject"), text("reason"), text("who"), integer("at"), truth("is_kept"),
    ] },
];

impl Table {
    pub(super) fn text(&self) -> TableText {
        let names = |columns: &[Column]| {
            let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
            names.join(", ")
        };
        let places = |count: usize| {
            let places: Vec<String> = (1..=count).map(|place| format!("${place}")).collect();
            places.join(", ")
        };
        let (name, all, key) = (
            self.name,
            names(self.columns),
            names(&self.columns[..self.key]),
        );
        let (keys, values) = (places(self.key), places(self.columns.len()));
        let last = self.key + 1;
        TableText {
            name,
            key: self.key,
            columns: self.columns,
            first: format!("SELECT 1 AS n FROM {name} LIMIT 1"),
            begin: format!("SELECT {all} FROM {name} ORDER BY {key} LIMIT $1"),
            after: format!(
                "SELECT {all} FROM {name} WHERE ({key}) > ({keys}) ORDER BY {key} LIMIT ${last}"
            ),
            insert: format!("INSERT INTO {name} ({all}) VALUES ({values})"),
        }
    }
}
