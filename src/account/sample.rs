//! Accounts for the tests: root without a password, and `u` with the password `p`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::account::authenticate::{Accounts, LoggedIn};
use crate::account::credentials::Credentials;
use crate::account::password::{Cost, Passwords};
use crate::account::principal::Principal;
use crate::account::session::SessionKey;
use crate::db::{Cause, Db, NewUser, Sqlite};
use crate::identity::UserDirectory;
use crate::model::{
    DIRECTORY_RECHECK_MAX, DirectoryServer, DirectorySettings, DirectoryTls, FindUser,
    PersonTemplate, Timestamp,
};
use crate::telemetry::DirectoryMetrics;

pub const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
pub const CHEAP: Cost = Cost {
    memory_kib: 64,
    iterations: 1,
    lanes: 1,
};

pub fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub fn cause() -> Cause {
    Cause {
        who: None,
        at: now(),
    }
}

/// Accounts with root (empty password) and user `u` (password `p`).
pub async fn accounts() -> (tempfile::TempDir, Accounts) {
    let folder = tempfile::tempdir().unwrap();
    let db = Sqlite::open(&folder.path().join("records"), now())
        .await
        .unwrap();
    let key = SessionKey::new(db.facts().await.unwrap().secret);
    let accounts = Accounts::new(Arc::new(db), Passwords::new(CHEAP, 2), key, [9; 32]);
    accounts.settle_root("", now()).await.unwrap();
    add_user(&accounts).await;
    (folder, accounts)
}

pub async fn add_user(accounts: &Accounts) {
    let password_hash = Some(accounts.passwords.hash("p").await.unwrap());
    let user = NewUser {
        name: "u".into(),
        password_hash,
        ..NewUser::default()
    };
    accounts
        .db
        .create_user(&cause(), &user)
        .await
        .unwrap()
        .unwrap();
}

pub async fn try_out(
    accounts: &Accounts,
    user: &str,
    secret: &str,
    at: Timestamp,
) -> Option<Principal> {
    let credentials = Credentials {
        user: user.into(),
        secret: secret.into(),
    };
    let found = accounts.authenticate(&credentials, HERE, at).await.unwrap();
    found.ok()
}

pub async fn token(accounts: &Accounts, user: &str, password: &str) -> LoggedIn {
    let logged_in = accounts.log_in(user, password, HERE, now()).await.unwrap();
    logged_in.unwrap()
}

/// A directory that cannot be reached.
pub fn directory_nowhere() -> Arc<UserDirectory> {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    directory_at(gone.local_addr().unwrap())
}

/// A directory that is said to be there; it is asked for passwords alone.
pub fn directory_at(address: std::net::SocketAddr) -> Arc<UserDirectory> {
    let template = PersonTemplate::parse("{username}@corp.example").unwrap();
    let settings = DirectorySettings {
        servers: vec![DirectoryServer {
            url: format!("ldap://{address}").parse().unwrap(),
            tls: DirectoryTls {
                start_tls: false,
                is_verified: true,
                authorities: Vec::new(),
                own: None,
            },
        }],
        user: FindUser::Template(template),
        groups: None,
        timeout: std::time::Duration::from_secs(5),
        recheck: DIRECTORY_RECHECK_MAX,
    };
    Arc::new(UserDirectory::open(settings, DirectoryMetrics::default()).unwrap())
}
