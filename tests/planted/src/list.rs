//! The list: one row a bug.

/// Which machine must find a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machines {
    /// The simulator, `tests/sim`, in its small worlds on a model of consensus.
    pub sim: bool,
    /// The simulator, in worlds with the consensus that ships.
    pub shipped: bool,
    /// The simulator, in small worlds with managers and nodes.
    pub managers: bool,
    /// The black box, `jepsen`.
    pub jepsen: bool,
}

const MODEL: Machines = Machines { sim: true, shipped: false, managers: false, jepsen: false };
const SIM: Machines = Machines { shipped: true, ..MODEL };
const SHIPPED: Machines = Machines { sim: false, ..SIM };
const MANAGERS: Machines = Machines { sim: false, managers: true, ..MODEL };
const JEPSEN: Machines = Machines { sim: false, jepsen: true, ..MODEL };
const BOTH: Machines = Machines { jepsen: true, ..SIM };

macro_rules! bugs {
    ($($name:ident, $machines:ident, $text:literal;)*) => {
        /// A bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $(#[doc = $text] $name,)*
        }

        /// All bugs.
        pub const ALL: &[Bug] = &[$(Bug::$name,)*];

        impl Bug {
            /// As `TRIREME_PLANTED_BUG` names it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it does.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Who must find it.
            pub fn machines(self) -> Machines {
                match self { $(Self::$name => $machines,)* }
            }

            /// The bug of a name.
            pub fn named(name: &str) -> Option<Self> {
                ALL.iter().copied().find(|bug| bug.name() == name)
            }
        }
    };
}

bugs! {
    NoFsync, BOTH, "a log append is acknowledged before it is synced";
    VoteNotPersisted, SIM, "a vote is forgotten at a restart";
    AckBeforeQuorum, MODEL, "the leader commits what only it holds";
    LogTruncatedTooFar, SIM, "a follower that resolves a conflict cuts entries that were committed";
    StaleFollowerRead, BOTH, "a linearizable read is answered from what this member happens to hold";
    StaleReadIndex, BOTH, "a read takes the index of a round that began before it";
    OldAnswerConfirms, SHIPPED, "a read is confirmed on openraft's word alone, which takes late answers for new ones";
    SnapshotIndexFromMemory, SIM, "a snapshot claims an index newer than what it holds";
    WindowNotInSnapshot, SIM, "outcomes of retried commands are not loaded with a snapshot";
    RetryAppliedTwice, SIM, "a retried command is applied again";
    NoEpochFence, SIM, "commands of a deposed manager are applied";
    PreconditionIgnored, BOTH, "a write that expects an older revision is applied now and then";
    CompactionAtDifferentPoints, SIM, "replicas compact at different revisions";
    RevisionResetAfterRestore, SIM, "after a load the revision is that of the newest live entry";
    ResourceVersionSplicedWrong, BOTH, "an object carries the revision before its own";
    EventLostAtResume, BOTH, "a watch that resumes skips the first event";
    EventRepeatedAtResume, BOTH, "a watch that resumes repeats the last event";
    EventsKeptAcrossSnapshot, MODEL, "the ring of events is kept when a snapshot is installed";
    DeletionLostInHistory, SIM, "events read from history leave deletions out";
    BookmarkAheadOfEvents, SIM, "progress is reported beyond events that were not sent yet";
    ExactReadOffByOne, SIM, "a read at an older revision undoes one event too few";
    NoChangeAsSeen, JEPSEN, "a patch that changes nothing is answered from what this member happens to hold";
    RenewalForgotten, JEPSEN, "a lease that is renewed ends when it would have ended anyway";
    FenceIgnored, JEPSEN, "a transaction whose comparison fails is done now and then";
    LeaseEndedByNewLeader, SHIPPED, "a new leader takes the time of leases that it did not count for over";
    BindingTwice, MANAGERS, "a pod that is bound is placed and bound again now and then";
    AssumedPodForgotten, MANAGERS, "the scheduler forgets what it has placed until it sees it bound";
    AdoptedPodCountedTwice, MANAGERS, "a pod that a ReplicaSet adopts counts as two";
    SurgeForgotten, MANAGERS, "pods of old versions leave no less room for new ones";
    LivingOwnerForgotten, MANAGERS, "what is owned is collected though an owner of it lives";
}
