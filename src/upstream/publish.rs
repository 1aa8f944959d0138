//! Sends a file to another server's upload API, in the form that twine sends
//! (docs/protocol/simple-api.md §11).

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{StatusCode, header};
use reqwest::{Body, Client};
use url::Url;

use crate::model::{Login, UpstreamLimits};
use crate::upstream::client::{Proxies, client, install_crypto_provider, logged_in};
use crate::upstream::hosts::{Bounds, Hosts, OwnDoors, Trust};
use crate::upstream::words;

/// Time allowed for one file, sent and answered: as long as a client may take to send us the largest.
const SEND_TIMEOUT: Duration = Duration::from_hours(1);

/// Most of an answer that is repeated to people.
const WORDS_BYTES_MAX: usize = 500;

/// Another server's upload API. Redirects are not followed: they would turn a POST into a GET.
#[derive(Debug)]
pub struct Publisher {
    client: Client,
    hosts: Hosts,
    url: Url,
    login: Login,
}

/// The bytes of a file on their way.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A file to be sent.
pub struct Outgoing {
    /// Its name.
    pub filename: String,
    /// Total length of the pieces in bytes.
    pub length: u64,
    /// Its content.
    pub pieces: Pieces,
}

/// The other server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishAnswer {
    /// The status of its answer.
    pub status: StatusCode,
    /// The beginning of its body.
    pub words: String,
}

impl Publisher {
    /// Makes a client; nothing is sent yet, and nothing is ever sent to one of these doors.
    ///
    /// # Errors
    /// When no server can be at that URL, or this machine cannot speak TLS; the error is the reason.
    pub fn new(
        url: Url,
        login: Login,
        limits: &UpstreamLimits,
        doors: OwnDoors,
    ) -> Result<Self, String> {
        install_crypto_provider();
        let trust = Trust::Place;
        let hosts = Hosts::of(url.clone(), Bounds { trust, doors });
        hosts.refuse(&url)?;
        let builder = client(limits, &hosts, Proxies::Environment);
        let client = builder
            .timeout(SEND_TIMEOUT)
            .build()
            .map_err(words::causes)?;
        Ok(Self {
            client,
            hosts,
            url,
            login,
        })
    }

    /// Sends one form, with or without a file.
    ///
    /// # Errors
    /// When no answer comes; the error is the reason.
    pub async fn send(
        &self,
        fields: &[(String, String)],
        file: Option<Outgoing>,
    ) -> Result<PublishAnswer, String> {
        self.hosts.refuse_own_door(&self.url).await?;
        let boundary = boundary()?;
        let mut head = String::new();
        for (name, value) in fields {
            head.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        let (pieces, length) = match file {
            None => (stream::empty().boxed(), 0),
            Some(file) => {
                head.push_str(&format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"content\"; filename=\"{}\"\r\n\
                     Content-Type: application/octet-stream\r\n\r\n",
                    file.filename
                ));
                (file.pieces, file.length)
            }
        };
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() as u64 + length + tail.len() as u64;
        let once = |text: String| stream::once(async { Ok(Bytes::from(text)) });
        let body = once(head).chain(pieces).chain(once(tail));
        let request = self
            .client
            .post(self.url.clone())
            .header(
                header::CONTENT_TYPE,
                format!("multipart/form-data; boundary={boundary}"),
            )
            .header(header::CONTENT_LENGTH, length)
            .body(Body::wrap_stream(body));
        let sent = logged_in(request, &self.login).send().await;
        let mut response = sent.map_err(words::causes)?;
        let mut said = Vec::new();
        while said.len() < WORDS_BYTES_MAX
            && let Ok(Some(piece)) = response.chunk().await
        {
            said.extend_from_slice(&piece);
        }
        said.truncate(WORDS_BYTES_MAX);
        Ok(PublishAnswer {
            status: response.status(),
            words: String::from_utf8_lossy(&said).trim().to_owned(),
        })
    }
}

/// A line that occurs in no file.
fn boundary() -> Result<String, String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_file_is_brought_to_the_link_nor_to_one_of_our_own_doors() {
        let doors = OwnDoors::default();
        doors.opened(vec!["127.0.0.1:3141".parse().unwrap()]);
        let publisher = |url: &str| {
            let (url, login) = (Url::parse(url).unwrap(), Login::new("me", "pw"));
            Publisher::new(url, login, &UpstreamLimits::default(), doors.clone())
        };
        for url in [
            "http://127.0.0.1:3141/me/dev/",
            "http://localhost:3141/me/dev/",
            "http://[::ffff:127.0.0.1]:3141/me/dev/",
            "http://169.254.169.254/",
            "http://[fe80::1]/",
        ] {
            assert!(publisher(url).is_err(), "{url}");
        }
        // Another program on this machine may be the operator's.
        assert!(publisher("http://127.0.0.1:3142/").is_ok());
        assert!(publisher("https://upstream.example:3141/").is_ok());
    }
}
