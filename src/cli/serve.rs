//! `quipu serve`, and the serving of the demo.

use std::io;
use std::net::SocketAddr;

use clap::Args;
use tokio::net::TcpListener;

use super::failure::Failure;
use super::print;
use crate::app::App;
use crate::config::Config;
use crate::http::{self, Listeners};
use crate::ops;

/// Serve every published tenant until stopped
///
/// What is published or imported meanwhile, also by another process, is served within a second. SIGTERM or Ctrl-C lets requests
/// finish for as long as `server.drain` says; SIGHUP has files of secrets and certificates looked at again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu serve
  quipu serve --config /etc/quipu/quipu.toml --listen 0.0.0.0:8080
  QUIPU_AUTH_SECRET_FILE=/run/secrets/quipu quipu serve

Paths: /graphql, /auth/session, /auth/sign-in, /auth/refresh, /auth/sign-out, /playground, /healthz, /readyz, /metrics;\n/admin/v1 where `admin.enabled` is set")]
pub struct Serve {
    /// Where to listen; port 0 takes any free one [default: server.listen of the settings]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

impl Serve {
    /// Serves until a signal comes.
    pub async fn run(self, mut config: Config) -> Result<(), Failure> {
        ops::start_log(&config.logs)?;
        config.server.listen = self.listen.unwrap_or(config.server.listen);
        // Asked for first: without keys nothing is opened.
        config.token_keys()?;
        config.cursor_key()?;
        let is_encrypted = http::Tls::of(&config)?.is_some();
        let listener = listen(config.server.listen).await?;
        let admin = match config.admin.listen.filter(|_| config.admin.enabled) {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let is_open = !(is_encrypted || config.tls.by_proxy || config.server.listen.ip().is_loopback());
        let app = App::open(config).await?;
        let scheme = if is_encrypted { "https" } else { "http" };
        announce(&listener, scheme)?;
        if is_open {
            tracing::warn!(
                "tokens and answers can be read on their way: other machines can reach this address, and there is no TLS; set \
                 `tls.certificate` and `tls.key`, or `tls.by_proxy = true` where a proxy sees to it"
            );
        }
        if let Some(admin) = &admin {
            announce_admin(admin, scheme)?;
        }
        app.serve(Listeners { main: listener, admin }, stop_signal()).await?;
        Ok(())
    }
}

/// Takes a port, or says which one is taken and how to choose another.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let (message, help) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                format!("port {} of {} is taken", address.port(), address.ip()),
                "choose another one with --listen, like `--listen 127.0.0.1:8081`; port 0 takes any free one",
            ),
            io::ErrorKind::PermissionDenied => (
                format!("port {} may not be used", address.port()),
                "ports below 1024 need privileges; choose another one with --listen",
            ),
            _ => (format!("cannot listen on {address}: {error}"), "choose an address of this machine with --listen"),
        };
        Failure::refused(message).help(help)
    })
}

/// Says on standard output where requests are answered.
pub fn announce(listener: &TcpListener, scheme: &str) -> Result<SocketAddr, Failure> {
    let address = address(listener)?;
    print(format_args!("quipu serves on {scheme}://{address}\n"));
    Ok(address)
}

fn announce_admin(listener: &TcpListener, scheme: &str) -> Result<(), Failure> {
    print(format_args!("the admin API is on {scheme}://{}/admin/v1\n", address(listener)?));
    Ok(())
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::store(format!("the listener has no address: {error}")))
}

/// Done when the process is asked to stop.
pub async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler the signal ends the process at once, which is safe, too.
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
