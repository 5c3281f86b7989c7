//! Adopting a graph that others wrote: its nodes and relationships come into the log and the registry as those of an import do, in batches on
//! the same path as mutations, and the follower of the log finds them in the graph already.
//!
//! [`Adoption::plan`] looks through all of it and writes nothing. [`Adoption::run`] goes through it again, portion by portion: where tenants
//! share a database, a portion is first marked as the tenant's, in one transaction; then it is accepted, and what is registered already
//! is left as it is. So whoever is interrupted starts again, and what was changed through the gateway meanwhile is not undone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_resolvers::change::{Change, EffectKind, Mode, Op, Ref};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::{self, Principal};
use quipu_resolvers::normal;
use quipu_resolvers::ports::{Call, Clock, Terms, Trace};
use quipu_resolvers::value::scalar;
use quipu_resolvers::{Bound, Engine};
use quipu_schema::ontology::{EdgeType, EntityType, Ontology, Property, Scalar};
use serde_json::{Map, Value as Json};

use super::batch::links;
use crate::stores::cypher::adopt::UNFIT;
use crate::stores::cypher::apply::Way;
use crate::stores::neo4j::{Found, Lacking, Node, OfNodes, Others, Relationship};

/// Nodes or relationships of a batch.
const PORTION: usize = 1_000;
/// Examples of what stands in the way.
const EXAMPLES: usize = 3;
/// How long a batch may take to be written.
const PATIENCE: Duration = Duration::from_secs(120);

/// A way along relationships, with the properties that these have.
type Along<'a> = (Way<'a>, Option<&'a EdgeType>);

/// One tenant's graph that others wrote.
pub struct Adoption {
    /// The graph.
    pub others: Others,
    /// Writes the changes.
    pub engine: Arc<Engine>,
    /// The tenant's ontology.
    pub bound: Arc<Bound>,
    /// Who adopts.
    pub principal: Principal,
    /// When.
    pub clock: Arc<dyn Clock>,
}

/// Something that was found, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// How many there are, and some of them.
    pub found: Found,
    /// What can be done about it.
    pub help: Option<String>,
}

/// What an adoption would do.
#[derive(Debug, Default)]
pub struct Plan {
    /// Nodes by type, as far as there are any.
    pub nodes: Vec<(String, u64)>,
    /// Relationships by the way that they lead, as far as there are any.
    pub relationships: Vec<(String, u64)>,
    /// What does not fit the ontology. With any of it, nothing is adopted.
    pub problems: Vec<Finding>,
    /// What stays as it is, and is not adopted, or what is given on the way.
    pub notes: Vec<Finding>,
}

impl Plan {
    /// Nodes and relationships, all together.
    pub fn total(&self) -> u64 {
        self.nodes.iter().chain(&self.relationships).map(|(_, count)| count).sum()
    }
}

/// What an adoption did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Nodes that were gone through.
    pub nodes: u64,
    /// Relationships that were gone through.
    pub relationships: u64,
    /// Nodes that were not registered before.
    pub adopted: u64,
}

impl Adoption {
    fn ontology(&self) -> &Ontology {
        &self.bound.served().ontology
    }

    fn types(&self) -> Vec<&EntityType> {
        self.ontology().types.values().filter(|entity| entity.is_node()).collect()
    }

    fn ways(&self) -> Vec<Along<'_>> {
        let known = links(self.ontology()).into_iter();
        let ways = known.flat_map(|(of, links)| {
            links.into_iter().map(move |link| (Way { of, from: link.from, to: link.to }, link.properties))
        });
        let mut ways: Vec<_> = ways.collect();
        ways.sort_by_key(|(way, _)| *way);
        ways
    }

    /// Looks through everything, and writes nothing. With `give`, ids and keys that are lacking are no problem. `progress` is told how many
    /// nodes and relationships were looked at.
    ///
    /// # Errors
    /// The store's.
    pub async fn plan(&self, give: bool, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Plan, Fault> {
        let mut plan = Plan::default();
        let types = self.types();
        for entity in &types {
            let count = self.others.count_nodes(&entity.name).await?;
            if count > 0 {
                plan.nodes.push((entity.name.clone(), count));
                self.look_at_nodes(entity, &types, give, &mut plan).await?;
                self.fit_nodes(entity, &mut plan, progress).await?;
            }
        }
        let ways = self.ways();
        for (way, edge) in &ways {
            let count = self.others.count_relationships(*way).await?;
            if count > 0 {
                plan.relationships.push((named(*way), count));
                self.look_at_relationships(*way, give, &mut plan).await?;
                self.fit_relationships(*way, *edge, &mut plan, progress).await?;
            }
        }
        let mut by_type: BTreeMap<&str, Vec<Way<'_>>> = BTreeMap::new();
        ways.iter().for_each(|(way, _)| by_type.entry(way.of).or_default().push(*way));
        for (of, ways) in by_type {
            let found = self.others.astray(of, &ways).await?;
            note(&mut plan.notes, format!("{of} leading elsewhere than the ontology says"), found, None);
        }
        Ok(plan)
    }

    async fn look_at_nodes(
        &self,
        entity: &EntityType,
        types: &[&EntityType],
        give: bool,
        plan: &mut Plan,
    ) -> Result<(), Fault> {
        let of = entity.name.as_str();
        let ask = async |wanted| self.others.of_nodes(of, wanted).await;
        for (wanted, what) in [
            (OfNodes::WithoutId, format!("{of} without an id")),
            (OfNodes::OtherIds, format!("{of} with an id that is no text")),
        ] {
            let by_hand = self.others.by_hand(of, wanted).unwrap_or_default();
            let help = format!("--assign-ids does it, or in the database: {by_hand}");
            let into = if give { &mut plan.notes } else { &mut plan.problems };
            let (what, help) = if give { (format!("{what}, which is given"), None) } else { (what, Some(help)) };
            note(into, what, ask(wanted).await?, help);
        }
        let found = ask(OfNodes::RepeatedIds).await?;
        let help = "an id is one node's alone: merge them, or give them ids of their own";
        note(&mut plan.problems, format!("ids that several {of} have"), found, Some(help.to_owned()));
        for property in entity.properties.values().filter(|property| property.unique && property.stored != "id") {
            let found = ask(OfNodes::Repeated(property)).await?;
            let help = format!("{of}.{} is @unique: change them, or take @unique out of the ontology", property.name);
            note(&mut plan.problems, format!("values of {of}.{} that several have", property.name), found, Some(help));
        }
        let others: Vec<&str> = types.iter().map(|other| other.name.as_str()).filter(|other| *other != of).collect();
        if !others.is_empty() {
            let found = ask(OfNodes::AlsoOf(&others)).await?;
            let help =
                "a node is of one type: remove labels, or tell the types apart in the ontology by @node(labels:)";
            note(&mut plan.problems, format!("{of} with the labels of another type"), found, Some(help.to_owned()));
        }
        let known: Vec<&str> = entity.properties.values().map(|property| property.stored.as_str()).collect();
        let found = ask(OfNodes::Beside(&known)).await?;
        note(&mut plan.notes, format!("properties of {of} that the ontology does not name"), found, None);
        Ok(())
    }

    async fn look_at_relationships(&self, way: Way<'_>, give: bool, plan: &mut Plan) -> Result<(), Fault> {
        let found = self.others.parallel(way).await?;
        let what = format!("pairs of nodes with several {} which nothing tells apart", named(way));
        if give {
            note(&mut plan.notes, format!("{what}, to which a key is given"), found, None);
        } else {
            let help = "--assign-ids gives each but one a property `_key`, or merge them in the database";
            note(&mut plan.problems, what, found, Some(help.to_owned()));
        }
        Ok(())
    }

    async fn fit_nodes(
        &self,
        entity: &EntityType,
        plan: &mut Plan,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Fault> {
        let mut coming = self.others.nodes(entity).await?;
        let mut misfits = Misfits::default();
        loop {
            let nodes = coming.portion(PORTION).await?;
            if nodes.is_empty() {
                break;
            }
            progress(nodes.len() as u64);
            for node in nodes {
                let id = node.id.clone();
                if let Err(why) = self.put(entity, node).and_then(|op| self.fits(op)) {
                    misfits.note(&entity.name, &why, id);
                }
            }
        }
        misfits.into_problems(plan);
        Ok(())
    }

    async fn fit_relationships(
        &self,
        way: Way<'_>,
        edge: Option<&EdgeType>,
        plan: &mut Plan,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Fault> {
        let mut coming = self.others.relationships(way, properties_of(edge)).await?;
        let mut misfits = Misfits::default();
        loop {
            let relationships = coming.portion(PORTION).await?;
            if relationships.is_empty() {
                break;
            }
            progress(relationships.len() as u64);
            for relationship in relationships {
                let name = relationship.ends.join(" to ");
                if let Err(why) = self.link(way, edge, relationship).and_then(|op| self.fits(op)) {
                    misfits.note(way.of, &why, name);
                }
            }
        }
        misfits.into_problems(plan);
        Ok(())
    }

    /// Gives ids to nodes that have none, texts for ids that are numbers, and keys to parallel relationships; how many.
    ///
    /// # Errors
    /// The store's. What was given until then stays.
    pub async fn give(&self) -> Result<u64, Fault> {
        let mut given = 0;
        for entity in self.types() {
            given += self.others.give(Lacking::Texts(&entity.name)).await?;
            given += self.others.give(Lacking::Ids(&entity.name)).await?;
        }
        for (way, _) in self.ways() {
            given += self.others.give(Lacking::Keys(way)).await?;
        }
        Ok(given)
    }

    /// Adopts everything. `progress` is told how many nodes and relationships more were gone through.
    ///
    /// # Errors
    /// A store's, or what refuses a batch. What was adopted until then stays.
    pub async fn run(&self, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Summary, Fault> {
        self.others.get_ready(self.ontology()).await?;
        let most = PORTION.min(self.engine.limits().change_ops.max(1));
        let misfit = |why| Fault::client(Code::BadUserInput, why);
        let mut summary = Summary::default();
        for entity in self.types() {
            let mut coming = self.others.nodes(entity).await?;
            loop {
                let nodes = coming.portion(most).await?;
                if nodes.is_empty() {
                    break;
                }
                let count = nodes.len() as u64;
                let elements: Vec<String> = nodes.iter().map(|node| node.element.clone()).collect();
                let ops = nodes.into_iter().map(|node| self.put(entity, node)).collect::<Result<_, _>>();
                let ops = ops.map_err(misfit)?;
                if self.others.are_marked() {
                    self.others.mark_nodes(&elements.iter().map(String::as_str).collect::<Vec<_>>()).await?;
                }
                summary.adopted += self.write(ops).await?;
                summary.nodes += count;
                progress(count);
            }
        }
        for (way, edge) in self.ways() {
            let mut coming = self.others.relationships(way, properties_of(edge)).await?;
            loop {
                let links = coming.portion(most).await?;
                if links.is_empty() {
                    break;
                }
                let count = links.len() as u64;
                let elements: Vec<String> = links.iter().map(|link| link.element.clone()).collect();
                let ops = links.into_iter().map(|link| self.link(way, edge, link)).collect::<Result<_, _>>();
                let ops = ops.map_err(misfit)?;
                if self.others.are_marked() {
                    self.others.mark_relationships(&elements.iter().map(String::as_str).collect::<Vec<_>>()).await?;
                }
                self.write(ops).await?;
                summary.relationships += count;
                progress(count);
            }
        }
        Ok(summary)
    }

    /// Writes one batch; how many records came to be in the registry.
    async fn write(&self, ops: Vec<Op>) -> Result<u64, Fault> {
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + PATIENCE, trace: &trace };
        let at = scalar::stamp_ms(self.clock.now_ms());
        let actor = self.principal.subject.as_deref();
        let terms = Terms { only_new: true, actor, at: &at, ..Terms::default() };
        let accepted = self.engine.write(&self.bound, &self.principal, Change { ops }, terms, call).await?;
        Ok(accepted.effects.iter().filter(|effect| effect.event == EffectKind::Created).count() as u64)
    }

    /// Whether an operation could be accepted, as far as it alone says: ids and indexed texts have a longest length.
    fn fits(&self, op: Op) -> Result<(), String> {
        match guard::change(&self.principal, self.ontology(), Change { ops: vec![op] }, &[]) {
            Ok(_) => Ok(()),
            Err(Fault::Client(fault)) => Err(fault.message),
            Err(fault) => Err(fault.to_string()),
        }
    }

    /// The operation that registers a node, or why it does not fit.
    fn put(&self, entity: &EntityType, node: Node) -> Result<Op, String> {
        let properties = entity.properties.values().filter(|property| property.stored != "id");
        let set = taken(properties, node.values)?;
        normal::put(self.ontology(), entity, node.id, Mode::Upsert, set)
    }

    /// The operation that registers a relationship, or why it does not fit.
    fn link(&self, way: Way<'_>, edge: Option<&EdgeType>, relationship: Relationship) -> Result<Op, String> {
        let set = match edge {
            Some(edge) => {
                let set = taken(edge.properties.values(), relationship.values)?;
                normal::edge_properties(self.ontology(), edge, set, true)?
            }
            None => Map::new(),
        };
        let [from, to] = relationship.ends;
        Ok(Op::Link {
            relationship_type: way.of.to_owned(),
            from: Ref { of: way.from.to_owned(), id: from },
            to: Ref { of: way.to.to_owned(), id: to },
            key: relationship.key,
            set,
        })
    }
}

fn properties_of(edge: Option<&EdgeType>) -> impl Iterator<Item = &Property> {
    edge.into_iter().flat_map(|edge| edge.properties.values())
}

/// Values of properties by field name, without those that are not there.
fn taken<'a>(properties: impl Iterator<Item = &'a Property>, values: Vec<Json>) -> Result<Map<String, Json>, String> {
    let mut set = Map::new();
    for (property, value) in properties.zip(values) {
        let unfit = value.get(UNFIT).and_then(Json::as_str);
        if let Some(kind) = unfit {
            return Err(format!("{}: a value of the kind {kind} is no {}", property.name, told(property)));
        }
        if !value.is_null() {
            set.insert(property.name.clone(), value);
        }
    }
    Ok(set)
}

fn told(property: &Property) -> String {
    match (&property.scalar, property.list) {
        (Scalar::Enum(name), false) => name.clone(),
        (scalar, false) => scalar.name().to_owned(),
        (scalar, true) => format!("list of {}", scalar.name()),
    }
}

fn named(way: Way<'_>) -> String {
    format!("{} from {} to {}", way.of, way.from, way.to)
}

fn note(into: &mut Vec<Finding>, what: String, found: Found, help: Option<String>) {
    if found.count > 0 {
        into.push(Finding { what, found, help });
    }
}

/// What does not fit, gathered by what is wrong.
#[derive(Default)]
struct Misfits(HashMap<String, Found>);

impl Misfits {
    fn note(&mut self, of: &str, why: &str, example: String) {
        let (what, found) = why.split_once(", found ").unwrap_or((why, ""));
        // Of a property, or of the record as a whole.
        let sign = if what.contains(": ") { "." } else { ": " };
        let misfit = self.0.entry(format!("{of}{sign}{what}")).or_default();
        misfit.count += 1;
        if misfit.examples.len() < EXAMPLES {
            misfit.examples.push(if found.is_empty() { example } else { format!("{example} ({found})") });
        }
    }

    fn into_problems(self, plan: &mut Plan) {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        plan.problems.extend(all.into_iter().map(|(what, found)| Finding { what, found, help: None }));
    }
}
