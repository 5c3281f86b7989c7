//! Rows of tables that belong to others, written: one statement for rows that are written alike, with the tenant in it. Pure.

use std::collections::{BTreeSet, HashMap};

use quipu_resolvers::change::{Act, Op, Ref};
use serde_json::{Map, Number, Value as Json};

use super::{Column, Quoted, Sort, Table, Whose};
use crate::stores::sql::{Parameter, Statement};

/// What writing to a table has to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Writing {
    /// Name of the type whose rows are written.
    pub of: String,
    /// The type of the column of the id, as SQL.
    pub id_type: String,
    /// Columns that inputs have, by name; never the one that says whose row it is.
    pub columns: HashMap<String, Settable>,
    /// Columns of constraints and unique indexes, by their names.
    pub constraints: HashMap<String, Vec<String>>,
    /// Whether its rows are in partitions, under whose names the database speaks of them.
    pub partitioned: bool,
    /// Names of fields by column, for whoever has to be told of one.
    pub fields: HashMap<String, String>,
}

/// A column that can be given a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Settable {
    /// Its type as SQL.
    pub type_name: String,
    /// Most characters of a text.
    pub longest: Option<usize>,
    /// The size of whole numbers in bits, 0 of anything else.
    pub bits: u32,
}

/// Rows of one table that are written alike, in their order.
#[derive(Debug, PartialEq)]
pub struct Batch<'a> {
    /// Name of their type.
    pub of: &'a str,
    /// What is done to each.
    pub act: Act,
    /// The columns that are set, `id` not among them.
    columns: Vec<&'a String>,
    /// Which rows, and what they are given.
    pub rows: Vec<(&'a Ref, &'a Map<String, Json>)>,
}

impl<'a> Batch<'a> {
    /// Parts operations into batches, in their order: a record comes once in each.
    pub fn of_all(ops: impl Iterator<Item = &'a Op>) -> Vec<Self> {
        let mut batches: Vec<Self> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for op in ops {
            let Op::Foreign { record, act, set } = op else { continue };
            let columns: Vec<&String> = set.keys().collect();
            match batches.last_mut() {
                Some(last)
                    if last.of == record.of
                        && last.act == *act
                        && last.columns == columns
                        // Where no column is named, a statement makes one row.
                        && !(columns.is_empty() && *act == Act::Make)
                        && !seen.contains(record.id.as_str()) =>
                {
                    last.rows.push((record, set));
                }
                _ => {
                    seen.clear();
                    batches.push(Self { of: &record.of, act: *act, columns, rows: vec![(record, set)] });
                }
            }
            seen.insert(&record.id);
        }
        batches
    }

    /// The statement, which answers with the ids of the rows that it wrote, those of new rows in their order. `None` when there is nothing to
    /// be written.
    ///
    /// # Errors
    /// What is wrong with which field: its column cannot hold the value.
    pub fn statement(&self, table: &Table, writing: &Writing) -> Result<Option<Statement>, String> {
        let rows = self.rows.iter().filter_map(|(record, set)| self.row(table, writing, record, set).transpose());
        let rows = rows.collect::<Result<Vec<Json>, String>>()?;
        if rows.is_empty() || (self.act == Act::Update && self.columns.is_empty()) {
            return Ok(None);
        }
        let name = format!("{}.{}", Quoted(&table.schema), Quoted(&table.name));
        let given = format!("jsonb_to_recordset(CAST($1 AS jsonb)) AS v({})", self.definitions(table, writing));
        let shown = format!("RETURNING CAST(r1.{} AS text)", Quoted(&table.id));
        let text = match self.act {
            Act::Create | Act::Make => self.insert(table, &name, &given, &shown),
            Act::Update => {
                let sets: Vec<String> = self.columns.iter().map(|c| format!("{0} = v.{0}", Quoted(c))).collect();
                let mine = mine(table);
                format!("UPDATE {name} AS r1 SET {} FROM {given} WHERE {mine} {shown}", sets.join(", "))
            }
            Act::Delete => format!("DELETE FROM {name} AS r1 USING {given} WHERE {} {shown}", mine(table)),
        };
        let parameters = match text.contains("$1") {
            true => vec![Parameter::Text(Json::from(rows).to_string())],
            false => Vec::new(),
        };
        Ok(Some(Statement { text, parameters, foreign: true, shows_name: true, ..Statement::default() }))
    }

    fn insert(&self, table: &Table, name: &str, given: &str, shown: &str) -> String {
        let id = (self.act == Act::Create).then_some(&table.id);
        let columns: Vec<&String> = id.into_iter().chain(self.columns.iter().copied()).collect();
        let mut into: Vec<String> = columns.iter().map(|column| Quoted(column).to_string()).collect();
        let mut from: Vec<String> = columns.iter().map(|column| format!("v.{}", Quoted(column))).collect();
        if let Whose::Named { column, literal } = &table.whose {
            into.insert(0, Quoted(column).to_string());
            from.insert(0, literal.clone());
        }
        match (into.is_empty(), columns.is_empty()) {
            (true, _) => format!("INSERT INTO {name} AS r1 DEFAULT VALUES {shown}"),
            (false, true) => {
                format!("INSERT INTO {name} AS r1 ({}) SELECT {} {shown}", into.join(", "), from.join(", "))
            }
            // A function's rows come in their order, and so do those that are made of them.
            (false, false) => {
                format!(
                    "INSERT INTO {name} AS r1 ({}) SELECT {} FROM {given} {shown}",
                    into.join(", "),
                    from.join(", ")
                )
            }
        }
    }

    /// The columns of the rows that are given.
    fn definitions(&self, table: &Table, writing: &Writing) -> String {
        let id = (self.act != Act::Make).then(|| format!("{} {}", Quoted(&table.id), writing.id_type));
        let set = self.columns.iter().map(|column| {
            let known = writing.columns.get(*column).map_or("text", |settable| settable.type_name.as_str());
            format!("{} {known}", Quoted(column))
        });
        id.into_iter().chain(set).collect::<Vec<_>>().join(", ")
    }

    /// What one row is given; `None` when its id is none of the table's.
    fn row(
        &self,
        table: &Table,
        writing: &Writing,
        record: &Ref,
        set: &Map<String, Json>,
    ) -> Result<Option<Json>, String> {
        let mut row = Map::with_capacity(set.len() + 1);
        let place = |field: &str| format!("{}.{field}", writing.of);
        if self.act != Act::Make {
            let exact = table.columns.get(&table.id).and_then(|column| column.sort.exactly(&record.id));
            match (exact, self.act) {
                (Some(exact), _) => row.insert(table.id.clone(), exact.into()),
                (None, Act::Create) => return Err(format!("{}: {}", place("id"), no_value(&record.id))),
                (None, _) => return Ok(None),
            };
        }
        if self.act == Act::Create
            && let Some(settable) = writing.columns.get(&table.id)
            && let Some(column) = table.columns.get(&table.id)
        {
            item(column, settable, &Json::from(record.id.as_str())).map_err(|why| format!("{}: {why}", place("id")))?;
        }
        for (name, value) in set {
            let field = writing.fields.get(name).map_or(name.as_str(), String::as_str);
            let (Some(column), Some(settable)) = (table.columns.get(name), writing.columns.get(name)) else {
                return Err(format!("{}: it is not written", place(field)));
            };
            let fitting = fitting(column, settable, value).map_err(|why| format!("{}: {why}", place(field)))?;
            row.insert(name.clone(), fitting);
        }
        Ok(Some(Json::Object(row)))
    }
}

/// The condition that a row is the tenant's, and the one that is meant.
fn mine(table: &Table) -> String {
    let id = Quoted(&table.id);
    let same = match table.columns.get(&table.id).map(|column| &column.sort) {
        // By bytes, where the column's own comparison takes other texts for the same.
        Some(Sort::Text { collation: None }) => format!("r1.{id} COLLATE \"C\" = v.{id} COLLATE \"C\""),
        _ => format!("r1.{id} = v.{id}"),
    };
    match &table.whose {
        Whose::Named { column, literal } => format!("r1.{} = {literal} AND {same}", Quoted(column)),
        Whose::All | Whose::Shown => same,
    }
}

fn no_value(text: &str) -> String {
    format!("{text:?} is no value that its column can hold")
}

/// A value as the column takes it.
fn fitting(column: &Column, settable: &Settable, value: &Json) -> Result<Json, String> {
    match value {
        Json::Null => Ok(Json::Null),
        Json::Array(items) if column.array => {
            let items = items.iter().map(|value| match value {
                Json::Null => Ok(Json::Null),
                value => item(column, settable, value),
            });
            items.collect::<Result<Vec<_>, _>>().map(Json::Array)
        }
        value => item(column, settable, value),
    }
}

fn item(column: &Column, settable: &Settable, value: &Json) -> Result<Json, String> {
    match (&column.sort, value) {
        (Sort::Text { .. }, Json::String(text)) => match settable.longest {
            Some(longest) if text.chars().count() > longest => {
                Err(format!("{} characters, and at most {longest} are possible", text.chars().count()))
            }
            _ => Ok(value.clone()),
        },
        (Sort::Integer, value) => whole(settable, value),
        (Sort::Uuid | Sort::Label { .. }, Json::String(text)) if column.sort.exactly(text).is_none() => {
            Err(no_value(text))
        }
        _ => Ok(value.clone()),
    }
}

/// A whole number, also where it is an id or a double.
fn whole(settable: &Settable, value: &Json) -> Result<Json, String> {
    let number = match value {
        Json::String(text) => Sort::Integer.exactly(text).and_then(|exact| exact.parse::<i64>().ok()),
        Json::Number(number) => number.as_i64().or_else(|| whole_double(number)),
        _ => None,
    };
    let Some(number) = number else {
        return match value {
            Json::String(text) => Err(no_value(text)),
            other => Err(format!("{other} is no whole number, and its column holds nothing else")),
        };
    };
    let fits = match settable.bits {
        16 => i16::try_from(number).is_ok(),
        32 => i32::try_from(number).is_ok(),
        _ => true,
    };
    match fits {
        true => Ok(number.into()),
        false => Err(format!("{number} is too large for its column, of {} bits", settable.bits)),
    }
}

fn whole_double(number: &Number) -> Option<i64> {
    let double = number.as_f64().filter(|double| double.fract() == 0.0 && double.abs() < 9e15)?;
    Some(double as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settable(bits: u32, longest: Option<usize>) -> Settable {
        Settable { type_name: String::new(), longest, bits }
    }

    fn column(sort: Sort) -> Column {
        Column { sort, array: false }
    }

    #[test]
    fn only_what_a_column_holds_is_given_to_it() {
        let text = column(Sort::Text { collation: None });
        let short = settable(0, Some(2));
        assert_eq!(fitting(&text, &short, &"åß".into()), Ok("åß".into()));
        assert!(fitting(&text, &short, &"abc".into()).is_err());
        assert_eq!(fitting(&text, &settable(0, None), &"abc".into()), Ok("abc".into()));
        let number = column(Sort::Integer);
        assert_eq!(fitting(&number, &settable(16, None), &(-32_768).into()), Ok((-32_768).into()));
        assert!(fitting(&number, &settable(16, None), &32_768.into()).is_err());
        assert_eq!(fitting(&number, &settable(32, None), &2.0.into()), Ok(2.into()));
        assert!(fitting(&number, &settable(32, None), &2.5.into()).is_err());
        assert_eq!(fitting(&number, &settable(64, None), &"107".into()), Ok(107.into()));
        for wrong in ["0107", "x", "", "1e3", "9223372036854775808"] {
            assert!(fitting(&number, &settable(64, None), &wrong.into()).is_err(), "{wrong}");
        }
        assert!(fitting(&number, &settable(32, None), &"2147483648".into()).is_err());
        let label = column(Sort::Label { name: "mood".into(), labels: vec!["GLAD".into()] });
        assert_eq!(fitting(&label, &settable(0, None), &"GLAD".into()), Ok("GLAD".into()));
        assert!(fitting(&label, &settable(0, None), &"SAD".into()).is_err());
        assert!(fitting(&column(Sort::Uuid), &settable(0, None), &"x".into()).is_err());
        assert_eq!(fitting(&label, &settable(0, None), &Json::Null), Ok(Json::Null));
        let list = Column { sort: Sort::Integer, array: true };
        assert_eq!(
            fitting(&list, &settable(32, None), &serde_json::json!([1, null, 2.0])),
            Ok(serde_json::json!([1, null, 2]))
        );
        assert!(fitting(&list, &settable(16, None), &serde_json::json!([1, 99_999])).is_err());
    }

    fn op(of: &str, id: &str, act: Act, columns: &[&str]) -> Op {
        let set = columns.iter().map(|name| ((*name).to_owned(), Json::from(1))).collect();
        Op::Foreign { record: Ref { of: of.into(), id: id.into() }, act, set }
    }

    #[test]
    fn rows_that_are_written_alike_share_a_statement() {
        let ops = [
            op("A", "1", Act::Create, &["x"]),
            op("A", "2", Act::Create, &["x"]),
            op("A", "3", Act::Create, &["x", "y"]),
            op("A", "1", Act::Update, &["x"]),
            op("A", "2", Act::Update, &["x"]),
            op("A", "1", Act::Update, &["x"]),
            op("B", "1", Act::Update, &["x"]),
            op("B", "m", Act::Make, &[]),
            op("B", "n", Act::Make, &[]),
            op("B", "1", Act::Delete, &[]),
            op("B", "2", Act::Delete, &[]),
        ];
        let batches = Batch::of_all(ops.iter());
        let shown: Vec<String> =
            batches.iter().map(|batch| format!("{} {:?} {}", batch.of, batch.act, batch.rows.len())).collect();
        assert_eq!(
            shown,
            [
                "A Create 2",
                "A Create 1",
                "A Update 2",
                "A Update 1",
                "B Update 1",
                "B Make 1",
                "B Make 1",
                "B Delete 2"
            ]
        );
    }
}
