//! The client of a bucket.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::depot::credentials::CredentialsFile;
use crate::depot::error::{DepotError, words};
use crate::depot::strangers::Strangers;
use crate::depot::wire::Connector;
use crate::model::{BucketCredentials, BucketPlace};

/// Time until a connection has to be there: within a region it takes milliseconds.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Longest silence of a server: as long as a part of 8 MiB takes at one megabit per second.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How often a request is repeated that failed: often enough for a server that is replaced, and over
/// before the client that waits gives up.
const RETRIES: usize = 3;

/// How long it is repeated.
const RETRY_WITHIN: Duration = Duration::from_secs(5);

/// The client of the bucket at a place. No request is sent yet.
pub(super) fn client(
    place: &BucketPlace,
    strangers: &Arc<Strangers>,
) -> Result<AmazonS3, DepotError> {
    // Fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_plain = place
        .endpoint
        .as_ref()
        .is_some_and(|url| url.scheme() == "http");
    let options = ClientOptions::new().with_allow_http(is_plain);
    let connector = Connector {
        strangers: Arc::clone(strangers),
    };
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_WITHIN,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_region(&place.region)
        // One object a request, as every server has it.
        .with_disable_bulk_delete(true)
        .with_retry(retry)
        .with_client_options(options)
        .with_http_connector(connector)
        // AWS wants the bucket in the host's name; whoever has a server of their own seldom has its names.
        .with_virtual_hosted_style_request(place.endpoint.is_none());
    if let Some(endpoint) = &place.endpoint {
        builder = builder.with_endpoint(endpoint.as_str());
    }
    builder = match &place.credentials {
        BucketCredentials::File(path) => {
            builder.with_credentials(Arc::new(CredentialsFile(path.clone())))
        }
        BucketCredentials::Environment(variables) => {
            for (name, value) in variables {
                if let Ok(key) = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase()) {
                    builder = builder.with_config(key, value.expose());
                }
            }
            builder
        }
    };
    builder.build().map_err(|error| DepotError::Unfit {
        place: place.words(),
        why: words(&error),
    })
}
