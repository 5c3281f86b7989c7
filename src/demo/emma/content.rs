//! What holds where: rules, how they may be overridden, and guidelines. Content in scopes, written by hand.

use std::io;

use serde::Deserialize;
use serde_json::json;

use super::super::{json_lines, link, node, properties};
use crate::ingest::records::Record;

const GUIDELINES: &str = include_str!("../../../playground/demo/emma/guidelines.jsonl");

/// A rule as it stands in one scope.
pub struct Rule {
    pub code: &'static str,
    pub scope: &'static str,
    pub subject: &'static str,
    pub field: &'static str,
    pub comparison: &'static str,
    pub limit: f64,
    pub severity: &'static str,
    source: Option<&'static str>,
    text: &'static str,
}

const ALL: &str = "/global";
const MORTGAGE: &str = "/global/mortgage";
const HARBOUR: &str = "/global/mortgage/harbour";
const NORTHGATE: &str = "/global/mortgage/northgate";
const LINDEN: &str = "/global/mortgage/linden";
const VALUATION: &str = "/global/valuation";
const CREDIT_LAW: Option<&str> = Some("Mortgage Credit Directive 2014/17/EU, article 18");

type Row =
    (&'static str, &'static str, &'static str, &'static str, f64, &'static str, Option<&'static str>, &'static str);

/// Code, scope, field, comparison, limit, severity, source, text. Codes of one subject stand together.
const RULES: [(&str, &[Row]); 3] = [
    (
        "MORTGAGE",
        &[
            (
                "LTV",
                MORTGAGE,
                "loanToValue",
                "AT_MOST",
                90.0,
                "REFER",
                None,
                "The loan is at most ninety percent of what the home is worth.",
            ),
            (
                "LTV",
                HARBOUR,
                "loanToValue",
                "AT_MOST",
                80.0,
                "REFER",
                None,
                "Harbour lends at most eighty percent of what the home is worth.",
            ),
            (
                "LTV",
                NORTHGATE,
                "loanToValue",
                "AT_MOST",
                92.5,
                "REFER",
                None,
                "Northgate lends up to ninety-two and a half percent of what the home is worth.",
            ),
            (
                "DTI",
                MORTGAGE,
                "debtToIncome",
                "AT_MOST",
                40.0,
                "REFER",
                CREDIT_LAW,
                "All loans together cost at most forty percent of income before tax.",
            ),
            (
                "DTI",
                HARBOUR,
                "debtToIncome",
                "AT_MOST",
                36.0,
                "REFER",
                CREDIT_LAW,
                "All loans together cost at most thirty-six percent of a member's income.",
            ),
            (
                "TERM",
                MORTGAGE,
                "term",
                "AT_MOST",
                35.0,
                "BLOCK",
                None,
                "A mortgage is paid back within thirty-five years.",
            ),
            (
                "TERM",
                NORTHGATE,
                "term",
                "AT_MOST",
                40.0,
                "BLOCK",
                None,
                "A mortgage of Northgate is paid back within forty years.",
            ),
            (
                "AMOUNT-LEAST",
                MORTGAGE,
                "amount",
                "AT_LEAST",
                50_000.0,
                "WARN",
                None,
                "Below fifty thousand euros a mortgage costs more than it is worth.",
            ),
            (
                "AMOUNT-MOST",
                MORTGAGE,
                "amount",
                "AT_MOST",
                900_000.0,
                "REFER",
                None,
                "Above nine hundred thousand euros somebody decides who may.",
            ),
            (
                "AMOUNT-MOST",
                LINDEN,
                "amount",
                "AT_MOST",
                750_000.0,
                "REFER",
                None,
                "Above seven hundred and fifty thousand euros two advisers bring a case together.",
            ),
            (
                "RATE",
                ALL,
                "rate",
                "AT_MOST",
                12.0,
                "BLOCK",
                Some("Civil code, usury"),
                "Interest above twelve percent a year is usury.",
            ),
        ],
    ),
    (
        "CONTACT",
        &[
            (
                "SCORE",
                MORTGAGE,
                "creditScore",
                "AT_LEAST",
                620.0,
                "REFER",
                CREDIT_LAW,
                "The credit score of the main borrower is 620 or more.",
            ),
            (
                "SCORE",
                HARBOUR,
                "creditScore",
                "AT_LEAST",
                660.0,
                "REFER",
                CREDIT_LAW,
                "The credit score of the main borrower is 660 or more at Harbour.",
            ),
            (
                "SCORE",
                NORTHGATE,
                "creditScore",
                "AT_LEAST",
                580.0,
                "REFER",
                CREDIT_LAW,
                "Northgate looks at scores from 580.",
            ),
            (
                "INCOME",
                MORTGAGE,
                "income",
                "AT_LEAST",
                24_000.0,
                "WARN",
                None,
                "Who earns less than twenty-four thousand euros a year is told about rent support first.",
            ),
            (
                "DEBTS",
                MORTGAGE,
                "debts",
                "AT_MOST",
                1_500.0,
                "WARN",
                None,
                "Who pays more than fifteen hundred euros a month for other loans is offered advice on debts.",
            ),
        ],
    ),
    (
        "PROPERTY",
        &[
            (
                "BUILT",
                MORTGAGE,
                "built",
                "AT_LEAST",
                1900.0,
                "WARN",
                None,
                "A home built before 1900 needs a survey of roof, damp and wiring.",
            ),
            (
                "BUILT",
                NORTHGATE,
                "built",
                "AT_LEAST",
                1870.0,
                "WARN",
                None,
                "Northgate asks for a survey of homes built before 1870.",
            ),
            (
                "VALUE",
                ALL,
                "value",
                "AT_LEAST",
                60_000.0,
                "WARN",
                None,
                "A home below sixty thousand euros is looked at by a second person.",
            ),
            (
                "VALUE",
                VALUATION,
                "value",
                "AT_LEAST",
                90_000.0,
                "WARN",
                None,
                "A home below ninety thousand euros is valued by two valuers.",
            ),
        ],
    ),
];

/// Code, scope, code of the rule, tolerance, highest amount, text.
const TEMPLATES: [(&str, &str, &str, f64, u32, &str); 7] = [
    ("LTV-DEPOSIT", MORTGAGE, "LTV", 5.0, 400_000, "Say where the missing deposit comes from, and until when."),
    ("LTV-DEPOSIT", HARBOUR, "LTV", 3.0, 300_000, "Name the guarantor, and since when they are a member."),
    ("DTI-RESERVES", MORTGAGE, "DTI", 6.0, 500_000, "Say how many months of payments are saved, and where."),
    ("SCORE-EXPLAINED", MORTGAGE, "SCORE", 40.0, 350_000, "Name the entry in the credit file, and what explains it."),
    ("SCORE-EXPLAINED", NORTHGATE, "SCORE", 60.0, 500_000, "Name the entry, and what the accountant says of it."),
    ("AMOUNT-COMMITTEE", MORTGAGE, "AMOUNT-MOST", 600_000.0, 1_500_000, "Give the day on which the committee agreed."),
    ("AMOUNT-COMMITTEE", LINDEN, "AMOUNT-MOST", 400_000.0, 1_150_000, "Name the second adviser."),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guideline {
    scope: String,
    title: String,
    text: String,
}

/// All rules.
pub fn rules() -> Vec<Rule> {
    let of = |(subject, rows): &(&'static str, &'static [Row])| {
        let subject = *subject;
        rows.iter().map(move |&(code, scope, field, comparison, limit, severity, source, text)| Rule {
            code,
            scope,
            subject,
            field,
            comparison,
            limit,
            severity,
            source,
            text,
        })
    };
    RULES.iter().flat_map(of).collect()
}

/// Whether one of two scopes is the other, or above it.
fn on_one_path(a: &str, b: &str) -> bool {
    let holds = |above: &str, below: &str| {
        below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    holds(a, b) || holds(b, a)
}

/// An id that tells where something stands: `LTV` in `/global/mortgage` is `ltv-mortgage`.
fn id(code: &str, scope: &str) -> String {
    format!("{}-{}", code.to_lowercase(), scope.rsplit('/').next().unwrap_or_default())
}

impl Rule {
    /// Its id.
    pub fn id(&self) -> String {
        id(self.code, self.scope)
    }

    /// Whether a value keeps it.
    pub fn keeps(&self, value: f64) -> bool {
        if self.comparison == "AT_MOST" { value <= self.limit } else { value >= self.limit }
    }

    /// Id, tolerance and highest amount of the template by which it is overridden in a scope: the nearest.
    pub fn template(&self, scope: &str) -> Option<(String, f64, u32)> {
        let mut fits: Vec<_> = TEMPLATES.iter().filter(|t| t.2 == self.code && scope.starts_with(t.1)).collect();
        fits.sort_by_key(|template| template.1.len());
        fits.pop().map(|template| (id(template.0, template.1), template.3, template.4))
    }
}

/// The rules that hold in a scope: of each code the nearest.
pub fn applicable<'r>(rules: &'r [Rule], scope: &str) -> Vec<&'r Rule> {
    let mut found: Vec<&Rule> = Vec::new();
    for rule in rules.iter().filter(|rule| on_one_path(rule.scope, scope) && rule.scope.len() <= scope.len()) {
        match found.iter_mut().find(|other| other.code == rule.code) {
            Some(other) if other.scope.len() < rule.scope.len() => *other = rule,
            Some(_) => {}
            None => found.push(rule),
        }
    }
    found
}

/// Rules, templates and guidelines as records.
///
/// # Errors
/// `InvalidData` when the embedded guidelines are damaged.
pub fn records(rules: &[Rule]) -> io::Result<Vec<Record>> {
    let mut records: Vec<Record> = rules
        .iter()
        .map(|rule| {
            let set = json!({
                "code": rule.code, "scope": rule.scope, "text": rule.text, "subject": rule.subject, "field": rule.field,
                "comparison": rule.comparison, "limit": rule.limit, "severity": rule.severity, "source": rule.source,
            });
            node("ValidationRule", rule.id(), set)
        })
        .collect();
    for (code, scope, rule, tolerance, most, text) in TEMPLATES {
        let this = id(code, scope);
        let set = json!({ "code": code, "scope": scope, "text": text, "tolerance": tolerance, "maxAmount": most });
        records.push(node("OverrideTemplate", &this, set));
        let overridden = rules.iter().filter(|other| other.code == rule && on_one_path(other.scope, scope));
        records.extend(
            overridden.map(|other| {
                link("OVERRIDES", ("OverrideTemplate", &this), ("ValidationRule", &other.id()), json!({}))
            }),
        );
    }
    let guidelines: Vec<Guideline> = json_lines("guidelines.jsonl", GUIDELINES)?;
    records.extend(guidelines.into_iter().enumerate().map(|(at, Guideline { scope, title, text })| Record::Document {
        id: format!("g{}", at + 1),
        title,
        text,
        url: None,
        occurred_at: None,
        properties: properties(json!({ "scope": scope })),
    }));
    Ok(records)
}
