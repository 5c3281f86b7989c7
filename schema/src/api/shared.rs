//! Types that are the same in every API: scalars, paging, counters, and filters, mutations and figures by scalar.

use std::collections::HashSet;

use crate::ontology::{Ontology, Property, Scalar};

use super::define::{input, part, value};
use super::generate::Generator;
use super::naming;
use super::{Counter, EnumDef, Figure, InputField, Part, TypeDef, TypeRef};

/// Which of the types by scalar something uses.
#[derive(Default)]
pub(super) struct Used {
    /// Filters, by scalar and whether it is a list.
    pub(super) filters: HashSet<(Scalar, bool)>,
    /// Mutations, by scalar and whether it is a list.
    pub(super) mutations: HashSet<(Scalar, bool)>,
    /// Figures.
    pub(super) figures: HashSet<Scalar>,
}

/// Adds them.
pub(super) fn add(generator: &mut Generator<'_>) {
    let scalars = scalars(generator.ontology);
    for (scalar, list) in scalars.iter().flat_map(|scalar| [(scalar, false), (scalar, true)]) {
        let key = (scalar.clone(), list);
        if generator.used.filters.contains(&key) {
            add_filter(generator, scalar, list);
        }
        if generator.used.mutations.contains(&key) {
            add_mutation(generator, scalar, list);
        }
        if !list && generator.used.figures.contains(scalar) {
            add_figures(generator, scalar);
        }
    }
    add_paging(generator);
    add_counters(generator);
    for scalar in scalars {
        add_scalar(generator, scalar);
    }
}

/// Every scalar and enum, in the order in which their types are listed.
fn scalars(ontology: &Ontology) -> Vec<Scalar> {
    use Scalar::{BigInt, Boolean, Date, DateTime, Float, Id, Int, Json, String};
    let mut scalars = vec![Id, String, Int, Float, BigInt, Boolean, DateTime, Date, Json];
    scalars.extend(ontology.enums.keys().cloned().map(Scalar::Enum));
    scalars
}

fn add_filter(generator: &mut Generator<'_>, scalar: &Scalar, list: bool) {
    let Some(name) = naming::filter(scalar, list) else { return };
    let of = scalar.name();
    let one = |operator: &str, about: &str| input(operator, TypeRef::named(of), about);
    let many = |operator: &str, about: &str| input(operator, TypeRef::optional_list(of), about);
    let fields = if list {
        vec![many("eq", "The same items in the same order."), one("includes", "Holds this item.")]
    } else {
        let mut fields = vec![one("eq", "Equal; with null: has no value.")];
        if *scalar != Scalar::Boolean {
            fields.push(many("in", "One of these."));
        }
        if matches!(
            scalar,
            Scalar::String | Scalar::Int | Scalar::Float | Scalar::BigInt | Scalar::DateTime | Scalar::Date
        ) {
            fields.extend([one("lt", "Less than."), one("lte", "At most.")]);
            fields.extend([one("gt", "Greater than."), one("gte", "At least.")]);
        }
        if matches!(scalar, Scalar::String | Scalar::Id) {
            fields.push(one("contains", "Holds this text; capitals matter."));
            fields.push(one("startsWith", "Begins with this text; capitals matter."));
            fields.push(one("endsWith", "Ends with this text; capitals matter."));
        }
        fields
    };
    let what = if list { format!("a list of {of}") } else { of.to_owned() };
    generator.input(cause(scalar), name, format!("Conditions on {what}. All that are given must hold."), fields);
}

fn add_mutation(generator: &mut Generator<'_>, scalar: &Scalar, list: bool) {
    let of = scalar.name();
    let one = |name: &str, about: &str| input(name, TypeRef::named(of), about);
    let mut fields: Vec<InputField> = Vec::with_capacity(3);
    if list {
        fields.push(input("set", TypeRef::optional_list(of), "The new list; null removes it."));
        fields.push(input("push", TypeRef::optional_list(of), "Items to put at the end."));
    } else {
        fields.push(one("set", "The new value; null removes it."));
        if matches!(scalar, Scalar::Int | Scalar::Float | Scalar::BigInt) {
            fields.extend([one("add", "How much to add."), one("subtract", "How much to take away.")]);
        }
    }
    let what = if list { format!("a list of {of}") } else { of.to_owned() };
    let about = format!("How to change {what}. Give exactly one.");
    generator.input(cause(scalar), naming::mutation(scalar, list), about, fields);
}

fn add_figures(generator: &mut Generator<'_>, scalar: &Scalar) {
    let Some(name) = naming::figures(scalar) else { return };
    let of = scalar.name();
    let figure =
        |name: &str, of: &str, figure, about: &str| part(name, TypeRef::named(of), Part::Figure(figure), about);
    let fields = match scalar {
        Scalar::String => vec![
            figure("shortest", of, Figure::Shortest, "A shortest text."),
            figure("longest", of, Figure::Longest, "A longest text."),
        ],
        _ => {
            let mut fields =
                vec![figure("min", of, Figure::Min, "The smallest."), figure("max", of, Figure::Max, "The largest.")];
            if !matches!(scalar, Scalar::DateTime | Scalar::Date) {
                fields.push(figure("average", "Float", Figure::Average, "The arithmetic mean."));
                fields.push(figure("sum", of, Figure::Sum, "The sum."));
            }
            fields
        }
    };
    generator.object("", name, format!("Figures over {of} values; null where there is none."), fields);
}

fn add_paging(generator: &mut Generator<'_>) {
    let values = vec![
        value("ASC", "The smallest first, absent values last."),
        value("DESC", "The largest first, absent values at the start."),
    ];
    let description = Some("Which way to sort.".to_owned());
    generator.enumeration("", EnumDef { name: "SortDirection".to_owned(), description, values });
    let fields = vec![
        part("hasNextPage", TypeRef::required("Boolean"), Part::HasNextPage, "Whether more edges follow."),
        part("hasPreviousPage", TypeRef::required("Boolean"), Part::HasPreviousPage, "Whether more edges come before."),
        part("startCursor", TypeRef::named("String"), Part::StartCursor, "Cursor of the page's first edge."),
        part("endCursor", TypeRef::named("String"), Part::EndCursor, "Cursor of the page's last edge."),
    ];
    generator.object("", "PageInfo", "Where a page stands.", fields);
}

fn add_counters(generator: &mut Generator<'_>) {
    let count = |name: &str, what, about: &str| part(name, TypeRef::required("Int"), what, about);
    let nodes = || count("nodes", Part::CountNodes, "Number of records.");
    let edges = count("edges", Part::CountEdges, "Number of relationships.");
    generator.object("", "Count", "How many records there are.", vec![nodes()]);
    if !generator.reach.connected.is_empty() {
        generator.object("", "CountConnection", "How many records and relationships there are.", vec![nodes(), edges]);
    }
    let [nodes_created, nodes_deleted, relationships_created, relationships_deleted] = [
        ("nodesCreated", Counter::NodesCreated, "Number of records made."),
        ("nodesDeleted", Counter::NodesDeleted, "Number of records removed."),
        ("relationshipsCreated", Counter::RelationshipsCreated, "Number of relationships made."),
        ("relationshipsDeleted", Counter::RelationshipsDeleted, "Number of relationships removed."),
    ]
    .map(|(name, counter, about)| count(name, Part::Counter(counter), about));
    let created = vec![nodes_created.clone(), relationships_created.clone()];
    let deleted = vec![nodes_deleted.clone(), relationships_deleted.clone()];
    let updated = vec![nodes_created, nodes_deleted, relationships_created, relationships_deleted];
    generator.object("", "CreateInfo", "How much a creation wrote.", created);
    generator.object("", "DeleteInfo", "How much a deletion removed.", deleted);
    generator.object("", "UpdateInfo", "How much a change wrote and removed.", updated);
}

fn add_scalar(generator: &mut Generator<'_>, scalar: Scalar) {
    let description = match scalar {
        Scalar::BigInt => "A 64-bit integer, as text in answers; text and integers are taken.",
        Scalar::DateTime => "An instant by RFC 3339; answers are in UTC with milliseconds.",
        Scalar::Date => "A calendar day, YYYY-MM-DD.",
        Scalar::Json => "Any JSON value.",
        _ => return,
    };
    let everywhere = matches!(scalar, Scalar::DateTime | Scalar::Json);
    if everywhere || properties(generator.ontology).any(|property| property.scalar == scalar) {
        let (name, description) = (scalar.name().to_owned(), Some(description.to_owned()));
        generator.other("", TypeDef::Scalar { name, description, scalar });
    }
}

fn properties(ontology: &Ontology) -> impl Iterator<Item = &Property> {
    let of_types = ontology.types.values().flat_map(|entity| entity.properties.values());
    let of_edges = ontology.edge_types.values().flat_map(|edge| edge.properties.values());
    of_types.chain(of_edges)
}

/// The element of the ontology that the types of a scalar are there for.
fn cause(scalar: &Scalar) -> &str {
    match scalar {
        Scalar::Enum(name) => name,
        _ => "",
    }
}
