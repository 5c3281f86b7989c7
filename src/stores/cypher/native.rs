//! Values as others hold them in a database that is served as it stands: dates and instants are temporal values there, not texts, and ids
//! may be numbers.
//!
//! They are read in the form in which the gateway holds them itself: an instant is a text in UTC with milliseconds, a day a text, an id a
//! text; whatever is no temporal value stays as it is. Conditions, orders and pages speak of these forms, so both sorts of values may stand
//! side by side under one name. What is written is held as others hold it, and what says the same already is left alone.

use quipu_resolvers::read::{Field, Stored};
use quipu_schema::ontology::Scalar;

use super::record::Record;
use super::{Parameter, Writer, cypher};

/// An expression for an instant, as a text. A nanosecond makes all digits appear, and is cut off with what is finer than milliseconds. An
/// instant without a zone is taken as one in UTC.
pub(super) fn instant(of: &str) -> String {
    let digits = |of: &str| format!("left(toString({of} + duration({{nanoseconds: 1}})), 23) + 'Z'");
    let zoned = digits(&format!("datetime({{epochMillis: {of}.epochMillis}})"));
    let local = digits(&format!("localdatetime.truncate('millisecond', {of})"));
    format!(
        "CASE WHEN {of} IS :: STRING THEN {of} WHEN {of} IS :: ZONED DATETIME THEN {zoned} \
         WHEN {of} IS :: LOCAL DATETIME THEN {local} WHEN {of} IS :: DATE THEN toString({of}) + 'T00:00:00.000Z' ELSE {of} END"
    )
}

/// An expression for a day, as a text. Of an instant it is the day in its own zone.
pub(super) fn day(of: &str) -> String {
    format!(
        "CASE WHEN {of} IS :: STRING THEN {of} WHEN {of} IS :: DATE THEN toString({of}) \
         WHEN {of} IS :: ZONED DATETIME OR {of} IS :: LOCAL DATETIME THEN toString(date({of})) ELSE {of} END"
    )
}

/// An expression for a property in the gateway's form.
pub(super) fn read(of: &str, scalar: &Scalar, list: bool) -> String {
    let form = match scalar {
        Scalar::DateTime => instant,
        Scalar::Date => day,
        _ => return of.to_owned(),
    };
    if list { format!("[x IN {of} | {}]", form("x")) } else { form(of) }
}

/// A clause for `FOREACH` lists that sets those properties of the map `set` which do not say what the record `of` says already.
/// `$instants` and `$days` are the names of properties that are temporal values.
pub(super) fn set(of: &str, set: &str) -> String {
    format!("FOREACH (k IN {} | SET {of}[k] = {})", differing(of, set), held(of, set))
}

/// An expression for the names of properties that differ.
pub(super) fn differing(of: &str, set: &str) -> String {
    let (held, said) = (format!("{of}[k]"), format!("{set}[k]"));
    let among = |forms: [String; 3]| format!("{said} IN [{}]", forms.join(", "));
    let single = among([held.clone(), instant(&held), day(&held)]);
    let each = |form: String| format!("[x IN {held} | {form}]");
    let list = among([held.clone(), each(instant("x")), each(day("x"))]);
    format!(
        "[k IN keys({set}) WHERE NOT coalesce(CASE WHEN {held} IS :: LIST<ANY> NOT NULL THEN {list} ELSE {single} END, false)]"
    )
}

/// An expression for the value of `set` under `k`, as it is to be held. An instant that was held without a zone stays one.
pub(super) fn held(of: &str, set: &str) -> String {
    let value = format!("{set}[k]");
    let temporal = |make: &str| {
        format!(
            "CASE WHEN {value} IS :: STRING NOT NULL THEN {make}({value}) \
             WHEN {value} IS :: LIST<STRING NOT NULL> NOT NULL THEN [x IN {value} | {make}(x)] ELSE {value} END"
        )
    };
    format!(
        "CASE WHEN k IN $instants AND {of}[k] IS :: LOCAL DATETIME NOT NULL AND {value} IS :: STRING NOT NULL \
         THEN localdatetime(replace({value}, 'Z', '')) WHEN k IN $instants THEN {} WHEN k IN $days THEN {} ELSE {value} END",
        temporal("datetime"),
        temporal("date")
    )
}

/// The numbers among some ids: a node's id may be one, and is asked for as a text.
pub(super) fn numbers<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<Parameter> {
    let number = |id: &str| id.parse::<i64>().ok().filter(|number| number.to_string() == id);
    ids.filter_map(number).map(Parameter::Int).collect()
}

impl Writer<'_> {
    /// Writes a node's id as a text.
    pub(super) fn id_of(&mut self, node: impl std::fmt::Display) {
        match self.by_property() {
            true => cypher!(self, "{node}.id"),
            false => cypher!(self, "toString({node}.id)"),
        }
    }

    /// Writes a property in the gateway's form.
    pub(super) fn property(&mut self, of: &str, stored: &Stored) {
        match self.by_property() {
            true => self.put(of),
            false => self.put(&read(of, &stored.scalar, stored.list)),
        }
    }

    /// Writes the condition that a node has one of some ids. An index on them serves it.
    pub(super) fn has_id(&mut self, node: impl std::fmt::Display, ids: &[&str]) {
        let mut wanted: Vec<Parameter> = ids.iter().map(|id| Parameter::from(*id)).collect();
        if !self.by_property() {
            wanted.extend(numbers(ids.iter().copied()));
        }
        match <[Parameter; 1]>::try_from(wanted) {
            Ok([one]) => {
                cypher!(self, "{node}.id = ");
                self.bind(one);
            }
            Err(several) => {
                cypher!(self, "{node}.id IN ");
                self.bind(Parameter::List(several));
            }
        }
    }

    /// Writes the condition that a field of a record equals a key, which `key` writes.
    pub(super) fn is_key(&mut self, remote: &Field, record: &Record<'_>, key: impl Fn(&mut Self)) {
        if *remote == Field::Id && !self.by_property() {
            cypher!(self, "{}.id IN [", record.name());
            key(self);
            self.put(", toIntegerOrNull(");
            key(self);
            self.put(")] AND ");
        }
        self.compared(remote, record);
        self.put(" = ");
        key(self);
    }
}
