//! What may pass, decided by compiled rules that can say who wrote them.

mod document;
pub mod read;

pub use document::{
    Document, Effect, IndexDocument, IndexKindDocument, Matchers, MirrorDocument, Mode,
    NamePattern, OnBlock, Placed, PolicyDocument, Quarantined, RuleDocument, SecretSource,
    StageDocument, TextFile, Undated, WhitelistInheritance, WhitelistName,
};
