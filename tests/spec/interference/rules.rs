//! Rules and callers: drawn, and written as directives.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use quipu_resolvers::guard::{Principal, TenantId};
use serde_json::{Map, Value as Json, json};

use super::condition::{Condition, Raw, raw};
use super::skeleton::{EDGE_FIELDS, HOLDING, SECRET, TYPES, fields};

/// Everything that an ontology says of who may see what.
#[derive(Debug, Clone)]
pub struct Rules {
    pub types: Vec<Policy>,
    /// On fields: type, field, rule.
    pub fields: Vec<(usize, &'static str, FieldRule)>,
}

/// The rules of one type.
#[derive(Debug, Clone)]
pub struct Policy {
    pub filter: Vec<Rule>,
    pub validate: Vec<Rule>,
    /// Which operations all of them speak of.
    operations: &'static str,
    pub authentication: Option<Claims>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    pub form: Form,
    pub node: Condition,
    pub claims: Claims,
    pub anybody: bool,
}

/// How a rule puts its two conditions together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    Node,
    Claims,
    Both,
    Either,
    NotNode,
    NotClaims,
    NodeUnlessClaims,
}

/// A condition on claims.
#[derive(Debug, Clone, Copy)]
pub struct Claims {
    pub wanted: Wanted,
    pub negated: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    Admin,
    Level(u8),
    Gold,
}

/// A rule on a field, decided by claims alone or by the record.
#[derive(Debug, Clone)]
pub enum FieldRule {
    Authentication(Claims),
    Claims(Claims),
    Record(Condition),
}

impl Claims {
    fn written(self) -> String {
        let inner = match self.wanted {
            Wanted::Admin => "{roles: {includes: \"admin\"}}".to_owned(),
            Wanted::Level(n) => format!("{{level: {{gte: {n}}}}}"),
            Wanted::Gold => "{org: {tier: {eq: \"gold\"}}}".to_owned(),
        };
        if self.negated { format!("{{NOT: {inner}}}") } else { inner }
    }
}

impl Rule {
    fn written(&self, operations: &str) -> String {
        let (node, claims) =
            (format!("{{node: {}}}", self.node.written()), format!("{{jwt: {}}}", self.claims.written()));
        let condition = match self.form {
            Form::Node => node,
            Form::Claims => claims,
            Form::Both => format!("{{AND: [{node}, {claims}]}}"),
            Form::Either => format!("{{OR: [{node}, {claims}]}}"),
            Form::NotNode => format!("{{NOT: {node}}}"),
            Form::NotClaims => format!("{{NOT: {claims}}}"),
            Form::NodeUnlessClaims => format!("{{OR: [{{NOT: {claims}}}, {node}]}}"),
        };
        let anybody = if self.anybody { ", requireAuthentication: false" } else { "" };
        format!("{{{operations}where: {condition}{anybody}}}")
    }
}

impl Policy {
    fn written(&self) -> String {
        let list =
            |rules: &[Rule]| rules.iter().map(|rule| rule.written(self.operations)).collect::<Vec<_>>().join(" ");
        let mut written = String::new();
        if let Some(claims) = self.authentication {
            written += &format!("@authentication(jwt: {}) ", claims.written());
        }
        let parts: Vec<String> = [("filter", &self.filter), ("validate", &self.validate)]
            .into_iter()
            .filter(|(_, rules)| !rules.is_empty())
            .map(|(word, rules)| format!("{word}: [{}]", list(rules)))
            .collect();
        if !parts.is_empty() {
            written += &format!("@authorization({})", parts.join(" "));
        }
        written
    }
}

impl Rules {
    /// The ontology with them.
    pub fn sdl(&self) -> String {
        super::skeleton::sdl(
            |of| self.types[of].written(),
            |of, field| {
                let found = self.fields.iter().find(|(owner, name, _)| (*owner, *name) == (of, field));
                match found.map(|(_, _, rule)| rule) {
                    None => String::new(),
                    Some(FieldRule::Authentication(claims)) => format!("@authentication(jwt: {})", claims.written()),
                    Some(FieldRule::Claims(claims)) => {
                        format!("@authorization(filter: [{{where: {{jwt: {}}}}}])", claims.written())
                    }
                    Some(FieldRule::Record(condition)) => {
                        format!("@authorization(filter: [{{where: {{node: {}}}}}])", condition.written())
                    }
                }
            },
        )
    }

    /// Whether some type has a rule that refuses instead of hiding.
    pub fn validates(&self) -> bool {
        self.types.iter().any(|policy| !policy.validate.is_empty())
    }

    /// The fields that rules speak of, so that what may be seen may depend on them.
    pub fn mentions(&self) -> Vec<(usize, &'static str)> {
        let mut found = Vec::new();
        for (of, policy) in self.types.iter().enumerate() {
            let rules = policy.filter.iter().chain(&policy.validate);
            for rule in rules.filter(|rule| !matches!(rule.form, Form::Claims | Form::NotClaims)) {
                rule.node.mentions(&[of], &mut |of, name| found.push((of, name)));
            }
        }
        for (of, _, rule) in &self.fields {
            if let FieldRule::Record(condition) = rule {
                condition.mentions(&[*of], &mut |of, name| found.push((of, name)));
            }
        }
        found
    }
}

fn claims() -> impl Strategy<Value = Claims> {
    let wanted = prop_oneof![Just(Wanted::Admin), (0_u8..4).prop_map(Wanted::Level), Just(Wanted::Gold)];
    (wanted, weighted(0.2, Just(()))).prop_map(|(wanted, negated)| Claims { wanted, negated: negated.is_some() })
}

fn rule(of: usize) -> impl Strategy<Value = Rule> {
    let form = prop_oneof![
        4 => Just(Form::Node),
        1 => Just(Form::Claims),
        2 => Just(Form::Both),
        2 => Just(Form::Either),
        2 => Just(Form::NotNode),
        1 => Just(Form::NotClaims),
        1 => Just(Form::NodeUnlessClaims),
    ];
    (form, raw(), claims(), weighted(0.3, Just(()))).prop_map(move |(form, node, claims, anybody)| Rule {
        form,
        node: node.of(&[of], true),
        claims,
        anybody: anybody.is_some(),
    })
}

fn policy(of: usize, validating: bool) -> impl Strategy<Value = Policy> {
    let operations =
        prop_oneof![Just(""), Just("operations: [READ, AGGREGATE, SUBSCRIBE], "), Just("operations: [READ], ")];
    let filter = prop_oneof![2 => Just(Vec::new()), 3 => vec(rule(of), 1..3)];
    let validate = if validating { vec(rule(of), 0..2).boxed() } else { Just(Vec::new()).boxed() };
    (filter, validate, operations, weighted(0.04, claims())).prop_map(
        |(filter, validate, operations, authentication)| Policy { filter, validate, operations, authentication },
    )
}

fn field_rule() -> impl Strategy<Value = (usize, &'static str, FieldRule)> {
    let kind = (0_u8..3, claims(), raw());
    (0..=HOLDING, any::<u8>(), kind).prop_map(|(of, n, (kind, claims, raw))| {
        let n = usize::from(n);
        if of == HOLDING {
            // Properties of relationships have no rules beside `@authentication`.
            return (of, EDGE_FIELDS[n % 2], FieldRule::Authentication(claims));
        }
        let (known, columns) = (fields(&[of]), TYPES[of].columns);
        let name = match n % 4 {
            0..3 if !columns.is_empty() => columns[n / 4 % columns.len()],
            _ => known[1 + n % (known.len() - 1)].0,
        };
        let rule = match kind {
            0 => FieldRule::Authentication(claims),
            1 => FieldRule::Claims(claims),
            _ => FieldRule::Record(Raw::of(&raw, &[of], true)),
        };
        (of, name, rule)
    })
}

/// Rules on everything, or on little. One ontology in three refuses, most have rules on fields.
pub fn rules() -> impl Strategy<Value = Rules> {
    prop_oneof![2 => Just(false), 1 => Just(true)].prop_flat_map(|validating| {
        let types: Vec<_> = (0..TYPES.len()).map(|of| policy(of, validating)).collect();
        let on = |fields: Vec<(usize, &'static str)>| {
            claims().prop_map(move |claims| {
                fields.iter().map(|(of, name)| (*of, *name, FieldRule::Claims(claims))).collect::<Vec<_>>()
            })
        };
        let secrets = on((0..TYPES.len()).map(|of| (of, SECRET)).collect());
        let columns = TYPES.iter().enumerate().flat_map(|(of, ty)| ty.columns.iter().map(move |name| (of, *name)));
        let keys = on(columns.collect());
        let edges =
            claims().prop_map(|claims| EDGE_FIELDS.map(|name| (HOLDING, name, FieldRule::Authentication(claims))));
        let edges = edges.prop_map(Vec::from);
        let some = vec(field_rule(), 1..4);
        let fields = prop_oneof![2 => Just(Vec::new()), 2 => some, 3 => secrets, 4 => keys, 2 => edges];
        (types, fields).prop_map(|(types, mut fields)| {
            let mut seen = std::collections::BTreeSet::new();
            fields.retain(|(of, name, _)| seen.insert((*of, *name)));
            Rules { types, fields }
        })
    })
}

/// Somebody: each claim is there or not, and `regions` is not always the list it should be.
pub fn claimed() -> impl Strategy<Value = (bool, Json)> {
    let regions = prop_oneof![
        3 => vec(prop_oneof![Just("EU"), Just("US"), Just("ASIA")], 0..3).prop_map(|all| json!(all)),
        1 => Just(json!("EU")),
        1 => Just(Json::Null),
    ];
    let region = prop_oneof![4 => Just(json!("EU")), 1 => Just(json!(["EU"])), 1 => Just(json!("US"))];
    let keys = vec((1_u8..6).prop_map(|n| json!(n.to_string())), 0..4).prop_map(|all| json!(all));
    let org = (weighted(0.5, 0_u8..4), any::<bool>()).prop_map(|(level, gold)| {
        let tier = if gold { "gold" } else { "tin" };
        level.map_or_else(|| json!({ "tier": tier }), |level| json!({ "tier": tier, "level": level }))
    });
    let roles = prop_oneof![Just(json!([])), Just(json!(["admin", "guest"])), Just(json!("admin"))];
    let level = (0_u8..4).prop_map(|n| json!(n));
    let key = (1_u8..6).prop_map(|n| json!(n.to_string()));
    let some = 0.85;
    let all = (
        weighted(some, regions),
        weighted(some, region),
        weighted(some, keys),
        weighted(some, org),
        weighted(some, roles),
        weighted(some, level),
        weighted(some, key),
    );
    (prop_oneof![4 => Just(true), 1 => Just(false)], all).prop_map(
        |(known, (regions, region, keys, org, roles, level, key))| {
            let names = ["regions", "region", "keys", "org", "roles", "level", "key"];
            let values = [regions, region, keys, org, roles, level, key];
            let claims: Map<String, Json> =
                names.into_iter().zip(values).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            (known, Json::Object(claims))
        },
    )
}

/// The caller in a tenant.
pub fn principal(tenant: &str, (known, claims): &(bool, Json)) -> Principal {
    let tenant = TenantId::parse(tenant).unwrap();
    Principal { tenant, subject: known.then(|| "ann".to_owned()), claims: claims.clone(), operator: false }
}
