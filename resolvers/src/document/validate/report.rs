//! Errors of validation, bounded in number and in the work of suggesting names.

use async_graphql::{Pos, ServerError};

/// Known names that are compared with unknown ones, for all errors of a document together: the root types of a large API have thousands.
const COMPARED: usize = 10_000;
/// Share of a name's letters that may differ for another name to be meant.
const DIFFERENT: f64 = 0.4;

/// The errors found so far.
pub(super) struct Report {
    errors: Vec<ServerError>,
    most: usize,
    suggest: bool,
    compared: usize,
}

impl Report {
    pub(super) fn new(most: usize, suggest: bool) -> Self {
        Self { errors: Vec::new(), most, suggest, compared: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Adds an error at a place of the document.
    pub(super) fn add(&mut self, at: Pos, message: impl Into<String>) {
        self.at(&[at], message);
    }

    /// Adds an error that is about several places.
    pub(super) fn at(&mut self, places: &[Pos], message: impl Into<String>) {
        if self.errors.len() < self.most {
            let mut error = ServerError::new(message, None);
            error.locations = places.to_vec();
            self.errors.push(error);
        }
    }

    /// Adds an error about a name that is not known, with the nearest that is.
    pub(super) fn unknown<'k>(&mut self, at: Pos, message: String, name: &str, known: impl Iterator<Item = &'k str>) {
        if self.errors.len() >= self.most {
            return;
        }
        match self.nearest(name, known) {
            Some(near) => self.add(at, format!("{message}; did you mean {near:?}?")),
            None => self.add(at, message),
        }
    }

    fn nearest<'k>(&mut self, name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
        if !self.suggest {
            return None;
        }
        let mut best: Option<(usize, &str)> = None;
        for candidate in known {
            let most = (DIFFERENT * name.len().max(candidate.len()) as f64) as usize;
            if name.len().abs_diff(candidate.len()) > most {
                continue;
            }
            self.compared += 1;
            if self.compared > COMPARED {
                break;
            }
            let distance = strsim::osa_distance(name, candidate);
            if distance <= most && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    /// The errors in the order of the text.
    pub(super) fn finish(mut self) -> Vec<ServerError> {
        self.errors.sort_by_key(|error| error.locations.first().map(|at| (at.line, at.column)));
        self.errors
    }
}
