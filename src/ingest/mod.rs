//! Documents and batches on their way to a `Change`: reading, chunking, embedding.

pub mod chunk;
pub mod embed;
pub mod records;
pub mod relay;
