//! Non-interference: what a caller may not see makes no difference to what they are told.
//!
//! A round draws rules, the records of two tenants under the same ids, a caller in each, and what they ask. `model.rs` works out, record by
//! record and without any code of the guard, what each caller may see, and three tenants are served:
//!
//! - one with everything, under the rules;
//! - one from which all that is hidden was taken away, single values among it, under the same ontology without rules. Every answer has to be the
//!   same as in the first, down to the values in cursors, but for the errors that say that a value is hidden. Only a refusal (`FORBIDDEN`, `UNAUTHENTICATED`) stands for itself, where a rule asks for it;
//! - one with other values in the fields that the caller may not read, under the rules. Every answer has to be the same, refusals among
//!   them.
//!
//! In the end an update and a deletion are run in the first two: the answers are the same, and hidden records are as they were.
//!
//! Not asked, because it cannot be or need not be so: how well a word fits (`legs { score }`; how rare it is among all records of a tenant
//! weighs in it, hidden ones too, so texts all have as many words and a search has one), ids and unique values that a new record cannot have
//! because a hidden one has them, and lists that are cut while `validate` refuses what stands before the cut.

use std::cell::{Cell, RefCell};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::world::World;
use crate::contract;

mod condition;
mod model;
mod question;
mod records;
mod round;
mod rules;
mod skeleton;

/// Questions of an ordinary run; `QUIPU_TEST_CASES` asks for another number, and `QUIPU_TEST_SEED` for others.
const CASES: usize = 2_000;

/// Questions on servers, where a round takes longer.
const CASES_ON_SERVERS: usize = 160;

/// Rounds that share the stores.
const SHARED: usize = 40;

/// How long a failure is made smaller, in steps and milliseconds.
const SHRINKING: (u32, u32) = (400, 120_000);

fn given(variable: &str, otherwise: usize) -> usize {
    match std::env::var(variable) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{variable} is {number}, and must be a number")),
        Err(_) => otherwise,
    }
}

fn runner(cases: usize, seed: usize) -> TestRunner {
    let (max_shrink_iters, max_shrink_time) = SHRINKING;
    let rounds = u32::try_from(cases.div_ceil(round::QUESTIONS)).unwrap();
    let config =
        Config { cases: rounds, max_shrink_iters, max_shrink_time, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(seed as u64).to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[test]
fn what_is_hidden_makes_no_difference() {
    let cases = given("QUIPU_TEST_CASES", if contract::on_servers() { CASES_ON_SERVERS } else { CASES });
    let seed = given("QUIPU_TEST_SEED", 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = RefCell::new(None);
    let (runs, asked, failed_after) = (Cell::new(0), Cell::new(0), Cell::new(None));
    let found = runner(cases, seed).run(&round::round(), |round| {
        let mut world = world.borrow_mut();
        if runs.get() % SHARED == 0 {
            *world = Some(runtime.block_on(World::of("type Nothing @node { id: ID! }")));
        }
        runs.set(runs.get() + 1);
        asked.set(asked.get() + round.questions());
        let world = world.as_mut().expect("the first run makes one");
        let outcome = runtime.block_on(round.run(world, runs.get()));
        if outcome.is_err() && failed_after.get().is_none() {
            failed_after.set(Some(asked.get()));
        }
        outcome.map_err(TestCaseError::fail)
    });
    match found {
        Ok(()) => {}
        Err(TestError::Fail(reason, round)) => {
            let after = failed_after.get().unwrap_or_default();
            panic!("with QUIPU_TEST_SEED={seed}, within {after} questions, {reason}\nunder\n{round:?}")
        }
        Err(aborted) => panic!("{aborted}"),
    }
}
