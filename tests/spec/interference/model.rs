//! What a caller may see, worked out record by record, in memory: independently of the guard and of every store.

use serde_json::Value as Json;

use super::condition::{Compare, Condition, Right};
use super::records::{Data, Edge, Record};
use super::rules::{Claims, FieldRule, Form, Rule, Rules, Wanted};
use super::skeleton::{HOLDING, Link, Way};

/// The caller, beside the data and the rules.
pub struct Sight<'a> {
    pub rules: &'a Rules,
    pub known: bool,
    pub claims: &'a Json,
    pub data: &'a Data,
}

/// True, false or unknown.
type Verdict = Option<bool>;

impl Sight<'_> {
    /// What is left when everything hidden is taken away.
    fn seen(&self) -> Data {
        let records = self.data.records.iter().filter(|record| self.sees(record)).cloned().collect();
        let mut seen = Data { records, edges: Vec::new() };
        let both = |edge: &&Edge| seen.find(edge.from).is_some() && seen.find(edge.to).is_some();
        seen.edges = self.data.edges.iter().filter(both).cloned().collect();
        seen
    }

    /// Whether `@authentication` keeps the caller away from a type.
    pub fn is_refused(&self, of: usize) -> bool {
        self.rules.types[of].authentication.is_some_and(|claims| !self.known || self.claim(claims) != Some(true))
    }

    /// Whether a rule that refuses stands between the caller and a record that is not hidden.
    pub fn is_forbidden(&self, record: &Record) -> bool {
        let policy = &self.rules.types[record.of];
        self.any(&policy.filter, record) && !self.any(&policy.validate, record)
    }

    /// Whether the caller may read a field on every record, whatever the records are.
    pub fn reads(&self, of: usize, field: &str) -> bool {
        self.rule_on(of, field).is_none_or(|rule| self.passes_on(rule, None))
    }

    fn rule_on(&self, of: usize, field: &str) -> Option<&FieldRule> {
        let found = self.rules.fields.iter().find(|(owner, name, _)| (*owner, *name) == (of, field));
        found.map(|(_, _, rule)| rule)
    }

    fn passes_on(&self, rule: &FieldRule, record: Option<&Record>) -> bool {
        let held = match rule {
            FieldRule::Authentication(claims) | FieldRule::Claims(claims) => self.claim(*claims),
            FieldRule::Record(condition) => record.and_then(|record| self.holds(condition, record)),
        };
        self.known && held == Some(true)
    }

    /// What is seen, without the values that rules on fields hide. A record without its name cannot be.
    pub fn masked(&self) -> Data {
        let mut seen = self.seen();
        for (of, name, rule) in &self.rules.fields {
            let hides = *name != "name";
            for edge in seen.edges.iter_mut().filter(|_| *of == HOLDING && !self.passes_on(rule, None)) {
                edge.values.remove(name);
            }
            for record in seen.records.iter_mut().filter(|record| hides && record.of == *of) {
                // Rules look at all that there is, hidden or not.
                let whole = self.data.records.iter().find(|whole| (whole.of, &whole.id) == (*of, &record.id));
                if !self.passes_on(rule, whole) {
                    record.values.remove(name);
                }
            }
        }
        seen
    }

    /// The same data with other values in the fields that the caller may not read, as far as no rule looks at them.
    pub fn with_other_secrets(&self) -> Option<Data> {
        let mentioned = self.rules.mentions();
        let free = |of: usize, name: &str| {
            !self.reads(of, name) && !mentioned.iter().any(|(owner, known)| *owner == of && *known == name)
        };
        let free: Vec<_> = self.rules.fields.iter().filter(|(of, name, _)| free(*of, name)).collect();
        let mut other = self.data.clone();
        for (of, name, rule) in &free {
            if *of == HOLDING {
                other.edges.iter_mut().for_each(|edge| edge.change(name));
            }
            for (record, whole) in other.records.iter_mut().zip(&self.data.records) {
                if record.of == *of && !self.passes_on(rule, Some(whole)) {
                    record.change(name);
                }
            }
        }
        (!free.is_empty()).then_some(other)
    }

    fn sees(&self, record: &Record) -> bool {
        let policy = &self.rules.types[record.of];
        !self.is_refused(record.of) && self.any(&policy.filter, record) && self.any(&policy.validate, record)
    }

    fn any(&self, rules: &[Rule], record: &Record) -> bool {
        rules.is_empty() || rules.iter().any(|rule| self.passes(rule, record))
    }

    fn passes(&self, rule: &Rule, record: &Record) -> bool {
        let node = self.holds(&rule.node, record);
        let claims = self.claim(rule.claims);
        let not_node = if self.names_absent(&rule.node) { None } else { node.map(|held| !held) };
        let met = match rule.form {
            Form::Node => node == Some(true),
            Form::Claims => claims == Some(true),
            Form::Both => node == Some(true) && claims == Some(true),
            Form::Either => node == Some(true) || claims == Some(true),
            Form::NotNode => not_node == Some(true),
            Form::NotClaims => claims == Some(false),
            Form::NodeUnlessClaims => claims == Some(false) || node == Some(true),
        };
        (self.known || rule.anybody) && met
    }

    fn claim(&self, claims: Claims) -> Verdict {
        let at = |path: &str| self.claims.pointer(path).filter(|value| !value.is_null());
        let held = match claims.wanted {
            Wanted::Admin => {
                at("/roles").map(|roles| roles.as_array().is_some_and(|all| all.contains(&"admin".into())))
            }
            Wanted::Level(n) => at("/level").map(|level| level.as_u64().is_some_and(|level| level >= u64::from(n))),
            Wanted::Gold => at("/org/tier").map(|tier| tier == "gold"),
        };
        held.map(|held| held != claims.negated)
    }

    fn holds(&self, condition: &Condition, record: &Record) -> Verdict {
        match condition {
            Condition::Compare(compare) => self.compares(compare, record.values.get(compare.field)),
            Condition::And(parts) => all(parts.iter().map(|part| self.holds(part, record))),
            Condition::Or(parts) => negated(all(parts.iter().map(|part| negated(self.holds(part, record))))),
            Condition::Not(part) if self.names_absent(part) => Some(false),
            Condition::Not(part) => negated(self.holds(part, record)),
            Condition::Related { way, quantifier, node, edge } => {
                let absent = self.names_absent(node) || edge.as_ref().is_some_and(|edge| self.is_absent(edge));
                if absent && matches!(*quantifier, "none" | "single") {
                    return Some(false);
                }
                let each = self.related(record, way).into_iter().map(|(other, along)| {
                    let on_edge = edge.as_ref().map_or(Some(true), |compare| {
                        self.compares(compare, along.and_then(|edge| edge.values.get(compare.field)))
                    });
                    all([self.holds(node, other), on_edge].into_iter())
                });
                let each: Vec<Verdict> = each.collect();
                let met = each.iter().filter(|held| **held == Some(true)).count();
                Some(match *quantifier {
                    "some" => met > 0,
                    "all" => met > 0 && !each.contains(&Some(false)),
                    "none" => met == 0,
                    _ => met == 1,
                })
            }
        }
    }

    /// Related records, hidden or not: a rule sees everything.
    fn related(&self, record: &Record, way: &Way) -> Vec<(&Record, Option<&Edge>)> {
        let me = (record.of, record.id.as_str());
        let held = |record: &Record, column: &str| record.values.get(column).and_then(Json::as_str).map(str::to_owned);
        let others = self.data.records.iter().filter(|other| way.to.contains(&other.of));
        match way.link {
            Link::On(column) => {
                others.filter(|other| held(other, column).as_deref() == Some(me.1)).map(|other| (other, None)).collect()
            }
            Link::By(column) => {
                let key = held(record, column);
                others.filter(|other| Some(&other.id) == key.as_ref()).map(|other| (other, None)).collect()
            }
            Link::Edge { of, out, .. } => {
                let mine = self.data.edges.iter().filter(|edge| edge.name() == of);
                let ends = mine.filter_map(|edge| {
                    let (own, other) = if out { (edge.from, edge.to) } else { (edge.to, edge.from) };
                    let is_mine = record.is_at(own);
                    self.data.find(other).filter(|_| is_mine).map(|other| (other, Some(edge)))
                });
                ends.filter(|(other, _)| way.to.contains(&other.of)).collect()
            }
        }
    }

    fn compares(&self, compare: &Compare, left: Option<&Json>) -> Verdict {
        // What is compared with nothing lets nothing through; what negates it looks for that by itself.
        let Some(right) = self.right(compare) else { return Some(false) };
        if right.is_null() {
            return Some(left.is_none());
        }
        if right.as_array().is_some_and(Vec::is_empty) {
            // Nothing is among nothing, as all databases say: not even what is absent may be.
            return Some(false);
        }
        let left = left?;
        let ordering = || match (left.as_str(), right.as_str()) {
            (Some(left), Some(right)) => Some(left.cmp(right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        };
        let same = |right: &Json| left == right || left.as_f64().is_some() && left.as_f64() == right.as_f64();
        Some(match compare.operator {
            "eq" => same(&right),
            "in" => right.as_array().map_or_else(|| same(&right), |all| all.iter().any(same)),
            "lt" => ordering()?.is_lt(),
            "lte" => ordering()?.is_le(),
            "gt" => ordering()?.is_gt(),
            "gte" => ordering()?.is_ge(),
            "contains" => left.as_str()?.contains(right.as_str()?),
            _ => left.as_str()?.starts_with(right.as_str()?),
        })
    }

    /// The right side; `None` when it is a claim that the caller lacks, or none that can be compared with.
    fn right(&self, compare: &Compare) -> Option<Json> {
        match &compare.right {
            Right::Value(value) => Some(value.clone()),
            Right::Claim(path) => {
                let path = format!("/{}", path.replace('.', "/"));
                let found = self.claims.pointer(&path).filter(|value| !value.is_null())?;
                (compare.operator == "in" || !found.is_array()).then(|| found.clone())
            }
        }
    }

    fn is_absent(&self, compare: &Compare) -> bool {
        self.right(compare).is_none()
    }

    /// Whether a condition compares with a claim that is not there: such a one, negated, lets nothing through either.
    fn names_absent(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Compare(compare) => self.is_absent(compare),
            Condition::And(parts) | Condition::Or(parts) => parts.iter().any(|part| self.names_absent(part)),
            Condition::Not(part) => self.names_absent(part),
            Condition::Related { node, edge, .. } => {
                self.names_absent(node) || edge.as_ref().is_some_and(|edge| self.is_absent(edge))
            }
        }
    }
}

fn negated(held: Verdict) -> Verdict {
    held.map(|held| !held)
}

fn all(parts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut together = Some(true);
    for part in parts {
        match part {
            Some(true) => {}
            Some(false) => return Some(false),
            None => together = None,
        }
    }
    together
}
