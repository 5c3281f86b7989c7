//! The contract of the stores: one suite that runs against every adapter of the ports.
//!
//! A mix of stores is added by one line of `contract_suite!`. Two tenants hold records of the same ids with different contents, and
//! what reads anything reads as both.

use std::any::Any;
use std::sync::Arc;

use quipu_resolvers::ports::{Graph, Metadata, Vectors};

mod apart;
mod bad_days;
mod bolt;
mod cache;
mod changes;
mod conditions;
mod credentials;
mod cypher_plans;
mod documents;
pub mod embedded;
mod fixture;
mod gathered;
mod keeping;
mod lives;
pub mod neo4j;
mod outcomes;
pub mod own;
mod plans;
pub mod postgres;
pub mod qdrant;
mod reads;
mod searches;
pub mod servers;
mod trail;
mod visibility;
mod whereabouts;
mod windows;

pub use whereabouts::Whereabouts;

/// A mix of stores under test, empty.
pub struct Stores {
    /// Nodes, relationships, full text.
    pub graph: Arc<dyn Graph>,
    /// Rows, registry, log.
    pub metadata: Arc<dyn Metadata>,
    /// Vectors.
    pub vectors: Arc<dyn Vectors>,
    /// What has to live as long as the stores, like a directory.
    pub _kept: Box<dyn Any + Send + Sync>,
}

/// Runs every case of the contract against the stores that a function opens.
macro_rules! contract_suite {
    ($name:ident, $open:path) => {
        mod $name {
            contract_suite!(@cases $open,
                changes:
                    accepted_and_applied,
                    applied_twice_is_once,
                    cleared_and_applied_anew,
                    a_gap_is_refused,
                    refusals_name_what_they_refuse,
                    a_refused_change_leaves_nothing,
                    judged_in_order,
                    unique_values,
                    unique_values_move,
                    idempotency_keys,
                    the_same_again_changes_nothing,
                    only_differences_are_logged,
                    only_what_is_new,
                    properties_merge_and_vanish,
                    relationships_merge_and_vanish,
                    a_node_takes_its_relationships,
                    removed_and_made_again,
                    rows_are_there_at_once;
                keeping:
                    the_log_is_per_tenant,
                    publishing,
                    publishing_over_data,
                    publishing_over_a_long_log,
                    publishing_refuses_what_does_not_fit,
                    publishing_fills_in_defaults,
                    many_at_once;
                documents:
                    documents_are_published_per_tenant,
                    documents_are_published_all_or_none;
                lives:
                    tenants_are_suspended_and_served_again,
                    nothing_is_written_for_a_tenant_that_is_leaving,
                    plans_are_set_for_one_tenant,
                    versions_of_ontologies_are_kept,
                    a_deleted_tenant_leaves_nothing_and_others_alone,
                    a_name_is_used_anew_after_its_tenant_went;
                conditions:
                    comparisons,
                    texts_are_literal,
                    lists_and_json,
                    unknown_is_neither,
                    quantifiers,
                    conditions_on_relationships,
                    conditions_along_joins,
                    long_alternatives,
                    type_names;
                outcomes:
                    values_come_out_typed,
                    odd_texts_survive,
                    totals_and_figures,
                    totals_without_rows,
                    figures_per_parent,
                    predicates_as_values,
                    several_types,
                    unknown_types_are_empty;
                reads:
                    nested_three_levels,
                    several_levels_of_parents,
                    rows_join_rows,
                    by_keys,
                    by_keys_with_limits,
                    relationships_as_records,
                    relationships_by_id,
                    parallel_relationships,
                    tenants_do_not_mix,
                    late_is_a_fault;
                searches:
                    words,
                    words_have_no_syntax,
                    words_follow_changes,
                    words_of_rows,
                    nearest_with_filter,
                    few_among_many,
                    several_at_once,
                    vectors_come_and_go,
                    coverage_of_properties,
                    vectors_keep_their_position;
                visibility:
                    hidden_records_are_nowhere,
                    hidden_in_conditions,
                    hidden_in_searches,
                    relationships_of_hidden_nodes;
                windows:
                    limits_and_offsets,
                    absent_values_have_a_place,
                    every_page_forwards,
                    every_page_backwards,
                    between_two_positions,
                    pages_while_data_changes,
                    pages_by_relationship_property,
                    pages_by_exact_doubles,
                    pages_over_several_types
            );
        }
    };
    (@cases $open:path, $($module:ident: $($case:ident),+);+) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                // A mix that cannot be had says so by itself.
                if let Some(stores) = $open(concat!(module_path!(), "::", stringify!($case))).await {
                    $crate::contract::$module::$case(stores).await;
                }
            })+
        })+
    };
}

/// Says that a test did not run. What is printed by the usual macros is shown of failed tests only.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    // In one piece and on a line of its own, whatever other tests print meanwhile.
    let _ = std::io::stderr().write_all(format!("\nskipped, {test}: {why}\n").as_bytes());
}

/// Whether the suites that run on one set of stores at a time run on servers: `QUIPU_TEST_STORES` says so.
pub fn on_servers() -> bool {
    match std::env::var("QUIPU_TEST_STORES").as_deref() {
        Err(_) | Ok("" | "embedded") => false,
        Ok("servers") => true,
        Ok(other) => panic!("QUIPU_TEST_STORES is {other}, and must be `embedded` or `servers`"),
    }
}

/// The stores that those suites run on, for vectors of some length.
pub async fn chosen(dimension: usize) -> Stores {
    let stores = if on_servers() { servers::of_dimension("", dimension).await } else { embedded::opened("").await };
    stores.expect("the servers are there")
}

contract_suite!(on_embedded, crate::contract::embedded::opened);
contract_suite!(on_vectors_apart, crate::contract::apart::opened);
contract_suite!(on_neo4j, crate::contract::neo4j::opened);
contract_suite!(on_postgres, crate::contract::postgres::opened);
contract_suite!(on_qdrant, crate::contract::qdrant::opened);
contract_suite!(on_servers, crate::contract::servers::opened);

// What is asked together is written in another way than what is asked alone.
mod on_neo4j_together {
    contract_suite!(@cases crate::contract::neo4j::together,
        conditions:
            comparisons, texts_are_literal, lists_and_json, unknown_is_neither, quantifiers, conditions_on_relationships, long_alternatives,
            type_names;
        outcomes: values_come_out_typed, totals_and_figures, figures_per_parent, predicates_as_values, several_types, unknown_types_are_empty;
        reads: nested_three_levels, relationships_as_records, relationships_by_id, parallel_relationships, tenants_do_not_mix, late_is_a_fault;
        visibility: hidden_records_are_nowhere, hidden_in_conditions, relationships_of_hidden_nodes;
        windows:
            limits_and_offsets, absent_values_have_a_place, every_page_forwards, every_page_backwards, between_two_positions,
            pages_by_relationship_property, pages_over_several_types
    );
}

// Of a database that others write as well, what is asked and written in another way than where tenants share one.
mod on_a_database_of_its_own {
    contract_suite!(@cases crate::contract::own::opened,
        changes: accepted_and_applied, relationships_merge_and_vanish, a_node_takes_its_relationships;
        lives: a_deleted_tenant_leaves_nothing_and_others_alone, a_name_is_used_anew_after_its_tenant_went;
        conditions: comparisons, lists_and_json, conditions_along_joins;
        outcomes: values_come_out_typed, odd_texts_survive;
        reads: by_keys, relationships_by_id, parallel_relationships, tenants_do_not_mix;
        searches: words_follow_changes;
        visibility: hidden_in_searches;
        windows: every_page_forwards, pages_by_relationship_property
    );
}
