//! What was found, as an object: `/+search?query=` for programs. devpi-web has no such answer; this one is in
//! devpi's envelope.

use serde_json::{Value, json};

use crate::devpi::ApiAnswer;
use crate::exchange::Trouble;
use crate::reader::found::FoundProject;
use crate::reader::look::Look;
use crate::reader::web::AskedSearch;

/// `/+search?query=`, `page=` and `index=`.
pub async fn api_search(look: Look<'_>) -> Result<ApiAnswer, Trouble> {
    let asked = AskedSearch::of(look.ask.query)?;
    let found = match asked.query.is_empty() {
        true => Default::default(),
        false => asked.find(look).await?,
    };
    let items: Vec<Value> = found.results.iter().map(item).collect();
    let answer = json!({
        "query": asked.query.typed(),
        "index": asked.index.as_ref().map(|index| index.as_str()),
        "page": asked.page,
        "has_more": found.has_more,
        "is_complete": found.is_whole && found.has_lists && !found.is_cut,
        "is_limited": found.is_limited,
        "is_query_cut": asked.query.is_cut(),
        "items": items,
    });
    Ok(ApiAnswer::result("searchresult", answer))
}

fn item(found: &FoundProject) -> Value {
    let indexes: Vec<&str> = found.indexes.iter().map(|index| index.as_str()).collect();
    json!({
        "name": found.project.as_str(),
        "indexes": indexes,
        "from": found.from.as_ref().map(|from| from.as_str()),
        "version": found.version,
        "summary": found.summary,
    })
}
