//! What changes between two ontologies: what clients notice, and what the stores must do about the data that is there.

mod fields;
mod groups;
mod migration;
mod records;

use std::fmt;

use serde::Serialize;

pub use migration::{Care, Migration};

use crate::ontology::Ontology;
use crate::policy::Rules;

/// What a change means for the clients of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Requests that were valid are no longer, or answers may hold null where none was.
    Breaking,
    /// Requests stay valid, but may be answered or accepted otherwise: rules, defaults, new values of enums.
    Risky,
    /// Nobody needs to care.
    Safe,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it means for clients.
    pub effect: Effect,
    /// What changed: `Facility`, `Facility.name`, `Status.OK`.
    pub element: String,
    /// How it changed, for people.
    pub what: String,
}

/// All differences of two ontologies.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Diff {
    /// The differences, the breaking ones first.
    pub changes: Vec<Change>,
    /// What the data needs, in this order; [`Migration::care`] says who sees to it.
    pub migrations: Vec<Migration>,
}

/// Compares two ontologies, the one that is served and the one that shall be.
pub fn diff(old: &Ontology, new: &Ontology) -> Diff {
    let mut diff = Diff::default();
    records::compare(old, new, &mut diff);
    groups::edge_types(old, new, &mut diff);
    groups::abstracts(old, new, &mut diff);
    groups::enums(old, new, &mut diff);
    diff.changes.sort_by_key(|change| change.effect);
    diff
}

impl Diff {
    /// True when the two ontologies are the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.migrations.is_empty()
    }

    /// True when a client may notice by an error.
    pub fn is_breaking(&self) -> bool {
        self.count(Effect::Breaking) > 0
    }

    /// How many changes have that effect.
    pub fn count(&self, effect: Effect) -> usize {
        self.changes.iter().filter(|change| change.effect == effect).count()
    }

    fn note(&mut self, effect: Effect, element: impl Into<String>, what: impl Into<String>) {
        self.changes.push(Change { effect, element: element.into(), what: what.into() });
    }

    /// Notes a change that breaks when the flag is set, and is safe otherwise.
    fn judge(&mut self, breaks: bool, element: impl Into<String>, what: impl Into<String>) {
        self.note(if breaks { Effect::Breaking } else { Effect::Safe }, element, what);
    }

    /// Notes changed rules, which a request may notice by what it is told.
    fn rules(&mut self, element: &str, was: &Rules, is: &Rules) {
        if was.authentication != is.authentication {
            self.note(Effect::Risky, element, "who must have proved who they are changes");
        }
        if was.policies != is.policies {
            self.note(Effect::Risky, element, "who may see and do what changes");
        }
    }

    fn migrate(&mut self, migration: Migration) {
        self.migrations.push(migration);
    }

    /// Notes a changed description or deprecation, which no request depends on.
    fn words(&mut self, element: &str, descriptions: [&Option<String>; 2], deprecations: [&Option<String>; 2]) {
        if descriptions[0] != descriptions[1] {
            self.note(Effect::Safe, element, "described otherwise");
        }
        if deprecations[0] != deprecations[1] {
            let what = match deprecations[1] {
                Some(reason) => format!("deprecated: {reason}"),
                None => "no longer deprecated".to_owned(),
            };
            self.note(Effect::Safe, element, what);
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing changes");
        }
        let widest = self.changes.iter().map(|change| change.element.len()).max().unwrap_or(0).min(40);
        for Change { effect, element, what } in &self.changes {
            writeln!(f, "{:<8}  {element:<widest$}  {what}", effect.to_string())?;
        }
        for (care, heading) in [
            (Care::Publishing, "publishing does to the data"),
            (Care::Refused, "publishing refuses while there is data that needs this"),
            (Care::Yours, "publishing leaves to you"),
        ] {
            let mut of_care = self.migrations.iter().filter(|migration| migration.care() == care).peekable();
            if of_care.peek().is_some() {
                writeln!(f, "\n{heading}:")?;
            }
            for migration in of_care {
                writeln!(f, "  {migration}")?;
            }
        }
        let [breaking, risky, safe] = [Effect::Breaking, Effect::Risky, Effect::Safe].map(|effect| self.count(effect));
        writeln!(f, "\n{breaking} breaking, {risky} risky, {safe} safe; {} for the data", self.migrations.len())
    }
}
