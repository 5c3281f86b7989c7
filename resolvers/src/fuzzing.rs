//! A way in for the fuzzers of `fuzz/`, to what the crate has no face for. Nothing else uses it.

use quipu_schema::api::Api;
use quipu_schema::ontology::Ontology;

use crate::document::Documents;
use crate::guard::TenantId;
use crate::ports::Served;
use crate::{Limits, Settings};

/// Takes or refuses documents as the engine does before it plans anything.
pub struct Checker {
    documents: Documents,
    served: Served,
    settings: Settings,
}

impl Checker {
    /// For the API of an ontology, within limits.
    pub fn new(tenant: TenantId, (ontology, api): (Ontology, Api), limits: Limits) -> Self {
        let settings = Settings { limits, introspection: true, cursor_secret: Vec::new() };
        // Too small to keep anything: each document is looked at, and not looked up.
        Self { documents: Documents::new(1, 1), served: Served { tenant, version: 1, ontology, api }, settings }
    }

    /// Looks whether a document fits.
    ///
    /// # Errors
    /// Code and message of each mistake.
    pub fn check(&self, text: &str) -> Result<(), Vec<(String, String)>> {
        self.documents.open(&self.served, &self.settings, text).map(|_| ()).map_err(|refusal| refusal.told())
    }

    /// The API.
    pub fn api(&self) -> &Api {
        &self.served.api
    }
}
