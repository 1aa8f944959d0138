//! Where uploaded bytes are kept, if not on this machine's disk alone.

use std::path::PathBuf;

use url::Url;

use crate::model::login::Secret;

/// A bucket of a server that speaks S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// Its name.
    pub bucket: String,
    /// The server; `None` for AWS, where the region says which.
    pub endpoint: Option<Url>,
    /// The region, which is part of every signature.
    pub region: String,
    /// What precedes every key, without a slash at either end; may be empty.
    pub prefix: String,
    /// How requests are signed.
    pub credentials: BucketCredentials,
}

/// Where the key comes from that signs requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketCredentials {
    /// A file in AWS's form, read again for each request, so that a new key needs no restart.
    File(PathBuf),
    /// AWS's variables, by name: a key, or what leads to one. Without any, the machine's own role.
    Environment(Vec<(String, Secret)>),
}

impl BucketPlace {
    /// The place in words.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { bucket, region, .. } = self;
        let below = match self.prefix.as_str() {
            "" => String::new(),
            prefix => format!(" below {prefix}/"),
        };
        match &self.endpoint {
            Some(endpoint) => format!("bucket {bucket} at {endpoint}{below}"),
            None => format!("bucket {bucket} in {region}{below}"),
        }
    }
}
