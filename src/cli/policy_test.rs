//! `test`: runs the tests of policies that operators write beside them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::output::{OutputOptions, code, say, say_error, say_json};
use crate::cli::sources::{environment, policies_path};
use crate::clock::Clock;
use crate::config::{
    Loaded, Named, Overrides, PoliciesPath, configuration_files, load_what_can_be,
};
use crate::feed::give_held;
use crate::language::WhenStale;
use crate::model::{Fault, Faults, Location, Timestamp};
use crate::policy::Policies;
use crate::trial::{Bench, CaseFile, Difference};

/// The folder beside the configuration in which tests are looked for.
const FOLDER: &str = "tests";

#[derive(Debug, Args)]
pub(super) struct TestOptions {
    /// Files of tests, or folders of them (default: the folder tests beside the configuration).
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The configuration to test, whatever the files name: a YAML file or a folder of them.
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
}

/// The outcome of all tests.
#[derive(Debug, Default)]
struct Outcomes {
    passed: usize,
    differences: Vec<Difference>,
    files: Vec<PathBuf>,
}

pub(super) fn run(options: &TestOptions) -> anyhow::Result<ExitCode> {
    let files = files_of_tests(options)?;
    let mut tested = Tested {
        named: options.policies.clone(),
        now: Clock::system().now(),
        read: HashMap::new(),
    };
    let mut outcomes = Outcomes::default();
    let mut faults = Faults::default();
    for path in files {
        if let Err(Faults(found)) = tested.run_file(&path, &mut outcomes)? {
            faults.0.extend(found);
        }
        outcomes.files.push(path);
    }
    if let Err(faults) = faults.or(()) {
        say_error(&faults.to_string());
        return Ok(ExitCode::from(2));
    }
    if options.output.json {
        say_json(&outcomes.as_json())?;
    } else {
        outcomes.print()?;
    }
    Ok(code(outcomes.differences.is_empty()))
}

fn files_of_tests(options: &TestOptions) -> anyhow::Result<Vec<PathBuf>> {
    let mut named = options.files.clone();
    if named.is_empty() {
        let source = policies_path(options.policies.as_ref());
        let asked = source.resolve(&environment).unwrap_or_default();
        let beside = if asked.is_dir() {
            asked
        } else {
            asked.parent().unwrap_or(Path::new("")).to_owned()
        };
        let folder = beside.join(FOLDER);
        if !folder.is_dir() {
            let folder = folder.display();
            anyhow::bail!("there is no folder {folder}: name the files of tests");
        }
        named.push(folder);
    }
    let mut files = Vec::new();
    for path in named {
        let found = configuration_files(&path);
        files.extend(found.map_err(|fault| anyhow::anyhow!("{fault}"))?);
    }
    Ok(files)
}

/// The configurations that files of tests name, each read once.
struct Tested {
    /// The one that the command line names.
    named: Option<PathBuf>,
    now: Timestamp,
    read: HashMap<Option<PathBuf>, Result<(Loaded, Policies), Faults>>,
}

impl Tested {
    /// Runs the tests of a file; the inner error is what is wrong with it or with what it tests.
    fn run_file(
        &mut self,
        path: &Path,
        outcomes: &mut Outcomes,
    ) -> anyhow::Result<Result<(), Faults>> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
        let file = match CaseFile::read(&shown, &text) {
            Ok(file) => file,
            Err(faults) => return Ok(Err(faults)),
        };
        let named = file.policies.as_ref();
        let beside = named.map(|named| found_beside(path, &named.value));
        let asked = self.named.clone().or(beside);
        let now = self.now;
        let read = self.read.entry(asked);
        let read = read.or_insert_with_key(|asked| load(asked.as_ref()));
        let (loaded, policies) = match read {
            Ok(read) => read,
            Err(faults) => return Ok(Err(faults.clone())),
        };
        let bench = Bench {
            policies,
            documents: &loaded.documents,
            now,
        };
        let mut faults = Faults::default();
        for case in &file.cases {
            match case.run(&bench) {
                Ok(None) => outcomes.passed += 1,
                Ok(Some(difference)) => outcomes.differences.push(difference),
                Err(fault) => faults.push(fault),
            }
        }
        Ok(faults.or(()))
    }
}

/// A path that a file names, as somebody in this folder would write it.
fn found_beside(file: &Path, named: &Path) -> PathBuf {
    let path = file.parent().unwrap_or(Path::new("")).join(named);
    let Ok(whole) = path.canonicalize() else {
        return path;
    };
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let here = here.unwrap_or_default();
    match whole.strip_prefix(&here) {
        Ok(inside) => inside.to_owned(),
        Err(_) => path,
    }
}

fn load(named: Option<&PathBuf>) -> Result<(Loaded, Policies), Faults> {
    let source = policies_path(named);
    if let PoliciesPath::Default { .. } = source
        && source.resolve(&environment).is_none()
    {
        let asked = source.asked(&environment);
        let what = format!("there is no {} to test", asked.display());
        let hint = "name it in the file of tests, as policies: PATH, or with --policies";
        return Err(Faults(vec![Fault::nowhere(what).hint(hint)]));
    }
    let overrides = Overrides::default();
    let (mut loaded, read) =
        load_what_can_be(&source, &overrides, &environment, &mut Named::default());
    loaded.all_faults(read, &[]).or(())?;
    // A test states what is known against a release; how old a feed is on this machine is not its subject.
    let (data, limits) = (&loaded.config.data, &loaded.config.limits.feed);
    give_held(&mut loaded.documents, data, limits);
    for feed in loaded.documents.iter_mut().flat_map(|one| &mut one.feeds) {
        feed.stale = WhenStale::Allow;
    }
    let policies = Policies::compile(&loaded.documents, &[])?;
    Ok((loaded, policies))
}

impl Outcomes {
    fn print(&self) -> std::io::Result<()> {
        for difference in &self.differences {
            say(&difference.to_string())?;
        }
        let files = match self.files.as_slice() {
            [file] => file.display().to_string(),
            files => format!("{} files", files.len()),
        };
        match self.differences.len() {
            0 => say(&format!("{} passed in {files}", counted(self.passed))),
            failed => say(&format!(
                "{failed} of {} failed in {files}",
                counted(self.passed + failed)
            )),
        }
    }

    fn as_json(&self) -> Value {
        let place = |place: &Location| format!("{}:{}", place.file, place.line);
        let one = |difference: &Difference| {
            json!({
                "file": &*difference.location.file,
                "line": difference.location.line,
                "name": difference.name,
                "given": difference.subject,
                "expected": difference.expected,
                "found": difference.found,
                "rule": difference.rule,
                "location": difference.place.as_ref().map(place),
            })
        };
        json!({
            "passed": self.passed,
            "failed": self.differences.iter().map(one).collect::<Vec<_>>(),
            "files": self.files,
        })
    }
}

fn counted(tests: usize) -> String {
    match tests {
        1 => "1 test".to_owned(),
        more => format!("{more} tests"),
    }
}
