//! The query engine: plans, guards, batches and answers; reaches the world only through its ports.
