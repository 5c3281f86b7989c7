//! One session of the model: a text in, a vector out.

use super::EmbedError;
use super::model::{ModelFolder, Pooling};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;
use std::borrow::Cow;
use std::sync::Arc;

/// A session and the folder it was made from. Belongs to one thread.
pub(super) struct TextSession {
    folder: Arc<ModelFolder>,
    session: Session,
    inputs: Vec<Input>,
    output: String,
}

/// What the graph may ask for.
#[derive(Clone, Copy)]
enum Input {
    Ids,
    Mask,
    Types,
}

impl Input {
    const ALL: [Self; 3] = [Self::Ids, Self::Mask, Self::Types];

    fn name(self) -> &'static str {
        match self {
            Self::Ids => "input_ids",
            Self::Mask => "attention_mask",
            Self::Types => "token_type_ids",
        }
    }
}

impl TextSession {
    /// Loads the graph: some 70 ms and 40 MB for the shipped model.
    pub(super) fn open(folder: &Arc<ModelFolder>, environment: &Environment) -> Result<Self, EmbedError> {
        let graph = &folder.config.graph;
        let bad = |reason: String| {
            EmbedError::unavailable(
                format!("`{}`: {reason}", graph.display()),
                "replace the file by a sound export of the model",
            )
        };
        let session = load(folder, environment).map_err(|error| bad(error.to_string()))?;
        let mut inputs = Vec::new();
        for wanted in session.inputs() {
            match Input::ALL.into_iter().find(|input| input.name() == wanted.name()) {
                Some(input) => inputs.push(input),
                None => return Err(bad(format!("the graph asks for an unknown input `{}`", wanted.name()))),
            }
        }
        let outputs = session.outputs();
        let hidden = outputs.iter().find(|output| output.name() == "last_hidden_state").or(outputs.first());
        let output = hidden.ok_or_else(|| bad("the graph has no output".to_owned()))?.name().to_owned();
        Ok(Self { folder: folder.clone(), session, inputs, output })
    }

    /// The vector of a text, of length 1.
    pub(super) fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let (ids, types) = self.folder.encode(text)?;
        let hidden = self.run(&ids, &types).map_err(|error| EmbedError::Failed(error.to_string()))?;
        let dimensions = self.folder.config.dimensions;
        if hidden.len() != ids.len() * dimensions {
            let got = hidden.len();
            return Err(EmbedError::Failed(format!(
                "the model gave {got} numbers for {} tokens of {dimensions}",
                ids.len()
            )));
        }
        let vector = normalised(match self.folder.config.pooling {
            Pooling::Mean => mean(&hidden, dimensions),
            Pooling::First => hidden[..dimensions].to_vec(),
        });
        vector.ok_or_else(|| EmbedError::Failed("the model gave a vector without a direction".to_owned()))
    }

    /// The hidden states of all tokens, one after the other.
    fn run(&mut self, ids: &[i64], types: &[i64]) -> ort::Result<Vec<f32>> {
        let mask = vec![1_i64; ids.len()];
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let data = match input {
                Input::Ids => ids,
                Input::Mask => &mask,
                Input::Types => types,
            };
            values.push((input.name().into(), TensorRef::from_array_view(([1, data.len()], data))?.into()));
        }
        let outputs = self.session.run(values)?;
        let hidden = outputs.get(self.output.as_str()).ok_or_else(|| ort::Error::new("the output is missing"))?;
        Ok(hidden.try_extract_tensor::<f32>()?.1.to_vec())
    }
}

fn load(folder: &ModelFolder, environment: &Environment) -> ort::Result<Session> {
    Session::builder(environment)?
        // The calling thread does all the work: several sessions beat one with a pool of threads, and nothing spins when idle.
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        // A plan of memory for every length of text met would cost 20 MB and gain nothing measurable.
        .with_memory_pattern(false)?
        .with_config_entry("session.x64quantprecision", if products_saturate() { "1" } else { "0" })?
        .with_log_level(LogLevel::Warning)?
        .commit_from_file(&folder.config.graph)
}

/// Whether this CPU's 8-bit products may overflow: x86 before the VNNI instructions. The runtime then has an exact way, which costs
/// 40 % of the speed where it is not needed.
fn products_saturate() -> bool {
    #[cfg(target_arch = "x86_64")]
    return !(std::is_x86_feature_detected!("avx512vnni") || std::is_x86_feature_detected!("avxvnni"));
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The mean over tokens of `[tokens, dimensions]` numbers.
fn mean(hidden: &[f32], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dimensions];
    for token in hidden.chunks_exact(dimensions) {
        for (sum, x) in sum.iter_mut().zip(token) {
            *sum += x;
        }
    }
    let tokens = (hidden.len() / dimensions) as f32;
    sum.iter().map(|x| x / tokens).collect()
}

/// The vector scaled to length 1, or nothing where it has no direction: zero, infinite or not a number.
fn normalised(vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    (length.is_normal()).then(|| vector.iter().map(|x| (f64::from(*x) / length) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_by_mean_and_scales_to_length_one() {
        assert_eq!(mean(&[1.0, 2.0, 5.0, 6.0], 2), [3.0, 4.0]);
        assert_eq!(normalised(vec![3.0, 4.0]), Some(vec![0.6, 0.8]));
        assert_eq!(normalised(vec![0.0, 0.0]), None);
        assert_eq!(normalised(vec![f32::NAN, 1.0]), None);
        assert_eq!(normalised(vec![f32::INFINITY, 1.0]), None);
    }
}
