//! Laws of an arriving file: however it is cut into chunks, and wherever it ends, it is kept complete
//! and right or not at all, and nobody who reads it meanwhile can tell which too soon.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use proptest::prelude::*;

use crate::model::{Hashes, Sha256};
use crate::store::draft::Draft;
use crate::store::fs::FsStore;
use crate::store::growing::{Growing, HELD_BACK_BYTES, Readable};
use crate::store::key::Key;

const READERS: usize = 3;

/// What arrives instead of a file.
#[derive(Debug, Clone)]
struct Arrival {
    content: Vec<u8>,
    /// Lengths of the chunks, repeated.
    chunks: Vec<usize>,
    /// Whether the length was declared.
    declared: bool,
    ending: Ending,
}

#[derive(Debug, Clone)]
enum Ending {
    /// All of it came.
    Whole,
    /// The sender left after this many bytes.
    Left(prop::sample::Index),
    /// Only this many bytes came, and then the end.
    Short(prop::sample::Index),
    /// One byte was different.
    Wrong(prop::sample::Index),
    /// There was more.
    Long,
}

fn endings() -> impl Strategy<Value = Ending> {
    prop_oneof![
        Just(Ending::Whole),
        any::<prop::sample::Index>().prop_map(Ending::Left),
        any::<prop::sample::Index>().prop_map(Ending::Short),
        any::<prop::sample::Index>().prop_map(Ending::Wrong),
        Just(Ending::Long),
    ]
}

prop_compose! {
    fn arrivals()(
        length in prop_oneof![1..2_000_usize, 60_000..200_000_usize],
        seed in any::<u8>(),
        chunks in prop::collection::vec(prop_oneof![1..500_usize, 1_000..90_000_usize], 1..6),
        declared in any::<bool>(),
        ending in endings(),
    ) -> Arrival {
        let byte = |at: usize| seed.wrapping_add((at % 251) as u8);
        Arrival { content: (0..length).map(byte).collect(), chunks, declared, ending }
    }
}

impl Arrival {
    /// The bytes that come.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.content.clone();
        match &self.ending {
            Ending::Whole => {}
            Ending::Left(at) | Ending::Short(at) => bytes.truncate(at.index(bytes.len())),
            Ending::Wrong(at) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1;
            }
            Ending::Long => bytes.push(0),
        }
        bytes
    }
}

/// Sends what arrives; returns whether it was kept.
async fn send(arrival: &Arrival, mut draft: Draft) -> bool {
    let (mut rest, mut lengths) = (Bytes::from(arrival.bytes()), arrival.chunks.iter().cycle());
    while let Some(length) = lengths.next().filter(|_| !rest.is_empty()) {
        let chunk = rest.split_to((*length).min(rest.len()));
        if draft.write(chunk).await.is_err() {
            return false;
        }
    }
    match arrival.ending {
        Ending::Left(_) => false,
        Ending::Whole | Ending::Short(_) | Ending::Wrong(_) | Ending::Long => {
            draft.finish(Key::MirrorFile).await.is_ok()
        }
    }
}

/// Reads from `offset` on until there is no more; the bytes and how it ended.
async fn read(growing: &Growing, offset: u64) -> (Vec<u8>, Readable) {
    let mut seen = Vec::new();
    loop {
        let at = offset + seen.len() as u64;
        let now = growing.readable(at).await;
        let end = match &now {
            Readable::Until(end) | Readable::Complete(end) => *end,
            Readable::Failed(_) => return (seen, now),
        };
        let mut more = vec![0; usize::try_from(end.saturating_sub(at)).unwrap()];
        growing.file().read_exact_at(&mut more, at).unwrap();
        seen.extend(more);
        if matches!(now, Readable::Complete(_)) {
            return (seen, now);
        }
    }
}

async fn arrive(arrival: Arrival) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path(), 1 << 30).unwrap();
    let (promised, length) = (Sha256::of(&arrival.content), arrival.content.len() as u64);
    let declared = arrival.declared.then_some(length);
    let draft = store
        .draft("it", Hashes::sha256_only(promised), declared, 1 << 20)
        .unwrap();
    let growing: Arc<Growing> = draft.growing();
    let offsets: Vec<u64> = (0..READERS as u64)
        .map(|number| number * length / 2)
        .collect();
    let readers = join_all(offsets.iter().map(|offset| read(&growing, *offset)));
    let (kept, read) = tokio::join!(send(&arrival, draft), readers);
    prop_assert_eq!(kept, matches!(arrival.ending, Ending::Whole));
    prop_assert_eq!(
        std::fs::read_dir(folder.path().join("tmp"))
            .unwrap()
            .count(),
        0
    );
    prop_assert_eq!(store.quota().used_bytes(), if kept { length } else { 0 });
    let found = store
        .read_small(&Key::MirrorFile(promised), 1 << 20)
        .unwrap();
    prop_assert_eq!(found.as_deref(), kept.then_some(&*arrival.content));
    prop_assert_eq!(store.contents().count(), usize::from(kept));
    let came = arrival.bytes();
    for ((seen, end), offset) in read.into_iter().zip(offsets) {
        let from = usize::try_from(offset).unwrap();
        prop_assert_eq!(matches!(end, Readable::Complete(_)), kept);
        prop_assert!(seen.is_empty() || came[from..].starts_with(&seen));
        let (all, until) = (length - offset, offset + seen.len() as u64);
        prop_assert_eq!(seen.len() as u64 == all && all > 0, kept && all > 0);
        let end = declared.unwrap_or(came.len() as u64);
        let last_readable = end.saturating_sub(HELD_BACK_BYTES).max(offset);
        prop_assert!(kept || until <= last_readable, "{} of {}", until, length);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_file_is_kept_whole_and_right_or_not_at_all(arrival in arrivals()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(arrive(arrival))?;
    }
}
