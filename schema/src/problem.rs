//! Problems of an ontology: code, place, message and help, shown like a compiler's errors.

use std::fmt;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

/// Problems that are kept; the rest is only counted.
const KEPT: usize = 100;
/// Characters of a source line that are shown; longer lines are cut around the problem.
const SHOWN: usize = 160;

/// What is wrong, as a stable word for programs. In JSON and on screen it is written like `unknown-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The text is not GraphQL SDL.
    Syntax,
    /// The text is too large, has too many tokens, or nests too deep.
    Limit,
    /// GraphQL knows it, an ontology does not: inputs, operations, custom scalars, arguments of fields.
    Unsupported,
    /// The name belongs to Quipu or to GraphQL.
    ReservedName,
    /// The name is declared twice.
    DuplicateName,
    /// Two generated names of the API would be the same.
    NameCollision,
    /// A name for a store (label, table, column, relationship type) has characters that no store takes.
    InvalidName,
    /// No such directive.
    UnknownDirective,
    /// The directive exists, but not for this place.
    MisplacedDirective,
    /// The directive occurs twice.
    DuplicateDirective,
    /// Two directives that exclude each other.
    ConflictingDirectives,
    /// The directive has no such argument.
    UnknownArgument,
    /// A required argument is missing.
    MissingArgument,
    /// An argument's value has the wrong type or is out of range.
    InvalidArgument,
    /// No such type.
    UnknownType,
    /// The type exists, but cannot stand here.
    WrongType,
    /// No such field.
    UnknownField,
    /// A type, enum or union without content.
    EmptyType,
    /// A type without `id: ID!`.
    MissingId,
    /// A field of records without `@relationship` or `@join`.
    MissingLink,
    /// A list of a shape that is not supported.
    InvalidList,
    /// A relationship that cannot be.
    InvalidRelationship,
    /// A join that cannot be.
    InvalidJoin,
    /// A default that does not fit its field.
    InvalidDefault,
    /// A type does not hold what its interface promises.
    InvalidInterface,
    /// Interfaces that implement each other in a circle.
    InterfaceCycle,
    /// A rule of `@authentication` or `@authorization` that cannot be checked.
    InvalidRule,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A piece of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// The place of what stands in no text of the user's: the built-in types.
    pub(crate) const NOWHERE: Self = Self { start: usize::MAX, end: usize::MAX };

    /// This place, or another one when it is nowhere.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::NOWHERE { other } else { self }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable word.
    pub code: Code,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte of the piece of text it is about.
    pub start: usize,
    /// Byte after the piece of text it is about.
    pub end: usize,
}

/// A problem that was just noted, to which help can be added. Beyond the problems that are kept, nothing is.
pub(crate) struct Note<'p>(Option<&'p mut Problem>);

impl Note<'_> {
    /// Says what to do about it.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        self.advice(Some(help.into()))
    }

    /// Says what to do about it, if anything is known.
    pub(crate) fn advice(mut self, help: Option<String>) -> Self {
        if let (Some(problem), Some(help)) = (&mut self.0, help) {
            problem.help = Some(help);
        }
        self
    }

    /// As `advice`, worked out only for problems that are kept.
    pub(crate) fn advise(self, help: impl FnOnce() -> Option<String>) -> Self {
        match self.0 {
            Some(_) => self.advice(help()),
            None => self,
        }
    }

    /// Asks `did you mean` when a candidate is near; otherwise the help stays as it was.
    pub(crate) fn nearest<'c>(self, name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Self {
        self.advise(|| nearest(name, candidates).map(|near| format!("did you mean `{near}`?")))
    }
}

/// Everything that is wrong with an ontology, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// The problems, at most a hundred.
    pub problems: Vec<Problem>,
    /// How many more there were.
    pub more: usize,
    #[serde(skip)]
    source: String,
}

impl Problems {
    pub(crate) fn new(source: &str) -> Self {
        Self { problems: Vec::new(), more: 0, source: source.to_owned() }
    }

    /// Notes a problem; help can be added to what is returned.
    pub(crate) fn add(&mut self, code: Code, span: Span, message: impl Into<String>) -> Note<'_> {
        if self.problems.len() >= KEPT {
            self.more += 1;
            return Note(None);
        }
        let (start, end) = (span.start.min(self.source.len()), span.end.min(self.source.len()));
        let problem = Problem { code, message: message.into(), help: None, line: 0, column: 0, start, end };
        self.problems.push(problem);
        Note(self.problems.last_mut())
    }

    /// True when nothing was wrong so far.
    pub(crate) fn none(&self) -> bool {
        self.problems.is_empty()
    }

    /// The value when nothing is wrong, and otherwise the problems with their lines and columns.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort_by_key(|problem| (problem.start, problem.end));
        self.problems.dedup_by(|a, b| (a.code, a.start, &a.message) == (b.code, b.start, &b.message));
        for problem in &mut self.problems {
            (problem.line, problem.column) = position(&self.source, problem.start);
        }
        Err(self)
    }

    /// The problems as text for a terminal, each with its line underlined; `colour` adds escape codes.
    pub fn render(&self, file_name: &str, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(if colour { DecorStyle::Unicode } else { DecorStyle::Ascii });
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&render(&renderer, problem, &self.source, file_name));
            text.push_str("\n\n");
        }
        let total = self.problems.len() + self.more;
        let plural = if total == 1 { "" } else { "s" };
        match self.more {
            0 => text.push_str(&format!("{total} problem{plural} in {file_name}\n")),
            more => text.push_str(&format!("{total} problem{plural} in {file_name}, {more} not shown\n")),
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render("ontology", false))
    }
}

impl std::error::Error for Problems {}

fn render(renderer: &Renderer, problem: &Problem, source: &str, file_name: &str) -> String {
    let code = problem.code.to_string();
    // Messages quote the text, which may hold what a terminal would obey.
    let (message, help) =
        (normalize_untrusted_str(&problem.message), problem.help.as_deref().map(normalize_untrusted_str));
    let (shown, span) = window(source, problem.start, problem.end);
    let snippet = Snippet::source(shown)
        .path(file_name)
        .line_start(problem.line)
        .annotation(AnnotationKind::Primary.span(span.start..span.end));
    let mut group = Level::ERROR.primary_title(message).id(code.as_str()).element(snippet);
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.render(&[group])
}

/// The line around a place, cut when it is long, and the place inside it: what is drawn never grows with the text.
fn window(source: &str, start: usize, end: usize) -> (&str, Span) {
    let start = floor(source, start);
    let line = source[..start].rfind('\n').map_or(0, |at| at + 1);
    let stop = source[start..].find('\n').map_or(source.len(), |at| start + at);
    let left = floor(source, line.max(start.saturating_sub(SHOWN / 2)));
    let right = floor(source, stop.min(start + SHOWN));
    let end = floor(source, end.clamp(start, right));
    (&source[left..right], Span { start: start - left, end: end - left })
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn position(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..floor(source, at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
    (line, column)
}

/// The candidate that `name` was probably meant to be, by edit distance: at most a third of the letters differ.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST && *candidate != name)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
