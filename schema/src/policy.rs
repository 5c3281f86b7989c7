//! Rules on who may see and do what, as data: `@authentication`, `@authorization`, `@role` and `@scoped`.
//!
//! A rule's condition is written in the ontology and resolved against a principal's claims by the guard of the query engine.

use serde_json::Value;

/// What an operation does to a record; the words of `operations:` in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Selecting, filtering, sorting, counting, searching.
    Read,
    /// Aggregating over records.
    Aggregate,
    /// Making a record.
    Create,
    /// Changing a record.
    Update,
    /// Removing a record.
    Delete,
    /// Making a relationship to or from a record.
    CreateRelationship,
    /// Removing a relationship to or from a record.
    DeleteRelationship,
    /// Receiving events about a record.
    Subscribe,
}

/// When a `validate` rule looks at a record that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// Before the change.
    Before,
    /// After the change.
    After,
}

/// Everything that is said of who may see and do what with a type or a field: its own directives and those of its interfaces. All of it
/// must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Who must have proved who they are.
    pub authentication: Vec<Authentication>,
    /// One for each directive; none is empty.
    pub policies: Vec<Policy>,
}

impl Rules {
    /// True when there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.authentication.is_empty() && self.policies.is_empty()
    }

    /// Adds what an interface says, which holds beside what is there.
    pub fn inherit(&mut self, other: &Self) {
        self.authentication.extend(other.authentication.iter().cloned());
        self.policies.extend(other.policies.iter().cloned());
    }
}

/// `@authentication(operations, jwt)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Authentication {
    /// Operations it speaks of; never empty.
    pub operations: Vec<Operation>,
    /// A condition on claims beyond being somebody.
    pub claims: Option<Condition>,
}

/// The rules of one directive. A record passes when any rule of `filter` that speaks of the operation holds (or none speaks of it), and the
/// same for `validate`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Rules that make records invisible.
    pub filter: Vec<Rule>,
    /// Rules that refuse the operation.
    pub validate: Vec<Rule>,
}

impl Policy {
    /// True when there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.filter.is_empty() && self.validate.is_empty()
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Operations the rule speaks of; never empty.
    pub operations: Vec<Operation>,
    /// Moments a `validate` rule is checked at; both by default, empty for `filter`.
    pub when: Vec<When>,
    /// A caller without a subject never passes; true by default.
    pub require_authentication: bool,
    /// What must hold.
    pub condition: Condition,
}

/// A condition of a rule. Property and field names are field names of the SDL, already checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All hold; true when empty.
    All(Vec<Condition>),
    /// Any holds; false when empty.
    Any(Vec<Condition>),
    /// Does not hold.
    Not(Box<Condition>),
    /// A property of the record compares with an operand.
    Property {
        /// Field name.
        property: String,
        /// How it compares.
        operator: Operator,
        /// With what.
        operand: Operand,
    },
    /// Records reached through a relationship or join field. For a single field the quantifier is `Some`.
    Related {
        /// Field name of the relationship or join.
        field: String,
        /// How many of them must meet the condition.
        quantifier: Quantifier,
        /// On the record at the other end.
        node: Box<Condition>,
        /// On the relationship's properties.
        edge: Option<Box<Condition>>,
    },
    /// A claim of the caller compares with an operand.
    Claim {
        /// Path into the claims, `["realm_access", "roles"]`.
        path: Vec<String>,
        /// How it compares.
        operator: Operator,
        /// With what.
        operand: Operand,
    },
    /// The record is in a scope of the caller. Made by `@scoped` alone.
    Scoped {
        /// What the type says of its scopes.
        scoped: Scoped,
        /// Which scopes are meant.
        reach: Reach,
    },
}

/// `@scoped(by, claim, key)`: records are at places of a tree, and so are callers.
#[derive(Debug, Clone, PartialEq)]
pub struct Scoped {
    /// Field name of the property that holds the path of a record, like `/global/mortgage`.
    pub property: String,
    /// Path into the claims, to the path of the caller's scope or a list of such.
    pub claim: Vec<String>,
    /// Field name of the property by which a record stands for those with the same value further up.
    pub key: Option<String>,
}

/// Which scopes a condition speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Those that the claim names.
    Own,
    /// Those and all above them; of records with one key only the nearest.
    Seen,
}

/// The operators of filters, in rules and in `where` alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal; with null: is absent.
    Eq,
    /// One of a list.
    In,
    /// Less than.
    Lt,
    /// At most.
    Lte,
    /// Greater than.
    Gt,
    /// At least.
    Gte,
    /// Text holds the other text, case sensitive.
    Contains,
    /// Text begins with.
    StartsWith,
    /// Text ends with.
    EndsWith,
    /// A list holds the value.
    Includes,
}

/// How many related records must meet a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// At least one.
    Some,
    /// At least one, and each of them (the Neo4j GraphQL Library's meaning).
    All,
    /// Not one.
    None,
    /// Exactly one.
    Single,
}

/// The right side of a comparison in a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A literal.
    Value(Value),
    /// `"$jwt.path.to.claim"`: the caller's claim. An absent claim makes the comparison false.
    Claim(Vec<String>),
    /// A list of operands.
    List(Vec<Operand>),
}
