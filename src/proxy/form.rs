//! Multipart bodies: one streamed file and some short text fields, in any order.

use axum::extract::multipart::{Field, Multipart, MultipartError};

use super::app::App;
use super::blobs::Incoming;
use super::error::{ApiError, ApiResult};

/// Longest text field, bytes.
const MAX_FIELD_BYTES: usize = 64 << 10;

/// Most text fields.
const MAX_FIELDS: usize = 32;

/// Longest file name that is kept, characters.
const MAX_NAME_CHARS: usize = 200;

/// What a multipart body held.
pub(crate) struct Form {
    /// The part named `file`.
    pub(crate) file: Option<File>,
    /// The other parts, in order.
    pub(crate) fields: Vec<(String, String)>,
}

/// The part named `file`.
pub(crate) struct File {
    pub(crate) incoming: Incoming,
    pub(crate) name: Option<String>,
}

/// Reads a multipart body; the file goes to disk as it comes.
pub(crate) async fn read(app: &App, mut body: Multipart) -> ApiResult<Form> {
    let mut form = Form { file: None, fields: Vec::new() };
    while let Some(field) = body.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            if form.file.is_some() {
                return Err(ApiError::malformed("two_files", "the body has two parts named file; send one").at("file"));
            }
            form.file = Some(receive(app, field).await?);
        } else if form.fields.len() >= MAX_FIELDS {
            return Err(ApiError::malformed("too_many_fields", format!("the body has more than {MAX_FIELDS} fields")));
        } else {
            let text = text(&name, field).await?;
            form.fields.push((name, text));
        }
    }
    Ok(form)
}

/// A user's name for a file, without directories and control characters.
pub(crate) fn clean_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    (!clean.is_empty()).then_some(clean)
}

async fn receive(app: &App, mut field: Field<'_>) -> ApiResult<File> {
    let name = field.file_name().and_then(clean_name);
    let mut incoming = app.blobs.begin().await?;
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        incoming.write(chunk).await?;
    }
    Ok(File { incoming, name })
}

async fn text(name: &str, mut field: Field<'_>) -> ApiResult<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > MAX_FIELD_BYTES {
            let message = format!("field {name:.40} has more than {MAX_FIELD_BYTES} bytes");
            return Err(ApiError::too_large("field_too_large", message));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::malformed("not_utf8", format!("field {name:.40} is not UTF-8 text")))
}

fn broken(error: &MultipartError) -> ApiError {
    ApiError::malformed("malformed_multipart", format!("the multipart body cannot be read: {}", error.body_text()))
}
