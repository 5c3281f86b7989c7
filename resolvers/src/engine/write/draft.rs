//! Drafting a change: from the input of a mutation to operations on concrete ids.

use indexmap::IndexMap;
use quipu_schema::ontology::{Direction, EntityType, FieldOf, Ontology, Property, Relationship};
use quipu_schema::policy::Operation;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::change::{Act, Change, Mode, Op, Ref};
use crate::engine::cross;
use crate::engine::run::{Run, rows};
use crate::fault::{Code, Fault};
use crate::fields::{bad, touching};
use crate::guard;
use crate::normal;
use crate::read::{Field, Pick, Predicate, Read, Sort, Target, Via, Window};
use crate::value::Value;
use crate::ways;

/// A change while it is drafted.
pub(super) struct Draft<'r> {
    pub run: Run<'r>,
    ops: Vec<Op>,
    key: Option<String>,
    made: usize,
}

/// A record that was found, with the values asked for.
pub(super) struct Found {
    pub record: Ref,
    pub values: Vec<Value>,
}

impl<'r> Draft<'r> {
    /// An empty draft. With an idempotency key, ids that are made up are the same every time.
    pub fn new(run: Run<'r>, key: Option<String>) -> Self {
        Self { run, ops: Vec::new(), key, made: 0 }
    }

    /// The change.
    pub fn finish(self) -> Result<Change, Fault> {
        Ok(Change { ops: self.ops })
    }

    pub fn ontology(&self) -> &'r Ontology {
        &self.run.bound.served().ontology
    }

    pub fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Makes a record with what hangs on it; its id.
    pub async fn create(&mut self, entity: &'r EntityType, mut input: Map<String, Json>) -> Result<String, Fault> {
        if input.get("id").is_some_and(Json::is_null) {
            input.remove("id");
        }
        let given = input.get("id").and_then(Json::as_str).map(str::to_owned);
        let (properties, related) = split(entity, input);
        let (id, named) = match given {
            Some(id) => (id, true),
            None => (self.new_id(), false),
        };
        if entity.mapped().is_some() {
            self.foreign(entity, id.clone(), if named { Act::Create } else { Act::Make }, properties)?;
        } else {
            self.put(entity, id.clone(), Mode::Create, properties)?;
        }
        let owner = Ref { of: entity.name.clone(), id: id.clone() };
        for (relationship, value) in related {
            let before = self.ops.len();
            self.related_of_new(relationship, &owner, &value).await?;
            Self::fits(relationship, &owner, &self.ops[before..])?;
        }
        Ok(id)
    }

    /// Makes or changes records by id; their ids.
    pub async fn upsert(&mut self, entity: &'r EntityType, inputs: &[Map<String, Json>]) -> Result<Vec<String>, Fault> {
        let ids: Vec<String> =
            inputs.iter().filter_map(|input| input.get("id").and_then(Json::as_str).map(str::to_owned)).collect();
        let among = Predicate::one_of(Field::Id, ids.iter().map(|id| Value::from(id.as_str())).collect());
        let known = self.find(entity, &among, Operation::Update, &[]).await?;
        for (input, id) in inputs.iter().zip(&ids) {
            let exists = known.iter().any(|found| found.record.id == *id);
            let (properties, related) = split(entity, input.clone());
            self.put(entity, id.clone(), if exists { Mode::Update } else { Mode::Create }, properties)?;
            let owner = Ref { of: entity.name.clone(), id: id.clone() };
            for (relationship, value) in related {
                let before = self.ops.len();
                self.related_of_new(relationship, &owner, &value).await?;
                if !exists {
                    Self::fits(relationship, &owner, &self.ops[before..])?;
                }
            }
        }
        Ok(ids)
    }

    /// Changes the records that match; their ids.
    pub async fn update_matching(
        &mut self,
        entity: &'r EntityType,
        filter: &Predicate,
        update: &Map<String, Json>,
    ) -> Result<Vec<String>, Fault> {
        let current: Vec<Field> = entity
            .properties
            .values()
            .filter(|property| update.get(&property.name).is_some_and(needs_current))
            .map(ways::field)
            .collect();
        let found = self.find(entity, filter, touching(true), &current).await?;
        self.update(entity, &found, &current, update).await?;
        Ok(found.into_iter().map(|found| found.record.id).collect())
    }

    /// Changes records that were found.
    pub async fn update(
        &mut self,
        entity: &'r EntityType,
        found: &[Found],
        current: &[Field],
        update: &Map<String, Json>,
    ) -> Result<(), Fault> {
        for record in found {
            let properties = new_values(&entity.properties, ways::field, update, current, &record.values)?;
            if !properties.is_empty() {
                self.put(entity, record.record.id.clone(), Mode::Update, properties)?;
            }
        }
        for (name, value) in update {
            if let Some(FieldOf::Relationship(relationship)) = entity.field(name) {
                self.update_related(entity, relationship, found, value).await?;
            }
        }
        Ok(())
    }

    /// Removes the records that match, and those related ones that `nested` names.
    pub async fn delete_matching(
        &mut self,
        entity: &'r EntityType,
        filter: &Predicate,
        nested: &Map<String, Json>,
    ) -> Result<(), Fault> {
        let found = self.find(entity, filter, touching(false), &[]).await?;
        for (name, value) in nested {
            if let Some(FieldOf::Relationship(relationship)) = entity.field(name) {
                self.delete_related(entity, relationship, &found, value).await?;
            }
        }
        for Found { record, .. } in found {
            self.push(match entity.mapped() {
                Some(_) => Op::Foreign { record, act: Act::Delete, set: Map::new() },
                None => Op::Delete { record, row: !entity.is_node() },
            });
        }
        Ok(())
    }

    /// The records of a type that match and that the operation may touch, with the values of some fields.
    pub async fn find(
        &self,
        entity: &EntityType,
        filter: &Predicate,
        operation: Operation,
        fields: &[Field],
    ) -> Result<Vec<Found>, Fault> {
        let most = self.run.engine.settings.limits.change_ops;
        let picks = std::iter::once(Field::Id).chain(fields.iter().cloned()).map(Pick::Field).collect();
        let target = Target { of: entity.name.clone(), filter: filter.clone(), visible: Predicate::True, picks };
        let read = Read {
            sort: vec![Sort { field: Field::Id, descending: false }],
            window: Window { limit: u32::try_from(most + 1).ok(), ..Window::default() },
            ..Read::every(ways::place(entity), Via::Root, vec![target])
        };
        let outcome = self.answered(read.clone(), operation).await?;
        let mut unread = false;
        let found: Vec<Found> = rows(&read, &outcome)
            .iter()
            .filter_map(|row| match row.as_list()? {
                [Value::Text(id), values @ ..] => {
                    unread |= values.contains(&Value::Hidden);
                    let record = Ref { of: entity.name.clone(), id: id.clone() };
                    Some(Found { record, values: values.to_vec() })
                }
                _ => None,
            })
            .collect();
        if unread {
            return Err(unread_before(&entity.name));
        }
        if found.len() > most {
            let message = format!("more than {most} records match (`limits.change_ops`); narrow `where`");
            return Err(Fault::client(Code::TooExpensive, message));
        }
        Ok(found)
    }

    /// The outcome of a read that looks for records to touch.
    pub async fn answered(&self, read: Read, operation: Operation) -> Result<Value, Fault> {
        let allowed = guard::read_for(self.run.principal, self.ontology(), read, operation)?;
        let allowed = cross::resolved(&self.run, allowed).await?;
        self.run.ask(&allowed).await
    }

    /// Links two records along a relationship field of the first.
    pub fn link(
        &mut self,
        relationship: &Relationship,
        owner: &Ref,
        other: &Ref,
        key: String,
        properties: Option<&Json>,
        creating: bool,
    ) -> Result<(), Fault> {
        let ontology = self.ontology();
        let edge = relationship.properties.as_ref().and_then(|name| ontology.edge_types.get(name));
        let given = properties.and_then(Json::as_object).cloned().unwrap_or_default();
        let set = match edge {
            Some(edge) => normal::edge_properties(ontology, edge, given, creating)
                .map_err(|why| bad(format!("{}: {why}", relationship.name)))?,
            None => Map::new(),
        };
        let (from, to) = ends(relationship.direction, owner, other);
        self.push(Op::Link { relationship_type: relationship.relationship_type.clone(), from, to, key, set });
        Ok(())
    }

    /// Puts a record.
    pub fn put(&mut self, entity: &EntityType, id: String, mode: Mode, input: Map<String, Json>) -> Result<(), Fault> {
        if entity.mapped().is_some() {
            let act = if mode == Mode::Update { Act::Update } else { Act::Create };
            return self.foreign(entity, id, act, input);
        }
        let op = normal::put(self.ontology(), entity, id, mode, input)
            .map_err(|why| bad(format!("{}: {why}", entity.name)))?;
        self.push(op);
        Ok(())
    }

    /// Makes or changes a row of others.
    fn foreign(&mut self, entity: &EntityType, id: String, act: Act, input: Map<String, Json>) -> Result<(), Fault> {
        let op = normal::foreign(self.ontology(), entity, id, act, input)
            .map_err(|why| bad(format!("{}: {why}", entity.name)))?;
        self.push(op);
        Ok(())
    }

    fn new_id(&mut self) -> String {
        self.made += 1;
        match &self.key {
            Some(key) => {
                let mut hasher = Sha256::new();
                hasher.update(self.run.principal.tenant.as_str().as_bytes());
                hasher.update([0]);
                hasher.update(key.as_bytes());
                hasher.update([0]);
                hasher.update(self.made.to_be_bytes());
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&hasher.finalize()[..16]);
                ulid::Ulid::from_bytes(bytes).to_string()
            }
            None => ulid::Ulid::new().to_string(),
        }
    }
}

/// Start and end node of a relationship seen from its owner.
pub(super) fn ends(direction: Direction, owner: &Ref, other: &Ref) -> (Ref, Ref) {
    match direction {
        Direction::Out => (owner.clone(), other.clone()),
        Direction::In => (other.clone(), owner.clone()),
    }
}

/// Properties of an input, and its relationship fields.
fn split(entity: &EntityType, input: Map<String, Json>) -> (Map<String, Json>, Vec<(&Relationship, Json)>) {
    let mut properties = Map::new();
    let mut related = Vec::new();
    for (name, value) in input {
        match entity.relationships.get(&name) {
            Some(relationship) => related.push((relationship, value)),
            None => {
                properties.insert(name, value);
            }
        }
    }
    (properties, related)
}

/// The new values that an update names, by field name. `current` are the fields whose present values are in `values`.
pub(super) fn new_values(
    properties: &IndexMap<String, Property>,
    field: fn(&Property) -> Field,
    update: &Map<String, Json>,
    current: &[Field],
    values: &[Value],
) -> Result<Map<String, Json>, Fault> {
    let mut given = Map::new();
    for property in properties.values() {
        if let Some(Json::Object(operations)) = update.get(&property.name) {
            let at = current.iter().position(|known| *known == field(property));
            let value = changed(operations, at.and_then(|at| values.get(at)));
            given.insert(property.name.clone(), value.map_err(|why| bad(format!("{}: {why}", property.name)))?);
        }
    }
    Ok(given)
}

/// An update begins from a value that the caller may not read.
pub(super) fn unread_before(of: &str) -> Fault {
    Fault::client(Code::Forbidden, format!("a field of {of} that the change begins from may not be read"))
}

/// Whether an update of a property depends on its present value.
pub(super) fn needs_current(update: &Json) -> bool {
    ["add", "subtract", "push"].iter().any(|word| update.get(word).is_some_and(|value| !value.is_null()))
}

/// The new value of a property.
fn changed(operations: &Map<String, Json>, current: Option<&Value>) -> Result<Json, String> {
    let given = |word: &str| operations.get(word).filter(|value| !value.is_null());
    if let Some(set) = operations.get("set") {
        return Ok(set.clone());
    }
    if let Some(Json::Array(more)) = given("push") {
        let mut items = current.and_then(Value::as_list).unwrap_or(&[]).iter().map(Value::to_json).collect::<Vec<_>>();
        items.extend(more.iter().cloned());
        return Ok(Json::Array(items));
    }
    let (by, sign) = match (given("add"), given("subtract")) {
        (Some(by), None) => (by, 1),
        (None, Some(by)) => (by, -1),
        _ => return Err("give one of set, add, subtract and push".to_owned()),
    };
    match (current, by) {
        (None | Some(Value::Null), _) => Err("there is no value to change; set one".to_owned()),
        (Some(Value::Int(now)), Json::Number(by)) if by.is_i64() => {
            let by = by.as_i64().unwrap_or_default();
            now.checked_add(by.saturating_mul(sign))
                .map(Json::from)
                .ok_or_else(|| "the number grows too large".to_owned())
        }
        (Some(now), by) => {
            let now = match now {
                Value::Int(now) => *now as f64,
                Value::Float(now) => *now,
                _ => return Err("the value is no number".to_owned()),
            };
            Ok(Json::from(now + by.as_f64().unwrap_or_default() * sign as f64))
        }
    }
}
