//! The model of an object that holds one number, and of what its API answers.

use super::search::Model;
use crate::history::{End, Op};

/// What is known of how a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// There is one already.
    Exists,
    /// There is none.
    NotFound,
    /// It is not what the caller expected.
    Conflict,
    /// It may have been done.
    Unknown,
}

/// A call, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Found this, or nothing.
    Read(Option<u64>),
    /// POST.
    Create(u64, Outcome),
    /// PUT or PATCH of whatever is there.
    Write(u64, Outcome),
    /// PUT at the version that held `from`.
    Replace {
        /// Expected.
        from: u64,
        /// Written.
        to: u64,
        /// How it went.
        outcome: Outcome,
    },
    /// DELETE; with what it expected to find, if anything.
    Delete(Option<u64>, Outcome),
}

/// An object, or none: every value is written once at most, so that a value stands for a version.
pub struct ObjectModel;

impl Model for ObjectModel {
    type State = Option<u64>;
    type Action = Action;

    fn initial() -> Self::State {
        None
    }

    fn step(state: &Self::State, action: &Action) -> Option<Self::State> {
        let refused = |outcome: Outcome, expected: Option<u64>| match outcome {
            Outcome::Exists => state.is_some(),
            Outcome::NotFound => state.is_none(),
            Outcome::Conflict => state.is_some() && *state != expected,
            Outcome::Done | Outcome::Unknown => false,
        };
        // What a call does when it can be done; whether it can; what it expected.
        let (possible, after, expected, outcome) = match *action {
            Action::Read(found) => return (*state == found).then_some(*state),
            Action::Create(value, outcome) => (state.is_none(), Some(value), None, outcome),
            Action::Write(value, outcome) => (state.is_some(), Some(value), None, outcome),
            Action::Replace { from, to, outcome } => (*state == Some(from), Some(to), Some(from), outcome),
            Action::Delete(None, outcome) => (state.is_some(), None, None, outcome),
            Action::Delete(Some(from), outcome) => (*state == Some(from), None, Some(from), outcome),
        };
        match outcome {
            Outcome::Done => possible.then_some(after),
            Outcome::Unknown => Some(if possible { after } else { *state }),
            _ => refused(outcome, expected).then_some(*state),
        }
    }
}

/// A noted call as an action; `None` when its end tells nothing about the object.
pub(super) fn action(op: &Op) -> Option<Action> {
    let outcome = match &op.end {
        End::Ok(_) => Outcome::Done,
        End::Info(_) => Outcome::Unknown,
        End::Refused { reason, .. } => match reason.as_str() {
            "AlreadyExists" => Outcome::Exists,
            "NotFound" => Outcome::NotFound,
            "Conflict" => Outcome::Conflict,
            _ => return None,
        },
        End::Fail(_) => return None,
    };
    let number = op.input.as_u64();
    match op.f {
        "read" => op.result().map(|found| Action::Read(found["value"].as_u64())),
        "create" => Some(Action::Create(number?, outcome)),
        "write" => Some(Action::Write(number?, outcome)),
        "cas" => Some(Action::Replace { from: op.input["from"].as_u64()?, to: op.input["to"].as_u64()?, outcome }),
        "keep" => Some(Action::Replace { from: number?, to: number?, outcome }),
        "delete" => Some(Action::Delete(None, outcome)),
        "delete-seen" => Some(Action::Delete(Some(number?), outcome)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_answers_as_the_api_does() {
        use Outcome::{Conflict, Done, Exists, NotFound, Unknown};
        let check = |state: Option<u64>, action: Action, expected: Option<Option<u64>>| {
            assert_eq!(ObjectModel::step(&state, &action), expected, "{action:?} on {state:?}");
        };
        check(None, Action::Read(None), Some(None));
        check(Some(1), Action::Read(None), None);
        check(None, Action::Create(1, Done), Some(Some(1)));
        check(Some(1), Action::Create(2, Done), None);
        check(Some(1), Action::Create(2, Exists), Some(Some(1)));
        check(None, Action::Write(1, NotFound), Some(None));
        check(Some(1), Action::Write(2, NotFound), None);
        check(Some(1), Action::Replace { from: 1, to: 2, outcome: Done }, Some(Some(2)));
        check(Some(3), Action::Replace { from: 1, to: 2, outcome: Done }, None);
        check(Some(3), Action::Replace { from: 1, to: 2, outcome: Conflict }, Some(Some(3)));
        check(Some(1), Action::Replace { from: 1, to: 2, outcome: Conflict }, None);
        check(Some(3), Action::Replace { from: 1, to: 2, outcome: Unknown }, Some(Some(3)));
        check(Some(1), Action::Replace { from: 1, to: 1, outcome: Done }, Some(Some(1)));
        check(Some(3), Action::Replace { from: 1, to: 1, outcome: Done }, None);
        check(Some(1), Action::Delete(Some(1), Done), Some(None));
        check(Some(1), Action::Delete(None, Unknown), Some(None));
        check(None, Action::Delete(None, NotFound), Some(None));
    }
}
