//! Runs the binary in a folder of its own, with an environment that holds nothing but what a test says.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// A farm: nodes with a rule, a relationship with properties, rows.
pub const FARM: &str = r#"
type Farm @node @authorization(filter: [
  { where: { node: { region: { in: "$jwt.regions" } } } }
  { where: { jwt: { roles: { includes: "admin" } } } }
]) {
  id: ID!
  name: String! @unique
  region: String!
  about: String @embed
  keeps: [Animal!]! @relationship(type: "KEEPS", direction: OUT, properties: "Keeping")
  bills: [Bill!]! @join(on: "farm_id")
}
type Animal @node { id: ID!  kind: String! }
type Keeping @relationshipProperties { since: Date! }
type Bill @table(name: "bills") { id: ID!  amount: Int!  farm: Farm @join(by: "farm_id") }
"#;

/// A folder with settings, and what commands said there.
pub struct Quipu {
    folder: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Quipu {
    /// An empty folder with settings.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let quipu = Self { folder };
        quipu.file("secret", "0123456789abcdef0123456789abcdef");
        quipu.file("quipu.toml", "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n");
        quipu
    }

    /// As `new`, with the farm published for the tenant `farm`.
    pub fn with_farm() -> Self {
        let quipu = Self::empty();
        quipu.file("farm.graphql", FARM);
        let ended = quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        quipu
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the folder can be written");
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, &[])
    }

    /// Runs a command with variables in its environment.
    pub fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Ended {
        let output = self.command(args).envs(variables.iter().copied()).output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command that reads this from standard input.
    pub fn run_reading(&self, args: &[&str], input: &str) -> Ended {
        // From a file, so that nothing has to be written while the command runs.
        let input = fs::File::open(self.file("standard-input", input)).expect("just written");
        let output = self.command(args).stdin(input).output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Starts a command that serves, and waits until it says where.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        // Read all the time: a full pipe would stop the server.
        let mut err = child.stderr.take().expect("piped");
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        out.read_line(&mut line).expect("standard output can be read");
        let Some(address) = line.trim().strip_prefix("quipu serves on http://") else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{line:?} does not say where it serves: {}", err.join().expect("no panic"));
        };
        Running { address: address.parse().expect("an address"), child, out, err: Some(err) }
    }

    /// Starts a command and ends it as a power cut would, once `when` holds.
    pub fn kill_when(&self, args: &[&str], when: impl Fn(&Path) -> bool) {
        let mut child =
            self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let begun = Instant::now();
        while !when(self.folder.path()) {
            assert!(begun.elapsed() < Duration::from_secs(120), "it does not come to that");
            assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().expect("it runs");
        child.wait().expect("it ended");
    }

    /// A token for the tenant.
    pub fn token(&self, tenant: &str, more: &[&str]) -> String {
        let ended = self.run(&[&["token", "--tenant", tenant], more].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.out.trim().to_owned()
    }

    /// The answer that `explain` ends with.
    pub fn answer(&self, tenant: &str, query: &str, more: &[&str]) -> Json {
        self.file("query.graphql", query);
        let ended = self.run(&[&["explain", "--tenant", tenant, "query.graphql"], more].concat());
        let last = ended.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("no answer: {ended:?}"))
    }
}

/// A server that runs until it is dropped.
pub struct Running {
    /// Where it answers.
    pub address: SocketAddr,
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    err: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    /// Asks a query; the whole response.
    pub async fn ask(&self, token: &str, query: &str) -> Json {
        self.ask_at(token, query, &Json::Null).await
    }

    /// Asks a query with the position that an earlier answer told.
    pub async fn ask_at(&self, token: &str, query: &str, position: &Json) -> Json {
        let client = reqwest::Client::new();
        let request = client.post(format!("http://{}/graphql", self.address)).bearer_auth(token);
        let body = json!({ "query": query, "extensions": { "position": position } });
        let response = request.json(&body).send().await.expect("it answers");
        response.json().await.expect("JSON")
    }

    /// What is at a path.
    pub async fn text(&self, path: &str) -> String {
        let response = reqwest::get(format!("http://{}{path}", self.address)).await.expect("it answers");
        response.text().await.expect("text")
    }

    /// Asks again until the answer fits; a busy machine gets longer than the second that a user waits.
    pub async fn soon(&self, token: &str, query: &str, fits: impl Fn(&Json) -> bool) {
        let begun = Instant::now();
        loop {
            let answer = self.ask(token, query).await;
            if fits(&answer) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "still {answer}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("standard output can be read");
        line
    }

    /// Sends a signal to it.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Its number, for `/proc`.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop as a service manager does; how it ended, and what it said after the address.
    pub fn stop(mut self) -> Ended {
        self.signal("-TERM");
        let status = self.child.wait().expect("it ended");
        let mut out = String::new();
        let _ = self.out.read_to_string(&mut out);
        let err = self.err.take().map(|err| err.join().expect("no panic")).unwrap_or_default();
        Ended { code: status.code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
