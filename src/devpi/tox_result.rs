//! The result of a test run, as `devpi test` sends it (docs/protocol/devpi.md §15): which environments ran,
//! and whether their commands succeeded.
//!
//! It is written by whoever may upload results, so it is read as far as it has this shape, and its output
//! is passed over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Most environments of one result that are told of.
const ENVIRONMENTS_MAX: usize = 50;

/// Longest name that is told, in characters.
const NAME_CHARS_MAX: usize = 60;

/// A test run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRun {
    /// The platform that it ran on, as Python calls it.
    pub platform: Option<String>,
    /// Its environments, by name.
    pub environments: Vec<TestEnvironment>,
}

/// One environment of a test run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestEnvironment {
    /// Its name, such as `py312`.
    pub name: String,
    /// What came of it.
    pub outcome: TestOutcome,
}

/// What came of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestOutcome {
    /// All of its commands succeeded.
    Passed,
    /// A command failed.
    Failed,
    /// It could not be set up.
    NotSetUp,
    /// It ran no command.
    NotRun,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    platform: Option<Value>,
    #[serde(default)]
    testenvs: BTreeMap<String, Environment>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Environment {
    setup: Vec<Command>,
    test: Vec<Command>,
}

#[derive(Deserialize)]
struct Command {
    #[serde(default)]
    retcode: Value,
}

impl Command {
    /// tox has written the exit status as a number and as a text.
    fn succeeded(&self) -> bool {
        match &self.retcode {
            Value::Number(number) => number.as_i64() == Some(0),
            Value::String(text) => text.trim() == "0",
            _ => false,
        }
    }
}

impl TestRun {
    /// Reads a result; `None` if it has another shape.
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(json).ok()?;
        let environments = document.testenvs.into_iter().take(ENVIRONMENTS_MAX);
        let environments = environments.map(|(name, environment)| TestEnvironment {
            name: name.chars().take(NAME_CHARS_MAX).collect(),
            outcome: environment.outcome(),
        });
        let platform = document.platform.as_ref().and_then(Value::as_str);
        Some(Self {
            platform: platform.map(|name| name.chars().take(NAME_CHARS_MAX).collect()),
            environments: environments.collect(),
        })
    }
}

impl Environment {
    fn outcome(&self) -> TestOutcome {
        if !self.setup.iter().all(Command::succeeded) {
            TestOutcome::NotSetUp
        } else if self.test.is_empty() {
            TestOutcome::NotRun
        } else if self.test.iter().all(Command::succeeded) {
            TestOutcome::Passed
        } else {
            TestOutcome::Failed
        }
    }
}

impl TestOutcome {
    /// In a word or two.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotSetUp => "could not be set up",
            Self::NotRun => "ran nothing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Option<Vec<String>> {
        let run = TestRun::read(json.as_bytes())?;
        let told = |one: &TestEnvironment| format!("{}: {}", one.name, one.outcome.words());
        Some(run.environments.iter().map(told).collect())
    }

    #[test]
    fn what_came_of_each_environment_is_told() {
        let json = r#"{"platform": "linux", "toxversion": "4", "testenvs": {
            "py312": {"setup": [{"retcode": 0, "output": "x"}], "test": [{"retcode": 0}, {"retcode": "0"}]},
            "py313": {"test": [{"retcode": 0}, {"retcode": 1}], "python": {"version": "3.13"}},
            "docs": {"setup": [{"retcode": "2"}], "test": []},
            "lint": {}
        }}"#;
        let expected = [
            "docs: could not be set up",
            "lint: ran nothing",
            "py312: passed",
            "py313: failed",
        ];
        assert_eq!(told(json).unwrap(), expected);
        let run = TestRun::read(json.as_bytes()).unwrap();
        assert_eq!(run.platform.as_deref(), Some("linux"));
    }

    #[test]
    fn other_shapes_are_no_results() {
        for json in [
            "",
            "1",
            "{",
            r#"{"testenvs": []}"#,
            r#"{"testenvs": {"a": 1}}"#,
        ] {
            assert_eq!(told(json), None, "{json}");
        }
        assert_eq!(told("{}").unwrap(), [""; 0]);
        let long = format!(r#"{{"testenvs": {{"{}": {{}}}}}}"#, "é".repeat(999));
        assert!(told(&long).unwrap()[0].chars().count() < 99);
    }
}
