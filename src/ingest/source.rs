//! Sources of an import: lines of files or made-up records, gathered into batches.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::batch::{Shaped, Shaper};
use super::records::{self, Record};

/// Records of a batch.
const RECORDS: u64 = 1_000;
/// Operations of a batch: documents come to many.
const OPS: usize = 4_000;
/// Longest line of a file, in bytes.
const LINE: u64 = 64 << 20;

/// One record, or why there is none.
#[derive(Debug)]
pub struct Line {
    /// Its line in the file, from 1; of a generator, its number.
    pub number: u64,
    /// Its length in bytes, for progress; of a generator, 1.
    pub size: u64,
    /// What it holds.
    pub record: Result<Record, String>,
}

/// Where records come from.
pub struct Source {
    /// Name of the file, for messages.
    pub name: String,
    /// The records.
    pub lines: Box<dyn Iterator<Item = Line> + Send>,
}

impl Source {
    /// The records of a file of JSON Lines. Empty lines are passed over.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn file(path: &Path) -> std::io::Result<Self> {
        Ok(Self::reader(path.display().to_string(), File::open(path)?))
    }

    /// The records of JSON Lines that come in.
    pub fn reader(name: impl Into<String>, from: impl Read + Send + 'static) -> Self {
        Self { name: name.into(), lines: Box::new(Lines::new(BufReader::with_capacity(1 << 20, from))) }
    }

    /// Records that are made up on the way.
    pub fn records(name: impl Into<String>, records: impl Iterator<Item = Record> + Send + 'static) -> Self {
        let lines = (1..).zip(records).map(|(number, record)| Line { number, size: 1, record: Ok(record) });
        Self { name: name.into(), lines: Box::new(lines) }
    }
}

/// Why a line or a run of lines was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// The line; of a whole batch, its first line.
    pub line: u64,
    /// Last line of the batch, when it is not known which of its lines is to blame.
    pub until: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.until {
            None => write!(f, "{}:{}: {}", self.file, self.line, self.reason),
            Some(until) => write!(f, "{}:{}-{}: {}", self.file, self.line, until, self.reason),
        }
    }
}

/// Records that are written together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// Name of the file they came from.
    pub file: String,
    /// Their first line.
    pub first: u64,
    /// Their last line.
    pub last: u64,
    /// How many they are.
    pub records: u64,
    /// Their length, in the measure of [`Line::size`].
    pub size: u64,
    /// What they come to; incomplete when there are problems.
    pub shaped: Shaped,
    /// The line of each operation.
    pub lines: Vec<u64>,
    /// What is wrong with some of them.
    pub problems: Vec<Problem>,
}

impl Batch {
    fn of(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    fn is_full(&self, most: usize) -> bool {
        self.records >= RECORDS || self.shaped.ops.len() >= OPS.min(most)
    }

    /// Whether the record must begin a new batch: a document that occurs twice is compared with the chunks it had in the graph, so
    /// the first one must be there.
    fn has_document(&self, record: &Record) -> bool {
        matches!(record, Record::Document { id, .. } if self.shaped.documents.iter().any(|taken| taken.id == *id))
    }

    /// Takes a line with what its record came to.
    fn take(&mut self, number: u64, size: u64, shaped: Result<Shaped, String>) {
        self.first = if self.records == 0 { number } else { self.first };
        self.last = number;
        self.records += 1;
        self.size += size;
        match shaped {
            Ok(shaped) => {
                self.shaped.ops.extend(shaped.ops);
                self.shaped.documents.extend(shaped.documents);
            }
            Err(reason) => {
                self.problems.push(Problem { file: self.file.clone(), line: number, until: None, reason });
            }
        }
        self.lines.resize(self.shaped.ops.len(), number);
    }
}

/// What a record comes to, unless that is more than the operations that one change may have.
fn shaped(shaper: &Shaper<'_>, record: Record, most: usize) -> Result<Shaped, String> {
    let mut shaped = Shaped::default();
    shaper.shape(record, &mut shaped)?;
    let (ops, chunks) = (shaped.ops.len(), shaped.documents.first().map_or(0, |document| document.chunks));
    if ops > most {
        return Err(format!(
            "the document has {chunks} chunks, which takes {ops} operations; one change may have {most} \
             (`limits.change_ops`): raise that setting, or split the document"
        ));
    }
    Ok(shaped)
}

/// Hands over a source's records in batches of at most so many operations, until there are no more or nobody wants them; false in
/// the latter case.
pub fn batches(source: Source, shaper: &Shaper<'_>, most: usize, hand_over: &mut dyn FnMut(Batch) -> bool) -> bool {
    let mut batch = Batch::of(&source.name);
    for Line { number, size, record } in source.lines {
        let apart = batch.is_full(most) || record.as_ref().is_ok_and(|record| batch.has_document(record));
        let shaped = record.and_then(|record| shaped(shaper, record, most));
        let ops = shaped.as_ref().map_or(0, |shaped| shaped.ops.len());
        if apart || batch.shaped.ops.len() + ops > most {
            let full = std::mem::replace(&mut batch, Batch::of(&source.name));
            if !hand_over(full) {
                return false;
            }
        }
        batch.take(number, size, shaped);
    }
    batch.records == 0 || hand_over(batch)
}

/// The lines of a file.
struct Lines<R> {
    reader: R,
    number: u64,
    over: bool,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader, number: 0, over: false, text: Vec::new() }
    }

    /// Reads the next line with something in it and tells how many bytes were passed over for it; 0 at the end.
    fn read(&mut self) -> Result<u64, String> {
        let mut passed = 0;
        loop {
            self.text.clear();
            let length = match (&mut self.reader).take(LINE + 1).read_until(b'\n', &mut self.text) {
                Ok(0) => return Ok(0),
                Ok(length) => length as u64,
                Err(error) => return Err(format!("cannot be read: {error}")),
            };
            self.number += 1;
            passed += length;
            if length > LINE {
                return Err(format!("the line is longer than {} MiB", LINE >> 20));
            }
            if !self.text.iter().all(u8::is_ascii_whitespace) {
                return Ok(passed);
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Line;

    /// A line that cannot be read is the last one.
    fn next(&mut self) -> Option<Line> {
        if self.over {
            return None;
        }
        let (size, record) = match self.read() {
            Ok(0) => {
                self.over = true;
                return None;
            }
            Ok(size) => match std::str::from_utf8(&self.text) {
                Ok(line) => (size, records::parse(line.trim_ascii())),
                Err(_) => (size, Err("not UTF-8".to_owned())),
            },
            Err(reason) => {
                self.over = true;
                (self.text.len() as u64, Err(reason))
            }
        };
        Some(Line { number: self.number, size, record })
    }
}

#[cfg(test)]
mod tests;
