//! The SDL of an ontology: what compiles is printed as the API that was meant, and means the same without comments and on other lines; what does
//! not compile has problems that each have a place in the text.

use apollo_parser::{Lexer, TokenKind};
use quipu_schema::problem::Problems;
use quipu_schema::{compile_with_api, diff};

#[path = "../../schema/tests/api/reading.rs"]
mod reading;

/// Longer inputs only take longer.
const LONGEST: usize = 32 << 10;

/// Takes a text as an ontology.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > LONGEST {
        return;
    }
    match compile_with_api(text) {
        Ok((ontology, api)) => {
            let sdl = api.sdl();
            assert_eq!(reading::written(&sdl), reading::meant(&api), "the printed API is another one");
            let again = on_other_lines(text);
            let (ontology_again, api_again) = compile_with_api(&again)
                .unwrap_or_else(|problems| panic!("on other lines it does not compile:\n{problems}\n{again}"));
            assert_eq!(ontology, ontology_again, "on other lines it is another ontology");
            assert_eq!(sdl, api_again.sdl(), "on other lines it has another API");
            let difference = diff(&ontology, &ontology_again);
            assert!(difference.changes.is_empty() && difference.migrations.is_empty(), "{difference:?}");
        }
        Err(problems) => told(text, &problems),
    }
}

/// The same tokens, one a line, without what is not looked at.
fn on_other_lines(text: &str) -> String {
    let mut again = String::with_capacity(text.len());
    for token in Lexer::new(text) {
        let token = token.expect("what compiled has no bad tokens");
        if !matches!(token.kind(), TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof) {
            again.push_str(token.data());
            again.push('\n');
        }
    }
    again
}

fn told(text: &str, problems: &Problems) {
    assert!((1..=100).contains(&problems.problems.len()), "{} problems", problems.problems.len());
    let lines = text.split('\n').count();
    for problem in &problems.problems {
        assert!(!problem.message.is_empty());
        assert!((1..=lines).contains(&problem.line), "line {} of {lines}: {}", problem.line, problem.message);
        assert!(problem.column >= 1 && problem.start <= problem.end && problem.end <= text.len(), "{problem:?}");
        assert!(text.is_char_boundary(problem.start) && text.is_char_boundary(problem.end), "{problem:?}");
    }
    for colour in [false, true] {
        let shown = problems.render("fuzz.graphql", colour);
        assert!(shown.contains(&problems.problems[0].code.to_string()), "{shown}");
    }
}
