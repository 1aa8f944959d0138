//! What a key is: its name, what it holds, its default, and a sentence about it.
//!
//! Tables of keys are data with two readers: the walk (`fields`) takes values out of a file by them,
//! the schema (`schema`) describes them to editors. A key that is in no table cannot be read.

use serde_json::Value as Json;

use crate::model::suggest;

/// One key.
#[derive(Debug)]
pub struct YamlKey {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// The value when it is absent, as it would be written; empty if there is none.
    pub default: &'static str,
    /// One sentence, without a full stop.
    pub doc: &'static str,
}

/// The keys of one mapping, in groups that several mappings may share.
pub type Table = &'static [&'static [YamlKey]];

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// One word.
    One(Kind),
    /// Words: a list, or a single one without brackets.
    Many(Kind),
    /// The same, or one string with commas, as devpi's clients write lists.
    Commas(Kind),
    /// Words or mappings with these keys: a list, or a single one without brackets.
    ManyOr(Kind, Table),
    /// A mapping with these keys.
    Table(Table),
    /// A mapping with exactly one of these keys.
    OneOf(Table),
    /// A word, or the mapping that says more.
    Either(Kind, Table),
    /// A list.
    List(&'static Shape),
    /// A mapping whose keys the operator chooses; what they name, and the shape of their values.
    Named(&'static str, &'static Shape),
    /// A mapping whose further keys depend on one of them.
    Variants(&'static Variants),
}

/// A mapping whose keys depend on the word at one of them.
#[derive(Debug)]
pub struct Variants {
    /// That key, which is in the table of every variant.
    pub key: &'static str,
    /// The words and their tables; the first word is the default.
    pub tables: &'static [(&'static str, Table)],
}

/// What one word may say.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// With an article, as in "a duration such as 7d".
    pub wanted: fn() -> String,
    /// For editors.
    pub schema: fn() -> Json,
}

/// A type that is read from one word of a file.
pub trait Word: Sized {
    /// With an article, as in "a duration such as 7d".
    fn wanted() -> String;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, and what was probably meant.
    fn read(text: &str) -> Result<Self, Misread>;

    /// JSON Schema of the word.
    #[must_use]
    fn schema() -> Json {
        serde_json::json!({ "type": "string" })
    }
}

/// A word that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// What is wrong, with the word itself.
    pub what: String,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

impl Misread {
    /// Something is wrong.
    #[must_use]
    pub fn new(what: impl ToString) -> Self {
        Self {
            what: what.to_string(),
            hint: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A type with a few values, each with its own word.
pub trait Choice: Copy + PartialEq + 'static {
    /// All of them.
    const WORDS: &'static [(&'static str, Self)];

    /// Its word.
    #[must_use]
    fn word(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        let named = words.find(|(_, value)| *value == self);
        named.map_or("", |(word, _)| word)
    }
}

impl<T: Choice> Word for T {
    fn wanted() -> String {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let misread = Misread::new(format!("{text:?} is not {}", Self::wanted()));
        let known = T::WORDS.iter().map(|(word, _)| *word);
        Err(match suggest(&text.to_lowercase(), known) {
            Some(word) => misread.hint(format!("did you mean \"{word}\"?")),
            None => misread,
        })
    }

    fn schema() -> Json {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        serde_json::json!({ "enum": words })
    }
}

/// A key, short enough for a table.
#[must_use]
pub const fn key(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    doc: &'static str,
) -> YamlKey {
    YamlKey {
        name,
        shape,
        default,
        doc,
    }
}

/// What a `T` is read from.
#[must_use]
pub const fn kind<T: Word>() -> Kind {
    Kind {
        wanted: T::wanted,
        schema: T::schema,
    }
}

/// A key that holds one `T`.
#[must_use]
pub const fn one<T: Word>() -> Shape {
    Shape::One(kind::<T>())
}

/// A key that holds any number of `T`.
#[must_use]
pub const fn many<T: Word>() -> Shape {
    Shape::Many(kind::<T>())
}

/// A key that holds any number of `T`, in a list or with commas between.
#[must_use]
pub const fn commas<T: Word>() -> Shape {
    Shape::Commas(kind::<T>())
}

/// The keys of a table.
pub fn keys(table: Table) -> impl Iterator<Item = &'static YamlKey> {
    table.iter().flat_map(|group| group.iter())
}
