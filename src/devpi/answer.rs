//! devpi's envelope of a success: `{"type", "result"}`, sometimes with a message, or only the message
//! (docs/protocol/devpi.md §2.1). Whatever is refused is a `Refusal`.

use http::StatusCode;
use serde_json::{Value, json};

use crate::devpi::refusal::Refusal;

/// The outcome of a request to the API.
pub type Answered = Result<ApiAnswer, Refusal>;

/// A status and a JSON body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiAnswer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Value,
}

impl ApiAnswer {
    /// 200 with a result, of a type that clients look at.
    #[must_use]
    pub fn result(kind: &str, result: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body: json!({ "type": kind, "result": result }),
        }
    }

    /// 200 with only a message.
    pub fn message(message: impl ToString) -> Self {
        Self {
            status: StatusCode::OK,
            body: json!({ "message": message.to_string() }),
        }
    }

    /// Adds a message to a result.
    #[must_use]
    pub fn with_message(mut self, message: impl ToString) -> Self {
        self.body["message"] = message.to_string().into();
        self
    }

    /// Replaces the status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The body as devpi writes it: indented, with a final newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{:#}\n", self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_written_as_devpi_writes_them() {
        let answer = ApiAnswer::result("userconfig", json!({ "username": "u" }));
        insta::assert_snapshot!(answer.with_message("hello").to_text(), @r#"
        {
          "message": "hello",
          "result": {
            "username": "u"
          },
          "type": "userconfig"
        }
        "#);
    }
}
