//! Users and indexes: `/`, `/{user}`, `/{user}/{index}` (docs/protocol/devpi.md §6, §7).

use std::sync::Arc;

use http::StatusCode;

use crate::devpi::{ApiAnswer, DeclaredIndex, IndexSettings, Survey};
use crate::gateway::{Ask, Context, Error, Flows, Trouble, records_failed, unknown_index};
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::policy::{Stack, Verdict};

/// Most projects that the object of an index lists. A stage has some thousands; of the public index's
/// most of a million the project list can be had in a better form.
const PROJECTS_MAX: usize = 100_000;

/// `GET /`.
pub async fn api_users(flows: &Flows, cx: &Context, ask: &Ask<'_>) -> Result<ApiAnswer, Trouble> {
    let declared = DeclaredIndex::all(&cx.generation.policies);
    let survey = Survey::read(&*flows.core.records, &declared).await;
    let survey = survey.map_err(|error| records_failed("list the users", error))?;
    let survey = survey.only(&|index| cx.shows(ask, index));
    Ok(survey.list_users())
}

/// `GET /{user}`.
pub async fn api_user(
    flows: &Flows,
    cx: &Context,
    ask: &Ask<'_>,
    user: &str,
) -> Result<ApiAnswer, Trouble> {
    let declared = DeclaredIndex::all(&cx.generation.policies);
    let survey = Survey::read(&*flows.core.records, &declared).await;
    let survey = survey.map_err(|error| records_failed("read the user", error))?;
    let survey = survey.only(&|index| cx.shows(ask, index));
    Ok(survey.show_user(user))
}

/// `GET /{user}/{index}`: its configuration and, unless the query has `no_projects`, the names
/// that it knows itself: a stage's own, of a mirror those of the list held last.
pub async fn api_index(
    flows: &Flows,
    cx: &Context,
    ask: &Ask<'_>,
    index: &IndexName,
) -> Result<ApiAnswer, Trouble> {
    let settings = index_settings(flows, cx, index).await?;
    let settings = settings.ok_or_else(|| unknown_index(index))?;
    let mut shown = settings.to_public_json();
    if has_parameter(ask.query, "no_projects") {
        return Ok(ApiAnswer::result(
            StatusCode::OK,
            "indexconfig",
            shown.into(),
        ));
    }
    let names = if settings.is_mirror() {
        mirrored_projects(flows, cx, index).await?
    } else {
        let projects = staged_projects(flows, cx, index).await?;
        projects.iter().map(ToString::to_string).collect()
    };
    let total = names.len();
    let is_whole = total <= PROJECTS_MAX;
    let names = if is_whole { names } else { Vec::new() };
    shown.insert("projects".to_owned(), names.into());
    let answer = ApiAnswer::result(StatusCode::OK, "indexconfig", shown.into());
    Ok(if is_whole {
        answer
    } else {
        answer.with_message(format!(
            "{index} has {total} projects, too many to list here; ask for {index}/+simple/"
        ))
    })
}

/// The configuration of an index, declared or recorded; nothing if there is no such index.
pub async fn index_settings(
    flows: &Flows,
    cx: &Context,
    index: &IndexName,
) -> Result<Option<IndexSettings>, Error> {
    let Some(known) = cx.generation.policies.index(index) else {
        return Ok(None);
    };
    if known.location.is_some() {
        return Ok(Some(IndexSettings::from_index(known)));
    }
    let record = flows.core.records.index(index).await;
    let record = record.map_err(|error| records_failed("read the index", error))?;
    Ok(record.and_then(|record| IndexSettings::from_stored(index, &record.config).ok()))
}

/// The names of a stage's own projects, but for those refused as a whole.
pub async fn staged_projects(
    flows: &Flows,
    cx: &Context,
    index: &IndexName,
) -> Result<Vec<ProjectName>, Error> {
    let doing = "list the projects of the index";
    let projects = flows.core.records.projects(index).await;
    let projects = projects.map_err(|error| records_failed(doing, error))?;
    let stack = cx.generation.policies.stack(index);
    let names = projects.into_iter().map(|project| project.name);
    Ok(names
        .filter(|name| stack.is_none_or(|stack| speaks(stack, name, cx.now)))
        .collect())
}

async fn mirrored_projects(
    flows: &Flows,
    cx: &Context,
    index: &IndexName,
) -> Result<Vec<String>, Error> {
    let held = Arc::clone(&flows.names);
    let (own_cx, own_index) = (cx.clone(), index.clone());
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

/// Whether the asked index of a stack may itself speak for a project that it knows.
fn speaks(stack: &Stack, project: &ProjectName, now: Timestamp) -> bool {
    let asked = &stack.asked.name;
    match stack.decide_project(project, now, &|index| index == asked) {
        Verdict::Allow(allowed) => stack
            .position(asked)
            .is_some_and(|own| allowed.item().ask.contains(&own)),
        Verdict::Deny(_) => false,
    }
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
