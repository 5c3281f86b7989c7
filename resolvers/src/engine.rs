//! The engine: a request from its document to the bytes of its answer.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::answer::{Loaded, Writer};
use crate::bind::Bound;
use crate::cost::{self, Cost, PriceLimit};
use crate::document::{Document, Documents, Refusal, TextHash, hash_of};
use crate::fault::{Code, Fault};
use crate::fields::{Job, Planner};
use crate::guard::Principal;
use crate::kept::Keeping;
use crate::plan::{self, Asked, Sort};
use crate::ports::{Call, Served};
use crate::shape::{Out, What};
use crate::value::{Value, position};
use crate::{Answer, Ask, Limits, Ports, Settings};

mod apply;
mod checks;
mod cross;
mod explain;
mod keep;
mod reply;
mod run;
mod search;
mod watch;
mod write;

use apply::Appliers;
use reply::Extensions;
pub(crate) use run::Run;

/// Answers requests over the ports of a process.
pub struct Engine {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    documents: Documents,
    appliers: Arc<Appliers>,
    keeping: Keeping,
}

/// A field at the root with what was planned for it.
pub(crate) struct Rooted {
    out: Out,
    job: Result<Job, Fault>,
}

/// A planned operation.
pub(crate) struct Planned {
    sort: Sort,
    roots: Vec<Rooted>,
    crossings: usize,
    cost: Cost,
}

impl Engine {
    /// An engine over ports.
    pub fn new(ports: Ports, settings: Settings) -> Arc<Self> {
        let documents = Documents::new(settings.limits.cached_documents, settings.limits.cached_document_bytes);
        let appliers = Appliers::new(ports.clone());
        Arc::new(Self { ports, settings, documents, appliers, keeping: Keeping::default() })
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Makes what is published ready for requests. Touches no store.
    pub fn bind(&self, served: Served) -> Arc<Bound> {
        Arc::new(Bound::new(served))
    }

    /// A response with only an error.
    pub fn refusal(fault: &Fault) -> Answer {
        reply::refusal(fault)
    }

    /// Answers a query or a mutation. A subscription is refused.
    pub async fn answer(&self, bound: &Arc<Bound>, principal: &Principal, ask: Ask) -> Answer {
        let deadline = tokio::time::Instant::from_std(ask.deadline);
        match tokio::time::timeout_at(deadline, self.answer_in_time(bound, principal, &ask)).await {
            Ok(answer) => answer,
            Err(_) => reply::refusal(&Fault::client(
                Code::Timeout,
                "the request took longer than it may (`server.request_timeout`)",
            )),
        }
    }

    async fn answer_in_time(&self, bound: &Arc<Bound>, principal: &Principal, ask: &Ask) -> Answer {
        let document = match self.opened(bound, ask) {
            Ok(document) => document,
            Err(refused) => return refused,
        };
        let planned = match self.planned(bound, &document, ask) {
            Ok(planned) => planned,
            Err(fault) => return reply::refusal(&fault),
        };
        match planned.sort {
            Sort::Subscription => {
                let message = "a subscription needs a stream: WebSocket (graphql-transport-ws) or text/event-stream";
                reply::refusal(&Fault::client(Code::BadRequest, message))
            }
            Sort::Mutation if !ask.may_write => {
                reply::refusal(&Fault::client(Code::BadRequest, "a mutation needs POST"))
            }
            _ => match planned.cost.settle(&ask.pricing).await {
                Ok(()) => self.executed(bound, principal, ask, planned).await,
                Err(fault) => reply::refusal_of(&fault, planned.shown_cost(ask)),
            },
        }
    }

    /// Plans an operation and says what it costs; nothing has run yet.
    pub(crate) fn planned(&self, bound: &Bound, document: &Document, ask: &Ask) -> Result<Planned, Fault> {
        let operation = document.operation(ask.operation_name.as_deref())?;
        let sort = Sort::of(&operation.node);
        let asked = plan::asked(&bound.served.api, &document.parsed, &operation.node, &ask.variables)?;
        if !self.settings.introspection && asked.iter().any(|field| matches!(field.name, "__schema" | "__type")) {
            return Err(Fault::client(Code::GraphqlValidationFailed, "introspection is switched off"));
        }
        let mut planner = Planner::new(&bound.served, &self.settings.limits, &self.settings.cursor_secret);
        let roots: Vec<Rooted> =
            asked.iter().map(|asked| rooted(&mut planner, asked, sort)).collect::<Result<_, _>>()?;
        ask.trace.about(|about| {
            about.operation = Some(sort.as_str());
            roots.iter().filter_map(|root| root.job.as_ref().ok()).for_each(|job| job.touched(&mut about.types));
        });
        let prices = roots.iter().filter_map(|root| Some((root.out.key.clone(), cost::job(root.job.as_ref().ok()?))));
        let all = PriceLimit { price: self.settings.limits.price, setting: "limits.price" };
        let limit = ask.pricing.most.filter(|most| most.price < all.price).unwrap_or(all);
        let cost = Cost::of(prices.collect(), limit);
        Ok(Planned { sort, roots, crossings: planner.crossings(), cost })
    }

    async fn executed(&self, bound: &Bound, principal: &Principal, ask: &Ask, planned: Planned) -> Answer {
        let least = match self.reached(principal, ask, &planned).await {
            Ok(least) => least,
            Err(fault) => return reply::refusal(&fault),
        };
        let call = Call { deadline: ask.deadline, trace: &ask.trace };
        let run = Run { engine: self, bound, principal, call };
        let sort = planned.sort;
        let cost = planned.shown_cost(ask);
        let work = run::Work::new(run, planned.crossings).not_before(least);
        let mut fields = Vec::with_capacity(planned.roots.len());
        if sort == Sort::Mutation {
            for root in planned.roots {
                let outcome = match root.job {
                    Ok(job) => work.job(&job, ask).await,
                    Err(fault) => Err(fault),
                };
                fields.push((root.out, outcome));
            }
        } else {
            let outcomes = join_all(planned.roots.iter().map(|root| async {
                match &root.job {
                    Ok(job) => work.job(job, ask).await,
                    Err(fault) => Err(fault.clone()),
                }
            }));
            let outcomes = outcomes.await;
            fields.extend(planned.roots.into_iter().map(|root| root.out).zip(outcomes));
        }
        let position = work.wrote().map(|seq| position::seal(&self.settings.cursor_secret, &principal.tenant, seq));
        self.written(&fields, &work.loaded(), sort, Extensions { position, cost })
    }

    /// The position before which nothing may be read, once the graph holds the log up to there; rows are never behind the log.
    ///
    /// # Errors
    /// `BAD_POSITION` where the request brings something else, `STALE` where it takes too long, a store's.
    async fn reached(&self, principal: &Principal, ask: &Ask, planned: &Planned) -> Result<u64, Fault> {
        let Some(token) = &ask.position else { return Ok(0) };
        let seq = position::open(&self.settings.cursor_secret, &principal.tenant, token)?;
        if planned.roots.iter().all(|root| matches!(root.job, Err(_) | Ok(Job::Nothing))) {
            return Ok(seq);
        }
        let wait = self.settings.limits.position_wait;
        let until = ask.deadline.min(std::time::Instant::now() + wait).into();
        match tokio::time::timeout_at(until, self.appliers.reached(&principal.tenant, seq)).await {
            Ok(reached) => reached.map(|()| seq),
            Err(_) => Err(apply::stale()),
        }
    }

    /// The bytes of a response.
    pub(crate) fn written(
        &self,
        fields: &[(Out, Result<Value, Fault>)],
        loaded: &Loaded,
        sort: Sort,
        extensions: Extensions,
    ) -> Answer {
        let mut writer = Writer::new(loaded, self.settings.limits.errors);
        writer.root(fields);
        let (data, errors) = writer.finish();
        reply::executed(&data, &errors, sort, extensions)
    }

    /// The text of a document that was validated for the tenant's API before and is still kept, by the SHA-256 of its text.
    pub fn kept_text(&self, bound: &Bound, hash: &TextHash) -> Option<Arc<str>> {
        self.documents.text(&bound.served, hash)
    }

    /// Looks whether a document fits an API and the limits.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place as line and column.
    pub fn check_document(&self, bound: &Bound, text: &str) -> Result<(), Vec<String>> {
        match self.document(bound, text) {
            Ok(_) => Ok(()),
            Err(Refusal::Fault(fault)) => Err(vec![fault.to_string()]),
            Err(Refusal::Invalid(errors)) => Err(errors
                .iter()
                .map(|error| match error.locations.first() {
                    Some(at) => format!("{}:{}: {}", at.line, at.column, error.message),
                    None => error.message.clone(),
                })
                .collect()),
        }
    }

    /// The document of a request, or the answer to one whose document is not taken.
    pub(crate) fn opened(&self, bound: &Bound, ask: &Ask) -> Result<Arc<Document>, Answer> {
        let opened = self.document(bound, &ask.query);
        // It was hashed to be looked up; what is not taken is hashed for this alone.
        ask.trace.about(|about| {
            about.document = Some(opened.as_ref().map_or_else(|_| hash_of(&ask.query), |document| document.hash));
        });
        opened.map_err(|refusal| match refusal {
            Refusal::Fault(fault) => reply::refusal(&fault),
            Refusal::Invalid(errors) => reply::invalid(&errors),
        })
    }

    pub(crate) fn document(&self, bound: &Bound, text: &str) -> Result<Arc<Document>, Refusal> {
        self.documents.open(&bound.served, &self.settings, text)
    }
}

impl Planned {
    /// The price for the answer, where it is asked for.
    fn shown_cost(&self, ask: &Ask) -> Option<serde_json::Value> {
        ask.pricing.shown.then(|| self.cost.json())
    }
}

/// Plans one root field. What the caller can mend is the field's error; what is ours, and what is over a limit, is the request's.
fn rooted<'a>(planner: &mut Planner<'a>, asked: &Asked<'a>, sort: Sort) -> Result<Rooted, Fault> {
    let required = asked.def.is_none_or(|def| def.ty.is_required()) && !asked.name.starts_with("__t");
    let (job, what) = match planner.root(asked) {
        Ok((job, what)) => (Ok(job), what),
        Err(fault @ Fault::Client(_)) if fault.code() == Code::BadUserInput && asked.args.is_err() => {
            return Err(fault);
        }
        Err(fault) if fault.code() == Code::PageTooLarge => return Err(fault),
        Err(fault @ Fault::Client(_)) => (Err(fault), What::Typename("".into())),
        Err(fault) => return Err(fault),
    };
    let what = if asked.name == "__typename" { What::Typename(sort.root().into()) } else { what };
    Ok(Rooted { out: Out { key: asked.key.clone(), at: asked.at, required, what }, job })
}
