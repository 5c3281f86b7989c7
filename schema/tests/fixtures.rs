//! Every ontology under `passing/` compiles, every one under `failing/` does not; what comes out stands beside each.

use std::path::Path;

use quipu_schema::compile;

use crate::summary;

/// Compares a text with the snapshot beside a fixture.
pub fn snapshot(path: &Path, text: String) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().expect("fixtures lie in a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    settings.bind(|| insta::assert_snapshot!(path.file_stem().unwrap().to_string_lossy().into_owned(), text));
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file has a name").to_string_lossy().into_owned()
}

#[test]
fn passing() {
    let plain = compile("").expect("the built-in types compile");
    insta::glob!("fixtures/passing/*.graphql", |path| {
        let sdl = std::fs::read_to_string(path).expect("the fixture can be read");
        match compile(&sdl) {
            Ok(ontology) => snapshot(path, summary::of(&ontology, (!sdl.is_empty()).then_some(&plain))),
            Err(problems) => panic!("{}", problems.render(&name(path), false)),
        }
    });
}

#[test]
fn failing() {
    insta::glob!("fixtures/failing/*.graphql", |path| {
        let sdl = std::fs::read_to_string(path).expect("the fixture can be read");
        let problems = compile(&sdl).expect_err(&name(path));
        snapshot(path, problems.render(&name(path), false));
    });
}
