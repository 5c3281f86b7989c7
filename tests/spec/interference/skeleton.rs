//! The types that every ontology of the property has; what differs are the rules on them.

use std::fmt::Write as _;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Id,
    Text,
    Int,
    Float,
    Bool,
}

/// How a field leads to other records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Along relationships of that type.
    Edge { of: &'static str, out: bool, properties: bool },
    /// To records that hold my id in that column.
    On(&'static str),
    /// To the record whose id I hold in that column.
    By(&'static str),
}

/// A field that leads to other records.
#[derive(Debug)]
pub struct Way {
    pub name: &'static str,
    /// Numbers of the types at the other end; several are the interface `Named`.
    pub to: &'static [usize],
    pub list: bool,
    pub link: Link,
}

/// A type.
#[derive(Debug)]
pub struct Type {
    pub name: &'static str,
    pub singular: &'static str,
    pub plural: &'static str,
    pub node: bool,
    /// Whether it has a text that is searched.
    pub embedded: bool,
    /// Columns with ids of others.
    pub columns: &'static [&'static str],
    pub ways: &'static [Way],
}

const fn edge(of: &'static str, out: bool, properties: bool) -> Link {
    Link::Edge { of, out, properties }
}

const fn way(name: &'static str, to: &'static [usize], list: bool, link: Link) -> Way {
    Way { name, to, list, link }
}

pub const PLACE: usize = 0;
pub const ITEM: usize = 1;
pub const NOTE: usize = 2;

/// Nodes first, then rows. Each leads to others of its store and of the other one.
pub const TYPES: [Type; 5] = [
    Type {
        name: "Place",
        singular: "place",
        plural: "places",
        node: true,
        embedded: true,
        columns: &[],
        ways: &[
            way("items", &[ITEM], true, edge("HOLDS", true, true)),
            way("near", &[PLACE], true, edge("NEAR", true, false)),
            way("papers", &[3], true, Link::On("place_id")),
        ],
    },
    Type {
        name: "Item",
        singular: "item",
        plural: "items",
        node: true,
        embedded: false,
        columns: &[],
        ways: &[
            way("place", &[PLACE], false, edge("HOLDS", false, true)),
            way("notes", &[NOTE], true, edge("HAS", true, false)),
            way("lines", &[4], true, Link::On("item_id")),
        ],
    },
    Type {
        name: "Note",
        singular: "note",
        plural: "notes",
        node: true,
        embedded: true,
        columns: &[],
        ways: &[
            way("item", &[ITEM], false, edge("HAS", false, false)),
            way("speaks", &[PLACE, ITEM], true, edge("ABOUT", true, false)),
        ],
    },
    Type {
        name: "Paper",
        singular: "paper",
        plural: "papers",
        node: false,
        embedded: false,
        columns: &["place_id"],
        ways: &[way("place", &[PLACE], false, Link::By("place_id")), way("lines", &[4], true, Link::On("paper_id"))],
    },
    Type {
        name: "Line",
        singular: "line",
        plural: "lines",
        node: false,
        embedded: false,
        columns: &["paper_id", "item_id"],
        ways: &[way("paper", &[3], false, Link::By("paper_id")), way("item", &[ITEM], false, Link::By("item_id"))],
    },
];

/// Relationships: their type, and the types at their ends.
pub const EDGES: [(&str, usize, usize); 5] = [
    ("HOLDS", PLACE, ITEM),
    ("NEAR", PLACE, PLACE),
    ("HAS", ITEM, NOTE),
    ("ABOUT", NOTE, PLACE),
    ("ABOUT", NOTE, ITEM),
];

/// The properties of `HOLDS`.
pub const EDGE_FIELDS: [&str; 2] = ["slot", "since"];

/// Where rules may stand on a property of a relationship: a type beside those of records.
pub const HOLDING: usize = TYPES.len();

/// A field that no rule on types looks at, so that it can be changed without any effect on those who may not read it.
pub const SECRET: &str = "secret";

/// Fields of all types; `mark` beside them is what mutations write, and no rule and no condition speaks of it.
const COMMON: [(&str, Sort); 7] = [
    ("id", Sort::Id),
    ("name", Sort::Text),
    ("region", Sort::Text),
    ("grade", Sort::Int),
    ("score", Sort::Float),
    ("open", Sort::Bool),
    (SECRET, Sort::Int),
];

/// The fields that can be compared, of some types at once: those that all have.
pub fn fields(of: &[usize]) -> Vec<(&'static str, Sort)> {
    match of {
        [one] => {
            let columns = TYPES[*one].columns.iter().map(|column| (*column, Sort::Id));
            let about = TYPES[*one].embedded.then_some(("about", Sort::Text));
            COMMON.into_iter().chain(columns).chain(about).collect()
        }
        _ => COMMON[..4].to_vec(),
    }
}

/// The ontology, with directives for types and for fields.
pub fn sdl(of_type: impl Fn(usize) -> String, of_field: impl Fn(usize, &str) -> String) -> String {
    let mut sdl = "interface Named { id: ID! name: String! region: String grade: Int }\n".to_owned();
    for (at, ty) in TYPES.iter().enumerate() {
        let kind = if ty.node { "@node".to_owned() } else { format!("@table(name: \"{}\")", ty.plural) };
        let named = if at < NOTE { " implements Named" } else { "" };
        let _ = writeln!(sdl, "type {}{named} {kind} @limit(default: 12) {} {{", ty.name, of_type(at));
        for (name, sort) in fields(&[at]) {
            let written = match (name, sort) {
                ("id", _) => "ID!",
                ("name", _) => "String!",
                ("about", _) => "String @embed",
                (_, Sort::Id) => "ID",
                (_, Sort::Text) => "String",
                (_, Sort::Int) => "Int",
                (_, Sort::Float) => "Float",
                (_, Sort::Bool) => "Boolean",
            };
            let _ = writeln!(sdl, "  {name}: {written} {}", of_field(at, name));
        }
        sdl.push_str("  mark: Int\n");
        for way in ty.ways {
            let _ = writeln!(sdl, "  {}: {} {}", way.name, target(way), link(way.link));
        }
        sdl.push_str("}\n");
    }
    let _ = writeln!(sdl, "type Holding @relationshipProperties {{");
    for name in EDGE_FIELDS {
        let _ = writeln!(sdl, "  {name}: Int {}", of_field(HOLDING, name));
    }
    sdl + "}\n"
}

fn target(way: &Way) -> String {
    let name = if way.to.len() > 1 { "Named" } else { TYPES[way.to[0]].name };
    if way.list { format!("[{name}!]!") } else { name.to_owned() }
}

fn link(link: Link) -> String {
    match link {
        Link::Edge { of, out, properties } => {
            let direction = if out { "OUT" } else { "IN" };
            let properties = if properties { ", properties: \"Holding\"" } else { "" };
            format!("@relationship(type: \"{of}\", direction: {direction}{properties})")
        }
        Link::On(column) => format!("@join(on: \"{column}\")"),
        Link::By(column) => format!("@join(by: \"{column}\")"),
    }
}
