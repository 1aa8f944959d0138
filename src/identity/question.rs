//! What a directory is asked, and in what steps one of its servers answers.

use crate::identity::connection::{Connection, Server};
use crate::identity::error::DirectoryError;
use crate::identity::wording::bind_name;
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

/// Asks a server.
pub(super) async fn ask(
    settings: &DirectorySettings,
    server: &Server,
    question: &Question,
) -> Result<Answer, DirectoryError> {
    let mut connection = server.connect().await?;
    let answer = match question {
        Question::SignIn { user, password } => {
            sign_in(settings, &mut connection, user, password.expose()).await?
        }
        Question::Standing { user } => standing(settings, &mut connection, user).await?,
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
) -> Result<Answer, DirectoryError> {
    let Some(userdn) = entry_of(settings, connection, user).await? else {
        return Ok(None);
    };
    let username = user;
    let userdn = &userdn;
    let person = Person { username, userdn };
    groups_of(settings, connection, person).await.map(Some)
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
