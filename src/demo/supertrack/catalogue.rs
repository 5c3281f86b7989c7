//! What is there whatever the seed: people, connectors with their sources, and metrics.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::super::{instant, link, node};
use super::{DAY, HOUR};
use crate::ingest::records::Record;

/// Somebody who works here.
pub struct Person {
    pub id: &'static str,
    pub role: &'static str,
    name: &'static str,
    title: &'static str,
    lead: Option<&'static str>,
}

const fn person(
    id: &'static str,
    name: &'static str,
    title: &'static str,
    role: &'static str,
    lead: &'static str,
) -> Person {
    Person { id, role, name, title, lead: if lead.is_empty() { None } else { Some(lead) } }
}

/// Everybody; who leads comes before those who are led.
pub const PEOPLE: [Person; 12] = [
    person("noa", "Noa Lindgren", "Head of marketing", "admin", ""),
    person("emil", "Emil Sauer", "Data platform lead", "engineer", "noa"),
    person("yara", "Yara Costa", "Data engineer", "engineer", "emil"),
    person("piet", "Piet Vos", "Data engineer", "engineer", "emil"),
    person("anja", "Anja Keller", "Lead analyst", "analyst", "noa"),
    person("sam", "Sam Doyle", "Analyst", "analyst", "anja"),
    person("mats", "Mats Holm", "Performance lead", "marketer", "noa"),
    person("lia", "Lia Ferro", "Search marketer", "marketer", "mats"),
    person("theo", "Theo Brandt", "Social marketer", "marketer", "mats"),
    person("ida", "Ida Nyberg", "Newsletter editor", "marketer", "mats"),
    person("cleo", "Cleo Martin", "Controller", "finance", "noa"),
    person("ruth", "Ruth Adler", "Accountant", "finance", "cleo"),
];

/// A connector: its sources are name, path, what it holds, and whether single people are in it.
pub struct Connector {
    pub id: &'static str,
    pub status: &'static str,
    pub account: &'static str,
    name: &'static str,
    kind: &'static str,
    owner: &'static str,
    sources: &'static [(&'static str, &'static str, &'static str, bool)],
}

/// All connectors.
pub const CONNECTORS: [Connector; 7] = [
    Connector {
        id: "search",
        status: "HEALTHY",
        account: "ads-558-201",
        name: "Search advertisements",
        kind: "SEARCH_ADS",
        owner: "yara",
        sources: &[
            ("Keywords", "ads.keyword_daily", "Impressions, clicks and cost of every keyword, a row a day.", false),
            ("Search terms", "ads.search_term_daily", "What people typed before they saw an advertisement.", false),
            ("Search conversions", "ads.conversion", "Orders that followed a click within thirty days.", false),
        ],
    },
    Connector {
        id: "social",
        status: "DEGRADED",
        account: "act_90417733",
        name: "Social networks",
        kind: "SOCIAL_ADS",
        owner: "piet",
        sources: &[
            (
                "Social posts",
                "social.post_insight",
                "Reach, likes and comments of every post that was paid for.",
                false,
            ),
            ("Social audiences", "social.audience_member", "Who was put into which audience, by hashed address.", true),
            (
                "Social costs",
                "social.spend_daily",
                "What was spent on which set of advertisements, a row a day.",
                false,
            ),
        ],
    },
    Connector {
        id: "web",
        status: "HEALTHY",
        account: "G-7Q2LM4",
        name: "Web analytics",
        kind: "WEB_ANALYTICS",
        owner: "yara",
        sources: &[
            ("Visits", "events.session", "Sessions with landing page, referrer and length.", false),
            ("Page views", "events.page_view", "Every page that was looked at, and for how long.", false),
            ("Known visitors", "events.identified", "Visitors who signed in, with the id of their account.", true),
        ],
    },
    Connector {
        id: "crm",
        status: "HEALTHY",
        account: "tenant-eu-44",
        name: "Customer relations",
        kind: "CRM",
        owner: "piet",
        sources: &[
            ("Customers", "crm.account", "Customers with address, language and consent.", true),
            ("Deals", "crm.deal", "Offers with their stage and worth.", false),
            ("Newsletter", "crm.subscription", "Who reads the newsletter, since when, and what they opened.", true),
        ],
    },
    Connector {
        id: "shop",
        status: "HEALTHY",
        account: "shop-prod",
        name: "Shop",
        kind: "SHOP",
        owner: "emil",
        sources: &[
            ("Orders", "shop.order", "Orders with total, discount and the campaign that led to them.", false),
            ("Returns", "shop.return", "What came back, when and why.", false),
            ("Baskets", "shop.basket", "Baskets that were left behind, by session.", false),
        ],
    },
    Connector {
        id: "posters",
        status: "BROKEN",
        account: "dooh-12",
        name: "Posters",
        kind: "SOCIAL_ADS",
        owner: "piet",
        sources: &[("Poster codes", "dooh.scan", "Scans of the codes on posters, by place and hour.", false)],
    },
    Connector {
        id: "shop-old",
        status: "BROKEN",
        account: "shop-legacy",
        name: "Old shop",
        kind: "SHOP",
        owner: "emil",
        sources: &[(
            "Old orders",
            "legacy.orders",
            "Orders before the move to the new shop, kept for comparison.",
            true,
        )],
    },
];

impl Connector {
    /// The connector, its sources, and who answers for it.
    pub fn records(&self, rng: &mut ChaCha8Rng, now: i64) -> Vec<Record> {
        let this = ("Connector", self.id);
        let set = json!({
            "name": self.name, "kind": self.kind, "status": self.status, "account": self.account,
            "secretName": format!("supertrack/{}", self.id), "every": if self.kind == "CRM" { 360 } else { 60 },
        });
        let mut records =
            vec![node("Connector", self.id, set), link("ANSWERS_FOR", ("Person", self.owner), this, json!({}))];
        for (at, (name, path, description, personal)) in self.sources.iter().enumerate() {
            let id = format!("{}-s{}", self.id, at + 1);
            let columns: &[&str] = if *personal {
                &["person_id", "email_hash", "consent", "changed_at"]
            } else {
                &["day", "campaign", "count", "cost"]
            };
            let fresh = (self.status != "BROKEN").then(|| instant(now - rng.random_range(1..90) * 60));
            let set = json!({
                "name": name, "path": path, "description": description, "personal": personal, "columns": columns, "freshAt": fresh,
            });
            records.push(node("Source", &id, set));
            records.push(link("BRINGS", this, ("Source", &id), json!({})));
            records.push(link("ANSWERS_FOR", ("Person", self.owner), ("Source", &id), json!({})));
        }
        records
    }
}

/// A metric: from which sources it is counted, and between what a campaign has a day, if campaigns are judged by it.
pub struct Figure {
    pub id: &'static str,
    pub daily: Option<(f64, f64)>,
    name: &'static str,
    unit: &'static str,
    aggregation: &'static str,
    owner: &'static str,
    sources: &'static [&'static str],
    formula: &'static str,
    definition: &'static str,
}

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<(f64, f64)>,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
);

const fn figure((id, name, unit, aggregation, daily, owner, sources, formula, definition): Row) -> Figure {
    Figure { id, name, unit, aggregation, daily, owner, sources, formula, definition }
}

/// All metrics.
pub const METRICS: [Figure; 14] = [
    figure((
        "clicks",
        "Clicks",
        "COUNT",
        "SUM",
        Some((80.0, 900.0)),
        "sam",
        &["search-s1", "social-s1"],
        "sum(clicks)",
        "How often somebody clicked an advertisement.",
    )),
    figure((
        "impressions",
        "Impressions",
        "COUNT",
        "SUM",
        Some((4_000.0, 60_000.0)),
        "sam",
        &["search-s1", "social-s1"],
        "sum(impressions)",
        "How often an advertisement was on a screen for a second or more.",
    )),
    figure((
        "spend",
        "Spend",
        "EURO",
        "SUM",
        Some((60.0, 1_400.0)),
        "anja",
        &["search-s1", "social-s3"],
        "sum(cost)",
        "What was paid to networks, without fees.",
    )),
    figure((
        "orders",
        "Orders",
        "COUNT",
        "SUM",
        Some((2.0, 60.0)),
        "sam",
        &["shop-s1"],
        "count(distinct order_id)",
        "Orders that a campaign led to, returns not taken off.",
    )),
    figure((
        "revenue",
        "Revenue",
        "EURO",
        "SUM",
        Some((90.0, 5_200.0)),
        "anja",
        &["shop-s1", "shop-s2"],
        "sum(total) - sum(returned)",
        "What customers paid, less what they sent back.",
    )),
    figure((
        "ctr",
        "Click-through rate",
        "PERCENT",
        "MEAN",
        Some((0.4, 6.5)),
        "sam",
        &["search-s1"],
        "100 * clicks / impressions",
        "Of a hundred impressions, how many were clicked.",
    )),
    figure((
        "cpc",
        "Cost per click",
        "EURO",
        "MEAN",
        Some((0.2, 3.1)),
        "anja",
        &["search-s1", "social-s3"],
        "spend / clicks",
        "What a click costs.",
    )),
    figure((
        "roas",
        "Return on advertising spend",
        "PERCENT",
        "MEAN",
        Some((60.0, 640.0)),
        "anja",
        &["shop-s1", "search-s1", "social-s3"],
        "100 * revenue / spend",
        "Revenue by what was spent on advertisements.",
    )),
    figure((
        "cac",
        "Cost of a new customer",
        "EURO",
        "MEAN",
        None,
        "anja",
        &["crm-s1", "search-s1"],
        "spend / count(new accounts)",
        "What it costs until somebody buys for the first time.",
    )),
    figure((
        "churn",
        "Customers who leave",
        "PERCENT",
        "LAST",
        None,
        "anja",
        &["crm-s1"],
        "100 * gone / all",
        "Of a hundred customers, how many bought nothing for a year.",
    )),
    figure((
        "opens",
        "Newsletter opens",
        "PERCENT",
        "MEAN",
        Some((12.0, 48.0)),
        "sam",
        &["crm-s3"],
        "100 * opened / sent",
        "Of a hundred newsletters, how many were opened.",
    )),
    figure((
        "bounce",
        "Bounces",
        "PERCENT",
        "MEAN",
        Some((18.0, 71.0)),
        "sam",
        &["web-s1"],
        "100 * single / all",
        "Visits that ended on the page where they began.",
    )),
    figure((
        "baskets",
        "Baskets left behind",
        "COUNT",
        "SUM",
        None,
        "sam",
        &["shop-s3"],
        "count(left)",
        "Baskets with goods in them that nobody paid for.",
    )),
    figure((
        "scans",
        "Poster scans",
        "COUNT",
        "SUM",
        None,
        "sam",
        &["posters-s1"],
        "count(scan)",
        "How often the code of a poster was scanned.",
    )),
];

impl Figure {
    /// The metric, what it is counted from, and who answers for it.
    pub fn records(&self, rng: &mut ChaCha8Rng, now: i64) -> Vec<Record> {
        let this = ("Metric", self.id);
        let set = json!({
            "name": self.name, "definition": self.definition, "formula": self.formula, "unit": self.unit,
            "aggregation": self.aggregation, "certified": self.owner == "anja",
        });
        let mut records =
            vec![node("Metric", self.id, set), link("ANSWERS_FOR", ("Person", self.owner), this, json!({}))];
        for source in self.sources {
            let since = now - rng.random_range(40..900) * DAY + rng.random_range(7..17) * HOUR;
            let set = json!({ "columns": ["day", "count"], "since": instant(since) });
            records.push(link("COUNTED_FROM", this, ("Source", source), set));
        }
        records
    }
}

/// Everybody, and who leads whom.
pub fn people() -> Vec<Record> {
    let mut records = Vec::new();
    for person in &PEOPLE {
        let email = format!("{}@supertrack.example", person.id);
        records.push(node("Person", person.id, json!({ "name": person.name, "title": person.title, "email": email })));
        if let Some(lead) = person.lead {
            records.push(link("LEADS", ("Person", lead), ("Person", person.id), json!({})));
        }
    }
    records
}
