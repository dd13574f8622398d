//! Everything that is wrong with how a process is set up, gathered so that a person hears of it once.

use anyhow::{Error, Result, bail};

/// See the module.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// Notes what is wrong, or gives what is right.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error: Error| self.note(format!("{error:#}"))).ok()
    }

    /// Notes something.
    pub fn note(&mut self, mistake: impl Into<String>) {
        self.0.push(mistake.into());
    }

    /// An error that names all of them, when there is any.
    pub fn end(self) -> Result<()> {
        match self.0.as_slice() {
            [] => Ok(()),
            [one] => bail!("{one}"),
            all => bail!("{} things are wrong:\n  {}", all.len(), all.join("\n  ")),
        }
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
}
