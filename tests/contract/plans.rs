//! Golden statements of the embedded store with their query plans: indexes are walked in order and stop at the limit.

use std::fmt::Write as _;

use quipu::stores::sql::names::{NameOf, Names};
use quipu::stores::sql::{Dialect, Parameter, Statement, search};
use quipu::stores::sqlite::{Embedded, Options};
use quipu_resolvers::ports::{Matching, Nearest, Within};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Related, Scope, Via};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Direction;
use quipu_schema::policy::{Operator, Quantifier};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::fixture::*;

/// A published, empty file, the names in it and a connection to it.
struct File {
    _directory: tempfile::TempDir,
    connection: SqliteConnection,
    names: Names,
}

async fn file() -> File {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quipu.db");
    let store = Embedded::open(&path, Options::default()).await.unwrap();
    use quipu_resolvers::ports::Metadata as _;
    store.metadata().publish(&tenant("alpha"), "one", &ontology(), AT).await.unwrap();
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let mut names = Names::of_tenant(1);
    let rows = sqlx::query("SELECT sort, name, key FROM kind").fetch_all(&mut connection).await.unwrap();
    for row in rows {
        names.insert(NameOf::of_number(row.get(0)).unwrap(), row.get(1), row.get(2), Vec::new());
    }
    File { _directory: directory, connection, names }
}

impl File {
    /// The plan, one step a line, indented by depth.
    async fn plan(&mut self, statement: &Statement) -> String {
        let text = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.text));
        let mut query = sqlx::query(text);
        for parameter in &statement.parameters {
            query = match parameter {
                Parameter::Int(number) => query.bind(*number),
                Parameter::Text(text) => query.bind(text.clone()),
                Parameter::Null | Parameter::Bytes(_) | Parameter::Texts(_) => query.bind(None::<i64>),
            };
        }
        let mut depths = std::collections::HashMap::from([(0, 0)]);
        let mut plan = String::new();
        for row in query.fetch_all(&mut self.connection).await.unwrap() {
            let (id, parent): (i64, i64) = (row.get(0), row.get(1));
            let depth = depths[&parent];
            depths.insert(id, depth + 1);
            writeln!(plan, "{}{}", "  ".repeat(depth), row.get::<&str, _>(3)).unwrap();
        }
        plan
    }

    async fn golden(&mut self, name: &str, statement: &Statement) -> String {
        let plan = self.plan(statement).await;
        let parameters: Vec<String> = statement.parameters.iter().map(Parameter::to_string).collect();
        let shown = format!("{}\n\nparameters: {}\n\n{plan}", statement.text, parameters.join(" | "));
        insta::with_settings!({ snapshot_path => "../golden/sqlite", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, shown);
        });
        plan
    }
}

fn facilities() -> Read {
    all("Facility", vec![pick(Field::Id), pick(field("name"))]).sorted(vec![up(field("name")), up(Field::Id)]).first(10)
}

#[tokio::test]
async fn sorted_roots_walk_an_index() {
    let mut file = file().await;
    let (mut after, mut backwards) = (facilities(), facilities());
    after.window.after = Some(vec![Value::from("Oslo"), Value::from("f1")]);
    backwards.window.backwards = true;
    backwards.window.before = Some(vec![Value::from("Oslo"), Value::from("f1")]);
    let falling = facilities().sorted(vec![down(field("name")), down(Field::Id)]);
    let absent_last = facilities().sorted(vec![up(field("grade?")), up(Field::Id)]);
    let absent_first = facilities().sorted(vec![down(field("grade?")), down(Field::Id)]);
    let by_id = all("Facility", vec![pick(Field::Id)]).first(10);
    let filtered = facilities().filtered(Predicate::equals(field("region"), Value::from("north")));
    for (name, read) in [
        ("sorted", facilities()),
        ("sorted_after", after),
        ("sorted_backwards", backwards),
        ("sorted_falling", falling),
        ("sorted_by_id", by_id),
        ("sorted_absent_last", absent_last),
        ("sorted_absent_first", absent_first),
        ("sorted_and_filtered", filtered),
    ] {
        let plan = file.golden(name, &Dialect::Sqlite.read(&read, &file.names.clone())).await;
        assert!(!plan.contains("USE TEMP B-TREE"), "{name} sorts:\n{plan}");
        assert!(plan.contains("USING INDEX") || plan.contains("USING COVERING INDEX"), "{name} scans:\n{plan}");
        let from_a_place = read.window.after.is_some() || read.window.before.is_some();
        assert_eq!(
            from_a_place,
            plan.contains("<expr>>?") || plan.contains("<expr><?"),
            "{name} begins elsewhere:\n{plan}"
        );
    }
}

#[tokio::test]
async fn filters_use_an_index() {
    let mut file = file().await;
    let compare = |name: &str, operator, value: Value| Predicate::Compare { field: field(name), operator, value };
    for (name, filter) in [
        ("equal", Predicate::equals(field("code?"), Value::from("A"))),
        ("one_of", compare("code?", Operator::In, Value::List(vec![Value::from("A"), Value::from("B")]))),
        ("range", compare("grade?", Operator::Gte, Value::Int(3))),
        ("prefix", compare("name", Operator::StartsWith, Value::from("Os"))),
        ("by_id", Predicate::equals(Field::Id, Value::from("f1"))),
        ("by_ids", Predicate::one_of(Field::Id, vec![Value::from("f1"), Value::from("f2")])),
    ] {
        let read = all("Facility", vec![pick(field("name"))]).filtered(filter);
        let read = Read { sort: Vec::new(), ..read };
        let plan = file.golden(&format!("filter_{name}"), &Dialect::Sqlite.read(&read, &file.names.clone())).await;
        let by_value = plan.contains("<expr>") || plan.contains("id=?");
        assert!(by_value, "{name} goes through all facilities:\n{plan}");
    }
}

#[tokio::test]
async fn a_subtree_is_walked_along_its_relationships() {
    let mut file = file().await;
    let alerts = along("RAISED", Direction::Out, "Alert", vec![pick(Field::Id)])
        .sorted(vec![down(field("severity")), up(Field::Id)])
        .first(3);
    let picks = vec![pick(Field::Id), pick(edge("since")), Pick::Read(Box::new(alerts))];
    let devices =
        along("HAS_DEVICE", Direction::Out, "Device", picks).sorted(vec![up(edge("since")), up(Field::Id)]).first(5);
    let mut read = facilities();
    read.targets[0].picks.push(Pick::Read(Box::new(devices)));
    let plan = file.golden("nested", &Dialect::Sqlite.read(&read, &file.names.clone())).await;
    assert_eq!(plan.matches("USING COVERING INDEX edge_out").count() + plan.matches("USING INDEX edge_out").count(), 2);
    assert!(!plan.contains("AUTOMATIC"), "an index is made for one statement:\n{plan}");

    let failed = Related {
        place: Place::Nodes,
        via: Via::Relationship { relationship_type: "HAS_DEVICE".into(), direction: Direction::Out },
        targets: vec![Scope {
            of: "Device".into(),
            filter: Predicate::equals(field("status"), Value::from("FAILED")),
            visible: Predicate::True,
        }],
        quantifier: Quantifier::All,
    };
    let filtered = facilities().filtered(Predicate::Related(Box::new(failed)));
    let plan = file.golden("quantified", &Dialect::Sqlite.read(&filtered, &file.names.clone())).await;
    assert_eq!(plan.matches("INDEX edge_out").count(), 2, "{plan}");
}

#[tokio::test]
async fn joins_by_keys_use_an_index() {
    let mut file = file().await;
    let contracts = Read {
        via: Via::Key { local: Field::Id, remote: field("facility_id") },
        ..all("Contract", vec![pick(Field::Id)]).first(3)
    };
    let keys = [Value::from("f1"), Value::from("f2")];
    let plan = file.golden("by_keys", &Dialect::Sqlite.read_many(&contracts, &keys, &file.names.clone())).await;
    assert!(plan.contains("<expr>=?"), "{plan}");
}

/// Hits come in the order of the full-text index itself, so that conditions are asked of the best first, until there are enough.
#[tokio::test]
async fn searches_stop_at_the_limit() {
    let mut file = file().await;
    let within = Within {
        of: "Facility".into(),
        row: false,
        filter: Predicate::equals(field("region"), Value::from("north")),
        visible: Predicate::True,
    };
    let matching = Matching { within: vec![within.clone()], text: "cold fish".into(), limit: 10 };
    let statement = search::matching(&matching, &search::words(&matching.text), &file.names.clone());
    let plan = file.golden("matching", &statement).await;
    let main: Vec<&str> = plan.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(!main.iter().any(|line| line.contains("TEMP B-TREE")), "{plan}");
    let nearest = Nearest { within, property: "summary".into(), vector: vec![1.0; 8], limit: 10 };
    file.golden("signs", &search::signs(&nearest, &file.names.clone())).await;
    file.golden("nearest_of", &search::nearest_of(&nearest, &[1, 2], &file.names.clone())).await;
    file.golden("nearest_of_few", &search::nearest_of_few(&nearest, &file.names.clone())).await;
}

/// The text of a statement does not depend on values: not on keys, cursors' contents, words or numbers of items.
#[tokio::test]
async fn text_is_stable_for_a_shape() {
    let file = file().await;
    let shape = |name: &str, limit: u32, ids: usize| {
        let mut read = facilities().first(limit).filtered(Predicate::All(vec![
            Predicate::equals(field("region"), Value::from(name)),
            Predicate::one_of(Field::Id, (0..ids).map(|id| Value::from(format!("f{id}"))).collect()),
        ]));
        read.window.after = Some(vec![Value::from(name), Value::from("f1")]);
        Dialect::Sqlite.read(&read, &file.names)
    };
    let (one, other) = (shape("a", 1, 2), shape("' OR 1=1 --", 100, 200));
    assert_eq!(one.text, other.text);
    assert_ne!(one.parameters, other.parameters);
}
