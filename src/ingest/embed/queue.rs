//! Texts waiting for a vector, and the threads that compute them.
//!
//! Jobs take turns text by text, so a search's one query waits for one text of a long import, not for all of it. Threads come and
//! go: the first stays, others start while texts wait and leave when idle, with their session's memory.

use super::EmbedError;
use super::model::ModelFolder;
use super::session::TextSession;
use ort::environment::Environment;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Where the vectors of one call go, or what went wrong with any of them.
pub(super) type Reply = oneshot::Sender<Result<Vec<Vec<f32>>, EmbedError>>;

/// How long a thread other than the first waits for work before it leaves.
const IDLE: Duration = Duration::from_secs(30);
/// How many texts must be there for each thread: opening a session takes as long as computing about as many.
const TEXTS_PER_THREAD: usize = 8;

/// The jobs and the threads of one model.
pub(super) struct Queue {
    folder: Arc<ModelFolder>,
    environment: Environment,
    threads: usize,
    state: Mutex<State>,
    /// Told when a job comes, when the queue closes, and when a thread ends.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that are there, and texts in their hands.
    threads: usize,
    computing: usize,
    closed: bool,
}

/// What is left of one call.
struct Job {
    texts: std::iter::Enumerate<std::vec::IntoIter<String>>,
    answer: Arc<Mutex<Answer>>,
}

struct Answer {
    vectors: Vec<Vec<f32>>,
    missing: usize,
    /// Gone once it was used.
    reply: Option<Reply>,
}

/// One text of a job, in the hands of a thread.
struct Piece {
    place: usize,
    text: String,
    answer: Arc<Mutex<Answer>>,
}

impl Queue {
    /// Starts the first thread, which reports through `opened` whether the model could be opened.
    pub(super) fn start(
        folder: Arc<ModelFolder>,
        environment: Environment,
        threads: usize,
        opened: SyncSender<Result<(), EmbedError>>,
    ) -> Result<Arc<Self>, EmbedError> {
        let (state, changed) = (Mutex::new(State { threads: 1, ..State::default() }), Condvar::new());
        let queue = Arc::new(Self { folder, environment, threads, state, changed });
        let worker = queue.clone();
        let first = move || {
            let _present = Present(&worker);
            match TextSession::open(&worker.folder, &worker.environment) {
                // An opener that waits no longer has no use for this thread.
                Ok(session) if opened.send(Ok(())).is_ok() => worker.work(Some(session), None),
                Ok(_) => {}
                Err(error) => drop(opened.send(Err(error))),
            }
        };
        spawn(first).map_err(|error| EmbedError::Failed(format!("no thread for the model: {error}")))?;
        Ok(queue)
    }

    /// Adds a job, and threads where many texts are waiting.
    pub(super) fn push(self: &Arc<Self>, texts: Vec<String>, reply: Reply) {
        let missing = texts.len();
        let answer = Arc::new(Mutex::new(Answer { vectors: vec![Vec::new(); missing], missing, reply: Some(reply) }));
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.jobs.push_back(Job { texts: texts.into_iter().enumerate(), answer });
        let texts = state.computing + state.jobs.iter().map(|job| job.texts.len()).sum::<usize>();
        for _ in state.threads..self.threads.min(texts.div_ceil(TEXTS_PER_THREAD)) {
            let worker = self.clone();
            // Opens its session before it takes a text, which another thread may have done by then.
            let extra = move || {
                let _present = Present(&worker);
                match TextSession::open(&worker.folder, &worker.environment) {
                    Ok(session) => worker.work(Some(session), Some(IDLE)),
                    Err(error) => tracing::warn!(%error, "going on with fewer threads"),
                }
            };
            // Without another thread the work goes on, only slower.
            state.threads += usize::from(spawn(extra).is_ok());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes no more jobs, drops those that wait, and waits at most `limit` for the threads to end.
    pub(super) fn close(&self, limit: Duration) {
        let mut state = self.lock();
        state.closed = true;
        state.jobs.clear();
        self.changed.notify_all();
        let ended = self.changed.wait_timeout_while(state, limit, |state| state.threads > 0);
        if ended.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            tracing::warn!("a text is still being embedded after {} s; leaving it behind", limit.as_secs());
        }
    }

    #[cfg(test)]
    pub(super) fn threads_left(&self) -> usize {
        self.lock().threads
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Computes texts until the queue closes, or until none came for `idle`.
    fn work(&self, mut session: Option<TextSession>, idle: Option<Duration>) {
        while let Some(piece) = self.next(idle) {
            let result = catch_unwind(AssertUnwindSafe(|| {
                let open = match session.take() {
                    Some(open) => open,
                    None => TextSession::open(&self.folder, &self.environment)?,
                };
                session.insert(open).embed(&piece.text)
            }));
            let result = result.unwrap_or_else(|_| Err(EmbedError::Failed("the runtime broke".to_owned())));
            if result.is_err() {
                // What failed once is not trusted again.
                session = None;
            }
            // Before the caller knows: its next text must find this thread free.
            self.lock().computing -= 1;
            finish(&piece.answer, piece.place, result);
        }
    }

    /// The next text whose caller still waits; the rest of its job goes to the end of the line.
    fn next(&self, idle: Option<Duration>) -> Option<Piece> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            while let Some(mut job) = state.jobs.pop_front() {
                if abandoned(&job.answer) {
                    continue;
                }
                let Some((place, text)) = job.texts.next() else { continue };
                let answer = job.answer.clone();
                if job.texts.len() > 0 {
                    state.jobs.push_back(job);
                }
                state.computing += 1;
                return Some(Piece { place, text, answer });
            }
            let (woken, late) = match idle {
                None => (self.changed.wait(state).unwrap_or_else(PoisonError::into_inner), false),
                Some(idle) => {
                    let nothing = |state: &mut State| state.jobs.is_empty() && !state.closed;
                    let woken = self.changed.wait_timeout_while(state, idle, nothing);
                    let (woken, wait) = woken.unwrap_or_else(PoisonError::into_inner);
                    (woken, wait.timed_out())
                }
            };
            state = woken;
            if late {
                return None;
            }
        }
    }
}

/// Counts a thread out when it ends, however it ends.
struct Present<'a>(&'a Queue);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
        self.0.changed.notify_all();
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("embed".to_owned()).spawn(work).map(drop)
}

fn abandoned(answer: &Mutex<Answer>) -> bool {
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    answer.reply.as_ref().is_none_or(Reply::is_closed)
}

/// Puts a text's vector in its place; the last one, or the first failure, sends the answer.
fn finish(answer: &Mutex<Answer>, place: usize, result: Result<Vec<f32>, EmbedError>) {
    let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = match result {
        Err(error) => Err(error),
        Ok(vector) => {
            answer.vectors[place] = vector;
            answer.missing -= 1;
            if answer.missing > 0 {
                return;
            }
            Ok(std::mem::take(&mut answer.vectors))
        }
    };
    if let Some(reply) = answer.reply.take() {
        // A caller that left needs no answer.
        let _ = reply.send(outcome);
    }
}
