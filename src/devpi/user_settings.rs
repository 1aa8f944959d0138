//! User objects: what clients send to create or change one, and what they are shown
//! (docs/protocol/devpi.md §6).

use serde_json::{Map, Value, json};

use crate::account::Passwords;
use crate::db::{Edit, User, UserDetails, UserUpdate};
use crate::devpi::words::DevpiWords;

/// Keys that clients may send; the others are refused on creation and ignored on change.
const TEXTS: [&str; 3] = ["email", "title", "description"];
const SECRETS: [&str; 2] = ["password", "pwhash"];

/// What a client sends about a user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserRequest {
    /// A new password, perhaps empty.
    pub password: Option<NewPassword>,
    /// Changes to the rest.
    pub details: UserUpdate,
    /// Whether only the password was sent: that needs a different permission.
    pub only_password: bool,
}

/// A password, or a hash of one made elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub enum NewPassword {
    /// As typed.
    Plain(String),
    /// An argon2id PHC string; given instead of the password.
    Hash(String),
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl UserRequest {
    /// Reads the body of `PUT /user`.
    ///
    /// # Errors
    /// A text for the client: unknown keys, no password, a value that is no text.
    pub fn create(keys: &Map<String, Value>) -> Result<Self, String> {
        let known =
            |key: &str| TEXTS.contains(&key) || SECRETS.contains(&key) || key == "custom_data";
        let unknown: Vec<&str> = keys
            .keys()
            .map(String::as_str)
            .filter(|key| !known(key))
            .collect();
        if !unknown.is_empty() {
            return Err(DevpiWords::UnknownUserKeys(&unknown.join(", ")).to_string());
        }
        let request = Self::modify(keys)?;
        if request.password.is_none() {
            return Err(DevpiWords::NoPassword.to_string());
        }
        Ok(request)
    }

    /// Reads the body of `PATCH /user`. Other keys are ignored (`devpi user -m` sends back everything
    /// it was shown); an empty value deletes the key.
    ///
    /// # Errors
    /// A text for the client: a value that is no text, an invalid hash.
    pub fn modify(keys: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| match keys.get(name) {
            None => Ok(Edit::Keep),
            Some(Value::Null) => Ok(Edit::Clear),
            Some(Value::String(text)) if text.is_empty() => Ok(Edit::Clear),
            Some(Value::String(text)) => Ok(Edit::Set(text.clone())),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Err(format!("'{name}' must be a text"))
            }
        };
        let custom_data = match keys.get("custom_data") {
            None => Edit::Keep,
            Some(value) if is_empty(value) => Edit::Clear,
            Some(value) => Edit::Set(value.clone()),
        };
        let details = UserUpdate {
            password_hash: None,
            email: text("email")?,
            title: text("title")?,
            description: text("description")?,
            custom_data,
        };
        let password = new_password(keys)?;
        let only_password = password.is_some() && keys.keys().all(|key| SECRETS.contains(&&**key));
        Ok(Self {
            password,
            details,
            only_password,
        })
    }

    /// The details of a user who has none yet.
    #[must_use]
    pub fn new_details(&self) -> UserDetails {
        self.details.applied_to(UserDetails::default())
    }
}

/// A hash counts when the password is empty or missing.
fn new_password(keys: &Map<String, Value>) -> Result<Option<NewPassword>, String> {
    let text = |name: &str| match keys.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(format!("'{name}' must be a text"))
        }
    };
    let hash = text("pwhash")?.filter(|hash| !hash.is_empty());
    match (text("password")?, hash) {
        (Some(password), Some(_)) if !password.is_empty() => {
            Err("give a password or a pwhash, not both".to_owned())
        }
        (_, Some(hash)) => {
            Passwords::accept_hash(&hash).map_err(|error| error.to_string())?;
            Ok(Some(NewPassword::Hash(hash)))
        }
        (password, None) => Ok(password.map(NewPassword::Plain)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(keys) => keys.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A user's object as clients see it: never a hash. `user` is `None` if only YAML names the user.
#[must_use]
pub fn user_object(name: &str, user: Option<&User>, indexes: Map<String, Value>) -> Value {
    let mut object = json!({ "username": name, "indexes": indexes });
    let Some(user) = user else {
        return object;
    };
    // To the second, as devpi writes them.
    let instant = |at: &crate::model::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    object["created"] = instant(&user.created).into();
    let details = &user.details;
    let optional = [
        (
            "modified",
            user.modified.as_ref().map(|at| instant(at).into()),
        ),
        ("email", details.email.clone().map(Value::from)),
        ("title", details.title.clone().map(Value::from)),
        ("description", details.description.clone().map(Value::from)),
        ("custom_data", details.custom_data.clone()),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            object[key] = value;
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn creation_wants_a_password_and_known_keys() {
        let table = [
            (json!({}), "password needs to be set"),
            (json!({ "email": "a" }), "password needs to be set"),
            (
                json!({ "password": "p", "foo": 1, "bar": 2 }),
                "Unknown keys in user config: bar, foo",
            ),
            (json!({ "password": 5 }), "'password' must be a text"),
            (
                json!({ "password": "p", "title": ["x"] }),
                "'title' must be a text",
            ),
            (
                json!({ "password": "p", "pwhash": "h" }),
                "give a password or a pwhash, not both",
            ),
            (
                json!({ "pwhash": "h" }),
                "the password hash is not an argon2id hash in PHC form that can be checked here, such as $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH",
            ),
        ];
        for (sent, text) in table {
            assert_eq!(
                UserRequest::create(&keys(sent.clone())).unwrap_err(),
                text,
                "{sent}"
            );
        }
        let request = UserRequest::create(&keys(json!({ "password": "", "email": "a@x.example" })));
        let request = request.unwrap();
        assert_eq!(request.password, Some(NewPassword::Plain(String::new())));
        assert_eq!(request.new_details().email.as_deref(), Some("a@x.example"));
    }

    #[test]
    fn a_change_ignores_what_it_does_not_know_and_deletes_what_is_empty() {
        let sent = json!({
            "username": "u", "created": "2026", "indexes": {}, "email": "", "title": "t",
            "custom_data": {}
        });
        let request = UserRequest::modify(&keys(sent)).unwrap();
        assert_eq!(request.password, None);
        assert_eq!(request.details.email, Edit::Clear);
        assert_eq!(request.details.title, Edit::Set("t".into()));
        assert_eq!(request.details.description, Edit::Keep);
        assert_eq!(request.details.custom_data, Edit::Clear);
    }

    #[test]
    fn only_a_password_is_told_apart() {
        for (sent, only) in [
            (json!({ "password": "p" }), true),
            (json!({ "password": "p", "email": "e" }), false),
            (json!({ "password": "p", "created": "2026" }), false),
            (json!({ "email": "e" }), false),
            (json!({}), false),
        ] {
            assert_eq!(
                UserRequest::modify(&keys(sent.clone()))
                    .unwrap()
                    .only_password,
                only,
                "{sent}"
            );
        }
        assert_eq!(format!("{:?}", NewPassword::Plain("p".into())), "***");
    }

    #[test]
    fn a_user_is_shown_without_its_hash() {
        let user = User {
            name: "u".into(),
            password_hash: Some("$argon2id$".into()),
            generation: 7,
            details: UserDetails {
                email: Some("u@x.example".into()),
                ..UserDetails::default()
            },
            created: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            modified: None,
        };
        let indexes = keys(json!({ "dev": { "type": "stage" } }));
        let shown = user_object("u", Some(&user), indexes);
        let expected = json!({
            "username": "u", "email": "u@x.example", "created": "2026-01-02T03:04:05Z",
            "indexes": { "dev": { "type": "stage" } }
        });
        assert_eq!(shown, expected);
        assert_eq!(
            user_object("y", None, Map::new()),
            json!({ "username": "y", "indexes": {} })
        );
    }
}
