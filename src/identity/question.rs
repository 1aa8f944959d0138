//! What a directory is asked, and in what steps one of its servers answers.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::identity::connection::{Connection, Server};
use crate::identity::error::DirectoryError;
use crate::identity::wording::{bind_name, entry_above};
use crate::model::{DirectorySearch, DirectorySettings, FindUser, Person, Secret};

/// Most groups of one user: more than any directory has, and a bound on what is held of each.
const GROUPS_MAX: usize = 1_000;

/// A question.
#[derive(Debug, Clone)]
pub(super) enum Question {
    /// Is this their password?
    SignIn {
        /// The name they gave.
        user: String,
        /// The password.
        password: Secret,
    },
    /// Are they still there?
    Standing {
        /// Their name.
        user: String,
    },
}

/// The groups of a user; `None` if the directory does not know the user or the password.
pub(super) type Answer = Option<Vec<String>>;

/// Asks a server. It is said once that it does not let us look for users.
pub(super) async fn ask(
    settings: &DirectorySettings,
    server: &Server,
    question: &Question,
    is_hiding_told: &AtomicBool,
) -> Result<Answer, DirectoryError> {
    let mut connection = server.connect().await?;
    let answer = match question {
        Question::SignIn { user, password } => {
            sign_in(settings, &mut connection, user, password.expose()).await?
        }
        Question::Standing { user } => {
            let standing = standing(settings, &mut connection, user, is_hiding_told);
            standing.await?
        }
    };
    connection.end().await;
    Ok(answer)
}

async fn sign_in(
    settings: &DirectorySettings,
    connection: &mut Connection,
    user: &str,
    password: &str,
) -> Result<Answer, DirectoryError> {
    let Some(userdn) = entry_of(settings, connection, user).await? else {
        return Ok(None);
    };
    if !connection.bind(&userdn, password).await? {
        return Ok(None);
    }
    let username = user;
    let userdn = &userdn;
    let person = Person { username, userdn };
    groups_of(settings, connection, person).await.map(Some)
}

/// Without the user's password only an account may search, or anybody.
async fn standing(
    settings: &DirectorySettings,
    connection: &mut Connection,
    user: &str,
    is_hiding_told: &AtomicBool,
) -> Result<Answer, DirectoryError> {
    let Some(userdn) = entry_of(settings, connection, user).await? else {
        return Ok(None);
    };
    // A search has found the entry; the name that a template makes says nothing of whether there is one.
    if matches!(&settings.user, FindUser::Template(template) if template.names_entry()) {
        match is_there(settings, connection, &userdn).await? {
            Some(true) => {}
            Some(false) => return Ok(None),
            None => tell_hiding(is_hiding_told),
        }
    }
    let username = user;
    let userdn = &userdn;
    let person = Person { username, userdn };
    groups_of(settings, connection, person).await.map(Some)
}

/// Whether an entry is there; `None` if that is not ours to know. A server may say of what it hides that it
/// is not there, so that counts only where the entry above can be seen.
async fn is_there(
    settings: &DirectorySettings,
    connection: &mut Connection,
    userdn: &str,
) -> Result<Option<bool>, DirectoryError> {
    let groups = settings.groups.as_ref();
    if let Some(account) = groups.and_then(|search| search.account.as_ref()) {
        connection.bind_account(account).await?;
    }
    let seen = connection.has_entry(userdn).await?;
    let (Some(false), Some(above)) = (seen, entry_above(userdn)) else {
        return Ok(seen.filter(|is_there| *is_there));
    };
    let above = connection.has_entry(above).await?;
    Ok(above.filter(|is_there| *is_there).map(|_| false))
}

fn tell_hiding(is_told: &AtomicBool) {
    if !is_told.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the directory does not let us see whether a user is still there: logins and tokens of users who \
             are removed from it go on, until they end or are revoked; give group_search a userdn that may \
             look at the entries of users"
        );
    }
}

/// The distinguished name of a user's entry, if there is exactly one.
async fn entry_of(
    settings: &DirectorySettings,
    connection: &mut Connection,
    user: &str,
) -> Result<Option<String>, DirectoryError> {
    let person = Person {
        username: user,
        userdn: "",
    };
    let search = match &settings.user {
        FindUser::Template(template) => return Ok(Some(bind_name(template, person))),
        FindUser::Search(search) => search,
    };
    let found = searched(connection, search, person, "look for users", 2).await;
    let mut entries = found?.into_iter();
    let (first, second) = (entries.next(), entries.next());
    if second.is_some() {
        tracing::warn!("the search for a user finds two entries: nobody logs in as either");
        return Ok(None);
    }
    let mut names = first.into_iter().flatten();
    Ok(names.next().filter(|name| !name.is_empty()))
}

async fn groups_of(
    settings: &DirectorySettings,
    connection: &mut Connection,
    person: Person<'_>,
) -> Result<Vec<String>, DirectoryError> {
    let Some(search) = &settings.groups else {
        return Ok(Vec::new());
    };
    let found = searched(connection, search, person, "look for groups", GROUPS_MAX).await?;
    let mut groups: Vec<String> = found.into_iter().flatten().collect();
    groups.sort();
    groups.dedup();
    groups.truncate(GROUPS_MAX);
    Ok(groups)
}

async fn searched(
    connection: &mut Connection,
    search: &DirectorySearch,
    person: Person<'_>,
    doing: &'static str,
    most: usize,
) -> Result<Vec<Vec<String>>, DirectoryError> {
    if let Some(account) = &search.account {
        connection.bind_account(account).await?;
    }
    connection.search(search, person, doing, most).await
}
