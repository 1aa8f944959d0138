//! What pages load, and what robots ask for, part of the binary.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::exchange::{Ask, Record, Reply};
use crate::reader::web::sent::Sent;

/// The stylesheet's name in pages.
pub const STYLE: &str = "style.css";

/// The icon's name in pages.
pub const ICON: &str = "icon.svg";

/// An hour: long enough for a visit, short enough that an upgrade shows the same day.
const CACHING: &str = "public, max-age=3600";

/// Each file: its name, type and content.
const FILES: [(&str, &str, &str); 3] = [
    (STYLE, "text/css; charset=utf-8", include_str!("style.css")),
    (ICON, "image/svg+xml", include_str!("icon.svg")),
    ("robots.txt", "text/plain; charset=utf-8", ROBOTS),
];

/// A robot that follows every link would have each project of each mirror fetched, through each index.
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

/// Answers a static file; `None` if there is none of that name.
pub async fn static_file(ask: &Ask<'_>, name: &str, record: Record) -> Option<Reply> {
    let (_, content_type, text) = FILES.iter().find(|(known, ..)| *known == name)?;
    let nosniff = HeaderValue::from_static("nosniff");
    let sent = Sent {
        status: StatusCode::OK,
        content_type,
        caching: CACHING,
        body: Bytes::from_static(text.as_bytes()),
        more: HeaderMap::from_iter([(http::header::X_CONTENT_TYPE_OPTIONS, nosniff)]),
    };
    Some(sent.reply(ask, record).await)
}

#[cfg(test)]
mod tests {
    use crate::reader::api::{House, text_of};

    #[tokio::test]
    async fn pages_find_their_stylesheet_and_icon() {
        let house = House::new().await;
        let style = house.browse("/+static/style.css").await;
        assert_eq!(style.status, 200);
        assert_eq!(style.head["content-type"], "text/css; charset=utf-8");
        assert!(text_of(&style).contains("prefers-color-scheme"));
        assert_eq!(house.browse("/+static/icon.svg").await.status, 200);
        assert_eq!(house.browse("/+static/other.css").await.status, 404);
        let page = text_of(&house.browse("/").await);
        for link in [
            r#"<link rel="stylesheet" href="./+static/style.css">"#,
            r#"<link rel="icon" type="image/svg+xml" href="./+static/icon.svg">"#,
        ] {
            assert!(page.contains(link), "{page}");
        }
    }

    #[tokio::test]
    async fn robots_are_asked_to_stay_away() {
        let house = House::new().await;
        let robots = house.browse("/robots.txt").await;
        assert_eq!(robots.status, 200);
        assert_eq!(text_of(&robots), "User-agent: *\nDisallow: /\n");
        assert_eq!(house.get("/robots.txt").await.status, 200, "whoever asks");
        assert_eq!(
            house.browse("/favicon.ico").await.head["content-type"],
            "image/svg+xml"
        );
    }
}
