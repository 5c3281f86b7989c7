//! The tour of the README: its commands and the answers that it shows, taken out of the document and tried on the demo.

use futures_util::StreamExt;
use serde_json::Value as Json;

use super::quipu::{Quipu, Running};

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

/// What the README says to do, with what it says comes of it.
pub struct Tour {
    /// Names of variables with the arguments of `quipu token` that fill them.
    tokens: Vec<(String, Vec<String>)>,
    steps: Vec<Step>,
    live: Live,
}

/// A query, asked once for each token, and an answer for each.
struct Step {
    tokens: Vec<String>,
    query: String,
    answers: Vec<Json>,
}

/// A subscription, a mutation, and what each says.
struct Live {
    subscription: Json,
    mutation: Json,
    answer: Json,
    event: Json,
}

/// The blocks of the document between two headings: the language and the text.
fn blocks(from: &str, to: &str) -> Vec<(&'static str, &'static str)> {
    let tour = README.split_once(from).and_then(|(_, rest)| rest.split_once(to)).expect("the headings").0;
    let fenced = tour.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').expect("a language")).collect()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(found, _)| found)
}

/// Words of a shell; single quotes hold a word together.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("there is one").push(c),
        }
    }
    words
}

fn values(text: &str) -> Vec<Json> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Tour {
    pub fn read() -> Self {
        let blocks = blocks("\n## Five minutes\n", "\n### What happens inside\n");
        let mut tour = Vec::new();
        let mut tokens = Vec::new();
        let mut bodies = Vec::new();
        for (at, (_, text)) in blocks.iter().enumerate() {
            let next = blocks.get(at + 1).map_or("", |(_, text)| text);
            if let Some(query) = between(text, "<<'QUERY'\n", "\nQUERY") {
                let whom = between(text, "for TOKEN in ", ";").or_else(|| between(text, "ask ", " <<"));
                let whom =
                    whom.expect("tokens").split(' ').map(|name| name.trim_start_matches('$').to_owned()).collect();
                tour.push(Step { tokens: whom, query: query.to_owned(), answers: values(next) });
            } else if let Some(body) = between(text, "-d '", "'\n") {
                bodies.push((values(body).remove(0), next));
            }
            let minted = text.lines().filter_map(|line| line.split_once("=$(quipu token "));
            tokens.extend(minted.map(|(name, args)| (name.to_owned(), words(args.trim_end_matches(')')))));
        }
        let told = blocks.iter().find(|(language, _)| *language == "text").expect("an event").1;
        let [(subscription, _), (mutation, answer)] = bodies.try_into().expect("a subscription and a mutation");
        let event = values(between(told, "data: ", "\n").expect("data")).remove(0);
        let live = Live { subscription, mutation, answer: values(answer).remove(0), event };
        Self { tokens, steps: tour, live }
    }

    fn minted(&self, quipu: &Quipu, config: &str) -> Vec<(&str, String)> {
        let mint = |args: &[String]| {
            let args: Vec<&str> = ["token"].into_iter().chain(args.iter().map(String::as_str)).collect();
            let ended = quipu.run(&[&args[..], &["--config", config]].concat());
            assert_eq!(ended.code, Some(0), "{ended:?}");
            ended.out.trim().to_owned()
        };
        self.tokens.iter().map(|(name, args)| (name.as_str(), mint(args))).collect()
    }

    /// Asks the queries that need the model, or the others; how many there were.
    pub async fn ask(&self, quipu: &Quipu, running: &Running, config: &str, by_meaning: bool) -> usize {
        let tokens = self.minted(quipu, config);
        let needs = |step: &&Step| (step.query.contains("Similar(") || step.query.contains("search(")) == by_meaning;
        let mut count = 0;
        for step in self.steps.iter().filter(needs) {
            assert_eq!(step.tokens.len(), step.answers.len(), "an answer for each token: {}", step.query);
            for (name, expected) in step.tokens.iter().zip(&step.answers) {
                let token = &tokens.iter().find(|(known, _)| known == name).expect("a token of the tour").1;
                let answer = running.ask(token, &step.query).await;
                assert!(fits(expected, &answer), "{}\nanswers ${name}\n{answer:#}\nand not\n{expected:#}", step.query);
            }
            count += 1;
        }
        count
    }

    /// Subscribes, changes what is subscribed to, and hears of it.
    pub async fn live(&self, quipu: &Quipu, running: &Running, config: &str) {
        let tokens = self.minted(quipu, config);
        let token = &tokens.iter().find(|(name, _)| *name == "ADMIN").expect("an administrator").1;
        let url = format!("http://{}/graphql", running.address);
        let post = |body: &Json| reqwest::Client::new().post(&url).bearer_auth(token).json(body);
        let stream =
            post(&self.live.subscription).header("accept", "text/event-stream").send().await.expect("it answers");
        let mut stream = stream.bytes_stream();
        // A subscription begins a moment after it was asked for.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        let answer: Json = post(&self.live.mutation).send().await.expect("it answers").json().await.expect("JSON");
        assert!(fits(&self.live.answer, &answer), "{answer:#}\nand not\n{:#}", self.live.answer);
        let mut text = String::new();
        while !text.contains("event: next") || !text.ends_with("\n\n") {
            let chunk =
                tokio::time::timeout(std::time::Duration::from_secs(20), stream.next()).await.expect("an event");
            text.push_str(std::str::from_utf8(&chunk.expect("more").expect("bytes")).expect("UTF-8"));
        }
        let mut event = values(between(&text, "data: ", "\n").expect("data")).remove(0);
        let mut expected = self.live.event.clone();
        for event in [&mut event, &mut expected] {
            assert!(event["data"]["deviceUpdated"]["at"].take().as_str().is_some_and(|at| at.ends_with('Z')));
        }
        assert_eq!(event, expected);
    }
}

/// Whether an answer is what the document shows: texts may be cut where it says `...`, and numbers are rounded as it has them.
fn fits(shown: &Json, answer: &Json) -> bool {
    match (shown, answer) {
        (Json::Object(shown), Json::Object(answer)) => {
            shown.keys().eq(answer.keys()) && shown.iter().all(|(name, value)| fits(value, &answer[name]))
        }
        (Json::Array(shown), Json::Array(answer)) => {
            shown.len() == answer.len() && shown.iter().zip(answer).all(|(shown, answer)| fits(shown, answer))
        }
        (Json::String(shown), Json::String(answer)) => match shown.strip_suffix("...") {
            Some(begin) => answer.starts_with(begin),
            None => shown == answer,
        },
        (Json::Number(shown), Json::Number(answer)) if shown.is_f64() => {
            let decimals = shown.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
            let rounded = answer.as_f64().map(|answer| format!("{answer:.decimals$}"));
            rounded.and_then(|rounded| rounded.parse::<f64>().ok()) == shown.as_f64()
        }
        (shown, answer) => shown == answer,
    }
}

#[test]
fn the_tour_is_read_whole() {
    let tour = Tour::read();
    assert_eq!(
        tour.tokens.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["LIBRARY", "ADMIN", "EU", "APAC"]
    );
    assert_eq!(tour.tokens[2].1, ["--tenant", "cryox", "--subject", "eva", "--claim", "regions=[\"EU\"]"]);
    assert_eq!(tour.steps.len(), README.matches("<<'QUERY'").count());
    assert_eq!(tour.steps.iter().map(|step| step.answers.len()).collect::<Vec<_>>(), [1, 1, 1, 1, 2, 3]);
}

#[test]
fn an_answer_fits_when_only_what_is_cut_or_rounded_differs() {
    let one = |text: &str| values(text).remove(0);
    for (shown, answer, same) in [
        (r#"{"a": "long ...", "s": 0.032}"#, r#"{"a": "long text", "s": 0.03226}"#, true),
        (r#"{"s": 0.032}"#, r#"{"s": 0.0331}"#, false),
        (r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#, false),
        (r#"["a"]"#, r#"["a", "b"]"#, false),
        (r#""long""#, r#""longer""#, false),
    ] {
        assert_eq!(fits(&one(shown), &one(answer)), same, "{shown} {answer}");
    }
}
