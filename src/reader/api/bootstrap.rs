//! `+api`, with which every devpi-client starts, and `+status` (docs/protocol/devpi.md §3.1, §3.2).

use serde_json::{Value, json};

use crate::db::Serial;
use crate::devpi::ApiAnswer;
use crate::exchange::{Trouble, records_failed};
use crate::protocol::ApiOf;
use crate::reader::look::Look;
use crate::reader::looked_at::SERVER_VERSION;

/// What this server can do; without the last one the client sends whole configurations instead of
/// `key+=value`.
const FEATURES: [&str; 4] = [
    "push-no-docs",
    "push-only-docs",
    "push-register-project",
    "server-keyvalue-parsing",
];

/// `+api`: where everything is, and whether the client's login still holds.
///
/// The public door names `login` and `pypisubmit` as well: the client refuses to work without the
/// first, and both are answered there with a sentence about the management door.
pub async fn api_config(look: Look<'_>, of: &ApiOf) -> Result<ApiAnswer, Trouble> {
    let outside = look.outside();
    let mut result = json!({
        "login": format!("{}/+login", outside.as_str()),
        "authstatus": look.asker.auth_status(),
        "features": FEATURES,
    });
    match of {
        ApiOf::Root | ApiOf::User(_) => {}
        ApiOf::Index(index) => {
            let settings = look.settings(index).await?;
            let url = outside.index(index);
            result["simpleindex"] = format!("{url}/+simple/").into();
            if !settings.is_mirror() {
                result["pypisubmit"] = format!("{url}/").into();
            }
            result["index"] = url.into();
        }
    }
    Ok(ApiAnswer::result("apiconfig", result))
}

/// `+status`. devpi tells everybody its paths; this server tells nobody, and shows its internals only at
/// the management door.
pub async fn status(look: Look<'_>) -> Result<ApiAnswer, Trouble> {
    let Look { flows, cx, .. } = look;
    let failed = |error| records_failed("read the state of the records", error);
    let records = &flows.core.records;
    let facts = records.facts().await.map_err(failed)?;
    let serial = records.serial().await.map_err(failed)?;
    let before = Serial(serial.0.saturating_sub(1));
    let last = records.changes_after(before, 1).await.map_err(failed)?;
    let committed = last.first().map(|change| change.at.as_second());
    let mut status = json!({
        "uuid": facts.uuid,
        "role": "MASTER",
        "serial": serial.0,
        "last-commit-timestamp": committed,
        "event-serial": serial.0,
        "event-serial-timestamp": committed,
        "event-serial-in-sync-at": committed,
        "versioninfo": {
            "cheesecloth": env!("CARGO_PKG_VERSION"),
            "devpi-server": SERVER_VERSION,
        },
        "metrics": [],
        "polling_replicas": {},
    });
    if look.asker.sees_inside() {
        status["outside-url"] = look.outside().as_str().into();
        status["policy-generation"] = cx.generation.number.into();
        status["indexes"] = cx.generation.policies.indexes().count().into();
        status["offline"] = flows.core.settings.offline.into();
        status["metrics"] = Value::Array(vec![json!([
            "cheesecloth_fill_inflight",
            "gauge",
            flows.core.metrics.fills().get()
        ])]);
    }
    Ok(ApiAnswer::result("status", status))
}

#[cfg(test)]
mod tests {
    use crate::account::Principal;
    use crate::db::{Cause, NewUser};
    use crate::reader::api::asker::Asker;
    use crate::reader::api::sample::{House, text_of};

    #[tokio::test]
    async fn the_bootstrap_of_a_stage_names_everything() {
        let house = House::new().await;
        let reply = house.get("/packages/develop/+api").await;
        assert_eq!(reply.status, 200);
        insta::assert_snapshot!(text_of(&reply), @r#"
        {
          "result": {
            "authstatus": [
              "noauth",
              "",
              []
            ],
            "features": [
              "push-no-docs",
              "push-only-docs",
              "push-register-project",
              "server-keyvalue-parsing"
            ],
            "index": "http://devpi.example:4040/packages/develop",
            "login": "http://devpi.example:4040/+login",
            "pypisubmit": "http://devpi.example:4040/packages/develop/",
            "simpleindex": "http://devpi.example:4040/packages/develop/+simple/"
          },
          "type": "apiconfig"
        }
        "#);
    }

    #[tokio::test]
    async fn a_mirror_takes_no_uploads_a_missing_user_is_no_error_and_a_missing_index_is() {
        let house = House::new().await;
        let mirror = house.json("/root/pypi/+api").await;
        assert!(mirror["result"].get("pypisubmit").is_none(), "{mirror}");
        assert_eq!(house.get("/nobody/+api").await.status, 200);
        let missing = house.get("/packages/nowhere/+api").await;
        assert_eq!(missing.status, 404);
        assert!(text_of(&missing).contains("The stage packages/nowhere could not be found."));
    }

    #[tokio::test]
    async fn the_management_door_tells_a_client_who_it_is() {
        let house = House::new().await;
        let me = Principal::user("me");
        let anonymous = Principal::Anonymous;
        for (who, expected) in [
            (Asker::Management(&me), serde_json::json!(["ok", "me", []])),
            (
                Asker::Management(&anonymous),
                serde_json::json!(["noauth", "", []]),
            ),
        ] {
            let reply = house.get_as("/+api", who).await;
            let body: serde_json::Value = serde_json::from_str(&text_of(&reply)).unwrap();
            assert_eq!(body["result"]["authstatus"], expected);
        }
    }

    #[tokio::test]
    async fn every_answer_is_signed_with_the_current_serial() {
        let house = House::new().await;
        let serial = |reply: &crate::exchange::Reply| {
            reply.head["x-devpi-serial"]
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let before = serial(&house.get("/+api").await);
        let cause = Cause {
            who: None,
            at: house.now(),
        };
        let user = NewUser {
            name: "late".into(),
            ..NewUser::default()
        };
        house.records().create_user(&cause, &user).await.unwrap();
        let reply = house.get("/no/such/+api").await;
        assert_eq!(serial(&reply), before + 1);
        let header = |name: &str| reply.head[name].to_str().unwrap();
        assert_eq!(header("x-devpi-api-version"), "2");
        assert_eq!(header("x-devpi-server-version"), "6.20.3");
        assert_eq!(header("x-devpi-uuid").len(), 32);
        assert_eq!(header("content-type"), "application/json");
    }

    #[tokio::test]
    async fn the_public_status_tells_no_paths_and_the_managements_tells_more() {
        let house = House::new().await;
        let public = house.json("/+status").await["result"].clone();
        let keys: Vec<&String> = public.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "event-serial",
                "event-serial-in-sync-at",
                "event-serial-timestamp",
                "last-commit-timestamp",
                "metrics",
                "polling_replicas",
                "role",
                "serial",
                "uuid",
                "versioninfo"
            ]
        );
        let root = Principal::user("root");
        let inside = text_of(&house.get_as("/+status", Asker::Management(&root)).await);
        assert!(inside.contains("\"policy-generation\": 1"), "{inside}");
        assert!(!inside.contains(house.folder()), "{inside}");
    }
}
