//! Whom operators have told of what happens.

use url::Url;

use crate::model::login::Secret;

/// What a webhook may be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// What rules refused.
    Refusals,
    /// What was recalled, and recalls that were withdrawn.
    Recalls,
    /// Feeds of advisories that do not come, are of no use, or are too old.
    Feeds,
}

/// An address to which events are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address. It may contain a secret of the receiver's, so only its host is shown.
    pub url: Url,
    /// What signs each post.
    pub secret: Secret,
    /// What is told there.
    pub kinds: Vec<NoticeKind>,
}

impl Webhook {
    /// Its host and port, by which logs and metrics call it.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_called_by_its_host() {
        for (url, host) in [
            ("https://chat.example/hooks/T0/secret?x=1", "chat.example"),
            ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
        ] {
            let hook = Webhook {
                url: Url::parse(url).unwrap(),
                secret: Secret::new("s"),
                kinds: Vec::new(),
            };
            assert_eq!(hook.host(), host);
        }
    }
}
