//! The command line of a bench: rounds, seconds, and words that choose among what it measures.

use anyhow::bail;

/// Most rounds and most seconds: an hour of either is a slip of the fingers.
const NUMBER_MAX: u32 = 600;

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arguments {
    /// Parts of names; none means all.
    pub(crate) wanted: Vec<String>,
    pub(crate) rounds: usize,
    /// Seconds of load in a turn; whole ones, since wrk knows no others.
    pub(crate) seconds: u32,
    /// Whether the figures are too short to be trusted.
    pub(crate) quick: bool,
    /// The bench's own switches that were given.
    pub(crate) switches: Vec<String>,
}

impl Arguments {
    /// As of a run without arguments.
    pub(crate) fn usual(rounds: usize, seconds: u32) -> Self {
        Self {
            wanted: Vec::new(),
            rounds,
            seconds,
            quick: false,
            switches: Vec::new(),
        }
    }

    /// Reads the arguments, `switches` being the bench's own; nothing when help was asked for.
    pub(crate) fn read(
        mut self,
        mut arguments: impl Iterator<Item = String>,
        switches: &[&str],
    ) -> anyhow::Result<Option<Self>> {
        while let Some(argument) = arguments.next() {
            let mut number = || -> anyhow::Result<u32> {
                let value = arguments.next().unwrap_or_default();
                match value.parse::<u32>() {
                    Ok(number @ 1..=NUMBER_MAX) => Ok(number),
                    _ => bail!("{argument} wants a number from 1 to {NUMBER_MAX}, not {value:?}"),
                }
            };
            match argument.as_str() {
                // cargo adds it.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--quick" => (self.rounds, self.seconds, self.quick) = (1, 1, true),
                "--rounds" => self.rounds = number()? as usize,
                "--seconds" => self.seconds = number()?,
                own if switches.contains(&own) => self.switches.push(argument),
                unknown if unknown.starts_with('-') => bail!("no such option: {unknown}"),
                name => self.wanted.push(name.to_lowercase()),
            }
        }
        Ok(Some(self))
    }

    /// Whether something of this name is wanted: any wanted word is part of it.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.wanted.is_empty() || self.wanted.iter().any(|word| name.contains(word))
    }
}
