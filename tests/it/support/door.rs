//! The management door as a program uses it: JSON and forms, with or without a login.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::Value;

use super::{Form, Got, Web, Wheel};

/// A client of a management door.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    url: String,
    web: Web,
    login: Option<String>,
}

impl Door {
    /// A client without a login.
    pub(crate) fn at(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            web: Web::new(),
            login: None,
        }
    }

    /// The same door, with the password or token of a user.
    pub(crate) fn by(&self, user: &str, secret: &str) -> Self {
        let login = BASE64_STANDARD.encode(format!("{user}:{secret}"));
        Self {
            login: Some(login),
            ..self.clone()
        }
    }

    /// Sends a request, with a JSON body unless `object` is null.
    pub(crate) async fn ask(&self, method: &str, path: &str, object: Value) -> Got {
        let body = if object.is_null() {
            String::new()
        } else {
            object.to_string()
        };
        self.send(method, path, "application/json", body.into_bytes())
            .await
    }

    /// Posts a form to an index, with or without a file called `content`.
    pub(crate) async fn form(
        &self,
        index: &str,
        fields: &[(&str, &str)],
        file: Option<(&str, &[u8])>,
    ) -> Got {
        let form = fields
            .iter()
            .fold(Form::empty(), |form, (name, value)| form.field(name, value));
        let form = match file {
            Some((filename, content)) => form.file("content", filename, content),
            None => form,
        };
        let (path, kind) = (format!("/{index}/"), Form::content_type());
        self.send("POST", &path, &kind, form.body()).await
    }

    /// Uploads a wheel to an index.
    pub(crate) async fn upload(&self, index: &str, project: &str, version: &str) -> Got {
        let wheel = Wheel::new(project, version);
        let fields = [
            (":action", "file_upload"),
            ("name", project),
            ("version", version),
        ];
        let file = (&*wheel.filename(), &*wheel.build());
        self.form(index, &fields, Some(file)).await
    }

    /// Logs in, and returns the token.
    pub(crate) async fn log_in(&self, user: &str, password: &str) -> String {
        let login = serde_json::json!({ "user": user, "password": password });
        let got = self.ask("POST", "/+login", login).await;
        got.json()["result"]["password"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Got {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut headers = vec![("accept", "application/json"), ("content-type", kind)];
        if let Some(login) = &self.login {
            headers.push(("x-devpi-auth", login));
        }
        self.web
            .send(method, &format!("{}{path}", self.url), &headers, body)
            .await
    }
}

impl Got {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let read = serde_json::from_slice(&self.body);
        read.unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }
}

pub(crate) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
