//! `quipu explain`: each stage of one query as text.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Bound, Engine};
use crate::document::Refusal;
use crate::fields::{Job, Plan};
use crate::guard::{self, Principal};
use crate::{Ask, cost};

impl Engine {
    /// Runs a query and tells each stage: the plan, its price, the guarded reads, the statements with parameters, rows and times,
    /// and the answer. The ask's trace must be [`crate::ports::Trace::keeping`].
    pub async fn explain(&self, bound: &Arc<Bound>, principal: &Principal, ask: Ask) -> String {
        let mut out = String::new();
        let document = match self.document(bound, &ask.query) {
            Ok(document) => document,
            Err(Refusal::Fault(fault)) => return format!("refused: {fault}\n"),
            Err(Refusal::Invalid(errors)) => {
                return errors.iter().fold(String::from("invalid:\n"), |text, error| text + &format!("  {error}\n"));
            }
        };
        let planned = match self.planned(bound, &document, &ask) {
            Ok(planned) => planned,
            Err(fault) => return format!("refused: {fault}\n"),
        };
        if let Err(fault) = planned.cost.check() {
            return format!("refused: {fault}\n");
        }
        // Writing into a string cannot fail.
        let _ = writeln!(out, "== document\n{}\n", ask.query.trim());
        let _ = writeln!(out, "== price\n{} of at most {}\n", planned.cost.price, planned.cost.limit.price);
        for root in &planned.roots {
            match &root.job {
                Ok(job) => {
                    let _ = writeln!(out, "== field {} (price {})", root.out.key, cost::job(job));
                    self.field(bound, principal, job, &mut out);
                }
                Err(fault) => {
                    let _ = writeln!(out, "== field {}\nrefused: {fault}\n", root.out.key);
                }
            }
        }
        let trace = ask.trace.clone();
        let answer = self.answer(bound, principal, ask).await;
        for (at, statement) in trace.statements().iter().enumerate() {
            let _ = writeln!(
                out,
                "== statement {} on {}: {} rows in {:.3} ms\n{}\nparameters: {:?}\n",
                at + 1,
                statement.store.as_str(),
                statement.rows,
                statement.took.as_secs_f64() * 1e3,
                statement.text,
                statement.parameters
            );
        }
        let _ = writeln!(out, "== answer\n{}", String::from_utf8_lossy(&answer.body));
        out
    }

    fn field(&self, bound: &Bound, principal: &Principal, job: &Job, out: &mut String) {
        match job {
            Job::Read(plan, _) => self.told(bound, principal, plan, out),
            Job::Similar(similar) => self.told(bound, principal, &similar.plan, out),
            Job::Search(search) => self.told(bound, principal, &search.plan, out),
            Job::Write(write) => {
                if let Some(plan) = &write.plan {
                    self.told(bound, principal, plan, out);
                }
            }
            Job::Nothing | Job::Watch(_) => {}
        }
    }

    fn told(&self, bound: &Bound, principal: &Principal, plan: &Plan, out: &mut String) {
        let _ = writeln!(out, "-- read\n{:#?}", plan.read);
        match guard::read(principal, &bound.served().ontology, plan.read.clone()) {
            Ok(allowed) => {
                let _ = writeln!(out, "-- guarded read\n{:#?}", allowed.get());
            }
            Err(fault) => {
                let _ = writeln!(out, "-- refused by the guard: {fault}");
            }
        }
        for crossing in &plan.crossings {
            let _ = writeln!(out, "-- crossing {}, by the keys in position {}", crossing.id, crossing.slot);
            self.told(bound, principal, &crossing.plan, out);
        }
    }
}
