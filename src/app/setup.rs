//! What a command is given: where the configuration is, what flags say, and the environment.

use crate::config::{
    AsksPip, FoundIndex, Loaded, Named, Overrides, PoliciesPath, discover, load, load_noting,
    load_what_can_be,
};
use crate::language::IndexDocument;
use crate::model::Faults;

/// Reads the environment; `config` decides which names count.
pub type Environment = fn(&str) -> Option<String>;

/// Everything that the configuration is put together from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where the policies are.
    pub policies: PoliciesPath,
    /// What the flags say.
    pub overrides: Overrides,
    /// The environment.
    pub env: Environment,
}

impl Setup {
    /// Reads it all.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn load(&self) -> Result<Loaded, Faults> {
        load(&self.policies, &self.overrides, &self.env)
    }

    pub(super) fn load_noting(&self, named: &mut Named) -> Result<Loaded, Faults> {
        load_noting(&self.policies, &self.overrides, &self.env, named)
    }

    /// Reads what can be read of it, and says what is wrong with the rest.
    pub fn load_what_can_be(&self, named: &mut Named) -> (Loaded, Faults) {
        load_what_can_be(&self.policies, &self.overrides, &self.env, named)
    }

    /// Gives mirrors without a URL their upstream: the one that is `known` from before, or the index that
    /// pip on this machine uses. A mirror in the records can do without, and tells its clients so.
    pub(super) fn give_upstream(
        &self,
        loaded: &mut Loaded,
        stored: &[IndexDocument],
        known: Option<&FoundIndex>,
    ) -> Result<(), Faults> {
        let asks = loaded.asks_pip(stored);
        if asks == AsksPip::No || loaded.found.is_some() {
            return Ok(());
        }
        let found = match known {
            Some(found) => Ok(found.clone()),
            None => discover(&loaded.config, &self.env).inspect(say_found),
        };
        match found {
            Ok(found) => loaded.set_upstream(found),
            Err(fault) if asks == AsksPip::IfAny => {
                tracing::warn!("root/pypi of the records has no upstream: {fault}");
            }
            Err(fault) => return Err(Faults(vec![fault])),
        }
        Ok(())
    }
}

/// Logs which index pip's stands for, and where it was named.
fn say_found(found: &FoundIndex) {
    tracing::info!(origin = found.origin.as_str(), "upstream found: {found}");
}
