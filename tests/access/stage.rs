//! The small world of an ontology, who asks in it, and their requests.

use std::fs;
use std::path::Path;

use quipu::ingest::chunk::{self, Words};
use quipu::ingest::import::{Importer, Listener, Summary};
use quipu::ingest::records::{self, Record};
use quipu::ingest::source::{Problem, Source};
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_schema::api::{Api, FieldDef, InputField, TypeDef};
use quipu_schema::ontology::{EntityType, Ontology};
use serde_json::{Map, Value as Json, json};

use crate::spec::world::World;

const TENANT: &str = "alpha";

/// An ontology that ships, with the records of its world and the cast.
pub struct Stage {
    pub world: World,
    pub ontology: Ontology,
    pub api: Api,
    pub cast: Vec<(String, Principal)>,
    pub records: Vec<Record>,
}

/// How a request ended.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// With data, and the paths of what was hidden.
    Answered(Json, Vec<Vec<String>>),
    /// By a rule, as a whole.
    Refused,
}

struct Strict;

impl Listener for Strict {
    fn progress(&mut self, _: &Summary) {}

    fn problem(&mut self, problem: Problem) {
        panic!("{problem:?}");
    }
}

impl Stage {
    /// Sets the world up that `tests/access/NAME.toml` and `NAME.jsonl` say.
    pub async fn set(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/access");
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let table: toml::Table = read(&format!("{name}.toml")).parse().unwrap();
        let sdl = read(table["ontology"].as_str().unwrap());
        let (ontology, api) = quipu_schema::compile_with_api(&sdl).unwrap_or_else(|problems| panic!("{problems}"));
        let cast = table["who"].as_table().unwrap().iter().map(|(who, claims)| {
            let claims = serde_json::to_value(claims).unwrap();
            let subject = claims["sub"].as_str().map(str::to_owned);
            let tenant = TenantId::parse(TENANT).unwrap();
            (who.clone(), Principal { tenant, subject, claims, operator: false })
        });
        let (cast, lines) = (cast.collect(), read(&format!("{name}.jsonl")));
        let records = lines.lines().map(|line| records::parse(line).unwrap()).collect();
        let stage = Self { world: World::of(&sdl).await, ontology, api, cast, records };
        stage.restore().await;
        stage
    }

    /// Whoever runs the gateway: no rule speaks of them.
    pub fn operator(&self) -> Principal {
        Principal::operator(&TenantId::parse(TENANT).unwrap(), None)
    }

    /// Puts all records back as they were.
    pub async fn restore(&self) {
        let principal = self.operator();
        let importer = Importer {
            engine: self.world.engine.clone(),
            ports: self.world.ports().clone(),
            bound: self.world.bound(&principal).clone(),
            principal,
            splitter: std::sync::Arc::new(|text: &str| chunk::split(text, &Words, 256, 32)),
            once: None,
        };
        let source = Source::records("world", self.records.clone().into_iter());
        assert_eq!(importer.run(vec![source], &mut Strict).await.unwrap().refused, 0);
    }

    /// Ids of the records of a type.
    pub fn ids(&self, of: &str) -> Vec<String> {
        let id = |record: &Record| match record {
            Record::Node { node, id, .. } if node == of => Some(id.clone()),
            Record::Row { row, id, .. } if row == of => Some(id.clone()),
            Record::Document { id, .. } if of == "Document" => Some(id.clone()),
            Record::Document { id, .. } if of == "Chunk" => Some(format!("{id}#0")),
            _ => None,
        };
        self.records.iter().filter_map(id).collect()
    }

    /// What is set on a record. Passages have what a single one of a short text has.
    pub fn set_on(&self, of: &str, id: &str) -> Map<String, Json> {
        let all = self.records.iter().find_map(|record| match record {
            Record::Node { node: name, id: own, properties } | Record::Row { row: name, id: own, properties } => {
                (name == of && own == id).then(|| properties.clone())
            }
            Record::Document { id: own, title, text, url, occurred_at, properties } if of == "Document" && own == id => {
                let mut set = properties.clone();
                let fixed = json!({"title": title, "text": text, "url": url, "occurredAt": occurred_at, "properties": {"page": 1}});
                set.remove("page");
                set.extend(fixed.as_object().unwrap().clone());
                Some(set)
            }
            Record::Document { id: own, text, .. } if of == "Chunk" && format!("{own}#0") == id => {
                let end = text.chars().count();
                Some(json!({"text": text, "index": 0, "start": 0, "end": end}).as_object().unwrap().clone())
            }
            _ => None,
        });
        all.unwrap_or_else(|| panic!("no {of} {id}"))
    }

    /// The records at the other ends of a relationship field of a record, with the properties of each relationship.
    pub fn linked(&self, entity: &EntityType, field: &str, id: &str) -> Vec<(String, Map<String, Json>)> {
        let link = &entity.relationships[field];
        let out = link.direction == quipu_schema::ontology::Direction::Out;
        let mut found: Vec<_> = self
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Relationship { relationship, from, to, properties, .. }
                    if *relationship == link.relationship_type =>
                {
                    let (own, other) = if out { (from, to) } else { (to, from) };
                    let fits = own.of == entity.name && own.id == id && self.ontology.covers(&link.target, &other.of);
                    fits.then(|| (other.id.clone(), properties.clone()))
                }
                _ => None,
            })
            .collect();
        if link.relationship_type == "HAS_CHUNK" {
            let other = if out { format!("{id}#0") } else { id.trim_end_matches("#0").to_owned() };
            found.push((other, Map::new()));
        }
        found
    }

    /// A field of an input of the API.
    pub fn input(&self, of: &str, field: &str) -> Option<&InputField> {
        match self.api.types.get(of)? {
            TypeDef::Input(input) => input.fields.get(field),
            _ => None,
        }
    }

    /// A field of an object of the API.
    pub fn output(&self, of: &str, field: &str) -> Option<&FieldDef> {
        match self.api.types.get(of)? {
            TypeDef::Object(object) | TypeDef::Interface(object) => object.fields.get(field),
            _ => None,
        }
    }

    /// Asks. Anything but an answer or a refusal is a mistake of the test.
    pub async fn ask(&self, who: &Principal, query: &str, variables: Json) -> Outcome {
        let (data, errors) = self.world.run(who, query, variables.clone()).await;
        let errors = errors.as_array().cloned().unwrap_or_default();
        let step = |step: &Json| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
        let mut hidden = Vec::new();
        for error in &errors {
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            // What a new record needs may be hidden from the caller: then it is not there.
            let message = error["message"].as_str().unwrap_or_default();
            let lacks = code == "BAD_USER_INPUT" && message.contains("nothing matches `connect`");
            let known = lacks || ["FORBIDDEN", "UNAUTHENTICATED", "NOT_FOUND"].contains(&code);
            assert!(known, "{query}\n{variables}\n{error}");
            hidden.push(error["path"].as_array().unwrap().iter().map(step).collect::<Vec<_>>());
        }
        let whole = hidden.iter().any(|path| path.len() < 2);
        if whole { Outcome::Refused } else { Outcome::Answered(data["x"].clone(), hidden) }
    }

    /// Whether a request goes through.
    pub async fn may(&self, who: &Principal, query: &str, variables: Json) -> bool {
        self.ask(who, query, variables).await != Outcome::Refused
    }
}
