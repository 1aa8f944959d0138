//! What two configurations make of the same requests, judging by what is held here.
//!
//! Each side resolves the project and decides about its files as a request does, by the same functions, at the
//! same instant. Of what no page that is held lists, only that counts which is certain whatever the page
//! would say; everything else is "not judged", and never counts as allowed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::catalog::{Resolution, Resolved, candidate};
use crate::exchange::{Context, Error, ErrorKind, Patience};
use crate::gateway::Flows;
use crate::language::{Pin, PinnedFile};
use crate::model::{File, Filename, IndexName, Location, ProjectName, Version};
use crate::page::{Entry, Merged};
use crate::policy::{Denial, Verdict, taken};
use crate::trial::{Fate, certain_fate};

/// A project that is asked for through an index, and which of its files.
#[derive(Debug, Clone)]
pub struct AskedProject {
    /// The index.
    pub index: IndexName,
    /// The project.
    pub project: ProjectName,
    /// The files, or releases of which any file may be taken. All files that are held are replayed besides.
    pub pins: Vec<Pin>,
}

/// What changes for a project.
#[derive(Debug, Clone, Default)]
pub struct ReplayedProject {
    /// What is not as before, by name.
    pub files: Vec<ReplayedFile>,
    /// The version that an installer takes, before and after.
    pub taken: [Option<Version>; 2],
    /// How many files were decided about.
    pub decided: usize,
}

/// A file whose fate is another, or is not known.
#[derive(Debug, Clone)]
pub struct ReplayedFile {
    /// Its name; of an entry that names none, the release.
    pub name: String,
    /// Its version, if it has one.
    pub version: Option<Version>,
    /// What changes.
    pub turn: Turn,
    /// Why it is refused, by the side that refuses it; or why it cannot be judged.
    pub why: Why,
    /// Which of the entries asked for it.
    pub asked: Vec<usize>,
}

/// How a fate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It is refused now, and was not for certain.
    NewlyRefused,
    /// It was refused, and passes now.
    NewlyAllowed,
    /// What would happen to it is not known.
    NotJudged,
}

/// Why something is refused or not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Why {
    /// In words.
    pub words: String,
    /// The rule, by its name.
    pub rule: Option<Arc<str>>,
    /// Where it stands.
    pub place: Option<String>,
}

/// What becomes of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreseen {
    /// It is served.
    Passes,
    /// A rule refuses it.
    Refused(Why),
    /// No index lists it.
    Unlisted(Why),
    /// That is not known here.
    Unknown(Why),
}

impl Why {
    fn of(denial: &Denial) -> Self {
        let place = denial.rule.location.as_ref();
        Self {
            words: denial.words(),
            rule: Some(Arc::clone(&denial.rule.name)),
            place: place.map(|place| format!("{}:{}", place.file, place.line)),
        }
    }

    fn only(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            ..Self::default()
        }
    }
}

/// Replays a project under two configurations.
///
/// # Errors
/// When the records cannot be read.
pub async fn replay(
    flows: &Flows,
    [before, after]: [&Context; 2],
    asked: &AskedProject,
) -> Result<ReplayedProject, Error> {
    let before = Side::of(flows, before, asked).await?;
    let after = Side::of(flows, after, asked).await?;
    let sides = [before.shown(asked), after.shown(asked)];
    let mut found = BTreeMap::new();
    let [old, new] = &sides;
    let only_old = old.names().filter(|name| new.at(name).is_none());
    let mut decided = 0;
    for name in new.names().chain(only_old) {
        decided += 1;
        // Nearly all files: nothing has to be put in words.
        if old
            .is_refused(name)
            .is_some_and(|was| new.is_refused(name) == Some(was))
        {
            continue;
        }
        let fates = sides.each_ref().map(|side| side.foresee(name, &sides));
        if let Some((turn, why)) = turn(&fates)
            && turn != Turn::NotJudged
        {
            found.insert(name.to_owned(), (turn, why, Vec::new()));
        }
    }
    for (number, pin) in asked.pins.iter().enumerate() {
        for meant in meant(pin, &sides) {
            let fates = sides
                .each_ref()
                .map(|side| side.foresee_meant(&meant, &sides));
            if let Some((turn, why)) = turn(&fates) {
                let entry = found.entry(meant.name());
                entry.or_insert((turn, why, Vec::new())).2.push(number);
            }
        }
    }
    let taken = match found.is_empty() {
        true => [None, None],
        false => sides.each_ref().map(Shown::taken),
    };
    let file = |(name, (turn, why, by)): (String, (Turn, Why, Vec<usize>))| ReplayedFile {
        version: version(&name, asked, &by),
        name,
        turn,
        why,
        asked: by,
    };
    Ok(ReplayedProject {
        files: found.into_iter().map(file).collect(),
        taken,
        decided,
    })
}

/// What becomes of what is asked for under one configuration: of each entry the files of it that are listed,
/// or what is certain of it.
///
/// # Errors
/// When the records cannot be read.
pub async fn foresee(
    flows: &Flows,
    cx: &Context,
    asked: &AskedProject,
) -> Result<Vec<Vec<(String, Foreseen)>>, Error> {
    let side = Side::of(flows, cx, asked).await?;
    let sides = [side.shown(asked)];
    let of_pin = |pin: &Pin| {
        let all = meant(pin, &sides).into_iter();
        let fate = |meant: Meant<'_>| (meant.name(), sides[0].foresee_meant(&meant, &sides));
        all.map(fate).collect()
    };
    Ok(asked.pins.iter().map(of_pin).collect())
}

/// The version of a file, or of the entry that asked for it.
fn version(name: &str, asked: &AskedProject, by: &[usize]) -> Option<Version> {
    let parsed = Filename::parse(name, &asked.project).ok();
    let parsed = parsed.map(|filename| filename.version());
    parsed.or_else(|| asked.pins.get(*by.first()?)?.version.clone())
}

/// What changes between two fates, if anything does that concerns somebody.
fn turn([before, after]: &[Foreseen; 2]) -> Option<(Turn, Why)> {
    use Foreseen::{Passes, Refused, Unknown, Unlisted};
    let (turn, why) = match (before, after) {
        (Passes, Passes) | (Refused(_), Refused(_) | Unlisted(_)) | (Unlisted(_), Refused(_)) => {
            return None;
        }
        (Passes | Unknown(_), Refused(why)) | (Passes, Unlisted(why)) => (Turn::NewlyRefused, why),
        (Refused(why) | Unlisted(why), Passes) => (Turn::NewlyAllowed, why),
        (_, Unknown(why)) | (Unknown(why), Passes | Unlisted(_)) | (Unlisted(_), Unlisted(why)) => {
            (Turn::NotJudged, why)
        }
    };
    Some((turn, why.clone()))
}

/// What an entry means.
#[derive(Debug)]
enum Meant<'a> {
    /// A file that is listed.
    Listed(&'a str),
    /// Something that is not, or is no file.
    Stated(Pin),
}

impl Meant<'_> {
    fn name(&self) -> String {
        match self {
            Self::Listed(name) => (*name).to_owned(),
            Self::Stated(pin) => match (pin.files.as_slice(), &pin.version) {
                ([file], _) if let Some(name) = &file.filename => name.to_string(),
                (_, Some(version)) => format!("{} {version}", pin.project),
                (_, None) => pin.project.to_string(),
            },
        }
    }
}

/// What an entry means: the files of it that are listed, and what it states of those that are not. Where no
/// files are listed, or it states no version, it is judged as a whole.
fn meant<'a>(pin: &Pin, sides: &'a [Shown<'_>]) -> Vec<Meant<'a>> {
    let is_bare = pin.version.is_none() && pin.files.is_empty();
    if is_bare || sides.iter().all(|side| side.entries.is_empty()) {
        return vec![Meant::Stated(pin.clone())];
    }
    let mut found: BTreeMap<&str, &File> = BTreeMap::new();
    for entry in sides.iter().flat_map(|side| &side.entries) {
        if fits(pin, entry.file) {
            found.insert(entry.file.filename.as_str(), entry.file);
        }
    }
    let named = pin.files.iter().filter(|pinned| pinned.filename.is_some());
    let missing = named.filter(|pinned| !found.values().any(|file| is_same(pinned, file)));
    let missing = missing.map(|pinned| {
        Meant::Stated(Pin {
            files: vec![pinned.clone()],
            ..pin.clone()
        })
    });
    let mut all: Vec<Meant<'a>> = missing.collect();
    all.extend(found.keys().map(|name| Meant::Listed(name)));
    if all.is_empty() {
        all.push(Meant::Stated(pin.clone()));
    }
    all
}

/// Whether an entry means a file: one of those it names; if it names none, any of its version.
fn fits(pin: &Pin, file: &File) -> bool {
    if pin.files.is_empty() {
        let version = pin.version.as_ref();
        return version.is_some_and(|version| file.filename.version() == *version);
    }
    pin.files.iter().any(|pinned| is_same(pinned, file))
}

/// Whether a pinned file is the listed one, by all that is known of both.
fn is_same(pinned: &PinnedFile, file: &File) -> bool {
    let name = pinned.filename.as_deref();
    let name = name.map(|name| name == file.filename.as_str());
    let digests = pinned.sha256.zip(file.hashes.sha256());
    match (name, digests) {
        (Some(false), _) | (None, None) => false,
        (_, Some((pinned, listed))) => pinned == listed,
        (Some(true), None) => true,
    }
}

/// A project under one configuration.
#[derive(Debug)]
struct Side {
    cx: Context,
    word: Word,
    merged: Option<Merged>,
    /// Why each of the files is refused, in their order.
    denials: Vec<Option<Box<Denial>>>,
}

/// What is said about a project.
#[derive(Debug)]
enum Word {
    /// Refused by name.
    Refused(Box<Denial>),
    /// Nobody knows it, or there is no such index.
    Absent(String),
    /// It is not held here.
    NotHeld(String),
    /// Its files are decided one by one.
    Known,
}

impl Side {
    async fn of(flows: &Flows, cx: &Context, asked: &AskedProject) -> Result<Self, Error> {
        let (index, project) = (&asked.index, &asked.project);
        let mut side = Self {
            cx: cx.clone(),
            word: Word::Known,
            merged: None,
            denials: Vec::new(),
        };
        if cx.generation.policies.stack(index).is_none() {
            side.word = Word::Absent(format!("there is no index {index}"));
            return Ok(side);
        }
        let patience = Patience::LatestFile;
        match flows.stacks.resolve(cx, index, project, patience).await {
            Ok(Resolution::Known(resolved)) => side.decide(&resolved),
            Ok(Resolution::Refused(denial)) => side.word = Word::Refused(Box::new(denial)),
            Ok(Resolution::Unknown) => {
                side.word = Word::Absent(format!("no index of the stack knows {project}"));
            }
            Err(error) if matches!(error.kind, ErrorKind::Internal | ErrorKind::Full) => {
                return Err(error);
            }
            // Everything for which an upstream would have to be asked.
            Err(error) => side.word = Word::NotHeld(error.message),
        }
        Ok(side)
    }

    fn decide(&mut self, resolved: &Resolved) {
        let merged = resolved.layers.merged();
        let view = resolved.view();
        let denial = |entry: Entry<'_>| {
            let verdict = view.decide_file(&candidate(&entry), self.cx.now);
            match verdict {
                Verdict::Allow(_) => None,
                Verdict::Deny(denial) => Some(Box::new(denial)),
            }
        };
        self.denials = merged.entries().map(denial).collect();
        self.merged = Some(merged);
    }

    fn shown<'a>(&'a self, asked: &'a AskedProject) -> Shown<'a> {
        let entries: Vec<Entry<'a>> = self.merged.iter().flat_map(Merged::entries).collect();
        let names = entries.iter().enumerate();
        let places = names.map(|(at, entry)| (entry.file.filename.as_str(), at));
        Shown {
            places: places.collect(),
            entries,
            side: self,
            asked,
        }
    }
}

/// The same with its files at hand.
#[derive(Debug)]
struct Shown<'a> {
    side: &'a Side,
    asked: &'a AskedProject,
    entries: Vec<Entry<'a>>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Shown<'a> {
    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries
            .iter()
            .map(|entry| entry.file.filename.as_str())
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Whether a file that is listed is refused.
    fn is_refused(&self, name: &str) -> Option<bool> {
        let denial = self.side.denials.get(self.at(name)?)?;
        Some(denial.is_some())
    }

    /// What becomes of a file that one of the sides lists.
    fn foresee(&self, name: &str, sides: &[Shown<'_>]) -> Foreseen {
        if let Some(denial) = self.at(name).and_then(|at| self.side.denials.get(at)) {
            return match denial {
                Some(denial) => Foreseen::Refused(Why::of(denial)),
                None => Foreseen::Passes,
            };
        }
        let listed = sides.iter().find_map(|side| {
            let entry = side.entries.get(side.at(name)?)?;
            Some(entry.file)
        });
        match listed {
            Some(file) => self.certain(&stated(file)),
            None => Foreseen::Unknown(Why::only("not listed: cannot be judged")),
        }
    }

    fn foresee_meant(&self, meant: &Meant<'_>, sides: &[Shown<'_>]) -> Foreseen {
        match meant {
            Meant::Listed(name) => self.foresee(name, sides),
            Meant::Stated(pin) => self.certain(pin),
        }
    }

    /// What becomes of something that is not listed here.
    fn certain(&self, pin: &Pin) -> Foreseen {
        let is_bare = pin.version.is_none() && pin.files.is_empty();
        match &self.side.word {
            Word::Refused(denial) => Foreseen::Refused(Why::of(denial)),
            Word::Absent(why) => Foreseen::Unlisted(Why::only(why.clone())),
            Word::Known if is_bare => self.any(),
            Word::Known => Foreseen::Unlisted(Why::only("no page that is held lists it")),
            Word::NotHeld(why) => {
                let Side { cx, .. } = self.side;
                let policies = &cx.generation.policies;
                match certain_fate(policies, &self.asked.index, pin, cx.now) {
                    // Of a name alone it is not known which files it has.
                    Some(Fate::Passes) if !is_bare => Foreseen::Passes,
                    Some(Fate::Refused(denial)) => Foreseen::Refused(Why::of(&denial)),
                    Some(Fate::Passes | Fate::Depends(_)) | None => {
                        Foreseen::Unknown(Why::only(format!("cannot be judged: {why}")))
                    }
                }
            }
        }
    }

    /// What becomes of whoever takes any file.
    fn any(&self) -> Foreseen {
        match self.side.denials.iter().find(|denial| denial.is_none()) {
            Some(_) => Foreseen::Passes,
            None => match self.side.denials.iter().flatten().next() {
                Some(denial) => Foreseen::Refused(Why::of(denial)),
                None => Foreseen::Unlisted(Why::only("no file is listed")),
            },
        }
    }

    /// The version that an installer takes.
    fn taken(&self) -> Option<Version> {
        let entries = self.entries.iter().zip(&self.side.denials);
        let passing = entries.filter(|(_, denial)| denial.is_none());
        taken(passing.map(|(entry, _)| entry.file), None)
    }
}

/// What a page states of a file.
fn stated(file: &File) -> Pin {
    let pinned = PinnedFile {
        filename: Some(file.filename.as_str().into()),
        sha256: file.hashes.sha256(),
        size: file.size,
        upload_time: file.upload_time.map(|time| time.at),
        ..PinnedFile::default()
    };
    Pin {
        project: file.filename.project().clone(),
        version: Some(file.filename.version()),
        has_digests: pinned.sha256.is_some(),
        files: vec![pinned],
        location: Location {
            file: "".into(),
            line: 0,
            column: 0,
        },
    }
}
