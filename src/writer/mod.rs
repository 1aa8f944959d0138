//! What the management door offers beyond reading: uploads, pushes, deletions, accounts.

mod accounts;
mod caller;
mod delete;
mod desk;
mod facts;
mod housekeeping;
mod push;
mod push_mirror;
mod push_outside;
mod push_request;
mod reading;
mod recall;
mod refresh;
mod refusal;
mod stages;
mod subject;
mod tox_result;
mod turns;
mod upload;

pub use crate::account::Credentials;
pub use crate::devpi::Refusal;
pub use accounts::Changed;
pub use caller::Caller;
pub use desk::{Writer, WriterParts};
pub use housekeeping::swept_as_json;
pub use recall::{
    Delivered, Deliveries, Delivery, RecallReport, back_as_json, not_recalled, recall_as_json,
    recall_event, recall_meant, recall_reason, record_recall,
};
pub use refusal::refusal_reply;
pub use subject::WriteSubject;
pub use upload::Upload;
