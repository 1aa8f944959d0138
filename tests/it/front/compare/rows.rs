//! The known differences: each is a row of the document, under the name in its first column.

use super::{Difference, Door, Pair};

pub(super) struct Row {
    pub(super) name: &'static str,
    /// Whether this row explains a difference between two answers.
    pub(super) covers: fn(&Pair, &Difference) -> bool,
}

/// Headers that devpi sends with everything it answers itself.
const OF_DEVPI: [&str; 6] = [
    "x-devpi-api-version",
    "x-devpi-master-uuid",
    "x-devpi-primary-uuid",
    "x-devpi-serial",
    "x-devpi-server-version",
    "x-devpi-uuid",
];

/// All rows, the narrow ones before the wide ones.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "server",
        covers: |_, found| found.field == "server" && found.ours.is_empty(),
    },
    Row {
        name: "operators",
        covers: |_, found| {
            let ours = ["cache-status", "server-timing", "x-request-id"];
            ours.contains(&found.field.as_str()) && found.nginx.is_empty()
        },
    },
    Row {
        name: "sniffing",
        covers: |_, found| {
            let ours = (found.field.as_str(), found.ours.as_str());
            ours == ("x-content-type-options", "nosniff") && found.nginx.is_empty()
        },
    },
    Row {
        name: "read-only",
        covers: |pair, _| pair.case.door == Door::Public && pair.ours.status == 405,
    },
    Row {
        name: "which-server",
        covers: |pair, found| {
            let of_one = ["x-devpi-uuid", "x-devpi-serial"];
            let of_a_stale_page = ["cache-control", "expires", "last-modified", "pragma"];
            let servers = [&pair.nginx, &pair.ours].map(|answer| answer.header("x-devpi-uuid"));
            let says_both = !servers[0].is_empty() && !servers[1].is_empty();
            let field = found.field.as_str();
            says_both
                && (of_one.contains(&field)
                    || servers[0] != servers[1] && of_a_stale_page.contains(&field)
                    || field == "body" && pair.case.request.target == "/+status")
        },
    },
    Row {
        name: "no-accept",
        covers: |pair, found| {
            let is_worded = matches!(found.field.as_str(), "body" | "content-type");
            is_worded
                && !says(pair, "Accept")
                && pair.nginx.status == pair.ours.status
                && pair.nginx.header("content-type").starts_with("text/plain")
                && pair.ours.header("content-type").starts_with("text/html")
        },
    },
    Row {
        name: "outside-url",
        covers: |pair, found| {
            found.field == "body" && (says(pair, "X-Outside-Url") || says(pair, "X-Forwarded-Host"))
        },
    },
    Row {
        name: "misspelt-object",
        covers: |pair, _| (pair.nginx.status, pair.ours.status) == (415, 301),
    },
    Row {
        name: "redirect",
        covers: |pair, found| {
            let fields = ["status", "body", "location", "content-type", "vary"];
            pair.nginx.status == 302
                && matches!(pair.ours.status, 301 | 302)
                && (fields.contains(&found.field.as_str()) || is_left_out(found))
        },
    },
    Row {
        name: "page-not-modified",
        covers: |pair, found| {
            let fields = ["status", "body", "content-type"];
            is_page(pair)
                && (pair.nginx.status, pair.ours.status) == (200, 304)
                && fields.contains(&found.field.as_str())
        },
    },
    Row {
        name: "page-headers",
        covers: |pair, found| {
            let fields = [
                "cache-control",
                "etag",
                "expires",
                "last-modified",
                "pragma",
                "vary",
            ];
            is_page(pair)
                && matches!(pair.ours.status, 200 | 304)
                && (fields.contains(&found.field.as_str()) || is_left_out(found))
        },
    },
    Row {
        name: "page-charset",
        covers: |pair, found| {
            is_page(pair)
                && found.field == "content-type"
                && found.nginx.eq_ignore_ascii_case(&found.ours)
        },
    },
    Row {
        name: "sidecar",
        covers: |pair, _| {
            pair.case.request.target.ends_with(".metadata")
                && (pair.nginx.status, pair.ours.status) == (404, 200)
        },
    },
    Row {
        name: "file-no-such-part",
        covers: |pair, found| {
            let fields = [
                "body",
                "content-type",
                "cache-control",
                "expires",
                "etag",
                "last-modified",
            ];
            is_file(pair)
                && (pair.nginx.status, pair.ours.status) == (416, 416)
                && fields.contains(&found.field.as_str())
        },
    },
    Row {
        name: "file-parts",
        covers: |pair, found| {
            let fields = ["status", "body", "content-type", "accept-ranges"];
            is_file(pair)
                && (pair.nginx.status, pair.ours.status) == (206, 200)
                && fields.contains(&found.field.as_str())
        },
    },
    Row {
        name: "file-since",
        covers: |pair, found| {
            let fields = ["status", "body", "content-type"];
            says(pair, "If-Modified-Since")
                && (pair.nginx.status, pair.ours.status) == (200, 304)
                && fields.contains(&found.field.as_str())
        },
    },
    Row {
        name: "file-metadata",
        covers: |pair, found| {
            is_file(pair)
                && says(pair, "Accept")
                && pair.nginx.header("content-type") == "application/json"
                && pair.ours.status == 200
                && matches!(found.field.as_str(), "body" | "content-type")
        },
    },
    Row {
        name: "file-type",
        covers: |pair, found| {
            is_file(pair)
                && pair.case.request.target.contains(".tar.gz")
                && found.field == "content-type"
                && found.ours == "application/gzip"
        },
    },
    Row {
        name: "file-headers",
        covers: |pair, found| {
            let fields = [
                "accept-ranges",
                "cache-control",
                "etag",
                "expires",
                "last-modified",
                "vary",
                "x-accel-buffering",
            ];
            is_file(pair)
                && matches!(pair.ours.status, 200 | 206 | 304)
                && (fields.contains(&found.field.as_str()) || is_left_out(found))
        },
    },
];

fn says(pair: &Pair, name: &str) -> bool {
    pair.case
        .request
        .headers
        .iter()
        .any(|(known, _)| known == name)
}

fn is_file(pair: &Pair) -> bool {
    pair.case.request.target.contains("/+f/")
}

/// One of the pages that we make ourselves; lists and objects are passed through from devpi.
fn is_page(pair: &Pair) -> bool {
    !is_file(pair) && !pair.ours.header("etag").is_empty()
}

/// devpi's own headers, on answers that are not devpi's.
fn is_left_out(found: &Difference) -> bool {
    OF_DEVPI.contains(&found.field.as_str()) && found.ours.is_empty()
}
