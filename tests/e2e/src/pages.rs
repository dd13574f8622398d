//! The pages that people read: their blocks of commands, and the command lines that stand within their text.

use std::path::{Path, PathBuf};

/// The tree's folder.
///
/// # Panics
/// Never: this package lies two folders down.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e lies two folders down")
}

/// README, and every page of docs: paths from the tree's folder.
///
/// # Panics
/// When a folder cannot be read.
pub fn all() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("the docs").flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.display().to_string());
            }
        }
    }
    pages.sort();
    pages
}

/// The text of a page.
///
/// # Panics
/// When there is none.
pub fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Where its first line stands.
    pub line: usize,
    /// The first word after the fence: `sh` for commands, `text` for what is none.
    pub language: String,
    /// The words after it: what a block of commands needs (```` ```sh grpcurl ````).
    pub needs: Vec<String>,
    /// Its lines, each with its end.
    pub text: String,
}

impl Block {
    /// Whether it needs something.
    pub fn needs(&self, what: &str) -> bool {
        self.needs.iter().any(|need| need == what)
    }
}

/// The fenced blocks of a page, in order.
///
/// # Panics
/// When there is no such page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in read(page).lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                blocks.push(Block { line: number + 2, language, needs: words.collect(), text: String::new() });
                open = true;
            }
            None if open => {
                let block = blocks.last_mut().expect("one is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// What stands in backticks within the text of a page, outside its blocks: the number of the line where it begins, and the
/// words. It may go over the end of a line, not over that of a paragraph.
///
/// # Panics
/// When there is no such page.
pub fn spans(page: &str) -> Vec<(usize, String)> {
    let mut in_block = false;
    let mut spans = Vec::new();
    let mut quoted: Option<(usize, String)> = None;
    for (number, line) in read(page).lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        if fence || in_block || line.trim().is_empty() {
            quoted = None;
            continue;
        }
        for (at, part) in line.split('`').enumerate() {
            if at > 0 {
                match quoted.take() {
                    Some(whole) => spans.push(whole),
                    None => quoted = Some((number + 1, String::new())),
                }
            }
            if let Some((_, words)) = &mut quoted {
                words.push_str(part);
            }
        }
        if let Some((_, words)) = &mut quoted {
            words.push(' ');
        }
    }
    spans
}
