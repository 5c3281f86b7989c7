//! Chunks of ordinary and of hostile texts.

use super::*;
use proptest::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};

fn tokenizer() -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2");
    crate::ingest::embed::ModelConfig::read(&folder).unwrap().tokenizer().unwrap()
}

fn passages() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/demo/musique/passages.jsonl");
    let text =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    std::fs::read_to_string(file).unwrap().lines().map(text).collect()
}

/// What holds for every text: chunks are in order, fit, are trimmed, agree in bytes and characters, and miss nothing but blanks.
fn check(text: &str, sizer: &dyn TokenCount, max: usize, overlap: usize) -> Vec<String> {
    let spans = split(text, sizer, max, overlap);
    let (mut covered, mut last, mut last_char) = (0, 0, 0);
    for span in &spans {
        let chunk = &text[span.start_byte..span.end_byte];
        assert!(!chunk.trim().is_empty(), "a chunk says something: {span:?}");
        last_char += text[last..span.start_byte].chars().count();
        assert_eq!(last_char, span.start_char);
        assert_eq!(chunk.chars().count(), span.end_char - span.start_char);
        assert!(
            sizer.count(chunk) <= max && chunk.len() <= max * BYTES_PER_TOKEN,
            "{} tokens, {span:?}",
            sizer.count(chunk)
        );
        if span.start_byte > covered {
            let between = &text[covered..span.start_byte];
            assert!(between.trim().is_empty(), "lost: {between:?}");
        }
        assert!(span.end_byte > covered, "a chunk adds something: {span:?}");
        assert!(covered == 0 || span.start_byte > last, "{span:?}");
        assert!(overlap > 0 || span.start_byte >= covered, "no overlap was asked for: {span:?}");
        (covered, last) = (span.end_byte, span.start_byte);
    }
    assert!(text[covered..].trim().is_empty(), "lost the end: {:?}", &text[covered..]);
    spans.iter().map(|span| text[span.start_byte..span.end_byte].to_owned()).collect()
}

#[test]
fn a_passage_that_fits_is_one_chunk() {
    let tokenizer = tokenizer();
    for passage in passages().iter().take(50).filter(|passage| tokenizer.count(passage) <= 256) {
        assert_eq!(check(passage, &tokenizer, 256, 32), [passage.trim()]);
    }
    assert_eq!(check("  one\n\ntwo \n", &tokenizer, 256, 0), ["one\n\ntwo"]);
}

#[test]
fn blank_texts_have_no_chunk() {
    for text in ["", " ", "\n\t \r\n", &" ".repeat(1_000_000)] {
        assert_eq!(split(text, &tokenizer(), 256, 32), [], "{} bytes", text.len());
    }
}

#[test]
fn chunks_end_where_the_text_does() {
    let manual = "# Doors\n\nKeep the doors shut. An open door costs a degree a minute.\n\n## Alarm\n\nThe alarm rings after three \
                  minutes. Confirm it at the panel.\n\n## Power\n\nThe battery lasts eight hours. Replace it every second year.\n";
    assert_eq!(
        check(manual, &tokenizer(), 26, 0),
        [
            "# Doors\n\nKeep the doors shut. An open door costs a degree a minute.",
            "## Alarm\n\nThe alarm rings after three minutes. Confirm it at the panel.",
            "## Power\n\nThe battery lasts eight hours. Replace it every second year."
        ]
    );
    let sentences = "The first sentence is here. The second one follows it. A third one ends the text.";
    let chunks = check(sentences, &tokenizer(), 16, 0);
    assert_eq!(chunks, ["The first sentence is here. The second one follows it.", "A third one ends the text."]);
}

#[test]
fn neighbours_share_whole_sentences() {
    let text = passages()[..12].join(" ");
    let tokenizer = tokenizer();
    let (apart, sharing) = (check(&text, &tokenizer, 128, 0), check(&text, &tokenizer, 128, 40));
    let bytes = |chunks: &[String]| chunks.iter().map(String::len).sum::<usize>();
    assert!(bytes(&apart) <= text.len());
    assert!(bytes(&sharing) > text.len(), "{} of {}", bytes(&sharing), text.len());
    check(&text, &tokenizer, 128, 10_000);
}

#[test]
fn hostile_texts_are_split_in_time() {
    let tokenizer = tokenizer();
    let size = 40_000;
    let many = |piece: &str| piece.repeat(size / piece.len());
    let texts = [
        many("x"),
        many("\u{0}\u{1}\u{7}"),
        many("\u{200B}"),
        many("x\n"),
        many("a\n\n"),
        many("a        "),
        many("."),
        many(">"),
        many("> "),
        many("["),
        many("*a "),
        many("- "),
        many("`"),
        many("|"),
        many("<a "),
        many("# x\n"),
        many("冷链物流"),
        many("e\u{301}\u{301}\u{301}"),
        many("👩‍👩‍👧"),
        many("a b. C d! \u{202E}e\r\n"),
    ];
    for text in &texts {
        let (started, start) = (Instant::now(), text.chars().take(6).collect::<String>());
        let chunks = check(text, &tokenizer, 256, 32).len();
        assert!(chunks >= text.len() / (256 * BYTES_PER_TOKEN), "{chunks} chunks of {start:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?} for {start:?}", started.elapsed());
    }
}

#[test]
fn a_megabyte_is_split_in_time() {
    let text = passages().join("\n\n");
    for (sizer, length) in [(&Words as &dyn TokenCount, 1_000_000), (&tokenizer(), 100_000)] {
        let started = Instant::now();
        let chunks = check(&text[..text.floor_char_boundary(length)], sizer, 256, 32).len();
        assert!((length / 1_400..length / 700).contains(&chunks), "{chunks}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?} for {length} bytes", started.elapsed());
    }
}

#[test]
fn windows_leave_no_trace() {
    let text = passages()[..400].join("\n\n");
    assert!(text.len() > 10 * 256 * WINDOW_PER_TOKEN);
    let chunks = check(&text, &Words, 256, 0);
    let short = chunks.iter().filter(|chunk| Words.count(chunk) < 30).count();
    assert!(short * 50 < chunks.len(), "{short} short chunks of {}", chunks.len());
}

#[test]
fn words_are_counted_like_tokens() {
    let tokenizer = tokenizer();
    let (mut words, mut tokens) = (0, 0);
    for passage in passages().iter().take(300) {
        words += Words.count(passage);
        tokens += tokenizer.count(passage);
    }
    let ratio = words as f64 / tokens as f64;
    assert!((1.0..1.25).contains(&ratio), "{words} words for {tokens} tokens: {ratio}");
    assert_eq!(Words.count("Café d'été: 冷链 🧊"), 2 + 1 + 3 + 1 + 2 + 1);
    assert_eq!(Words.count(""), 2);
}

/// Prose, markup, long words, scripts without blanks and anything else, up to a few windows of it.
fn any_text() -> impl Strategy<Value = String> {
    let piece = r"(\PC{0,9}|[a-z]{1,60}|[ \n\t#>*`|-]{1,5}|[a-z]{1,8}[.,;] |冷链|\PC)";
    proptest::string::string_regex(&format!("{piece}{{0,300}}")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_the_text(text in any_text(), max in 20_usize..60, overlap in 0_usize..40) {
        check(&text, &Words, max, overlap);
    }
}

#[test]
fn whatever_the_text_by_tokens() {
    let tokenizer = tokenizer();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(30)
    });
    let texts = (any_text(), 20_usize..60, 0_usize..40);
    let outcome = runner.run(&texts, |(text, max, overlap)| {
        check(&text, &tokenizer, max, overlap);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn tiny_limits_end() {
    for max in 0..12 {
        let spans = split("Some words, and some more; 冷链物流 e\u{301}!", &Words, max, max);
        assert!(!spans.is_empty());
    }
}
