//! Golden statements of Neo4j, and their plans on a real server: indexes are walked in order and stop at the limit.

use quipu::stores::cypher::{self, Labels, Parameter, Question, Scope, Statement, Tenancy, schema, search};
use quipu_resolvers::ports::{Matching, Within};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Related, Scope as Among, Via};
use quipu_resolvers::value::Value;
use quipu_schema::api::Figure;
use quipu_schema::ontology::{Direction, Kind, Ontology};
use quipu_schema::policy::{Operator, Quantifier};

use super::bolt::Bolt;
use super::fixture::*;
use super::{neo4j, skipped};

/// What a read is asked with: at the root, or by keys.
enum Asked {
    Root(Read),
    Keys(Read),
    Words(Matching),
}

impl Asked {
    fn statement(&self, scope: Scope<'_>) -> Statement {
        match self {
            Self::Root(read) => cypher::read(read, scope),
            Self::Keys(read) => cypher::read_many(read, &[Value::from("f1"), Value::from("f2")], scope),
            Self::Words(matching) => {
                let words = matching.text.split(' ').map(str::to_owned).collect::<Vec<_>>();
                search::matching(matching, &words, "alpha", scope)
            }
        }
    }
}

fn facilities() -> Read {
    all("Facility", vec![pick(Field::Id), pick(field("name"))]).sorted(vec![up(field("name")), up(Field::Id)]).first(10)
}

fn compare(name: &str, operator: Operator, value: Value) -> Predicate {
    Predicate::Compare { field: field(name), operator, value }
}

/// Reads whose root walks an index in order.
fn walked() -> Vec<(&'static str, Read)> {
    let (mut after, mut backwards, mut by_id_after) = (facilities(), facilities(), all("Facility", vec![]).first(10));
    after.window.after = Some(vec![Value::from("Oslo"), Value::from("f1")]);
    backwards.window.backwards = true;
    backwards.window.before = Some(vec![Value::from("Oslo"), Value::from("f1")]);
    by_id_after.window.after = Some(vec![Value::from("f1")]);
    vec![
        ("sorted", facilities()),
        ("sorted_after", after),
        ("sorted_backwards", backwards),
        ("sorted_falling", facilities().sorted(vec![down(field("name")), down(Field::Id)])),
        ("sorted_by_id", all("Facility", vec![pick(Field::Id)]).first(10)),
        ("sorted_by_id_after", by_id_after),
        ("sorted_and_filtered", facilities().filtered(Predicate::equals(field("region"), Value::from("north")))),
    ]
}

fn filters() -> Vec<(&'static str, Read)> {
    let among = |values: &[&str]| Value::List(values.iter().map(|value| Value::from(*value)).collect());
    let filters = [
        ("filter_equal", Predicate::equals(field("code?"), Value::from("A"))),
        ("filter_one_of", compare("code?", Operator::In, among(&["A", "B"]))),
        ("filter_range", compare("grade?", Operator::Gte, Value::Int(3))),
        ("filter_prefix", compare("name", Operator::StartsWith, Value::from("Os"))),
        ("filter_by_id", Predicate::equals(Field::Id, Value::from("f1"))),
        ("filter_by_ids", Predicate::one_of(Field::Id, vec![Value::from("f1"), Value::from("f2")])),
    ];
    let read = |filter| Read { sort: Vec::new(), ..all("Facility", vec![pick(field("name"))]).filtered(filter) };
    filters.into_iter().map(|(name, filter)| (name, read(filter))).collect()
}

/// Subtrees and conditions along relationships.
fn walks() -> Vec<(&'static str, Read)> {
    let alerts = along("RAISED", Direction::Out, "Alert", vec![pick(Field::Id)])
        .sorted(vec![down(field("severity")), up(Field::Id)])
        .first(3);
    let picks = vec![pick(Field::Id), pick(edge("since")), Pick::Read(Box::new(alerts))];
    let devices =
        along("HAS_DEVICE", Direction::Out, "Device", picks).sorted(vec![up(edge("since")), up(Field::Id)]).first(5);
    let mut nested = facilities();
    nested.targets[0].picks.push(Pick::Read(Box::new(devices.clone())));
    let mut figured = facilities();
    let mut counted = Read { total: true, figures: vec![(Figure::Average, edge("confidence"))], ..devices };
    counted.targets[0].picks.truncate(1);
    figured.targets[0].picks.push(Pick::Read(Box::new(counted)));
    let failed = Related {
        place: Place::Nodes,
        via: Via::Relationship { relationship_type: "HAS_DEVICE".into(), direction: Direction::Out },
        targets: vec![Among {
            of: "Device".into(),
            filter: Predicate::equals(field("status"), Value::from("FAILED")),
            visible: Predicate::True,
        }],
        quantifier: Quantifier::All,
    };
    let quantified = facilities().filtered(Predicate::Related(Box::new(failed)));
    vec![("nested", nested), ("figured", figured), ("quantified", quantified)]
}

fn questions() -> Vec<(&'static str, Asked)> {
    let roots = walked().into_iter().chain(filters()).chain(walks());
    let mut questions: Vec<_> = roots.map(|(name, read)| (name, Asked::Root(read))).collect();
    let by_keys = Read {
        via: Via::Key { local: field("facility_id"), remote: Field::Id },
        ..all("Facility", vec![pick(Field::Id)])
    };
    questions.push(("by_keys", Asked::Keys(by_keys)));
    let mut several = all("Facility", vec![]).first(5);
    several.targets = vec![target("Facility", vec![pick(Field::Id)]), target("Device", vec![pick(Field::Type)])];
    questions.push(("several_types", Asked::Root(several)));
    let relationships = Read { place: Place::Relationships, ..all("Relationship", vec![pick(Field::Id)]) };
    questions.push(("relationships", Asked::Root(Read { sort: Vec::new(), ..relationships.first(5) })));
    let within = Within {
        of: "Facility".into(),
        row: false,
        filter: Predicate::equals(field("region"), Value::from("north")),
        visible: Predicate::True,
    };
    questions.push(("matching", Asked::Words(Matching { within: vec![within], text: "cold fish".into(), limit: 10 })));
    questions
}

fn golden(name: &str, shown: &str) {
    insta::with_settings!({ snapshot_path => "../golden/neo4j", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, shown);
    });
}

fn parameters(statement: &Statement) -> String {
    let named = statement.parameters.iter().filter(|(name, _)| name != "marks");
    named.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(" | ")
}

#[test]
fn statements() {
    let tenancy = Tenancy::Property("alpha".to_owned());
    let labels = Labels::of(&ontology());
    for (name, asked) in questions() {
        let statement = asked.statement(Scope { tenancy: &tenancy, labels: &labels });
        golden(name, &format!("{}\n\nparameters: {}", statement.text, parameters(&statement)));
    }
    // A graph that others wrote has no tenants in it.
    let nested = walks().remove(0).1;
    let statement = cypher::read(&nested, Scope { tenancy: &Tenancy::Database, labels: &labels });
    assert!(!statement.text.contains("_tenant"), "{}", statement.text);
    golden("nested_in_a_database", &statement.text);
}

/// The text of a statement does not depend on values: not on keys, cursors' contents or numbers of items.
#[test]
fn text_is_stable_for_a_shape() {
    let (tenancy, labels) = (Tenancy::Property("alpha".to_owned()), Labels::default());
    let shape = |name: &str, limit: u32, ids: usize| {
        let mut read = facilities().first(limit).filtered(Predicate::All(vec![
            Predicate::equals(field("region"), Value::from(name)),
            Predicate::one_of(Field::Id, (0..ids).map(|id| Value::from(format!("f{id}"))).collect()),
            Predicate::Any(
                (0..ids).map(|id| Predicate::equals(field("code?"), Value::from(format!("{id}")))).collect(),
            ),
        ]));
        read.window.after = Some(vec![Value::from(name), Value::from("f1")]);
        cypher::read(&read, Scope { tenancy: &tenancy, labels: &labels })
    };
    let (one, other) = (shape("a", 1, 2), shape("' OR true //`", 100, 200));
    assert_eq!(one.text, other.text);
    assert_ne!(one.parameters, other.parameters);
}

/// The types under labels that no other test uses, so that the planner's statistics are those of this file.
fn planned() -> Ontology {
    let mut ontology = ontology();
    for entity in ontology.types.values_mut() {
        if let Kind::Node { labels } = &mut entity.kind {
            *labels = vec![format!("Planned{}", entity.name)];
        }
    }
    ontology
}

/// Three tenants of 1,000 facilities, 5,000 devices and 5,000 alerts.
fn filled(bolt: &mut Bolt, ontology: &Ontology, labels: &Labels) {
    for text in quipu::stores::neo4j::statements().chain(schema::of_ontology(ontology, labels)) {
        bolt.run(&text, Vec::new());
    }
    bolt.run("CALL db.awaitIndexes()", Vec::new());
    for tenant in ["alpha", "beta", "gamma"] {
        for text in [
            "UNWIND range(1, 1000) AS i MERGE (f:PlannedFacility {_tenant: $t, id: 'f' + i}) \
             SET f.name = 'name ' + i, f.region = 'r' + (i % 10), f.grade = i % 7, f.code = 'c' + i",
            "UNWIND range(1, 5000) AS i MERGE (d:PlannedDevice {_tenant: $t, id: 'd' + i}) \
             WITH d, i MERGE (a:PlannedAlert {_tenant: $t, id: 'a' + i}) \
             MERGE (d)-[r:RAISED]->(a) SET r._tenant = $t \
             WITH d, i MATCH (f:PlannedFacility {_tenant: $t, id: 'f' + (i % 1000 + 1)}) \
             MERGE (f)-[r:HAS_DEVICE]->(d) SET r._tenant = $t",
        ] {
            bolt.run(text, vec![("t".to_owned(), Parameter::from(tenant))]);
        }
    }
    bolt.run("CALL db.prepareForReplanning(60)", Vec::new());
}

/// No plan goes through all nodes of a label, or sorts what an index has in order.
#[test]
fn plans() {
    let Some(options) = neo4j::options() else {
        return skipped("contract::cypher_plans::plans", "QUIPU_TEST_NEO4J names no server");
    };
    let address = options.url.split_once("://").unwrap().1;
    let mut bolt = Bolt::connect(address, &options.user, &options.password);
    let ontology = planned();
    let labels = Labels::of(&ontology);
    filled(&mut bolt, &ontology, &labels);
    let tenancy = Tenancy::Property("alpha".to_owned());
    for (name, asked) in questions() {
        let statement = asked.statement(Scope { tenancy: &tenancy, labels: &labels });
        let plan = bolt.plan(&statement);
        for scan in ["LabelScan", "AllNodesScan", "AllRelationshipsScan", "TypeScan", "CartesianProduct"] {
            assert!(!plan.contains(scan), "{name} goes through everything:\n{}\n{plan}", statement.text);
        }
        golden(&format!("{name}_plan"), &plan);
        if walked().iter().any(|(walked, _)| *walked == name) {
            let sorts = plan.lines().any(|line| matches!(line.trim(), "Top" | "Sort"));
            assert!(!sorts, "{name} sorts the whole tenant:\n{}\n{plan}", statement.text);
        }
        let Asked::Root(read) = asked else { continue };
        let question = Question::new(&read, Scope { tenancy: &tenancy, labels: &labels });
        if question.is_for_several() {
            let several = Question::together(&[&question, &question]);
            assert_eq!(without_values(&bolt.plan(&several)), without_values(&plan), "{name}: {}", several.text);
        }
    }
}

/// Several reads of one shape: their statement differs from that of one in where it has its values from.
#[test]
fn together() {
    let (tenancy, labels) = (Tenancy::Property("alpha".to_owned()), Labels::of(&ontology()));
    let question = |region: &str, floor: i64, limit: u32| {
        let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id)]);
        let devices = devices.filtered(compare("battery?", Operator::Gt, Value::Int(floor)));
        let read = all("Facility", vec![pick(Field::Id), Pick::Read(Box::new(devices))]).first(limit);
        let read = read.filtered(Predicate::equals(field("region"), Value::from(region)));
        Question::new(&read, Scope { tenancy: &tenancy, labels: &labels })
    };
    let (north, south) = (question("north", 1, 5), question("south", 2, 5));
    assert_eq!(north.shape("alpha"), south.shape("alpha"));
    // How many are wanted is said once for all of them, and so is whose they are.
    assert_ne!(north.shape("alpha"), question("north", 1, 6).shape("alpha"));
    assert_ne!(north.shape("alpha"), north.shape("beta"));
    let statement = Question::together(&[&north, &south]);
    golden("together", &format!("{}\n\nparameters: {}", statement.text, parameters(&statement)));
}

/// A plan without the names of values, and without the operator that goes through several questions.
fn without_values(plan: &str) -> Vec<String> {
    let lines = plan.lines().filter(|line| line.trim() != "Unwind");
    let word = |word: &str| match word.starts_with("$p") || word.starts_with("asked[") {
        true => "?".to_owned(),
        false => word.to_owned(),
    };
    lines.map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
}
