//! Golden statements over tables of others, written without a server.

use std::collections::HashMap;
use std::sync::Arc;

use quipu::stores::sql::mapped::{Column, Mapped, Sort, Table, Tables, Whose};
use quipu::stores::sql::names::{NameOf, Names};
use quipu::stores::sql::{Dialect, Statement};
use quipu_resolvers::read::{
    Field, Pick, Place, Predicate, Read, Related, Scope, Sort as Key, Stored, Target, Via, Window,
};
use quipu_resolvers::value::Value;
use quipu_schema::api::Figure;
use quipu_schema::ontology::Scalar;
use quipu_schema::policy::{Operator, Quantifier};

fn table(name: &str, id: &str, whose: Whose, columns: &[(&str, Sort, bool)]) -> Mapped {
    let column =
        |(name, sort, array): &(&str, Sort, bool)| ((*name).to_owned(), Column { sort: sort.clone(), array: *array });
    Mapped::Table(Arc::new(Table {
        schema: "shop".to_owned(),
        name: name.to_owned(),
        id: id.to_owned(),
        whose,
        columns: columns.iter().map(column).collect::<HashMap<_, _>>(),
        enums: HashMap::from([("State".to_owned(), vec!["OPEN".to_owned(), "SENT".to_owned()])]),
        writing: None,
    }))
}

/// Orders of all tenants, with the tenant's name in a column; customers, which policies keep apart; notes of our own.
fn names() -> Names {
    let text = || Sort::Text { collation: Some("pg_catalog.\"default\"".to_owned()) };
    let mut tables = Tables::default();
    let named = Whose::Named { column: "Tenant \"Id\"".to_owned(), literal: "'acme'".to_owned() };
    let orders = [
        ("order_no", Sort::Uuid, false),
        ("customer_id", Sort::Integer, false),
        ("code", text(), false),
        ("state", text(), false),
        ("price", Sort::Double, false),
        ("exact", Sort::Decimal { exact: true }, false),
        ("at", Sort::Instant { fine: true }, false),
        ("tags", text(), true),
    ];
    tables.insert(7, table("orders", "order_no", named, &orders));
    tables.insert(8, table("customers", "id", Whose::Shown, &[("id", Sort::Integer, false), ("name", text(), false)]));
    let mut names = Names::of_tenant(3);
    for (key, name) in [(7, "Order"), (8, "Customer"), (9, "Note")] {
        names.insert(NameOf::Row, name, key, Vec::new());
    }
    names.with_tables(Arc::new(tables))
}

fn field(name: &str, scalar: Scalar) -> Field {
    Field::Property(Stored {
        name: name.to_owned(),
        scalar,
        list: name == "tags",
        nullable: name != "code",
        indexed: false,
    })
}

fn all(of: &str, picks: Vec<Pick>) -> Read {
    Read {
        place: Place::Rows,
        via: Via::Root,
        targets: vec![Target { of: of.to_owned(), filter: Predicate::True, visible: Predicate::True, picks }],
        sort: vec![Key { field: Field::Id, descending: false }],
        window: Window { limit: Some(10), ..Window::default() },
        rows: true,
        total: false,
        figures: Vec::new(),
    }
}

fn compare(field: Field, operator: Operator, value: impl Into<Value>) -> Predicate {
    Predicate::Compare { field, operator, value: value.into() }
}

fn show(statement: &Statement) -> String {
    let parameters: Vec<String> = statement.parameters.iter().map(ToString::to_string).collect();
    let text = statement.text.replace(" FROM ", "\nFROM ").replace(" WHERE ", "\nWHERE ");
    format!("{text}\n\n{}\n\nnames the tenant: {}\n", parameters.join("\n"), statement.shows_name)
}

#[test]
fn statements() {
    let names = names();
    let customer = |name: &str| Via::Key { local: field(name, Scalar::Id), remote: Field::Id };
    let of_customer = Via::Key { local: Field::Id, remote: field("customer_id", Scalar::Id) };
    let of_note = Via::Key { local: field("order", Scalar::Id), remote: Field::Id };
    let mut filtered = all("Order", vec![Pick::Field(Field::Id), Pick::Field(field("tags", Scalar::String))]);
    filtered.targets[0].filter = Predicate::All(vec![
        compare(
            Field::Id,
            Operator::In,
            Value::List(vec!["no uuid".into(), "0190a6b2-6f0e-7cc0-98a5-3a7d1f3c2b10".into()]),
        ),
        compare(field("code", Scalar::String), Operator::Eq, "a"),
        compare(field("code", Scalar::String), Operator::StartsWith, "a"),
        compare(field("tags", Scalar::String), Operator::Includes, "new"),
        compare(field("at", Scalar::DateTime), Operator::Lt, "2026-11-21T10:00:00.000Z"),
        Predicate::Not(Box::new(compare(field("customer_id", Scalar::Id), Operator::Eq, "007"))),
    ]);
    let mut page = all(
        "Order",
        vec![Pick::Field(field("state", Scalar::Enum("State".into()))), Pick::Field(field("at", Scalar::DateTime))],
    );
    page.sort =
        ["code", "at"].map(|name| Key { field: field(name, Scalar::String), descending: name == "at" }).to_vec();
    page.sort.push(Key { field: Field::Id, descending: false });
    page.window.after = Some(vec!["a".into(), Value::Null, "0190a6b2-6f0e-7cc0-98a5-3a7d1f3c2b10".into()]);
    let orders = Read {
        via: of_customer.clone(),
        ..all("Order", vec![Pick::Field(Field::Type), Pick::Field(field("price", Scalar::Float))])
    };
    let mut nested = all("Customer", vec![Pick::Field(Field::Id), Pick::Read(Box::new(orders))]);
    nested.targets[0].filter = Predicate::Related(Box::new(Related {
        place: Place::Rows,
        via: of_customer.clone(),
        targets: vec![Scope {
            of: "Order".into(),
            filter: compare(field("price", Scalar::Float), Operator::Gt, Value::Float(0.1)),
            visible: Predicate::True,
        }],
        quantifier: Quantifier::All,
    }));
    let order = Read { via: of_note, ..all("Order", vec![Pick::Field(Field::Id)]) };
    let from_own = all("Note", vec![Pick::Read(Box::new(order))]);
    let note = Read {
        via: Via::Key { local: Field::Id, remote: field("order", Scalar::Id) },
        ..all("Note", vec![Pick::Field(Field::Id)])
    };
    let to_own = all("Order", vec![Pick::Read(Box::new(note))]);
    let mut figures = all("Order", Vec::new());
    (figures.rows, figures.total) = (false, true);
    figures.figures = vec![
        (Figure::Sum, field("price", Scalar::Float)),
        (Figure::Average, field("exact", Scalar::Float)),
        (Figure::Min, field("at", Scalar::DateTime)),
        (Figure::Longest, field("code", Scalar::String)),
    ];
    let by_keys =
        Read { via: customer("customer_id"), ..all("Customer", vec![Pick::Field(field("name", Scalar::String))]) };
    insta::with_settings!({ snapshot_path => "../golden/postgres", prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, read) in [
            ("mapped_filtered", filtered),
            ("mapped_after", page),
            ("mapped_nested", nested),
            ("mapped_from_own", from_own),
            ("mapped_to_own", to_own),
            ("mapped_figures", figures),
        ] {
            insta::assert_snapshot!(name, show(&Dialect::Postgres.read(&read, &names)));
        }
        let keys = ["107".into(), "not a number".into()];
        insta::assert_snapshot!("mapped_by_keys", show(&Dialect::Postgres.read_many(&by_keys, &keys, &names)));
    });
}

/// What a statement cannot be written for is told, and nothing of it is run.
#[test]
fn what_is_not_there_is_told() {
    let names = names();
    let gone = Dialect::Postgres.read(&all("Order", vec![Pick::Field(field("gone", Scalar::String))]), &names);
    assert!(gone.broken.is_some_and(|why| why.starts_with("Order cannot be read")));
    let mut tables = Tables::default();
    tables.insert(8, Mapped::Broken("Customer cannot be read".to_owned()));
    let names = names.with_tables(Arc::new(tables));
    assert_eq!(
        Dialect::Postgres.read(&all("Customer", Vec::new()), &names).broken.as_deref(),
        Some("Customer cannot be read")
    );
    assert_eq!(Dialect::Postgres.read(&all("Note", Vec::new()), &names).broken, None);
}
