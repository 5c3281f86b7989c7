//! A model's folder: what it says about itself, and its tokenizer.

use super::EmbedError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenizers::{Tokenizer, TruncationDirection};

const HELP: &str =
    "point the setting at the folder of a sentence-transformers model exported to ONNX, like `models/all-MiniLM-L6-v2`";

/// Where exports keep the graph, best first: the small one before the exact one.
const GRAPHS: [&str; 4] = ["model_quantized.onnx", "onnx/model_quantized.onnx", "model.onnx", "onnx/model.onnx"];
/// Tokens of the longest input where the folder names none, as sentence-transformers has for the MiniLM family.
const USUAL_MAX_TOKENS: usize = 256;
/// Bytes of a text that are read for one token of the longest input. Ordinary text has four or five; the bound only keeps a
/// megabyte of blanks or of one word from being read to the end.
const BYTES_PER_TOKEN: usize = 256;

/// What a model's folder says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// The folder's name.
    pub name: String,
    /// Coordinates of a vector.
    pub dimensions: usize,
    /// Tokens of the longest input, special ones included.
    pub max_tokens: usize,
    pub(super) pooling: Pooling,
    pub(super) graph: PathBuf,
    vocabulary: PathBuf,
}

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Their mean.
    Mean,
    /// The first one, that of `[CLS]`.
    First,
}

#[derive(Deserialize)]
struct Transformer {
    hidden_size: usize,
    max_position_embeddings: Option<usize>,
}

#[derive(Deserialize)]
struct PoolingModes {
    word_embedding_dimension: Option<usize>,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_cls_token: bool,
}

#[derive(Deserialize)]
struct Sentence {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

impl ModelConfig {
    /// Reads the small files of a model's folder and checks that the large ones are there.
    ///
    /// # Errors
    /// [`EmbedError::Unavailable`] naming the file that is missing or says something this build cannot do.
    pub fn read(folder: &Path) -> Result<Self, EmbedError> {
        if !folder.is_dir() {
            return Err(EmbedError::unavailable(format!("there is no model folder `{}`", folder.display()), HELP));
        }
        let transformer: Transformer = required(folder, "config.json")?;
        let modes: PoolingModes = required(folder, "1_Pooling/config.json")?;
        let sentence: Option<Sentence> = optional(folder, "sentence_bert_config.json")?;
        let pooling = match (modes.pooling_mode_mean_tokens, modes.pooling_mode_cls_token) {
            (true, false) => Pooling::Mean,
            (false, true) => Pooling::First,
            _ => return refuse(folder, "1_Pooling/config.json", "asks for a pooling other than mean or cls"),
        };
        if modes.word_embedding_dimension.is_some_and(|d| d != transformer.hidden_size) {
            return refuse(folder, "1_Pooling/config.json", "has another dimension than config.json");
        }
        for module in optional::<Vec<Module>>(folder, "modules.json")?.unwrap_or_default() {
            let kind = module.kind.rsplit('.').next().unwrap_or_default();
            if !["Transformer", "Pooling", "Normalize"].contains(&kind) {
                return refuse(folder, "modules.json", &format!("has a module `{kind}`, which is not supported"));
            }
        }
        let Some(graph) = GRAPHS.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else {
            return refuse(folder, GRAPHS[0], "is missing");
        };
        let vocabulary = folder.join("tokenizer.json");
        if !vocabulary.is_file() {
            return refuse(folder, "tokenizer.json", "is missing");
        }
        let positions = transformer.max_position_embeddings.unwrap_or(usize::MAX);
        let max_tokens = sentence.and_then(|s| s.max_seq_length).unwrap_or(USUAL_MAX_TOKENS).min(positions);
        let name = folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, dimensions: transformer.hidden_size, max_tokens, pooling, graph, vocabulary })
    }

    /// Reads the tokenizer, without the padding and truncation that its file may carry. Takes some 20 ms.
    ///
    /// # Errors
    /// [`EmbedError::Unavailable`] where the file cannot be read.
    pub fn tokenizer(&self) -> Result<Tokenizer, EmbedError> {
        let bad = |error: tokenizers::Error| {
            EmbedError::unavailable(format!("`{}`: {error}", self.vocabulary.display()), HELP)
        };
        let mut tokenizer = Tokenizer::from_file(&self.vocabulary).map_err(bad)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(bad)?;
        Ok(tokenizer)
    }
}

/// A model's folder, opened: all but the graph, which belongs to the runtime.
pub(super) struct ModelFolder {
    pub(super) config: ModelConfig,
    pub(super) tokenizer: Arc<Tokenizer>,
    /// Special tokens around a text.
    special: usize,
}

impl ModelFolder {
    pub(super) fn open(folder: &Path) -> Result<Self, EmbedError> {
        let config = ModelConfig::read(folder)?;
        let tokenizer = Arc::new(config.tokenizer()?);
        Self::new(config, tokenizer)
    }

    pub(super) fn new(config: ModelConfig, tokenizer: Arc<Tokenizer>) -> Result<Self, EmbedError> {
        let special = tokenizer.encode_fast("", true).map_err(|error| EmbedError::Failed(error.to_string()))?.len();
        if config.max_tokens <= special {
            return Err(EmbedError::unavailable(format!("the model `{}` takes no text", config.name), HELP));
        }
        Ok(Self { config, tokenizer, special })
    }

    /// The ids of a text's tokens and their types, special ones included, at most `max_tokens`. A longer text loses its end.
    pub(super) fn encode(&self, text: &str) -> Result<(Vec<i64>, Vec<i64>), EmbedError> {
        let failed = |error: tokenizers::Error| EmbedError::Failed(error.to_string());
        let read = &text[..text.floor_char_boundary(self.config.max_tokens.saturating_mul(BYTES_PER_TOKEN))];
        let mut encoding = self.tokenizer.encode_fast(read, false).map_err(failed)?;
        encoding.truncate(self.config.max_tokens - self.special, 0, TruncationDirection::Right);
        let encoding = self.tokenizer.post_process(encoding, None, true).map_err(failed)?;
        let wide = |ids: &[u32]| ids.iter().map(|&id| i64::from(id)).collect();
        Ok((wide(encoding.get_ids()), wide(encoding.get_type_ids())))
    }
}

fn required<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, EmbedError> {
    match optional(folder, name)? {
        Some(value) => Ok(value),
        None => refuse(folder, name, "is missing"),
    }
}

fn optional<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, EmbedError> {
    let bytes = match std::fs::read(folder.join(name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return refuse(folder, name, &error.to_string()),
    };
    serde_json::from_slice(&bytes).map(Some).or_else(|error| refuse(folder, name, &error.to_string()))
}

fn refuse<T>(folder: &Path, name: &str, why: &str) -> Result<T, EmbedError> {
    Err(EmbedError::unavailable(format!("`{}` {why}", folder.join(name).display()), HELP))
}
