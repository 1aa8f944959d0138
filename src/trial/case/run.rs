//! Has the policies decide about what is given, and compares that with what is expected.

use std::fmt;
use std::sync::Arc;

use crate::advisory::{Collector, Place, written};
use crate::language::{Document, Placed};
use crate::model::{Fault, Faults, File, IndexName, Location, Timestamp, Version};
use crate::policy::{
    Candidate, Denial, ListedFiles, MIRROR_WHITELIST, Policies, Stack, TraceLine, taken,
};
use crate::trial::case::document::{Case, Expected};
use crate::trial::case::given::Given;
use crate::trial::judge::{Judged, judge_file, judge_name};

/// The configuration under test.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// It, compiled.
    pub policies: &'a Policies,
    /// What it was compiled from.
    pub documents: &'a [Document],
    /// When tests take place that do not say.
    pub now: Timestamp,
}

/// The first thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where the test is written.
    pub location: Location,
    /// What the test is about, in its author's words.
    pub name: Option<String>,
    /// What was given, and the index that was asked.
    pub subject: String,
    /// What was expected.
    pub expected: String,
    /// What happened instead.
    pub found: String,
    /// The rule that decided.
    pub rule: Option<Arc<str>>,
    /// Where that stands.
    pub place: Option<Location>,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: ", self.location.file, self.location.line)?;
        if let Some(name) = &self.name {
            write!(out, "{name}: ")?;
        }
        let Self {
            subject,
            expected,
            found,
            ..
        } = self;
        write!(out, "{subject}: expected {expected}, {found}")
    }
}

/// What happened.
struct Found {
    is_allowed: bool,
    /// The rules that say so: all that allow, or the one that denies.
    rules: Vec<(Arc<str>, Arc<str>, Option<Location>)>,
    /// In words.
    words: String,
    version: Option<Version>,
}

impl Case {
    /// Runs the test.
    ///
    /// # Errors
    /// What is wrong with the test: an index that there is not, for instance.
    pub fn run(&self, bench: &Bench<'_>) -> Result<Option<Difference>, Fault> {
        let with_advisories = self.with_advisories(bench)?;
        let policies = with_advisories.as_ref().unwrap_or(bench.policies);
        let index = self.asked(policies)?;
        let stack = policies
            .stack(&index)
            .ok_or_else(|| self.no_index(policies, &index))?;
        let now = self.now.unwrap_or(bench.now);
        let found = match self.listed.is_empty() {
            true => self.found(stack, now)?,
            false => self.found_of_listed(stack, now)?,
        };
        Ok(self.difference(&index, found))
    }

    fn asked(&self, policies: &Policies) -> Result<IndexName, Fault> {
        let named = self.index.as_ref().map(|index| &index.value);
        let asked = named.or(policies.default_index()).cloned();
        asked.ok_or_else(|| {
            let what = "the test asks no index, and there is no default_index";
            Fault::at(&self.location, what).hint("say which: index: user/index")
        })
    }

    fn no_index(&self, policies: &Policies, index: &IndexName) -> Fault {
        let location = self
            .index
            .as_ref()
            .map_or(&self.location, |index| &index.location);
        let known = policies.indexes().map(|index| index.name.as_str());
        let what = format!("unknown index {:?}", index.as_str());
        Fault::at(location, what).did_you_mean(index.as_str(), known)
    }

    /// The configuration with the advisories that the test states, if it states any.
    fn with_advisories(&self, bench: &Bench<'_>) -> Result<Option<Policies>, Fault> {
        let given = std::iter::once(&self.given).chain(&self.listed);
        let texts = given.flat_map(|given| {
            let file = given.file(bench.now);
            given.advisories.iter().filter_map(move |id| {
                let filename = &file.as_ref()?.filename;
                Some(written(id, filename.project(), filename.version_text()))
            })
        });
        let texts: Vec<String> = texts.collect();
        if texts.is_empty() {
            return Ok(None);
        }
        let mut collector = Collector::default();
        for text in texts {
            let read = collector.read(&text, Place::default());
            read.map_err(|error| Fault::at(&self.location, error.to_string()))?;
        }
        let mut documents = bench.documents.to_vec();
        documents.push(Document {
            advisories: vec![Placed::at(&self.location, Arc::new(collector.finish()))],
            ..Document::default()
        });
        let compiled = Policies::compile(&documents, &[]);
        compiled.map(Some).map_err(|Faults(faults)| {
            let first = faults.into_iter().next();
            first.unwrap_or_else(|| Fault::at(&self.location, "advisories"))
        })
    }

    /// What happens to the given file, or to a request for the given name.
    fn found(&self, stack: &Stack, now: Timestamp) -> Result<Found, Fault> {
        let given = &self.given;
        let Some(file) = given.file(now) else {
            let is_placed = given.upstream.is_some() || !given.held_by.is_empty();
            let member = self.member(given, stack)?;
            let holds = |index: &IndexName| holds(given, index);
            let place = is_placed.then_some(member);
            let judged = judge_name(stack, given.project(), place, now, &holds);
            let lines = stack.explain_project(given.project(), now, &holds);
            let asked = &stack.members[member].index.name;
            let lines = lines.into_iter().filter(|line| line.member == *asked);
            return Ok(found(judged, lines.collect()));
        };
        self.found_of(given, &file, stack, now)
    }

    fn found_of(
        &self,
        given: &Given,
        file: &File,
        stack: &Stack,
        now: Timestamp,
    ) -> Result<Found, Fault> {
        let member = self.member(given, stack)?;
        let status = given.status;
        let candidate = Candidate {
            file,
            member,
            status,
        };
        let siblings = self.siblings(now);
        let listing = ListedFiles {
            member,
            status,
            files: &siblings,
        };
        let view = stack.view(file.filename.project());
        let view = view.among((!siblings.is_empty()).then_some(listing));
        // What holds the project holds it for all files that are listed.
        let holds = |index: &IndexName| {
            let mut all = std::iter::once(&self.given).chain(&self.listed);
            all.any(|given| holds(given, index))
        };
        let judged = judge_file(&view, &candidate, now, &holds);
        Ok(found(judged, view.explain_file(&candidate, now)))
    }

    /// All files that there are of the project, as far as the test states them.
    fn siblings(&self, now: Timestamp) -> Vec<File> {
        let first = self.given.first_of_release(now);
        let alone = first.is_some().then(|| self.given.file(now)).flatten();
        let listed = self.listed.iter();
        let listed = listed.flat_map(|given| [given.file(now), given.first_of_release(now)]);
        let all = [first, alone].into_iter().chain(listed);
        all.flatten().collect()
    }

    /// What happens to an installer that may take any of the files listed.
    fn found_of_listed(&self, stack: &Stack, now: Timestamp) -> Result<Found, Fault> {
        let mut files = Vec::new();
        for given in &self.listed {
            if let Some(file) = given.file(now) {
                let found = self.found_of(given, &file, stack, now)?;
                files.push((file, found));
            }
        }
        let versions = self.given.versions();
        let passing = files.iter().filter(|(_, found)| found.is_allowed);
        let chosen = taken(passing.map(|(file, _)| file), versions);
        let is_allowed = chosen.is_some();
        let Some(version) = chosen.or_else(|| taken(files.iter().map(|(file, _)| file), versions))
        else {
            let what = "none of the files listed is one that an installer would take";
            return Err(Fault::at(&self.given.location, what));
        };
        let decided = files.into_iter().find(|(file, found)| {
            found.is_allowed == is_allowed && file.filename.version() == version
        });
        let decided = decided.map(|(_, found)| found);
        decided
            .map(|found| Found {
                version: is_allowed.then_some(version),
                ..found
            })
            .ok_or_else(|| Fault::at(&self.given.location, "no file of the version was listed"))
    }

    /// The member of the stack that lists a file.
    fn member(&self, given: &Given, stack: &Stack) -> Result<usize, Fault> {
        for (named, is_mirror) in given
            .upstream
            .iter()
            .map(|named| (named, true))
            .chain(given.held_by.iter().map(|named| (named, false)))
        {
            check_member(named, is_mirror, stack)?;
        }
        let named = given.upstream.as_ref().or(given.held_by.first());
        if let Some(position) = named.and_then(|named| stack.position(&named.value)) {
            return Ok(position);
        }
        let mut members = stack.members.iter();
        let mirror = members.position(|member| member.index.is_mirror());
        Ok(mirror.unwrap_or(0))
    }

    fn difference(&self, index: &IndexName, found: Found) -> Option<Difference> {
        let is_by = |by: &String| {
            let mut rules = found.rules.iter();
            rules.any(|(name, policy, _)| is_called(by, name, policy))
        };
        let is_version = |wanted: &String| {
            let found = found.version.as_ref();
            found.is_some_and(|found| Version::is_same_release(wanted, found.as_str()))
        };
        let is_as_expected = found.is_allowed == (self.expected == Expected::Allow)
            && self.by.as_ref().is_none_or(is_by)
            && self.version.as_ref().is_none_or(is_version);
        if is_as_expected {
            return None;
        }
        let (rule, place) = match found.rules.first() {
            Some((name, _, place)) => (Some(Arc::clone(name)), place.clone()),
            None => (None, None),
        };
        let taken = found.version.map(|version| format!("{version} is taken, "));
        Some(Difference {
            location: self.location.clone(),
            name: self.name.clone(),
            subject: format!("{} through {index}", self.given),
            expected: self.expectation(),
            found: taken.unwrap_or_default() + &found.words,
            rule,
            place,
        })
    }

    fn expectation(&self) -> String {
        let mut words = match self.expected {
            Expected::Allow => "allow",
            Expected::Deny => "deny",
        }
        .to_owned();
        if let Some(version) = &self.version {
            words.push_str(&format!(" with version {version}"));
        }
        if let Some(by) = &self.by {
            words.push_str(&format!(" by {by}"));
        }
        words
    }
}

/// A named index must be in the stack, and of the right kind.
fn check_member(named: &Placed<IndexName>, is_mirror: bool, stack: &Stack) -> Result<(), Fault> {
    let name = named.value.as_str();
    let kind = if is_mirror { "mirror" } else { "stage" };
    let position = stack.position(&named.value);
    let is_fit = |at: usize| stack.members[at].index.is_mirror() == is_mirror;
    if position.is_some_and(is_fit) {
        return Ok(());
    }
    let of_kind = stack.members.iter();
    let of_kind = of_kind.filter(|member| member.index.is_mirror() == is_mirror);
    let known = of_kind.map(|member| member.index.name.as_str());
    let what = format!("{name} is no {kind} in the stack of {}", stack.asked.name);
    Err(Fault::at(&named.location, what).did_you_mean(name, known))
}

fn holds(given: &Given, index: &IndexName) -> bool {
    given.held_by.iter().any(|named| named.value == *index)
}

/// Whether a rule is what a test calls it: by its id, its whole name, or its policy or key.
fn is_called(by: &str, name: &str, policy: &str) -> bool {
    let id = name.rsplit_once('/').map_or(name, |(_, id)| id);
    [name, id, policy].contains(&by)
}

fn found(judged: Judged, lines: Vec<TraceLine>) -> Found {
    match judged {
        Judged::Passes(audited) => allowed(audited.as_deref(), lines),
        Judged::Refused(denial) => denied(&denial),
        Judged::Private(keeper) => {
            let name: Arc<str> = MIRROR_WHITELIST.into();
            Found {
                is_allowed: false,
                rules: vec![(Arc::clone(&name), name, None)],
                words: format!("{keeper} holds the name, which is then not taken from mirrors"),
                version: None,
            }
        }
        Judged::Nowhere => Found {
            is_allowed: false,
            rules: Vec::new(),
            words: "no index of the stack could have it".to_owned(),
            version: None,
        },
    }
}

fn denied(denial: &Denial) -> Found {
    let rule = &denial.rule;
    let place = placed(rule.location.as_ref());
    Found {
        is_allowed: false,
        rules: vec![(
            Arc::clone(&rule.name),
            Arc::clone(&rule.policy),
            rule.location.clone(),
        )],
        words: format!("denied by {}{place}: {}", rule.name, denial.reason()),
        version: None,
    }
}

fn allowed(audited: Option<&Denial>, lines: Vec<TraceLine>) -> Found {
    let lines: Vec<TraceLine> = lines.into_iter().filter(TraceLine::allows).collect();
    let said = lines.iter();
    let said = said.map(|line| format!("{}{}", line.name, placed(line.location.as_ref())));
    let said: Vec<String> = said.collect();
    let mut words = match said.is_empty() {
        true => "allowed, as no rule looks at it".to_owned(),
        false => format!("allowed by {}", said.join(" and ")),
    };
    if let Some(denial) = audited {
        let place = placed(denial.rule.location.as_ref());
        let (name, reason) = (&denial.rule.name, denial.reason());
        words.push_str(&format!(
            ", and {name}{place} would deny it, but only audits: {reason}"
        ));
    }
    let rules = lines.into_iter();
    Found {
        is_allowed: true,
        rules: rules
            .map(|line| (line.name, line.policy, line.location))
            .collect(),
        words,
        version: None,
    }
}

fn placed(location: Option<&Location>) -> String {
    let place = location.map(|location| format!(" ({}:{})", location.file, location.line));
    place.unwrap_or_default()
}
