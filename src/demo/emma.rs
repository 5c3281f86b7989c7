//! The tenant `emma`: a mortgage desk of three organisations, made from a seed. What a rule of their scope says is true of the data: a mortgage
//! that went on although it breaks one has an override that says why.

use std::io;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::cryox::{chance, pick};
use super::{instant, link, node, row};
use crate::ingest::records::Record;

mod content;
mod people;

use content::Rule;
use people::{AGENTS, Agent};

const MORTGAGES: usize = 330;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The present of the data: 1 November 2026, 00:00 UTC.
const NOW: i64 = 1_793_491_200;

/// A borrower with what rules look at.
struct Borrower {
    id: String,
    income: u32,
    debts: u32,
    score: u32,
}

/// A mortgage before it has its relationships.
struct Loan {
    id: String,
    scope: String,
    organisation: &'static str,
    amount: u32,
    term: u32,
    rate: f64,
    loan_to_value: f64,
    debt_to_income: f64,
    applied: i64,
}

impl Loan {
    /// The value that a rule compares.
    fn value(&self, rule: &Rule, borrower: &Borrower) -> Option<f64> {
        Some(match rule.field {
            "loanToValue" => self.loan_to_value,
            "debtToIncome" => self.debt_to_income,
            "term" => f64::from(self.term),
            "amount" => f64::from(self.amount),
            "rate" => self.rate,
            "creditScore" => f64::from(borrower.score),
            _ => return None,
        })
    }
}

/// All records of the tenant, in an order in which everything is there before it is referred to. The same seed gives the same records.
///
/// # Errors
/// `InvalidData` when the embedded guidelines are damaged.
pub fn emma(seed: u64) -> io::Result<impl Iterator<Item = Record>> {
    let rules = content::rules();
    let mut records = people::records();
    records.extend(content::records(&rules)?);
    let mut overrides = Vec::new();
    for at in 0..MORTGAGES {
        records.extend(case(seed, at, &rules, &mut overrides));
    }
    // The first override comes last: nothing refers to it, so where it is, all is.
    overrides.reverse();
    records.extend(overrides);
    Ok(records.into_iter())
}

/// A mortgage with its home, who borrows, what was talked about, and what was overridden for it.
fn case(seed: u64, at: usize, rules: &[Rule], overrides: &mut Vec<Record>) -> Vec<Record> {
    let mut rng = chance(seed, 30, at);
    let (organisation, scope) = people::lenders()[at % people::lenders().len()];
    let of = |role: &str| -> Vec<&'static Agent> {
        AGENTS
            .iter()
            .filter(|agent| agent.organisation == organisation && (agent.licence.is_some()) == (role == "agent"))
            .collect()
    };
    let (agents, underwriters) = (of("agent"), of("underwriter"));
    let agent = agents[rng.random_range(0..agents.len())];
    let underwriter = underwriters[rng.random_range(0..underwriters.len())];

    let (home, value, mut records) = home(&mut rng, at);
    let mut borrowers = vec![people::borrower(&mut rng, at * 2, scope, &mut records)];
    if rng.random_bool(0.4) {
        borrowers.push(people::borrower(&mut rng, at * 2 + 1, scope, &mut records));
    }
    let loan = loan(&mut rng, at, (organisation, scope), value, &borrowers);
    let broken: Vec<(&Rule, f64)> = content::applicable(rules, scope)
        .into_iter()
        .filter_map(|rule| Some((rule, loan.value(rule, &borrowers[0])?)))
        .filter(|(rule, value)| !rule.keeps(*value))
        .collect();
    let status = status(&mut rng, &loan, &broken);
    let decided = !matches!(status, "APPLICATION" | "UNDERWRITING");
    let set = json!({
        "number": format!("{}-{}", &loan.organisation[..1].to_uppercase(), 26_000 + at * 7),
        "status": status,
        "amount": loan.amount, "loanToValue": loan.loan_to_value, "debtToIncome": loan.debt_to_income,
        "term": loan.term, "rateType": pick(&mut rng, ["FIXED", "FIXED", "VARIABLE", "TRACKER"]), "rate": loan.rate,
        "appliedAt": instant(loan.applied), "scope": loan.scope,
        "decision": decided.then(|| decision(status, &broken)),
    });
    let this = ("Mortgage", loan.id.as_str());
    records.push(node("Mortgage", &loan.id, set));
    records.push(link("HOLDS", ("Organisation", organisation), this, json!({})));
    records.push(link("LOOKED_AFTER_BY", this, ("Agent", agent.id), json!({})));
    records.push(link("SECURED_BY", this, ("Property", &home), json!({})));
    let share = 100 / borrowers.len();
    for (n, borrower) in borrowers.iter().enumerate() {
        let set = json!({ "main": n == 0, "share": share });
        records.push(link("BORROWED_BY", this, ("Contact", &borrower.id), set));
    }
    records.extend(people::talks(&mut rng, at, &borrowers[0].id, agent.id, loan.applied));
    if decided && status != "DECLINED" {
        for (rule, value) in broken {
            let number = overrides.len() + 1;
            overrides.extend(overridden(&mut rng, number, rule, value, &loan, underwriter.id));
        }
    }
    records
}

/// A home: its id, what it is worth, and its record.
fn home(rng: &mut ChaCha8Rng, at: usize) -> (String, u32, Vec<Record>) {
    let id = format!("home{}", at + 1);
    let (kind, what, usual) = pick(
        rng,
        [
            ("FLAT", "flat", 240_000),
            ("FLAT", "flat under the roof", 190_000),
            ("TERRACED", "terraced house", 330_000),
            ("DETACHED", "house with a garden", 480_000),
            ("MULTI_UNIT", "house of four flats, let out", 760_000),
        ],
    );
    let built = if rng.random_bool(0.12) { rng.random_range(1_850..1_900) } else { rng.random_range(1_900..2_025) };
    let value = usual * rng.random_range(55..160) / 100 / 1_000 * 1_000;
    let (near, state) = (
        pick(
            rng,
            [
                "near the harbour",
                "at the edge of the wood",
                "on a quiet street",
                "above a bakery",
                "beside the tram",
                "on the river",
            ],
        ),
        pick(
            rng,
            [
                "new windows",
                "a roof that needs work",
                "a heat pump",
                "gas heating of the nineties",
                "solar panels",
                "damp in the cellar",
            ],
        ),
    );
    let set = json!({
        "address": format!("{} {}", pick(rng, ["Mill Lane", "Quay Street", "Linden Road", "Station Road", "Bell Yard", "Orchard Way"]), at + 1),
        "city": pick(rng, people::CITIES),
        "kind": kind, "built": built, "value": value,
        "description": format!("A {what} {near}, built in {built}, with {state}."),
    });
    let record = node("Property", &id, set);
    (id, value, vec![record])
}

fn loan(
    rng: &mut ChaCha8Rng,
    at: usize,
    (organisation, scope): (&'static str, &str),
    value: u32,
    borrowers: &[Borrower],
) -> Loan {
    let asked = f64::from(rng.random_range(45..97)) / 100.0;
    let amount = (f64::from(value) * asked / 1_000.0).round() as u32 * 1_000;
    let term = pick(rng, [15, 20, 25, 25, 30, 30, 35]);
    let rate = f64::from(rng.random_range(24..58)) / 10.0;
    // A loan that is paid back in equal parts, by the month.
    let monthly = rate / 1_200.0;
    let payment = f64::from(amount) * monthly / (1.0 - (1.0 + monthly).powi(-12 * term));
    let income: u32 = borrowers.iter().map(|borrower| borrower.income).sum();
    let debts: u32 = borrowers.iter().map(|borrower| borrower.debts).sum();
    let tenth = |share: f64| (share * 1_000.0).round() / 10.0;
    Loan {
        id: format!("m{}", at + 1),
        scope: scope.to_owned(),
        organisation,
        amount,
        term: term.unsigned_abs(),
        rate,
        loan_to_value: tenth(f64::from(amount) / f64::from(value)),
        debt_to_income: tenth((payment + f64::from(debts)) * 12.0 / f64::from(income)),
        applied: NOW - rng.random_range(1..420) * DAY - rng.random_range(7..15) * HOUR,
    }
}

/// Where it is in its life: what breaks a rule and cannot be overridden goes no further than its underwriter.
fn status(rng: &mut ChaCha8Rng, loan: &Loan, broken: &[(&Rule, f64)]) -> &'static str {
    if NOW - loan.applied < 30 * DAY {
        return pick(rng, ["APPLICATION", "UNDERWRITING"]);
    }
    let stuck = broken.iter().any(|(rule, value)| {
        let most = rule.template(&loan.scope).filter(|(_, _, most)| loan.amount <= *most);
        rule.severity == "BLOCK"
            || rule.severity == "REFER" && most.is_none_or(|(_, tolerance, _)| (value - rule.limit).abs() > tolerance)
    });
    if stuck {
        return pick(rng, ["DECLINED", "DECLINED", "UNDERWRITING"]);
    }
    pick(rng, ["CONDITIONALLY_APPROVED", "APPROVED", "FUNDED", "FUNDED", "FUNDED"])
}

fn decision(status: &str, broken: &[(&Rule, f64)]) -> String {
    let codes: Vec<&str> = broken.iter().map(|(rule, _)| rule.code).collect();
    match (status, codes.as_slice()) {
        ("DECLINED", codes) => format!("Declined: {}", codes.join(", ")),
        (_, []) => "Keeps every rule".to_owned(),
        (_, codes) => format!("Agreed in spite of {}", codes.join(", ")),
    }
}

/// Why a rule was overridden, and by whom.
fn overridden(
    rng: &mut ChaCha8Rng,
    number: usize,
    rule: &Rule,
    value: f64,
    loan: &Loan,
    agent: &str,
) -> Option<Record> {
    if rule.severity != "REFER" {
        return None;
    }
    let mut reasons = match rule.code {
        "LTV" => [
            "Parents pay the rest of the deposit by gift, letter in the file",
            "The flat of the borrower is sold in spring, contract seen",
            "Savings plan ends in June and covers the difference",
        ],
        "DTI" => [
            "Ten months of payments are saved with us",
            "The car loan ends in four months",
            "Promotion from January, contract seen",
        ],
        "SCORE" => [
            "Old telephone bill, paid since, explained in writing",
            "Two addresses were confused by the bureau, corrected",
            "One late payment during parental leave",
        ],
        _ => [
            "The committee agreed on Tuesday",
            "A second adviser knows the case and signed",
            "The committee agreed with a first charge on both homes",
        ],
    };
    reasons.shuffle(rng);
    let set: Value = json!({
        "madeAt": instant(loan.applied + rng.random_range(3..20) * DAY),
        "reason": reasons[0],
        "value": value, "limit": rule.limit, "code": rule.code, "ruleScope": rule.scope,
        "agent_id": agent, "rule_id": rule.id(), "mortgage_id": loan.id,
        "template_id": rule.template(&loan.scope).map(|(id, ..)| id),
    });
    Some(row("Override", format!("o{number}"), set))
}
