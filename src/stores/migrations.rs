//! Migrations: numbered changes of a store's own tables or constraints, forward only. What ran is noted there with its checksum; the
//! notes are compared with what this version knows.

use std::fmt;

use sha2::{Digest, Sha256};

/// One step.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// From 1, in the order in which they run.
    pub number: i64,
    /// What it is about, in a word.
    pub name: &'static str,
    /// What is run.
    pub text: &'static str,
}

/// What a store says of a step that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its number.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// SHA-256 of its text, in hexadecimal digits.
    pub checksum: String,
}

/// What would be run on a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which store, without credentials.
    pub place: String,
    /// All steps that either side knows, by number.
    pub steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Number, name and checksum: those of the store where it ran.
    pub ran: Ran,
    /// What is to be done about it.
    pub state: State,
}

/// What is to be done about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing: it ran.
    Applied,
    /// It would be run.
    Pending,
    /// Another text ran under its number; the store is refused.
    Different,
    /// A newer version ran it; the store is refused.
    Ahead,
}

impl Migration {
    /// SHA-256 of its text, in hexadecimal digits.
    pub fn checksum(&self) -> String {
        Sha256::digest(self.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The note of it.
    pub fn note(&self) -> Ran {
        Ran { number: self.number, name: self.name.to_owned(), checksum: self.checksum() }
    }
}

/// Compares what ran on a store with what is known here; a difference is what is wrong, and what can be done.
///
/// # Errors
/// When something newer ran, or something else under a known number.
pub fn compare(known: &[Migration], ran: &[Ran]) -> Result<(), (String, &'static str)> {
    let newest = known.last().map_or(0, |migration| migration.number);
    if let Some(ahead) = ran.iter().find(|ran| ran.number > newest) {
        let message = format!("was migrated by a newer version (migration {}, this one knows {newest})", ahead.number);
        return Err((message, "use the newer version of quipu"));
    }
    for migration in known {
        let found = ran.iter().find(|ran| ran.number == migration.number);
        if found.is_some_and(|ran| ran.checksum != migration.checksum()) {
            let message =
                format!("its migration {:04} ({}) is not the one this version knows", migration.number, migration.name);
            return Err((message, "use the version of quipu that migrated the database"));
        }
    }
    Ok(())
}

/// The steps that did not run.
pub fn missing<'a>(known: &'a [Migration], ran: &'a [Ran]) -> impl Iterator<Item = &'a Migration> {
    known.iter().filter(|migration| !ran.iter().any(|ran| ran.number == migration.number))
}

impl Plan {
    /// What would be run on a store on which something ran.
    pub fn of(place: impl Into<String>, known: &[Migration], ran: &[Ran]) -> Self {
        let applied = ran.iter().map(|ran| {
            let state = match known.iter().find(|migration| migration.number == ran.number) {
                Some(migration) if migration.checksum() == ran.checksum => State::Applied,
                Some(_) => State::Different,
                None => State::Ahead,
            };
            Step { ran: ran.clone(), state }
        });
        let pending = missing(known, ran).map(|migration| Step { ran: migration.note(), state: State::Pending });
        let mut steps: Vec<Step> = applied.chain(pending).collect();
        steps.sort_by_key(|step| step.ran.number);
        Self { place: place.into(), steps }
    }

    fn count(&self, state: State) -> usize {
        self.steps.iter().filter(|step| step.state == state).count()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.place)?;
        let widest = self.steps.iter().map(|step| step.ran.name.len()).max().unwrap_or(0);
        for Step { ran, state } in &self.steps {
            let state = match state {
                State::Applied => "applied",
                State::Pending => "pending",
                State::Different => "not the one that this version knows",
                State::Ahead => "of a newer version",
            };
            writeln!(f, "  {:04}  {:<widest$}  {}  {state}", ran.number, ran.name, ran.checksum)?;
        }
        match (self.count(State::Ahead), self.count(State::Different), self.count(State::Pending)) {
            (0, 0, 0) => writeln!(f, "  up to date"),
            (0, 0, pending) => writeln!(f, "  {pending} would be run"),
            (0, ..) => writeln!(f, "  would be refused: use the version of quipu that migrated it"),
            _ => writeln!(f, "  would be refused: it is ahead of this version of quipu; use the newer one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Migration; 2] =
        [Migration { number: 1, name: "store", text: "one" }, Migration { number: 2, name: "more", text: "two" }];

    #[test]
    fn plans_say_what_would_be_run() {
        let notes = KNOWN.map(|migration| migration.note());
        let states = |ran: &[Ran]| Plan::of("x", &KNOWN, ran).steps.iter().map(|step| step.state).collect::<Vec<_>>();
        assert_eq!(states(&[]), [State::Pending, State::Pending]);
        assert_eq!(states(&notes[..1]), [State::Applied, State::Pending]);
        assert_eq!(states(&notes), [State::Applied, State::Applied]);
        let other = Ran { checksum: "else".into(), ..notes[0].clone() };
        assert_eq!(states(std::slice::from_ref(&other)), [State::Different, State::Pending]);
        let ahead = Ran { number: 3, ..notes[0].clone() };
        let all = [notes[0].clone(), notes[1].clone(), ahead.clone()];
        assert_eq!(states(&all), [State::Applied, State::Applied, State::Ahead]);
        assert!(compare(&KNOWN, &notes).is_ok() && compare(&KNOWN, &[]).is_ok());
        assert!(compare(&KNOWN, &all).unwrap_err().0.contains("newer version (migration 3, this one knows 2)"));
        assert!(compare(&KNOWN, &[other]).unwrap_err().0.contains("0001 (store) is not the one"));
        assert_eq!(missing(&KNOWN, &notes[..1]).map(|migration| migration.number).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn plans_are_shown() {
        let note = KNOWN[0].note();
        let shown = Plan::of("postgres h:1/d", &KNOWN, std::slice::from_ref(&note)).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "postgres h:1/d");
        assert_eq!(lines[1], format!("  0001  store  {}  applied", note.checksum));
        assert!(lines[2].starts_with("  0002  more   ") && lines[2].ends_with("  pending"), "{}", lines[2]);
        assert_eq!(lines[3], "  1 would be run");
    }
}
