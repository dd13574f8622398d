//! What operators ask of one member.

use std::time::Instant;

use api_proto::etcd::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;
use pb::downgrade_request::DowngradeAction;
use raft_state::port::{Refusing, Standing, WhyRefused};
use raft_state::{KeyRange, Snapshot};

use crate::face::signed;
use crate::status::{Code, Status};
use crate::{API_VERSION, CLUSTER_VERSION, Face};

/// The alarm that is raised while writes are refused. It is this member's to report, whoever's disk it is.
fn alarms(standing: &Standing) -> Vec<pb::AlarmMember> {
    let kind = |refusing: &Refusing| match refusing.because {
        WhyRefused::NoSpace => pb::AlarmType::Nospace,
        WhyRefused::Diverged => pb::AlarmType::Corrupt,
    };
    let raised = standing.refusing.iter();
    raised.map(|refusing| pb::AlarmMember { member_id: standing.id, alarm: kind(refusing).into() }).collect()
}

impl Face {
    pub(crate) fn status(&self) -> pb::StatusResponse {
        let standing = self.standing().borrow().clone();
        let size = signed(self.operator.disk_bytes());
        let mut errors = match standing.leader {
            Some(_) => Vec::new(),
            None => vec![Status::NO_LEADER.message.into_owned()],
        };
        // As etcd prints an alarm, blank at the end included.
        let raised = alarms(&standing).into_iter();
        errors
            .extend(raised.map(|alarm| format!("memberID:{} alarm:{} ", alarm.member_id, alarm.alarm().as_str_name())));
        pb::StatusResponse {
            header: Some(self.header_now()),
            version: API_VERSION.to_owned(),
            db_size: size,
            leader: standing.leader.unwrap_or(0),
            raft_index: standing.applied_index,
            raft_term: standing.term,
            raft_applied_index: standing.applied_index,
            errors,
            // Compaction goes on all the time, there is nothing to be had by another.
            db_size_in_use: size,
            is_learner: standing.members.iter().any(|member| member.id == standing.id && !member.voter),
            storage_version: CLUSTER_VERSION.to_owned(),
            db_size_quota: 0,
            downgrade_info: Some(pb::DowngradeInfo::default()),
        }
    }

    /// The rolling hash over everything live, leases too.
    pub(crate) fn hash(&self) -> pb::HashResponse {
        let state = self.store.snapshot();
        pb::HashResponse { header: Some(self.header(state.revision())), hash: folded(state.hash()) }
    }

    /// A hash over the keyspace at a revision: equal on all members, whatever they have compacted.
    pub(crate) async fn hash_kv(
        &self,
        request: pb::HashKvRequest,
        deadline: Instant,
    ) -> Result<pb::HashKvResponse, Status> {
        let latest = self.store.snapshot();
        let current = latest.revision();
        let revision = match u64::try_from(request.revision) {
            Ok(0) | Err(_) => current,
            Ok(revision) => revision,
        };
        let compacted = latest.compacted();
        let state = self.past(latest, revision, deadline).await?;
        Ok(pb::HashKvResponse {
            header: Some(self.header(current)),
            hash: keyspace_hash(state).await?,
            compact_revision: if compacted == 0 { -1 } else { signed(compacted) },
            hash_revision: signed(revision),
        })
    }

    /// Alarms are the members' own to raise and to lift; none can be set from outside.
    pub(crate) fn alarm(&self, request: &pb::AlarmRequest) -> Result<pb::AlarmResponse, Status> {
        match request.action() {
            AlarmAction::Get => {
                let alarms = alarms(&self.standing().borrow());
                Ok(pb::AlarmResponse { header: Some(self.header_now()), alarms })
            }
            AlarmAction::Deactivate => Ok(pb::AlarmResponse { header: Some(self.header_now()), alarms: Vec::new() }),
            AlarmAction::Activate => Err(Status::new(
                Code::FailedPrecondition,
                "etcdserver: alarms are raised by the members themselves, none can be set",
            )),
        }
    }

    pub(crate) async fn move_leader(
        &self,
        request: pb::MoveLeaderRequest,
        deadline: Instant,
    ) -> Result<pb::MoveLeaderResponse, Status> {
        let standing = self.standing().borrow().clone();
        if standing.leader != Some(standing.id) {
            return Err(Status::NOT_LEADER);
        }
        if !standing.members.iter().any(|member| member.id == request.target_id && member.voter) {
            return Err(Status::BAD_TRANSFEREE);
        }
        if request.target_id != standing.id {
            self.operator.move_leader(request.target_id, deadline).await?;
        }
        Ok(pb::MoveLeaderResponse { header: None })
    }

    /// Every member speaks one version.
    pub(crate) fn downgrade(&self, request: &pb::DowngradeRequest) -> Result<pb::DowngradeResponse, Status> {
        match request.action() {
            DowngradeAction::Cancel => Err(Status::NO_DOWNGRADE),
            DowngradeAction::Validate | DowngradeAction::Enable => {
                let parts: Vec<&str> = request.version.split('.').collect();
                match parts.len() >= 2 && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
                    true => Err(Status::DOWNGRADE_TARGET),
                    false => Err(Status::DOWNGRADE_FORMAT),
                }
            }
        }
    }
}

/// Over all live versions at the state's revision, in no particular order. A walk over a large keyspace takes a thread of
/// its own.
async fn keyspace_hash(state: Snapshot) -> Result<u32, Status> {
    let everything = KeyRange::prefix(bytes::Bytes::new());
    let sum = move || {
        let digests = state.between(&everything).map(|entry| entry.digest);
        folded(digests.fold(0_u128, u128::wrapping_add))
    };
    tokio::task::spawn_blocking(sum).await.map_err(|e| Status::new(Code::Internal, format!("etcdserver: {e}")))
}

fn folded(hash: u128) -> u32 {
    let halves = hash ^ (hash >> 64);
    u32::try_from((halves ^ (halves >> 32)) & u128::from(u32::MAX)).expect("32 bits")
}

#[cfg(test)]
mod tests {
    use raft_state::port::ProposeError;

    use super::*;

    #[test]
    fn refused_writes_are_an_alarm_and_etcds_own_error() {
        let check = |because: WhyRefused, alarm: &str, code: Code, text: &str| {
            let refusing = Refusing { because, why: "why".to_owned() };
            let standing = Standing { id: 7, refusing: Some(refusing.clone()), ..Standing::default() };
            let raised = alarms(&standing);
            assert!(raised.len() == 1 && raised[0].member_id == 7, "{raised:?}");
            assert_eq!(raised[0].alarm().as_str_name(), alarm);
            let status = Status::from(ProposeError::ReadOnly(refusing));
            assert_eq!((status.code, &*status.message), (code, text));
        };
        check(WhyRefused::NoSpace, "NOSPACE", Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        check(WhyRefused::Diverged, "CORRUPT", Code::DataLoss, "etcdserver: corrupt cluster");
        assert!(alarms(&Standing::default()).is_empty());
    }
}
