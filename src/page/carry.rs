//! What a source stated earlier and does not state now: facts about a file do not become untrue.
//!
//! Some upstreams state dates, digests or sizes in one answer and not in the next, depending on which
//! machine or which markup answered. A policy that fails closed would flicker with them. So what was
//! known about *the same file* stays; what an index may take back (yanked, provenance, signature,
//! status) does not. A file that was never dated counts from when it was first seen here.

use std::collections::HashMap;

use crate::model::{CoreMetadata, File, Hashes, Timestamp, UploadTime, UploadTimeSource};
use crate::page::project_page::ProjectPage;

/// Completes a freshly read page from the copy held before, if any, and dates what remains undated.
///
/// Afterwards every file has an upload time. A file whose digest or URL changed is a new file: it
/// inherits nothing, and is first seen now.
pub fn carry_over(new: &mut ProjectPage, old: Option<&ProjectPage>, now: Timestamp) {
    let known: HashMap<&str, &File> = old
        .iter()
        .flat_map(|page| &page.files)
        .map(|file| (file.filename.as_str(), file))
        .collect();
    for file in &mut new.files {
        let before = known.get(file.filename.as_str());
        if let Some(before) = before.filter(|before| is_same(file, before)) {
            complete(file, before);
        }
        let first_seen = UploadTime {
            at: now,
            source: UploadTimeSource::FirstSeen,
        };
        file.upload_time.get_or_insert(first_seen);
    }
    seen_by(new, now);
}

/// Corrects what was first seen under a clock that was ahead: nothing is seen in the future, and a
/// cool-down that counts from there would end that much too late.
pub fn seen_by(page: &mut ProjectPage, now: Timestamp) {
    for time in page
        .files
        .iter_mut()
        .filter_map(|file| file.upload_time.as_mut())
    {
        if time.source == UploadTimeSource::FirstSeen {
            time.at = time.at.min(now);
        }
    }
}

/// Whether two listings of one file name mean the same bytes: judged by a digest that both state,
/// otherwise by the URL, as long as nothing else that both state contradicts it.
fn is_same(new: &File, old: &File) -> bool {
    if matches!((new.size, old.size), (Some(new), Some(old)) if new != old) {
        return false;
    }
    match is_same_digest(&new.hashes, &old.hashes) {
        Some(is_same) => is_same,
        None => {
            without_query(new.url.as_deref()) == without_query(old.url.as_deref())
                && !is_dated_otherwise(new, old)
        }
    }
}

/// Whether the digests agree; `None` if there is no algorithm that both state.
pub(super) fn is_same_digest(new: &Hashes, old: &Hashes) -> Option<bool> {
    let common = new.iter().filter_map(|(algorithm, hex)| {
        let (_, other) = old.iter().find(|(name, _)| *name == algorithm)?;
        Some(hex == other)
    });
    common.reduce(|all, one| all && one)
}

fn is_dated_otherwise(new: &File, old: &File) -> bool {
    match (new.upload_time, old.upload_time) {
        (Some(new), Some(old)) => {
            let by_index = |time: UploadTime| time.source == UploadTimeSource::Index;
            by_index(new) && by_index(old) && new.at != old.at
        }
        (None, _) | (_, None) => false,
    }
}

/// A URL without its query, where hosts put signatures that differ from answer to answer.
pub(super) fn without_query(url: Option<&str>) -> Option<&str> {
    url.and_then(|url| url.split('?').next())
}

fn complete(new: &mut File, old: &File) {
    for (algorithm, hex) in old.hashes.iter() {
        if new.hashes.iter().all(|(name, _)| name != algorithm) {
            // It is valid: it was in a `Hashes` before.
            let _ = new.hashes.insert(algorithm, &hex);
        }
    }
    new.size = new.size.or(old.size);
    new.upload_time = earlier_knowledge(new.upload_time, old.upload_time);
    new.requires_python = new
        .requires_python
        .take()
        .or_else(|| old.requires_python.clone());
    new.core_metadata = match (std::mem::take(&mut new.core_metadata), &old.core_metadata) {
        (CoreMetadata::Hashed(hashes), _) => CoreMetadata::Hashed(hashes),
        (CoreMetadata::Present, CoreMetadata::Hashed(hashes)) => {
            CoreMetadata::Hashed(hashes.clone())
        }
        // What was found out from a sidecar is kept separately and applied to every page.
        (CoreMetadata::Present, _) => CoreMetadata::Present,
        (CoreMetadata::Absent | CoreMetadata::Unobtainable, old) => old.clone(),
    };
}

/// An index's statement takes precedence over our own observation; of two observations the earlier
/// counts.
fn earlier_knowledge(new: Option<UploadTime>, old: Option<UploadTime>) -> Option<UploadTime> {
    let (Some(new), Some(old)) = (new, old) else {
        return new.or(old);
    };
    let kept = match (new.source, old.source) {
        (UploadTimeSource::Index, _) => new,
        (UploadTimeSource::FirstSeen, UploadTimeSource::Index) => old,
        (UploadTimeSource::FirstSeen, UploadTimeSource::FirstSeen) => UploadTime {
            at: new.at.min(old.at),
            ..new
        },
    };
    Some(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Sha256, Yanked};
    use crate::page::samples;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn time(second: i64, source: UploadTimeSource) -> Option<UploadTime> {
        Some(UploadTime {
            at: at(second),
            source,
        })
    }

    fn md5(letter: &str) -> Hashes {
        let mut hashes = Hashes::default();
        hashes.insert("md5", &letter.repeat(32)).unwrap();
        hashes
    }

    fn bare(page: &ProjectPage) -> ProjectPage {
        let mut bare = page.clone();
        for file in &mut bare.files {
            *file = File {
                url: file.url.clone(),
                ..File::named(file.filename.clone())
            };
        }
        bare
    }

    #[test]
    fn known_facts_of_the_same_file_stay() {
        let mut old = samples::page("six", &["six-1-py3-none-any.whl"]);
        old.files[0].size = Some(7);
        old.files[0].upload_time = time(5, UploadTimeSource::Index);
        old.files[0].requires_python = Some(">=3".into());
        old.files[0].core_metadata = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(b"m")));
        let mut new = bare(&old);
        carry_over(&mut new, Some(&old), at(100));
        assert_eq!(new, old);
    }

    #[test]
    fn what_an_index_may_take_back_is_taken_back() {
        let mut old = samples::page("six", &["six-1.zip"]);
        old.files[0].yanked = Yanked::Yes(None);
        old.files[0].provenance = Some("https://upstream.example/p".into());
        old.files[0].gpg_sig = true;
        let mut new = bare(&old);
        carry_over(&mut new, Some(&old), at(100));
        let file = &new.files[0];
        assert_eq!(
            (&file.yanked, &file.provenance, file.gpg_sig),
            (&Yanked::No, &None, false)
        );
    }

    /// Whether a listing with these facts inherits from one at `/a/six-1.zip` with those.
    fn inherits(
        (hashes, url, size): (Hashes, &str, Option<u64>),
        (old_hashes, old_size): (Hashes, Option<u64>),
    ) -> bool {
        let mut old = samples::page("six", &["six-1.zip"]);
        old.files[0].url = Some("https://files.example/a/six-1.zip?sig=1".into());
        old.files[0].hashes = old_hashes;
        old.files[0].size = old_size;
        old.files[0].upload_time = time(5, UploadTimeSource::FirstSeen);
        let mut new = old.clone();
        new.files[0] = File {
            hashes,
            size,
            url: Some(url.into()),
            ..File::named(old.files[0].filename.clone())
        };
        carry_over(&mut new, Some(&old), at(100));
        new.files[0].upload_time == old.files[0].upload_time
    }

    #[test]
    fn another_file_of_the_same_name_inherits_nothing() {
        let sha256 = |content: &[u8]| Hashes::sha256_only(Sha256::of(content));
        let none = Hashes::default;
        let here = "https://files.example/a/six-1.zip";
        let signed = "https://files.example/a/six-1.zip?sig=2";
        let there = "https://files.example/b/six-1.zip";
        let (a, b) = (|| (sha256(b"a"), None), || (sha256(b"b"), None));
        let seven = || (sha256(b"a"), Some(7));
        let table = [
            ("same digest", (sha256(b"a"), there, None), a(), true),
            ("other digest", (sha256(b"a"), here, None), b(), false),
            ("same url", (none(), here, None), a(), true),
            ("other signature", (none(), signed, None), a(), true),
            ("other url", (none(), there, None), a(), false),
            ("other size", (none(), here, Some(8)), seven(), false),
            (
                "digest but other size",
                (sha256(b"a"), here, Some(8)),
                seven(),
                false,
            ),
            ("other algorithm", (md5("a"), here, None), a(), true),
        ];
        for (what, new, old, is_same) in table {
            assert_eq!(inherits(new, old), is_same, "{what}");
        }
    }

    #[test]
    fn a_file_dated_otherwise_at_the_same_url_is_another() {
        let mut old = bare(&samples::page("six", &["six-1.zip"]));
        let mut new = old.clone();
        old.files[0].size = Some(7);
        old.files[0].upload_time = time(5, UploadTimeSource::Index);
        new.files[0].upload_time = time(6, UploadTimeSource::Index);
        carry_over(&mut new, Some(&old), at(100));
        assert_eq!(new.files[0].size, None);
    }

    #[test]
    fn the_index_s_word_on_time_goes_before_observation() {
        use UploadTimeSource::{FirstSeen, Index};
        let table = [
            (None, None, time(100, FirstSeen)),
            (None, time(50, FirstSeen), time(50, FirstSeen)),
            (None, time(50, Index), time(50, Index)),
            (time(70, FirstSeen), time(50, Index), time(50, Index)),
            (
                time(70, FirstSeen),
                time(50, FirstSeen),
                time(50, FirstSeen),
            ),
            (
                time(30, FirstSeen),
                time(50, FirstSeen),
                time(30, FirstSeen),
            ),
            (time(70, Index), time(50, FirstSeen), time(70, Index)),
        ];
        for (stated, known, expected) in table {
            let mut new = samples::page("six", &["six-1.zip"]);
            let mut old = new.clone();
            new.files[0].upload_time = stated;
            old.files[0].upload_time = known;
            carry_over(&mut new, Some(&old), at(100));
            assert_eq!(new.files[0].upload_time, expected, "{stated:?} {known:?}");
        }
        let mut alone = samples::page("six", &["six-1.zip"]);
        carry_over(&mut alone, None, at(100));
        assert_eq!(alone.files[0].upload_time, time(100, FirstSeen));
    }

    #[test]
    fn what_was_first_seen_in_the_future_is_seen_now() {
        use UploadTimeSource::{FirstSeen, Index};
        for (known, expected) in [
            (time(500, FirstSeen), time(100, FirstSeen)),
            (time(50, FirstSeen), time(50, FirstSeen)),
            // An index's own statement is not ours to correct.
            (time(500, Index), time(500, Index)),
        ] {
            let mut new = samples::page("six", &["six-1.zip"]);
            let mut old = new.clone();
            old.files[0].upload_time = known;
            carry_over(&mut new, Some(&old), at(100));
            assert_eq!(new.files[0].upload_time, expected, "{known:?}");
        }
    }

    proptest! {
        #[test]
        fn an_answer_repeated_changes_nothing(page in samples::any_page(), later in 1..1000_i64) {
            let mut first = page.clone();
            carry_over(&mut first, None, at(1000));
            let mut second = page;
            carry_over(&mut second, Some(&first), at(1000 + later));
            prop_assert_eq!(second, first);
        }
    }
}
