//! How many relationships a deletion takes along, as far as the caller may know: those that a rule hides, and those to records
//! that one hides, are not told.

use std::collections::{BTreeMap, BTreeSet};

use quipu_schema::ontology::{Direction, Ontology};
use quipu_schema::policy::Operation;

use crate::change::{Change, Op};
use crate::engine::run::{Run, rows};
use crate::fault::Fault;
use crate::guard;
use crate::read::{Field, Pick, Place, Predicate, Read, Target, Via};
use crate::value::Value;

/// Ids of the nodes that a change removes, by type.
type Gone<'c> = BTreeMap<&'c str, Vec<Value>>;

/// The number of relationships that go with the change and that the caller sees; `None` for who sees everything, for whom the graph counts.
pub(super) async fn seen(run: &Run<'_>, change: &Change) -> Result<Option<u64>, Fault> {
    let ontology = &run.bound.served().ontology;
    let mut gone = Gone::new();
    for op in &change.ops {
        if let Op::Delete { record, row: false } = op {
            gone.entry(&record.of).or_default().push(Value::from(record.id.as_str()));
        }
    }
    let mut nodes = ontology.types.values().filter(|entity| entity.is_node());
    let sees =
        |of: &str| [Operation::Read, Operation::Aggregate].map(|op| guard::sees_all(run.principal, ontology, of, op));
    let between =
        [Operation::Read, Operation::Aggregate].map(|op| guard::sees_all_between(run.principal, ontology, op));
    if gone.is_empty() || (between == [true; 2] && nodes.all(|entity| sees(&entity.name) == [true; 2])) {
        return Ok(None);
    }
    let is_gone =
        |of: &str, id: &str| gone.get(of).is_some_and(|ids| ids.iter().any(|gone| gone.as_text() == Some(id)));
    let unlinked = change.ops.iter().filter(|op| match op {
        Op::Unlink { from, to, .. } => !is_gone(&from.of, &from.id) && !is_gone(&to.of, &to.id),
        _ => false,
    });
    let mut count = unlinked.count() as u64;
    for (of, ids) in &gone {
        let read = counting(run, ontology, of, ids, &gone);
        let outcome = run.read(&read).await?;
        for row in rows(&read, &outcome).iter().filter_map(Value::as_list) {
            let totals = row.iter().filter_map(|inner| inner.as_list()?.get(1)?.as_int());
            count += totals.map(|total| u64::try_from(total).unwrap_or(0)).sum::<u64>();
        }
    }
    Ok(Some(count))
}

/// For nodes of one type, the number of relationships of each type: all that go out, and those that come in from nodes that stay, so that none
/// is counted twice.
fn counting(run: &Run<'_>, ontology: &Ontology, of: &str, ids: &[Value], gone: &Gone<'_>) -> Read {
    let types = ontology.types.values().flat_map(|entity| entity.relationships.values());
    let types: BTreeSet<&str> = types.map(|relationship| relationship.relationship_type.as_str()).collect();
    let nodes = ontology.types.values().filter(|entity| entity.is_node());
    let known: Vec<&str> =
        nodes.map(|entity| entity.name.as_str()).filter(|of| guard::may_see(run.principal, ontology, of)).collect();
    let target = |of: &str, direction: Direction| {
        let stays = match gone.get(of) {
            Some(ids) if direction == Direction::In => Predicate::one_of(Field::Id, ids.clone()).negate(),
            _ => Predicate::True,
        };
        Target { of: of.to_owned(), filter: stays, visible: Predicate::True, picks: Vec::new() }
    };
    let inner = |relationship_type: &str, direction: Direction| {
        let via = Via::Relationship { relationship_type: relationship_type.to_owned(), direction };
        let targets = known.iter().map(|of| target(of, direction)).collect();
        Read { rows: false, total: true, ..Read::every(Place::Nodes, via, targets) }
    };
    let each = types.iter().flat_map(|of| [Direction::Out, Direction::In].map(|direction| inner(of, direction)));
    let target = Target {
        of: of.to_owned(),
        filter: Predicate::one_of(Field::Id, ids.to_vec()),
        visible: Predicate::True,
        picks: each.map(|read| Pick::Read(Box::new(read))).collect(),
    };
    Read::every(Place::Nodes, Via::Root, vec![target])
}
