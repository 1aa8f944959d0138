//! Credentials in a file of AWS's form, as secrets are mounted into containers.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error};

/// Longest file read: a key has some hundred bytes, a session's token some thousand.
const BYTES_MAX: u64 = 64 << 10;

/// The profile that is used.
const PROFILE: &str = "default";

/// Reads the file for each request, so that a new key needs no restart.
#[derive(Debug)]
pub(super) struct CredentialsFile(pub(super) PathBuf);

#[async_trait]
impl CredentialProvider for CredentialsFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>, Error> {
        let read = self.read().await;
        read.map(Arc::new).map_err(|why| Error::Generic {
            store: "S3",
            source: format!("the credentials file {}: {why}", self.0.display()).into(),
        })
    }
}

impl CredentialsFile {
    async fn read(&self) -> Result<AwsCredential, String> {
        let length = tokio::fs::metadata(&self.0).await.map(|file| file.len());
        if length.map_err(|error| error.to_string())? > BYTES_MAX {
            return Err(format!("it is longer than {BYTES_MAX} bytes"));
        }
        let text = tokio::fs::read_to_string(&self.0).await;
        credential(&text.map_err(|error| error.to_string())?)
    }
}

/// The key of the default profile. Whatever else such a file may say is passed over.
fn credential(text: &str) -> Result<AwsCredential, String> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut is_ours = true;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            is_ours = name.trim() == PROFILE;
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| is_ours) else {
            continue;
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match key.trim() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    let missing = |key| format!("there is no {key} in its profile {PROFILE}");
    Ok(AwsCredential {
        key_id: id.ok_or_else(|| missing("aws_access_key_id"))?,
        secret_key: secret.ok_or_else(|| missing("aws_secret_access_key"))?,
        token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_read_and_others_are_not() {
        let text = "[other]\naws_access_key_id = no\n[default]\n# a note\naws_access_key_id=ID\n\
                    aws_secret_access_key = a=b\nregion = x\n[third]\naws_session_token = no\n";
        let found = credential(text).unwrap();
        assert_eq!((&*found.key_id, &*found.secret_key), ("ID", "a=b"));
        assert_eq!(found.token, None);
        let bare = "aws_access_key_id = ID\naws_secret_access_key = S\naws_session_token = T\n";
        assert_eq!(credential(bare).unwrap().token.as_deref(), Some("T"));
        let told = credential("[default]\naws_access_key_id = ID\n").unwrap_err();
        assert_eq!(
            told,
            "there is no aws_secret_access_key in its profile default"
        );
    }
}
