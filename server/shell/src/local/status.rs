//! `./x status`: processes, who leads, how far each master is.

use std::time::Duration;

use anyhow::{Context, Result};

use super::layout::Layout;
use super::process::State;
use crate::health;

/// Prints one line a process.
pub async fn print(layout: &Layout) -> Result<()> {
    let ca_pem = std::fs::read_to_string(layout.ca()).context("reading the CA certificate")?;
    let tls = crate::tls::anonymous_client(&ca_pem)?;
    say!("{:<7}{:<9}{:<22}{}", "NAME", "PID", "ADDRESS", "STATE");
    for process in layout.processes() {
        let address = process.ports.first().map(|(_, port)| super::layout::loopback(*port));
        let (pid, state) = match process.state() {
            State::Absent => ("-".to_owned(), "stopped".to_owned()),
            State::Stale => ("-".to_owned(), "dead (it did not stop by itself)".to_owned()),
            State::Dying => ("-".to_owned(), "dying".to_owned()),
            State::Running(pid) => {
                let state = match address {
                    None => "running".to_owned(),
                    Some(address) if health::ready(address, &tls, Duration::from_secs(1)).await => {
                        role(layout, &process.name).await.unwrap_or_else(|| "ready".to_owned())
                    }
                    Some(_) => "not ready".to_owned(),
                };
                (pid.to_string(), state)
            }
        };
        let address = address.map_or_else(|| "-".to_owned(), |a| a.to_string());
        say!("{:<7}{pid:<9}{address:<22}{state}", process.name);
    }
    say!("\nkubeconfig: {}", layout.kubeconfig().display());
    Ok(())
}

/// What a master says of itself at `/trireme/standing`, asked as the administrator.
async fn role(layout: &Layout, name: &str) -> Option<String> {
    let index = super::layout::index_of(name)?;
    let body = crate::observe::report::ask(layout.api(index), &layout.ca(), &layout.dir.join("admin")).await.ok()?;
    Some(format!("{}, term {}, revision {}", if body.leads { "leader" } else { "follower" }, body.term, body.revision))
}
