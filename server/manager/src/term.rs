//! One term of office: one loop that takes events in, lets the pure parts decide, and has their plans carried out beside it.

use std::sync::Arc;
use std::time::Duration;

use api_rest::bootstrap;
use api_rest::call::Caller;
use raft_state::Epoch;
use server_control::runner::Done;
use server_control::{Key, Runner};
use tokio::sync::mpsc;

use super::Options;
use super::execute::{self, Executor};
use super::scheduling::{self, Placed};
use super::standby::Standby;

/// Events taken from the cursor at a time.
const BATCH: usize = 1024;
/// Plans in flight at once.
const PLANS_MAX: usize = 64;
/// Between two looks for claims that no Service stands on.
const REPAIR_EVERY: Duration = Duration::from_secs(180);

/// Between two counts of what waits in the queues.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// What carrying something out came to.
pub(super) enum Report {
    /// A controller's plan.
    Plan(usize, Key, Done),
    /// Bindings.
    Placed(Vec<Placed>),
    /// The epoch is no longer the newest, or an outcome is unknown: the term is over.
    Void(&'static str),
}

/// Serves until something ends the term, and says what.
pub(super) async fn serve(options: &Options, epoch: Epoch, mut standby: Standby) -> &'static str {
    let runtime = &options.runtime;
    let executor = Arc::new(Executor::new(options, epoch));
    let members = options.store.standing().borrow().members.clone();
    if let Err(status) =
        bootstrap::ensure(&options.api, &Caller { trusted: true, ..executor.caller("trireme-manager") }, &members).await
    {
        tracing::warn!(message = status.message, "what every cluster has could not be made");
        return "bootstrap failed";
    }
    let snapshot = options.store.snapshot();
    if snapshot.epoch() != epoch {
        return "a newer manager is in office";
    }
    if !standby.reach(&options.store, snapshot.revision()).await {
        standby = Standby::new(options);
    }
    let Standby { view, mut scheduler, cursor: Some(mut cursor), .. } = standby else {
        return "the snapshot was compacted";
    };
    let mut runner = Runner::new(view);
    drop(snapshot);
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let mut plans = 0;
    let mut placing = 0;
    let mut repair = runtime.sleep(Duration::ZERO);
    let mut count = runtime.sleep(Duration::ZERO);
    loop {
        placing += scheduling::place(&mut scheduler, &executor, &reports, placing);
        while plans < PLANS_MAX {
            let begun = runtime.now();
            let next = runner.next(executor.moment());
            options.metrics.decided(runtime.now().duration_since(begun));
            let Some(work) = next else { break };
            plans += 1;
            runtime.spawn(Box::pin(execute::carry_out(executor.clone(), work, reports.clone())));
        }
        let soon = (runner.is_busy() && plans < PLANS_MAX).then(|| executor.moment().steady_us);
        let wake_us = [runner.next_timer_us(), scheduler.next_wake(), soon].into_iter().flatten().min();
        let sleep = wake_us.map_or(Duration::from_secs(60), |at| {
            Duration::from_micros(u64::try_from(at - executor.moment().steady_us).unwrap_or(0))
        });
        tokio::select! {
            // In this order, so that neither can starve the other: a report ends what its event began.
            biased;
            () = &mut repair => {
                runtime.spawn(Box::pin(execute::repair_claims(options.clone(), executor.clone())));
                repair = runtime.sleep(REPAIR_EVERY);
            }
            () = &mut count => {
                options.metrics.queues(runner.depths(), scheduler.depths());
                count = runtime.sleep(COUNT_EVERY);
            }
            Some(report) = inbox.recv() => {
                let mut next = Some(report);
                while let Some(report) = next {
                    match report {
                        Report::Plan(row, key, done) => {
                            plans -= 1;
                            runner.done(row, key, done, executor.moment().steady_us);
                        }
                        Report::Placed(placed) => {
                            placing -= placed.len();
                            for one in placed {
                                scheduler.bound(&one.uid, one.bound, executor.moment().steady_us);
                            }
                        }
                        Report::Void(reason) => return reason,
                    }
                    next = inbox.try_recv().ok();
                }
            }
            batch = cursor.next(BATCH) => {
                let Ok(batch) = batch else { return "the watch ended" };
                for event in &batch.events {
                    runner.on_event(event);
                    scheduler.on_event(event);
                }
                runner.advance(batch.progress, options.store.snapshot());
            }
            () = runtime.sleep(sleep.max(Duration::from_millis(1))) => {}
        }
    }
}
