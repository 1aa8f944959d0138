//! How a mirror logs in to its upstream: taken from its URL, a variable or a file.

use url::Url;

use crate::config::environment::{Environment, variable};
use crate::config::files::{NamedFiles, beside};
use crate::config::named::Reach;
use crate::config::secret::read_secret;
use crate::config::settings::Config;
use crate::language::{IndexDocument, IndexKindDocument, Notes, Placed, SecretSource};
use crate::model::{Fault, Login, Secret};

/// Moves a mirror's login from its document, where it might be printed, to the settings.
pub(super) fn take_login(
    mirror: &mut IndexDocument,
    config: &mut Config,
    env: Environment<'_>,
    named: &mut NamedFiles<'_>,
    notes: &mut Notes,
) {
    let name = &mirror.name.value;
    let IndexKindDocument::Mirror(mirror) = &mut mirror.kind else {
        return;
    };
    let has_user = mirror.username().is_some();
    if let Some(placed) = &mut mirror.mirror_url
        && let Ok(mut url) = Url::parse(&placed.value)
        && let Some(login) = Login::take_from(&mut url)
    {
        placed.value = url.into();
        if has_user {
            let fault = Fault::at(
                &placed.location,
                "mirror_url has a user, and username is given",
            );
            notes.note(fault.hint("keep one"));
        }
        config.logins.insert(name.clone(), login);
    }
    let Some(user) = mirror.username().cloned() else {
        return;
    };
    let password = mirror.password();
    let password = match password.map(|source| password_of(&source, env, named)) {
        Some(Ok(password)) => password,
        None => Secret::new(""),
        Some(Err(fault)) => return notes.note(fault),
    };
    config.logins.insert(
        name.clone(),
        Login {
            user: user.value,
            password,
        },
    );
}

fn password_of(
    source: &Placed<SecretSource>,
    env: Environment<'_>,
    named: &mut NamedFiles<'_>,
) -> Result<Secret, Fault> {
    match &source.value {
        SecretSource::Environment(name) => variable(env, name).map(Secret::new).ok_or_else(|| {
            let what = format!("password_env: {name} is not set");
            Fault::at(&source.location, what).hint("set it, or name another variable")
        }),
        SecretSource::File(path) => {
            let path = beside(&source.location, path);
            named.named.note(&path, Reach::File);
            let wrong = |why| Fault::at(&source.location, format!("password_file: {why}"));
            read_secret(&path).map_err(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::{folder, load_folder};

    #[test]
    fn a_mirrors_login_leaves_the_document() {
        let folder = folder(&[
            (
                "a.yaml",
                "indexes:\n  a/url: {type: mirror, mirror_url: 'https://u:p%40@upstream.example/simple/'}\n  \
                 a/env: {type: mirror, mirror_url: 'https://upstream.example/', username: e, password_env: PASS}\n  \
                 a/file: {type: mirror, mirror_url: 'https://upstream.example/', username: f, password_file: secret}\n",
            ),
            ("secret", "from-file\n"),
        ]);
        let loaded = load_folder(&folder, &[("PASS", "from-env")]).unwrap();
        let logins: Vec<_> = loaded
            .config
            .logins
            .iter()
            .map(|(index, login)| (index.index(), login.user.as_str(), login.password.expose()))
            .collect();
        assert_eq!(
            logins,
            [
                ("env", "e", "from-env"),
                ("file", "f", "from-file"),
                ("url", "u", "p@")
            ]
        );
        let printed = format!("{loaded:?}");
        for secret in ["p%40", "p@", "from-env", "from-file"] {
            assert!(!printed.contains(secret), "{secret}");
        }
        let unset = load_folder(&folder, &[]).unwrap_err();
        assert!(
            unset.starts_with("a.yaml:3:93: password_env: PASS is not set"),
            "{unset}"
        );
    }
}
