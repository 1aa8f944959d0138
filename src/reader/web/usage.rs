//! How to point an installer at an index: lines to copy.

use maud::{Markup, html};

use crate::gateway::Outside;
use crate::model::IndexName;

/// The lines for pip, uv and devpi. pip trusts plain http only on loopback, so its line trusts the host.
pub fn usage(outside: &Outside, index: &IndexName) -> Markup {
    let url = outside.index(index);
    let simple = format!("{url}/+simple/");
    let is_plain = outside.as_str().starts_with("http://");
    let host = outside.host().filter(|_| is_plain);
    html! {
        h3 { "pip" }
        pre {
            "pip install --index-url " (simple)
            @if let Some(host) = &host { " --trusted-host " (host) }
            " NAME"
        }
        p.faint { "or once and for all, in pip.conf:" }
        pre {
            "[global]\nindex-url = " (simple)
            @if let Some(host) = &host { "\ntrusted-host = " (host) }
        }
        h3 { "uv" }
        pre { "[[tool.uv.index]]\nurl = \"" (simple) "\"\ndefault = true" }
        h3 { "devpi" }
        pre { "devpi use " (url) }
    }
}
