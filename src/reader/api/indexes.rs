//! Users and indexes: `/`, `/{user}`, `/{user}/{index}` (docs/protocol/devpi.md §6, §7).

use std::sync::Arc;

use crate::devpi::{ApiAnswer, DevpiWords};
use crate::exchange::{Error, Trouble};
use crate::model::{IndexName, ProjectName};
use crate::reader::look::{Look, speaks};

/// Most projects listed in the object of an index. A stage has some thousands; for the public index, with
/// nearly a million, the project list offers a better form.
const PROJECTS_MAX: usize = 100_000;

/// `GET /`.
pub async fn api_users(look: Look<'_>) -> Result<ApiAnswer, Trouble> {
    Ok(look
        .survey("list the users", |survey| survey.list_users())
        .await?)
}

/// `GET /{user}`.
pub async fn api_user(look: Look<'_>, user: &str) -> Result<ApiAnswer, Trouble> {
    let shown = look.survey("read the user", |survey| survey.show_user(user));
    let no_user = || Error::not_found(DevpiWords::NoUser(user).to_string());
    Ok(shown.await?.ok_or_else(no_user)?)
}

/// `GET /{user}/{index}`: its configuration and, unless the query has `no_projects`, the names it knows
/// itself: a stage's own, or those of a mirror's last list.
pub async fn api_index(look: Look<'_>, index: &IndexName) -> Result<ApiAnswer, Trouble> {
    let settings = look.settings(index).await?;
    let mut shown = settings.to_public_json();
    if has_parameter(look.ask.query, "no_projects") {
        return Ok(ApiAnswer::result("indexconfig", shown.into()));
    }
    let names = if settings.is_mirror() {
        mirrored_projects(look, index).await?
    } else {
        let projects = look.staged_projects(index).await?;
        projects.iter().map(ToString::to_string).collect()
    };
    let total = names.len();
    let is_whole = total <= PROJECTS_MAX;
    let names = if is_whole { names } else { Vec::new() };
    shown.insert("projects".to_owned(), names.into());
    let answer = ApiAnswer::result("indexconfig", shown.into());
    Ok(if is_whole {
        answer
    } else {
        answer.with_message(format!(
            "{index} has {total} projects, too many to list here; ask for {index}/+simple/"
        ))
    })
}

async fn mirrored_projects(look: Look<'_>, index: &IndexName) -> Result<Vec<String>, Error> {
    let held = Arc::clone(&look.flows.names);
    let (own_cx, own_index) = (look.cx.clone(), index.clone());
    let work = move || {
        let Some(names) = held.list_copy(&own_index) else {
            return Vec::new();
        };
        let stack = own_cx.generation.policies.stack(&own_index);
        let is_shown = |name: &&str| {
            let project = ProjectName::parse(name).ok();
            project.is_some_and(|project| {
                stack.is_none_or(|stack| speaks(stack, &project, own_cx.now))
            })
        };
        names.iter().filter(is_shown).map(str::to_owned).collect()
    };
    let names = tokio::task::spawn_blocking(work).await;
    names.map_err(|error| Error::internal("list the projects of the mirror", error))
}

/// Whether a query has a parameter, whatever its value (devpi's `?no_projects`, `?ignore_bases`).
pub fn has_parameter(query: Option<&str>, name: &str) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| pair.split('=').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use crate::reader::api::sample::{House, text_of};

    #[tokio::test]
    async fn an_index_shows_its_configuration_and_its_own_projects() {
        let house = House::new().await;
        insta::assert_snapshot!(text_of(&house.get("/packages/stable").await), @r#"
        {
          "result": {
            "acl_toxresult_upload": [
              ":ANONYMOUS:"
            ],
            "acl_upload": [
              "packages"
            ],
            "bases": [
              "root/pypi"
            ],
            "mirror_whitelist": [
              "six"
            ],
            "mirror_whitelist_inheritance": "intersection",
            "projects": [
              "hello-pkg",
              "six"
            ],
            "title": "What <production> runs",
            "type": "stage",
            "volatile": false
          },
          "type": "indexconfig"
        }
        "#);
    }

    #[tokio::test]
    async fn no_projects_leaves_them_out_whatever_its_value() {
        let house = House::new().await;
        for query in ["no_projects", "no_projects=", "a=b&no_projects=1"] {
            let body = house.json(&format!("/packages/stable?{query}")).await;
            assert!(body["result"].get("projects").is_none(), "{query}");
        }
    }

    #[tokio::test]
    async fn a_mirror_lists_what_it_knows_and_may_speak_for_and_hides_its_password() {
        let house = House::new().await;
        house.mirror_lists(&["six", "acme-core", "requests", "banned"]);
        let body = house.json("/root/pypi").await;
        let mirror = &body["result"];
        // `acme-*` is reserved, `banned` is refused by the mirror's own policy.
        assert_eq!(mirror["projects"], serde_json::json!(["requests", "six"]));
        assert_eq!(
            mirror["mirror_url"],
            "https://reader:***@upstream.example/simple/"
        );
        assert_eq!(mirror["mirror_cache_expiry"], 600);
    }

    #[tokio::test]
    async fn users_are_shown_with_declared_and_recorded_indexes() {
        let house = House::new().await;
        let all = house.json("/").await;
        assert_eq!(all["type"], "list:userconfig");
        let users: Vec<&String> = all["result"].as_object().unwrap().keys().collect();
        assert_eq!(users, ["me", "packages", "root"]);
        let me = house.json("/me").await;
        assert_eq!(me["type"], "userconfig");
        assert_eq!(me["result"]["email"], "me@house.example");
        assert_eq!(
            me["result"]["indexes"]["dev"]["bases"],
            serde_json::json!(["packages/stable"])
        );
        assert!(me["result"].get("pwhash").is_none());
        let missing = house.get("/nobody").await;
        assert_eq!(missing.status, 404);
        assert_eq!(
            text_of(&missing),
            "{\n  \"message\": \"no user 'nobody'\"\n}\n"
        );
    }

    #[tokio::test]
    async fn an_unknown_index_is_told_in_devpis_words() {
        let house = House::new().await;
        let missing = house.get("/packages/nowhere").await;
        assert_eq!(missing.status, 404);
        let expected = "{\n  \"message\": \"The stage packages/nowhere could not be found.\"\n}\n";
        assert_eq!(text_of(&missing), expected);
    }

    #[tokio::test]
    async fn a_head_has_the_headers_of_the_get_and_no_body() {
        let house = House::new().await;
        let get = house.get("/packages/stable").await;
        let head = house.head("/packages/stable").await;
        assert_eq!(head.head["content-length"], get.head["content-length"]);
        assert_eq!(text_of(&head), "");
    }
}
