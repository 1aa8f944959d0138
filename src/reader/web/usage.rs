//! How to point an installer at an index: lines to copy.

use maud::{Markup, html};

use crate::exchange::Outside;
use crate::model::{IndexName, ProjectName, Version};

/// The lines that install a project, or one release of it, from an index. A version that PEP 440 does not
/// know could be anything, even a command: it is left out.
pub fn install(
    outside: &Outside,
    index: &IndexName,
    project: &ProjectName,
    version: Option<&Version>,
) -> Markup {
    let simple = format!("{}/+simple/", outside.index(index));
    let wanted = match version.filter(|version| !version.is_legacy()) {
        // An epoch's exclamation mark means something to a shell.
        Some(version) if version.as_str().contains('!') => format!("'{project}=={version}'"),
        Some(version) => format!("{project}=={version}"),
        None => project.to_string(),
    };
    html! {
        pre {
            "pip install --index-url " (simple)
            @if let Some(host) = trusted_host(outside) { " --trusted-host " (host) }
            " " (wanted)
        }
        pre { "uv add --default-index " (simple) " " (wanted) }
    }
}

/// The host that pip has to be told to trust.
fn trusted_host(outside: &Outside) -> Option<String> {
    let is_plain = outside.as_str().starts_with("http://");
    outside.host().filter(|_| is_plain)
}

/// The lines for pip, uv and devpi. pip trusts plain http only on loopback, so its line trusts the host.
pub fn usage(outside: &Outside, index: &IndexName) -> Markup {
    let url = outside.index(index);
    let simple = format!("{url}/+simple/");
    let host = trusted_host(outside);
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
