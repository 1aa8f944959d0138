//! Brings a file to another server's upload API: the form that twine sends (index-api.md §11).

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{StatusCode, header};
use reqwest::{Body, Client};
use url::Url;

use super::client::client;
use super::hosts::Hosts;
use super::{Bounds, Credentials, Limits, Proxies, install_crypto_provider, words};

/// For one file, sent and answered: as long as a client may take to bring us the largest.
const SEND_TIMEOUT: Duration = Duration::from_hours(1);

/// Most of an answer that is repeated to people.
const WORDS_BYTES_MAX: usize = 500;

/// Another server's upload API. Redirects are not followed: they would turn a POST into a GET.
#[derive(Debug)]
pub struct Publisher {
    client: Client,
    url: Url,
    login: Credentials,
}

/// The bytes of a file on their way.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A file to be sent.
pub struct Outgoing {
    /// Its name.
    pub filename: String,
    /// How many bytes the pieces are together.
    pub length: u64,
    /// Its content.
    pub pieces: Pieces,
}

/// What the other server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The status of its answer.
    pub status: StatusCode,
    /// The beginning of its body.
    pub words: String,
}

impl Publisher {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When nobody may be at that URL, or this machine cannot speak TLS, with the reason.
    pub fn new(url: Url, login: Credentials, limits: &Limits) -> Result<Self, String> {
        install_crypto_provider();
        let hosts = Hosts::of(url.clone(), Bounds::default());
        hosts.refuse(&url)?;
        let builder = client(limits, &hosts, Proxies::Environment);
        let client = builder
            .timeout(SEND_TIMEOUT)
            .build()
            .map_err(words::causes)?;
        Ok(Self { client, url, login })
    }

    /// Sends one form, with a file or without.
    ///
    /// # Errors
    /// When no answer comes, with the reason.
    pub async fn send(
        &self,
        fields: &[(String, String)],
        file: Option<Outgoing>,
    ) -> Result<Published, String> {
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
        let mut response = self
            .login
            .apply(request)
            .send()
            .await
            .map_err(words::causes)?;
        let mut said = Vec::new();
        while said.len() < WORDS_BYTES_MAX
            && let Ok(Some(piece)) = response.chunk().await
        {
            said.extend_from_slice(&piece);
        }
        said.truncate(WORDS_BYTES_MAX);
        Ok(Published {
            status: response.status(),
            words: String::from_utf8_lossy(&said).trim().to_owned(),
        })
    }
}

/// A line that is in no file.
fn boundary() -> Result<String, String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
