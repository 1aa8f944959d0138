//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides clients: records, logs, upstreams, files on their way to disk.
const OTHERS: u64 = 512;

/// Raises the limit as far as the system lets this process, and says so when that is too little: without
/// descriptors a door can accept nobody, and no file can be opened for those who are in.
///
/// Distributions keep the soft limit low for programs that still use `select`; this one does not.
pub(super) fn raise(connections_max: usize) {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let allowed = getrlimit(Resource::Nofile).current;
    if let Some(warning) = shortage(allowed, connections_max) {
        tracing::warn!("{warning}");
    }
}

/// What to say when there are too few. `None` stands for no limit.
fn shortage(allowed: Option<u64>, connections_max: usize) -> Option<String> {
    let allowed = allowed?;
    let connections_max = u64::try_from(connections_max).unwrap_or(u64::MAX);
    let wanted = connections_max.saturating_add(OTHERS);
    (allowed < wanted).then(|| {
        format!(
            "this process may open {allowed} files and sockets, which is too few for \
             limits.connections = {connections_max}: lower that, or raise the system's limit to at \
             least {wanted} (LimitNOFILE= in a systemd unit, ulimits: in a compose file)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_the_rest_have_to_fit() {
        assert_eq!(shortage(None, 10_000), None);
        assert_eq!(shortage(Some(10_512), 10_000), None);
        let words = shortage(Some(10_511), 10_000).unwrap();
        assert!(words.contains("may open 10511 files"), "{words}");
        assert!(words.contains("to at least 10512"), "{words}");
    }
}
