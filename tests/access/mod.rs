//! The access matrix: of every ontology that ships, what each of a fixed cast may do with every type, field, relationship and join, written down
//! in `tests/access/NAME.snap` by real requests to a small world (`NAME.jsonl`). Who asks is said in `NAME.toml`, which is also a table
//! for `quipu policy test`.
//!
//! A new field has no row in the file, and one without a value in any record of the world stops the test: so nothing is served of which
//! nobody said who may see it.

use std::fmt::Write as _;
use std::path::Path;

mod changes;
mod events;
mod reads;
mod searches;
mod stage;

use events::Told;
use quipu_resolvers::guard::Principal;
use quipu_schema::ontology::EntityType;
use stage::Stage;

const LEGEND: &str = "\
Columns are the cast. Records of a type have numbers, in the order of its line.

  listed, by id    which records are seen
  counted          how many there are said to be
  found by ...     which are found by the texts of all of them, by meaning and by words
  heard (of removed)  whose changes a subscription tells, and whose removal
  created like     like which of them a new record may be made
  changed, removed which of them may be
  upserted, like   which may be upserted as they are, and like which a new one may be

  ~field           which are found by the meaning of an embedded text
  .field           r read (p: on some records), f filtered by, s sorted by, g figures of it;
                   c given to a new record, u set (p: on some of all records)
  ->field          a relationship: how many records are reached, f filtered by;
                   c connected, d disconnected (p: some of those that are there)
  ->field.name     a property of it: r read, f filtered by, s sorted by
  =>field          a join: how many records are reached, f filtered by

  -  refused; .  there is no such thing in the API
";

/// A table with one column for each of the cast.
struct Table {
    text: String,
    width: usize,
}

impl Table {
    fn row(&mut self, name: &str, cells: &[String]) {
        let cells: String = cells.iter().map(|cell| format!(" {cell:<width$}", width = self.width)).collect();
        let _ = writeln!(self.text, "{}", format!("  {name:<28}{cells}").trim_end());
    }
}

/// One cell for each of the cast.
async fn each(stage: &Stage, cell: impl AsyncFn(&Principal) -> String) -> Vec<String> {
    let mut cells = Vec::new();
    for (_, who) in &stage.cast {
        cells.push(cell(who).await);
    }
    cells
}

/// The rows of several titles, whose cells come together.
fn turned<const N: usize>(titles: [&str; N], columns: Vec<[String; N]>, table: &mut Table) {
    for (at, title) in titles.into_iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|column| column[at].clone()).collect();
        table.row(title, &cells);
    }
}

async fn matrix(name: &str) -> String {
    let stage = Stage::set(name).await;
    let width = stage.cast.iter().map(|(who, _)| who.len()).max().unwrap_or_default().max(7);
    let mut table = Table { text: LEGEND.to_owned(), width };
    let heard = [events::heard(&stage).await, events::removals(&stage).await];
    for entity in stage.ontology.types.values() {
        let ids = stage.ids(&entity.name);
        assert!(!ids.is_empty(), "there is no {} in the world of {name}", entity.name);
        let _ = writeln!(table.text, "\n{}: {}", entity.name, ids.join(", "));
        let who: Vec<String> = stage.cast.iter().map(|(who, _)| who.clone()).collect();
        table.row("", &who);
        of_type(&stage, entity, &heard, &mut table).await;
    }
    table.text
}

async fn of_type(stage: &Stage, entity: &EntityType, heard: &[Vec<Told>; 2], table: &mut Table) {
    let ids = stage.ids(&entity.name);
    let mut columns = Vec::new();
    for (_, who) in &stage.cast {
        columns.push(reads::records(stage, who, entity).await);
    }
    turned(["listed", "counted", "by id"], columns, table);
    for (title, heard) in ["heard", "heard of removed"].into_iter().zip(heard) {
        let told = heard.iter().map(|heard| {
            let told = |(_, id): &(usize, &String)| heard.contains(&(entity.name.clone(), (*id).clone()));
            reads::shown(&ids.iter().enumerate().filter(told).map(|(at, _)| at).collect::<Vec<_>>())
        });
        table.row(title, &told.collect::<Vec<_>>());
    }
    found(stage, entity, table).await;
    let mut columns = Vec::new();
    for (_, who) in &stage.cast {
        columns.push(changes::records(stage, who, entity).await);
    }
    turned(["created like", "changed", "removed"], columns, table);
    let mut columns = Vec::new();
    for (_, who) in &stage.cast {
        columns.push(changes::upserts(stage, who, entity).await);
    }
    turned(["upserted", "upserted like"], columns, table);
    for property in entity.properties.values() {
        let cells = each(stage, async |who: &Principal| {
            reads::property(stage, who, entity, property).await + &changes::property(stage, who, entity, property).await
        });
        table.row(&format!(".{}", property.name), &cells.await);
    }
    for link in entity.relationships.values() {
        let cells = each(stage, async |who: &Principal| {
            let read = reads::way(stage, who, entity, &link.name, link.list).await;
            read + &changes::links(stage, who, entity, &link.name).await
        });
        table.row(&format!("->{}", link.name), &cells.await);
        let Some(edge) = link.properties.as_ref().map(|name| &stage.ontology.edge_types[name]) else { continue };
        for property in edge.properties.values() {
            let cells =
                each(stage, async |who: &Principal| reads::along(stage, who, entity, &link.name, property).await);
            table.row(&format!("->{}.{}", link.name, property.name), &cells.await);
        }
    }
    for join in entity.joins.values() {
        let cells = each(stage, async |who: &Principal| reads::way(stage, who, entity, &join.name, join.list).await);
        table.row(&format!("=>{}", join.name), &cells.await);
    }
}

/// What is found of a type whose texts are embedded.
async fn found(stage: &Stage, entity: &EntityType, table: &mut Table) {
    if entity.embedded().next().is_none() {
        return;
    }
    // Removals took vectors along.
    stage.world.embedded().await;
    if entity.is_node() {
        let mut columns = Vec::new();
        for (_, who) in &stage.cast {
            columns.push(searches::found(stage, who, entity).await);
        }
        turned(["found by meaning", "found by words"], columns, table);
    }
    for property in entity.embedded() {
        let cells = each(stage, async |who: &Principal| searches::similar(stage, who, entity, property).await);
        table.row(&format!("~{}", property.name), &cells.await);
    }
}

async fn as_written(name: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/access"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let matrix = matrix(name).await;
    settings.bind(|| insta::assert_snapshot!(name, matrix));
}

#[tokio::test]
async fn access_to_the_library() {
    as_written("library").await;
}

#[tokio::test]
async fn access_to_the_cold_chain() {
    as_written("cryox").await;
}

#[tokio::test]
async fn access_to_the_insights() {
    as_written("insights").await;
}

#[tokio::test]
async fn access_to_the_mortgage_desk() {
    as_written("emma").await;
}

#[tokio::test]
async fn access_to_the_figures() {
    as_written("supertrack").await;
}

/// Whatever ships has a matrix.
#[test]
fn every_ontology_that_ships_has_a_matrix() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in root.join("schema/ontologies").read_dir().unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        for file in [format!("{name}.snap"), format!("{name}.toml"), format!("{name}.jsonl")] {
            assert!(root.join("tests/access").join(&file).exists(), "tests/access/{file} is missing");
        }
    }
}
