//! Reads of one shape that come while others like them run: they wait, and are asked together, as one statement.
//!
//! Much of what a small statement costs does not depend on what it asks: of one node by its id, nine tenths. A statement that asks for
//! eight nodes takes little longer than one that asks for one; so under load each is cheaper, and when there is none, nobody waits.
//!
//! Nothing of one request reaches another by this. Only reads of one tenant that went through the guard are asked together, whose
//! statements are the same but for their values, rights among them; each gets the outcome of its own values. A statement is sent after
//! all came whose questions it asks, so each sees what was written before it came. A request that is given up takes nothing from the
//! others, and when a statement fails, each of its questions is asked alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Call, StoreName};
use quipu_resolvers::value::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::timeout_at;

use super::decode::Decoded;
use super::failure::Failure;
use super::pace::Pace;
use super::{Gathering, Neo4j, PART, by_position, column};
use crate::stores::cypher::{Question, Statement};

/// Shapes that are remembered; beyond that, those that nobody asks are forgotten.
const SHAPES: usize = 1_000;

/// How long a question waits for others that are asked with it, before it is asked alone as well, if connections are free.
const PATIENCE: Duration = Duration::from_millis(100);

/// The reads that run, by shape.
pub(super) struct Gather {
    shapes: Mutex<HashMap<Arc<str>, Shape>>,
    /// Statements side by side at most.
    most: usize,
    /// How long one that asks several questions is expected to take at most.
    longest: Duration,
}

struct Shape {
    pace: Pace,
    running: usize,
    waiting: VecDeque<Waiting>,
}

impl Shape {
    fn new(gather: &Gather) -> Self {
        Self { pace: Pace::new(gather.most, gather.longest), running: 0, waiting: VecDeque::new() }
    }

    fn portion(&mut self) -> Vec<Waiting> {
        // Whoever is gone needs no answer.
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let count = self.waiting.len().min(self.pace.room());
        self.waiting.drain(..count).collect()
    }
}

/// A question that waits for its place.
struct Waiting {
    question: Arc<Question>,
    deadline: Instant,
    answer: Sender<Result<Answer, Fault>>,
}

impl Waiting {
    fn tell(self, answer: Result<Answer, Fault>) {
        // Whoever is gone needs no answer.
        let _ = self.answer.send(answer);
    }
}

/// What one question gets.
struct Answer {
    outcome: Value,
    sent: Arc<Statement>,
    /// Questions of that statement.
    questions: usize,
    took: Duration,
}

/// What is to be done with a question.
enum Turn {
    /// It is asked now, alone, in a place of the shape of this name.
    Now(Arc<str>, Question),
    /// It is asked with others; alone as well when that takes long. With the name of its shape when it is the first of those, and a place
    /// is free for them.
    Later(Receiver<Result<Answer, Fault>>, Arc<Question>, Option<Arc<str>>),
}

/// The place of a statement that runs. When it is given up, also in the middle, those that wait take it.
struct Place {
    neo4j: Neo4j,
    shape: Arc<str>,
    questions: usize,
    began: Instant,
    succeeded: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let took = self.succeeded.then(|| self.began.elapsed());
        for waiting in self.neo4j.0.gather.left(&self.shape, self.questions, took) {
            let place = Self::taken(&self.neo4j, &self.shape, waiting.len());
            // Without a runtime the process ends, and nobody waits any more.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(together(place, waiting));
            }
        }
    }
}

impl Place {
    fn taken(neo4j: &Neo4j, shape: &Arc<str>, questions: usize) -> Self {
        let (neo4j, shape) = (neo4j.clone(), Arc::clone(shape));
        Self { neo4j, shape, questions, began: Instant::now(), succeeded: false }
    }
}

impl Gather {
    pub(super) fn new(most: usize, gathering: Gathering) -> Self {
        let longest = match gathering {
            Gathering::UnderLoad(longest) => longest,
            Gathering::Never | Gathering::Always => Duration::ZERO,
        };
        Self { shapes: Mutex::default(), most, longest }
    }

    fn shapes(&self) -> MutexGuard<'_, HashMap<Arc<str>, Shape>> {
        self.shapes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a statement, or the end of a queue.
    fn turn(&self, tenant: &TenantId, question: Question, deadline: Instant) -> Turn {
        let name: Arc<str> = question.shape(tenant.as_str()).into();
        let mut shapes = self.shapes();
        if shapes.len() >= SHAPES && !shapes.contains_key(&name) {
            shapes.retain(|_, shape| shape.running > 0);
        }
        let shape = shapes.entry(Arc::clone(&name)).or_insert_with(|| Shape::new(self));
        // Where questions take long, it is for the server to share its time among them.
        if shape.running == 0 || shape.pace.room() < 2 {
            shape.running += 1;
            return Turn::Now(name, question);
        }
        let starts = shape.waiting.is_empty() && shape.running < shape.pace.side_by_side();
        shape.running += usize::from(starts);
        let question = Arc::new(question);
        let (answer, receiver) = oneshot::channel();
        shape.waiting.push_back(Waiting { question: Arc::clone(&question), deadline, answer });
        Turn::Later(receiver, question, starts.then_some(name))
    }

    /// Those that wait, as many as one statement may ask.
    fn portion(&self, name: &str) -> Vec<Waiting> {
        self.shapes().get_mut(name).map(Shape::portion).unwrap_or_default()
    }

    /// A statement is done: what is to be asked next, a portion for each place that is free.
    fn left(&self, name: &str, questions: usize, took: Option<Duration>) -> Vec<Vec<Waiting>> {
        let mut shapes = self.shapes();
        let Some(shape) = shapes.get_mut(name) else { return Vec::new() };
        shape.running = shape.running.saturating_sub(1);
        if let Some(took) = took {
            shape.pace.took(questions, took, !shape.waiting.is_empty());
        }
        let mut next = Vec::new();
        while shape.running < shape.pace.side_by_side() {
            let portion = shape.portion();
            if portion.is_empty() {
                break;
            }
            shape.running += 1;
            next.push(portion);
        }
        next
    }
}

impl Neo4j {
    /// The outcome of a read at the root, asked alone or with others.
    pub(super) async fn gathered(&self, tenant: &TenantId, question: Question, call: Call<'_>) -> Result<Value, Fault> {
        match self.0.gather.turn(tenant, question, call.deadline) {
            Turn::Now(shape, question) => {
                let mut place = Place::taken(self, &shape, 1);
                let outcome = self.asked_alone(question.into_alone(), call).await;
                place.succeeded = outcome.is_ok();
                outcome
            }
            Turn::Later(receiver, question, starts) => {
                if let Some(shape) = starts {
                    tokio::spawn(start(Place::taken(self, &shape, 1)));
                }
                self.awaited(receiver, question, call).await
            }
        }
    }

    /// The outcome of a statement that asks one question.
    pub(super) async fn asked_alone(&self, statement: Statement, call: Call<'_>) -> Result<Value, Fault> {
        self.query(statement, call, only).await
    }

    /// Waits for what is asked together.
    async fn awaited(
        &self,
        mut receiver: Receiver<Result<Answer, Fault>>,
        question: Arc<Question>,
        call: Call<'_>,
    ) -> Result<Value, Fault> {
        let patience = call.deadline.min(Instant::now() + PATIENCE);
        let answer = match timeout_at(patience.into(), &mut receiver).await {
            Ok(answer) => answer,
            // One of the others may take long. To ask more where no connection is free would make it worse for all.
            Err(_) if self.0.sessions.is_idle() => return self.asked_alone(question.alone().clone(), call).await,
            Err(_) => timeout_at(call.deadline.into(), receiver).await.map_err(|_| Failure::Late.fault())?,
        };
        let answer = answer.unwrap_or_else(|_| Err(Fault::internal(PART, "nobody asked")))?;
        if answer.questions > 1 {
            call.trace.asked_together();
        }
        call.trace.ran(StoreName::Graph, answer.took, || {
            let values = question.values().map(ToString::to_string).collect();
            (answer.sent.text.clone(), values, 1)
        });
        Ok(answer.outcome)
    }
}

/// The outcome of a statement that asks one question.
fn only(rows: &[neo4rs::Row]) -> Result<Value, String> {
    let row = rows.first().ok_or("no row came back")?;
    column::<Decoded>(row, "o").map(|decoded| decoded.0)
}

/// Asks those that wait, and those that come while other tasks have their turn.
async fn start(mut place: Place) {
    tokio::task::yield_now().await;
    let waiting = place.neo4j.0.gather.portion(&place.shape);
    (place.questions, place.began) = (waiting.len(), Instant::now());
    together(place, waiting).await;
}

/// Asks questions together and answers each. Is given up when all who ask are gone.
async fn together(mut place: Place, mut waiting: Vec<Waiting>) {
    let Some(deadline) = waiting.iter().map(|waiting| waiting.deadline).max() else { return };
    let (sent, of) = statement(&waiting);
    let (sent, count) = (Arc::new(sent), of.iter().max().map_or(0, |last| last + 1));
    let (neo4j, began) = (place.neo4j.clone(), Instant::now());
    let rows = {
        let gone = join_all(waiting.iter_mut().map(|waiting| waiting.answer.closed()));
        tokio::select! {
            rows = neo4j.0.sessions.read(&sent, deadline) => rows,
            _ = gone => return,
        }
    };
    let questions = waiting.len();
    let outcomes = rows.and_then(|rows| by_position(&rows, count).map_err(Failure::Answer));
    let took = began.elapsed();
    place.succeeded = outcomes.is_ok();
    // The next ones need not wait until these have their answers.
    drop(place);
    match outcomes {
        Ok(mut outcomes) => {
            let mut left = vec![0_usize; count];
            of.iter().for_each(|at| left[*at] += 1);
            for (waiting, at) in waiting.into_iter().zip(of) {
                left[at] -= 1;
                // The last who gets it need not copy it.
                let outcome = if left[at] == 0 { std::mem::take(&mut outcomes[at]) } else { outcomes[at].clone() };
                waiting.tell(Ok(Answer { outcome, sent: Arc::clone(&sent), questions, took }));
            }
        }
        // It may be one of the questions alone that cannot be answered.
        Err(failure) if !matches!(failure, Failure::Late | Failure::Busy) && !failure.passes() => {
            join_all(waiting.into_iter().map(|waiting| alone(&neo4j, waiting))).await;
        }
        Err(failure) => {
            let fault = failure.fault();
            waiting.into_iter().for_each(|waiting| waiting.tell(Err(fault.clone())));
        }
    }
}

/// The statement that asks them all, each set of values once, and the position of each one's outcome.
fn statement(waiting: &[Waiting]) -> (Statement, Vec<usize>) {
    let mut questions: Vec<&Question> = Vec::with_capacity(waiting.len());
    let of = waiting.iter().map(|waiting| {
        let same = questions.iter().position(|known| known.values().eq(waiting.question.values()));
        same.unwrap_or_else(|| {
            questions.push(&waiting.question);
            questions.len() - 1
        })
    });
    let of = of.collect();
    (Question::together(&questions), of)
}

/// Asks one question and answers it.
async fn alone(neo4j: &Neo4j, waiting: Waiting) {
    let began = Instant::now();
    let sent = Arc::new(waiting.question.alone().clone());
    let rows = neo4j.0.sessions.read(&sent, waiting.deadline).await;
    let outcome = rows.and_then(|rows| only(&rows).map_err(Failure::Answer));
    let answer = outcome.map(|outcome| Answer { outcome, sent, questions: 1, took: began.elapsed() });
    waiting.tell(answer.map_err(Failure::fault));
}

#[cfg(test)]
mod tests {
    use quipu_resolvers::read::{Field, Place as Stored, Predicate, Read, Target, Via, Window};

    use super::*;
    use crate::stores::cypher::{Labels, Scope, Tenancy};

    fn question(id: &str) -> Question {
        let filter = Predicate::equals(Field::Id, Value::from(id));
        let read = Read {
            place: Stored::Nodes,
            via: Via::Root,
            targets: vec![Target { of: "Facility".into(), filter, visible: Predicate::True, picks: Vec::new() }],
            sort: Vec::new(),
            window: Window::default(),
            rows: true,
            total: false,
            figures: Vec::new(),
        };
        let tenancy = Tenancy::Property("alpha".to_owned());
        Question::new(&read, Scope { tenancy: &tenancy, labels: &Labels::default() })
    }

    fn asked(gather: &Gather, tenant: &str, id: &str) -> Turn {
        gather.turn(&TenantId::parse(tenant).unwrap(), question(id), Instant::now())
    }

    /// A gather of which one shape is known to be quick, with a statement of it that runs; and the name of that shape.
    fn busy() -> (Gather, Arc<str>) {
        let gather = Gather::new(4, Gathering::UnderLoad(Duration::from_secs(60)));
        for took in [Some(Duration::from_millis(1)), None] {
            let Turn::Now(name, _) = asked(&gather, "alpha", "f1") else { panic!("nothing runs") };
            let Some(took) = took else { return (gather, name) };
            assert!(gather.left(&name, 1, Some(took)).is_empty());
        }
        unreachable!("the second one runs")
    }

    fn places(gather: &Gather, name: &str) -> usize {
        gather.shapes()[name].running
    }

    #[test]
    fn those_that_wait_are_asked_together() {
        let (gather, name) = busy();
        let waiting: Vec<Turn> = ["f1", "f2", "f1"].map(|id| asked(&gather, "alpha", id)).into();
        // The first of them takes a place for all.
        let starts = waiting.iter().map(|turn| matches!(turn, Turn::Later(_, _, Some(_))));
        assert_eq!(starts.collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(places(&gather, &name), 2);
        // Another tenant's are never among them.
        assert!(matches!(asked(&gather, "beta", "f1"), Turn::Now(..)));
        let portion = gather.portion(&name);
        assert_eq!(portion.len(), 3);
        // What two of them ask is asked once.
        let (statement, of) = statement(&portion);
        assert_eq!(of, [0, 1, 0]);
        assert_eq!(statement.parameters.last().unwrap().1.to_string(), r#"[["f1"], ["f2"]]"#);
    }

    #[test]
    fn those_that_find_no_place_take_the_next_that_is_free() {
        let (gather, name) = busy();
        for _ in 0..3 {
            let Turn::Later(_, _, Some(_)) = asked(&gather, "alpha", "f1") else { panic!("a place is free") };
            gather.portion(&name);
        }
        let waiting: Vec<Turn> = ["f1", "f2"].map(|id| asked(&gather, "alpha", id)).into();
        assert!(waiting.iter().all(|turn| matches!(turn, Turn::Later(_, _, None))));
        let next = gather.left(&name, 1, Some(Duration::from_millis(1)));
        assert_eq!(next.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
        assert_eq!(places(&gather, &name), 4);
    }

    /// Also when statements fail or are given up, their places are free again; and whoever is gone is not asked for.
    #[test]
    fn no_place_is_lost() {
        let (gather, name) = busy();
        for _ in 0..100 {
            let Turn::Later(receiver, _, Some(_)) = asked(&gather, "alpha", "f1") else { panic!("a place is free") };
            drop(receiver);
            assert!(gather.portion(&name).is_empty());
            assert!(gather.left(&name, 0, None).is_empty());
        }
        assert_eq!(places(&gather, &name), 1);
        assert!(gather.left(&name, 1, None).is_empty());
        assert!(matches!(asked(&gather, "alpha", "f1"), Turn::Now(..)));
    }

    #[test]
    fn shapes_that_nobody_asks_are_forgotten() {
        let gather = Gather::new(4, Gathering::default());
        for n in 0..3 * SHAPES {
            let Turn::Now(name, _) = asked(&gather, &format!("tenant-{n}"), "f1") else { panic!("nothing runs") };
            gather.left(&name, 1, None);
        }
        assert!(gather.shapes().len() <= SHAPES);
    }
}
