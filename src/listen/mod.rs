//! The doors: they translate between HTTP and the flows, and decide nothing.
//!
//! ```text
//! listener ─ slots ─ Socket ─ (TLS) ─ HeadGuard ─┬ http1 ────────────────┬ HttpService ─┬ Answers
//!                                                └ HttpProxy<HttpService> ┘             └ RequestHandler
//! ```
//!
//! One accept loop (`door`) and one HTTP service (`service`) stand behind all three doors. Pingora's own
//! accept loop has no cap on connections and no deadline for a request's head (ADR 0002). Plain requests
//! over HTTP/1.1 are answered directly (ADR 0012), the others by a `ProxyHttp` that answers in
//! `request_filter`. The public door asks a reader; opened for more than reading, it hands the rest on
//! to what stands behind the management door (`handler`). Behind the management and the metrics door
//! there is a handler alone. Whatever comes back is a `Reply`, written by `http1` or by `reply`.

mod address;
mod certificates;
mod door;
mod handler;
mod handover;
mod head_guard;
mod head_watch;
mod host_check;
mod http1;
mod http_door;
mod incoming;
mod journalled;
mod listener;
mod manage;
mod manage_pass;
mod manage_upload;
mod metrics;
mod multipart;
mod osv;
mod pieces;
mod presence;
mod proxies;
mod proxy_protocol;
mod questions;
mod recorder;
mod refusal;
mod reply;
mod request_id;
mod response_head;
mod server;
mod service;
mod signals;
mod slots;
mod socket;
mod stop;
mod stream_watch;
mod taking;
mod xml_search;

pub use address::ListenAddress;
pub use certificates::Certificates;
pub use door::DoorOptions;
pub use handover::Predecessor;
pub use host_check::Hosts;
pub use manage::{ManageDoor, ManageOptions};
pub use metrics::{MetricsDoor, Ready};
pub use osv::OsvDoor;
pub use proxies::TrustedProxies;
pub use questions::Questions;
pub use recorder::Recorder;
pub use server::{DoorServer, QUIET_LOGS, ServerOptions};
pub use service::HttpService;
pub use signals::Signals;
pub use stop::Stop;
pub use xml_search::SearchDoor;
