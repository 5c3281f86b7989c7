//! How long something takes: a bar on a terminal, elsewhere a line now and then. On standard error, so that it disturbs no pipe.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// How often a line is printed where there is no terminal.
const PLAIN: Duration = Duration::from_secs(3);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things, with their name in the plural.
    Count(&'static str),
    /// Bytes of files.
    Bytes,
}

impl Unit {
    fn show(self, number: u64) -> String {
        match self {
            Self::Count(_) => HumanCount(number).to_string(),
            Self::Bytes => HumanBytes(number).to_string(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Count(name) => name,
            Self::Bytes => "read",
        }
    }
}

/// Progress of one piece of work.
pub struct Progress {
    title: String,
    unit: Unit,
    total: u64,
    done: u64,
    begun: Instant,
    look: Look,
}

enum Look {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// Begins; nothing is printed where there is no terminal until it has taken a while.
    pub fn begin(title: &str, total: u64, unit: Unit) -> Self {
        let look = if io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_message(title.to_owned()).with_style(style(unit));
            bar.enable_steady_tick(Duration::from_millis(150));
            Look::Bar(bar)
        } else {
            Look::Lines { last: Instant::now() }
        };
        Self { title: title.to_owned(), unit, total, done: 0, begun: Instant::now(), look }
    }

    /// So much is done in all.
    pub fn set(&mut self, done: u64) {
        self.done = done;
        match &mut self.look {
            Look::Bar(bar) => {
                if done > self.total {
                    bar.set_length(done);
                }
                bar.set_position(done);
            }
            Look::Lines { last } => {
                if last.elapsed() >= PLAIN {
                    *last = Instant::now();
                    let (done, total) = (self.unit.show(done), self.unit.show(self.total.max(done)));
                    line(&format!("{}: {done} of {total} {}", self.title, self.unit.name()));
                }
            }
        }
    }

    /// So much more is done.
    pub fn add(&mut self, more: u64) {
        self.set(self.done + more);
    }

    /// Runs something that prints to standard error without tearing the bar.
    pub fn aside(&self, print: impl FnOnce()) {
        match &self.look {
            Look::Bar(bar) => bar.suspend(print),
            Look::Lines { .. } => print(),
        }
    }

    /// Takes the bar away; how long it took.
    pub fn end(self) -> Duration {
        if let Look::Bar(bar) = &self.look {
            bar.finish_and_clear();
        }
        self.begun.elapsed()
    }
}

fn style(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Count(name) => {
            format!("{{msg:>22}} {{bar:32.cyan/blue}} {{human_pos}}/{{human_len}} {name}, {{per_sec}}, {{eta}} left")
        }
        Unit::Bytes => "{msg:>22} {bar:32.cyan/blue} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left".to_owned(),
    };
    // A template that does not parse would only cost the looks.
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
