//! `check`: every fault of the configuration at once.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::CheckOptions;
use super::arguments::Sources;
use super::say;
use super::serve::environment;
use super::serve::policies_path;
use crate::clock::Clock;
use crate::config::{Listen, Loaded, Overrides, Undeclared, load, loops};
use crate::model::{Fault, Timestamp};
use crate::policy::{Expiring, Exposure, Policies, advice};

/// Waivers that end within this time are shown (product.md §5).
const EXPIRING_WITHIN: Duration = Duration::from_hours(14 * 24);

pub(super) fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let sources = Sources {
        policies: options.policies.clone(),
        data: None,
    };
    let path = policies_path(&sources);
    let read = load(&path, &Overrides::default(), &environment);
    let compiled = read.and_then(|loaded| {
        let policies = Policies::compile(&loaded.documents, &[])?;
        let advice = advice_on(&loaded, &policies, Clock::system().now());
        Ok((loaded.warnings, advice))
    });
    let (faults, warnings) = match compiled {
        Ok((mut warnings, advice)) => {
            warnings.extend(advice);
            (Vec::new(), warnings)
        }
        Err(faults) => (faults.0, Vec::new()),
    };
    let is_bad = !faults.is_empty() || (options.strict && !warnings.is_empty());
    if options.json {
        say(&as_json(&faults, &warnings)?)?;
    } else {
        for fault in &faults {
            say(&fault.to_string())?;
        }
        for warning in &warnings {
            say(&format!("warning: {warning}"))?;
        }
        if faults.is_empty() && warnings.is_empty() {
            say("no faults")?;
        }
    }
    Ok(if is_bad {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// What is written without a fault and deserves a second look.
fn advice_on(loaded: &Loaded, policies: &Policies, now: Timestamp) -> Vec<Fault> {
    let config = &loaded.config;
    let exposure = Exposure {
        has_public_door: config.listen.public != Listen::Off,
        passes_undeclared: config
            .devpi
            .as_ref()
            .is_some_and(|devpi| devpi.undeclared == Undeclared::Pass),
    };
    let mut found = advice(&loaded.documents, policies, now, exposure);
    found.extend(loops(loaded));
    let expiring = policies.expiring(now, EXPIRING_WITHIN);
    found.extend(expiring.iter().map(warning));
    found.sort();
    found
}

fn warning(expiring: &Expiring) -> Fault {
    let whose = expiring.whose();
    let (policy, words, until) = (&expiring.policy, &expiring.words, expiring.until);
    Fault::at(
        &expiring.location,
        format!("{words} of policy {policy} ends at {until}{whose}"),
    )
}

fn as_json(faults: &[Fault], warnings: &[Fault]) -> serde_json::Result<String> {
    let one = |fault: &Fault| {
        serde_json::json!({
            "file": fault.location.as_ref().map(|location| location.file.to_string()),
            "line": fault.location.as_ref().map(|location| location.line),
            "column": fault.location.as_ref().map(|location| location.column),
            "what": fault.what,
            "hint": fault.hint,
        })
    };
    let all = |faults: &[Fault]| faults.iter().map(one).collect::<Vec<_>>();
    serde_json::to_string_pretty(&serde_json::json!({
        "faults": all(faults),
        "warnings": all(warnings),
    }))
}
