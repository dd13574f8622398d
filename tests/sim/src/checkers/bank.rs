//! Transactions are atomic: at every revision at which there are accounts, they sum up to what they began with.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Checker;
use crate::judge::Agreed;
use crate::workloads::bank::{ACCOUNTS, COUNT, OPENING};

/// Balances.
#[derive(Default)]
pub struct Bank {
    accounts: BTreeMap<Bytes, i64>,
}

impl Checker for Bank {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        let mut events = agreed.applied.events.iter().peekable();
        while let Some(event) = events.next() {
            if !event.entry.key.starts_with(ACCOUNTS.as_bytes()) {
                continue;
            }
            let balance = std::str::from_utf8(&event.entry.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            self.accounts.insert(event.entry.key.clone(), balance);
            let ends = events.peek().is_none_or(|next| next.revision > event.revision);
            let (sum, wanted) = (self.accounts.values().sum::<i64>(), OPENING * COUNT.cast_signed());
            if ends && sum != wanted {
                found.push(format!("at revision {} the accounts sum up to {sum}, not {wanted}", event.revision));
            }
        }
    }
}
