//! `notify:`: who is told of refusals, recalls and feeds in trouble. A reload exchanges them.

use url::{Host, Url};

use crate::config::environment::{Environment, variable};
use crate::language::{
    Choice, Misread, Node, Notes, Placed, Shape, Value, Word, YamlKey, key, many, one,
};
use crate::model::{Fault, NoticeKind, Secret, Webhook, is_localhost};

/// Shortest secret, in bytes: what is shorter can be guessed from one post.
const SECRET_MIN: usize = 16;

/// Most webhooks: each has a task, and what waits for it is held in memory.
const WEBHOOKS_MAX: usize = 8;

/// The keys of an entry of `notify:`.
#[rustfmt::skip] // a table reads by rows
pub(super) const NOTIFY: &[YamlKey] = &[
    key("url", one::<WebhookUrl>(), "",
        "where batches of events are posted: https, or http to this machine"),
    key("secret_env", one::<String>(), "",
        "the environment variable that holds the secret with which posts are signed"),
    key("events", many::<NoticeKind>(), "",
        "which events are posted there, all when absent: refusals, recalls, feeds"),
];

/// What `notify` holds.
pub(super) const WEBHOOKS: Shape = Shape::List(&Shape::Table(&[NOTIFY]));

impl Choice for NoticeKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("refusals", Self::Refusals),
        ("recalls", Self::Recalls),
        ("feeds", Self::Feeds),
    ];
}

/// Where a webhook may be: what is told of the inside of a company leaves this machine encrypted.
#[derive(Debug, Clone)]
struct WebhookUrl(Url);

impl Word for WebhookUrl {
    fn wanted() -> String {
        "a URL that starts with https://, or http:// to this machine".into()
    }

    /// What is wrong is said without the URL, which may contain a secret of the receiver's.
    fn read(text: &str) -> Result<Self, Misread> {
        let wrong = || Misread::new(format!("not {}", Self::wanted()));
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_here = match url.host() {
            Some(Host::Domain(name)) => is_localhost(name),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" if url.has_host() => {}
            "http" if is_here => {}
            _ => return Err(wrong()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Misread::new("a URL with a login in it").hint("posts are signed instead"));
        }
        Ok(Self(url))
    }
}

/// An entry as it was written.
#[derive(Debug)]
pub(super) struct WebhookSource {
    url: Placed<WebhookUrl>,
    secret_env: Placed<String>,
    kinds: Vec<NoticeKind>,
}

/// Reads the entries of one file.
pub(super) fn read(node: &Node, notes: &mut Notes) -> Vec<WebhookSource> {
    let Value::Sequence(entries) = &node.value else {
        let what = format!(
            "notify: expected a list of webhooks, found {}",
            node.value.article()
        );
        notes.note(Fault::at(&node.location, what));
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| entry_of(entry, notes))
        .collect()
}

fn entry_of(node: &Node, notes: &mut Notes) -> Option<WebhookSource> {
    let fields = notes.fields(node, &[NOTIFY]);
    let url = fields.placed("url", notes);
    let secret_env = fields.placed("secret_env", notes);
    let kinds: Option<Vec<Placed<NoticeKind>>> = fields.many("events", notes);
    for (name, hint) in [
        ("url", "say where events are posted"),
        (
            "secret_env",
            "name the variable with the secret that signs posts",
        ),
    ] {
        if fields.node(name).is_none() {
            let fault = Fault::at(&node.location, format!("a webhook without {name}"));
            notes.note(fault.hint(hint));
        }
    }
    let kinds = match kinds {
        Some(kinds) => kinds.into_iter().map(|kind| kind.value).collect(),
        None => NoticeKind::WORDS.iter().map(|(_, kind)| *kind).collect(),
    };
    Some(WebhookSource {
        url: url?,
        secret_env: secret_env?,
        kinds,
    })
}

/// The webhooks of all files, with their secrets.
pub(super) fn resolve(
    sources: Vec<WebhookSource>,
    env: Environment<'_>,
    notes: &mut Notes,
) -> Vec<Webhook> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    for source in sources {
        let url = source.url.value.0;
        if webhooks.iter().any(|one| one.url == url) {
            let fault = Fault::at(&source.url.location, "a webhook of this url a second time");
            notes.note(fault.hint("keep one, with all its events"));
            continue;
        }
        if webhooks.len() >= WEBHOOKS_MAX {
            let what = format!("more than {WEBHOOKS_MAX} webhooks");
            notes.note(Fault::at(&source.url.location, what));
            break;
        }
        match secret_of(&source.secret_env, env) {
            Ok(secret) => webhooks.push(Webhook {
                url,
                secret,
                kinds: source.kinds,
            }),
            Err(fault) => notes.note(fault),
        }
    }
    webhooks
}

fn secret_of(name: &Placed<String>, env: Environment<'_>) -> Result<Secret, Fault> {
    let fault = |what: String, hint: &str| Fault::at(&name.location, what).hint(hint);
    let name = &name.value;
    let secret = variable(env, name).ok_or_else(|| {
        let what = format!("secret_env: {name} is not set");
        fault(what, "set it, or name another variable")
    })?;
    if secret.len() < SECRET_MIN {
        let what = format!("secret_env: {name} has less than {SECRET_MIN} bytes");
        return Err(fault(what, "make one with openssl rand -base64 32"));
    }
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::{folder, load_folder};

    const ENV: [(&str, &str); 2] = [("GOOD", "0123456789abcdef"), ("SHORT", "0123")];

    fn load(yaml: &str) -> Result<Vec<Webhook>, String> {
        let loaded = load_folder(&folder(&[("a.yaml", yaml)]), &ENV);
        loaded.map(|loaded| loaded.config.notify)
    }

    #[test]
    fn a_webhook_has_a_url_a_secret_and_what_it_is_told() {
        let hooks = load(
            "notify:\n- {url: 'https://chat.example/h', secret_env: GOOD}\n\
             - {url: 'http://localhost:9/', secret_env: GOOD, events: recalls}\n\
             - {url: 'http://[::1]:9/', secret_env: GOOD, events: [feeds, refusals]}\n",
        );
        let hooks = hooks.unwrap();
        let all = [NoticeKind::Refusals, NoticeKind::Recalls, NoticeKind::Feeds];
        assert_eq!(hooks[0].kinds, all);
        assert_eq!(hooks[0].secret.expose(), "0123456789abcdef");
        assert_eq!(hooks[1].kinds, [NoticeKind::Recalls]);
        assert_eq!(hooks[2].kinds, [NoticeKind::Feeds, NoticeKind::Refusals]);
        assert_eq!(load("").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_with_a_webhook_is_said_without_its_secrets() {
        let faults = load(
            "notify:\n\
             - {url: 'http://chat.example/h/s3cret', secret_env: GOOD}\n\
             - {url: 'https://me:s3cret@chat.example/', secret_env: GOOD}\n\
             - {secret_env: GOOD, events: [refusal]}\n\
             - {url: 'https://a.example/'}\n\
             - {url: 'https://b.example/', secret_env: NONE}\n\
             - {url: 'https://c.example/', secret_env: SHORT}\n\
             - {url: 'https://d.example/', secret_env: GOOD}\n\
             - {url: 'https://d.example/', secret_env: GOOD}\n",
        );
        let faults = faults.unwrap_err();
        assert!(!faults.contains("s3cret"), "{faults}");
        insta::assert_snapshot!(faults, @r#"
        a.yaml:2:9: url: not a URL that starts with https://, or http:// to this machine
        a.yaml:3:9: url: a URL with a login in it, posts are signed instead
        a.yaml:4:3: a webhook without url, say where events are posted
        a.yaml:4:31: events: "refusal" is not refusals, recalls or feeds, did you mean "refusals"?
        a.yaml:5:3: a webhook without secret_env, name the variable with the secret that signs posts
        a.yaml:6:43: secret_env: NONE is not set, set it, or name another variable
        a.yaml:7:43: secret_env: SHORT has less than 16 bytes, make one with openssl rand -base64 32
        a.yaml:9:9: a webhook of this url a second time, keep one, with all its events
        "#);
        insta::assert_snapshot!(load("notify: {url: 'https://d.example/'}").unwrap_err(), @"a.yaml:1:9: notify: expected a list of webhooks, found a mapping");
    }
}
