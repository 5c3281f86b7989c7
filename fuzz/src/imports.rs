//! Lines of an import: each line with something in it is one record or one refusal that names it, what is taken is written and read again, and no
//! batch is larger than a change may be.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::OnceLock;

use quipu::ingest::batch::Shaper;
use quipu::ingest::chunk;
use quipu::ingest::source::{Batch, Source, batches};
use quipu_schema::ontology::Ontology;

const ONTOLOGY: &str = include_str!("../../schema/ontologies/cryox.graphql");
/// Operations of a change: few, so that batches are many.
const MOST: usize = 8;

fn ontology() -> &'static Ontology {
    static ONTOLOGY_OF_ALL: OnceLock<Ontology> = OnceLock::new();
    ONTOLOGY_OF_ALL.get_or_init(|| quipu_schema::compile(ONTOLOGY).expect("the ontology ships"))
}

/// Takes the bytes as a file of JSON Lines.
pub fn run(data: &[u8]) {
    let filled = filled(data);
    let mut numbers = Vec::new();
    let mut refused = BTreeSet::new();
    for line in source(data).lines {
        numbers.push(line.number);
        match line.record {
            Err(reason) => {
                assert!(!reason.is_empty());
                refused.insert(line.number);
            }
            Ok(record) => {
                let written = serde_json::to_string(&record).expect("a record is written");
                let again: Vec<_> = source(written.as_bytes()).lines.collect();
                assert_eq!(again.len(), 1, "a record is one line: {written}");
                let again = again[0].record.as_ref().unwrap_or_else(|reason| panic!("{reason}: {written}"));
                assert_eq!(*again, record, "a record was read from its own line as another one: {written}");
            }
        }
    }
    assert_eq!(numbers, filled, "the lines that were told");
    let splitter = |text: &str| chunk::split(text, &chunk::Words, 16, 4);
    let shaper = Shaper::new(ontology(), &splitter);
    let (mut records, mut next) = (0, 0);
    batches(source(data), &shaper, MOST, &mut |batch| {
        records += batch.records as usize;
        check(&batch, &filled, &mut refused, &mut next);
        true
    });
    assert_eq!(records, filled.len(), "records of all batches");
    assert!(refused.is_empty(), "refused as records, and taken in a batch: lines {refused:?}");
}

fn source(data: &[u8]) -> Source {
    Source::reader("fuzz.jsonl", Cursor::new(data.to_vec()))
}

/// The numbers of lines that are not blank, from 1.
fn filled(data: &[u8]) -> Vec<u64> {
    let is_filled = |line: &[u8]| !line.iter().all(u8::is_ascii_whitespace);
    (1..).zip(data.split(|byte| *byte == b'\n')).filter(|(_, line)| is_filled(line)).map(|(number, _)| number).collect()
}

fn check(batch: &Batch, filled: &[u64], refused: &mut BTreeSet<u64>, next: &mut usize) {
    let lines = &filled[*next..*next + batch.records as usize];
    *next += lines.len();
    assert_eq!((Some(&batch.first), Some(&batch.last)), (lines.first(), lines.last()), "the lines of a batch");
    let ops = &batch.shaped.ops;
    assert!(ops.len() <= MOST, "a batch of {} operations", ops.len());
    assert_eq!(ops.len(), batch.lines.len(), "each operation has its line");
    assert!(batch.lines.is_sorted() && batch.lines.iter().all(|line| lines.contains(line)));
    for problem in &batch.problems {
        assert!(lines.contains(&problem.line), "a refusal names line {}", problem.line);
        assert!(!batch.lines.contains(&problem.line), "line {} is refused and taken", problem.line);
        assert!(problem.to_string().starts_with(&format!("fuzz.jsonl:{}: ", problem.line)), "{problem}");
        refused.remove(&problem.line);
    }
}
