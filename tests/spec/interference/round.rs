//! One round: an ontology, two tenants, a caller in each, and what they ask; run and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;
use quipu::ingest::relay::{Relay, Step, Turn};
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Call, Terms, Trace};
use serde_json::{Value as Json, json};

use super::model::Sight;
use super::question::{Asked, Question, asked};
use super::records::{Data, data};
use super::rules::{Rules, claimed, principal, rules};
use super::skeleton::TYPES;
use crate::spec::world::World;

/// Questions of a round.
pub const QUESTIONS: usize = 32;

/// What is drawn.
#[derive(Clone)]
pub struct Round {
    rules: Rules,
    sides: [Side; 2],
    /// What is asked, and in which of the tenants.
    asked: Vec<(bool, Asked)>,
    /// What is changed after all questions, once per tenant.
    changed: Vec<Asked>,
}

/// A tenant's data and the caller.
#[derive(Debug, Clone)]
struct Side {
    data: Data,
    caller: (bool, Json),
}

/// Rounds.
pub fn round() -> impl Strategy<Value = Round> {
    let side = || (data(), claimed()).prop_map(|(data, caller)| Side { data, caller });
    let questions = vec((any::<bool>(), asked()), 0..=QUESTIONS * 2);
    let all = (rules(), [side(), side()], questions, vec(asked(), 2));
    all.prop_map(|(rules, sides, asked, changed)| Round { rules, sides, asked, changed })
}

/// A tenant of a round: as it is, as the caller sees it, and with other values where the caller may not read.
struct Tenants {
    full: Principal,
    seen: Principal,
    other: Option<Principal>,
    refused: BTreeSet<usize>,
    unread: BTreeSet<(usize, &'static str)>,
    forbidden: BTreeSet<usize>,
}

impl Round {
    /// How many questions it has.
    pub fn questions(&self) -> usize {
        self.asked.len() + self.changed.len()
    }

    /// Asks everything; what is wrong, if anything is.
    pub async fn run(&self, world: &mut World, number: usize) -> Result<(), String> {
        let mut tenants = Vec::new();
        for (side, letter) in self.sides.iter().zip(["a", "b"]) {
            tenants.push(self.set_up(world, side, &format!("{letter}{number}")).await);
        }
        for (second, asked) in &self.asked {
            let question = asked.question(!self.rules.validates());
            self.compare(world, &tenants[usize::from(*second)], &question).await?;
        }
        if !self.rules.validates() {
            for (tenants, asked) in tenants.iter().zip(&self.changed) {
                self.change(world, tenants, &asked.mutation()).await?;
            }
        }
        Ok(())
    }

    async fn set_up(&self, world: &mut World, side: &Side, name: &str) -> Tenants {
        let (known, claims) = &side.caller;
        let sight = Sight { rules: &self.rules, known: *known, claims, data: &side.data };
        let (with, without) = (self.rules.sdl(), super::skeleton::sdl(|_| String::new(), |_, _| String::new()));
        let [full, seen, other] = ["", "-seen", "-other"].map(|end| principal(&format!("{name}{end}"), &side.caller));
        fill(world, &full.tenant, &with, &side.data).await;
        fill(world, &seen.tenant, &without, &sight.masked()).await;
        let others = sight.with_other_secrets();
        if let Some(data) = &others {
            fill(world, &other.tenant, &with, data).await;
        }
        let fields = self.rules.fields.iter().map(|(of, name, _)| (*of, *name));
        let forbidden = side.data.records.iter().filter(|record| sight.is_forbidden(record)).map(|record| record.of);
        Tenants {
            full,
            seen,
            other: others.map(|_| other),
            refused: (0..TYPES.len()).filter(|of| sight.is_refused(*of)).collect(),
            unread: fields.filter(|(of, name)| !sight.reads(*of, name)).collect(),
            forbidden: forbidden.collect(),
        }
    }

    async fn compare(&self, world: &World, tenants: &Tenants, question: &Question) -> Result<(), String> {
        let full = pages(world, &tenants.full, question).await;
        let seen = pages(world, &tenants.seen, question).await;
        let shown = tenants.without_notes(question, &full);
        if shown != seen && !tenants.may_refuse(question, &shown) {
            return Err(differing(tenants, &question.text, "without what is hidden", &full, &seen));
        }
        if let Some(other) = &tenants.other {
            let other = pages(world, other, question).await;
            if full != other {
                return Err(differing(tenants, &question.text, "with other values of unread fields", &full, &other));
            }
        }
        Ok(())
    }

    async fn change(&self, world: &World, tenants: &Tenants, question: &Question) -> Result<(), String> {
        let before = [&tenants.full, &tenants.seen].map(|who| &who.tenant);
        let before = [marks(world, before[0]).await, marks(world, before[1]).await];
        let full = pages(world, &tenants.full, question).await;
        let seen = pages(world, &tenants.seen, question).await;
        let shown = tenants.without_notes(question, &full);
        let refused = shown != seen;
        if refused && !tenants.may_refuse(question, &shown) {
            return Err(differing(tenants, &question.text, "without what is hidden", &full, &seen));
        }
        // What is there afterwards: as before, but for what the change did where nothing is hidden.
        let after = marks(world, &tenants.seen.tenant).await;
        let mut expected = before[0].clone();
        if !refused {
            expected.retain(|record, _| !before[1].contains_key(record) || after.contains_key(record));
            expected.extend(after);
        }
        let found = marks(world, &tenants.full.tenant).await;
        if found != expected {
            let texts = [format!("{found:?}"), format!("{expected:?}")].map(Json::from);
            return Err(differing(tenants, &question.text, "what should be there", &texts[..1], &texts[1..]));
        }
        Ok(())
    }
}

/// What is said of a value that a rule on its field hides.
const NOTE: &str = "a rule refuses reading this field";

impl Tenants {
    /// Answers without the errors that stand beside hidden values, which are null. Those of a name stay: a record without one is none.
    fn without_notes(&self, question: &Question, answers: &[Json]) -> Vec<Json> {
        let unread = question.fields.iter().any(|field| self.unread.contains(field));
        let is_note = |error: &Json| {
            let last = error["path"].as_array().and_then(|path| path.last()).and_then(Json::as_str);
            error["message"] == NOTE && last != Some("name")
        };
        let mut shown = answers.to_vec();
        for errors in shown.iter_mut().filter_map(|answer| answer.get_mut("errors")).filter(|_| unread) {
            if let Some(all) = errors.as_array_mut() {
                all.retain(|error| !is_note(error));
                if all.is_empty() {
                    *errors = Json::Null;
                }
            }
        }
        shown
    }

    /// Whether an answer is a refusal that the rules ask for.
    fn may_refuse(&self, question: &Question, answers: &[Json]) -> bool {
        let codes = answers.iter().flat_map(|answer| answer["errors"].as_array().into_iter().flatten());
        let codes: Vec<&str> = codes.filter_map(|error| error["extensions"]["code"].as_str()).collect();
        let refused = codes.iter().all(|code| ["FORBIDDEN", "UNAUTHENTICATED"].contains(code)) && !codes.is_empty();
        let types = question.types.iter().any(|of| self.refused.contains(of) || self.forbidden.contains(of));
        refused && (types || question.fields.iter().any(|field| self.unread.contains(field)))
    }
}

/// Serves a tenant and writes its records.
async fn fill(world: &mut World, tenant: &TenantId, sdl: &str, data: &Data) {
    world.serve(tenant.as_str(), sdl).await;
    let bound = world.served(tenant).unwrap().clone();
    let trace = Trace::default();
    let call = Call { deadline: Instant::now() + Duration::from_secs(20), trace: &trace };
    let terms = Terms { at: "2026-11-21T10:00:00.000Z", ..Terms::default() };
    let change = data.change();
    if change.ops.is_empty() {
        return;
    }
    let operator = Principal::operator(tenant, None);
    world.engine.write(&bound, &operator, change, terms, call).await.unwrap_or_else(|fault| panic!("{fault}"));
    let relay = Relay::new(world.ports(), Turn::default());
    while relay.step(tenant, &bound.served().ontology, &mut |_| {}).await.unwrap() != Step::InStep {}
}

/// The answers to a question, one per page: pages follow each other by their own cursors.
async fn pages(world: &World, who: &Principal, question: &Question) -> Vec<Json> {
    let mut answers = Vec::new();
    let mut page = String::new();
    let [argument, end, more] = match question.backwards {
        true => ["before", "startCursor", "hasPreviousPage"],
        false => ["after", "endCursor", "hasNextPage"],
    };
    // Cursors below the first page are of other lists; only those of the root are followed.
    let (head, rest) = question.text.split_once("#PAGE#").unwrap_or((&question.text, ""));
    let rest = rest.replace("#PAGE#", "");
    let is_root = !head.contains(" id");
    for _ in 0..4 {
        let (data, errors) = world.run(who, &format!("{head}{page}{rest}"), json!({})).await;
        let info = data["x"]["pageInfo"].clone();
        answers.push(plain(json!({ "data": data, "errors": errors })));
        if !is_root || rest.is_empty() || info[more] != true {
            break;
        }
        page = format!("{argument}: {}", info[end]);
    }
    answers
}

/// An answer with what its cursors hold, which are signed for a tenant.
fn plain(mut answer: Json) -> Json {
    match &mut answer {
        Json::Array(items) => items.iter_mut().for_each(|item| *item = plain(item.take())),
        Json::Object(fields) => {
            for (name, value) in fields {
                let text = value.as_str().filter(|_| name.to_lowercase().ends_with("cursor"));
                *value = match text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()) {
                    Some(bytes) => Json::from(String::from_utf8_lossy(bytes.get(16..).unwrap_or(&[]))),
                    None => plain(value.take()),
                };
            }
        }
        _ => {}
    }
    answer
}

/// What is there, by type and id, with what mutations write.
async fn marks(world: &World, tenant: &TenantId) -> BTreeMap<String, Json> {
    let fields = TYPES.iter().map(|ty| format!("{} {{ __typename id mark }}", ty.plural)).collect::<Vec<_>>().join(" ");
    let data = world.data(&Principal::operator(tenant, None), &format!("{{ {fields} }}")).await;
    let records = data.as_object().unwrap().values().flat_map(|list| list.as_array().unwrap());
    records.map(|record| (format!("{} {}", record["__typename"], record["id"]), record["mark"].clone())).collect()
}

fn differing(tenants: &Tenants, text: &str, against: &str, full: &[Json], other: &[Json]) -> String {
    let show = |answers: &[Json]| answers.iter().map(|answer| format!("    {answer}\n")).collect::<String>();
    let who = if tenants.full.tenant.as_str().starts_with('a') { "first" } else { "second" };
    format!("the {who} caller asks\n    {text}\nand is answered\n{}but {against}\n{}", show(full), show(other))
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.rules.sdl())?;
        for (side, which) in self.sides.iter().zip(["first", "second"]) {
            writeln!(f, "the {which} caller: {}, {}", if side.caller.0 { "ann" } else { "nobody" }, side.caller.1)?;
            write!(f, "{:?}", side.data)?;
        }
        Ok(())
    }
}
