//! A small setup for tests: root (empty password), `me` (password `me`), and house/stable in YAML.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use crate::account::{Accounts, Cost, HouseRules, Passwords, Principal, SessionKey};
use crate::db::{Cause, Db, NewUser, Sqlite};
use crate::devpi::answer::Answered;
use crate::devpi::index_settings::IndexSettings;
use crate::devpi::login::login_credentials;
use crate::devpi::management::{AskedBy, DeclaredIndex, Management};
use crate::model::{IndexName, Location, Timestamp};

pub const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

pub fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub fn root() -> Principal {
    Principal::user("root")
}

pub fn me() -> Principal {
    Principal::user("me")
}

pub fn by(who: &Principal) -> AskedBy<'_> {
    AskedBy { who, now: now() }
}

/// Status and message of an answer.
pub fn text_of(answer: &Answered) -> (u16, &str) {
    match answer {
        Ok(answer) => (
            answer.status.as_u16(),
            answer.body["message"].as_str().unwrap_or_default(),
        ),
        Err(refusal) => (refusal.status.as_u16(), &refusal.message),
    }
}

pub async fn log_in(management: &Management, body: &[u8]) -> Answered {
    let sent = login_credentials(body)?;
    let logged_in = management.log_in(&sent, HERE, now()).await;
    logged_in.map(|(answer, _)| answer)
}

pub async fn setting() -> (tempfile::TempDir, Management) {
    let folder = tempfile::tempdir().unwrap();
    let db = Sqlite::open(&folder.path().join("records"), now())
        .await
        .unwrap();
    let key = SessionKey::new(db.facts().await.unwrap().secret);
    let cheap = Cost {
        memory_kib: 64,
        iterations: 1,
        lanes: 1,
    };
    let passwords = Passwords::new(cheap, 2);
    let password_hash = Some(passwords.hash("me").await.unwrap());
    let user = NewUser {
        name: "me".into(),
        password_hash,
        ..NewUser::default()
    };
    db.create_user(
        &Cause {
            who: None,
            at: now(),
        },
        &user,
    )
    .await
    .unwrap();
    let db: Arc<dyn Db> = Arc::new(db);
    let accounts = Accounts::new(db.clone(), passwords, key, [1; 32]);
    accounts.settle_root("", now()).await.unwrap();
    let stable = IndexName::parse("house/stable").unwrap();
    let keys = json!({ "volatile": false }).as_object().unwrap().clone();
    let settings = IndexSettings::create(&stable, &keys, &|_| true).unwrap();
    let location = Location {
        file: "house.yaml".into(),
        line: 3,
        column: 5,
    };
    let declared = DeclaredIndex { settings, location };
    let management = Management {
        db,
        accounts: Arc::new(accounts),
        rules: HouseRules::default(),
        declared: Arc::new([(stable, declared)].into()),
        check: None,
    };
    (folder, management)
}
