//! Servers as processes of their own, so that their time and memory can be told from the load's.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server in a process of its own; stopped when it is dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Process {
    /// Starts this program again in another role; the role prints its address when it listens.
    pub fn start(role: &str, file: &Path) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(role).arg(file);
        Self::spawn(command)
    }

    /// Starts a server, which prints its address, or a sentence that ends with its URL, when it listens.
    pub fn spawn(mut command: Command) -> Self {
        // Its log goes where a service's would: somewhere else than to a terminal.
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it can be started");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            let read = output.read_line(&mut line).expect("its output can be read");
            assert!(read > 0, "{command:?} did not come up");
            let word = line.split_whitespace().last().unwrap_or_default();
            if let Ok(address) = word.trim_start_matches("http://").trim_end_matches('/').parse() {
                break address;
            }
        };
        // Whatever else it has to say is read, so that it never waits for somebody to read it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, address }
    }

    /// The processor time that it took so far.
    pub fn cpu(&self) -> Duration {
        cpu(self.child.id())
    }
}

/// The processor time that a process took so far, with that of its children that have ended; and of the children that run.
pub fn cpu(pid: u32) -> Duration {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = children.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let all = children.filter_map(|child| {
        let stat = of(child);
        let fields: Vec<u64> = stat.rsplit(") ").next()?.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        // After the name come the state, field 3, and the parent; fields 14 and 15 are user and system time in hundredths of a second.
        let ours = child == pid || fields.get(1) == Some(&u64::from(pid));
        // Fields 16 and 17: the same of children that have ended.
        ours.then(|| fields.iter().skip(11).take(if child == pid { 4 } else { 2 }).sum::<u64>())
    });
    Duration::from_millis(all.sum::<u64>() * 10)
}

/// The memory that a process holds, in bytes; `self` names this one.
pub fn resident(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
