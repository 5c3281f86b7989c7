//! The parser's errors, in our words and without the echo that one mistake has.

use apollo_parser::cst::{self, CstNode};
use apollo_parser::{Error, SyntaxKind, SyntaxNode};

use super::{MAX_DEPTH, MAX_TOKENS};
use crate::problem::{Code, Problems, Span, nearest};

/// Words that begin a definition.
const KEYWORDS: [&str; 9] = ["type", "interface", "union", "enum", "extend", "scalar", "input", "schema", "directive"];

/// Notes the errors. Until a line begins a new definition, what follows an error is its echo.
pub(super) fn report(sdl: &str, errors: &[Error], problems: &mut Problems) {
    let mut last: Option<usize> = None;
    for error in errors {
        let at = error.index();
        let echo = last.is_some_and(|last| !error.is_limit() && !begins_anew(sdl, last, at));
        last = Some(at);
        if echo {
            continue;
        }
        let code = if error.is_limit() { Code::Limit } else { Code::Syntax };
        let span = Span { start: at, end: at + error.data().len() };
        problems.add(code, span, message(error.message())).advise(|| advice(sdl, error));
    }
}

/// Notes arguments and fields of objects without a value, which the parser lets pass, and tells where they stand. They must
/// not be lost: a rule would say less than is written.
pub(super) fn without_value(tree: &SyntaxNode, problems: &mut Problems) -> Vec<usize> {
    let mut places = Vec::new();
    for node in tree.descendants().filter(|node| matches!(node.kind(), SyntaxKind::ARGUMENT | SyntaxKind::OBJECT_FIELD))
    {
        // After a colon the parser itself asks for the value.
        let colon = node.children_with_tokens().any(|child| child.kind() == SyntaxKind::COLON);
        if !colon {
            let span = super::span(&node);
            let name = node.children().find_map(cst::Name::cast).map(|name| name.syntax().text().to_string());
            let name = name.unwrap_or_default();
            let help = format!("write `{name}: ...`");
            problems.add(Code::Syntax, span, format!("`{name}` has no value")).help(help);
            places.push(span.start);
        }
    }
    places
}

/// True when a line between the two places begins a definition.
fn begins_anew(sdl: &str, from: usize, to: usize) -> bool {
    let between = sdl.get(from..to).unwrap_or_default();
    between.split('\n').skip(1).any(|line| keyword(line).is_some())
}

/// The keyword at the very beginning of a line.
fn keyword(line: &str) -> Option<&'static str> {
    KEYWORDS.into_iter().find(|word| line.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '\t'])))
}

fn message(text: &str) -> String {
    match text {
        "parser recursion limit reached" => return format!("nested deeper than {MAX_DEPTH} levels"),
        "token limit reached, aborting lexing" => return format!("more than {MAX_TOKENS} words and signs"),
        "expected definition" | "expected a StringValue, Name or OperationDefinition" => {
            return "expected a definition, like `type Facility {`".to_owned();
        }
        "unexpected variable value in a Const context" => return "variables cannot stand here".to_owned(),
        "expected an Implements Interface, Directives or a Fields Definition" => {
            return "an extension adds interfaces, directives or fields".to_owned();
        }
        "expected a valid Value" => return "expected a value".to_owned(),
        _ => {}
    }
    let mut text = text.to_owned();
    let tokens =
        [("R_CURLY", "}"), ("L_CURLY", "{"), ("R_PAREN", ")"), ("L_PAREN", "("), ("R_BRACK", "]"), ("COLON", ":")];
    for (token, written) in tokens {
        text = text.replace(&format!("expected {token},"), &format!("expected `{written}`,"));
    }
    if let Some((before, got)) = text.clone().split_once(", got ") {
        let got = if got == "EOF" { "the end of the text".to_owned() } else { format!("`{got}`") };
        text = format!("{before}, got {got}");
    }
    text = text.replace("expected a Name", "expected a name");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn advice(sdl: &str, error: &Error) -> Option<String> {
    let at = error.index();
    let before = sdl.get(..at)?;
    let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
    if error.message().starts_with("unexpected variable") {
        return Some("a claim is written as a string, like \"$jwt.sub\"".to_owned());
    }
    if error.data() == "implements" {
        return Some("`implements` stands before the directives".to_owned());
    }
    if error.message() == "expected definition" {
        return nearest(error.data(), KEYWORDS).map(|near| format!("did you mean `{near}`?"));
    }
    // A body that was not closed takes the keyword of the next definition for a field.
    let unclosed = error.message() == "expected a type" && keyword(line).is_some();
    unclosed.then(|| "is a `}` missing above?".to_owned())
}
