//! The life of one pod on a node.

use crate::pod::{Container, PodSpec};

/// First pause before a crashed container runs again; doubled each time (as the kubelet's).
const BACKOFF_MIN_US: i64 = 10_000_000;
/// Longest pause.
const BACKOFF_MAX_US: i64 = 300_000_000;
/// A container that ran for so long has its pause forgotten.
const BACKOFF_RESET_US: i64 = 600_000_000;
/// Grace of a pod whose deletion names none.
const GRACE_DEFAULT_S: i64 = 30;

/// What the runtime is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a container.
    Start {
        /// Which.
        container: String,
        /// How often it was restarted before.
        attempt: u32,
    },
    /// Stop a container: SIGTERM, then SIGKILL after the grace.
    Stop {
        /// Which.
        container: String,
        /// Seconds.
        grace_s: i64,
    },
    /// Remove the pod from the API for good (delete with grace 0), naming its uid.
    Remove,
}

/// What the runtime has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The pod's network is up.
    Networked {
        /// Its address.
        ip: String,
    },
    /// A container runs.
    Started {
        /// Which.
        container: String,
    },
    /// A container's readiness changed.
    Ready {
        /// Which.
        container: String,
        /// To what.
        ready: bool,
    },
    /// A container has ended.
    Exited {
        /// Which.
        container: String,
        /// With what.
        exit_code: i32,
    },
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started yet.
    Waiting,
    /// The runtime was told to start it.
    Starting,
    /// It runs.
    Running {
        /// Since when, microseconds since the epoch.
        since_us: i64,
        /// Whether its probes are content.
        ready: bool,
    },
    /// It has ended.
    Exited {
        /// With what.
        exit_code: i32,
        /// When it had started.
        since_us: i64,
        /// When it ended.
        at_us: i64,
    },
}

/// One container's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRun {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Where it stands.
    pub phase: Phase,
    /// How often it was restarted.
    pub restarts: u32,
    /// The pause before its next start.
    pub backoff_us: i64,
    /// How its last run ended: code, start, end.
    pub last: Option<(i32, i64, i64)>,
    stopping: bool,
}

/// One pod's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRun {
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// When this node took it on, microseconds since the epoch.
    pub started_us: i64,
    /// Init containers, in order.
    pub init: Vec<ContainerRun>,
    /// Containers.
    pub containers: Vec<ContainerRun>,
    removed: bool,
}

/// What a look at a pod came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// For the runtime.
    pub actions: Vec<Action>,
    /// Look again at this time, even if nothing is observed.
    pub again_at_us: Option<i64>,
}

impl ContainerRun {
    fn new(container: &Container, restarts: u32) -> Self {
        Self {
            name: container.name.clone(),
            image: container.image.clone(),
            phase: Phase::Waiting,
            restarts,
            backoff_us: 0,
            last: None,
            stopping: false,
        }
    }

    fn active(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running { .. })
    }

    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        matches!(self.phase, Phase::Exited { exit_code: 0, .. })
    }

    /// Whether it waits for its next start after a crash.
    pub fn backing_off(&self) -> bool {
        self.backoff_us > 0 && matches!(self.phase, Phase::Exited { .. })
    }
}

impl PodRun {
    /// A pod that this node takes on. What its status says of restarts is adopted.
    pub fn new(pod: &PodSpec, now_us: i64) -> Self {
        let restarts =
            |name: &str| pod.status.container_statuses.iter().find(|s| s.name == name).map_or(0, |s| s.restart_count);
        Self {
            ip: pod.status.pod_ip.clone(),
            started_us: now_us,
            init: pod.spec.init_containers.iter().map(|c| ContainerRun::new(c, 0)).collect(),
            containers: pod.spec.containers.iter().map(|c| ContainerRun::new(c, restarts(&c.name))).collect(),
            removed: false,
        }
    }

    /// Takes an observation in.
    pub fn observe(&mut self, observation: Observation, now_us: i64) {
        let name = match &observation {
            Observation::Networked { ip } => {
                self.ip = Some(ip.clone());
                return;
            }
            Observation::Started { container }
            | Observation::Ready { container, .. }
            | Observation::Exited { container, .. } => container.clone(),
        };
        let Some(run) = self.init.iter_mut().chain(&mut self.containers).find(|run| run.name == name) else { return };
        match observation {
            Observation::Networked { .. } => {}
            Observation::Started { .. } => run.phase = Phase::Running { since_us: now_us, ready: false },
            Observation::Ready { ready: now, .. } => {
                if let Phase::Running { ready, .. } = &mut run.phase {
                    *ready = now;
                }
            }
            Observation::Exited { exit_code, .. } => {
                let since_us = match run.phase {
                    Phase::Running { since_us, .. } => since_us,
                    _ => now_us,
                };
                if now_us - since_us >= BACKOFF_RESET_US {
                    run.backoff_us = 0;
                }
                run.phase = Phase::Exited { exit_code, since_us, at_us: now_us };
            }
        }
    }

    /// Decides what comes next.
    pub fn step(&mut self, pod: &PodSpec, now_us: i64) -> Step {
        let mut step = Step::default();
        if pod.deleting() {
            self.stop_all(pod, &mut step);
            return step;
        }
        if pod.finished() || self.ip.is_none() {
            return step;
        }
        for (run, container) in self.init.iter_mut().zip(&pod.spec.init_containers) {
            let sidecar = container.restart_policy.as_deref() == Some("Always");
            if !sidecar && run.succeeded() {
                continue;
            }
            let again = sidecar || pod.spec.restart_policy != "Never";
            advance(run, now_us, |_| again, &mut step);
            let passed = sidecar && matches!(run.phase, Phase::Running { .. });
            if !passed {
                return step;
            }
        }
        for run in &mut self.containers {
            advance(run, now_us, |code| pod.restarts_after(code), &mut step);
        }
        step
    }

    fn stop_all(&mut self, pod: &PodSpec, step: &mut Step) {
        let grace_s = pod.metadata.deletion_grace_period_seconds.unwrap_or(GRACE_DEFAULT_S);
        let mut all_ended = true;
        for run in self.init.iter_mut().chain(&mut self.containers) {
            if !run.active() {
                continue;
            }
            all_ended = false;
            if !run.stopping {
                run.stopping = true;
                step.actions.push(Action::Stop { container: run.name.clone(), grace_s });
            }
        }
        if all_ended && !self.removed {
            self.removed = true;
            step.actions.push(Action::Remove);
        }
    }

    /// The removal did not reach the API: it is to be asked for again.
    pub fn removal_failed(&mut self) {
        self.removed = false;
    }

    /// The phase of `status`.
    pub fn phase(&self, pod: &PodSpec) -> &'static str {
        match pod.status.phase.as_str() {
            "Succeeded" => return "Succeeded",
            "Failed" => return "Failed",
            _ => {}
        }
        let init_failed = pod.spec.restart_policy == "Never"
            && self.init.iter().any(|run| matches!(run.phase, Phase::Exited { exit_code, .. } if exit_code != 0));
        if init_failed {
            return "Failed";
        }
        let ended = |run: &ContainerRun| match run.phase {
            Phase::Exited { exit_code, .. } => {
                Some(exit_code).filter(|code| !pod.restarts_after(*code) || pod.deleting())
            }
            _ => None,
        };
        let codes: Vec<i32> = self.containers.iter().filter_map(ended).collect();
        if !self.containers.is_empty() && codes.len() == self.containers.len() {
            return if codes.iter().all(|code| *code == 0) { "Succeeded" } else { "Failed" };
        }
        let begun = self.containers.iter().any(|run| !matches!(run.phase, Phase::Waiting | Phase::Starting));
        if begun { "Running" } else { "Pending" }
    }
}

/// Starts a container that waits, or one that ended and may run again, when its pause is over.
fn advance(run: &mut ContainerRun, now_us: i64, restarts_after: impl Fn(i32) -> bool, step: &mut Step) {
    match run.phase {
        Phase::Waiting => {
            run.phase = Phase::Starting;
            step.actions.push(Action::Start { container: run.name.clone(), attempt: run.restarts });
        }
        Phase::Exited { exit_code, since_us, at_us } if restarts_after(exit_code) => {
            let due_us = at_us + run.backoff_us;
            if now_us < due_us {
                step.again_at_us = Some(step.again_at_us.map_or(due_us, |at| at.min(due_us)));
                return;
            }
            run.last = Some((exit_code, since_us, at_us));
            run.restarts += 1;
            run.backoff_us = (run.backoff_us * 2).clamp(BACKOFF_MIN_US, BACKOFF_MAX_US);
            run.phase = Phase::Starting;
            step.actions.push(Action::Start { container: run.name.clone(), attempt: run.restarts });
        }
        _ => {}
    }
}
