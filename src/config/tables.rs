//! The form of a list of tables.

use toml::de::DeValue;

use super::form::{Form, Raw, as_in_file};
use crate::stores::open_tables::OpenTable;

/// Tables of others that ontologies may show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenTables(pub Vec<OpenTable>);

impl Form for OpenTables {
    const EXPECTED: &'static str = "a list like [\"shop.orders by tenant_id\", \"crm.* for acme\", \"shop.items by row security, writable\"], \
         without schemas of the database itself";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Toml(DeValue::Array(items)) => {
                let all = items.iter().map(|item| OpenTable::parse(item.get_ref().as_str()?));
                all.collect::<Option<_>>().map(Self)
            }
            Raw::Toml(_) => None,
            // The environment has the same list as the file.
            Raw::Text(text) => as_in_file(text),
        }
    }

    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.0.iter().map(|open| toml::Value::String(open.to_string()).to_string()).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_again() {
        let shown = |text: &str| OpenTables::take(&Raw::Text(text)).and_then(|tables| tables.show());
        let two = r#"["shop.orders by tenant_id, writable", '"a,b".c for acme']"#;
        assert_eq!(shown(two).as_deref(), Some(two));
        assert_eq!(shown("[]").as_deref(), Some("[]"));
        for wrong in
            ["", "shop.orders for acme", "[\"shop.orders\"]", "[1]", "[\"pg_catalog.* for acme\"]", "[]\nx = 1"]
        {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
