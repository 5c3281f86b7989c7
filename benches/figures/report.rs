//! Tables in Markdown, and medians.

use std::fmt::Write;

/// Prints a table: first its head, then its rows.
pub fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let mut text = format!("\n### {title}\n\n| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    println!("{text}");
}

/// The middle of some numbers.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
