//! `trireme cluster`: who the masters are, and how they come and go.

pub mod access;
pub mod output;
mod recover;

use std::time::Duration;

use anyhow::{Context, Result};
use api_client::{Client, v1};

use access::Access;
use output::Output;

/// `trireme cluster`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    /// How to print: table, json, yaml.
    #[arg(short, long, global = true, default_value = "table")]
    output: Output,
    /// How long an order may take, seconds.
    #[arg(long, global = true, default_value_t = 30)]
    timeout_s: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the members: who leads, who votes, how far each is.
    Status,
    /// Make a token, and print the command that a new master joins with.
    Add {
        /// For a member of this name only; that of a dead master replaces it.
        #[arg(long)]
        name: Option<String>,
        /// For a read replica, which serves everything and never votes.
        #[arg(long)]
        replica: bool,
        /// How long the token lasts, seconds.
        #[arg(long, default_value_t = 600)]
        ttl_s: u32,
    },
    /// Let a master vote that was demoted.
    Promote {
        /// Name or id.
        member: String,
    },
    /// Take a voter's vote; it goes on serving.
    Demote {
        /// Name or id.
        member: String,
    },
    /// Remove a member for good, dead or alive.
    Remove {
        /// Name or id.
        member: String,
    },
    /// Hand leadership to a member.
    Transfer {
        /// Name or id.
        member: String,
    },
    /// Make a new cluster of one stopped survivor, when the quorum of the old one is lost for good.
    Recover(recover::Recover),
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    if let Command::Recover(recover) = args.command {
        return recover.run(args.output).await;
    }
    let client = args.access.client(Duration::from_secs(args.timeout_s))?;
    let output = args.output;
    match args.command {
        Command::Status => {
            let status = client.cluster_status().await.context("asking for the cluster's status")?;
            output.status(&status)
        }
        Command::Add { name, replica, ttl_s } => add(&client, output, name, replica, ttl_s).await,
        Command::Promote { member } => {
            let note = client.promote(&member).await.with_context(|| format!("promoting {member}"))?;
            output.changed(&member, "votes", &note)
        }
        Command::Demote { member } => {
            let note = client.demote(&member).await.with_context(|| format!("demoting {member}"))?;
            output.changed(&member, "does not vote any more", &note)
        }
        Command::Remove { member } => {
            let note = client.remove(&member).await.with_context(|| format!("removing {member}"))?;
            output.changed(&member, "is removed", &note)
        }
        Command::Transfer { member } => {
            let note = client.transfer_leadership(&member).await;
            output.changed(&member, "leads", &note.with_context(|| format!("handing leadership to {member}"))?)
        }
        Command::Recover(_) => unreachable!("seen to above"),
    }
}

async fn add(client: &Client, output: Output, name: Option<String>, replica: bool, ttl_s: u32) -> Result<()> {
    let request = v1::CreateTokenRequest { ttl_s, replica, name: name.clone().unwrap_or_default() };
    let token = client.create_token(request).await.context("making a token")?;
    output.token(&token, name.as_deref().unwrap_or("<name>"), replica)
}
