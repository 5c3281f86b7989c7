//! Cells of what is read.

use quipu_resolvers::guard::Principal;
use quipu_schema::ontology::{EntityType, Property};
use serde_json::{Value as Json, json};

use super::stage::{Outcome, Stage};

/// Nothing of the kind in the API.
pub const ABSENT: char = '.';
/// Refused.
pub const REFUSED: char = '-';

/// Which of the records of a type were read, counted from 0.
fn numbers(stage: &Stage, entity: &EntityType, rows: &[Json]) -> Vec<usize> {
    let ids = stage.ids(&entity.name);
    let at = |row: &Json| ids.iter().position(|id| row["id"] == id.as_str());
    let mut found: Vec<usize> = rows.iter().map(|row| at(row).unwrap_or_else(|| panic!("{row}"))).collect();
    found.sort_unstable();
    found
}

/// What is read of the records of a type: their numbers, how many they are said to be, and by id.
pub async fn records(stage: &Stage, who: &Principal, entity: &EntityType) -> [String; 3] {
    let listed = match stage.ask(who, &format!("{{ x: {} {{ id }} }}", entity.plural), json!({})).await {
        Outcome::Answered(rows, _) => shown(&numbers(stage, entity, rows.as_array().unwrap())),
        Outcome::Refused => REFUSED.to_string(),
    };
    let counted = format!("{{ x: {}Connection {{ totalCount aggregate {{ count {{ nodes }} }} }} }}", entity.plural);
    let counted = match stage.ask(who, &counted, json!({})).await {
        Outcome::Answered(found, _) => {
            assert_eq!(found["totalCount"], found["aggregate"]["count"]["nodes"]);
            found["totalCount"].to_string()
        }
        Outcome::Refused => REFUSED.to_string(),
    };
    let mut one = Vec::new();
    for (at, id) in stage.ids(&entity.name).iter().enumerate() {
        let query = format!("query($id: ID!) {{ x: {}(id: $id) {{ id }} }}", entity.singular);
        if let Outcome::Answered(found, _) = stage.ask(who, &query, json!({ "id": id })).await
            && found["id"] == id.as_str()
        {
            one.push(at);
        }
    }
    [listed, counted, shown(&one)]
}

/// Numbers of records, from 1.
pub fn shown(numbers: &[usize]) -> String {
    if numbers.is_empty() { "none".to_owned() } else { numbers.iter().map(|at| (at + 1).to_string()).collect() }
}

/// `r` when a value is read on every record that is seen, `p` on some, refused on none.
async fn value(stage: &Stage, who: &Principal, query: &str) -> char {
    match stage.ask(who, query, json!({})).await {
        Outcome::Refused => REFUSED,
        Outcome::Answered(_, hidden) if hidden.is_empty() => 'r',
        Outcome::Answered(rows, hidden) => {
            // A required value that is hidden takes its record along; then its error is all that is left.
            let records = rows.as_array().map_or(0, Vec::len);
            let mut at: Vec<&String> = hidden.iter().map(|path| &path[1]).collect();
            at.dedup();
            if at.len() < records { 'p' } else { REFUSED }
        }
    }
}

/// What is read of a property: `r` read, `f` filtered by, `s` sorted by, `g` figures of it.
pub async fn property(stage: &Stage, who: &Principal, entity: &EntityType, property: &Property) -> String {
    let (plural, name) = (&entity.plural, &property.name);
    let mut cell = String::new();
    cell.push(match stage.output(&entity.name, name) {
        None => ABSENT,
        Some(_) => value(stage, who, &format!("{{ x: {plural} {{ v: {name} }} }}")).await,
    });
    let ids = stage.ids(&entity.name);
    let some = ids.iter().find_map(|id| match name.as_str() {
        "id" => Some(json!(id)),
        _ => stage.set_on(&entity.name, id).get(name).filter(|value| !value.is_null()).cloned(),
    });
    let some = some.unwrap_or_else(|| panic!("no record has {}.{name}", entity.name));
    cell.push(match stage.input(&format!("{}Where", entity.name), name) {
        None => ABSENT,
        Some(_) => {
            let query = format!("query($where: {}Where!) {{ x: {plural}(where: $where) {{ id }} }}", entity.name);
            let compare = if property.list { json!({ "includes": some[0] }) } else { json!({ "eq": some }) };
            letter('f', stage.may(who, &query, json!({ "where": { name: compare } })).await)
        }
    });
    cell.push(match stage.input(&format!("{}Sort", entity.name), name) {
        None => ABSENT,
        Some(_) => letter(
            's',
            stage.may(who, &format!("{{ x: {plural}(sort: [{{{name}: DESC}}]) {{ id }} }}"), json!({})).await,
        ),
    });
    cell.push(match stage.output(&format!("{}AggregateNode", entity.name), name) {
        None => ABSENT,
        Some(field) => {
            let figures = field.ty.name();
            let figure = ["max", "longest"].into_iter().find(|figure| stage.output(figures, figure).is_some());
            let figure = figure.unwrap_or_else(|| panic!("{figures} has neither"));
            let query = format!("{{ x: {plural}Connection {{ aggregate {{ node {{ {name} {{ {figure} }} }} }} }} }}");
            letter('g', stage.may(who, &query, json!({})).await)
        }
    });
    cell
}

/// What is read along a relationship or join: how many records, `f` filtered by.
pub async fn way(stage: &Stage, who: &Principal, entity: &EntityType, field: &str, list: bool) -> String {
    let plural = &entity.plural;
    let count =
        match stage.ask(who, &format!("{{ x: {plural} {{ v: {field} {{ id: __typename }} }} }}"), json!({})).await {
            Outcome::Refused => REFUSED.to_string(),
            Outcome::Answered(rows, _) => {
                let of = |row: &Json| row["v"].as_array().map_or(usize::from(!row["v"].is_null()), Vec::len);
                rows.as_array().map_or(0, |rows| rows.iter().map(of).sum()).to_string()
            }
        };
    let filter = match (stage.input(&format!("{}Where", entity.name), field), list) {
        (None, _) => ABSENT,
        (Some(_), true) => letter(
            'f',
            stage.may(who, &format!("{{ x: {plural}(where: {{{field}: {{some: {{}}}}}}) {{ id }} }}"), json!({})).await,
        ),
        (Some(_), false) => letter(
            'f',
            stage.may(who, &format!("{{ x: {plural}(where: {{{field}: {{}}}}) {{ id }} }}"), json!({})).await,
        ),
    };
    format!("{count}{filter}")
}

/// What is read of a property of a relationship: `r` read, `f` filtered by, `s` sorted by.
pub async fn along(stage: &Stage, who: &Principal, entity: &EntityType, field: &str, property: &Property) -> String {
    let (plural, name) = (&entity.plural, &property.name);
    let ask = |argument: &str| {
        format!("{{ x: {plural} {{ v: {field}Connection{argument} {{ edges {{ properties {{ {name} }} }} }} }} }}")
    };
    let mut cell = String::new();
    cell.push(letter('r', stage.may(who, &ask(""), json!({})).await));
    cell.push(match property.filterable && property.scalar != quipu_schema::ontology::Scalar::Json && !property.list {
        false => ABSENT,
        true => {
            letter('f', stage.may(who, &ask(&format!("(where: {{edge: {{{name}: {{eq: null}}}}}})")), json!({})).await)
        }
    });
    cell.push(match property.sortable {
        false => ABSENT,
        true => letter('s', stage.may(who, &ask(&format!("(sort: [{{edge: {{{name}: ASC}}}}])")), json!({})).await),
    });
    cell
}

/// The letter, or that it is refused.
pub fn letter(letter: char, may: bool) -> char {
    if may { letter } else { REFUSED }
}
