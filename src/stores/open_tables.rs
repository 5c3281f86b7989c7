//! Tables of others that ontologies may show, as whoever runs the gateway says it: which, to whom, and what keeps tenants apart in them.
//! A publisher of ontologies can name no other, cannot say what keeps tenants apart, and cannot write where that is not said here.

use std::fmt;

use quipu_resolvers::guard::TenantId;

/// A table, or all tables of a schema, that ontologies may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTable {
    /// The schema.
    pub schema: String,
    /// The table; all of the schema when `None`.
    pub table: Option<String>,
    /// Whose rows it holds.
    pub holds: Holds,
    /// Whether ontologies may have its rows written.
    pub writable: bool,
}

/// Whose rows a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// One tenant's: no other may show it.
    Of(TenantId),
    /// All tenants', with the tenant's name in a column.
    Named(String),
    /// All tenants', of which the table's own row security shows one: its policies look at the setting `quipu.tenant_name`.
    Policies,
}

impl OpenTable {
    /// Reads `SCHEMA.TABLE for TENANT`, `SCHEMA.TABLE by COLUMN` or `SCHEMA.TABLE by row security`, with `, writable` behind it or not.
    /// The table may be `*`. Names are taken as they are written; those with other characters than letters, digits and `_` stand in
    /// double quotes. `None` for anything else, and for schemas of the database itself.
    pub fn parse(text: &str) -> Option<Self> {
        // A name with a comma stands in quotes, so the word is none of a name.
        let (text, writable) = match text.trim().rsplit_once(',') {
            Some((text, word)) if word.trim() == "writable" => (text.trim(), true),
            _ => (text.trim(), false),
        };
        let (schema, rest) = name(text)?;
        let rest = rest.strip_prefix('.')?;
        let (table, rest) = match rest.strip_prefix('*') {
            Some(rest) => (None, rest),
            None => name(rest).map(|(table, rest)| (Some(table), rest))?,
        };
        let words = rest.strip_prefix(' ')?.trim();
        let holds = match words.split_once(' ')? {
            ("for", tenant) => Holds::Of(TenantId::parse(tenant.trim())?),
            ("by", how) if how.split_whitespace().eq(["row", "security"]) => Holds::Policies,
            ("by", column) => match name(column.trim())? {
                (column, "") => Holds::Named(column),
                _ => return None,
            },
            _ => return None,
        };
        (!is_of_the_database(&schema)).then_some(Self { schema, table, holds, writable })
    }

    /// What is open to a tenant under a name, the first of the list that fits.
    pub fn find<'a>(open: &'a [Self], tenant: &TenantId, schema: &str, table: &str) -> Option<&'a Self> {
        if is_of_the_database(schema) {
            return None;
        }
        let named = |open: &&Self| open.schema == schema && open.table.as_ref().is_none_or(|name| name == table);
        let theirs = |open: &&Self| !matches!(&open.holds, Holds::Of(other) if other != tenant);
        open.iter().filter(named).find(theirs)
    }
}

/// Schemas that no ontology shows anything of.
fn is_of_the_database(schema: &str) -> bool {
    schema == "information_schema" || schema.starts_with("pg_")
}

/// A name at the beginning of a text, and the rest.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(mut rest) = text.strip_prefix('"') {
        let mut name = String::new();
        loop {
            let (part, after) = rest.split_once('"')?;
            name.push_str(part);
            match after.strip_prefix('"') {
                Some(after) => {
                    name.push('"');
                    rest = after;
                }
                None => return (!name.is_empty()).then_some((name, after)),
            }
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

impl fmt::Display for OpenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let quoted = |name: &str| match plain(name) {
            true => name.to_owned(),
            false => format!("\"{}\"", name.replace('"', "\"\"")),
        };
        write!(f, "{}.{} ", quoted(&self.schema), self.table.as_deref().map_or("*".to_owned(), quoted))?;
        match &self.holds {
            Holds::Of(tenant) => write!(f, "for {tenant}"),
            Holds::Named(column) => write!(f, "by {}", quoted(column)),
            Holds::Policies => f.write_str("by row security"),
        }?;
        f.write_str(if self.writable { ", writable" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for text in [
            "shop.orders for acme",
            "shop.* for acme",
            "shop.orders by tenant_id",
            "shop.orders by row security",
            "\"Sh\"\"op\".\"Order; DROP\" by \"Tenant Id\"",
            "shop.orders for acme, writable",
            "shop.* by tenant_id, writable",
            "shop.orders by row security, writable",
            "shop.orders by \"a, writable\"",
            "shop.orders by \"a, writable\", writable",
        ] {
            let open = OpenTable::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(open.to_string(), text);
        }
        let open = OpenTable::parse(" Größe.Tafel   by   row   security ").unwrap();
        assert_eq!((open.schema.as_str(), open.holds, open.writable), ("Größe", Holds::Policies, false));
        assert!(OpenTable::parse("shop.orders by tenant ,  writable ").unwrap().writable);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "orders for acme",
            "shop.orders",
            "shop.orders for",
            "shop.orders for Acme!",
            "shop.orders by",
            "shop.orders by a b",
            "shop.orders of acme",
            "shop.orders, writable",
            "shop.orders by tenant, Writable",
            "shop.orders by tenant writable",
            "shop.orders by tenant, writable, writable",
            "shop.orders by tenant, readable",
            "shop.orders for acme,",
            "shop.a.b for acme",
            "shop.\"orders for acme",
            "\"\".orders for acme",
            "*.* for acme",
            "pg_catalog.* for acme",
            "pg_catalog.pg_authid by rolname",
            "information_schema.tables for acme",
        ] {
            assert_eq!(OpenTable::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_tenant_finds_what_is_open_to_it() {
        let open: Vec<OpenTable> =
            ["shop.orders for acme", "shop.orders for zeta", "crm.* by tenant", "pub.a by row security"]
                .iter()
                .map(|text| OpenTable::parse(text).unwrap())
                .collect();
        let find = |who: &str, schema: &str, table: &str| {
            OpenTable::find(&open, &tenant(who), schema, table).map(|open| open.holds.clone())
        };
        assert_eq!(find("acme", "shop", "orders"), Some(Holds::Of(tenant("acme"))));
        assert_eq!(find("zeta", "shop", "orders"), Some(Holds::Of(tenant("zeta"))));
        assert_eq!(find("beta", "shop", "orders"), None);
        assert_eq!(find("acme", "shop", "Orders"), None);
        assert_eq!(find("acme", "shop", "items"), None);
        assert_eq!(find("beta", "crm", "anything"), Some(Holds::Named("tenant".into())));
        assert_eq!(find("beta", "pub", "a"), Some(Holds::Policies));
        let (schema, holds) = ("pg_catalog".to_owned(), Holds::Of(tenant("acme")));
        let all = [OpenTable { schema, table: None, holds, writable: true }];
        assert_eq!(OpenTable::find(&all, &tenant("acme"), "pg_catalog", "pg_authid"), None);
    }

    #[test]
    fn the_first_entry_says_whether_it_is_written() {
        let open = ["shop.a by t", "shop.* by t, writable", "crm.a for acme, writable", "crm.a for zeta"];
        let open: Vec<OpenTable> = open.iter().map(|text| OpenTable::parse(text).unwrap()).collect();
        let writable = |who: &str, schema: &str, table: &str| {
            OpenTable::find(&open, &tenant(who), schema, table).is_some_and(|open| open.writable)
        };
        assert!(!writable("acme", "shop", "a") && writable("acme", "shop", "b"));
        assert!(writable("acme", "crm", "a") && !writable("zeta", "crm", "a") && !writable("beta", "crm", "a"));
    }
}
