//! Nested writes: what hangs on a record that is created or updated.

use std::collections::HashMap;

use quipu_schema::ontology::{Direction, EntityType, Relationship};
use quipu_schema::policy::Operation;
use serde_json::Value as Json;

use super::draft::{Draft, Found, ends, needs_current, new_values, unread_before};
use crate::change::{Op, Ref};
use crate::engine::run::rows;
use crate::fault::Fault;
use crate::fields::{bad, filter::Filters};
use crate::read::{Field, Pick, Place, Predicate, Read, Sort, Target, Via, Window};
use crate::value::Value;
use crate::ways;

/// A related record with the key of the relationship to it, and the values of some of the relationship's properties.
struct Linked {
    record: Ref,
    key: String,
    values: Vec<Value>,
}

impl<'r> Draft<'r> {
    /// `create` and `connect` under a record that is being made.
    pub async fn related_of_new(
        &mut self,
        relationship: &'r Relationship,
        owner: &Ref,
        value: &Json,
    ) -> Result<(), Fault> {
        for item in items(value.get("create")) {
            self.create_related(relationship, owner, item).await?;
        }
        for item in items(value.get("connect")) {
            self.connect(relationship, std::slice::from_ref(owner), item).await?;
        }
        Ok(())
    }

    /// Refuses a new record with no related one where the field needs one, or with several where it has one. `drafted` are the operations that were
    /// drafted for the field.
    pub fn fits(relationship: &Relationship, owner: &Ref, drafted: &[Op]) -> Result<(), Fault> {
        let related = drafted.iter().filter(|op| match op {
            Op::Link { relationship_type, from, to, .. } => {
                let own = if relationship.direction == Direction::Out { from } else { to };
                *relationship_type == relationship.relationship_type && own == owner
            }
            _ => false,
        });
        let name = &relationship.name;
        match related.count() {
            0 if relationship.required => {
                Err(bad(format!("{name}: nothing matches `connect`, and a new {} needs one", owner.of)))
            }
            several if several > 1 && !relationship.list => {
                Err(bad(format!("{name}: {several} records match, and a new {} has one; narrow `where`", owner.of)))
            }
            _ => Ok(()),
        }
    }

    /// `create`, `connect`, `disconnect`, `update` and `delete` under records that are being updated.
    pub async fn update_related(
        &mut self,
        entity: &'r EntityType,
        relationship: &'r Relationship,
        found: &[Found],
        value: &Json,
    ) -> Result<(), Fault> {
        let owners: Vec<Ref> = found.iter().map(|found| found.record.clone()).collect();
        for step in items(Some(value)) {
            for item in items(step.get("disconnect")) {
                for (owner, linked) in self.linked(entity, relationship, &owners, item.get("where"), &[]).await? {
                    for other in linked {
                        let (from, to) = ends(relationship.direction, &owner, &other.record);
                        let relationship_type = relationship.relationship_type.clone();
                        self.push(Op::Unlink { relationship_type, from, to, key: Some(other.key) });
                    }
                }
            }
            for item in items(step.get("delete")) {
                self.delete_linked(entity, relationship, &owners, item).await?;
            }
            for item in items(step.get("update")) {
                self.update_linked(entity, relationship, &owners, item).await?;
            }
            for item in items(step.get("connect")) {
                self.connect(relationship, &owners, item).await?;
            }
            for item in items(step.get("create")) {
                for owner in &owners {
                    self.create_related(relationship, owner, item).await?;
                }
            }
        }
        Ok(())
    }

    /// `delete` under records that are being deleted.
    pub async fn delete_related(
        &mut self,
        entity: &'r EntityType,
        relationship: &'r Relationship,
        found: &[Found],
        value: &Json,
    ) -> Result<(), Fault> {
        let owners: Vec<Ref> = found.iter().map(|found| found.record.clone()).collect();
        for item in items(Some(value)) {
            self.delete_linked(entity, relationship, &owners, item).await?;
        }
        Ok(())
    }

    async fn create_related(&mut self, relationship: &'r Relationship, owner: &Ref, item: &Json) -> Result<(), Fault> {
        let target = self.concrete(relationship)?;
        let input = item.get("node").and_then(Json::as_object).cloned().unwrap_or_default();
        let id = Box::pin(self.create(target, input)).await?;
        let other = Ref { of: target.name.clone(), id };
        self.link(relationship, owner, &other, String::new(), item.get("edge"), true)
    }

    async fn connect(&mut self, relationship: &'r Relationship, owners: &[Ref], item: &Json) -> Result<(), Fault> {
        let wanted = item.get("where").and_then(|filter| filter.get("node"));
        let filters = Filters { ontology: self.ontology() };
        for entity in self.ontology().members(&relationship.target) {
            let filter = match wanted {
                Some(wanted) => filters.record(entity, wanted)?,
                None => Predicate::True,
            };
            if filter == Predicate::False {
                continue;
            }
            for other in self.find(entity, &filter, Operation::CreateRelationship, &[]).await? {
                for owner in owners {
                    self.link(relationship, owner, &other.record, String::new(), item.get("edge"), true)?;
                }
            }
        }
        Ok(())
    }

    async fn delete_linked(
        &mut self,
        entity: &'r EntityType,
        relationship: &'r Relationship,
        owners: &[Ref],
        item: &Json,
    ) -> Result<(), Fault> {
        for (_, linked) in self.linked(entity, relationship, owners, item.get("where"), &[]).await? {
            for other in linked {
                self.push(Op::Delete { record: other.record, row: false });
            }
        }
        Ok(())
    }

    async fn update_linked(
        &mut self,
        entity: &'r EntityType,
        relationship: &'r Relationship,
        owners: &[Ref],
        item: &Json,
    ) -> Result<(), Fault> {
        let edge = relationship.properties.as_ref().and_then(|name| self.ontology().edge_types.get(name));
        let update = item.get("edge").and_then(Json::as_object);
        let wanted =
            |name: &str| update.and_then(|update| update.get(name)).filter(|value| needs_current(value)).is_some();
        let properties = edge.into_iter().flat_map(|edge| edge.properties.values());
        let current: Vec<Field> = properties.filter(|p| wanted(&p.name)).map(ways::edge_field).collect();
        let linked = self.linked(entity, relationship, owners, item.get("where"), &current).await?;
        if let (Some(update), Some(edge)) = (update, edge) {
            for (owner, others) in &linked {
                for other in others {
                    let given = new_values(&edge.properties, ways::edge_field, update, &current, &other.values)?;
                    let key = other.key.clone();
                    self.link(relationship, owner, &other.record, key, Some(&Json::Object(given)), false)?;
                }
            }
        }
        if let Some(update) = item.get("node").and_then(Json::as_object) {
            let target = self.concrete(relationship)?;
            let ids = linked.values().flatten().map(|other| Value::from(other.record.id.as_str())).collect();
            Box::pin(self.update_matching(target, &Predicate::one_of(Field::Id, ids), update)).await?;
        }
        Ok(())
    }

    /// The records that hang on owners along a relationship and match, by owner: one statement for all of them.
    async fn linked(
        &self,
        entity: &EntityType,
        relationship: &Relationship,
        owners: &[Ref],
        filter: Option<&Json>,
        edge_fields: &[Field],
    ) -> Result<HashMap<Ref, Vec<Linked>>, Fault> {
        let ontology = self.ontology();
        let filters = Filters { ontology };
        let edge = relationship.properties.as_ref().and_then(|name| ontology.edge_types.get(name));
        let members = ontology.members(&relationship.target);
        let several = members.len() > 1;
        let mut targets = Vec::with_capacity(members.len());
        for member in &members {
            let filter = match filter {
                Some(given) => filters.edge(member, edge, given)?,
                None => Predicate::True,
            };
            let fields = [Field::Id, Field::EdgeKey].into_iter().chain(edge_fields.iter().cloned());
            let picks = fields.map(Pick::Field).collect();
            targets.push(Target { of: member.name.clone(), filter, visible: Predicate::True, picks });
        }
        let limit = u32::try_from(self.run.engine.settings.limits.change_ops).ok();
        let inner = plain(Place::Nodes, ways::relationship(ontology, relationship).via, targets, limit);
        let ids = owners.iter().map(|owner| Value::from(owner.id.as_str())).collect();
        let owner = Target {
            of: entity.name.clone(),
            filter: Predicate::one_of(Field::Id, ids),
            visible: Predicate::True,
            picks: vec![Pick::Field(Field::Id), Pick::Read(Box::new(inner.clone()))],
        };
        let read = plain(ways::place(entity), Via::Root, vec![owner], None);
        let outcome = self.answered(read.clone(), Operation::Update).await?;
        let mut linked = HashMap::new();
        let mut unread = false;
        for row in rows(&read, &outcome).iter().filter_map(Value::as_list) {
            let [Value::Text(id), others, ..] = row else { continue };
            let found = rows(&inner, others).iter().filter_map(|row| {
                let row = row.as_list()?;
                let at = if several { usize::try_from(row.first()?.as_int()?).ok()? } else { 0 };
                let [id, key, values @ ..] = row.get(inner.first_pick()..)? else { return None };
                unread |= values.contains(&Value::Hidden);
                let record = Ref { of: members.get(at)?.name.clone(), id: id.as_text()?.to_owned() };
                Some(Linked { record, key: key.as_text()?.to_owned(), values: values.to_vec() })
            });
            linked.insert(Ref { of: entity.name.clone(), id: id.clone() }, found.collect());
        }
        if unread {
            return Err(unread_before(&relationship.name));
        }
        Ok(linked)
    }

    fn concrete(&self, relationship: &Relationship) -> Result<&'r EntityType, Fault> {
        self.ontology().types.get(&relationship.target).ok_or_else(|| {
            bad(format!(
                "{} leads to several types; create the record by its own mutation and connect it",
                relationship.name
            ))
        })
    }
}

fn plain(place: Place, via: Via, targets: Vec<Target>, limit: Option<u32>) -> Read {
    let sort = vec![Sort { field: Field::Id, descending: false }];
    let window = Window { limit, ..Window::default() };
    Read { sort, window, ..Read::every(place, via, targets) }
}

/// The items of a list, or the one item where the API has a single object.
fn items(value: Option<&Json>) -> &[Json] {
    match value {
        Some(Json::Array(items)) => items,
        Some(Json::Null) | None => &[],
        Some(single) => std::slice::from_ref(single),
    }
}
