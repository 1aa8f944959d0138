//! Shows that a bucket can hold uploaded bytes: it keeps what it is given, gives it back, and does not
//! write over what is there if it is asked not to (`If-None-Match: *`, RFC 9110 §13.1.2). A server that
//! passes over the condition would let a damaged copy replace a whole one.

use std::sync::atomic::Ordering;

use object_store::{Error, ObjectStoreExt as _, PutMode};

use crate::depot::error::{DepotError, redirected, says, words};
use crate::depot::objects::Depot;
use crate::depot::withdrawal::Withdrawal;
use crate::telemetry::DepotRequest;

const FIRST: &[u8] = b"cheesecloth was here";
const SECOND: &[u8] = b"cheesecloth came again";

/// Longer than either.
const TRIAL_BYTES_MAX: u64 = 64;

impl Depot {
    /// Tries it out with an object of its own, which is removed again. The caller says what is wrong.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be reached, `Unfit` when it can and is no place for uploaded bytes.
    pub async fn try_out(&self) -> Result<(), DepotError> {
        let tried = self.tried().await;
        self.health.begins(DepotRequest::Trial, tried)
    }

    /// The same while the gateway runs: what is wrong is logged when that changes.
    pub(super) async fn try_again(&self) -> Result<(), DepotError> {
        let tried = self.tried().await.map(Some);
        self.health.went(DepotRequest::Trial, tried).map(drop)
    }

    async fn tried(&self) -> Result<(), DepotError> {
        self.trial().await?;
        self.is_tried.store(true, Ordering::Release);
        Ok(())
    }

    async fn trial(&self) -> Result<(), DepotError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| self.unfit(error.to_string()))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.prefix.clone().join("trial").join(name);
        let create = || PutMode::Create.into();
        let put = self.objects.put_opts(&path, FIRST.into(), create()).await;
        put.map_err(|error| self.refused(error))?;
        let again = self.objects.put_opts(&path, SECOND.into(), create()).await;
        let there = self.objects.get(&path).await;
        let there = match there {
            Ok(there) => Ok(Withdrawal::of(there, &path).whole(TRIAL_BYTES_MAX).await),
            Err(error) => Err(error),
        };
        let removed = self.objects.delete(&path).await;
        let there = there.map_err(|error| self.refused(error))??;
        match again {
            Err(Error::AlreadyExists { .. }) if there == FIRST => {}
            Err(error @ Error::Generic { .. }) if !is_not_implemented(&error) => {
                return Err(self.refused(error));
            }
            Ok(_) | Err(_) => {
                return Err(self.unfit(
                    "it does not honour If-None-Match on PUT: an object that was there has been \
                     written over, or the request was not understood; use a server with conditional \
                     writes, or a newer version of this one"
                        .to_owned(),
                ));
            }
        }
        removed.map_err(|error| self.refused(error))
    }

    fn refused(&self, error: Error) -> DepotError {
        match error {
            Error::NotFound { .. } => {
                let why = format!(
                    "there is no such bucket: make it, or name another ({})",
                    words(&error)
                );
                self.unfit(why)
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                let why = format!(
                    "its server refuses these credentials, which must allow to put, get, delete and \
                     list objects ({})",
                    words(&error)
                );
                self.unfit(why)
            }
            // What lasts is a fault in the configuration.
            error => match redirected(&error).filter(|to| to.is_lasting()) {
                Some(_) => self.unfit(words(&error)),
                None => self.failed("try it out", error),
            },
        }
    }

    fn unfit(&self, why: String) -> DepotError {
        let place = self.words.clone();
        DepotError::Unfit { place, why }
    }
}

/// Whether a server says that it does not know the condition (RFC 9110 §15.6.2).
fn is_not_implemented(error: &Error) -> bool {
    says(error, "501 Not Implemented") || says(error, "NotImplemented")
}
