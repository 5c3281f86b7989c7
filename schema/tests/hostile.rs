//! No text brings the compiler down: it answers with problems, soon.

use std::time::{Duration, Instant};

use quipu_schema::{MAX_BYTES, compile};

const SEED: &str = include_str!("fixtures/passing/cold_chain.graphql");
/// Longest that a text may take, in a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(30);
/// Pieces that mean something to the parser, to be strewn where they do not belong.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "!",
    ":",
    "=",
    "|",
    "&",
    "@",
    "$",
    "\"",
    "\"\"\"",
    "#",
    "...",
    "type",
    "extend",
    "interface",
    "union",
    "enum",
    "input",
    "scalar",
    "schema",
    "directive",
    "query",
    "fragment",
    "on",
    "implements",
    "null",
    "true",
    "-1",
    "1.5e9",
    "\u{0}",
    "\u{feff}",
    "é",
    "💥",
    "\\u{110000}",
    "\n",
];

/// A small generator of numbers that are the same on every run (an xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

fn survives(text: &str) {
    let started = Instant::now();
    if let Err(problems) = compile(text) {
        let shown = problems.render("hostile.graphql", true);
        assert!(!shown.is_empty());
        assert!(shown.len() < 200_000, "{} bytes of problems", shown.len());
    }
    assert!(started.elapsed() < LONGEST, "took {:?}: {}", started.elapsed(), head(text));
}

fn head(text: &str) -> String {
    text.chars().take(80).collect()
}

#[test]
fn pieces_strewn_into_an_ontology() {
    let mut numbers = Numbers(0x5eed);
    for _ in 0..500 {
        let mut text = SEED.to_owned();
        for _ in 0..=numbers.below(4) {
            let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let at = boundaries[numbers.below(boundaries.len())];
            match numbers.below(3) {
                0 => text.truncate(at.max(1)),
                1 => text.insert_str(at, PIECES[numbers.below(PIECES.len())]),
                _ => text.insert_str(at, &format!(" {} ", PIECES[numbers.below(PIECES.len())])),
            }
        }
        survives(&text);
    }
}

#[test]
fn nothing_but_pieces() {
    let mut numbers = Numbers(0xbad);
    for _ in 0..1000 {
        let count = 1 + numbers.below(12);
        let words: Vec<&str> = (0..count).map(|_| PIECES[numbers.below(PIECES.len())]).collect();
        let text = words.join(" ");
        survives(&text);
    }
}

#[test]
fn deep_nesting() {
    for depth in [100, 2_000, 100_000] {
        survives(&format!("type A {{ id: {}ID{} }}", "[".repeat(depth), "]".repeat(depth)));
        survives(&format!("type A {{ id: {}", "[".repeat(depth)));
        survives(&format!("type A @node(labels: {}", "[".repeat(depth)));
        survives(&format!("type A @authorization(filter: {}", "{a:".repeat(depth)));
        survives(&format!("type A @authorization(filter: {}1{})", "[{where:".repeat(depth), "}]".repeat(depth)));
        survives(&format!(
            "type A @authorization(filter: [{{where: {}{{}}{} }}]) {{id: ID!}}",
            "{NOT:".repeat(depth),
            "}".repeat(depth)
        ));
        survives(&"{a".repeat(depth));
        survives(&"(".repeat(depth));
    }
}

#[test]
fn long_texts() {
    survives(&" ".repeat(MAX_BYTES));
    survives(&"x".repeat(MAX_BYTES));
    survives(&"\u{1f4a5}".repeat(MAX_BYTES / 4));
    survives(&"x ".repeat(MAX_BYTES / 2));
    survives(&"\"".repeat(MAX_BYTES));
    survives(&"\n".repeat(MAX_BYTES));
    survives(&"@".repeat(MAX_BYTES));
    survives(&"@a ".repeat(MAX_BYTES / 3));
    survives(&format!("type A {}{{ id: ID! }}", "@a ".repeat(60_000)));
    survives(&format!("type A {{ id: ID! {} }}", "f: Nothing ".repeat(60_000)));
    survives(&format!("type A {{ id: ID! {} }}", (0..40_000).map(|n| format!("f{n}: Nothing ")).collect::<String>()));
    survives(&format!("union U = {}", "A|".repeat(60_000)));
    survives(&format!("enum E {{ {} }}", (0..60_000).map(|n| format!("V{n} ")).collect::<String>()));
    survives(&(0..30_000).map(|n| format!("type T{n} {{ id: ID! }} ")).collect::<String>());
    survives(&(0..20_000).map(|n| format!("interface I{n} implements I{} {{ id: ID! }} ", n + 1)).collect::<String>());
    survives(&"type A { id: ID! } ".repeat(30_000));
    survives(&"extend type A @node ".repeat(30_000));
    survives(&"x".repeat(MAX_BYTES + 1));
}
