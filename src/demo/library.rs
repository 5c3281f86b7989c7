//! The tenant `library`: a sample of MuSiQue, 1,890 passages of an encyclopaedia with the entities and triples that were extracted
//! from each. `playground/demo/musique/LICENSE` is the sample's licence.

use std::collections::HashSet;
use std::io;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::json;

use super::{instant, json_lines, link, names, node, properties, row};
use crate::ingest::records::{Record, Reference};

const PASSAGES: &str = include_str!("../../playground/demo/musique/passages.jsonl");
/// 23 May 2024, when the sample was published; passage `n` counts as retrieved `n` minutes later, so that the order is total.
pub(super) const RETRIEVED: i64 = 1_716_422_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Passage {
    pub id: String,
    pub title: String,
    pub text: String,
    /// Names that the extraction found.
    pub entities: Vec<String>,
    /// Subject, predicate, object.
    pub triples: Vec<(String, String, String)>,
}

/// The sample's passages.
pub(super) fn passages() -> io::Result<Vec<Passage>> {
    json_lines("passages.jsonl", PASSAGES)
}

impl Passage {
    /// The chunk that is cited for all that the passage says: its first one. All but 39 of the passages are one chunk of 256
    /// tokens; which part of those says what, the extraction did not keep.
    fn chunk(&self) -> String {
        format!("{}#0", self.id)
    }
}

/// The spellings of a thing, with how often each occurs, and the number of passages that mention it.
#[derive(Default)]
struct Spellings {
    counts: IndexMap<String, u32>,
    passages: u32,
}

/// All records of the tenant, in an order in which everything is there before it is referred to: things first, then each
/// document with its row, its mentions and its statements. The chunks they cite are those that the import makes of a document.
///
/// # Errors
/// `InvalidData` when the embedded sample is damaged.
pub fn library() -> io::Result<impl Iterator<Item = Record>> {
    let passages = passages()?;
    let things = things(&passages);
    let known: HashSet<String> = things.keys().cloned().collect();
    let things = things.into_iter().map(|(id, spellings)| thing(id, spellings));
    let documents = passages.into_iter().enumerate().flat_map(move |(at, passage)| records_of(at, &passage, &known));
    Ok(things.chain(documents))
}

/// Every name at either end of a triple and every extracted entity, by the id of the thing.
fn things(passages: &[Passage]) -> IndexMap<String, Spellings> {
    let mut things: IndexMap<String, Spellings> = IndexMap::new();
    for passage in passages {
        let ends = passage.triples.iter().flat_map(|(subject, _, object)| [subject, object]);
        for name in passage.entities.iter().chain(ends) {
            *things.entry(names::slug(name)).or_default().counts.entry(name.trim().to_owned()).or_default() += 1;
        }
        for id in mentioned(passage) {
            things.entry(id).or_default().passages += 1;
        }
    }
    things
}

/// Ids of the things that a passage mentions, each once.
fn mentioned(passage: &Passage) -> Vec<String> {
    let mut seen = HashSet::new();
    passage.entities.iter().map(|name| names::slug(name)).filter(|id| seen.insert(id.clone())).collect()
}

fn thing(id: String, mut spellings: Spellings) -> Record {
    // Stable: among equally common spellings the first to occur wins.
    spellings.counts.sort_by(|_, a, _, b| b.cmp(a));
    let mut spelt = spellings.counts.into_keys();
    let name = spelt.next().unwrap_or_else(|| id.clone());
    let kind = if spellings.passages == 0 { "PHRASE" } else { names::kind(&name) };
    let aliases: Vec<String> = spelt.collect();
    node("Thing", id, json!({ "name": name, "aliases": aliases, "kind": kind, "mentionCount": spellings.passages }))
}

fn records_of(at: usize, passage: &Passage, known: &HashSet<String>) -> Vec<Record> {
    let chunk = passage.chunk();
    let mut records = vec![document(passage), source(at, passage)];
    let about = [passage.title.as_str(), names::without_suffix(&passage.title)].map(names::slug);
    if let Some(thing) = about.iter().find(|id| known.contains(*id)) {
        records.push(link("ABOUT", ("Document", &passage.id), ("Thing", thing), json!({})));
    }
    for id in mentioned(passage) {
        records.push(link("MENTIONS", ("Chunk", &chunk), ("Thing", &id), json!({})));
    }
    for (n, (subject, predicate, object)) in passage.triples.iter().enumerate() {
        records.push(Record::Relationship {
            relationship: "STATES".into(),
            from: Reference::new("Thing", names::slug(subject)),
            to: Reference::new("Thing", names::slug(object)),
            key: Some(format!("{}:{n}", passage.id)),
            properties: properties(json!({ "predicate": predicate, "chunk": chunk })),
        });
    }
    records
}

fn document(passage: &Passage) -> Record {
    Record::Document {
        id: passage.id.clone(),
        title: passage.title.clone(),
        text: passage.text.clone(),
        url: None,
        occurred_at: None,
        properties: properties(json!({
            "corpus": "musique",
            "entities": passage.entities.len(),
            "triples": passage.triples.len(),
        })),
    }
}

fn source(at: usize, passage: &Passage) -> Record {
    let retrieved = RETRIEVED + 60 * i64::try_from(at).unwrap_or_default();
    row(
        "Source",
        format!("d{}", at + 1),
        json!({
            "title": passage.title,
            "words": passage.text.split_whitespace().count(),
            "licence": "CC BY-SA (Wikipedia), sample and annotations MIT",
            "retrievedAt": instant(retrieved),
            "document_id": passage.id,
        }),
    )
}
