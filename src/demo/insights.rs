//! The tenant `insights`: 300 passages of the library's sample as articles of an encyclopaedia in volumes, the entities that they name, and
//! an insight for each question of the sample, which rests on the passages that its answer was put together from. Who reads them is made
//! from a seed.
//!
//! Nothing in the sample says how sure it is, so every `confidence` is counted: how much of a name, a statement or a question stands in the
//! text that it is said to come from.

use std::collections::{HashMap, HashSet};
use std::io;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::json;

use super::library::{self, Passage, RETRIEVED};
use super::{instant, json_lines, link, names, node, properties};
use crate::ingest::records::{Record, Reference};

mod kinds;
mod people;

use kinds::Votes;

const QUESTIONS: &str = include_str!("../../playground/demo/musique/questions.jsonl");
/// Articles: what the questions rest on, and the first others. A sixth of the library, so that a demo starts hardly later for them.
const ARTICLES: usize = 300;
/// An insight that is less sure waits for an editor.
const SURE: f64 = 0.4;
const HOUR: i64 = 3_600;
/// Volumes of the encyclopaedia: id, name and the first letters of the titles in it.
const VOLUMES: [(&str, &str, &str); 9] = [
    ("s1", "Encyclopaedia, A to B", "ab"),
    ("s2", "Encyclopaedia, C to D", "cd"),
    ("s3", "Encyclopaedia, E to G", "efg"),
    ("s4", "Encyclopaedia, H to J", "hij"),
    ("s5", "Encyclopaedia, K to M", "klm"),
    ("s6", "Encyclopaedia, N to P", "nop"),
    ("s7", "Encyclopaedia, Q to S", "qrs"),
    ("s8", "Encyclopaedia, T to Z", "tuvwxyz"),
    ("s9", "Encyclopaedia, numbers and signs", ""),
];

/// A question of the sample with the ids of the passages that answer it together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    id: String,
    question: String,
    answer: String,
    gold: Vec<String>,
}

/// What is known of an entity before it is written.
#[derive(Default)]
struct Named {
    spellings: IndexMap<String, u32>,
    articles: usize,
    votes: Votes,
}

impl Named {
    /// The commonest spelling.
    fn name(&self) -> &str {
        self.spellings.keys().next().map_or("", String::as_str)
    }
}

/// All records of the tenant, in an order in which everything is there before it is referred to. The same seed gives the same records.
///
/// # Errors
/// `InvalidData` when the embedded sample is damaged.
pub fn insights(seed: u64) -> io::Result<impl Iterator<Item = Record>> {
    let questions: Vec<Question> = json_lines("questions.jsonl", QUESTIONS)?;
    let articles = articles(library::passages()?, &questions);
    let named = named(&articles);
    let mut records = sources(&articles);
    records.extend(named.iter().map(|(id, named)| entity(id, named)));
    for (at, article) in articles.iter().enumerate() {
        records.extend(article_records(at, article, &named));
    }
    let by_id: HashMap<&str, &Passage> = articles.iter().map(|article| (article.id.as_str(), article)).collect();
    for (at, question) in questions.iter().enumerate() {
        records.extend(insight(at, question, &by_id, &named));
    }
    // Nobody follows a year.
    let names = named.iter().filter(|(_, named)| names::kind(named.name()) == "NAME");
    let mut followed: Vec<(&String, usize)> = names.map(|(id, named)| (id, named.articles)).collect();
    followed.sort_by_key(|(_, articles)| std::cmp::Reverse(*articles));
    let followed: Vec<&str> = followed.into_iter().take(people::FOLLOWED).map(|(id, _)| id.as_str()).collect();
    records.extend(people::records(seed, &followed, &VOLUMES.map(|(id, ..)| id)));
    Ok(records.into_iter())
}

/// The articles in the order of the sample.
fn articles(mut passages: Vec<Passage>, questions: &[Question]) -> Vec<Passage> {
    let gold: HashSet<&str> = questions.iter().flat_map(|question| &question.gold).map(String::as_str).collect();
    let mut others = ARTICLES.saturating_sub(gold.len());
    passages.retain(|passage| {
        let rests = gold.contains(passage.id.as_str());
        let taken = rests || others > 0;
        others -= usize::from(taken && !rests);
        taken
    });
    passages
}

/// Ids of the entities that an article names, each once, with the spelling that it uses.
fn names_in(article: &Passage) -> IndexMap<String, &str> {
    let mut found = IndexMap::new();
    for name in &article.entities {
        found.entry(names::slug(name)).or_insert_with(|| name.trim());
    }
    found
}

/// Everything that articles name, and what is said of it: both ends of a statement have to be entities of their own.
fn named(articles: &[Passage]) -> IndexMap<String, Named> {
    let mut all: IndexMap<String, Named> = IndexMap::new();
    for article in articles {
        for name in &article.entities {
            let named = all.entry(names::slug(name)).or_default();
            *named.spellings.entry(name.trim().to_owned()).or_default() += 1;
        }
        for id in names_in(article).keys() {
            all.entry(id.clone()).or_default().articles += 1;
        }
    }
    for (subject, predicate, object) in articles.iter().flat_map(|article| &article.triples) {
        let (said_of_subject, said_of_object) = kinds::said(predicate);
        for (name, kind) in [(subject, said_of_subject), (object, said_of_object)] {
            if let (Some(kind), Some(named)) = (kind, all.get_mut(&names::slug(name))) {
                named.votes.add(kind);
            }
        }
    }
    // Stable: among equally common spellings the first to occur wins.
    all.values_mut().for_each(|named| named.spellings.sort_by(|_, a, _, b| b.cmp(a)));
    all
}

fn volume(article: &Passage) -> &'static str {
    let first = article.title.chars().next().map(|c| c.to_ascii_lowercase());
    let holds = |letters: &str| first.is_some_and(|first| letters.contains(first));
    VOLUMES.iter().find(|(_, _, letters)| holds(letters)).map_or("s9", |(id, ..)| id)
}

fn sources(articles: &[Passage]) -> Vec<Record> {
    let source = |(id, name, _): &(&str, &str, &str)| {
        let count = articles.iter().filter(|article| volume(article) == *id).count();
        let licence = "CC BY-SA (Wikipedia), sample and annotations MIT";
        node("Source", *id, json!({ "name": name, "kind": "ENCYCLOPAEDIA", "licence": licence, "articleCount": count }))
    };
    VOLUMES.iter().map(source).collect()
}

fn entity(id: &str, named: &Named) -> Record {
    let name = named.name();
    let aliases: Vec<&String> = named.spellings.keys().skip(1).collect();
    let (kind, confidence) = match names::kind(name) {
        "NAME" => named.votes.won(),
        // Its spelling says so.
        other => (other, 1.0),
    };
    let set = json!({
        "name": name,
        "aliases": aliases,
        "kind": kind,
        "confidence": rounded(confidence),
        "articleCount": named.articles,
    });
    node("NamedEntity", id, set)
}

fn article_records(at: usize, article: &Passage, named: &IndexMap<String, Named>) -> Vec<Record> {
    let added = RETRIEVED + 60 * i64::try_from(at).unwrap_or_default();
    let words = article.text.split_whitespace().count();
    let set = json!({ "title": article.title, "text": article.text, "words": words, "addedAt": instant(added) });
    let this = ("Article", article.id.as_str());
    let mut records =
        vec![node("Article", &article.id, set), link("PUBLISHED", ("Source", volume(article)), this, json!({}))];
    for (id, name) in names_in(article) {
        let set = json!({ "count": times(name, &article.text), "confidence": rounded(share_of(name, &article.text)) });
        records.push(link("NAMES", this, ("NamedEntity", &id), set));
    }
    for (n, (subject, predicate, object)) in article.triples.iter().enumerate() {
        let (from, to) = (names::slug(subject), names::slug(object));
        if from == to || !named.contains_key(&from) || !named.contains_key(&to) {
            continue;
        }
        let said = share_of(&format!("{subject} {predicate} {object}"), &article.text);
        records.push(Record::Relationship {
            relationship: "RELATES_TO".into(),
            from: Reference::new("NamedEntity", from),
            to: Reference::new("NamedEntity", to),
            key: Some(format!("{}:{n}", article.id)),
            properties: properties(
                json!({ "predicate": predicate, "confidence": rounded(said), "article": article.id }),
            ),
        });
    }
    records
}

fn insight(
    at: usize,
    question: &Question,
    articles: &HashMap<&str, &Passage>,
    named: &IndexMap<String, Named>,
) -> Vec<Record> {
    let Question { id, question: asked, answer, gold } = question;
    let cited: Vec<&Passage> = gold.iter().filter_map(|id| articles.get(id.as_str()).copied()).collect();
    let told = format!("{asked} {answer}");
    let texts: Vec<String> = cited.iter().map(|article| format!("{} {}", article.title, article.text)).collect();
    let confidence = share_of(&told, &texts.join(" "));
    let found = RETRIEVED + HOUR * (24 * 7 + i64::try_from(at).unwrap_or_default());
    let published = confidence >= SURE;
    let set = json!({
        "question": asked,
        "answer": answer,
        "status": if published { "PUBLISHED" } else { "DRAFT" },
        "confidence": rounded(confidence),
        "foundAt": instant(found),
        "publishedAt": published.then(|| instant(found + HOUR)),
    });
    let this = ("Insight", id.as_str());
    let mut records = vec![node("Insight", id, set)];
    for (at, (article, text)) in cited.iter().zip(&texts).enumerate() {
        let set = json!({ "position": at + 1, "confidence": rounded(share_of(&told, text)) });
        records.push(link("CITES", this, ("Article", &article.id), set));
    }
    for (entity, confidence) in spoken_of(&told, &cited, named) {
        let set = json!({ "confidence": rounded(confidence) });
        records.push(link("SPEAKS_OF", this, ("NamedEntity", entity), set));
    }
    records
}

/// The entities that question or answer name, and those that several of the articles name: how many of the articles do, the question with its
/// answer counted as one more.
fn spoken_of<'n>(told: &str, cited: &[&Passage], named: &'n IndexMap<String, Named>) -> Vec<(&'n str, f64)> {
    let mut counts: IndexMap<&str, usize> = IndexMap::new();
    for id in cited.iter().flat_map(|article| names_in(article).into_keys()) {
        if let Some((id, _)) = named.get_key_value(&id) {
            *counts.entry(id).or_default() += 1;
        }
    }
    let found = counts.into_iter().filter_map(|(id, articles)| {
        let spelt = named[id].spellings.keys().any(|name| times(name, told) > 0);
        let of = cited.len() + 1;
        (spelt || articles > 1).then(|| (id, (articles + usize::from(spelt)) as f64 / of as f64))
    });
    found.collect()
}

/// How often a name stands in a text, as words of their own.
fn times(name: &str, text: &str) -> usize {
    let is_edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    let stands = |(at, found): &(usize, &str)| {
        is_edge(text[..*at].chars().next_back()) && is_edge(text[at + found.len()..].chars().next())
    };
    if name.is_empty() { 0 } else { text.match_indices(name).filter(stands).count() }
}

/// How many of the words of one text stand in another, from 0 to 1. Words of up to three letters say nothing, unless there are no others.
fn share_of(said: &str, text: &str) -> f64 {
    let lower = |text: &str| text.to_lowercase();
    let (said, text) = (lower(said), lower(text));
    let words = |text: &'_ str| -> HashSet<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
    };
    let (mut said, there) = (words(&said), words(&text));
    if said.iter().any(|word| word.chars().count() > 3) {
        said.retain(|word| word.chars().count() > 3);
    }
    said.intersection(&there).count() as f64 / said.len().max(1) as f64
}

/// Two decimals: more would only look exact.
fn rounded(share: f64) -> f64 {
    (share * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_as_words_of_their_own() {
        assert_eq!(times("Rome", "Rome fell. Jerome, of Rome's church, wept for ROME."), 2);
        assert_eq!(times("Río", "el Río, Ríos"), 1);
        assert_eq!(times("", "anything"), 0);
    }

    #[test]
    fn a_share_is_of_the_words_that_say_something() {
        assert_eq!(share_of("The River Po", "a river of Italy"), 1.0);
        assert_eq!(share_of("Po", "the Po"), 1.0);
        assert_eq!(share_of("Carl Rogers", "Rogers wrote"), 0.5);
        assert_eq!(share_of("", "anything"), 0.0);
        assert_eq!(rounded(1.0 / 3.0), 0.33);
    }
}
