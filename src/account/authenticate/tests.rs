//! Who gets in with what, and for how long.

use std::time::Duration;

use super::*;
use crate::account::api_token::MintedToken;
use crate::account::sample::{
    HERE, accounts, add_user, cause, directory_nowhere, now, token, try_out,
};
use crate::account::session::SESSION_LIFETIME;
use crate::db::{NewApiToken, TokenOperation, UserUpdate};

#[tokio::test]
async fn passwords_and_login_tokens_are_good_for_their_user() {
    let (_folder, accounts) = accounts().await;
    let logged_in = token(&accounts, "u", "p").await;
    assert!(!logged_in.root_without_password);
    let session = logged_in.token.unwrap();
    for (secret, means) in [
        ("p", Means::Password),
        ("p", Means::Password),
        (&session, Means::Session),
    ] {
        let principal = try_out(&accounts, "u", secret, now()).await.unwrap();
        assert!(principal.is("u") && principal.groups().is_empty());
        assert_eq!(principal.means(), Some(means), "{secret}");
    }
    for (user, secret) in [
        ("u", "q"),
        ("u", ""),
        ("v", "p"),
        ("a/b", "p"),
        ("root", &*session),
    ] {
        assert_eq!(
            try_out(&accounts, user, secret, now()).await,
            None,
            "{user} {secret}"
        );
    }
    let late = now() + SESSION_LIFETIME;
    assert_eq!(try_out(&accounts, "u", &session, late).await, None);
    let renewed = accounts.log_in("u", &session, HERE, now()).await.unwrap();
    assert_eq!(renewed, Err(NotAccepted::Wrong), "a token is no password");
}

#[tokio::test]
async fn root_without_a_password_is_told() {
    let (_folder, accounts) = accounts().await;
    assert!(token(&accounts, "root", "").await.root_without_password);
    assert!(accounts.is_root_open().await.unwrap());
    accounts.settle_root("other", now()).await.unwrap();
    token(&accounts, "root", "").await;
}

#[tokio::test]
async fn a_token_ends_with_the_password_and_with_the_user() {
    let (_folder, accounts) = accounts().await;
    let before = token(&accounts, "u", "p").await.token.unwrap();
    let password_hash = Some(accounts.passwords.hash("new").await.unwrap());
    let update = UserUpdate {
        password_hash,
        ..UserUpdate::default()
    };
    let user = accounts
        .db
        .update_user(&cause(), "u", &update)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(try_out(&accounts, "u", &before, now()).await, None);
    assert_eq!(
        try_out(&accounts, "u", "p", now()).await,
        None,
        "the cache forgets too"
    );
    let after = accounts.token_of(&user, now());
    assert!(try_out(&accounts, "u", &after, now()).await.is_some());
    accounts.db.delete_user(&cause(), "u").await.unwrap();
    assert_eq!(try_out(&accounts, "u", &after, now()).await, None);
    add_user(&accounts).await;
    assert_eq!(
        try_out(&accounts, "u", &after, now()).await,
        None,
        "another user of the name"
    );
}

#[tokio::test]
async fn a_ci_token_works_under_any_name_and_its_use_is_noted() {
    let (_folder, accounts) = accounts().await;
    let minted = MintedToken::of(&[3; 40]);
    let new = NewApiToken {
        id: minted.id.clone(),
        user: "u".into(),
        secret_hash: minted.secret_hash,
        note: String::new(),
        indexes: vec![],
        operations: vec![TokenOperation::Upload],
        expires: now() + Duration::from_hours(1),
    };
    accounts
        .db
        .create_api_token(&cause(), &new)
        .await
        .unwrap()
        .unwrap();
    let principal = try_out(&accounts, "__token__", &minted.text, now())
        .await
        .unwrap();
    assert!(principal.is("u") && principal.scope().is_some());
    assert_eq!(
        try_out(&accounts, "u", &minted.text, new.expires).await,
        None
    );
    let unknown = MintedToken::of(&[4; 40]).text;
    assert_eq!(try_out(&accounts, "u", &unknown, now()).await, None);
    accounts.note_token_uses().await.unwrap();
    let record = accounts.db.api_token(&minted.id).await.unwrap().unwrap();
    assert_eq!(record.last_used, Some(now()));
}

#[tokio::test]
async fn a_user_without_a_password_cannot_log_in() {
    let (_folder, accounts) = accounts().await;
    let user = NewUser {
        name: "declared".into(),
        ..NewUser::default()
    };
    accounts.db.create_user(&cause(), &user).await.unwrap();
    assert_eq!(try_out(&accounts, "declared", "", now()).await, None);
}

#[tokio::test]
async fn groups_of_the_house_come_with_whatever_says_who_it_is() {
    let (_folder, accounts) = accounts().await;
    let members = vec!["u".to_owned(), "v".to_owned()];
    accounts.adopt_groups(&[("team".to_owned(), members)].into());
    let session = token(&accounts, "u", "p").await.token.unwrap();
    for secret in ["p", &session] {
        let principal = try_out(&accounts, "u", secret, now()).await.unwrap();
        assert_eq!(principal.groups(), ["team"], "{secret}");
    }
    accounts.adopt_groups(&HouseGroups::new());
    let principal = try_out(&accounts, "u", &session, now()).await.unwrap();
    assert!(principal.groups().is_empty(), "a login keeps no group");
}

#[tokio::test]
async fn a_proxy_names_users_only_where_it_may_and_never_root() {
    let (_folder, accounts) = accounts().await;
    assert_eq!(accounts.named_by_proxy(Ok("u"), now()).await.unwrap(), None);
    let accounts = accounts.beside(None, true);
    accounts.adopt_groups(&[("team".to_owned(), vec!["v".to_owned()])].into());
    for (said, why) in [
        (Ok("u"), None),
        (Ok("v"), None),
        (Ok("v"), None),
        (Ok("root"), Some(BadName::Root)),
        (Ok(""), Some(BadName::NoName)),
        (Ok("a b"), Some(BadName::NoName)),
        (Ok("a/b"), Some(BadName::NoName)),
        (Err(BadName::Several), Some(BadName::Several)),
        (Ok("U"), Some(BadName::Like)),
        (Ok("Root"), Some(BadName::Like)),
        (Ok("r00t"), Some(BadName::Like)),
        (Ok("\u{ff55}"), Some(BadName::NotAscii)),
        (Ok("Simple"), Some(BadName::Reserved)),
    ] {
        let found = accounts.named_by_proxy(said, now()).await.unwrap().unwrap();
        assert_eq!(
            found.as_ref().err().copied(),
            why.map(NotAccepted::Name),
            "{said:?}"
        );
        let groups: &[&str] = if said == Ok("v") { &["team"] } else { &[] };
        assert_eq!(found.map_or(vec![], |who| who.groups().to_vec()), groups);
    }
}

/// Nothing answers where this directory is.
#[tokio::test]
async fn while_a_directory_is_down_only_its_own_users_are_not_known() {
    let (_folder, accounts) = accounts().await;
    let accounts = accounts.beside(Some(directory_nowhere()), true);
    let ask = |user: &str, secret: &str| {
        let credentials = Credentials {
            user: user.to_owned(),
            secret: secret.to_owned(),
        };
        let accounts = &accounts;
        async move {
            accounts
                .authenticate(&credentials, HERE, now())
                .await
                .unwrap()
        }
    };
    let is_known = |found: Authenticated| found.map(|_| ());
    assert_eq!(is_known(ask("u", "p").await), Ok(()));
    assert_eq!(is_known(ask("root", "").await), Ok(()));
    assert_eq!(is_known(ask("root", "x").await), Err(NotAccepted::Wrong));
    assert_eq!(is_known(ask("u", "x").await), Err(NotAccepted::Wrong));
    for _ in 0..20 {
        // It is no guess, and waits for nothing.
        let unknown = is_known(ask("anna", "x").await);
        assert_eq!(unknown, Err(NotAccepted::Unavailable));
    }
    // These are not worth a question.
    assert_eq!(is_known(ask("anna", "").await), Err(NotAccepted::Wrong));
    assert_eq!(
        is_known(ask("*)(uid=*", "x").await),
        Err(NotAccepted::Wrong)
    );
    let session = token(&accounts, "u", "p").await.token.unwrap();
    assert_eq!(is_known(ask("u", &session).await), Ok(()));
    let named = accounts.named_by_proxy(Ok("anna"), now()).await.unwrap();
    assert_eq!(named, Some(Err(NotAccepted::Unavailable)));
    let without_password = NewUser {
        name: "anna".into(),
        ..NewUser::default()
    };
    accounts
        .db
        .create_user(&cause(), &without_password)
        .await
        .unwrap();
    let anna = accounts.db.user("anna").await.unwrap().unwrap();
    let session = accounts.token_of(&anna, now());
    let found = is_known(ask("anna", &session).await);
    assert_eq!(found, Err(NotAccepted::Unavailable));
    assert!(accounts.is_of_others(Some(&anna)));
    let u = accounts.db.user("u").await.unwrap();
    assert!(!accounts.is_of_others(u.as_ref()));
}
