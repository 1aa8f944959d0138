//! Feeds a form to an upload, piece by piece.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::incoming::{Incoming, IncomingError};
use super::multipart::{FormLimits, Multipart, MultipartError, Part};
use crate::gateway::Refusal;
use crate::gateway::Reply;
use crate::gateway::Upload;

/// Room for everything of a form that is not its file: fields, boundaries, a signature.
pub(super) const FORM_BYTES_MAX: u64 = 8 << 20;

/// The name of the part that is the file.
const CONTENT: &str = "content";

/// Most bytes of a form without a file, percent-encoded.
const ENCODED_BYTES_MAX: usize = 8 << 20;

/// Takes the form in and has it carried out.
pub(super) async fn take_upload(
    mut upload: Upload,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Reply, Refusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if !kind
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/")
    {
        let form = body.whole(ENCODED_BYTES_MAX).await;
        let form = form.map_err(|error| error.into_refusal(ENCODED_BYTES_MAX))?;
        for (name, value) in url::form_urlencoded::parse(&form) {
            upload.field(name.into_owned(), value.into_owned());
        }
        return upload.finish().await;
    }
    let mut form = Multipart::new(kind, body, FormLimits::default()).map_err(refused)?;
    let mut skipped: u64 = 0;
    while let Some(part) = form.next().await.map_err(refused)? {
        match part {
            Part::Field { name, value } => upload.field(name, value),
            Part::File(head) if head.name == CONTENT => {
                upload.begin_content(head.filename.as_deref().unwrap_or_default())?;
                while let Some(chunk) = form.chunk().await.map_err(refused)? {
                    upload.chunk(chunk).await?;
                }
            }
            // A signature of old (`gpg_signature`): nobody checks it any more.
            Part::File(head) => {
                while let Some(chunk) = form.chunk().await.map_err(refused)? {
                    skipped += chunk.len() as u64;
                    if skipped > FORM_BYTES_MAX {
                        let words = format!("the file called {:?} is too large", head.name);
                        return Err(Refusal::exception(StatusCode::PAYLOAD_TOO_LARGE, words));
                    }
                }
            }
        }
    }
    upload.finish().await
}

fn refused(error: MultipartError) -> Refusal {
    let status = match &error {
        MultipartError::Malformed(_) | MultipartError::Truncated => StatusCode::BAD_REQUEST,
        MultipartError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        MultipartError::Body(source) => match source.downcast_ref::<IncomingError>() {
            Some(IncomingError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Some(IncomingError::Broken(_) | IncomingError::Long) | None => StatusCode::BAD_REQUEST,
        },
    };
    Refusal::exception(status, error.to_string())
}
