//! The contract of the stores: one suite that runs against every adapter of the ports.
//!
//! A mix of stores is added by one line of `contract_suite!`. Two tenants hold records of the same ids with different contents, and
//! what reads anything reads as both.

use std::any::Any;
use std::sync::Arc;

use quipu_resolvers::ports::{Graph, Metadata};

mod embedded;
mod fixture;
mod reads;

/// A mix of stores under test, empty.
pub struct Stores {
    pub graph: Arc<dyn Graph>,
    pub metadata: Arc<dyn Metadata>,
    /// What has to live as long as the stores, like a directory.
    pub kept: Box<dyn Any + Send + Sync>,
}

/// Runs every case of the contract against the stores that a function opens.
macro_rules! contract_suite {
    ($name:ident, $open:path) => {
        mod $name {
            contract_suite!(@cases $open,
                reads: nested_three_levels,
            );
        }
    };
    (@cases $open:path, $($module:ident: $($case:ident),+ $(,)?);+ $(;)?) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                $crate::contract::$module::$case($open().await).await;
            })+
        })+
    };
}

contract_suite!(on_embedded, crate::contract::embedded::open);
