//! Splitting a text into chunks for retrieval.
