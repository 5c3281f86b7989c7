//! Golden statements of Postgres, and the indexes that its plans use below row security.

use quipu::stores::postgres::Postgres;
use quipu::stores::sql::names::{NameOf, Names};
use quipu::stores::sql::{Dialect, Parameter, Statement};
use quipu_resolvers::ports::Metadata as _;
use quipu_resolvers::read::{Field, Pick, Predicate, Read, Related, Scope, Via};
use quipu_resolvers::value::Value;
use quipu_schema::api::Figure;
use quipu_schema::policy::{Operator, Quantifier};
use sqlx::{AssertSqlSafe, Executor, query_scalar};

use super::super::fixture::*;
use super::{plain, server};

/// Names as a first tenant has them.
fn names(tenant: i64, kind: i64) -> Names {
    let mut names = Names::of_tenant(tenant);
    names.insert(NameOf::Row, "Contract", kind, Vec::new());
    names.set_columns(kind, &["facility_id".to_owned()], &[]);
    names
}

fn siblings() -> Read {
    let via = Via::Key { local: field("facility_id"), remote: field("facility_id") };
    Read { via, ..all("Contract", vec![pick(Field::Id), pick(field("supplier"))]).first(5) }
}

fn compare(name: &str, operator: Operator, value: impl Into<Value>) -> Predicate {
    Predicate::Compare { field: field(name), operator, value: value.into() }
}

/// Questions by name.
fn questions() -> Vec<(&'static str, Read)> {
    let contracts = || all("Contract", vec![pick(Field::Id), pick(field("price?"))]).first(10);
    let mut figures = contracts();
    figures.total = true;
    figures.figures = [Figure::Sum, Figure::Average, Figure::Min].map(|figure| (figure, field("price?"))).to_vec();
    figures.figures.push((Figure::Longest, field("supplier")));
    let mut after = contracts().sorted(vec![down(field("price?")), up(Field::Id)]);
    after.window.after = Some(vec![Value::Float(2.5), "c1".into()]);
    let related = Predicate::Related(Box::new(Related {
        place: quipu_resolvers::read::Place::Rows,
        via: Via::Key { local: field("facility_id"), remote: field("facility_id") },
        targets: vec![Scope {
            of: "Contract".into(),
            filter: compare("price?", Operator::Gt, Value::Float(1.5)),
            visible: Predicate::True,
        }],
        quantifier: Quantifier::All,
    }));
    let texts = Predicate::All(vec![
        compare("supplier", Operator::StartsWith, "a"),
        compare("supplier", Operator::EndsWith, "z"),
        compare("supplier", Operator::Contains, "m"),
        Predicate::Any(vec![
            compare("active?", Operator::Eq, Value::Bool(true)),
            compare("grade?", Operator::In, Value::List(vec![Value::Int(1), Value::Int(2)])),
            compare("tags?", Operator::Includes, "new"),
        ]),
    ]);
    let nested =
        vec![pick(Field::Id), Pick::Read(Box::new(siblings())), Pick::Holds(compare("grade", Operator::Lt, 3))];
    vec![
        ("sorted", contracts().sorted(vec![up(field("facility_id")), up(Field::Id)])),
        ("after", after),
        ("filtered", contracts().filtered(texts)),
        ("quantified", contracts().filtered(related)),
        ("nested", all("Contract", nested).first(20)),
        ("figures", figures),
    ]
}

fn show(statement: &Statement) -> String {
    let parameters: Vec<String> = statement.parameters.iter().map(Parameter::to_string).collect();
    format!(
        "{}\n\n{}\n",
        statement.text.replace(" FROM ", "\nFROM ").replace(" WHERE ", "\nWHERE "),
        parameters.join("\n")
    )
}

/// The text is written without a server.
#[test]
fn statements() {
    let names = names(1, 4);
    insta::with_settings!({ snapshot_path => "../../golden/postgres", prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, read) in questions() {
            insta::assert_snapshot!(name, show(&Dialect::Postgres.read(&read, &names)));
        }
        let keys = ["f1".into(), "f2".into()];
        insta::assert_snapshot!("by_keys", show(&Dialect::Postgres.read_many(&siblings(), &keys, &names)));
        let many: Vec<Pick> = (0..200).map(|index| pick(field(&format!("p{index}")))).collect();
        let wide = Dialect::Postgres.read(&all("Contract", many), &names);
        assert_eq!(wide.text.matches("jsonb_build_array(").count(), 3, "a function takes 100 arguments");
    });
}

/// Below row security only what cannot leak is looked up in an index: columns of their own are, JSON would not be.
#[tokio::test]
async fn plans_use_indexes_below_row_security() {
    let Some(server) = server("contract::postgres::plans::plans_use_indexes_below_row_security") else { return };
    let options = server.fresh();
    let store = Postgres::open(options.clone()).await.unwrap();
    store.publish(&tenant("alpha"), "one", &ontology(), AT).await.unwrap();
    let mut login = plain(&server.login, &options).await;
    let tenant: i64 = query_scalar("SELECT tenant_key('alpha')").fetch_one(&mut login).await.unwrap();
    login.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL quipu.tenant = '{tenant}'"))).await.unwrap();
    let kind: i64 = query_scalar("SELECT key FROM kind WHERE name = 'Contract'").fetch_one(&mut login).await.unwrap();
    let rows = "INSERT INTO record (tenant, kind, id, props, t1) SELECT $1, $2, 'c' || n, \
                jsonb_build_object('facility_id', 'f' || n / 20, 'supplier', 's' || n), 'f' || n / 20 FROM generate_series(1, 20000) n";
    sqlx::query(rows).bind(tenant).bind(kind).execute(&mut login).await.unwrap();
    login.execute("COMMIT").await.unwrap();
    plain(&server.owner, &options).await.execute("ANALYZE record").await.unwrap();
    login.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL quipu.tenant = '{tenant}'"))).await.unwrap();
    let names = names(tenant, kind);
    let mut plan = async |statement: Statement| {
        let mut query = query_scalar::<_, String>(AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {}", statement.text)));
        for parameter in &statement.parameters {
            query = match parameter {
                Parameter::Int(number) => query.bind(*number),
                Parameter::Text(text) => query.bind(text.clone()),
                Parameter::Texts(texts) => query.bind(texts.clone()),
                Parameter::Null | Parameter::Bytes(_) => query.bind(None::<String>),
            };
        }
        query.fetch_all(&mut login).await.unwrap().join("\n")
    };
    for (name, read) in questions() {
        let plan = plan(Dialect::Postgres.read(&read, &names)).await;
        match name {
            "sorted" => assert!(plan.contains("Index Scan using record_t1") && !plan.contains("Sort"), "{plan}"),
            "nested" => {
                assert!(plan.contains("Index Scan using record_id"), "{plan}");
                assert!(plan.contains("record_t1") && plan.contains("t1 = r1.t1"), "{plan}");
            }
            _ => {}
        }
    }
    let keys = ["f1".into(), "f2".into()];
    let plan = plan(Dialect::Postgres.read_many(&siblings(), &keys, &names)).await;
    assert!(plan.contains("record_t1") && plan.contains("t1 = wanted.value"), "{plan}");
}
