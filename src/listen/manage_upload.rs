//! Feeds a form to an upload, piece by piece.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use crate::exchange::Reply;
use crate::listen::incoming::{Incoming, IncomingError};
use crate::listen::multipart::{FormLimits, FormPart, Multipart, MultipartError};
use crate::writer::{Refusal, Upload, WriteSubject};

/// Room for everything in a form except its file: fields, boundaries, a signature.
pub(super) const FORM_BYTES_MAX: u64 = 8 << 20;

/// The name of the part that is the file.
const CONTENT: &str = "content";

/// Reads the form and has it carried out; `subject` afterwards says what it was about.
pub(super) async fn take_upload(
    mut upload: Upload,
    headers: &HeaderMap,
    body: &mut Incoming,
    limits: FormLimits,
    subject: &mut WriteSubject,
) -> Result<Reply, Refusal> {
    let read = read_form(&mut upload, headers, body, limits).await;
    upload.describe(subject);
    read?;
    upload.finish().await
}

async fn read_form(
    upload: &mut Upload,
    headers: &HeaderMap,
    body: &mut Incoming,
    limits: FormLimits,
) -> Result<(), Refusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if !kind
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/")
    {
        return read_encoded(upload, body, limits).await;
    }
    let mut form = Multipart::new(kind, body, limits).map_err(refused)?;
    let mut skipped: u64 = 0;
    while let Some(part) = form.next().await.map_err(refused)? {
        match part {
            FormPart::Field { name, value } => upload.field(name, value),
            FormPart::File(head) if head.name == CONTENT => {
                upload.begin_content(head.filename.as_deref().unwrap_or_default())?;
                while let Some(chunk) = form.chunk().await.map_err(refused)? {
                    upload.chunk(chunk).await?;
                }
            }
            // An old-style signature (`gpg_signature`): nobody checks those any more.
            FormPart::File(head) => {
                // Whether such a file is allowed is decided with the fields.
                upload.field(head.name.clone(), String::new());
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
    Ok(())
}

/// A form without a file, percent-encoded.
async fn read_encoded(
    upload: &mut Upload,
    body: &mut Incoming,
    limits: FormLimits,
) -> Result<(), Refusal> {
    let form = body.whole(limits.value_bytes).await;
    let form = form.map_err(|error| error.into_refusal(limits.value_bytes))?;
    for (number, (name, value)) in url::form_urlencoded::parse(&form).enumerate() {
        if number >= limits.parts {
            return Err(refused(MultipartError::over("parts", limits.parts)));
        }
        upload.field(name.into_owned(), value.into_owned());
    }
    Ok(())
}

fn refused(error: MultipartError) -> Refusal {
    let status = match &error {
        MultipartError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        MultipartError::Body(IncomingError::Slow) => StatusCode::REQUEST_TIMEOUT,
        MultipartError::Malformed(_)
        | MultipartError::Truncated
        | MultipartError::Body(IncomingError::Broken(_) | IncomingError::Long) => {
            StatusCode::BAD_REQUEST
        }
    };
    Refusal::exception(status, error.to_string())
}
