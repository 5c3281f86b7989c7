//! Fields of mapped tables inside a statement.

use quipu_resolvers::read::{Field, Stored};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Scalar;

use super::super::record::{Enclosing, Record};
use super::super::{Parameter, Writer, sql};
use super::{Column, Literal, Mapped, Quoted, Sort, Table, Whose};

/// What a field is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::sql) enum Form {
    /// To be the same as a value, so that an index of the table serves it.
    Equal,
    /// To be the same as a field of another record.
    Join,
    /// To be put in order, and to lie before or after a position.
    Order,
    /// To be less or more than a value.
    Range,
    /// As the text that it is shown as.
    Text,
    /// To be summed up.
    Figure,
    /// To be looked at.
    Shown,
}

/// An instant as all stores show it: in UTC, with milliseconds; what is finer is cut off.
const INSTANT: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'";

/// Text that can be cast.
const UUID: &str = "'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'";
const INTEGER: &str = "'^(0|-?[1-9][0-9]{0,18})$'";

/// A field of a mapped table.
struct Place<'a> {
    table: &'a Table,
    name: &'a str,
    column: &'a Column,
}

impl<'a> Writer<'a> {
    /// The table of others that the rows of a type are in.
    pub(in crate::stores::sql) fn table_of(&mut self, record: &Record) -> Option<&'a Table> {
        let names = self.names;
        match names.tables.get(record.kind?)? {
            Mapped::Table(table) => {
                self.statement.foreign = true;
                self.statement.shows_name |= table.whose == Whose::Shown;
                Some(table)
            }
            Mapped::Broken(why) => {
                self.statement.broken.get_or_insert_with(|| why.clone());
                None
            }
        }
    }

    fn type_name(&self, record: &Record) -> &'a str {
        let names = self.names;
        record.kind.and_then(|kind| names.name(kind)).map_or("", |(_, name)| name)
    }

    /// Where a field of a mapped table is. `Some(None)` when it is in none of its columns, which cannot be read then.
    fn place_of(&mut self, field: &Field, record: &Record) -> Option<Option<Place<'a>>> {
        let table = self.table_of(record)?;
        let name = match field {
            Field::Id => table.id.as_str(),
            Field::Property(stored) => stored.name.as_str(),
            Field::Type | Field::EdgeKey | Field::EdgeProperty(_) | Field::AllProperties => return Some(None),
        };
        if let Some((name, column)) = table.columns.get_key_value(name) {
            return Some(Some(Place { table, name, column }));
        }
        let of = self.type_name(record);
        self.statement.broken.get_or_insert_with(|| unreadable(of));
        Some(None)
    }

    /// Writes ` FROM ... WHERE ...` with the rows of the tenant.
    pub(in crate::stores::sql) fn rows_of_table(&mut self, table: &Table, record: &Record) {
        let name = record.name();
        sql!(self, " FROM {}.{} AS {name} WHERE ", Quoted(&table.schema), Quoted(&table.name));
        match &table.whose {
            Whose::All | Whose::Shown => self.put("TRUE"),
            Whose::Named { column, literal } => sql!(self, "{name}.{} = {literal}", Quoted(column)),
        }
    }

    /// Writes a field of a mapped table in some form; false when it is none.
    pub(in crate::stores::sql) fn mapped(&mut self, field: &Field, record: &Record, form: Form) -> bool {
        if *field == Field::Type && self.table_of(record).is_some() {
            let of = self.type_name(record);
            sql!(self, "{}::text", Literal(of));
            return true;
        }
        match self.place_of(field, record) {
            None => false,
            Some(None) => {
                self.put("NULL");
                true
            }
            Some(Some(place)) => {
                self.statement.text.push_str(&place.written(record, scalar(field), form));
                true
            }
        }
    }

    /// The sort that a field of a mapped table is compared as in some form.
    fn compared_as_sort(&mut self, field: &Field, record: &Record, form: Form) -> Option<Sort> {
        let place = self.place_of(field, record)??;
        if place.column.array {
            return Some(Sort::Json);
        }
        let sort = &place.column.sort;
        Some(match form {
            Form::Text => Sort::Text { collation: None },
            Form::Order | Form::Range if matches!(sort, Sort::Label { .. }) => Sort::Text { collation: None },
            Form::Range if is_text(scalar(field)) => Sort::Text { collation: None },
            // Whole numbers that are asked about as doubles.
            _ if *sort == Sort::Integer && *scalar(field) == Scalar::Float => Sort::Double,
            _ => sort.clone(),
        })
    }

    /// Writes a value that a field of a mapped table is compared with; false when it is none.
    pub(in crate::stores::sql) fn mapped_value(
        &mut self,
        value: &Value,
        field: &Field,
        record: &Record,
        form: Form,
    ) -> bool {
        let Some(sort) = self.compared_as_sort(field, record, form) else { return false };
        self.cast(sort.exactly_of(value), &sort);
        true
    }

    fn cast(&mut self, value: Option<String>, sort: &Sort) {
        self.put("CAST(");
        self.bind(value.map_or(Parameter::Null, Parameter::Text));
        sql!(self, " AS {})", sort.cast());
    }

    /// Writes that a field of a mapped table is the same as a value; false when it is none.
    pub(in crate::stores::sql) fn mapped_equal(&mut self, value: &Value, field: &Field, record: &Record) -> bool {
        let Some(sort) = self.compared_as_sort(field, record, Form::Equal) else { return false };
        let exact = sort.exactly_of(value);
        // No value of the column is like that, which is known of those that are there alone.
        if exact.is_none() {
            self.put("(CASE WHEN ");
            self.mapped(field, record, Form::Equal);
            self.put(" IS NOT NULL THEN FALSE END)");
            return true;
        }
        self.put("(");
        self.mapped(field, record, Form::Equal);
        self.put(" = ");
        self.cast(exact, &sort);
        self.put(")");
        true
    }

    /// Writes that a field of a mapped table is among the items of a list; false when it is none.
    pub(in crate::stores::sql) fn mapped_among(&mut self, value: &Value, field: &Field, record: &Record) -> bool {
        let Some(sort) = self.compared_as_sort(field, record, Form::Equal) else { return false };
        let items = match value {
            Value::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let exact: Vec<Option<String>> = items
            .iter()
            .filter_map(|item| if item.is_null() { Some(None) } else { sort.exactly_of(item).map(Some) })
            .collect();
        let all = exact.len() == items.len();
        if !all {
            self.put("(CASE WHEN ");
            self.mapped(field, record, Form::Equal);
            self.put(" IS NOT NULL THEN ");
        }
        self.put("(");
        self.mapped(field, record, Form::Equal);
        self.put(" = ANY(CAST(");
        self.bind(Parameter::Texts(exact));
        sql!(self, " AS {}[])))", sort.cast());
        if !all {
            self.put(" END)");
        }
        true
    }

    /// Writes that a field of a mapped table is a list with an item; false when it is none.
    pub(in crate::stores::sql) fn mapped_includes(&mut self, value: &Value, field: &Field, record: &Record) -> bool {
        if self.place_of(field, record).is_none() {
            return false;
        }
        self.put("(");
        self.mapped(field, record, Form::Equal);
        self.put(" @> CAST(");
        self.bind(Parameter::Text(value.to_json().to_string()));
        self.put(" AS jsonb))");
        true
    }

    /// Writes ` = ` and the other side of a join to or from rows of a mapped table; false when neither side is one.
    pub(in crate::stores::sql) fn mapped_join(
        &mut self,
        local: &Field,
        remote: &Field,
        record: &Record,
        enclosing: Enclosing<'_>,
    ) -> bool {
        let parent = match enclosing {
            Enclosing::Record(parent) => Some(parent),
            Enclosing::Nothing | Enclosing::Key => None,
        };
        let far = self.place_of(remote, record).flatten().map(|place| &place.column.sort);
        let near = parent.and_then(|parent| self.place_of(local, parent)).flatten().map(|place| &place.column.sort);
        if far.is_none() && near.is_none() {
            return false;
        }
        self.put(" = ");
        match (far, enclosing) {
            (_, Enclosing::Nothing) => self.put("NULL"),
            (Some(sort @ (Sort::Uuid | Sort::Integer)), Enclosing::Key) => {
                sql!(self, "CAST(wanted.value AS {})", sort.cast());
            }
            (_, Enclosing::Key) => self.put("wanted.value"),
            (Some(sort @ (Sort::Uuid | Sort::Integer)), Enclosing::Record(parent)) => match near {
                Some(near) if near == sort => self.compared_as(local, parent, Form::Join),
                Some(Sort::Uuid | Sort::Integer) => self.put("NULL"),
                _ => self.cast_where_possible(sort, local, parent),
            },
            (far, Enclosing::Record(parent)) => {
                self.put("(");
                self.compared_as(local, parent, Form::Text);
                let collation = match far {
                    Some(Sort::Text { collation: Some(collation) }) => collation.as_str(),
                    _ => "\"C\"",
                };
                sql!(self, " COLLATE {collation})");
            }
        }
        true
    }

    /// Writes a text as a value of a sort; null where it is none.
    fn cast_where_possible(&mut self, sort: &Sort, local: &Field, parent: &Record) {
        let begin = self.statement.text.len();
        self.compared_as(local, parent, Form::Text);
        let text = self.statement.text.split_off(begin);
        match sort {
            Sort::Uuid => sql!(self, "CASE WHEN {text} ~ {UUID} THEN CAST({text} AS uuid) END"),
            // 19 digits can be too many.
            _ => sql!(
                self,
                "CASE WHEN {text} ~ {INTEGER} THEN CASE WHEN CAST({text} AS numeric) BETWEEN {} AND {} \
                 THEN CAST({text} AS bigint) END END",
                i64::MIN,
                i64::MAX
            ),
        }
    }

    /// The keys that can be keys of the records that are looked for; null in place of the others.
    pub(in crate::stores::sql) fn possible_keys(
        &mut self,
        remote: &Field,
        record: &Record,
        keys: &[Value],
    ) -> Vec<Value> {
        let sort = self.place_of(remote, record).flatten().map(|place| &place.column.sort);
        let possible = |key: &Value| match (sort, key.as_text()) {
            (Some(sort @ (Sort::Uuid | Sort::Integer)), Some(text)) => sort.exactly(text).is_some(),
            _ => true,
        };
        keys.iter().map(|key| if possible(key) { key.clone() } else { Value::Null }).collect()
    }
}

/// What a client learns of a table that is not what it was.
pub(in crate::stores) fn unreadable(of: &str) -> String {
    format!(
        "{of} cannot be read: its table does not fit the ontology any more; whoever runs the gateway finds the reason in its log"
    )
}

/// The sort of a field's values in the ontology.
fn scalar(field: &Field) -> &Scalar {
    match field {
        Field::Property(Stored { scalar, .. }) => scalar,
        _ => &Scalar::Id,
    }
}

/// Whether values are texts to whoever asks.
fn is_text(scalar: &Scalar) -> bool {
    matches!(scalar, Scalar::Id | Scalar::String | Scalar::Enum(_))
}

impl Place<'_> {
    /// The SQL of the field.
    fn written(&self, record: &Record, scalar: &Scalar, form: Form) -> String {
        let column = format!("{}.{}", record.name(), Quoted(self.name));
        if self.column.array {
            let item = self.shown("i.item", scalar);
            return format!(
                "CASE WHEN {column} IS NOT NULL THEN coalesce((SELECT jsonb_agg({item} ORDER BY i.place) \
                 FROM unnest({column}) WITH ORDINALITY AS i(item, place)), '[]'::jsonb) END"
            );
        }
        match form {
            Form::Shown => self.shown(&column, scalar),
            Form::Text => self.text(&column, scalar),
            Form::Figure => self.figure(&column, scalar),
            Form::Equal | Form::Join | Form::Order | Form::Range => self.compared(column, scalar, form),
        }
    }

    fn compared(&self, column: String, scalar: &Scalar, form: Form) -> String {
        match &self.column.sort {
            Sort::Text { collation: Some(_) } if matches!(form, Form::Equal | Form::Join) => column,
            Sort::Uuid | Sort::Integer if form == Form::Range && is_text(scalar) => self.text(&column, scalar),
            Sort::Label { .. } if form == Form::Equal => column,
            Sort::Text { .. } | Sort::Label { .. } => self.text(&column, scalar),
            Sort::Uuid | Sort::Integer => column,
            _ if form == Form::Join => self.text(&column, scalar),
            Sort::Decimal { exact: true } | Sort::Double | Sort::Truth | Sort::Day | Sort::Instant { fine: false } => {
                column
            }
            Sort::Decimal { exact: false } => format!("CAST({column} AS double precision)"),
            // Its decimal form is what is shown, and what a position holds.
            Sort::Single => format!("CAST(CAST({column} AS text) AS double precision)"),
            Sort::Instant { fine: true } => format!("date_trunc('milliseconds', {column})"),
            Sort::Json => format!("nullif(CAST({column} AS jsonb), 'null'::jsonb)"),
        }
    }

    /// What is shown, as text in the order of its bytes.
    fn text(&self, column: &str, scalar: &Scalar) -> String {
        match &self.column.sort {
            Sort::Text { .. } => format!("({column} COLLATE \"C\")"),
            Sort::Day | Sort::Instant { .. } => format!("({} COLLATE \"C\")", self.shown(column, scalar)),
            _ => format!("(CAST({column} AS text) COLLATE \"C\")"),
        }
    }

    fn figure(&self, column: &str, scalar: &Scalar) -> String {
        match &self.column.sort {
            Sort::Integer if !is_text(scalar) => column.to_owned(),
            Sort::Decimal { .. } => finite(column),
            // By the decimal form: the order of addition makes no difference.
            Sort::Double | Sort::Single => format!("CAST(CAST({} AS text) AS numeric)", finite(column)),
            Sort::Truth | Sort::Json => column.to_owned(),
            _ => self.text(column, scalar),
        }
    }

    fn shown(&self, column: &str, scalar: &Scalar) -> String {
        let text = match &self.column.sort {
            Sort::Text { .. } => column.to_owned(),
            Sort::Uuid | Sort::Label { .. } => format!("CAST({column} AS text)"),
            Sort::Integer if is_text(scalar) => format!("CAST({column} AS text)"),
            Sort::Integer | Sort::Truth | Sort::Json => return column.to_owned(),
            Sort::Decimal { .. } | Sort::Double | Sort::Single => return finite(column),
            Sort::Day => return format!("to_char({column}, 'YYYY-MM-DD')"),
            Sort::Instant { .. } => return format!("to_char({column} AT TIME ZONE 'UTC', {INSTANT})"),
        };
        let Scalar::Enum(name) = scalar else { return text };
        // What the ontology does not know cannot be shown.
        let values = self.table.enums.get(name).map(Vec::as_slice).unwrap_or_default();
        let values: Vec<String> = values.iter().map(|value| Literal(value).to_string()).collect();
        format!("CASE WHEN {text} IN ({}) THEN {text} END", values.join(", "))
    }
}

/// Numbers that JSON can show.
fn finite(column: &str) -> String {
    format!("CASE WHEN {column} NOT IN ('NaN', 'Infinity', '-Infinity') THEN {column} END")
}
