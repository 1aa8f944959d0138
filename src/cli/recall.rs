//! `recall`: nobody may have it any longer, and who has it already.
//!
//! A running server is asked through its management door. Where none answers, the records of the data
//! directory are written instead; a server that runs on them all the same follows within a second.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::app::RecallDrawer;
use crate::cli::output::{OutputOptions, say, say_error, say_json};
use crate::cli::running::{Running, RunningOptions};
use crate::cli::sources::Sources;
use crate::config::Named;
use crate::db::NewRecall;
use crate::model::RecallSubject;
use crate::writer::recall_reason;

#[derive(Debug, Args)]
pub(super) struct RecallOptions {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    running: RunningOptions,
    /// What: name==1.2.3 (or other specifiers), a whole project, the name of a file, or sha256:HEX. With
    /// --undo also the number of a recall.
    #[arg(value_name = "WHAT", required_unless_present = "list")]
    what: Option<String>,
    /// Why, for everybody whose installation stops.
    #[arg(long, required_unless_present_any = ["list", "undo"])]
    reason: Option<String>,
    /// Set bytes that came from upstream aside, to be examined, instead of removing them.
    #[arg(long)]
    keep: bool,
    /// List what is recalled.
    #[arg(long, conflicts_with_all = ["what", "reason", "keep", "undo"])]
    list: bool,
    /// Withdraw a recall.
    #[arg(long, conflicts_with_all = ["reason", "keep"])]
    undo: bool,
    #[command(flatten)]
    output: OutputOptions,
}

/// What is to be done.
enum Wanted {
    Recall(NewRecall),
    List,
    Undo(String),
}

pub(super) fn run(options: &RecallOptions) -> anyhow::Result<ExitCode> {
    let wanted = Wanted::of(options)?;
    let told = match ask_server(options, &wanted)? {
        Ok(told) => told,
        Err(absent) => here(options, wanted, &absent)?,
    };
    if options.output.json {
        say_json(&told)?;
    } else if options.list {
        print_list(&told)?;
    } else if options.undo {
        print_undone(&told)?;
    } else {
        print_recalled(&told)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Wanted {
    fn of(options: &RecallOptions) -> anyhow::Result<Self> {
        let what = options.what.as_deref().unwrap_or_default();
        if options.list {
            return Ok(Self::List);
        }
        if options.undo {
            return Ok(Self::Undo(what.to_owned()));
        }
        let reason = options.reason.as_deref().unwrap_or_default();
        Ok(Self::Recall(NewRecall {
            subject: what.parse::<RecallSubject>()?,
            reason: recall_reason(reason).map_err(anyhow::Error::msg)?,
            is_kept: options.keep,
        }))
    }

    fn path(&self) -> &'static str {
        match self {
            Self::Recall(_) => "+recall",
            Self::List => "+recall/list",
            Self::Undo(_) => "+recall/undo",
        }
    }

    fn object(&self) -> Value {
        match self {
            Self::Recall(new) => {
                let what = new.subject.to_string();
                json!({ "what": what, "reason": new.reason, "keep": new.is_kept })
            }
            Self::List => json!({}),
            Self::Undo(what) => json!({ "what": what }),
        }
    }
}

/// What the server says; the inner error says why there is none.
fn ask_server(
    options: &RecallOptions,
    wanted: &Wanted,
) -> anyhow::Result<Result<Value, anyhow::Error>> {
    // Policies that are being edited must not stand in the way; only the doors count here.
    let setup = options.sources.setup();
    let (loaded, _) = setup.load_what_can_be(&mut Named::default());
    let is_named = options.running.url.is_some();
    let running = match Running::of(&loaded.config, &options.running) {
        Ok(running) => running,
        Err(error) if is_named => return Err(error),
        Err(error) => return Ok(Err(error)),
    };
    match running.post(wanted.path(), Some(&wanted.object())) {
        Ok(answered) if answered.is_done => Ok(Ok(answered.result().clone())),
        Ok(answered) => anyhow::bail!("{}", answered.message()),
        Err(error) if !is_named && is_absent(&error) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Whether a request failed because nobody accepts connections there.
fn is_absent(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let cause = cause.downcast_ref::<reqwest::Error>();
        cause.is_some_and(reqwest::Error::is_connect)
    })
}

/// The same in the data directory.
fn here(options: &RecallOptions, wanted: Wanted, absent: &anyhow::Error) -> anyhow::Result<Value> {
    let drawer = RecallDrawer::open(&options.sources.setup());
    let drawer =
        drawer.map_err(|error| anyhow::anyhow!("{absent:#}; and without one: {error:#}"))?;
    if drawer.is_served() {
        say_error(
            "a server runs on the same data and follows within a second: its management door was not asked",
        );
    }
    match wanted {
        Wanted::Recall(new) => drawer.recall(&new),
        Wanted::List => drawer.list(),
        Wanted::Undo(what) => drawer.undo(&what),
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or_default()
}

/// `1 file`, `2 files`.
fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn print_list(told: &Value) -> std::io::Result<()> {
    for recall in list(told) {
        let who = recall["who"].as_str().unwrap_or("-");
        let kept = if recall["keep"] == true { "  kept" } else { "" };
        say(&format!(
            "{}  {}  {}  {who}  {}{kept}",
            text(recall, "rule"),
            text(recall, "what"),
            text(recall, "at"),
            one_line(text(recall, "reason")),
        ))?;
    }
    Ok(())
}

fn print_undone(told: &Value) -> std::io::Result<()> {
    let (recall, back) = (&told["undone"], &told["back"]);
    let (rule, what) = (text(recall, "rule"), text(recall, "what"));
    say(&format!("{rule}: {what} is no longer recalled"))?;
    match number(back, "files") {
        0 => {}
        files => say(&format!("{} brought back", counted(files, "file")))?,
    }
    if let Some(failed) = back["failed"].as_str() {
        say_error(&format!("what was set aside is not back: {failed}"));
    }
    Ok(())
}

fn print_recalled(told: &Value) -> std::io::Result<()> {
    let recall = &told["recall"];
    let (rule, what, reason) = (
        text(recall, "rule"),
        text(recall, "what"),
        one_line(text(recall, "reason")),
    );
    if told["new"] == true {
        say(&format!("{rule}: {what} is refused everywhere: {reason}"))?;
    } else {
        let at = text(recall, "at");
        say(&format!("{rule}: {what} is recalled since {at}: {reason}"))?;
    }
    print_purged(&told["purged"])?;
    print_delivered(&told["delivered"])?;
    let is_unknown = ["listed", "private", "files"]
        .iter()
        .all(|key| number(&told["purged"], key) == 0);
    if is_unknown && list(&told["delivered"]["to"]).is_empty() {
        say_error(&format!(
            "nothing of {what} is known here: if that is a slip of the pen, withdraw it with \
             `cheesecloth recall --undo {rule}`"
        ));
    }
    Ok(())
}

fn print_purged(purged: &Value) -> std::io::Result<()> {
    let (files, bytes) = (number(purged, "files"), number(purged, "bytes"));
    let files = counted(files, "file");
    match purged["kept_in"].as_str() {
        Some(folder) => say(&format!(
            "{files} of mirrors set aside in {folder}, {bytes} bytes"
        ))?,
        None => say(&format!("{files} of mirrors removed, {bytes} bytes"))?,
    }
    let private = number(purged, "private");
    if private > 0 {
        let named = list(&purged["private_files"]).iter();
        let named: Vec<&str> = named.filter_map(Value::as_str).collect();
        say(&format!(
            "{} of stages refused, and not removed: nobody else has them: {}",
            counted(private, "file"),
            named.join(", ")
        ))?;
    }
    for failed in list(&purged["failed"]).iter().filter_map(Value::as_str) {
        say_error(failed);
    }
    Ok(())
}

fn print_delivered(delivered: &Value) -> std::io::Result<()> {
    let to = list(&delivered["to"]);
    let reaches = match delivered["since"].as_str() {
        Some(since) => format!("by the journal, which reaches back to {since}"),
        None => "by the journal, which is empty".to_owned(),
    };
    let unknown = list(&delivered["unknown"]);
    match to.len() as u64 {
        0 if delivered["since"].is_null() && !unknown.is_empty() => {
            say("who got it is not known")?;
        }
        0 => say(&format!("nobody got it, {reaches}"))?,
        some => say(&format!(
            "{}, {reaches}:",
            counted(some, "delivery").replace("ys", "ies")
        ))?,
    }
    for one in to {
        say(&delivery(one))?;
    }
    match number(delivered, "further") {
        0 => {}
        further => say(&format!("  and {further} deliveries more"))?,
    }
    for why in unknown.iter().filter_map(Value::as_str) {
        say_error(why);
    }
    Ok(())
}

/// One client and file. What a client chose is escaped.
fn delivery(one: &Value) -> String {
    let client = one["client"].as_str().unwrap_or("-");
    let mut line = format!("  {} {client}", text(one, "first"));
    if let Some(user) = one["user"].as_str() {
        line.push_str(&format!(" {}", user.escape_debug()));
    }
    if let Some(token) = one["token"].as_str() {
        line.push_str(&format!(" ({})", token.escape_debug()));
    }
    let file = text(one, "file").escape_debug();
    line.push_str(&format!(" {file} through {}", text(one, "index")));
    match number(one, "times") {
        0 | 1 => {}
        times => line.push_str(&format!(" x{times}, last {}", text(one, "last"))),
    }
    line
}

fn one_line(text: &str) -> String {
    let plain = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    text.chars().map(plain).collect()
}
