//! What searches in Qdrant find of the ten nearest, through the adapter, and how long they take. Vectors are clustered, as those of texts are; what
//! is nearest is counted out here, one by one.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qdrant_client::Qdrant as Plain;
use qdrant_client::qdrant::CollectionStatus;
use quipu::stores::apart::{self, Bare};
use quipu::stores::qdrant::{Options, Qdrant};
use quipu_resolvers::change::Ref;
use quipu_resolvers::guard::{self, Principal, TenantId};
use quipu_resolvers::ports::{Call, Hit, Nearest, Trace, VectorChange, Vectors, Within};
use quipu_resolvers::read::{Field, Predicate, Stored};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Scalar;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::data;
use super::load::percentile;
use super::report::table;
use super::world::{World, principal, tenant};

const SDL: &str = include_str!("../passages.graphql");
const DIMENSIONS: usize = 384;
const WANTED: usize = 10;
/// Vectors of one topic, on average.
const TOPIC: usize = 100;
/// How far vectors are from the middle of their topic, for each number; the middle has length 1.
const SPREAD: f32 = 0.04;

/// Vectors in the order of their numbers, one after the other.
struct Space {
    numbers: Vec<f32>,
}

impl Space {
    /// Vectors around seeded topics, and as many questions around the same.
    fn of(vectors: usize, seed: u64) -> (Self, Self) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let topics: Vec<Vec<f32>> = (0..vectors.div_ceil(TOPIC)).map(|_| unit(even(&mut random))).collect();
        let mut near = |count: usize| {
            let mut numbers = Vec::with_capacity(count * DIMENSIONS);
            for _ in 0..count {
                let topic = &topics[random.random_range(0..topics.len())];
                let off = even(&mut random);
                numbers.extend(unit(topic.iter().zip(off).map(|(middle, off)| middle + SPREAD * off).collect()));
            }
            Self { numbers }
        };
        (near(vectors), near(QUESTIONS))
    }

    fn all(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks_exact(DIMENSIONS)
    }

    /// The numbers of those nearest to a vector, of those that pass.
    fn nearest(&self, to: &[f32], passes: impl Fn(usize) -> bool) -> HashSet<String> {
        let cosine = |vector: &[f32]| vector.iter().zip(to).map(|(a, b)| a * b).sum::<f32>();
        let passing = self.all().enumerate().filter(|(n, _)| passes(*n));
        let mut all: Vec<(f32, usize)> = passing.map(|(n, vector)| (cosine(vector), n)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.into_iter().take(WANTED).map(|(_, n)| format!("p{n}")).collect()
    }
}

/// Most questions that are asked.
const QUESTIONS: usize = 1_000;

fn even(random: &mut ChaCha8Rng) -> Vec<f32> {
    // The sum of some evenly spread numbers is near enough to a normal one for an even direction.
    (0..DIMENSIONS).map(|_| (0..4).map(|_| random.random_range(-1.0..1.0_f32)).sum()).collect()
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

/// What was found, of what was there to be found.
struct Found {
    what: &'static str,
    share: f64,
    whole: usize,
    times: Vec<Duration>,
}

/// Loads vectors of two tenants into a server, a tenth of them another tenant's, and asks.
pub async fn measure(directory: &Path, url: &str, vectors: usize, questions: usize) {
    // A file for the conditions: which records there are, and in which language.
    let world = World::open(&directory.join(format!("recall-{vectors}.db")), SDL).await;
    data::passages(&directory.join(format!("recall-{vectors}.db")), vectors).await;
    let (address, key) = url.rsplit_once('@').map_or((url.to_owned(), None), |(front, host)| {
        (format!("qdrant://{host}"), front.split_once("://").map(|(_, key)| key.to_owned()))
    });
    let prefix = format!("recall-{}", std::process::id());
    let options = Options {
        url: address.clone(),
        key: key.clone(),
        prefix,
        model: "bench".to_owned(),
        dimension: DIMENSIONS,
        ..Options::default()
    };
    let qdrant = Qdrant::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
    let plain = Plain::from_url(&address.replace("qdrant://", "http://"))
        .api_key(key)
        .skip_compatibility_check()
        .build()
        .expect("a client");
    let names = qdrant.collections().map(str::to_owned);
    let (space, asked) = Space::of(vectors, 1);
    let (beside, _) = Space::of(vectors / 9, 2);
    let begun = Instant::now();
    let other = TenantId::parse("other").expect("a name");
    for (tenant, space) in [(tenant(), &space), (other, &beside)] {
        load(&qdrant, &tenant, space).await;
    }
    let stored = begun.elapsed();
    ready(&plain, &names[0]).await;
    eprintln!("{} vectors are stored after {stored:?}, and indexed after {:?}", vectors + vectors / 9, begun.elapsed());
    let all = apart::over(Arc::new(qdrant.clone()), world.ports.graph.clone(), world.ports.metadata.clone());
    let mut rows = Vec::new();
    let asked: Vec<&[f32]> = asked.all().take(questions).collect();
    let found = [
        walked(&world, &qdrant, (&space, &asked)).await,
        searched(&world, &*all, (&space, &asked), ("search without a condition", 1)).await,
        searched(&world, &*all, (&space, &asked), ("search, one record in ten meets the condition", 10)).await,
    ];
    for Found { what, share, whole, mut times } in found {
        times.sort_unstable();
        let at = |percent| format!("{:.1}", percentile(&times, percent));
        rows.push(vec![what.to_owned(), format!("**{share:.4}**"), format!("{whole} of {questions}"), at(50), at(95)]);
    }
    let head = ["what", "of the ten nearest", "questions with all ten", "p50 ms", "p95 ms"];
    table(&format!("recall in Qdrant among {vectors} vectors of a tenant, {questions} questions"), &head, &rows);
    for name in names {
        plain.delete_collection(name).await.expect("it is removed");
    }
}

async fn load(qdrant: &Qdrant, tenant: &TenantId, space: &Space) {
    let all: Vec<(usize, &[f32])> = space.all().enumerate().collect();
    for (at, batch) in all.chunks(2_000).enumerate() {
        let change = |(n, vector): &(usize, &[f32])| VectorChange {
            record: Ref { of: "Passage".into(), id: format!("p{n}") },
            property: Some("text".into()),
            vector: Some(vector.to_vec()),
        };
        let changes: Vec<VectorChange> = batch.iter().map(change).collect();
        qdrant.apply(tenant, at as u64 + 1, &changes).await.expect("the vectors are stored");
    }
}

/// Waits until the server has nothing left to index.
async fn ready(plain: &Plain, name: &str) {
    let mut calm = 0;
    while calm < 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let info = plain.collection_info(name).await.expect("it answers").result.expect("a collection");
        let green = info.status == CollectionStatus::Green as i32;
        calm = if green { calm + 1 } else { 0 };
        if calm == 3 {
            eprintln!("{:?} vectors are in the index", info.indexed_vectors_count);
        }
    }
}

/// A search of passages in one of so many languages.
fn search(
    principal: &Principal,
    world: &World,
    vector: &[f32],
    languages: usize,
    question: usize,
) -> guard::Allowed<Nearest> {
    let language =
        Stored { name: "language".into(), scalar: Scalar::String, list: false, nullable: false, indexed: false };
    let filter = match languages {
        1 => Predicate::True,
        _ => Predicate::equals(
            Field::Property(language),
            Value::from(format!("language-{}", question % languages).as_str()),
        ),
    };
    let within = Within { of: "Passage".into(), row: false, filter, visible: Predicate::True };
    let nearest = Nearest { within, property: "text".into(), vector: vector.to_vec(), limit: WANTED as u32 };
    guard::nearest(principal, &world.bound.served().ontology, nearest).expect("it may be asked")
}

/// Ten by a walk of the index among the tenant's, with nothing around it.
async fn walked(world: &World, qdrant: &Qdrant, (space, asked): (&Space, &[&[f32]])) -> Found {
    let mut found = Found { what: "a walk for ten", share: 0.0, whole: 0, times: Vec::new() };
    for (question, vector) in asked.iter().enumerate() {
        let nearest = search(&principal(), world, vector, 1, question);
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + Duration::from_secs(30), trace: &trace };
        let begun = Instant::now();
        let hits = qdrant.nearest(&nearest, WANTED as u32, call).await.expect("it answers").hits;
        let took = begun.elapsed();
        found.note(took, &hits, &space.nearest(vector, |_| true), asked.len());
    }
    found
}

/// Ten as `xSimilar` finds them.
async fn searched(
    world: &World,
    vectors: &dyn Vectors,
    (space, asked): (&Space, &[&[f32]]),
    (what, languages): (&'static str, usize),
) -> Found {
    let mut found = Found { what, share: 0.0, whole: 0, times: Vec::new() };
    for (question, vector) in asked.iter().enumerate() {
        let nearest = search(&principal(), world, vector, languages, question);
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + Duration::from_secs(30), trace: &trace };
        let begun = Instant::now();
        let hits = vectors.nearest(&nearest, call).await.expect("it answers");
        let took = begun.elapsed();
        let truth = space.nearest(vector, |n| n % languages == question % languages);
        found.note(took, &hits, &truth, asked.len());
    }
    found
}

impl Found {
    fn note(&mut self, took: Duration, hits: &[Hit], truth: &HashSet<String>, questions: usize) {
        assert_eq!((hits.len(), truth.len()), (WANTED, WANTED), "there are ten");
        let right = hits.iter().filter(|hit| truth.contains(&hit.id)).count();
        self.share += right as f64 / (WANTED * questions) as f64;
        self.whole += usize::from(right == WANTED);
        self.times.push(took);
    }
}
