//! Each condition on files that fit, do not, or do not say.

use crate::language::{Undated, words};
use crate::model::{
    File, Hashes, Kind, ProjectState, Sha256, UploadTime, UploadTimeSource, Yanked,
};
use crate::policy::condition::*;
use crate::policy::sample::{at, file, index, place};
use crate::policy::siblings::Siblings;

const NOW: &str = "2026-01-05T00:00:00Z";
const DAY: Duration = Duration::from_hours(24);

fn compile(matchers: &Matchers) -> Conditions {
    let mut faults = Faults::default();
    let conditions = Conditions::compile(matchers, Effect::Deny, &place(1), &mut faults);
    faults.or(conditions).unwrap()
}

fn fit(matchers: &Matchers, file: &File) -> Fit {
    let mirror = index("root/pypi");
    let facts = Facts::new(
        file,
        Some((&mirror, Undated::Deny)),
        ProjectState::Archived,
        &[],
    );
    compile(matchers).fit(&facts, at(NOW))
}

macro_rules! asks {
    ($($field:ident: $value:expr),+) => {
        Matchers { $($field: $value,)+ ..Matchers::default() }
    };
}

#[test]
fn each_condition_fits_what_it_names_and_nothing_else() {
    use Condition as C;
    let wheel = "pkg-1.5-cp311.cp312-abi3-manylinux_2_17_x86_64.whl";
    let sdist = "pkg-2.0rc1.tar.gz";
    let glob = |text: &str| vec![text.to_owned()];
    let table: Vec<(Matchers, &str, Result<(), C>)> = vec![
        (Matchers::default(), wheel, Ok(())),
        (asks!(versions: Some("<2".parse().unwrap())), wheel, Ok(())),
        (
            asks!(versions: Some(">=2.0a1".parse().unwrap())),
            wheel,
            Err(C::Versions),
        ),
        (
            asks!(versions: Some(">=2.0a1".parse().unwrap())),
            sdist,
            Ok(()),
        ),
        (asks!(kind: vec![Kind::Sdist, Kind::Egg]), sdist, Ok(())),
        (
            asks!(kind: vec![Kind::Sdist, Kind::Egg]),
            wheel,
            Err(C::Kind),
        ),
        (asks!(python: glob("CP312")), wheel, Ok(())),
        (asks!(python: glob("cp31?")), wheel, Ok(())),
        (asks!(python: glob("py3")), wheel, Err(C::Python)),
        (asks!(python: glob("*")), sdist, Err(C::Python)),
        (asks!(platform: glob("manylinux*")), wheel, Ok(())),
        (
            asks!(platform: glob("{win*,macos*}")),
            wheel,
            Err(C::Platform),
        ),
        (asks!(platform: glob("*")), sdist, Err(C::Platform)),
        (asks!(size_over: Some(999)), wheel, Ok(())),
        (asks!(size_over: Some(1000)), wheel, Err(C::SizeOver)),
        (asks!(younger_than: Some(DAY * 5)), wheel, Ok(())),
        (
            asks!(younger_than: Some(DAY * 4)),
            wheel,
            Err(C::YoungerThan),
        ),
        (asks!(older_than: Some(DAY * 4)), wheel, Ok(())),
        (asks!(older_than: Some(DAY * 5)), wheel, Err(C::OlderThan)),
        (asks!(younger_than: Some(Duration::MAX)), wheel, Ok(())),
        (asks!(yanked: Some(false)), wheel, Ok(())),
        (asks!(yanked: Some(true)), wheel, Err(C::Yanked)),
        (asks!(upstream: vec![index("root/pypi")]), wheel, Ok(())),
        (
            asks!(upstream: vec![index("corp/mirror")]),
            wheel,
            Err(C::Upstream),
        ),
        (asks!(status: vec![ProjectState::Archived]), wheel, Ok(())),
        (
            asks!(status: vec![ProjectState::Active]),
            wheel,
            Err(C::Status),
        ),
        (asks!(advisory: glob("malware")), wheel, Err(C::Advisory)),
    ];
    for (matchers, name, expected) in table {
        let fit = fit(&matchers, &file(name, "pkg"));
        let expected = expected.map_or_else(Fit::No, |()| Fit::Yes);
        assert_eq!(fit, expected, "{} for {name}", words(&matchers, 4));
    }
}

#[test]
fn yanked_and_provenance_look_at_the_file() {
    let mut file = file("pkg-1.tar.gz", "pkg");
    file.yanked = Yanked::Yes(None);
    file.provenance = Some("https://upstream.example/provenance".into());
    assert_eq!(fit(&asks!(yanked: Some(true)), &file), Fit::Yes);
    let missing = asks!(provenance: Some(ProvenanceAsked::Missing));
    assert_eq!(fit(&missing, &file), Fit::No(Condition::Provenance));
    file.provenance = None;
    assert_eq!(fit(&missing, &file), Fit::Yes);
}

#[test]
fn a_digest_is_one_of_those_listed_and_none_is_not_known() {
    let mut file = file("pkg-1.tar.gz", "pkg");
    let (ours, other) = (Sha256::of(b"ours"), Sha256::of(b"other"));
    file.hashes = Hashes::sha256_only(ours);
    let listed = asks!(sha256: vec![other, ours]);
    assert_eq!(fit(&listed, &file), Fit::Yes);
    let elsewhere = asks!(sha256: vec![other]);
    assert_eq!(fit(&elsewhere, &file), Fit::No(Condition::Sha256));
    file.hashes = Hashes::default();
    assert_eq!(fit(&listed, &file), Fit::Unsure(Missing::Digest));
}

#[test]
fn what_fails_for_sure_outweighs_what_cannot_be_judged() {
    let mut file = file("pkg-1.tar.gz", "pkg");
    file.size = None;
    let unsure = Fit::Unsure(Missing::Size);
    assert_eq!(fit(&asks!(size_over: Some(1)), &file), unsure);
    let both = asks!(size_over: Some(1), versions: Some(">5".parse().unwrap()));
    assert_eq!(fit(&both, &file), Fit::No(Condition::Versions));
}

#[test]
fn a_version_that_cannot_be_read_leaves_a_rule_unsure() {
    let unsure = Fit::Unsure(Missing::Version);
    let respelled = Fit::Unsure(Missing::Spelling);
    let table = [
        (">=0", "pkg-2004d.zip", unsure),
        ("!=1", "pkg-1.0-final-2.zip", unsure),
        ("<2", "pkg-1.0.linux-x86_64.tar.gz", unsure),
        ("===2004d", "pkg-2004d.zip", Fit::Yes),
        ("===2004d", "pkg-2004e.zip", Fit::No(Condition::Versions)),
        ("===1.0-final-2", "pkg-1.0_final_2-py2.7.egg", respelled),
        ("===1.0rc1", "pkg-1.0-rc1.zip", respelled),
    ];
    for (specifiers, name, expected) in table {
        let matchers = asks!(versions: Some(specifiers.parse().unwrap()));
        assert_eq!(
            fit(&matchers, &file(name, "pkg")),
            expected,
            "{name} in {specifiers}"
        );
    }
}

#[test]
fn undated_files_are_what_their_mirror_says() {
    let young = asks!(younger_than: Some(DAY * 7));
    let old = asks!(older_than: Some(DAY * 2));
    let unsure = Fit::Unsure(Missing::UploadTime);
    let seen = Some(UploadTime {
        at: at("2026-01-01T00:00:00Z"),
        source: UploadTimeSource::FirstSeen,
    });
    let (not_young, no) = (Fit::No(Condition::YoungerThan), Fit::Yes);
    let table = [
        (Some(Undated::Deny), None, unsure, unsure),
        (Some(Undated::Deny), seen, unsure, unsure),
        (Some(Undated::FirstSeen), None, unsure, unsure),
        (Some(Undated::FirstSeen), seen, Fit::Yes, no),
        (Some(Undated::Old), None, not_young, no),
        (Some(Undated::Old), seen, not_young, no),
        (None, None, unsure, unsure),
        (None, seen, Fit::Yes, no),
    ];
    let name = index("root/pypi");
    for (undated, time, when_young, when_old) in table {
        let mut file = file("pkg-1.tar.gz", "pkg");
        file.upload_time = time;
        let mirror = undated.map(|undated| (&name, undated));
        let facts = Facts::new(&file, mirror, ProjectState::Active, &[]);
        let case = format!("{undated:?} {time:?}");
        assert_eq!(compile(&young).fit(&facts, at(NOW)), when_young, "{case}");
        assert_eq!(compile(&old).fit(&facts, at(NOW)), when_old, "{case}");
    }
}

#[test]
fn the_next_change_is_the_first_birthday_that_still_matters() {
    let file = file("pkg-1.tar.gz", "pkg");
    let facts = Facts::new(&file, None, ProjectState::Active, &[]);
    let next = |matchers: &Matchers| compile(matchers).next_change(&facts, at(NOW));
    let both = asks!(younger_than: Some(DAY * 9), older_than: Some(DAY * 7));
    assert_eq!(next(&both), Some(at("2026-01-08T00:00:00Z")));
    let never = asks!(younger_than: Some(Duration::MAX));
    assert_eq!(next(&never), None);
    let past = asks!(younger_than: Some(DAY * 4));
    assert_eq!(next(&past), None);
    let other = asks!(younger_than: Some(DAY * 9), kind: vec![Kind::Wheel]);
    assert_eq!(next(&other), None);
}

#[test]
fn a_file_is_late_by_the_first_of_its_release_and_unknown_without_it() {
    let late = asks!(late: Some(DAY * 14));
    let of = |name: &str, day: Option<&str>| {
        let mut file = file(name, "pkg");
        file.upload_time = day.map(|day| UploadTime {
            at: at(&format!("{day}T00:00:00Z")),
            source: UploadTimeSource::Index,
        });
        file
    };
    let (sdist, wheel) = ("pkg-1.0.tar.gz", "pkg-1-py3-none-any.whl");
    let no = Fit::No(Condition::Late);
    let unsure = Fit::Unsure(Missing::ReleaseTime);
    let table = [
        // The same release, however its version is spelled; a fortnight to the second is not yet more.
        (Some("2025-12-01"), Some("2025-12-15"), Undated::Deny, no),
        (
            Some("2025-12-01"),
            Some("2025-12-16"),
            Undated::Deny,
            Fit::Yes,
        ),
        // The first of them is not late.
        (Some("2025-12-31"), Some("2025-12-16"), Undated::Deny, no),
        (None, Some("2025-12-16"), Undated::Deny, unsure),
        (None, Some("2025-12-16"), Undated::FirstSeen, unsure),
        (None, Some("2025-12-16"), Undated::Old, Fit::Yes),
        (
            Some("2025-12-01"),
            None,
            Undated::Deny,
            Fit::Unsure(Missing::UploadTime),
        ),
        (Some("2025-12-01"), None, Undated::Old, no),
    ];
    let name = index("root/pypi");
    for (first, day, undated, expected) in table {
        let mirror = Some((&name, undated));
        let other = of("pkg-0.9.tar.gz", Some("2020-01-01"));
        let files = [of(sdist, first), of(wheel, day), other];
        let siblings = Siblings::new(&files, mirror);
        let facts = Facts::new(&files[1], mirror, ProjectState::Active, &[]);
        let facts = facts.among(Some(&siblings));
        let fit = compile(&late).fit(&facts, at(NOW));
        assert_eq!(fit, expected, "{first:?} {day:?} {undated:?}");
    }
    // Nobody said what else there is.
    assert_eq!(fit(&late, &of(wheel, Some("2025-12-16"))), unsure);
}
