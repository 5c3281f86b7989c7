//! What metadata stores share of the life of tenants: how it is kept, and which turns it may take. Pure.

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Life, OntologyVersion, TenantState};

use super::logged::number;

/// A tenant as it is stored: name, version, changes of documents, head, its [`Marks`], and its plan.
pub(super) type StoredTenant =
    (String, i64, i64, i64, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

/// When it was suspended and why, since when it is leaving, and when it went.
pub(super) type Marks = (Option<String>, Option<String>, Option<String>, Option<String>);

/// The stored form of a life.
pub(super) fn marks(life: &Life) -> Marks {
    match life.clone() {
        Life::Active => (None, None, None, None),
        Life::Suspended { since, reason } => (Some(since), reason, None, None),
        Life::Leaving { since } => (None, None, Some(since), None),
        Life::Gone { since } => (None, None, None, Some(since)),
    }
}

/// The life that is stored.
pub(super) fn life(marks: Marks) -> Life {
    match marks {
        (_, _, _, Some(since)) => Life::Gone { since },
        (_, _, Some(since), None) => Life::Leaving { since },
        (Some(since), reason, None, None) => Life::Suspended { since, reason },
        (None, _, None, None) => Life::Active,
    }
}

/// Tenants out of what is stored.
pub(super) fn tenants(stored: Vec<StoredTenant>) -> Vec<TenantState> {
    let state = |(name, version, documents, head, suspended, reason, leaving, gone, plan): StoredTenant| {
        Some(TenantState {
            tenant: TenantId::parse(&name)?,
            version: number(version),
            documents: number(documents),
            head: number(head),
            life: life((suspended, reason, leaving, gone)),
            plan,
        })
    };
    stored.into_iter().filter_map(state).collect()
}

/// Whether a tenant may turn from one life to another.
///
/// # Errors
/// `CONFLICT` when it is being deleted, and `NOT_FOUND` when it is gone: nothing but the deletion itself goes on then.
pub(super) fn may_turn(tenant: &TenantId, from: &Life, to: &Life) -> Result<(), Fault> {
    match (from, to) {
        (Life::Active | Life::Suspended { .. }, _)
        | (Life::Leaving { .. }, Life::Leaving { .. } | Life::Gone { .. })
        | (Life::Gone { .. }, Life::Gone { .. }) => Ok(()),
        (Life::Leaving { .. }, _) => Err(leaving(tenant)),
        (Life::Gone { .. }, _) => Err(unknown(tenant)),
    }
}

/// What is said where something is wanted of a tenant that is being deleted.
pub(super) fn leaving(tenant: &TenantId) -> Fault {
    let message = format!("{tenant} is being deleted; `quipu tenant delete {tenant}` brings that to its end");
    Fault::client(Code::Conflict, message)
}

/// What is said to whoever writes while the tenant is being deleted, or after that.
pub(super) fn deleted() -> Fault {
    Fault::client(Code::NotFound, "the tenant is being deleted, or was")
}

/// What is said where there is no such tenant.
pub(super) fn unknown(tenant: &TenantId) -> Fault {
    Fault::client(Code::NotFound, format!("there is no tenant {tenant}; publish an ontology for it first"))
}

/// Versions out of numbers, instants and lengths.
pub(super) fn versions(stored: Vec<(i64, Option<String>, i64)>) -> Vec<OntologyVersion> {
    let version = |(version, at, bytes)| OntologyVersion { version: number(version), at, bytes: number(bytes) };
    stored.into_iter().map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_life_is_stored_and_found_again() {
        let since = || "2026-12-01T00:00:00.000Z".to_owned();
        for one in [
            Life::Active,
            Life::Suspended { since: since(), reason: None },
            Life::Suspended { since: since(), reason: Some("unpaid".to_owned()) },
            Life::Leaving { since: since() },
            Life::Gone { since: since() },
        ] {
            assert_eq!(life(marks(&one)), one);
        }
    }

    #[test]
    fn whoever_leaves_does_not_come_back() {
        let tenant = TenantId::parse("a").expect("a name");
        let at = || "x".to_owned();
        let (leaving, gone) = (Life::Leaving { since: at() }, Life::Gone { since: at() });
        for to in [Life::Active, Life::Suspended { since: at(), reason: None }] {
            assert_eq!(may_turn(&tenant, &leaving, &to).expect_err("it leaves").code(), Code::Conflict);
            assert_eq!(may_turn(&tenant, &gone, &to).expect_err("it is gone").code(), Code::NotFound);
            assert!(may_turn(&tenant, &to, &leaving).is_ok());
        }
        assert!(may_turn(&tenant, &leaving, &leaving).is_ok() && may_turn(&tenant, &leaving, &gone).is_ok());
        assert!(may_turn(&tenant, &gone, &gone).is_ok() && may_turn(&tenant, &gone, &leaving).is_err());
    }
}
