//! `check`: every fault of the configuration at once.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::CheckOptions;
use super::arguments::Sources;
use super::say;
use super::serve::environment;
use super::serve::policies_path;
use crate::clock::Clock;
use crate::config::Overrides;
use crate::config::load;
use crate::model::Fault;
use crate::policy::Expiring;
use crate::policy::Policies;

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
        Ok((loaded.warnings, policies))
    });
    let (faults, warnings) = match compiled {
        Ok((mut warnings, policies)) => {
            let expiring = policies.expiring(Clock::system().now(), EXPIRING_WITHIN);
            warnings.extend(expiring.iter().map(warning));
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

fn warning(expiring: &Expiring) -> Fault {
    let whose = match (&expiring.owner, &expiring.ticket) {
        (Some(owner), Some(ticket)) => format!(" ({owner}, {ticket})"),
        (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
        (None, None) => String::new(),
    };
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
