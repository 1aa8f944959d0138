//! What the small benches share: a loop that times work, and pages of real sizes.
//!
//! The loop takes samples of some 20 ms each and prints their median with the extremes. When it is
//! not called by `cargo bench`, each piece of work runs once, to show that it still does.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use cheesecloth::testing::model::{ProjectName, Sha256};

/// How long a sample is at least: some thousand times what reading the clock costs.
const SAMPLE: Duration = Duration::from_millis(20);

/// Samples taken of each.
const SAMPLES: usize = 15;

/// Files on the two pages: about 15 KB and 2 MB as we render them.
pub(crate) const PAGES: [(&str, usize); 2] = [("15 KB", 32), ("2 MB", 4400)];

/// Where the pages come from.
pub(crate) const PAGE_URL: &str = "https://upstream.example/simple/sample/";

/// Times `work` and prints what one run of it takes; with `parts`, what one part takes too.
pub(crate) fn measure<T>(name: &str, parts: usize, mut work: impl FnMut() -> T) {
    if !std::env::args().any(|argument| argument == "--bench") {
        black_box(work());
        say(&format!("{name}: runs"));
        return;
    }
    let mut runs: u32 = 1;
    while time(runs, &mut work) < SAMPLE {
        runs = runs.saturating_mul(2);
    }
    let mut samples: Vec<f64> = (0..SAMPLES)
        .map(|_| time(runs, &mut work).as_secs_f64() / f64::from(runs))
        .collect();
    samples.sort_by(f64::total_cmp);
    let median = samples[SAMPLES / 2];
    let (least, most) = (samples[0], samples[SAMPLES - 1]);
    let mut line = format!(
        "{name:<56} {:>10} ({} – {})",
        duration(median),
        duration(least),
        duration(most)
    );
    if parts > 1 {
        #[expect(clippy::cast_precision_loss, reason = "some thousand files")]
        let part = median / parts as f64;
        let _ = write!(line, ", {} each of {parts}", duration(part));
    }
    say(&line);
}

fn time<T>(runs: u32, work: &mut impl FnMut() -> T) -> Duration {
    let started = Instant::now();
    for _ in 0..runs {
        black_box(work());
    }
    started.elapsed()
}

fn say(line: &str) {
    // A reader that went away is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn duration(seconds: f64) -> String {
    match seconds {
        long if long >= 1e-1 => format!("{long:.2} s"),
        middle if middle >= 1e-3 => format!("{:.2} ms", middle * 1e3),
        short if short >= 1e-6 => format!("{:.2} µs", short * 1e6),
        shortest => format!("{:.1} ns", shortest * 1e9),
    }
}

/// The project of every sample.
pub(crate) fn project() -> ProjectName {
    ProjectName::parse("sample").expect("a plain word is a project's name")
}

/// A JSON page as today's largest index writes it: wheels of many platforms and an sdist per version.
pub(crate) fn json_page(files: usize) -> Vec<u8> {
    let mut text = String::from(
        r#"{"meta":{"api-version":"1.4","_last-serial":20000000},"name":"sample","files":["#,
    );
    for number in 0..files {
        let (version, kind) = (number / 8, number % 8);
        let filename = match kind {
            0 => format!("sample-1.{version}.0.tar.gz"),
            minor => {
                format!("sample-1.{version}.0-cp3{minor}-cp3{minor}-manylinux_2_17_x86_64.whl")
            }
        };
        let sha256 = Sha256::of(filename.as_bytes()).to_hex();
        let metadata = match kind {
            0 => "false".to_owned(),
            _ => format!(
                r#"{{"sha256":"{}"}}"#,
                Sha256::of(sha256.as_bytes()).to_hex()
            ),
        };
        let separator = if number == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{separator}{{"filename":"{filename}","url":"https://files.example/packages/{}/{}/{filename}","hashes":{{"sha256":"{sha256}"}},"requires-python":">=3.9","size":{},"upload-time":"2024-03-01T10:20:30.123456Z","yanked":false,"core-metadata":{metadata},"data-dist-info-metadata":{metadata},"provenance":null}}"#,
            &sha256[..2],
            &sha256[2..],
            100_000 + number
        );
    }
    text.push_str("]}");
    text.into_bytes()
}
