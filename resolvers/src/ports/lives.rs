//! Tenants as a metadata store knows them: what is published for each, and whether it is served, suspended or deleted.

use crate::guard::TenantId;

/// A tenant as a metadata store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantState {
    /// The tenant.
    pub tenant: TenantId,
    /// Version of what is published; 0 when nothing ever was. Of a tenant that is gone, the last one that there was: versions go on when the
    /// name is used anew, so that nothing that is kept of the first can be taken for the second.
    pub version: u64,
    /// How often the documents that are published for it were changed.
    pub documents: u64,
    /// The last position of its log; 0 when it is empty.
    pub head: u64,
    /// How it is.
    pub life: Life,
    /// What it may use, where that was set for it alone while the gateway runs: JSON that the gateway reads.
    pub plan: Option<String>,
}

/// How a tenant is. Instants are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It is served.
    Active,
    /// Nobody is let in; its stores stay in step.
    Suspended {
        /// Since when.
        since: String,
        /// Why, for whoever runs the gateway.
        reason: Option<String>,
    },
    /// It is being deleted. Nothing is written for it any more.
    Leaving {
        /// Since when.
        since: String,
    },
    /// It was deleted. The name may be used anew.
    Gone {
        /// When.
        since: String,
    },
}

impl Life {
    /// Whether anything of it may be served or followed: it is active or suspended.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::Active | Self::Suspended { .. })
    }

    /// Whether nobody is let in though it is there.
    pub fn is_suspended(&self) -> bool {
        matches!(self, Self::Suspended { .. })
    }
}

/// A version of an ontology that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OntologyVersion {
    /// Its number.
    pub version: u64,
    /// When it was published, RFC 3339 in UTC; unknown where an earlier release published it.
    pub at: Option<String>,
    /// Bytes of its text.
    pub bytes: u64,
}

/// Things of one kind that a store has of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What they are, in the plural, like `nodes`.
    pub kind: &'static str,
    /// How many there are.
    pub count: u64,
}

/// What becomes of a graph that others write as well when its tenant is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SharedGraph {
    /// Nobody has said; nothing is removed.
    #[default]
    Unsaid,
    /// Its nodes stay. What the gateway noted beside them goes.
    Kept,
    /// Everything in the database goes.
    Removed,
}
