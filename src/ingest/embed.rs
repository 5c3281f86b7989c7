//! Sentence embeddings with ONNX Runtime.
