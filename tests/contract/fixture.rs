//! The common world of the suite: a small cold chain, twice, and short ways to ask about it.

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use quipu_resolvers::change::{Accepted, Change, Mode, Op, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{self, Principal, TenantId};
use quipu_resolvers::ports::{Call, Reader, Terms, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Sort, Stored, Target, Via, Window};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::{Direction, EntityType, Join, Kind, Ontology, PageLimit, Property, Relationship, Scalar};
use quipu_schema::policy::Rules;
use serde_json::{Value as Json, json};

use super::Stores;

/// The tenants. Their records have the same ids.
pub const TENANTS: [&str; 2] = ["alpha", "beta"];

pub fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Somebody who may see everything in a tenant.
pub fn principal(name: &str) -> Principal {
    Principal { tenant: tenant(name), subject: Some("ann".to_owned()), claims: json!({"roles": []}), operator: false }
}

fn property(name: &str, scalar: Scalar, flags: &str) -> Property {
    let has = |flag| flags.contains(flag);
    Property {
        name: name.to_owned(),
        stored: name.to_owned(),
        description: None,
        deprecated: None,
        sortable: !has('l') && scalar != Scalar::Json,
        scalar,
        list: has('l'),
        required: has('!'),
        item_required: true,
        unique: has('u'),
        indexed: has('i') || has('u'),
        default: None,
        generated: None,
        embed: has('e'),
        selectable: true,
        filterable: true,
        implicit: false,
        rules: Rules::default(),
    }
}

fn entity(name: &str, row: bool, properties: Vec<Property>) -> EntityType {
    let id = property("id", Scalar::Id, "!u");
    let properties: IndexMap<String, Property> =
        std::iter::once(id).chain(properties).map(|p| (p.name.clone(), p)).collect();
    EntityType {
        name: name.to_owned(),
        description: None,
        plural: format!("{}s", name.to_lowercase()),
        singular: name.to_lowercase(),
        kind: if row {
            Kind::Row { table: name.to_lowercase(), mapped: None }
        } else {
            Kind::Node { labels: vec![name.to_owned()] }
        },
        built_in: false,
        order: properties.keys().cloned().collect(),
        properties,
        relationships: IndexMap::new(),
        joins: IndexMap::new(),
        interfaces: Vec::new(),
        limit: PageLimit::default(),
        cache: None,
        rules: Rules::default(),
    }
}

fn relationship(name: &str, of: &str, direction: Direction, target: &str) -> (String, Relationship) {
    let relationship = Relationship {
        name: name.to_owned(),
        relationship_type: of.to_owned(),
        direction,
        target: target.to_owned(),
        list: true,
        required: true,
        properties: None,
        description: None,
        deprecated: None,
    };
    (name.to_owned(), relationship)
}

/// The ontology of both tenants.
pub fn ontology() -> Ontology {
    let mut facility = entity(
        "Facility",
        false,
        vec![
            property("name", Scalar::String, "!i"),
            property("region", Scalar::String, "!"),
            property("grade", Scalar::Int, "i"),
            property("score", Scalar::Float, ""),
            property("active", Scalar::Boolean, ""),
            property("tags", Scalar::String, "l"),
            property("extra", Scalar::Json, ""),
            property("code", Scalar::String, "u"),
            property("summary", Scalar::String, "e"),
        ],
    );
    facility.relationships.extend([relationship("devices", "HAS_DEVICE", Direction::Out, "Device")]);
    let mut device =
        entity("Device", false, vec![property("name", Scalar::String, "!"), property("status", Scalar::String, "!")]);
    device.relationships.extend([
        relationship("facility", "HAS_DEVICE", Direction::In, "Facility"),
        relationship("alerts", "RAISED", Direction::Out, "Alert"),
    ]);
    let alert =
        entity("Alert", false, vec![property("severity", Scalar::Int, "!"), property("note", Scalar::String, "e")]);
    let mut contract = entity(
        "Contract",
        true,
        vec![
            property("supplier", Scalar::String, "!"),
            property("facility_id", Scalar::Id, "!"),
            property("price", Scalar::Float, ""),
        ],
    );
    let by_facility = |name: &str, target: &str, local: &str, remote: &str| Join {
        name: name.to_owned(),
        target: target.to_owned(),
        list: true,
        required: true,
        local: local.to_owned(),
        remote: remote.to_owned(),
        description: None,
        deprecated: None,
    };
    facility.joins.insert("contracts".into(), by_facility("contracts", "Contract", "id", "facility_id"));
    contract.joins.insert("siblings".into(), by_facility("siblings", "Contract", "facility_id", "facility_id"));
    let types = [facility, device, alert, contract].into_iter().map(|t| (t.name.clone(), t)).collect();
    Ontology { types, ..Ontology::default() }
}

pub fn record(of: &str, id: &str) -> Ref {
    Ref { of: of.to_owned(), id: id.to_owned() }
}

fn is_row(of: &str) -> bool {
    of == "Contract"
}

/// Makes or changes a record.
pub fn put(of: &str, id: &str, set: Json) -> Op {
    put_as(Mode::Upsert, of, id, set)
}

pub fn put_as(mode: Mode, of: &str, id: &str, set: Json) -> Op {
    let Json::Object(set) = set else { panic!("an object") };
    let ontology = ontology();
    let marked = |chosen: fn(&Property) -> bool| {
        let properties = ontology.types[of].properties.values().filter(|p| chosen(p) && set.contains_key(&p.stored));
        properties.map(|p| p.stored.clone()).collect()
    };
    let (unique, embed) = (marked(|p| p.unique), marked(|p| p.embed));
    Op::Put { record: record(of, id), row: is_row(of), mode, set, unique, embed }
}

pub fn delete(of: &str, id: &str) -> Op {
    Op::Delete { record: record(of, id), row: is_row(of) }
}

pub fn link(of: &str, from: (&str, &str), to: (&str, &str), set: Json) -> Op {
    link_as(of, from, to, "", set)
}

pub fn link_as(of: &str, from: (&str, &str), to: (&str, &str), key: &str, set: Json) -> Op {
    let Json::Object(set) = set else { panic!("an object") };
    Op::Link {
        relationship_type: of.to_owned(),
        from: record(from.0, from.1),
        to: record(to.0, to.1),
        key: key.to_owned(),
        set,
    }
}

pub fn unlink(of: &str, from: (&str, &str), to: (&str, &str), key: Option<&str>) -> Op {
    Op::Unlink {
        relationship_type: of.to_owned(),
        from: record(from.0, from.1),
        to: record(to.0, to.1),
        key: key.map(str::to_owned),
    }
}

pub const AT: &str = "2026-11-21T10:00:00.000Z";

/// A call with ten seconds.
pub fn call(trace: &Trace) -> Call<'_> {
    Call { deadline: Instant::now() + Duration::from_secs(10), trace }
}

/// Accepts a change, without applying it.
pub async fn accept(stores: &Stores, who: &str, ops: Vec<Op>) -> Result<Accepted, Fault> {
    accept_under(stores, who, ops, None).await
}

pub async fn accept_under(stores: &Stores, who: &str, ops: Vec<Op>, key: Option<&str>) -> Result<Accepted, Fault> {
    accept_on(stores, who, ops, Terms { idempotency_key: key, ..Terms::default() }).await
}

/// Accepts a change on some terms, without applying it.
pub async fn accept_on(stores: &Stores, who: &str, ops: Vec<Op>, terms: Terms<'_>) -> Result<Accepted, Fault> {
    let change = guard::change(&principal(who), &ontology(), Change { ops }, &[])?;
    let terms = Terms { actor: Some("ann"), at: AT, ..terms };
    stores.metadata.accept(&change, terms, call(&Trace::default())).await
}

/// Applies what the log holds and the graph does not.
pub async fn follow(stores: &Stores, who: &str) {
    let tenant = tenant(who);
    loop {
        let position = stores.graph.position(&tenant).await.unwrap();
        let entries = stores.metadata.log(&tenant, position, 1_000).await.unwrap();
        if entries.is_empty() {
            return;
        }
        stores.graph.apply(&tenant, &entries).await.unwrap();
    }
}

/// Accepts and applies.
pub async fn write(stores: &Stores, who: &str, ops: Vec<Op>) -> Accepted {
    let accepted = accept(stores, who, ops).await.unwrap();
    follow(stores, who).await;
    accepted
}

pub async fn publish(stores: &Stores, who: &str) {
    publish_as(stores, who, "type Facility @node { id: ID! }", &ontology()).await.unwrap();
}

/// Publishes as a server does: what follows for the graph is seen to once it holds what the log does.
pub async fn publish_as(stores: &Stores, who: &str, sdl: &str, ontology: &Ontology) -> Result<u64, Fault> {
    let version = stores.metadata.publish(&tenant(who), sdl, ontology, AT).await?;
    follow(stores, who).await;
    stores.graph.prepare(&tenant(who), ontology).await?;
    Ok(version)
}

/// The same ids for both tenants, other contents: names carry the tenant's.
pub async fn fill(stores: &Stores) {
    for who in TENANTS {
        publish(stores, who).await;
        write(stores, who, world(who)).await;
    }
}

/// Four facilities, six devices, alerts and contracts.
pub fn world(who: &str) -> Vec<Op> {
    let named = |name: &str| format!("{who} {name}");
    let facility = |id: &str, name: &str, region: &str, more: Json| {
        let mut set = json!({"name": named(name), "region": region});
        set.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        put("Facility", id, set)
    };
    let device = |id: &str, name: &str, status: &str| put("Device", id, json!({"name": named(name), "status": status}));
    let alert = |id: &str, severity: i64| put("Alert", id, json!({"severity": severity, "note": named(id)}));
    let contract = |id: &str, of: &str, price: f64| {
        put("Contract", id, json!({"supplier": named(id), "facility_id": of, "price": price}))
    };
    let has = |facility, device, since: &str, confidence: f64| {
        link(
            "HAS_DEVICE",
            ("Facility", facility),
            ("Device", device),
            json!({"since": since, "confidence": confidence}),
        )
    };
    let raised = |device, alert| link("RAISED", ("Device", device), ("Alert", alert), json!({}));
    vec![
        facility(
            "f1",
            "Oslo",
            "north",
            json!({"grade": 3, "score": 0.1, "active": true, "tags": ["cold", "new"], "code": "A"}),
        ),
        facility("f2", "Bergen", "north", json!({"grade": 1, "score": 2.5, "active": false, "tags": [], "code": "B"})),
        facility("f3", "Athens", "south", json!({"grade": 3, "extra": {"size": [1, 2.5, null], "deep": {"a": true}}})),
        facility("f4", "Porto", "south", json!({"summary": "frozen fish and vaccines"})),
        device("d1", "Freezer", "OK"),
        device("d2", "Cooler", "OK"),
        device("d3", "Probe", "FAILED"),
        device("d4", "Gate", "OK"),
        device("d5", "Fan", "FAILED"),
        device("d6", "Spare", "OK"),
        has("f1", "d1", "2020-01-01", 0.9),
        has("f1", "d2", "2019-01-01", 0.5),
        has("f1", "d3", "2021-01-01", 0.7),
        has("f2", "d4", "2018-01-01", 0.8),
        has("f3", "d5", "2017-01-01", 0.6),
        alert("a1", 5),
        alert("a2", 2),
        alert("a3", 4),
        alert("a4", 1),
        raised("d1", "a1"),
        raised("d1", "a2"),
        raised("d3", "a3"),
        raised("d5", "a4"),
        contract("c1", "f1", 100.0),
        contract("c2", "f1", 50.5),
        contract("c3", "f2", 70.0),
    ]
}

/// A stored property as a field; `?` after the name: it may be absent.
pub fn field(name: &str) -> Field {
    Field::Property(stored(name))
}

pub fn edge(name: &str) -> Field {
    Field::EdgeProperty(stored(name))
}

fn stored(name: &str) -> Stored {
    let (name, nullable) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let scalar = match name {
        "grade" | "severity" | "amount" => Scalar::Int,
        "score" | "confidence" | "price" => Scalar::Float,
        "active" => Scalar::Boolean,
        "extra" => Scalar::Json,
        _ => Scalar::String,
    };
    Stored { name: name.to_owned(), scalar, list: name == "tags", nullable, indexed: name == "name" }
}

pub fn pick(field: Field) -> Pick {
    Pick::Field(field)
}

/// A read of one type at the root, sorted by id.
pub fn all(of: &str, picks: Vec<Pick>) -> Read {
    Read {
        place: if is_row(of) { Place::Rows } else { Place::Nodes },
        via: Via::Root,
        targets: vec![target(of, picks)],
        sort: vec![up(Field::Id)],
        window: Window::default(),
        rows: true,
        total: false,
        figures: Vec::new(),
    }
}

pub fn target(of: &str, picks: Vec<Pick>) -> Target {
    Target { of: of.to_owned(), filter: Predicate::True, visible: Predicate::True, picks }
}

/// Nodes of one type along relationships.
pub fn along(relationship_type: &str, direction: Direction, of: &str, picks: Vec<Pick>) -> Read {
    Read { via: Via::Relationship { relationship_type: relationship_type.to_owned(), direction }, ..all(of, picks) }
}

pub fn up(field: Field) -> Sort {
    Sort { field, descending: false }
}

pub fn down(field: Field) -> Sort {
    Sort { field, descending: true }
}

/// Short ways to change a read.
pub trait Shaped {
    fn filtered(self, filter: Predicate) -> Self;
    fn sorted(self, sort: Vec<Sort>) -> Self;
    fn first(self, limit: u32) -> Self;
}

impl Shaped for Read {
    fn filtered(mut self, filter: Predicate) -> Self {
        for target in &mut self.targets {
            target.filter = filter.clone();
        }
        self
    }

    fn sorted(mut self, sort: Vec<Sort>) -> Self {
        self.sort = sort;
        self
    }

    fn first(mut self, limit: u32) -> Self {
        self.window.limit = Some(limit);
        self
    }
}

/// The outcome of a read as a tenant, as JSON. Exactly one statement is run.
pub async fn ask(stores: &Stores, who: &str, read: Read) -> Json {
    answer(stores, who, read).await.to_json()
}

pub async fn answer(stores: &Stores, who: &str, read: Read) -> Value {
    let trace = Trace::keeping();
    let rows = read.place == Place::Rows;
    let read = guard::read(&principal(who), &ontology(), read).unwrap();
    let reader: &dyn Reader = if rows { &*stores.metadata } else { &*stores.graph };
    let outcome = reader.read(&read, call(&trace)).await;
    assert_eq!(trace.statements().len(), 1, "one statement for one read");
    outcome.unwrap_or_else(|fault| panic!("{fault}\n{}", trace.statements()[0].text))
}
