//! `[graph.tenants.NAME]`: tenants whose graph is in a database of their own. In the file alone: names of tenants are no names of variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quipu_resolvers::guard::TenantId;
use toml::Spanned;
use toml::de::DeValue;

use super::form::{GraphUrl, Raw, Secret, Setting, Tenancy};
use super::{ConfigError, password, set_one};

/// What variables begin with that would be settings of a tenant's database.
pub(super) const VARIABLE: &str = "QUIPU_GRAPH_TENANTS_";

/// The setting after which the reference speaks of these.
pub(super) const AFTER: (&str, &str) = ("graph", "gather");

/// Where one tenant's graph is.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantGraph {
    /// URL of a Neo4j server.
    pub url: GraphUrl,
    /// The user, if it is not part of the URL.
    pub user: String,
    /// The password, if it is not part of the URL.
    pub password: Option<Secret>,
    /// A file with that password.
    pub password_file: Option<PathBuf>,
    /// The database; when not set, the server's default.
    pub database: Option<String>,
    /// Whether it holds this tenant alone, as others wrote it, or marks every node.
    pub tenancy: Tenancy,
}

impl Default for TenantGraph {
    fn default() -> Self {
        Self {
            url: GraphUrl::Embedded,
            user: "neo4j".into(),
            password: None,
            password_file: None,
            database: None,
            tenancy: Tenancy::Database,
        }
    }
}

/// The dotted name under which a tenant's settings stand.
fn section(tenant: &str) -> String {
    format!("graph.tenants.{tenant}")
}

impl TenantGraph {
    /// The password, from where it is configured.
    ///
    /// # Errors
    /// When it is given twice, or its file cannot be read.
    pub fn password(&self, tenant: &TenantId) -> Result<Option<String>, ConfigError> {
        let name = format!("{}.password", section(tenant.as_str()));
        password(&name, self.password.as_ref(), self.password_file.as_deref())
    }

    /// Hands out every setting with its name.
    pub(super) fn visit(&mut self, visitor: &mut dyn FnMut(&'static str, &mut dyn Setting)) {
        visitor("url", &mut self.url);
        visitor("user", &mut self.user);
        visitor("password", &mut self.password);
        visitor("password_file", &mut self.password_file);
        visitor("database", &mut self.database);
        visitor("tenancy", &mut self.tenancy);
    }

    fn set(&mut self, section: &str, name: &str, raw: &Raw<'_>) -> Result<(), String> {
        set_one(section, name, raw, |visitor| self.visit(visitor))
    }
}

/// Takes the table `graph.tenants` of a file.
pub(super) fn take(
    into: &mut BTreeMap<TenantId, TenantGraph>,
    value: &Spanned<DeValue<'_>>,
    path: &Path,
    place: &dyn Fn(usize) -> String,
    problems: &mut Vec<String>,
) {
    let Some(tenants) = value.get_ref().as_table() else {
        let place = place(value.span().start);
        return problems
            .push(format!("{place}: `graph.tenants`: write a section [graph.tenants.NAME] for each tenant"));
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    for (name, value) in tenants {
        let (place_of_name, section) = (place(name.span().start), section(name.get_ref()));
        let Some(tenant) = TenantId::parse(name.get_ref()) else {
            problems.push(format!("{place_of_name}: `{section}`: {:?} is no name of a tenant", name.get_ref()));
            continue;
        };
        let Some(settings) = value.get_ref().as_table() else {
            problems.push(format!("{place_of_name}: `{section}`: expected a section with `url`"));
            continue;
        };
        let mut graph = TenantGraph::default();
        for (key, value) in settings {
            if let Err(problem) = graph.set(&section, key.get_ref(), &Raw::Toml(value.get_ref())) {
                problems.push(format!("{}: {problem}", place(key.span().start)));
            }
        }
        if !settings.iter().any(|(key, _)| key.get_ref() == "url") || graph.url == GraphUrl::Embedded {
            problems.push(format!(
                "{place_of_name}: `{section}.url`: expected the URL of a server like \"neo4j://host:7687\"; a tenant whose graph is \
                 where `graph.url` says needs no section"
            ));
        }
        graph.visit(&mut |_, setting| setting.rebase(folder));
        into.insert(tenant, graph);
    }
}

/// What the reference says of them; it cannot be told by examples, which would be a tenant.
pub(super) fn reference() -> String {
    "# A tenant whose graph is in a database of its own has a section of its own, in this file, after this one:\n\
     # [graph.tenants.acme]\n\
     # url = \"neo4j://host:7687\"\n\
     # user = \"neo4j\"\n\
     # password_file = \"path/to/file\"   (or password, or both in the URL)\n\
     # database = \"acme\"                (when not set, the server's default)\n\
     # tenancy = \"database\"             (the default here: the graph as others wrote it)\n"
        .to_owned()
}
