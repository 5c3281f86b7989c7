//! What the databases say in different words. The questions and the planning above are the same.
//!
//! SQLite compares values of any sort with each other. Postgres wants both sides of one: so the sort of a property decides how it is
//! taken out of its JSON, and what a parameter is cast to. Its parameters are texts, numbers in their decimal form among them.

use quipu_resolvers::read::{Field, Stored};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Scalar;

use super::mapped::Form;
use super::names::OwnColumn;
use super::record::{Column, Enclosing, Record};
use super::{Parameter, Path, Writer, sql};

/// Which database is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// Postgres, from version 15. It holds rows, and no graph.
    Postgres,
}

impl Dialect {
    /// One of two words.
    fn say(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }

    pub(super) fn yes(self) -> &'static str {
        self.say("1", "TRUE")
    }

    pub(super) fn no(self) -> &'static str {
        self.say("0", "FALSE")
    }

    /// The beginning of a JSON list of values.
    pub(super) fn list(self) -> &'static str {
        self.say("json_array(", "json_build_array(")
    }

    /// Most items of one such list.
    pub(super) fn most_items(self) -> usize {
        match self {
            Self::Sqlite => usize::MAX,
            // A function takes 100 arguments.
            Self::Postgres => 90,
        }
    }

    /// Before a condition that becomes true or false in JSON.
    pub(super) fn truth_begin(self) -> &'static str {
        self.say("json(iif(", "coalesce(")
    }

    /// After it.
    pub(super) fn truth_end(self) -> &'static str {
        self.say(", 'true', 'false'))", ", FALSE)")
    }

    /// Between the condition and the value of a field that is shown where the condition holds.
    pub(super) fn masked_begin(self) -> &'static str {
        self.say(" THEN json_array(", " THEN json_build_array(")
    }

    /// After the value.
    pub(super) fn masked_end(self) -> &'static str {
        self.say(") ELSE json('false') END", ") ELSE 'false'::json END")
    }

    /// Before a parameter that is JSON.
    pub(super) fn json_begin(self) -> &'static str {
        self.say("json(", "CAST(")
    }

    /// After it.
    pub(super) fn json_end(self) -> &'static str {
        self.say(")", " AS jsonb)")
    }

    /// The function that finds a text in a text, from 1.
    pub(super) fn position(self) -> &'static str {
        self.say("instr", "strpos")
    }

    /// Equal, or both null.
    pub(super) fn is(self) -> &'static str {
        self.say("IS", "IS NOT DISTINCT FROM")
    }

    /// After a literal text that stands for itself.
    pub(super) fn of_text(self) -> &'static str {
        self.say("", "::text")
    }

    /// Before the number of a limit. A bare parameter there would have SQLite look at its value while it plans, and so plan again for
    /// every value that is bound; a sum with it is left alone.
    pub(super) fn count(self) -> &'static str {
        self.say("0 + ", "")
    }

    /// A limit that is none.
    pub(super) fn unlimited(self) -> &'static str {
        self.say(" LIMIT -1", "")
    }

    /// Whether a property is picked as JSON, and not as the SQL value it is compared by.
    pub(super) fn is_json(self, stored: &Stored) -> bool {
        match &stored.scalar {
            _ if stored.list => true,
            Scalar::Boolean | Scalar::Json | Scalar::Float => true,
            // Postgres knows two arrows, and the one that is not JSON is text.
            Scalar::Int | Scalar::BigInt => self == Self::Postgres,
            Scalar::Id | Scalar::String | Scalar::DateTime | Scalar::Date | Scalar::Enum(_) => false,
        }
    }

    /// What follows an arrow that leads to a property.
    pub(super) fn path(self, name: &str) -> Path<'_> {
        Path(name, self)
    }
}

/// Sorts of values that Postgres compares with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Text,
    Number,
    Truth,
    Json,
}

impl Family {
    pub(super) fn of(field: &Field) -> Self {
        let (Field::Property(stored) | Field::EdgeProperty(stored)) = field else { return Self::Text };
        match &stored.scalar {
            _ if stored.list => Self::Json,
            Scalar::Int | Scalar::Float | Scalar::BigInt => Self::Number,
            Scalar::Boolean => Self::Truth,
            Scalar::Json => Self::Json,
            Scalar::Id | Scalar::String | Scalar::DateTime | Scalar::Date | Scalar::Enum(_) => Self::Text,
        }
    }

    /// The type of the expression for a field.
    fn type_name(self, own: Option<OwnColumn>) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number if own.is_some() => "double precision",
            Self::Number => "numeric",
            Self::Truth => "boolean",
            Self::Json => "jsonb",
        }
    }

    /// A value as text that can be cast to the family's type; `None` when it is of another family, which equals nothing.
    fn text_of(self, value: &Value) -> Option<String> {
        match (self, value) {
            (_, Value::Null) => None,
            (Self::Json, value) => Some(value.to_json().to_string()),
            (Self::Text, Value::Text(text)) => Some(text.clone()),
            (Self::Text, Value::Int(_))
            | (Self::Number, Value::Int(_) | Value::Float(_))
            | (Self::Truth, Value::Bool(_)) => Some(value.to_json().to_string()),
            _ => None,
        }
    }
}

impl Writer<'_> {
    /// Writes a value that a field is put in order with.
    pub(super) fn value(&mut self, value: &Value, field: &Field, record: &Record) {
        self.value_as(value, field, record, Form::Order);
    }

    /// Writes a value that is compared with a field, which is written in the same form.
    pub(super) fn value_as(&mut self, value: &Value, field: &Field, record: &Record, form: Form) {
        if self.dialect == Dialect::Sqlite {
            return self.any_value(value);
        }
        if self.mapped_value(value, field, record, form) {
            return;
        }
        let family = Family::of(field);
        self.put("CAST(");
        self.bind(family.text_of(value).map_or(Parameter::Null, Parameter::Text));
        sql!(self, " AS {})", family.type_name(self.own_column(field, record)));
    }

    /// Writes a value as SQLite takes it. Doubles travel as JSON text, so that the store reads them by the same rule as the ones it
    /// holds.
    fn any_value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Hidden => self.bind(Parameter::Null),
            Value::Bool(flag) => self.bind(Parameter::Int(i64::from(*flag))),
            Value::Int(number) => self.bind(Parameter::Int(*number)),
            Value::Float(_) => {
                self.put("(");
                self.bind(Parameter::Text(value.to_json().to_string()));
                self.put(" ->> '$')");
            }
            Value::Text(text) => self.bind(Parameter::Text(text.clone())),
            Value::List(_) | Value::Json(_) => self.bind(Parameter::Text(value.to_json().to_string())),
        }
    }

    /// Writes that a field is among the items of a list.
    pub(super) fn among(&mut self, value: &Value, field: &Field, record: &Record) {
        let items = match value {
            Value::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        match self.dialect {
            Dialect::Sqlite => {
                self.put(" IN (SELECT value FROM json_each(");
                let items: serde_json::Value = items.iter().map(Value::to_json).collect();
                self.bind(Parameter::Text(items.to_string()));
                self.put("))");
            }
            Dialect::Postgres => {
                let family = Family::of(field);
                self.put(" = ANY(CAST(");
                self.bind(Parameter::Texts(items.iter().map(|item| family.text_of(item)).collect()));
                sql!(self, " AS {}[]))", family.type_name(self.own_column(field, record)));
            }
        }
    }

    /// Writes a `SELECT` of the list of what `write` writes for each key, in the order of the keys.
    pub(super) fn per_key(&mut self, keys: &[Value], write: impl FnOnce(&mut Self)) {
        match self.dialect {
            Dialect::Sqlite => {
                self.put("SELECT json_group_array((");
                write(self);
                self.put(")) FROM json_each(");
                let keys: serde_json::Value = keys.iter().map(Value::to_json).collect();
                self.bind(Parameter::Text(keys.to_string()));
                self.put(") AS wanted");
            }
            Dialect::Postgres => {
                self.put("SELECT coalesce(json_agg((");
                write(self);
                self.put(") ORDER BY wanted.place), '[]'::json) FROM unnest(");
                self.bind(Parameter::Texts(keys.iter().map(|key| Family::Text.text_of(key)).collect()));
                self.put(") WITH ORDINALITY AS wanted(value, place)");
            }
        }
    }

    /// Writes ` = ` and the enclosing side of a join.
    pub(super) fn joins(&mut self, local: &Field, remote: &Field, record: &Record, enclosing: Enclosing<'_>) {
        if self.mapped_join(local, remote, record, enclosing) {
            return;
        }
        // The plus strips the column of its affinity, which would keep SQLite from using an index over the other side.
        self.put(if self.dialect == Dialect::Sqlite { " = +" } else { " = " });
        let (family, own) = (Family::of(remote), self.own_column(remote, record));
        match (enclosing, self.dialect) {
            (Enclosing::Nothing, _) => self.put("NULL"),
            (Enclosing::Key, Dialect::Sqlite) => self.put("wanted.value"),
            (Enclosing::Key, Dialect::Postgres) if family == Family::Text => self.put("wanted.value"),
            (Enclosing::Key, Dialect::Postgres) => sql!(self, "CAST(wanted.value AS {})", family.type_name(own)),
            (Enclosing::Record(parent), Dialect::Sqlite) => self.compared(local, parent),
            (Enclosing::Record(parent), Dialect::Postgres) if Family::of(local) == family => {
                let same = own.is_some() == self.own_column(local, parent).is_some() || family == Family::Text;
                self.put(if same { "" } else { "CAST(" });
                self.compared(local, parent);
                if !same {
                    sql!(self, " AS {})", family.type_name(own));
                }
            }
            // A number and a text are never the same.
            (Enclosing::Record(_), Dialect::Postgres) => sql!(self, "CAST(NULL AS {})", family.type_name(own)),
        }
    }

    /// Writes the last characters of what `write` writes.
    pub(super) fn last_characters(&mut self, characters: i64, write: impl FnOnce(&mut Self)) {
        self.put(self.dialect.say("substr(", "right("));
        write(self);
        self.put(", ");
        match self.dialect {
            // An empty suffix is the end of every text; position 0 of `substr` would be the start.
            Dialect::Sqlite => self.bind(Parameter::Int(if characters == 0 { i64::MAX } else { -characters })),
            Dialect::Postgres => {
                self.put("CAST(");
                self.bind(Parameter::Int(characters));
                self.put(" AS integer)");
            }
        }
        self.put(")");
    }

    /// Writes that a property is a list with that item.
    pub(super) fn list_includes(&mut self, props: Column<'_>, name: &str, value: &Value) {
        let path = self.dialect.path(name);
        match self.dialect {
            Dialect::Sqlite => {
                sql!(self, "iif(({props} -> {path}) IS NULL, NULL, EXISTS (SELECT 1 FROM json_each({props}, {path})");
                self.put(" AS item WHERE item.value = ");
                self.any_value(value);
                self.put("))");
            }
            Dialect::Postgres => {
                sql!(self, "(({props} -> {path}) @> CAST(");
                self.bind(Parameter::Text(value.to_json().to_string()));
                self.put(" AS jsonb))");
            }
        }
    }

    /// Writes a property as a value to compare and to sort by.
    pub(super) fn property(&mut self, props: Column<'_>, stored: &Stored, record: &Record) {
        let path = self.dialect.path(&stored.name);
        if self.dialect == Dialect::Sqlite {
            return sql!(self, "({props} ->> {path})");
        }
        let field = Field::Property(stored.clone());
        if let Some(place) = self.own_column(&field, record) {
            return sql!(self, "{}.{place}", record.name());
        }
        match Family::of(&field) {
            // Text is put in order by its bytes, as everywhere.
            Family::Text => sql!(self, "(({props} ->> {path}) COLLATE \"C\")"),
            Family::Json => sql!(self, "({props} -> {path})"),
            Family::Number => sql!(self, "number_of({props} -> {path})"),
            Family::Truth => sql!(self, "truth_of({props} -> {path})"),
        }
    }

    /// The column of its own that a property of a row has.
    pub(super) fn own_column(&self, field: &Field, record: &Record) -> Option<OwnColumn> {
        match field {
            Field::Property(stored) => self.names.column(record.kind?, &stored.name),
            _ => None,
        }
    }
}
