//! The embedder a server holds: nothing until it is needed, and a clear answer when it cannot be had.

use super::model::{ModelConfig, ModelFolder};
use super::{EmbedError, LOAD_LIMIT, OnnxEmbedder, library};
use async_trait::async_trait;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::ports::Embedder;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokenizers::Tokenizer;
use tokio::sync::{Mutex, OnceCell, oneshot};

/// How long a refusal is believed before the files are looked at again.
const RETRY: Duration = Duration::from_secs(30);

/// Whether texts can be embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbedderStatus {
    /// Library and model are there; the first text will load the model.
    NotLoaded,
    /// The model is loaded.
    Ready,
    /// No text can be embedded, and why. Names files: for operators, not for clients.
    Unavailable(String),
}

/// A model that is loaded by the first text. Cheap to clone: clones share the model.
#[derive(Clone)]
pub struct LazyEmbedder(Arc<Inner>);

struct Inner {
    model_dir: PathBuf,
    dylib: Option<PathBuf>,
    threads: usize,
    retry: Duration,
    config: OnceLock<ModelConfig>,
    tokenizer: OnceCell<Arc<Tokenizer>>,
    state: Mutex<State>,
}

enum State {
    /// Nobody has looked yet.
    Unknown,
    /// The files are there and the library loads.
    Loadable,
    Ready(Arc<OnnxEmbedder>),
    /// Believed until it is forgotten.
    Refused(EmbedError),
}

impl State {
    fn status(&self) -> EmbedderStatus {
        match self {
            Self::Ready(_) => EmbedderStatus::Ready,
            Self::Refused(error) => EmbedderStatus::Unavailable(error.to_string()),
            Self::Unknown | Self::Loadable => EmbedderStatus::NotLoaded,
        }
    }
}

impl LazyEmbedder {
    /// Notes where model and library are and touches neither. Arguments as of [`OnnxEmbedder::open`].
    pub fn new(model_dir: impl Into<PathBuf>, dylib: Option<PathBuf>, threads: usize) -> Self {
        Self::retrying(model_dir.into(), dylib, threads, RETRY)
    }

    pub(super) fn retrying(model_dir: PathBuf, dylib: Option<PathBuf>, threads: usize, retry: Duration) -> Self {
        let (config, tokenizer, state) = (OnceLock::new(), OnceCell::new(), Mutex::new(State::Unknown));
        Self(Arc::new(Inner { model_dir, dylib, threads, retry, config, tokenizer, state }))
    }

    /// What the model's folder says: name, dimensions, longest input. Needs no library; reads two small files the first time.
    ///
    /// # Errors
    /// As of [`ModelConfig::read`].
    pub fn config(&self) -> Result<&ModelConfig, EmbedError> {
        self.0.config()
    }

    /// The model's tokenizer, for chunking. Needs no library; reads the vocabulary the first time.
    ///
    /// # Errors
    /// [`EmbedError::Unavailable`] where the model's folder cannot be read.
    pub async fn tokenizer(&self) -> Result<Arc<Tokenizer>, EmbedError> {
        self.0.clone().tokenizer().await
    }

    /// Whether texts can be embedded. The first call loads the library, not the model; later ones answer from memory.
    pub async fn status(&self) -> EmbedderStatus {
        // Whoever holds the lock is loading, and until that is done the model is not.
        let Ok(mut state) = self.0.state.try_lock() else { return EmbedderStatus::NotLoaded };
        if matches!(*state, State::Unknown) {
            *state = match self.0.examined().await {
                Ok(()) => State::Loadable,
                Err(error) => self.0.refused(error),
            };
        }
        state.status()
    }

    /// As [`status`](Self::status), loading nothing: where nobody has tried yet, it is looked whether the files are there. A library
    /// that is there and does not fit is found out by the first text.
    pub async fn glance(&self) -> EmbedderStatus {
        match self.0.state.try_lock().as_deref() {
            Err(_) => return EmbedderStatus::NotLoaded,
            Ok(State::Unknown) => {}
            Ok(state) => return state.status(),
        }
        let inner = self.0.clone();
        let look = move || inner.config().map(drop).and_then(|()| library::present(inner.dylib.as_deref()));
        match off_the_async_threads(look).await {
            Ok(()) => EmbedderStatus::NotLoaded,
            Err(error) => EmbedderStatus::Unavailable(error.to_string()),
        }
    }

    /// Loads the model now, so that no text has to wait for it.
    ///
    /// # Errors
    /// As of [`OnnxEmbedder::open`]. A refusal is remembered for half a minute and answered at once meanwhile.
    pub async fn warm(&self) -> Result<(), EmbedError> {
        self.loaded().await.map(drop)
    }

    /// As [`OnnxEmbedder::embed`], loading the model if need be.
    ///
    /// # Errors
    /// As of [`OnnxEmbedder::open`] and [`OnnxEmbedder::embed`].
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        self.loaded().await?.embed(texts).await
    }

    async fn loaded(&self) -> Result<Arc<OnnxEmbedder>, EmbedError> {
        // A task of its own, so that a caller who leaves does not throw away what was loaded for those who wait.
        let load = tokio::spawn(self.0.clone().loaded());
        load.await.unwrap_or_else(|_| Err(EmbedError::Failed("loading the model was interrupted".to_owned())))
    }
}

impl Inner {
    fn config(&self) -> Result<&ModelConfig, EmbedError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = ModelConfig::read(&self.model_dir)?;
        Ok(self.config.get_or_init(|| config))
    }

    async fn tokenizer(self: Arc<Self>) -> Result<Arc<Tokenizer>, EmbedError> {
        let inner = self.clone();
        let read = || off_the_async_threads(move || Ok(Arc::new(inner.config()?.tokenizer()?)));
        self.tokenizer.get_or_try_init(read).await.cloned()
    }

    async fn loaded(self: Arc<Self>) -> Result<Arc<OnnxEmbedder>, EmbedError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Ready(embedder) => return Ok(embedder.clone()),
            State::Refused(error) => return Err(error.clone()),
            State::Unknown | State::Loadable => {}
        }
        let opened = match self.clone().tokenizer().await {
            Err(error) => Err(error),
            Ok(tokenizer) => {
                let inner = self.clone();
                off_the_async_threads(move || {
                    let folder = ModelFolder::new(inner.config()?.clone(), tokenizer)?;
                    OnnxEmbedder::with_folder(Arc::new(folder), inner.dylib.as_deref(), inner.threads)
                })
                .await
            }
        };
        match opened {
            Ok(embedder) => {
                let embedder = Arc::new(embedder);
                *state = State::Ready(embedder.clone());
                Ok(embedder)
            }
            Err(error) => {
                *state = self.refused(error.clone());
                Err(error)
            }
        }
    }

    /// Whether model and library could be loaded; loads the library.
    async fn examined(self: &Arc<Self>) -> Result<(), EmbedError> {
        let inner = self.clone();
        off_the_async_threads(move || {
            inner.config()?;
            library::probe(inner.dylib.as_deref(), LOAD_LIMIT)
        })
        .await
    }

    /// The state after a failure: what cannot be had is remembered, so that not every request tries it again, and looked for from
    /// time to time.
    fn refused(self: &Arc<Self>, error: EmbedError) -> State {
        let EmbedError::Unavailable { reason, help } = &error else { return State::Unknown };
        tracing::warn!(reason, help, "texts cannot be embedded");
        let (inner, retry) = (Arc::downgrade(self), self.retry);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(retry).await;
                let Some(inner) = inner.upgrade() else { return };
                let found = match inner.examined().await {
                    Err(error @ EmbedError::Unavailable { .. }) => State::Refused(error),
                    Err(EmbedError::Failed(_)) => State::Unknown,
                    Ok(()) => State::Loadable,
                };
                let over = !matches!(found, State::Refused(_));
                *inner.state.lock().await = found;
                if over {
                    return;
                }
            }
        });
        State::Refused(error)
    }
}

#[async_trait]
impl Embedder for LazyEmbedder {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Fault> {
        LazyEmbedder::embed(self, texts).await.map_err(Fault::from)
    }

    /// 0 where the model's folder cannot be read; nothing can be embedded then.
    fn dimensions(&self) -> usize {
        self.config().map_or(0, |config| config.dimensions)
    }

    fn model(&self) -> Option<&str> {
        self.config().ok().map(|config| config.name.as_str())
    }
}

impl From<EmbedError> for Fault {
    /// Reasons name files, so clients get none of them.
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Unavailable { .. } => {
                Self::client(Code::EmbeddingUnavailable, "this server has no model to embed text with")
            }
            EmbedError::Failed(cause) => Self::passing("embedding", cause),
        }
    }
}

impl std::fmt::Debug for LazyEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LazyEmbedder").field("model_dir", &self.0.model_dir).finish_non_exhaustive()
    }
}

/// Runs blocking work on a thread of its own: unlike the runtime's blocking pool, one that hangs holds up neither others nor the
/// end of the process.
async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
) -> Result<T, EmbedError> {
    let (done, result) = oneshot::channel();
    let run = move || drop(done.send(work()));
    let thread = std::thread::Builder::new().name("embed-open".to_owned()).spawn(run);
    thread.map_err(|error| EmbedError::Failed(format!("no thread to load the model: {error}")))?;
    result.await.unwrap_or_else(|_| Err(EmbedError::Failed("loading the model broke off".to_owned())))
}
