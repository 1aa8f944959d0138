//! `+doctor`: what this gateway makes of this very request, for people who wonder whether they use it.
//!
//! It asks no upstream and shows nothing that the same client could not see otherwise.

use serde_json::{Value, json};

use crate::catalog::unknown_index;
use crate::devpi::ApiAnswer;
use crate::exchange::{Ask, Trouble, records_failed};
use crate::model::{IndexName, ProjectName};
use crate::policy::Stack;
use crate::protocol::{AskedIndex, Encoding};
use crate::reader::look::Look;
use crate::store::Key;

/// The answer's type, by which clients know us.
const KIND: &str = "doctor";

/// Answers it for one index; without a default index, for none.
pub async fn api_doctor(look: Look<'_>, asked: &AskedIndex) -> Result<ApiAnswer, Trouble> {
    let Look { flows, cx, ask, .. } = look;
    let policies = &cx.generation.policies;
    let index = match asked {
        AskedIndex::Named(index) => {
            policies.index(index).ok_or_else(|| unknown_index(index))?;
            Some(index)
        }
        AskedIndex::Default => policies.default_index().filter(|index| look.shows(index)),
    };
    let stack = index.and_then(|index| policies.stack(index));
    let facts = flows.core.records.facts().await;
    let facts = facts.map_err(|error| records_failed("read the records' id", error))?;
    let outside = look.outside();
    let mut result = json!({
        "server": {
            "version": env!("CARGO_PKG_VERSION"),
            "uuid": facts.uuid,
            "url": format!("{}/", outside.as_str()),
            "generation": cx.generation.number,
            "offline": flows.core.settings.offline,
        },
        "door": if ask.arrival.is_manage { "management" } else { "public" },
        "index": index.map(IndexName::as_str),
        "index_url": index.map(|index| format!("{}/+simple/", outside.index(index))),
        "stack": stack.map(|stack| members(look, stack)),
        "client": client(look),
        "form": form(ask),
    });
    if let (Some(stack), Some(project)) = (stack, project(ask)) {
        result["project"] = held(look, stack, &project);
    }
    Ok(ApiAnswer::result(KIND, result))
}

/// The members that this door shows, in the order in which they are asked.
fn members(look: Look<'_>, stack: &Stack) -> Vec<Value> {
    let shown = stack
        .members
        .iter()
        .filter(|member| look.shows(&member.index.name));
    let shown = shown.map(|member| {
        let kind = match member.index.mirror() {
            Some(_) => "mirror",
            None => "stage",
        };
        json!({ "index": member.index.name.as_str(), "type": kind })
    });
    shown.collect()
}

fn client(look: Look<'_>) -> Value {
    let arrival = look.ask.arrival;
    let agent = look.ask.headers.get(http::header::USER_AGENT);
    json!({
        "address": arrival.client.map(|address| address.to_string()),
        "user": look.asker.user(),
        "user_agent": agent.and_then(|agent| agent.to_str().ok()),
        "tls": arrival.is_tls,
        // Only HTTP/2 has the authority in the request's target.
        "http": if arrival.authority.is_some() { "2" } else { "1.1" },
    })
}

/// The form in which such a request gets a simple page.
fn form(ask: &Ask<'_>) -> Value {
    let content_type = ask.preferences.format(None).ok();
    json!({
        "content_type": content_type.map(|format| format.content_type()),
        "content_encoding": match ask.preferences.encoding {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        },
    })
}

/// The project that a query asks about.
fn project(ask: &Ask<'_>) -> Option<ProjectName> {
    let query = ask.query.unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let mut named = pairs.filter(|(key, _)| key == "project");
    let (_, name) = named.next()?;
    ProjectName::parse(&name).ok()
}

/// Which mirrors' pages of a project are held.
fn held(look: Look<'_>, stack: &Stack, project: &ProjectName) -> Value {
    let store = &look.flows.core.store;
    let mirrors = stack.members.iter().map(|member| &member.index);
    let mirrors = mirrors.filter(|index| index.mirror().is_some() && look.shows(&index.name));
    let held = mirrors.map(|index| {
        let is_held = store.length(&Key::page(&index.name, project)) > 0;
        (index.name.as_str().to_owned(), json!(is_held))
    });
    json!({ "name": project.as_str(), "page_held": serde_json::Map::from_iter(held) })
}

#[cfg(test)]
mod tests {
    use crate::account::Principal;
    use crate::reader::api::asker::Asker;
    use crate::reader::api::sample::House;

    #[tokio::test]
    async fn a_client_is_told_what_it_asks_and_in_which_form() {
        let house = House::new().await;
        let told = &house.json("/packages/develop/+doctor?project=six").await["result"];
        assert_eq!(told["door"], "public");
        assert_eq!(told["index"], "packages/develop");
        let url = "http://devpi.example:4040/packages/develop/+simple/";
        assert_eq!(told["index_url"], url);
        let stack: Vec<_> = told["stack"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| {
                (
                    member["index"].as_str().unwrap(),
                    member["type"].as_str().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("packages/develop", "stage"),
            ("packages/stable", "stage"),
            ("root/pypi", "mirror"),
        ];
        assert_eq!(stack, expected);
        assert_eq!(told["client"]["user"], serde_json::Value::Null);
        assert_eq!(told["form"]["content_encoding"], "identity");
        assert!(
            told["project"]["page_held"]["root/pypi"].is_boolean(),
            "{told}"
        );
        assert!(!told.to_string().contains("s3cret"), "{told}");
        assert_eq!(
            house.json("/+doctor").await["result"]["index"],
            "packages/stable"
        );
        assert_eq!(house.get("/no/where/+doctor").await.status, 404);
    }

    #[tokio::test]
    async fn the_management_door_says_who_asks() {
        let house = House::new().await;
        let me = Principal::user("me");
        let reply = house.get_as("/+doctor", Asker::Management(&me)).await;
        let text = crate::reader::api::sample::text_of(&reply);
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["result"]["client"]["user"], "me");
    }
}
