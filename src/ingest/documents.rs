//! Documents: a text becomes a `Document` node and its passages `Chunk` nodes, `<id>#0`, `<id>#1` and so on.

use quipu_resolvers::change::{Mode, Op, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{self, Principal};
use quipu_resolvers::normal;
use quipu_resolvers::ports::{Call, Graph};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Target, Via, Window};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::{CHUNK, DOCUMENT, Direction, EntityType, Ontology};
use serde_json::{Map, Value as Json};

use super::chunk::ChunkSpan;
use super::records::Properties;

/// Type of the relationship from a document to its chunks.
pub const HAS_CHUNK: &str = "HAS_CHUNK";

/// Splits a text into passages, in order.
pub type Splitter = dyn Fn(&str) -> Vec<ChunkSpan> + Send + Sync;

/// A document as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its whole text.
    pub text: String,
    /// Where it can be read.
    pub url: Option<String>,
    /// When what it tells of happened, RFC 3339.
    pub occurred_at: Option<String>,
    /// What else is known: properties that the ontology adds to `Document` are set, everything else is kept as JSON.
    pub properties: Properties,
}

/// A document that was taken in, with the number of its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Id of the document.
    pub id: String,
    /// How many chunks it has now.
    pub chunks: usize,
}

/// Id of a document's chunk, counted from 0.
pub fn chunk_id(document: &str, index: usize) -> String {
    format!("{document}#{index}")
}

/// The operations that put a document and its chunks.
///
/// # Errors
/// What does not fit the ontology.
pub fn taken(ontology: &Ontology, document: Document, splitter: &Splitter) -> Result<(Vec<Op>, Taken), String> {
    let (document_type, chunk_type) = (built_in(ontology, DOCUMENT)?, built_in(ontology, CHUNK)?);
    let spans = splitter(&document.text);
    let record = Ref { of: DOCUMENT.to_owned(), id: document.id.clone() };
    let mut chunks = Vec::with_capacity(spans.len() * 2);
    for (index, span) in spans.iter().enumerate() {
        let id = chunk_id(&document.id, index);
        let passage = document.text.get(span.start_byte..span.end_byte).ok_or("a passage splits a character")?;
        let mut set = Map::with_capacity(4);
        set.insert("text".to_owned(), passage.into());
        set.insert("index".to_owned(), index.into());
        set.insert("start".to_owned(), span.start_char.into());
        set.insert("end".to_owned(), span.end_char.into());
        chunks.push(normal::put(ontology, chunk_type, id.clone(), Mode::Upsert, set)?);
        chunks.push(Op::Link {
            relationship_type: HAS_CHUNK.to_owned(),
            from: record.clone(),
            to: Ref { of: CHUNK.to_owned(), id },
            key: String::new(),
            set: Map::new(),
        });
    }
    let taken = Taken { id: document.id.clone(), chunks: spans.len() };
    let mut ops = vec![put(ontology, document_type, document)?];
    ops.append(&mut chunks);
    Ok((ops, taken))
}

fn built_in<'a>(ontology: &'a Ontology, name: &str) -> Result<&'a EntityType, String> {
    ontology.types.get(name).ok_or_else(|| format!("the ontology has no type {name}"))
}

/// The operation that puts the document itself.
fn put(ontology: &Ontology, entity: &EntityType, document: Document) -> Result<Op, String> {
    let fixed = ["id", "title", "text", "url", "occurredAt", "properties"];
    let mut set = Map::new();
    let mut others = Map::new();
    for (name, value) in document.properties {
        let own = entity.properties.contains_key(&name) && !fixed.contains(&name.as_str());
        if own { &mut set } else { &mut others }.insert(name, value);
    }
    set.insert("title".to_owned(), document.title.into());
    set.insert("text".to_owned(), document.text.into());
    let known = [("url", document.url), ("occurredAt", document.occurred_at)];
    set.extend(known.map(|(name, value)| (name.to_owned(), value.map_or(Json::Null, Json::from))));
    set.insert("properties".to_owned(), if others.is_empty() { Json::Null } else { Json::Object(others) });
    normal::put(ontology, entity, document.id, Mode::Upsert, set)
}

/// The operations that remove chunks which documents had before and have no longer. One statement for all documents.
///
/// # Errors
/// Of the graph.
pub async fn leftovers(
    graph: &dyn Graph,
    principal: &Principal,
    ontology: &Ontology,
    documents: &[Taken],
    call: Call<'_>,
) -> Result<Vec<Op>, Fault> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let ids = documents.iter().map(|document| Value::from(document.id.as_str())).collect();
    let chunks = Read {
        via: Via::Relationship { relationship_type: HAS_CHUNK.to_owned(), direction: Direction::Out },
        ..read(CHUNK, Predicate::True, vec![Pick::Field(Field::Id)])
    };
    let picks = vec![Pick::Field(Field::Id), Pick::Read(Box::new(chunks))];
    let question = read(DOCUMENT, Predicate::one_of(Field::Id, ids), picks);
    let outcome = graph.read(&guard::read(principal, ontology, question)?, call).await?;
    let mut ops = Vec::new();
    for row in outcome.as_list().unwrap_or_default() {
        let [Value::Text(id), Value::List(chunks)] = row.as_list().unwrap_or_default() else { continue };
        let Some(now) = documents.iter().rev().find(|document| document.id == *id) else { continue };
        let ids = chunks.iter().filter_map(|chunk| chunk.as_list()?.first()?.as_text());
        ops.extend(
            ids.filter(|chunk| is_beyond(id, chunk, now.chunks))
                .map(|chunk| Op::Delete { record: Ref { of: CHUNK.to_owned(), id: chunk.to_owned() }, row: false }),
        );
    }
    Ok(ops)
}

/// Whether a chunk is one that an import made and that has no place in the document any more. Chunks of other makers stay.
fn is_beyond(document: &str, chunk: &str, chunks: usize) -> bool {
    let index =
        chunk.strip_prefix(document).and_then(|rest| rest.strip_prefix('#')).and_then(|n| n.parse::<usize>().ok());
    index.is_some_and(|index| index >= chunks)
}

fn read(of: &str, filter: Predicate, picks: Vec<Pick>) -> Read {
    Read {
        place: Place::Nodes,
        via: Via::Root,
        targets: vec![Target { of: of.to_owned(), filter, visible: Predicate::True, picks }],
        sort: Vec::new(),
        window: Window::default(),
        rows: true,
        total: false,
        figures: Vec::new(),
    }
}
