//! The command line, and the scenarios it can name.

use anyhow::bail;

use super::hot::Hot;
use super::outage::Outage;
use crate::rig::arguments::Arguments;

/// Rounds of an ordinary run: a median of five withstands two disturbed ones.
const ROUNDS: usize = 5;

/// Seconds of load per server and round; whole ones, since wrk accepts no others.
const SECONDS: u32 = 2;

const CALIBRATE: &str = "--calibrate";

/// What was requested.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    /// Whether the figures are too short to be trusted.
    pub(crate) quick: bool,
    /// Replaces cheesecloth with a second nginx: shows what the method itself makes of equals.
    pub(crate) calibrate: bool,
    arguments: Arguments,
}

/// One thing that is measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scenario {
    /// An answer that both servers have ready.
    Hot(Hot),
    /// The four forms of the small page as one figure.
    SmallPages,
    /// The small page under a large policy, compared with the same page under none.
    Policy,
    /// The small pages by two serving threads, compared with two workers and with one thread.
    TwoCores,
    /// How long the slowest of a hundred answers takes at 70 % of nginx's full load.
    Paced,
    /// Cached content, while the upstream does not answer.
    Outage(Outage),
    /// A page that nobody has requested yet, upstream 30 ms away.
    ColdPage,
    /// The same with 2 MB.
    ColdLargePage,
    /// The names of all projects, for the first time.
    ProjectList,
    /// 100 MB that nobody has requested yet.
    ColdFile {
        /// How many clients request it at the same time.
        clients: usize,
    },
    /// Thousands of files that nobody has requested yet, by many clients.
    ManyFiles,
    /// `uv pip install` of 100 packages.
    Closure,
    /// The same with empty caches and the upstream 30 ms away.
    ColdClosure {
        /// If false, uv only resolves what would be installed.
        install: bool,
    },
    /// Uploads into large projects, and their page after each.
    Uploads,
    /// Resident memory after the whole project list and 5,000 pages.
    Memory,
    /// From start to ready with 100,000 files in the cache.
    Start,
}

impl Scenario {
    /// Every scenario, in the order of the table.
    pub(crate) fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Hot::all().into_iter().map(Self::Hot).collect();
        all.extend([Self::SmallPages, Self::Policy, Self::TwoCores, Self::Paced]);
        all.extend(Outage::all().map(Self::Outage));
        all.extend([
            Self::ColdPage,
            Self::ColdLargePage,
            Self::ProjectList,
            Self::ColdFile { clients: 1 },
            Self::ColdFile { clients: 32 },
            Self::ManyFiles,
            Self::Closure,
            Self::ColdClosure { install: false },
            Self::ColdClosure { install: true },
            Self::Uploads,
            Self::Memory,
            Self::Start,
        ]);
        all
    }

    /// Its name, for the command line and the table.
    pub(crate) fn name(&self) -> String {
        let name = match self {
            Self::Hot(hot) => return hot.name(),
            Self::Outage(outage) => return outage.name(),
            Self::ColdFile { clients: 1 } => "cold 100 MB file, 1 client",
            Self::ColdFile { clients } => return format!("cold 100 MB file, {clients} clients"),
            Self::SmallPages => "small page, median of the four forms",
            Self::Policy => "small page, 100,000 whitelist entries and 50 rules",
            Self::TwoCores => "two cores",
            Self::Paced => "small page, p99 at 70 % of nginx's full load",
            Self::ColdPage => "cold page, added to upstream's 30 ms",
            Self::ColdLargePage => "cold 2 MB page, added to upstream's 30 ms",
            Self::ProjectList => "project list of 932,088 names, first time",
            Self::ManyFiles => "20,000 cold files, 200 clients",
            Self::Closure => "uv pip install, closure of 100 packages",
            Self::ColdClosure { install: false } => "uv pip compile, cold, upstream 30 ms away",
            Self::ColdClosure { install: true } => "uv pip install, cold, upstream 30 ms away",
            Self::Uploads => "upload into a large project",
            Self::Memory => "resident memory, root list and 5,000 pages",
            Self::Start => "start with 100,000 cached files",
        };
        name.to_owned()
    }

    /// Whether two servers answer the same, so that a second nginx can stand in.
    fn can_calibrate(&self) -> bool {
        matches!(self, Self::Hot(_) | Self::SmallPages | Self::Paced)
    }
}

impl Options {
    /// Reads the arguments; `None` if help was requested.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let usual = Arguments::usual(ROUNDS, SECONDS);
        let Some(arguments) = usual.read(arguments, &[CALIBRATE])? else {
            return Ok(None);
        };
        let options = Self {
            rounds: arguments.rounds,
            seconds: arguments.seconds,
            quick: arguments.quick,
            calibrate: arguments.switches.iter().any(|switch| switch == CALIBRATE),
            arguments,
        };
        if !Scenario::all()
            .iter()
            .any(|scenario| options.wants(scenario))
        {
            bail!(
                "no scenario is called {:?}",
                options.arguments.wanted.join(" ")
            );
        }
        Ok(Some(options))
    }

    /// Whether a scenario is to be measured: any requested word is part of its name.
    pub(crate) fn wants(&self, scenario: &Scenario) -> bool {
        let named = self.arguments.wants(&scenario.name());
        named && (!self.calibrate || scenario.can_calibrate())
    }
}

/// The help text.
pub(crate) fn help() -> String {
    let mut text =
        "cargo bench --bench side_by_side -- [OPTIONS] [PART OF A SCENARIO'S NAME]...\n\n\
        \x20 --quick        one round of one second: shows that it works, proves nothing\n\
        \x20 --rounds N     rounds per scenario (5)\n\
        \x20 --seconds S    seconds of load per server and round (2)\n\
        \x20 --calibrate    nginx against a second nginx: what the method makes of equals\n\n\
        scenarios:\n"
            .to_owned();
    for scenario in Scenario::all() {
        text.push_str("  ");
        text.push_str(&scenario.name());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> anyhow::Result<Option<Options>> {
        Options::read(arguments.iter().map(|text| (*text).to_owned()))
    }

    fn wanted(arguments: &[&str]) -> Vec<String> {
        let options = read(arguments).unwrap().unwrap();
        let all = Scenario::all().into_iter();
        all.filter(|scenario| options.wants(scenario))
            .map(|scenario| scenario.name())
            .collect()
    }

    #[test]
    fn without_arguments_everything_is_measured_properly() {
        let options = read(&["--bench"]).unwrap().unwrap();
        assert_eq!(
            (options.rounds, options.seconds, options.quick),
            (ROUNDS, SECONDS, false)
        );
        assert_eq!(wanted(&[]).len(), Scenario::all().len());
    }

    #[test]
    fn parts_of_names_choose() {
        assert_eq!(
            wanted(&["cold", "START"]),
            [
                "cold page, added to upstream's 30 ms",
                "cold 2 MB page, added to upstream's 30 ms",
                "cold 100 MB file, 1 client",
                "cold 100 MB file, 32 clients",
                "20,000 cold files, 200 clients",
                "uv pip compile, cold, upstream 30 ms away",
                "uv pip install, cold, upstream 30 ms away",
                "start with 100,000 cached files",
            ]
        );
    }

    #[test]
    fn names_are_different() {
        let mut names = wanted(&[]);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Scenario::all().len());
    }

    #[test]
    fn calibration_leaves_out_what_only_we_do() {
        assert!(
            wanted(&["--calibrate"])
                .iter()
                .all(|name| !name.starts_with("cold"))
        );
        assert!(read(&["--calibrate", "start"]).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [
            &["--fast"][..],
            &["no such scenario"],
            &["--rounds"],
            &["--rounds", "0"],
            &["--seconds", "0.5"],
            &["--seconds", "601"],
        ] {
            assert!(read(arguments).is_err(), "{arguments:?}");
        }
        assert_eq!(read(&["--help"]).unwrap(), None);
    }
}
