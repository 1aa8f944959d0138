//! The environment, as far as configuration is read from it.

/// How the environment is read; an empty variable counts as unset.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable, unless it is empty: compose files leave variables empty that they do not set.
pub(super) fn variable(env: Environment<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}
