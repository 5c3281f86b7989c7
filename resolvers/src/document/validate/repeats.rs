//! Keys of input objects occur once (5.6.3). The parser keeps the last of two equal keys and says nothing, so this reads the text.

use std::collections::HashSet;

use async_graphql::Pos;

use super::report::Report;
use crate::document::scan::{Token, tokens};

/// What a bracket that is open encloses.
enum Open<'t> {
    /// Selections.
    Selections,
    /// Arguments, variables or a list.
    Values,
    /// An input object, with the keys it has so far.
    Object(HashSet<&'t str>),
}

/// Reports keys that occur twice in an input object of a text that parses.
pub(super) fn check(text: &str, report: &mut Report) {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut word = "";
    let mut start = 0;
    for Token { start: at, end, .. } in tokens(text.as_bytes()) {
        match text.as_bytes()[at] {
            b'{' => open.push(match open.last() {
                None | Some(Open::Selections) => Open::Selections,
                Some(Open::Values | Open::Object(_)) => Open::Object(HashSet::new()),
            }),
            b'(' | b'[' => open.push(Open::Values),
            b'}' | b')' | b']' => drop(open.pop()),
            b':' => {
                if let Some(Open::Object(keys)) = open.last_mut()
                    && !keys.insert(word)
                {
                    report.add(place(text, start), format!("the input object has the key `{word}` twice"));
                }
            }
            // A byte order mark is white space, wherever it stands.
            _ => (word, start) = (text.get(at..end).unwrap_or_default().trim_matches('\u{feff}'), at),
        }
    }
}

/// Line and column of a byte, both from 1.
fn place(text: &str, at: usize) -> Pos {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    Pos { line: before.matches('\n').count() + 1, column: before[line..].chars().count() + 1 }
}
