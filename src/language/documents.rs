//! The documents of indexes, and all documents of one file together.

use std::sync::Arc;

use crate::advisory::Advisories;
use crate::language::ask_link::AskLink;
use crate::language::document::{Placed, PolicyDocument, SecretSource};
use crate::language::feed::Feed;
use crate::language::setting::{About, CommonDocument, MirrorDocument, StageDocument};
use crate::model::IndexName;

/// The keys of all files that concern indexes and policies.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// `indexes:`
    pub indexes: Vec<IndexDocument>,
    /// `policies:`
    pub policies: Vec<PolicyDocument>,
    /// `default_index:`
    pub default_index: Option<Placed<IndexName>>,
    /// `advisories:`, what its files and folders say.
    pub advisories: Vec<Placed<Arc<Advisories>>>,
    /// `advisories:`, what is fetched.
    pub feeds: Vec<Feed>,
    /// `refusals.ask:`
    pub ask: Option<Placed<Arc<AskLink>>>,
}

/// One entry of `indexes:`, or one index made through the devpi API.
#[derive(Debug, Clone)]
pub struct IndexDocument {
    /// `user/index`.
    pub name: Placed<IndexName>,
    /// `type`, and what is particular to it.
    pub kind: IndexKindDocument,
    /// What any index may set.
    pub settings: CommonDocument,
}

/// What is particular to a stage or a mirror.
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and most are mirrors or read once"
)]
#[derive(Debug, Clone)]
pub enum IndexKindDocument {
    /// Takes uploads and inherits.
    Stage(StageDocument),
    /// Has an upstream.
    Mirror(MirrorDocument),
}

impl IndexDocument {
    /// An index with nothing set that any index may set.
    #[must_use]
    pub fn bare(name: Placed<IndexName>, kind: IndexKindDocument) -> Self {
        Self {
            name,
            kind,
            settings: CommonDocument::default(),
        }
    }

    /// What its settings' defaults depend on.
    #[must_use]
    pub fn about(&self) -> About<'_> {
        About {
            name: &self.name.value,
            is_mirror: matches!(self.kind, IndexKindDocument::Mirror(_)),
        }
    }
}

impl MirrorDocument {
    /// Where the password for upstream is kept.
    #[must_use]
    pub fn password(&self) -> Option<Placed<SecretSource>> {
        let variable = self.password_env().cloned();
        let variable = variable.map(|name| name.map(SecretSource::Environment));
        let file = || self.password_file().cloned();
        variable.or_else(|| Some(file()?.map(SecretSource::File)))
    }
}
