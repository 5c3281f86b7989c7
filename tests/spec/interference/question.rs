//! Questions: every way in which something may come to light, drawn as numbers and written as GraphQL.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::condition::{Condition, OFTEN, Raw, WORDS, raw};
use super::skeleton::{EDGE_FIELDS, HOLDING, Link, NOTE, PLACE, SECRET, Sort, TYPES, fields};

/// A list of records, or one, with what is asked of them: at the root or below another.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which way leads to them; at the root, which field.
    way: u8,
    /// A list, or a connection.
    connection: bool,
    filter: Option<Raw>,
    sort: Vec<u8>,
    /// How many, and after how many.
    window: Option<[u8; 2]>,
    /// Parts of a connection.
    parts: u8,
    fields: u16,
    below: Vec<Asked>,
}

/// A question as it is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// `#PAGE#` in it is where a cursor goes.
    pub text: String,
    /// Whether pages follow backwards.
    pub backwards: bool,
    /// Types that it touches.
    pub types: BTreeSet<usize>,
    /// Fields that it touches in any way, with the numbers of their types.
    pub fields: BTreeSet<(usize, &'static str)>,
}

/// What a listing is of.
struct List {
    name: &'static str,
    of: &'static [usize],
    /// Along relationships, and whether these have properties.
    along: Option<bool>,
    /// Whether there is a connection of that name.
    connects: bool,
}

/// Questions that go down three levels.
pub fn asked() -> impl Strategy<Value = Asked> {
    let below = one(Just(Vec::new()).boxed());
    let middle = one(vec(below, 0..2).boxed());
    one(vec(middle, 0..3).boxed())
}

fn one(below: BoxedStrategy<Vec<Asked>>) -> BoxedStrategy<Asked> {
    let filter = weighted(0.75, raw());
    let window = weighted(0.4, any::<[u8; 2]>());
    let parts = (any::<u8>(), any::<bool>(), filter, vec(any::<u8>(), 0..3), window, any::<u8>(), any::<u16>(), below);
    let asked = parts.prop_map(|(way, connection, filter, sort, window, parts, fields, below)| Asked {
        way,
        connection,
        filter,
        sort,
        window,
        parts,
        fields,
        below,
    });
    asked.boxed()
}

/// Types that can be asked for at the root; `Named` and `Entity` stand for several.
const ROOTS: [(&str, &[usize]); 7] = [
    ("places", &[0]),
    ("items", &[1]),
    ("notes", &[2]),
    ("papers", &[3]),
    ("lines", &[4]),
    ("nameds", &[0, 1]),
    ("entities", &[0, 1, 2]),
];

impl Asked {
    /// As GraphQL. `windows` says whether lists may be cut.
    pub fn question(&self, windows: bool) -> Question {
        let (types, fields) = (BTreeSet::new(), BTreeSet::new());
        let mut question = Question { text: String::new(), backwards: self.parts & 64 != 0, types, fields };
        let text = match self.way % 16 {
            0..=9 => self.listing(self.root(self.way % 10), windows, &mut question),
            10 | 11 => self.by_id(&mut question),
            12 | 13 => self.relationships(windows, &mut question),
            14 => self.search(&mut question),
            _ => self.similar(&mut question),
        };
        question.text = format!("{{ x: {text} }}");
        question
    }

    /// A mutation of what the condition names: its text, and the types and fields that it touches.
    pub fn mutation(&self) -> Question {
        let of = usize::from(self.way) % TYPES.len();
        let (types, fields) = (BTreeSet::from([of]), BTreeSet::new());
        let mut question = Question { text: String::new(), backwards: false, types, fields };
        let (name, plural) = (TYPES[of].name, TYPES[of].plural);
        let filter = self.condition(&[of], &mut question);
        let filter = if filter.is_empty() { String::new() } else { format!("where: {filter}") };
        question.text = if self.connection {
            let arguments = if filter.is_empty() { String::new() } else { format!("({filter})") };
            format!("mutation {{ x: delete{name}s{arguments} {{ nodesDeleted relationshipsDeleted }} }}")
        } else {
            let info = "info { nodesCreated nodesDeleted }";
            format!(
                "mutation {{ x: update{name}s({filter} update: {{mark: {{set: 7}}}}) {{ {plural} {{ id mark }} {info} }} }}"
            )
        };
        question
    }

    fn root(&self, n: u8) -> List {
        let (name, of) = ROOTS[[0, 1, 2, 3, 4, 5, 6, 3, 4, 4][usize::from(n)]];
        List { name, of, along: None, connects: true }
    }

    /// A list or connection.
    fn listing(&self, list: List, windows: bool, question: &mut Question) -> String {
        let of = list.of;
        question.types.extend(of);
        let connection = self.connection && list.connects;
        let along = list.along.filter(|_| connection);
        let mut arguments: Vec<String> = Vec::new();
        let filter = if of.len() > 2 { String::new() } else { self.condition(of, question) };
        if !filter.is_empty() {
            arguments.push(format!("where: {}", self.wrapped(filter, along, question)));
        }
        let sort = self.order(of, along, question);
        if !sort.is_empty() {
            arguments.push(format!("sort: [{}]", sort.join(", ")));
        }
        if let Some([size, skipped]) = self.window.filter(|_| windows) {
            arguments.push(match (connection, self.parts & 64 != 0) {
                (false, _) => format!("limit: {} offset: {}", 1 + size % 3, skipped % 3),
                (true, false) => format!("first: {} #PAGE#", 1 + size % 3),
                (true, true) => format!("last: {} #PAGE#", 1 + size % 3),
            });
        }
        let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(" ")) };
        let picks = self.picks(of, windows, question);
        let name = list.name;
        if connection {
            let parts = self.parts(of, along == Some(true), &picks, question);
            format!("{name}Connection{arguments} {{ {parts} }}")
        } else {
            format!("{name}{arguments} {{ {picks} }}")
        }
    }

    /// A condition of a connection along relationships speaks of the record, and of the relationship if that has properties.
    fn wrapped(&self, filter: String, along: Option<bool>, question: &mut Question) -> String {
        match along {
            None => filter,
            Some(true) if self.parts.is_multiple_of(3) => {
                question.fields.insert((HOLDING, "slot"));
                format!("{{OR: [{{node: {filter}}}, {{edge: {{slot: {{gte: {}}}}}}}]}}", self.parts % 4)
            }
            Some(_) => format!("{{node: {filter}}}"),
        }
    }

    fn condition(&self, of: &[usize], question: &mut Question) -> String {
        let Some(raw) = &self.filter else { return String::new() };
        let condition: Condition = raw.of(of, false);
        mention(&condition, of, question);
        condition.written()
    }

    fn order(&self, of: &[usize], along: Option<bool>, question: &mut Question) -> Vec<String> {
        let known = if of.len() > 2 { vec![("id", Sort::Id)] } else { fields(of) };
        let mut sort = Vec::new();
        for n in &self.sort {
            let direction = if n % 2 == 0 { "ASC" } else { "DESC" };
            if along == Some(true) && n % 5 == 0 {
                let name = EDGE_FIELDS[usize::from(n / 5) % 2];
                question.fields.insert((HOLDING, name));
                sort.push(format!("{{edge: {{{name}: {direction}}}}}"));
                continue;
            }
            let secret = known.iter().find(|(name, _)| *name == SECRET && *n >= OFTEN);
            let (name, _) = secret.unwrap_or(&known[usize::from(n / 2) % known.len()]);
            let name = *name;
            question.fields.extend(of.iter().map(|of| (*of, name)));
            sort.push(if along.is_some() {
                format!("{{node: {{{name}: {direction}}}}}")
            } else {
                format!("{{{name}: {direction}}}")
            });
        }
        sort
    }

    /// What is selected of a record.
    fn picks(&self, of: &'static [usize], windows: bool, question: &mut Question) -> String {
        let mut text = "id".to_owned();
        if of.len() > 1 {
            text += " __typename";
        }
        if of.len() > 2 {
            return text;
        }
        let ways = if let [one] = of { TYPES[*one].ways } else { &[] };
        for (at, (name, _)) in fields(of).into_iter().enumerate().skip(1) {
            let is_key = ways.iter().any(|way| way.link == Link::By(name));
            if self.fields >> at & 1 == 1 && self.fields >> 10 & 3 != 3 && (!is_key || self.parts & 128 != 0) {
                question.fields.extend(of.iter().map(|of| (*of, name)));
                let _ = write!(text, " {name}");
            }
        }
        for (at, below) in self.below.iter().enumerate().filter(|_| !ways.is_empty()) {
            let way = &ways[usize::from(below.way) % ways.len()];
            match way.link {
                Link::On(column) => question.fields.insert((way.to[0], column)),
                Link::By(column) => question.fields.insert((of[0], column)),
                Link::Edge { .. } => false,
            };
            let inner = if way.list {
                let along = match way.link {
                    Link::Edge { properties, .. } => Some(properties),
                    Link::On(_) | Link::By(_) => None,
                };
                below.listing(List { name: way.name, of: way.to, along, connects: along.is_some() }, windows, question)
            } else {
                question.types.extend(way.to);
                format!("{} {{ {} }}", way.name, below.picks(way.to, windows, question))
            };
            let _ = write!(text, " a{at}: {inner}");
        }
        text
    }

    fn parts(&self, of: &'static [usize], along: bool, picks: &str, question: &mut Question) -> String {
        let mut text = String::new();
        if self.parts & 3 != 3 {
            let properties = if along { self.properties(question) } else { "" };
            let _ = write!(text, "edges {{ cursor node {{ {picks} }} {properties} }} ");
            text += "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } ";
        }
        if self.parts & 4 != 0 || text.is_empty() {
            text += "totalCount ";
        }
        if self.parts & 24 == 24 {
            text += &self.aggregate(of, along, question);
        }
        text
    }

    fn properties(&self, question: &mut Question) -> &'static str {
        if self.fields & 1 == 0 {
            return "";
        }
        question.fields.extend(EDGE_FIELDS.map(|name| (HOLDING, name)));
        "properties { slot since }"
    }

    fn aggregate(&self, of: &'static [usize], along: bool, question: &mut Question) -> String {
        let mut text = "aggregate { count { nodes } ".to_owned();
        if let [one] = of {
            let mut figures = String::new();
            for (at, (name, sort)) in fields(of).into_iter().enumerate() {
                let wanted = match sort {
                    Sort::Text => "{ shortest longest }",
                    Sort::Int | Sort::Float => "{ min max average sum }",
                    Sort::Id | Sort::Bool => continue,
                };
                if self.fields >> (at + 5) & 1 == 1 || name == SECRET && self.fields & 8 != 0 {
                    question.fields.insert((*one, name));
                    let _ = write!(figures, "{name} {wanted} ");
                }
            }
            if !figures.is_empty() {
                let _ = write!(text, "node {{ {figures} }} ");
            }
            if along && self.fields & 4 != 0 {
                question.fields.insert((HOLDING, "slot"));
                text += "edge { slot { min max sum } } ";
            }
        }
        text + "} "
    }

    fn by_id(&self, question: &mut Question) -> String {
        let of = &ROOTS[usize::from(self.parts) % TYPES.len()].1;
        question.types.extend(*of);
        let id = 1 + self.fields % 5;
        format!("{}(id: \"{id}\") {{ {} }}", TYPES[of[0]].singular, self.picks(of, true, question))
    }

    fn relationships(&self, windows: bool, question: &mut Question) -> String {
        question.types.extend([PLACE, 1, NOTE]);
        let mut arguments = Vec::new();
        if self.filter.is_some() {
            let id = 1 + self.fields % 5;
            arguments.push(match self.parts % 4 {
                0 => format!("where: {{from: {{id: {{eq: \"{id}\"}}}}}}"),
                1 => format!("where: {{NOT: {{to: {{id: {{eq: \"{id}\"}}}}}}}}"),
                2 => "where: {type: {in: [\"HOLDS\", \"ABOUT\"]}}".to_owned(),
                _ => format!("where: {{OR: [{{to: {{typename: [Item]}}}}, {{from: {{id: {{in: [\"{id}\"]}}}}}}]}}"),
            });
        }
        if let Some([size, _]) = self.window.filter(|_| windows) {
            arguments.push(match (self.connection, self.parts & 64 != 0) {
                (false, _) => format!("limit: {}", 1 + size % 4),
                (true, false) => format!("first: {} #PAGE#", 1 + size % 4),
                (true, true) => format!("last: {} #PAGE#", 1 + size % 4),
            });
        }
        let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(" ")) };
        let mut picks = "id type from { __typename id } to { __typename id }".to_owned();
        if self.fields & 2 != 0 {
            question.fields.extend(EDGE_FIELDS.map(|name| (HOLDING, name)));
            picks += " properties";
        }
        if self.connection {
            let page = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
            format!("relationshipsConnection{arguments} {{ totalCount edges {{ cursor node {{ {picks} }} }} {page} }}")
        } else {
            format!("relationships{arguments} {{ {picks} }}")
        }
    }

    /// Searches bring all that there is: how rare a word is among all records of a tenant weighs in the order of texts.
    fn search(&self, question: &mut Question) -> String {
        let types: &[usize] = [&[PLACE][..], &[NOTE], &[PLACE, NOTE]][usize::from(self.parts) % 3];
        question.types.extend(types);
        question.fields.extend(types.iter().map(|of| (*of, "about")));
        let names: Vec<_> = types.iter().map(|of| TYPES[*of].name).collect();
        let filter = self.condition(&types[..1], question);
        let filter =
            if filter.is_empty() { filter } else { format!("where: {{{}: {filter}}}", TYPES[types[0]].singular) };
        let word = WORDS[usize::from(self.fields) % WORDS.len()];
        let first = 1 + self.parts % 5;
        let types = names.join(", ");
        format!(
            "search(query: \"{word}\" types: [{types}] {filter} first: {first}) {{ score legs {{ leg rank }} node {{ __typename id }} }}"
        )
    }

    fn similar(&self, question: &mut Question) -> String {
        let of = if self.parts.is_multiple_of(2) { PLACE } else { NOTE };
        question.types.insert(of);
        question.fields.insert((of, "about"));
        let filter = self.condition(&[of], question);
        let filter = if filter.is_empty() { filter } else { format!("where: {filter}") };
        let to = if self.parts & 2 == 0 {
            format!(
                "query: \"{} and {}\"",
                WORDS[usize::from(self.fields) % 5],
                WORDS[usize::from(self.fields >> 4) % 5]
            )
        } else {
            format!("id: \"{}\"", 1 + self.fields % 5)
        };
        let first = 1 + self.parts % 4;
        let picks = self.picks(ROOTS[of].1, true, question);
        format!("{}Similar({to} {filter} first: {first}) {{ score node {{ {picks} }} }}", TYPES[of].plural)
    }
}

fn mention(condition: &Condition, of: &[usize], question: &mut Question) {
    let Question { types, fields, .. } = question;
    condition.mentions(of, &mut |of, name| {
        if of != HOLDING {
            types.insert(of);
        }
        fields.insert((of, name));
    });
}
