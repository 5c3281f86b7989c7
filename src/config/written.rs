//! A configuration as a file that means the same, but for secrets.

use super::form::{Setting, quoted};
use super::sections::Config;

/// Gathers lines of sections; one without lines is left out.
#[derive(Default)]
struct Lines {
    text: String,
    section: String,
}

impl Lines {
    fn add(&mut self, section: &str, name: &str, setting: &dyn Setting) {
        let Some(value) = setting.written() else { return };
        if self.section != section {
            self.text.push_str(&format!("[{section}]\n"));
            section.clone_into(&mut self.section);
        }
        self.text.push_str(&format!("{name} = {value}\n"));
    }
}

impl Config {
    /// All that is set, as TOML. A secret, and what a server's URL has behind its scheme, has something else in its place. For tests: what
    /// is read, written and read again must not have changed.
    #[doc(hidden)]
    pub fn written(&self) -> String {
        let mut config = self.clone();
        let mut lines = Lines::default();
        config.visit(&mut |key, setting| lines.add(key.section, key.name, setting));
        for (tenant, graph) in &mut config.graph_tenants {
            let section = format!("graph.tenants.{}", quoted(tenant.as_str()));
            graph.visit(&mut |name, setting| lines.add(&section, name, setting));
        }
        for (name, issuer) in &mut config.auth_issuers {
            let section = format!("auth.issuers.{}", quoted(name));
            issuer.visit(&mut |name, _, setting| lines.add(&section, name, setting));
        }
        for (tenant, plan) in &mut config.own_plans {
            let section = format!("tenants.{}", quoted(tenant.as_str()));
            // A section without settings is one all the same.
            lines.text.push_str(&format!("[{section}]\n"));
            lines.section.clone_from(&section);
            plan.visit(&mut |name, setting| lines.add(&section, name, setting));
        }
        lines.text
    }
}
