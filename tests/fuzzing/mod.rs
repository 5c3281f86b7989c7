//! What the fuzzers of `fuzz/` do, over the inputs that are kept and over changed ones that are the same on every run. The fuzzers themselves,
//! which look for new ones, are run by `scripts/fuzz`.

use std::fs;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use targets::{Run, TARGETS};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The kept inputs of a target, in the order of their names.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("corpus").join(target);
    let mut paths: Vec<PathBuf> = folder
        .read_dir()
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no inputs");
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// Words that the target's inputs are made of.
fn words(target: &str) -> Vec<Vec<u8>> {
    let path = root().join("dictionaries").join(format!("{target}.dict"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let quoted = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    quoted.map(unquoted).collect()
}

/// A word as dictionaries of libFuzzer have it: in quotes, with `\\`, `\"` and `\xAB`.
fn unquoted(line: &str) -> Vec<u8> {
    let mut rest = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("a quoted word").as_bytes();
    let mut word = Vec::new();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, rest) {
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).expect("two digits"));
                rest = behind;
            }
            (b'\\', [escaped @ (b'\\' | b'"'), behind @ ..]) => {
                word.push(*escaped);
                rest = behind;
            }
            (b'\\', _) => panic!("an escape that libFuzzer does not know: {line}"),
            _ => word.push(*first),
        }
    }
    word
}

/// Changes inputs: the same in every run.
struct Changes {
    numbers: ChaCha8Rng,
    words: Vec<Vec<u8>>,
}

impl Changes {
    fn below(&mut self, limit: usize) -> usize {
        (self.numbers.next_u64() % limit.max(1) as u64) as usize
    }

    /// A few changes of one input, with pieces of another.
    fn of(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut changed = input.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(changed.len() + 1);
            match self.below(6) {
                0 if at < changed.len() => changed[at] ^= 1 << self.below(8),
                1 => {
                    let end = (at + 1 + self.below(16)).min(changed.len());
                    drop(changed.drain(at..end));
                }
                2 => {
                    let end = (at + 1 + self.below(32)).min(changed.len());
                    let again = changed[at..end].to_vec();
                    changed.splice(at..at, again);
                }
                3 if !other.is_empty() => {
                    let from = self.below(other.len());
                    let end = (from + 1 + self.below(64)).min(other.len());
                    changed.splice(at..at, other[from..end].iter().copied());
                }
                4 => drop(changed.splice(at..at, [self.numbers.next_u64() as u8])),
                _ => {
                    let which = self.below(self.words.len());
                    let word = self.words[which].clone();
                    drop(changed.splice(at..at, word));
                }
            }
        }
        changed
    }
}

fn target(name: &str) -> Run {
    TARGETS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no target {name}")).1
}

/// Runs a target over the kept inputs, and so many changed ones.
fn holds(name: &str, changed: usize) {
    let (run, inputs) = (target(name), kept(name));
    let tried = |what: &str, input: &[u8]| {
        let outcome = std::panic::catch_unwind(|| run(input));
        assert!(outcome.is_ok(), "{what} does not hold: {:?}", String::from_utf8_lossy(input));
    };
    for (path, input) in &inputs {
        tried(path, input);
    }
    let mut changes = Changes { numbers: ChaCha8Rng::seed_from_u64(1), words: words(name) };
    for number in 0..changed {
        let (at, other) = (changes.below(inputs.len()), changes.below(inputs.len()));
        let input = changes.of(&inputs[at].1, &inputs[other].1);
        tried(&format!("change {number} of {}", inputs[at].0), &input);
    }
}

#[test]
fn cursors_open_to_what_was_sealed_and_none_is_made_up() {
    holds("cursors", 2_000);
}

#[test]
fn documents_that_are_accepted_are_within_the_limits() {
    holds("documents", 1_500);
}

#[test]
fn imports_name_the_line_that_they_refuse() {
    holds("imports", 1_000);
}

#[test]
fn ontologies_that_compile_are_printed_as_they_are_meant() {
    holds("ontologies", 150);
}

#[test]
fn settings_that_are_read_are_written_and_read_again() {
    holds("settings", 300);
}

#[test]
fn tokens_are_taken_when_they_were_signed_and_say_what_they_say() {
    holds("tokens", 500);
}

/// A fuzzer without kept inputs, or inputs that no fuzzer takes, are not run by these tests.
#[test]
fn every_fuzzer_is_run_here() {
    let names = |folder: &str| {
        let entries = root().join(folder).read_dir().unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let all: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for folder in ["fuzz_targets", "corpus", "dictionaries"] {
        assert_eq!(names(folder), all, "fuzz/{folder}");
    }
}
