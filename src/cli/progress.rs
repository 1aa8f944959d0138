//! How far a long command is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

use crate::cli::output::say_error;
use crate::moving::{OnProgress, Progress};

/// Lines in total, where there is no terminal.
const LINES: u64 = 20;

const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// Shows progress on standard error.
pub(super) struct Shown {
    doing: &'static str,
    bar: Option<ProgressBar>,
    /// The share that the last line stated.
    last: Mutex<u64>,
}

impl Shown {
    /// Shows progress while something runs.
    pub(super) fn while_at<T>(
        doing: &'static str,
        work: impl FnOnce(OnProgress<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let shown = Self::new(doing);
        work(&|progress| shown.show(progress))
    }

    fn new(doing: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(BAR);
            ProgressBar::no_length()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            doing,
            bar,
            last: Mutex::new(0),
        }
    }

    fn show(&self, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(progress.bytes_in_all);
            bar.set_position(progress.bytes);
            bar.set_message(format!(
                "{} {}/{}",
                self.doing, progress.files, progress.files_in_all
            ));
            return;
        }
        let share = progress.files * LINES / progress.files_in_all.max(1);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if share > *last {
            *last = share;
            say_error(&self.line(progress));
        }
    }

    fn line(&self, progress: Progress) -> String {
        format!(
            "{} {} of {} files, {} of {}",
            self.doing,
            progress.files,
            progress.files_in_all,
            BinaryBytes(progress.bytes),
            BinaryBytes(progress.bytes_in_all)
        )
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
