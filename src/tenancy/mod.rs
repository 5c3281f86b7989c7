//! The life of tenants, for whoever runs the gateway: they are listed, suspended and let be served again, get ontologies and earlier ones back,
//! are exported, and deleted. Nothing here prints or knows HTTP; the command line and the admin API call it, and say who did what.

mod delete;
mod export;
mod ontologies;
mod standing;

pub use delete::{Deletion, Leftover, Proof, delete};
pub use export::{Export, Exported, Portion};
pub use ontologies::{Published, Publisher, Unpublished, history, misfits, text};
pub use standing::{LONGEST_REASON, Standing, list, resume, show, suspend};
