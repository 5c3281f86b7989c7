//! `xSimilar` among 100,000 vectors of one tenant with a condition that a tenth of them meet: from the query's text to the answer's
//! bytes, the embedding of the asked-for text by the shipped model included.

use std::path::Path;
use std::time::{Duration, Instant};

use quipu_resolvers::change::Ref;
use quipu_resolvers::ports::VectorChange;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value as Json};

use super::data;
use super::load::percentile;
use super::report::table;
use super::world::{World, tenant};

const SDL: &str = include_str!("../passages.graphql");
const QUERY: &str = "query Similar($text: String!, $language: String!) {
  passagesSimilar(query: $text, where: {language: {eq: $language}}, first: 10) { score node { id text language } }
}";
/// Words that questions are made of.
const WORDS: [&str; 24] = [
    "freezer",
    "temperature",
    "alarm",
    "door",
    "river",
    "treaty",
    "singer",
    "album",
    "capital",
    "border",
    "engine",
    "harbour",
    "vaccine",
    "shipment",
    "winter",
    "museum",
    "battle",
    "school",
    "island",
    "railway",
    "minister",
    "planet",
    "novel",
    "bridge",
];

/// Runs the measurement; says what is missing when there is no model.
pub async fn measure(file: &Path, vectors: usize, questions: usize) {
    let world = World::open(file, SDL).await;
    if let Err(error) = world.ports.embedder.embed(vec!["warm".into()]).await {
        return eprintln!("similar: not measured, {error} (`make setup` fetches the library)");
    }
    let begun = Instant::now();
    if world.ports.vectors.position(&tenant()).await.expect("the store answers") < vectors as u64 {
        fill(&world, file, vectors).await;
    }
    eprintln!("{vectors} vectors are there after {:?}", begun.elapsed());
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut word = || WORDS[random.random_range(0..WORDS.len())];
    let (mut whole, mut embedding) = (Vec::new(), Vec::new());
    for question in 0..questions + 5 {
        let text = format!("where is the {} of the {} after the {} {}?", word(), word(), word(), word());
        let begun = Instant::now();
        world.ports.embedder.embed(vec![format!("{text} ")]).await.expect("the model works");
        let embedded = begun.elapsed();
        let language = format!("language-{}", question % 10);
        let variables =
            Map::from_iter([("text".to_owned(), Json::from(text)), ("language".to_owned(), language.into())]);
        let begun = Instant::now();
        let answer = world.answer(QUERY, &variables).await;
        let took = begun.elapsed();
        let body: Json = serde_json::from_slice(&answer.body).expect("an answer is JSON");
        assert_eq!(body["data"]["passagesSimilar"].as_array().map(Vec::len), Some(10), "{body}");
        // The first ones warm what is warm on a server.
        if question >= 5 {
            whole.push(took);
            embedding.push(embedded);
        }
    }
    let head = ["of 60 ms", "what", "p50 ms", "p95 ms", "p99 ms"];
    let rows = [row("answer, embedding included", &mut whole), row("embedding alone, asked beside", &mut embedding)];
    table(&format!("similar, with tenant and filter, among {vectors} vectors, {questions} questions"), &head, &rows);
}

fn row(what: &str, times: &mut [Duration]) -> Vec<String> {
    times.sort_unstable();
    let at = |percent| percentile(times, percent);
    vec![
        format!("**{:.2}**", at(95) / 60.0),
        what.into(),
        format!("{:.1}", at(50)),
        format!("{:.1}", at(95)),
        format!("{:.1}", at(99)),
    ]
}

/// Passages with vectors that point anywhere: what a search costs depends on their number and not on where they point.
async fn fill(world: &World, file: &Path, vectors: usize) {
    data::passages(file, vectors).await;
    let dimensions = world.ports.embedder.dimensions();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let numbers: Vec<usize> = (0..vectors).collect();
    for batch in numbers.chunks(2_000) {
        let changes: Vec<VectorChange> = batch
            .iter()
            .map(|n| VectorChange {
                record: Ref { of: "Passage".into(), id: format!("p{n}") },
                property: Some("text".into()),
                vector: Some(unit(&mut random, dimensions)),
            })
            .collect();
        let position = batch.last().map_or(0, |last| *last as u64 + 1);
        world.ports.vectors.apply(&tenant(), position, &changes).await.expect("the vectors are stored");
    }
}

fn unit(random: &mut ChaCha8Rng, dimensions: usize) -> Vec<f32> {
    // The sum of some evenly spread numbers is near enough to a normal one for an even direction.
    let vector: Vec<f32> = (0..dimensions).map(|_| (0..4).map(|_| random.random_range(-1.0..1.0_f32)).sum()).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}
