//! The doors: they translate between HTTP and the flows, and decide nothing.
//!
//! ```text
//! listener ─ slots ─ Socket ─ (TLS) ─┬ HeadGuard ─┬ http1 ───────────────┬ Answer ─ pieces
//!                                    │            └ HttpProxy<PublicApp> ┘ (all that is not plain)
//!                                    └ AxumApp (metrics, management)
//! ```
//!
//! One accept loop (`door`) serves all three doors, because the framework's own has no cap on
//! connections and no deadline for a request's head (ADR 0002). The public door answers plain
//! requests over HTTP/1.1 itself (ADR 0012) and gives the others to a `ProxyHttp` that answers in
//! `request_filter`; opened for more than reading, it hands the rest on to what stands behind the
//! management door (`writes`). The other doors are axum routers. Whatever a flow returns as a `Reply` is
//! written by `http1` or `reply` at the one and by `into_response` at the others.

mod address;
mod axum_app;
mod axum_reply;
mod certificates;
mod door;
mod handover;
mod head_guard;
mod host_check;
mod http1;
mod incoming;
mod limits;
mod listener;
mod manage;
mod manage_pass;
mod manage_upload;
mod metrics;
mod multipart;
mod own_answers;
mod pieces;
mod presence;
mod proxies;
mod proxy_protocol;
mod public;
mod public_door;
mod recorder;
mod refusal;
mod reply;
mod request_id;
mod response_head;
mod server;
mod slots;
mod socket;
mod stop;
mod stream_watch;
mod taking;
mod writes;

pub use address::ListenAddress;
pub use certificates::Certificates;
pub use door::DoorOptions;
pub use handover::Predecessor;
pub use host_check::Hosts;
pub use limits::DoorLimits;
pub use manage::{ManageDoor, ManageOptions, manage_router};
pub use metrics::{Ready, metrics_router};
pub use multipart::FormLimits;
pub use proxies::TrustedProxies;
pub use public::PublicApp;
pub use recorder::Recorder;
pub use server::{DoorServer, QUIET_LOGS, ServerOptions, StopOn};
pub use stop::Stop;
