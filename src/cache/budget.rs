//! How the one memory limit of the configuration is divided.

/// The shares of `cache.memory`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Rendered pages: hot requests are answered from them, so they get the largest share.
    pub rendered: u64,
    /// The stretches that long pages are made of.
    pub stretches: u64,
    /// Parsed source pages: what a new generation renders from.
    pub sources: u64,
    /// Pages of what stages hold.
    pub stages: u64,
    /// Small files and sidecars.
    pub small_files: u64,
    /// Sidecars of wheels that nobody has hashed yet.
    pub placed_sidecars: u64,
    /// Decisions on file URLs.
    pub tickets: u64,
    /// Orders by name of the files of pages.
    pub orders: u64,
    /// Rendered descriptions of projects.
    pub descriptions: u64,
}

impl Budget {
    /// Splits a limit: 36 % rendered, 10 % their stretches, 20 % sources, 8 % stages, 15 % small files and
    /// sidecars, 9 % decisions, 1 % each orders by name and descriptions.
    #[must_use]
    pub fn split(bytes: u64) -> Self {
        let percent = |share: u64| bytes / 100 * share;
        Self {
            rendered: percent(36),
            stretches: percent(10),
            sources: percent(20),
            stages: percent(8),
            small_files: percent(13),
            placed_sidecars: percent(2),
            tickets: percent(9),
            orders: percent(1),
            descriptions: percent(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_never_exceed_the_limit() {
        for bytes in [0, 1, 99, 256 << 20, u64::MAX] {
            let Budget {
                rendered,
                stretches,
                sources,
                stages,
                small_files,
                placed_sidecars,
                tickets,
                orders,
                descriptions,
            } = Budget::split(bytes);
            let pages = rendered + stretches + sources + stages;
            assert!(
                pages + small_files + placed_sidecars + tickets + orders + descriptions <= bytes
            );
        }
    }
}
