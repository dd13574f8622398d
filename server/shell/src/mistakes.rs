//! Everything that is wrong with how a process is set up, gathered so that a person hears of it once.

use std::fmt;

use anyhow::{Error, Result};

/// See the module.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            all => write!(f, "{} things are wrong:\n  {}", all.len(), all.join("\n  ")),
        }
    }
}

impl std::error::Error for Mistakes {}

impl Mistakes {
    /// Notes what is wrong, or gives what is right. Mistakes that were gathered elsewhere are noted one by one.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        let note = |error: Error| match error.downcast::<Self>() {
            Ok(others) => self.0.extend(others.0),
            Err(error) => self.note(format!("{error:#}")),
        };
        result.map_err(note).ok()
    }

    /// Notes something.
    pub fn note(&mut self, mistake: impl Into<String>) {
        self.0.push(mistake.into());
    }

    /// An error that names all of them, when there is any.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_told_and_none_is_success() {
        let mut mistakes = Mistakes::default();
        assert_eq!(mistakes.take(Ok(5)), Some(5));
        assert!(mistakes.end().is_ok());
        let mut mistakes = Mistakes::default();
        assert_eq!(mistakes.take::<u8>(Err(anyhow::anyhow!("inner").context("outer"))), None);
        mistakes.note("another");
        let told = mistakes.end().unwrap_err().to_string();
        assert_eq!(told, "2 things are wrong:\n  outer: inner\n  another");
    }

    #[test]
    fn mistakes_within_mistakes_are_counted_once() {
        let mut inner = Mistakes::default();
        inner.note("one");
        inner.note("two");
        let mut outer = Mistakes::default();
        assert_eq!(outer.take(inner.end()), None);
        outer.note("three");
        assert_eq!(outer.end().unwrap_err().to_string(), "3 things are wrong:\n  one\n  two\n  three");
    }
}
