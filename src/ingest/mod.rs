//! Documents and batches on their way to a `Change`: reading, chunking, embedding.

pub mod adopt;
pub mod batch;
pub mod chunk;
pub mod compare;
pub mod documents;
pub mod embed;
pub mod import;
pub mod records;
pub mod relay;
pub mod source;
