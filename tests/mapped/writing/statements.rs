//! Golden statements that write to tables of others, without a server.

use std::collections::HashMap;

use quipu::stores::sql::mapped::writes::Batch;
use quipu::stores::sql::mapped::{Column, Settable, Sort, Table, Whose, Writing};
use quipu_resolvers::change::{Act, Op, Ref};
use serde_json::{Map, Value as Json, json};

/// A table with the tenant's name in a column, or under policies.
fn table(whose: Whose, id: Sort) -> Table {
    let text = || Sort::Text { collation: None };
    let columns = [("No", id), ("state", text()), ("a \"b\"", Sort::Integer)];
    let settable = |(name, longest): (&str, Option<usize>)| {
        let type_name = if name == "state" { "character varying(5)" } else { "integer" };
        (name.to_owned(), Settable { type_name: type_name.to_owned(), longest, bits: 32 })
    };
    Table {
        schema: "shop".to_owned(),
        name: "Till".to_owned(),
        id: "No".to_owned(),
        whose,
        columns: columns.into_iter().map(|(name, sort)| (name.to_owned(), Column { sort, array: false })).collect(),
        enums: HashMap::new(),
        writing: Some(Writing {
            of: "Till".to_owned(),
            id_type: "text".to_owned(),
            columns: [("state", Some(5)), ("a \"b\"", None)].map(settable).into(),
            constraints: HashMap::new(),
            partitioned: false,
            fields: HashMap::from([("state".to_owned(), "state".to_owned()), ("No".to_owned(), "id".to_owned())]),
        }),
    }
}

fn op(act: Act, id: &str, set: Json) -> Op {
    let set: Map<String, Json> = set.as_object().cloned().unwrap_or_default();
    Op::Foreign { record: Ref { of: "Till".to_owned(), id: id.to_owned() }, act, set }
}

#[test]
fn statements() {
    let named = || Whose::Named { column: "Tenant".to_owned(), literal: "'acme'".to_owned() };
    let text = || Sort::Text { collation: Some("pg_catalog.\"default\"".to_owned()) };
    let both = json!({"state": "it's", "a \"b\"": 1});
    let mut page = String::new();
    for (table, ops) in [
        (
            table(named(), text()),
            vec![op(Act::Create, "x", both.clone()), op(Act::Create, "y", json!({"state": null, "a \"b\"": 2.0}))],
        ),
        (table(named(), text()), vec![op(Act::Make, "x", json!({"state": "a"}))]),
        (table(named(), text()), vec![op(Act::Make, "x", json!({}))]),
        (table(Whose::Shown, text()), vec![op(Act::Make, "x", json!({}))]),
        (
            table(named(), Sort::Text { collation: None }),
            vec![op(Act::Update, "x", both.clone()), op(Act::Update, "y", both.clone())],
        ),
        (
            table(Whose::All, Sort::Integer),
            vec![op(Act::Update, "7", json!({"state": "b"})), op(Act::Update, "no number", json!({"state": "c"}))],
        ),
        (
            table(named(), Sort::Uuid),
            vec![
                op(Act::Delete, "0190a6b2-6f0e-7cc0-98a5-3a7d1f3c2b10", json!({})),
                op(Act::Delete, "other", json!({})),
            ],
        ),
        (table(Whose::Shown, text()), vec![op(Act::Delete, "x", json!({}))]),
    ] {
        for batch in Batch::of_all(ops.iter()) {
            let statement = batch.statement(&table, table.writing.as_ref().unwrap()).unwrap().unwrap();
            let parameters: Vec<String> = statement.parameters.iter().map(ToString::to_string).collect();
            page += &format!("{}\n    {}\n", statement.text, parameters.join("\n    "));
        }
    }
    insta::with_settings!({ snapshot_path => "../../golden/postgres", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("mapped_writes", page);
    });
}

/// What no column holds, and what nobody may set, is told before anything is run; ids that are none of the table's are of no row.
#[test]
fn what_does_not_fit_is_told() {
    let table = table(Whose::Named { column: "Tenant".to_owned(), literal: "'acme'".to_owned() }, Sort::Integer);
    let told = |op: Op| {
        let ops = [op];
        let batches = Batch::of_all(ops.iter());
        batches[0].statement(&table, table.writing.as_ref().unwrap()).map(|statement| statement.is_some())
    };
    assert_eq!(
        told(op(Act::Create, "07", json!({}))),
        Err("Till.id: \"07\" is no value that its column can hold".to_owned())
    );
    assert_eq!(
        told(op(Act::Create, "7", json!({"Tenant": "other"}))),
        Err("Till.Tenant: it is not written".to_owned())
    );
    assert_eq!(told(op(Act::Create, "7", json!({"none": 1}))), Err("Till.none: it is not written".to_owned()));
    assert_eq!(
        told(op(Act::Update, "7", json!({"state": "longer"}))),
        Err("Till.state: 6 characters, and at most 5 are possible".to_owned())
    );
    assert_eq!(told(op(Act::Update, "07", json!({"state": "a"}))), Ok(false));
    assert_eq!(told(op(Act::Delete, "seven", json!({}))), Ok(false));
    assert_eq!(told(op(Act::Delete, "7", json!({}))), Ok(true));
}
