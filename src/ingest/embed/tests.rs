//! Tests with the real library and the shipped model. The library's path comes from `ORT_DYLIB_PATH`, which `make test` sets.

use super::*;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Deserialize)]
struct Reference {
    text: String,
    tokens: usize,
    vector: Vec<f32>,
}

fn references() -> Vec<Reference> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embeddings.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2")
}

#[expect(clippy::disallowed_methods, reason = "tests may ask where the library is")]
fn dylib() -> PathBuf {
    let path = std::env::var_os("ORT_DYLIB_PATH");
    path.map(PathBuf::from).filter(|path| path.is_file()).expect(
        "this test needs the ONNX Runtime library: run `make setup`, then set ORT_DYLIB_PATH to the file it prints (`make test` does both)",
    )
}

fn open(threads: usize) -> OnnxEmbedder {
    OnnxEmbedder::open(&model_dir(), Some(&dylib()), threads).unwrap()
}

/// The largest difference in a coordinate.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unavailable(error: &EmbedError) -> &str {
    match error {
        EmbedError::Unavailable { reason, help } => {
            assert!(!help.is_empty());
            reason
        }
        EmbedError::Failed(reason) => panic!("failed rather than unavailable: {reason}"),
    }
}

/// Activations are rounded to 8 bits, and where another CPU's arithmetic differs in the last bit, a rounding may fall the other way and
/// carry on through the layers: up to 0.012 was measured on long texts between two ways of fusing the graph. The references are
/// from a CPU with AVX-512 VNNI; elsewhere only a cosine that no mistake in tokens, pooling or scaling reaches is asked for.
fn agrees(got: &[f32], want: &[f32]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512vnni") {
        return apart(got, want) <= 1e-3;
    }
    cosine(got, want) >= 0.99
}

#[tokio::test]
async fn vectors_agree_with_the_references() {
    let embedder = open(2);
    assert_eq!((embedder.name(), embedder.dimensions()), ("all-MiniLM-L6-v2", 384));
    let references = references();
    let texts: Vec<String> = references.iter().map(|reference| reference.text.clone()).collect();
    let together = embedder.embed(texts.clone()).await.unwrap();
    for (reference, vector) in references.iter().zip(&together) {
        let (text, length) = (&reference.text, cosine(vector, vector).sqrt());
        assert_eq!(embedder.folder.encode(text).unwrap().0.len(), reference.tokens, "{text:?}");
        assert!((length - 1.0).abs() < 1e-5, "length {length} of {text:?}");
        assert!(agrees(vector, &reference.vector), "{text:?} is off by {}", apart(vector, &reference.vector));
    }
    for (text, vector) in texts.into_iter().zip(&together) {
        let alone = embedder.embed(vec![text.clone()]).await.unwrap();
        assert!(apart(&alone[0], vector) <= 1e-6, "alone or among others, a text has one vector: {text:?}");
    }
}

#[tokio::test]
async fn nearness_is_nearness_of_meaning() {
    let texts = ["The cat sits outside", "A feline rests in the yard", "The new movie is awesome"].map(str::to_owned);
    let vectors = open(1).embed(texts.to_vec()).await.unwrap();
    let (near, far) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
    assert!((near - 0.51).abs() < 0.02 && (far + 0.03).abs() < 0.02, "{near} and {far}");
}

#[tokio::test]
async fn huge_and_empty_texts_are_embedded() {
    let embedder = open(1);
    let started = Instant::now();
    let huge =
        ["cold chain ".repeat(200_000), " ".repeat(3_000_000), "x".repeat(3_000_000), "\u{1F9CA}".repeat(500_000)];
    let vectors = embedder.embed(huge.into()).await.unwrap();
    assert!(vectors.iter().all(|vector| vector.len() == 384 && vector.iter().all(|x| x.is_finite())));
    let short = embedder.embed(vec!["cold chain ".repeat(200), String::new(), " ".to_owned()]).await.unwrap();
    assert!(apart(&vectors[0], &short[0]) <= 1e-6, "what comes after the longest input makes no difference");
    assert!(apart(&short[1], &short[2]) <= 1e-6);
    assert_eq!(embedder.embed(Vec::new()).await.unwrap(), Vec::<Vec<f32>>::new());
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_short_call_waits_for_no_long_one_and_cancelled_ones_for_nobody() {
    let embedder = Arc::new(open(1));
    let passage = references().pop().unwrap().text;
    let long = |texts: usize| {
        let (embedder, passage) = (embedder.clone(), passage.clone());
        tokio::spawn(async move { embedder.embed(vec![passage; texts]).await })
    };
    let calls: Vec<_> = (0..20).map(|_| long(10_000)).collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for call in &calls[1..] {
        call.abort();
    }
    let query = || embedder.embed(vec!["which doors are open".to_owned()]);
    let short = tokio::time::timeout(Duration::from_secs(60), query()).await;
    assert_eq!(short.expect("one text of the long call at most comes first").unwrap().len(), 1);
    assert!(!calls[0].is_finished());
    calls[0].abort();
    for call in calls {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    let after = tokio::time::timeout(Duration::from_secs(60), query()).await;
    assert_eq!(after.expect("nothing is left of the cancelled calls").unwrap().len(), 1);
}

#[tokio::test]
async fn closing_ends_what_waits() {
    let embedder = open(2);
    let queue = embedder.queue.clone();
    let (reply, answer) = oneshot::channel();
    queue.push(vec!["a text".to_owned(); 1_000], reply);
    let started = Instant::now();
    drop(embedder);
    assert!(started.elapsed() < Duration::from_secs(20), "the threads end after their text: {:?}", started.elapsed());
    assert!(answer.await.is_err(), "the answer is given up");
    assert_eq!(queue.threads_left(), 0);
}

#[tokio::test]
async fn a_missing_or_wrong_library_is_unavailable_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = vec![folder.path().join("libmissing.so"), folder.path().to_owned()];
    let whole = std::fs::read(dylib()).unwrap();
    let torn = [0, 60, 100, whole.len() / 3, whole.len() * 9 / 10].map(|length| &whole[..length]);
    for (n, content) in torn.into_iter().chain([b"this is no library".as_slice()]).enumerate() {
        wrong.push(folder.path().join(format!("libwrong{n}.so")));
        std::fs::write(&wrong[n + 2], content).unwrap();
    }
    // A sound library, but another one.
    wrong.extend(
        ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"]
            .map(PathBuf::from)
            .into_iter()
            .filter(|p| p.is_file()),
    );
    for path in &wrong {
        let started = Instant::now();
        let error = OnnxEmbedder::open(&model_dir(), Some(path), 1).unwrap_err();
        let reason = unavailable(&error);
        assert!(reason.contains(path.file_name().unwrap().to_str().unwrap()), "{reason} names {}", path.display());
        assert!(started.elapsed() < Duration::from_secs(30), "{:?} for {}", started.elapsed(), path.display());
    }
    // None of that spoils the runtime for the right one.
    assert_eq!(open(1).embed(vec!["still works".to_owned()]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_model_folder_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let says = |expected: &str| {
        let error = OnnxEmbedder::open(folder.path(), Some(&dylib()), 1).unwrap_err();
        let reason = unavailable(&error);
        assert!(reason.contains(expected), "{reason} should say {expected}");
    };
    says("config.json` is missing");
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    for name in ["config.json", "1_Pooling/config.json"] {
        std::fs::copy(model_dir().join(name), folder.path().join(name)).unwrap();
    }
    says("model_quantized.onnx` is missing");
    std::fs::write(folder.path().join("model.onnx"), "this is no graph").unwrap();
    says("tokenizer.json` is missing");
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    says("tokenizer.json`: ");
    std::fs::copy(model_dir().join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    says("model.onnx`: ");
    std::fs::write(folder.path().join("1_Pooling/config.json"), r#"{"pooling_mode_max_tokens": true}"#).unwrap();
    says("pooling other than mean or cls");
    std::fs::write(folder.path().join("config.json"), r#"{"hidden_size": "many"}"#).unwrap();
    says("config.json` invalid type");
}

#[tokio::test]
async fn lazily_it_is_loaded_by_the_first_text() {
    let lazy = LazyEmbedder::new(model_dir(), Some(dylib()), 1);
    assert_eq!(lazy.config().unwrap().dimensions, 384);
    assert_eq!(lazy.glance().await, EmbedderStatus::NotLoaded);
    assert_eq!(lazy.status().await, EmbedderStatus::NotLoaded);
    let texts = || vec!["first".to_owned()];
    let calls = [lazy.embed(texts()), lazy.embed(texts()), lazy.embed(texts())];
    let vectors = futures_util::future::join_all(calls).await;
    assert!(vectors.iter().all(|v| v == &vectors[0] && v.is_ok()));
    assert_eq!(lazy.status().await, EmbedderStatus::Ready);
    assert_eq!(lazy.glance().await, EmbedderStatus::Ready);
}

/// A file that is no library: whoever loads it finds out, and whoever glances does not.
#[tokio::test]
async fn a_glance_loads_nothing_and_tells_of_what_was_tried() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    let missing = LazyEmbedder::new(model_dir(), Some(library.clone()), 1);
    let EmbedderStatus::Unavailable(reason) = missing.glance().await else { panic!("there is no library") };
    assert!(reason.contains("libonnxruntime.so"), "{reason}");
    std::fs::write(&library, "no library").unwrap();
    assert_eq!(missing.glance().await, EmbedderStatus::NotLoaded, "a glance is not remembered");
    assert!(missing.embed(vec!["x".to_owned()]).await.is_err());
    assert!(matches!(missing.glance().await, EmbedderStatus::Unavailable(_)));
    let without = LazyEmbedder::new(folder.path(), Some(library), 1);
    assert!(matches!(without.glance().await, EmbedderStatus::Unavailable(_)), "no model");
}

#[tokio::test]
async fn a_refusal_is_remembered_and_then_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    let lazy = LazyEmbedder::retrying(model_dir(), Some(library.clone()), 1, Duration::from_secs(5));
    let EmbedderStatus::Unavailable(reason) = lazy.status().await else { panic!("there is no library") };
    assert!(reason.contains("libonnxruntime.so"), "{reason}");
    std::os::unix::fs::symlink(dylib(), &library).unwrap();
    assert!(lazy.embed(vec!["x".to_owned()]).await.is_err(), "the refusal is still believed");
    assert!(lazy.tokenizer().await.is_ok(), "chunking needs no library");
    let started = Instant::now();
    while lazy.status().await != EmbedderStatus::NotLoaded {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", lazy.status().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(lazy.embed(vec!["x".to_owned()]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn clients_learn_no_paths() {
    use quipu_resolvers::fault::{Code, Fault};
    use quipu_resolvers::ports::Embedder;
    let lazy = LazyEmbedder::new("/nowhere/secret-model", None, 1);
    assert_eq!(Embedder::dimensions(&lazy), 0);
    let fault = Embedder::embed(&lazy, vec!["x".to_owned()]).await.unwrap_err();
    assert_eq!(fault.code(), Code::EmbeddingUnavailable);
    let Fault::Client(client) = fault else { panic!("{fault}") };
    assert!(!client.message.contains("secret") && !client.message.contains('/'), "{}", client.message);
}
