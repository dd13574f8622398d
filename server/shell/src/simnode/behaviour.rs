//! How simulated pods behave: flags of the process, overridden by a pod's annotations.

use std::collections::BTreeMap;
use std::time::Duration;

/// Defaults of all pods of the process. A pod overrides each with the annotation `simulated.trireme.io/<name>`.
#[derive(Clone, Debug, clap::Args)]
pub struct Behaviour {
    /// From being bound to its containers running, milliseconds. Annotation: start-delay-ms.
    #[arg(long, default_value_t = 20)]
    pub start_delay_ms: u64,
    /// From running to ready, milliseconds. Annotation: ready-delay-ms.
    #[arg(long, default_value_t = 20)]
    pub ready_delay_ms: u64,
    /// From SIGTERM to the end, milliseconds (never longer than the grace). Annotation: stop-delay-ms.
    #[arg(long, default_value_t = 10)]
    pub stop_delay_ms: u64,
    /// Cores of each node.
    #[arg(long, default_value = "16")]
    pub node_cpu: String,
    /// Memory of each node.
    #[arg(long, default_value = "64Gi")]
    pub node_memory: String,
    /// Pods of each node at most.
    #[arg(long, default_value_t = 110)]
    pub node_pods: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            start_delay_ms: 20,
            ready_delay_ms: 20,
            stop_delay_ms: 10,
            node_cpu: "16".to_owned(),
            node_memory: "64Gi".to_owned(),
            node_pods: 110,
        }
    }
}

/// How one pod behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) start: Duration,
    pub(super) ready: Duration,
    pub(super) stop: Duration,
    /// Ends with this code, so long after it started. Annotations: run-for-ms, exit-code.
    pub(super) exit: Option<(Duration, i32)>,
}

impl Behaviour {
    /// The script of a pod with these annotations. A number that cannot be read counts as absent.
    pub(super) fn script(&self, annotations: &BTreeMap<String, String>) -> Script {
        let number =
            |name: &str| annotations.get(&format!("simulated.trireme.io/{name}")).and_then(|v| v.parse::<u64>().ok());
        let ms = |name: &str, default: u64| Duration::from_millis(number(name).unwrap_or(default));
        let exit_code = annotations.get("simulated.trireme.io/exit-code").and_then(|v| v.parse::<i32>().ok());
        let run_for = number("run-for-ms");
        Script {
            start: ms("start-delay-ms", self.start_delay_ms),
            ready: ms("ready-delay-ms", self.ready_delay_ms),
            stop: ms("stop-delay-ms", self.stop_delay_ms),
            exit: (run_for.is_some() || exit_code.is_some())
                .then(|| (Duration::from_millis(run_for.unwrap_or(0)), exit_code.unwrap_or(0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_override_the_flags() {
        let behaviour = Behaviour::default();
        let annotations: BTreeMap<String, String> =
            [("start-delay-ms", "5"), ("exit-code", "3"), ("ready-delay-ms", "soon")]
                .map(|(k, v)| (format!("simulated.trireme.io/{k}"), v.to_owned()))
                .into();
        let script = behaviour.script(&annotations);
        assert_eq!(script.start, Duration::from_millis(5));
        assert_eq!(script.ready, Duration::from_millis(20));
        assert_eq!(script.exit, Some((Duration::ZERO, 3)));
        assert_eq!(behaviour.script(&BTreeMap::new()).exit, None);
    }
}
