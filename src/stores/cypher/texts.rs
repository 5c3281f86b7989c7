//! Texts of nodes in a database that is served as others wrote it: nodes of the label `_QuipuText` stand for theirs, and have the texts that are
//! searched. Nothing is on the nodes themselves.

use super::apply::{listed, of_tenant};
use super::search::{folded, marks, scope_of};
use super::{Parameter, Scope, Statement};

/// The label.
pub const LABEL: &str = "_QuipuText";

/// Indexes the texts of nodes again: all the texts of a node's properties `names` together.
pub fn index(tenant: &str, of: &str, ids: &[&str], names: &[String], scope: Scope<'_>) -> Statement {
    let labels = scope.labels.expression(of);
    let text = format!(
        "UNWIND $ids AS id MATCH (n:{labels}) WHERE n.id IN [id, toIntegerOrNull(id)] AND toString(n.id) = id {}",
        indexed()
    );
    let mut named = parameters(tenant, of, names);
    named.push(("ids", listed(ids)));
    of_tenant(text, named, scope)
}

/// Indexes the texts of a portion of a type's nodes, in the order of their ids: one row of `id`, the last one, or null after the end.
pub fn index_after(tenant: &str, of: &str, after: &str, limit: u32, names: &[String], scope: Scope<'_>) -> Statement {
    let labels = scope.labels.expression(of);
    let text = format!(
        "MATCH (n:{labels}) WITH n, toString(n.id) AS id WHERE id > $after WITH n, id ORDER BY id LIMIT $limit {} RETURN max(id) AS id",
        indexed()
    );
    let mut named = parameters(tenant, of, names);
    named.extend([("after", after.into()), ("limit", Parameter::Int(i64::from(limit)))]);
    of_tenant(text, named, scope)
}

/// Removes the texts of nodes.
pub fn forget(tenant: &str, of: &str, ids: &[&str], scope: Scope<'_>) -> Statement {
    let text = format!("UNWIND $ids AS id MATCH (t:{LABEL} {{_tenant: $tenant, _of: $of, id: id}}) DELETE t");
    of_tenant(text, vec![("tenant", tenant.into()), ("of", of.into()), ("ids", listed(ids))], scope)
}

/// Clauses that index the texts of `n`, whose id is `id`.
fn indexed() -> String {
    format!(
        "WITH n, id, [name IN $names WHERE n[name] IS :: STRING NOT NULL | n[name]] AS texts \
         MERGE (t:{LABEL} {{_tenant: $tenant, _of: $of, id: id}}) \
         FOREACH (x IN CASE size(texts) WHEN 0 THEN [1] ELSE [] END | DELETE t) \
         FOREACH (x IN CASE size(texts) WHEN 0 THEN [] ELSE [1] END | \
         SET t:_Text SET t._text = {} SET t._scope = $scope SET t._node = elementId(n))",
        folded("reduce(all = '', text IN texts | all + text + '\\n')")
    )
}

fn parameters(tenant: &str, of: &str, names: &[String]) -> Vec<(&'static str, Parameter)> {
    let names = Parameter::List(names.iter().map(|name| name.as_str().into()).collect());
    let scope = Parameter::Text(scope_of(tenant, of));
    vec![("tenant", tenant.into()), ("of", of.into()), ("names", names), ("scope", scope), marks()]
}
