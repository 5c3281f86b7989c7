//! The roots: `Query`, `Mutation`, `Subscription`.

use serde_json::Value;

use crate::ontology::{EntityType, PageLimit, RELATIONSHIP};

use super::define::{field, input};
use super::generate::Generator;
use super::naming::{self, upper};
use super::{Event, FieldDef, Form, InputField, Source, TypeRef};

/// Adds the three roots.
pub(super) fn add(generator: &mut Generator<'_>) {
    let ontology = generator.ontology;
    let mut query = Vec::with_capacity(ontology.types.len() * 3);
    let mut mutation = Vec::with_capacity(ontology.types.len() * 4);
    let mut subscription = vec![changes()];
    for entity in ontology.types.values() {
        query.extend(records(&entity.name, &entity.plural, entity.limit));
        query.push(one(entity));
        if entity.embedded().next().is_some() {
            query.push(similar(entity));
        }
        if entity.writes().any() {
            mutation.extend(writes(generator, entity));
            subscription.extend(watches(entity));
        }
    }
    for group in ontology.abstracts.values() {
        query.extend(records(&group.name, &group.plural, PageLimit::default()));
    }
    query.extend(records(RELATIONSHIP, "relationships", PageLimit::default()));
    if super::retrieval::searched(ontology).next().is_some() {
        query.push(search());
    }
    generator.object("", "Query", "What can be read.", query);
    generator.object("", "Mutation", "What can be written. The fields of one request run one after another.", mutation);
    generator.object("", "Subscription", "What can be watched.", subscription);
}

/// Arguments of a list: `where`, `limit`, `offset`, `sort`.
pub(super) fn list_args(of: &str, limit: PageLimit) -> Vec<InputField> {
    let bound = page_text("Most records to return", limit);
    vec![
        input("where", TypeRef::named(format!("{of}Where")), "Only records that match."),
        input("limit", TypeRef::named("Int"), bound),
        input("offset", TypeRef::named("Int"), "Records to pass over first."),
        input("sort", TypeRef::optional_list(format!("{of}Sort")), "Keys of the order, the weightiest first."),
    ]
}

/// Arguments of a connection: `where`, `sort`, `first`, `after`, `last`, `before`.
pub(super) fn connection_args(where_type: String, sort_type: String, limit: PageLimit) -> Vec<InputField> {
    vec![
        input("where", TypeRef::named(where_type), "Only records that match."),
        input("sort", TypeRef::optional_list(sort_type), "Keys of the order, the weightiest first."),
        input("first", TypeRef::named("Int"), page_text("Most edges to return, from the start", limit)),
        input("after", TypeRef::named("String"), "Only edges after the one with this cursor."),
        input("last", TypeRef::named("Int"), page_text("Most edges to return, from the end", limit)),
        input("before", TypeRef::named("String"), "Only edges before the one with this cursor."),
    ]
}

fn page_text(what: &str, limit: PageLimit) -> String {
    match (limit.default, limit.max) {
        (None, None) => format!("{what}."),
        (Some(default), None) => format!("{what}; {default} by default."),
        (None, Some(max)) => format!("{what}, {max} at the most."),
        (Some(default), Some(max)) => format!("{what}; {default} by default, {max} at the most."),
    }
}

fn records(of: &str, plural: &str, limit: PageLimit) -> [FieldDef; 2] {
    let source = |form| Source::Records { of: of.to_owned(), form };
    let connection = TypeRef::required(format!("{}Connection", upper(plural)));
    let about = format!("{of} records as pages with cursors, a total and aggregates.");
    [
        field(plural, TypeRef::list(of), source(Form::List), format!("{of} records as a list."))
            .with(list_args(of, limit)),
        field(&format!("{plural}Connection"), connection, source(Form::Connection), about).with(connection_args(
            format!("{of}Where"),
            format!("{of}Sort"),
            limit,
        )),
    ]
}

fn one(entity: &EntityType) -> FieldDef {
    let source = Source::Records { of: entity.name.clone(), form: Form::One };
    let about = format!("The {} with that id, or null.", entity.name);
    let id = input("id", TypeRef::required("ID"), "Its id.");
    field(&entity.singular, TypeRef::named(&entity.name), source, about).with(vec![id])
}

/// Hits of a search when no number is given.
const HITS: u32 = 10;

fn first(limit: PageLimit) -> InputField {
    let first = input("first", TypeRef::named("Int"), "Most hits to return.");
    InputField { default: Some(Value::from(limit.max.map_or(HITS, |max| max.min(HITS)))), ..first }
}

fn similar(entity: &EntityType) -> FieldDef {
    let of = &entity.name;
    let vector = TypeRef::optional_list("Float");
    let args = vec![
        input("query", TypeRef::named("String"), "Text to compare with. Give exactly one of query, vector and id."),
        input("vector", vector, "Vector to compare with, of the embedding model's dimensions."),
        input("id", TypeRef::named("ID"), format!("Id of a {of} to compare with.")),
        input(
            "property",
            TypeRef::named(format!("{of}Embedded")),
            "Embedded property to compare; the first one when left out.",
        ),
        input("where", TypeRef::named(format!("{of}Where")), "Only records that match."),
        first(entity.limit),
    ];
    let about = format!("{of} records nearest by meaning, the nearest first.");
    let source = Source::Similar { of: of.clone() };
    field(&format!("{}Similar", entity.plural), TypeRef::list(format!("{of}Similar")), source, about).with(args)
}

fn search() -> FieldDef {
    let args = vec![
        input("query", TypeRef::required("String"), "What to look for, in words."),
        input("types", TypeRef::optional_list("SearchType"), "Only these types; all of them when left out."),
        input("where", TypeRef::named("SearchWhere"), "Only records that match, per type."),
        first(PageLimit::default()),
    ];
    let about = "Passages and records found by meaning and by words, the best first.";
    field("search", TypeRef::list("SearchHit"), Source::Search, about).with(args)
}

fn writes(generator: &Generator<'_>, entity: &EntityType) -> Vec<FieldDef> {
    let (of, plural) = (&entity.name, upper(&entity.plural));
    let response = |verb: &str| TypeRef::required(format!("{verb}{plural}MutationResponse"));
    let inputs = |kind: &str| vec![input("input", TypeRef::list(format!("{of}{kind}Input")), "One item per record.")];
    let filter = || input("where", TypeRef::named(format!("{of}Where")), "Which records; all of them when left out.");
    let named = |verb: &str| format!("{verb}{plural}");

    let writes = entity.writes();
    let mut fields = Vec::with_capacity(4);
    if writes.create {
        let (source, about) = (Source::Create { of: of.clone() }, format!("Makes {of} records."));
        fields.push(field(&named("create"), response("Create"), source, about).with(inputs("Create")));
    }
    if naming::updatable(entity) {
        let update = input("update", TypeRef::required(format!("{of}UpdateInput")), "What to change in each of them.");
        let about = format!("Changes {of} records.");
        let source = Source::Update { of: of.clone() };
        fields.push(field(&named("update"), response("Update"), source, about).with(vec![filter(), update]));
    }
    if writes.delete {
        let mut removed = vec![filter()];
        if generator.nested(entity).next().is_some() {
            let about = "Related records to remove as well.";
            removed.push(input("delete", TypeRef::named(format!("{of}DeleteInput")), about));
        }
        let about = format!("Removes {of} records, with the relationships of a node.");
        let source = Source::Delete { of: of.clone() };
        fields.push(field(&named("delete"), TypeRef::required("DeleteInfo"), source, about).with(removed));
    }
    if naming::upsertable(entity) {
        let about = format!("Makes or changes {of} records by id.");
        let source = Source::Upsert { of: of.clone() };
        fields.push(field(&named("upsert"), response("Upsert"), source, about).with(inputs("Upsert")));
    }
    fields
}

fn changes() -> FieldDef {
    let args = vec![
        input(
            "types",
            TypeRef::optional_list("ChangeType"),
            "Only changes of these types; of all types when left out.",
        ),
        input(
            "since",
            TypeRef::named("String"),
            "Begin after the change with this seq; with changes to come when left out.",
        ),
    ];
    field("changes", TypeRef::required("Change"), Source::Changes, "Every change, in order.").with(args)
}

/// Events that the log tells of: those of what is written here.
fn watches(entity: &EntityType) -> Vec<FieldDef> {
    let (of, writes) = (&entity.name, entity.writes());
    let all = [
        (writes.create, Event::Created, "made"),
        (writes.update, Event::Updated, "changed"),
        (writes.delete, Event::Deleted, "removed"),
    ];
    // What others do to their tables is not in the log.
    let through = if entity.mapped().is_some() { " through this API" } else { "" };
    let told = all.into_iter().filter(|(told, ..)| *told).map(|(_, event, verb)| {
        let filter = input("where", TypeRef::named(format!("{of}Where")), "Only records that match.");
        let source = Source::Watch { of: of.clone(), event };
        let about = format!("Every {of} that is {verb}{through} from now on.");
        let name = format!("{}{event:?}", entity.singular);
        field(&name, TypeRef::required(format!("{of}Change")), source, about).with(vec![filter])
    });
    told.collect()
}
