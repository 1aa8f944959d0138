//! `token`: credentials for pipelines, instead of somebody's password.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use globset::GlobBuilder;
use serde_json::{Value, json};

use crate::app::TokenDrawer;
use crate::cli::output::{OutputOptions, code, say, say_error, say_json};
use crate::cli::sources::Sources;
use crate::db::{ApiToken, NewApiToken, TokenOperation};
use crate::model::{Sha256, parse_duration};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token. It is printed once and kept nowhere: give it as the password, with any user name.
    Create(CreateOptions),
    /// List tokens, without their secret parts.
    List(ListOptions),
    /// Withdraw tokens, at once: exit 1 when one of them is not there.
    Revoke(RevokeOptions),
}

#[derive(Debug, Args)]
pub(super) struct CreateOptions {
    #[command(flatten)]
    sources: Sources,
    /// The user that it acts for: it may do no more than they may.
    user: String,
    /// The only indexes it is good for: user/index, or a glob such as team/* (default: all).
    #[arg(long, value_name = "GLOB", value_parser = index_glob)]
    index: Vec<String>,
    /// What it is good for: read, upload or delete, with commas between them.
    #[arg(long, value_name = "OPERATIONS", value_delimiter = ',', default_value = "upload", value_parser = operation)]
    allow: Vec<TokenOperation>,
    /// How long it is good.
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    expires: Duration,
    /// What it is for, for those who read the list.
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(super) struct ListOptions {
    #[command(flatten)]
    sources: Sources,
    /// Only this user's.
    user: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(super) struct RevokeOptions {
    #[command(flatten)]
    sources: Sources,
    /// Their ids, as `token list` shows them.
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(command: &TokenCommand) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Create(options) => create(options),
        TokenCommand::List(options) => list(options),
        TokenCommand::Revoke(options) => revoke(options),
    }
}

fn create(options: &CreateOptions) -> anyhow::Result<ExitCode> {
    let drawer = TokenDrawer::open(&options.sources.setup())?;
    let expires = drawer.now().checked_add(options.expires);
    let new = NewApiToken {
        id: String::new(),
        user: options.user.clone(),
        secret_hash: Sha256::of(b""),
        note: options.note.clone(),
        indexes: options.index.clone(),
        operations: options.allow.clone(),
        expires: expires.context("--expires is further away than time goes")?,
    };
    let minted = drawer.create(new.clone())?;
    if options.output.json {
        let shown = json!({
            "id": minted.id,
            "token": minted.text,
            "user": new.user,
            "indexes": new.indexes,
            "operations": words(&new.operations),
            "expires": new.expires.to_string(),
            "note": new.note,
        });
        say_json(&shown)?;
    } else {
        say(&minted.text)?;
        say_error(&format!(
            "Kept nowhere: note it down now. Its id is {}, it ends at {}.",
            minted.id, new.expires
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn list(options: &ListOptions) -> anyhow::Result<ExitCode> {
    let drawer = TokenDrawer::open(&options.sources.setup())?;
    let (tokens, now) = (drawer.list(options.user.as_deref())?, drawer.now());
    if options.output.json {
        let shown: Vec<Value> = tokens.iter().map(as_json).collect();
        say_json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    for token in &tokens {
        let indexes = if token.indexes.is_empty() {
            "*/*".to_owned()
        } else {
            token.indexes.join(" ")
        };
        let ends = if now >= token.expires {
            "ended"
        } else {
            "ends"
        };
        let used = token
            .last_used
            .map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
        let (id, user, note) = (&token.id, &token.user, &token.note);
        let allowed = words(&token.operations).join(",");
        say(format!(
            "{id}  {user}  {indexes}  {allowed}  {ends} {}  {used}  {note}",
            token.expires
        )
        .trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(options: &RevokeOptions) -> anyhow::Result<ExitCode> {
    let drawer = TokenDrawer::open(&options.sources.setup())?;
    let (mut revoked, mut unknown) = (Vec::new(), Vec::new());
    for id in &options.ids {
        if drawer.revoke(id)? {
            revoked.push(id);
        } else {
            unknown.push(id);
        }
    }
    if options.output.json {
        let shown = json!({ "revoked": revoked, "unknown": unknown });
        say_json(&shown)?;
    } else {
        for id in &revoked {
            say(&format!("revoked {id}"))?;
        }
        for id in &unknown {
            say_error(&format!(
                "no token {id}; `cheesecloth token list` shows them"
            ));
        }
    }
    Ok(code(unknown.is_empty()))
}

fn as_json(token: &ApiToken) -> Value {
    json!({
        "id": token.id,
        "user": token.user,
        "indexes": token.indexes,
        "operations": words(&token.operations),
        "created": token.created.to_string(),
        "expires": token.expires.to_string(),
        "last_used": token.last_used.map(|at| at.to_string()),
        "note": token.note,
    })
}

fn words(operations: &[TokenOperation]) -> Vec<&'static str> {
    operations.iter().map(|one| one.as_str()).collect()
}

fn operation(text: &str) -> Result<TokenOperation, String> {
    TokenOperation::parse(text).ok_or_else(|| "it is read, upload or delete".to_owned())
}

fn index_glob(text: &str) -> Result<String, String> {
    let is_pair = text.split('/').filter(|part| !part.is_empty()).count() == 2;
    if !is_pair || text.matches('/').count() != 1 || text.contains(char::is_whitespace) {
        return Err("it is user/index, or a glob such as team/*".to_owned());
    }
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_of_user_and_index() {
        for (text, expected) in [
            ("team/dev", true),
            ("team/*", true),
            ("*/{dev,stable}", true),
            ("team", false),
            ("team/", false),
            ("team/a/b", false),
            ("team/de v", false),
            ("team/[", false),
        ] {
            assert_eq!(index_glob(text).is_ok(), expected, "{text}");
        }
    }
}
