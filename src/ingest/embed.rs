//! Sentence embeddings with ONNX Runtime.
//!
//! A model is a folder as sentence-transformers exports it. [`LazyEmbedder`] is what a server holds: it costs nothing until the first
//! text has to be embedded, and a missing library or model is an answer, not a crash. [`OnnxEmbedder`] is the loaded model.
//!
//! One text is one inference, always. The shipped model quantises its activations while it runs, with one scale per tensor, so a text's
//! vector would depend on its neighbours in a batch: measured, up to 0.025 in a coordinate, also between texts of equal length. Running
//! each text alone makes its vector its own, and loses nothing on a CPU: with one thread 74 texts/s alone, 73 in fours, 44 in
//! thirty-twos. Parallelism comes from several sessions with one thread each, which beats one session with several.

mod lazy;
mod library;
mod model;
mod queue;
mod session;
#[cfg(test)]
mod tests;

pub use lazy::{EmbedderStatus, LazyEmbedder};
pub use model::ModelConfig;

use self::model::ModelFolder;
use self::queue::Queue;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokenizers::Tokenizer;
use tokio::sync::{Semaphore, oneshot};

/// How long loading the library or the model may take before it counts as unavailable.
const LOAD_LIMIT: Duration = Duration::from_secs(20);
/// Calls that may wait for a worker at once; further callers wait for a place, in order.
const WAITING_CALLS: usize = 256;

/// Why there is no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The library or the model cannot be used, so no text can be embedded until somebody acts.
    #[error("embedding is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, naming the file.
        reason: String,
        /// What an operator can do about it.
        help: String,
    },
    /// This call failed; another may succeed.
    #[error("embedding failed: {0}")]
    Failed(String),
}

impl EmbedError {
    fn unavailable(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), help: help.into() }
    }
}

/// A loaded sentence embedding model. Dropping it waits for the texts being computed, at most two seconds.
pub struct OnnxEmbedder {
    folder: Arc<ModelFolder>,
    queue: Arc<Queue>,
    places: Semaphore,
}

impl OnnxEmbedder {
    /// Loads the model in `model_dir` with the ONNX Runtime library `dylib`; without a path, a library beside the executable or on the
    /// system's search path.
    ///
    /// `threads` texts at most are computed at once; each takes one CPU and, from the second on, about 30 MB that are given back when idle.
    /// Blocks, for some 100 ms when all is well and never longer than the load limit, so call it off the async threads.
    ///
    /// # Errors
    /// [`EmbedError::Unavailable`] where the folder, the model or the library cannot be used.
    pub fn open(model_dir: &Path, dylib: Option<&Path>, threads: usize) -> Result<Self, EmbedError> {
        let folder = Arc::new(ModelFolder::open(model_dir)?);
        Self::with_folder(folder, dylib, threads)
    }

    fn with_folder(folder: Arc<ModelFolder>, dylib: Option<&Path>, threads: usize) -> Result<Self, EmbedError> {
        let environment = library::environment(dylib, LOAD_LIMIT)?;
        let (opened, first) = mpsc::sync_channel(1);
        let queue = Queue::start(folder.clone(), environment, threads.max(1), opened)?;
        first.recv_timeout(LOAD_LIMIT).unwrap_or_else(|_| {
            Err(EmbedError::unavailable(
                format!("the model `{}` could not be opened within {} s", folder.config.name, LOAD_LIMIT.as_secs()),
                "look at the log, and at the load of this machine",
            ))
        })?;
        Ok(Self { folder, queue, places: Semaphore::new(WAITING_CALLS) })
    }

    /// Coordinates of a vector, as the model's folder says.
    pub fn dimensions(&self) -> usize {
        self.folder.config.dimensions
    }

    /// The name of the model: that of its folder.
    pub fn name(&self) -> &str {
        &self.folder.config.name
    }

    /// The model's tokenizer, without padding or truncation.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.folder.tokenizer
    }

    /// One vector of [`dimensions`](Self::dimensions) coordinates and length 1 for each text, in the order of the texts.
    ///
    /// A text is cut to the model's longest input; an empty one has a vector too. Concurrent calls take turns text by text, so a short
    /// one waits for no long one. When the returned future is dropped, its remaining texts are not computed.
    ///
    /// # Errors
    /// [`EmbedError::Failed`] where the runtime refuses or breaks; the next call starts afresh.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let stopped = || EmbedError::Failed("the embedder was closed".to_owned());
        let _place = self.places.acquire().await.map_err(|_| stopped())?;
        let (reply, answer) = oneshot::channel();
        self.queue.push(texts, reply);
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for OnnxEmbedder {
    /// The library's global state is torn down when the process ends; no thread of ours may be inside it then.
    fn drop(&mut self) {
        self.queue.close(Duration::from_secs(2));
    }
}

impl std::fmt::Debug for OnnxEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnnxEmbedder").field("config", &self.folder.config).finish_non_exhaustive()
    }
}
