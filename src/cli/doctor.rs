//! `doctor`: is this machine really using us? What the gateway makes of a request from here, and which
//! settings of its installers lead elsewhere; beside a server, who asks here and fetches elsewhere.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use url::Url;

use crate::app;
use crate::app::Setup;
use crate::cli::doctor_journal::of_journal;
use crate::cli::output::{OutputOptions, code, say, say_json};
use crate::cli::sources::{Sources, environment};
use crate::config::{
    Installer, Machine, Setting, SettingKind, installer_settings, is_used, redacted,
};
use crate::model::{Login, parse_duration};
use crate::upstream::install_crypto_provider;

/// How long the gateway may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Longest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What pip accepts, so that the form told is the one that pip gets.
const PIPS_ACCEPT: &str = "application/vnd.pypi.simple.v1+json, \
    application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";

#[derive(Debug, Args)]
pub(super) struct DoctorOptions {
    /// The URL of an index on the gateway (default: the first that pip, uv or poetry is configured for).
    #[arg(value_name = "URL", conflicts_with = "journal")]
    url: Option<Url>,
    /// Tell from the server's journal who asked here for projects and never fetched a file of them: a sign
    /// of another index.
    #[arg(long)]
    journal: bool,
    /// Try out the bucket that holds uploaded files, from this machine and as the server does at its start.
    #[arg(long, conflicts_with_all = ["url", "journal"])]
    depot: bool,
    /// How far back the journal is read.
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_duration)]
    since: Duration,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(options: &DoctorOptions) -> anyhow::Result<ExitCode> {
    if options.journal {
        let setup = options.sources.setup();
        return of_journal(&setup, options.since, options.output);
    }
    let folder = std::env::current_dir()?;
    if options.depot {
        return of_depot(&options.sources.setup(), options.output);
    }
    let machine = Machine {
        env: &environment,
        folder,
    };
    let settings = installer_settings(&machine);
    let Some(url) = options.url.clone().or_else(|| first_index(&settings)) else {
        anyhow::bail!(
            "pip, uv and poetry are configured for no index here: name the gateway's, such as \
             `cheesecloth doctor http://devpi.example:4040/packages/stable/+simple/`"
        );
    };
    let answer = ask(&url);
    let mut findings = Vec::new();
    if let Err(why) = &answer {
        findings.push(why.clone());
    }
    let answer = answer.ok();
    let places = places(&url, answer.as_ref());
    for setting in &settings {
        findings.extend(finding(setting, &places));
    }
    for installer in [Installer::Pip, Installer::Uv, Installer::Poetry] {
        let mut of_it = settings
            .iter()
            .filter(|setting| setting.installer == installer);
        let is_replaced = of_it.any(|setting| setting.kind == SettingKind::Index);
        if !is_replaced && is_used(&machine, installer, &settings) {
            let name = installer.as_str();
            findings.push(format!(
                "{name}: nothing names an index here, so it asks its built-in one"
            ));
        }
    }
    if options.output.json {
        let shown = settings.iter().map(|setting| as_json(setting, &places));
        say_json(&json!({
            "asked": redacted(url.as_str()),
            "answer": answer,
            "settings": shown.collect::<Vec<_>>(),
            "findings": findings,
        }))?;
    } else {
        print(&url, answer.as_ref(), &settings, &places)?;
        for finding in &findings {
            say(&format!("finding: {finding}"))?;
        }
        say(&match findings.len() {
            0 => "nothing leads elsewhere".to_owned(),
            1 => "1 finding".to_owned(),
            more => format!("{more} findings"),
        })?;
    }
    Ok(code(findings.is_empty()))
}

/// Whether the bucket can hold uploaded files.
fn of_depot(setup: &Setup, output: OutputOptions) -> anyhow::Result<ExitCode> {
    let (place, fault) = app::try_depot(setup)?;
    if output.json {
        say_json(&json!({ "depot": place, "finding": fault }))?;
    } else {
        say(&match &fault {
            Some(fault) => format!("finding: {fault}"),
            None => format!("{place} can hold uploaded files"),
        })?;
    }
    Ok(code(fault.is_none()))
}

/// The index that an installer would ask first; its login is not known any more.
fn first_index(settings: &[Setting]) -> Option<Url> {
    let mut in_force = settings.iter().filter(|setting| !setting.is_overridden);
    in_force.find_map(|setting| {
        let mut url = url_of(setting).filter(|_| setting.kind == SettingKind::Index)?;
        let _ = (url.set_username(""), url.set_password(None));
        Some(url)
    })
}

/// A setting's URL; uv spells a named one name=URL.
fn url_of(setting: &Setting) -> Option<Url> {
    let value = &setting.value;
    let bare = value
        .split_once('=')
        .filter(|(name, _)| !name.contains([':', '/']));
    let url = Url::parse(bare.map_or(value, |(_, url)| url)).ok()?;
    url.has_host().then_some(url)
}

/// What the gateway says; or why it is none.
fn ask(url: &Url) -> Result<Value, String> {
    let mut asked = doctor_url(url);
    let login = Login::take_from(&mut asked);
    let shown = redacted(url.as_str());
    let failed = |error: reqwest::Error| {
        let error = anyhow::Error::from(error.without_url());
        format!("{shown} does not answer: {error:#}")
    };
    install_crypto_provider();
    let work = Builder::new_current_thread().enable_all().build();
    let work = work.map_err(|error| error.to_string())?;
    work.block_on(async {
        let client = Client::builder()
            .user_agent(concat!(
                "cheesecloth/",
                env!("CARGO_PKG_VERSION"),
                " doctor"
            ))
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(failed)?;
        let request = client.get(asked.clone());
        let request = request
            .header("accept", PIPS_ACCEPT)
            .header("accept-encoding", "gzip, deflate");
        let request = match &login {
            Some(login) => request.basic_auth(&login.user, Some(login.password.expose())),
            None => request,
        };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                break;
            }
        }
        let mut answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() && answer["type"] == "doctor" {
            return Ok(answer["result"].take());
        }
        Err(format!("{shown} is no index of this gateway ({status})"))
    })
}

/// Where an index's gateway answers what it makes of a request.
fn doctor_url(index: &Url) -> Url {
    let mut url = index.clone();
    let path = url.path().trim_end_matches('/');
    let path = path
        .strip_suffix("/+simple")
        .or_else(|| path.strip_suffix("/simple"));
    let path = path.unwrap_or_else(|| url.path().trim_end_matches('/'));
    let path = format!("{path}/+doctor");
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Host and port of each place where the gateway is known to be.
fn places(asked: &Url, answer: Option<&Value>) -> Vec<(String, Option<u16>)> {
    let Some(answer) = answer else {
        return Vec::new();
    };
    let said = answer["server"]["url"]
        .as_str()
        .and_then(|url| Url::parse(url).ok());
    let urls = [Some(asked.clone()), said].into_iter().flatten();
    urls.filter_map(|url| place(&url)).collect()
}

/// Every name of this machine's loopback is one place.
fn place(url: &Url) -> Option<(String, Option<u16>)> {
    let host = url.host_str()?.to_ascii_lowercase();
    let is_loopback = matches!(&*host, "localhost" | "[::1]") || host.starts_with("127.");
    let host = if is_loopback {
        "localhost".to_owned()
    } else {
        host
    };
    Some((host, url.port_or_known_default()))
}

/// Whether a setting leads to the gateway; `None` if it names no place.
fn is_ours(setting: &Setting, places: &[(String, Option<u16>)]) -> Option<bool> {
    if setting.kind == SettingKind::Strategy {
        return None;
    }
    Some(
        url_of(setting)
            .and_then(|url| place(&url))
            .is_some_and(|place| places.contains(&place)),
    )
}

/// What is wrong with a setting, if anything is.
fn finding(setting: &Setting, places: &[(String, Option<u16>)]) -> Option<String> {
    if setting.is_overridden {
        return None;
    }
    let Setting {
        installer,
        at,
        key,
        value,
        ..
    } = setting;
    let what = match setting.kind {
        SettingKind::Strategy if value == "first-index" => return None,
        SettingKind::Strategy => {
            "takes a name from any index that has it, also one that somebody else can add it to"
        }
        _ if is_ours(setting, places) == Some(true) => return None,
        SettingKind::Index => "is asked instead of this gateway",
        SettingKind::Extra => "is asked besides this gateway, for the same names",
        SettingKind::Links => "has files that no policy has seen",
    };
    Some(format!(
        "{}: {value} {what} ({key} in {at})",
        installer.as_str()
    ))
}

fn as_json(setting: &Setting, places: &[(String, Option<u16>)]) -> Value {
    json!({
        "installer": setting.installer.as_str(),
        "at": setting.at,
        "key": setting.key,
        "value": setting.value,
        "is_ours": is_ours(setting, places),
        "is_overridden": setting.is_overridden,
    })
}

fn print(
    url: &Url,
    answer: Option<&Value>,
    settings: &[Setting],
    places: &[(String, Option<u16>)],
) -> std::io::Result<()> {
    say(&format!("asked     {}", redacted(url.as_str())))?;
    if let Some(answer) = answer {
        for (name, words) in told(answer) {
            say(&format!("{name:<9} {words}"))?;
        }
    }
    for setting in settings {
        let whose = match (setting.is_overridden, is_ours(setting, places)) {
            (true, _) => "overridden",
            (false, Some(true)) => "us",
            (false, Some(false)) => "elsewhere",
            (false, None) => "-",
        };
        let Setting {
            installer,
            at,
            key,
            value,
            ..
        } = setting;
        say(&format!(
            "{:<9} {whose:<10} {value} ({key} in {at})",
            installer.as_str()
        ))?;
    }
    Ok(())
}

/// The gateway's answer, in words.
fn told(answer: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let (server, client, form) = (&answer["server"], &answer["client"], &answer["form"]);
    let stack = answer["stack"].as_array().into_iter().flatten();
    let stack: Vec<_> = stack.map(|member| text(&member["index"])).collect();
    let mode = match server["offline"].as_bool() {
        Some(true) => ", offline",
        _ => "",
    };
    vec![
        (
            "gateway",
            format!(
                "cheesecloth {} at {}, generation {}{mode}",
                text(&server["version"]),
                text(&server["url"]),
                server["generation"]
            ),
        ),
        ("door", text(&answer["door"])),
        ("index", text(&answer["index"])),
        ("stack", stack.join(" > ")),
        ("user", text(&client["user"])),
        (
            "client",
            format!(
                "{} over HTTP/{}",
                text(&client["address"]),
                text(&client["http"])
            ),
        ),
        (
            "form",
            format!(
                "{}, {}",
                text(&form["content_type"]),
                text(&form["content_encoding"])
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indexes_gateway_is_asked_beside_its_pages() {
        for (index, expected) in [
            ("http://h/u/i/+simple/", "http://h/u/i/+doctor"),
            ("http://h/u/i/+simple", "http://h/u/i/+doctor"),
            ("http://h/u/i/", "http://h/u/i/+doctor"),
            ("http://h/simple/", "http://h/+doctor"),
            ("https://h/devpi/simple/?a=b#c", "https://h/devpi/+doctor"),
            ("http://h", "http://h/+doctor"),
        ] {
            assert_eq!(doctor_url(&Url::parse(index).unwrap()).as_str(), expected);
        }
    }

    #[test]
    fn a_place_is_ours_by_host_and_port() {
        let asked = Url::parse("http://127.0.0.1:4040/u/i/+simple/").unwrap();
        let answer = json!({ "server": { "url": "https://devpi.example/" } });
        let places = places(&asked, Some(&answer));
        for (value, expected) in [
            ("http://localhost:4040/u/other/", true),
            ("https://devpi.example/simple/", true),
            ("corp=https://DEVPI.example:443/simple/", true),
            ("http://devpi.example/simple/", false),
            ("http://localhost:4041/", false),
            ("built-in", false),
            ("./wheels", false),
        ] {
            let setting = Setting {
                installer: Installer::Uv,
                at: String::new(),
                key: String::new(),
                value: value.to_owned(),
                kind: SettingKind::Extra,
                is_overridden: false,
            };
            assert_eq!(is_ours(&setting, &places), Some(expected), "{value}");
        }
    }
}
