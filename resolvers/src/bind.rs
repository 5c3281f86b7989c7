//! What is served.

use std::sync::Arc;

use crate::ports::Served;

/// A tenant's published ontology, ready for requests.
pub struct Bound {
    pub(crate) served: Arc<Served>,
}

impl Bound {
    pub(crate) fn new(served: Served) -> Self {
        Self { served: Arc::new(served) }
    }

    /// What is served.
    pub fn served(&self) -> &Served {
        &self.served
    }
}
