//! Tables of text, and what stands in several of them.

/// Columns as wide as they must be, two spaces between them.
pub fn table<const N: usize>(lines: &[[String; N]]) -> String {
    let widths: Vec<usize> =
        (0..N).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()).collect();
    let line = |cells: &[String; N]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// A position, compared with the log's head.
pub fn stands(position: u64, head: u64) -> String {
    match head.saturating_sub(position) {
        0 => "in step".to_owned(),
        behind => format!("{position}, {behind} behind"),
    }
}
