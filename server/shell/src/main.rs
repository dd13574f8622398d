//! The binary `trireme`: the only place with clocks, sockets and processes.

/// Prints a line for people. A closed pipe (`./x logs m1 | head`) is no error.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout().lock(), $($part)*);
    }};
}

mod agent;
mod apiclient;
mod authority;
mod backups;
mod certs;
mod cli;
mod clock;
mod cluster;
mod config;
mod credentials;
mod dev;
mod etcd;
mod frontdoor;
mod grpc;
mod health;
mod join;
mod keyring;
mod kubeconfig;
mod local;
mod masters;
mod metrics_port;
mod mistakes;
mod notify;
mod observe;
mod pki;
mod rotation;
mod runtime;
mod serve;
mod server;
mod simnode;
mod snapshot;
mod span;
mod stop;
mod tls;
mod together;
mod tokens;
mod top;
mod traces;
mod ui;
mod web;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc before `main`: one arena a processor, where it would make four; what is free goes back to the system after two
/// seconds, by a thread of the allocator's.
#[expect(unsafe_code, reason = "the name under which jemalloc looks for its options")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8] = b"background_thread:true,percpu_arena:percpu,dirty_decay_ms:2000,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    tls::install_provider();
    abort_on_panic();
    let ready = if planted_bugs::ACTIVE && std::env::var_os(planted_bugs::VARIABLE).is_none() {
        Err(anyhow::anyhow!("this build has bugs planted in it: {} must name one, or none", planted_bugs::VARIABLE))
    } else {
        Ok(())
    };
    match ready.and_then(|()| cli::run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr().lock(), "trireme: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A broken invariant stops the process, in release builds too: a master that goes on with half of its tasks would be
/// worse than one that is gone.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
}
