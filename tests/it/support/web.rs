//! A client that hides nothing: raw bodies, every header, no redirects followed, no proxy.

use bytes::Bytes;
use cheesecloth::testing::upstream::install_crypto_provider;
use http::{HeaderMap, Method};
use reqwest::redirect::Policy;
use serde_json::Value;
use url::Url;

/// The preferred format of a page.
const JSON: &str = "application/vnd.pypi.simple.v1+json";

#[derive(Debug, Clone)]
pub(crate) struct Web {
    client: reqwest::Client,
}

/// A complete answer.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A project page as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) value: Value,
}

impl Web {
    /// A client without connections.
    pub(crate) fn new() -> Self {
        install_crypto_provider();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .unwrap();
        Self { client }
    }

    /// Sends a request and reads only the head of its answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn open(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<reqwest::Response> {
        let request = self.client.request(method, url);
        let add = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        headers.iter().fold(request, add).send().await
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the answer is cut off.
    pub(crate) async fn attempt(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Got> {
        let response = self.open(method, url, headers).await?;
        Ok(Got {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// Sends a body and reads the whole answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Got {
        let request = self.client.request(method, url).body(body);
        let add = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        let response = headers.iter().fold(request, add).send().await.unwrap();
        Got {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Got {
        self.get_with(url, &[]).await
    }

    pub(crate) async fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Got {
        self.attempt(Method::GET, url, headers).await.unwrap()
    }

    pub(crate) async fn post_json(&self, url: &str, json: &str) -> Got {
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(json.to_owned());
        let response = request.send().await.unwrap();
        Got {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap(),
        }
    }

    pub(crate) async fn head_with(&self, url: &str, headers: &[(&str, &str)]) -> Got {
        self.attempt(Method::HEAD, url, headers).await.unwrap()
    }

    /// Fetches a project page.
    ///
    /// # Panics
    /// When it is not answered with 200.
    pub(crate) async fn page(&self, url: &str) -> Page {
        let got = self.get_with(url, &[("accept", JSON)]).await;
        assert_eq!(got.status, 200, "{url}: {}", got.text());
        let value = serde_json::from_slice(&got.body).unwrap();
        let url = Url::parse(url).unwrap();
        Page { url, value }
    }
}

impl Got {
    /// A header's text; empty if it was not sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("printable"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Page {
    /// The files, as the page lists them.
    pub(crate) fn files(&self) -> &[Value] {
        self.value["files"].as_array().unwrap()
    }

    /// The page's entry for a file.
    #[track_caller]
    pub(crate) fn file(&self, filename: &str) -> &Value {
        let mut files = self.files().iter();
        let found = files.find(|file| file["filename"] == filename);
        found.unwrap_or_else(|| panic!("{filename} is not on {}", self.value))
    }

    /// The URL of a file.
    #[track_caller]
    pub(crate) fn url_of(&self, filename: &str) -> String {
        let link = self.file(filename)["url"].as_str().unwrap();
        self.url.join(link).unwrap().into()
    }
}
