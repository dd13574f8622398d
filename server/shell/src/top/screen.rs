//! A terminal that is drawn over and over, and put back as it was.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios};
use tokio::sync::mpsc;

use super::view::Line;

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// See the module.
pub struct Screen {
    before: Termios,
    keys: mpsc::UnboundedReceiver<u8>,
    trouble: Option<String>,
    shown: Vec<Line>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When standard output or input is none.
    pub fn open() -> io::Result<Self> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        let before = rustix::termios::tcgetattr(io::stdin())?;
        let mut keys = before.clone();
        keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
        print(ENTER)?;
        Ok(Self { before, keys: read_keys(), trouble: None, shown: Vec::new() })
    }

    /// Waits until the person has seen enough: q, Escape, or an interrupt.
    pub async fn quit(&mut self) {
        loop {
            tokio::select! {
                key = self.keys.recv() => if matches!(key, Some(b'q' | 0x1b) | None) { return },
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }

    /// Draws lines.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        self.trouble = None;
        self.shown = lines.to_vec();
        self.paint()
    }

    /// Leaves what was drawn and says what is wrong.
    pub fn trouble(&mut self, what: &str) -> io::Result<()> {
        self.trouble = Some(what.to_owned());
        self.paint()
    }

    fn paint(&self) -> io::Result<()> {
        // Some terminals (a serial line, `script`) do not know how large they are.
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (width, height) = size.map_or((120, 40), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        let mut frame = String::from("\x1b[H");
        let last = match &self.trouble {
            Some(what) => format!("\x1b[31mno master answers: {}\x1b[0m", cut(what, width.saturating_sub(20))),
            None => "\x1b[2mq ends\x1b[0m".to_owned(),
        };
        for line in self.shown.iter().take(height.saturating_sub(2)) {
            frame.push_str(&line.coloured(width));
            frame.push_str("\x1b[K\r\n");
        }
        frame.push_str("\x1b[J\r\n");
        frame.push_str(&last);
        print(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to put back.
        let _ = print(LEAVE);
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn cut(text: &str, width: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(width).collect()
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Keys, from a thread that waits for them; it ends with the process.
fn read_keys() -> mpsc::UnboundedReceiver<u8> {
    let (sender, keys) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for byte in io::stdin().lock().bytes() {
            let Ok(byte) = byte else { return };
            if sender.send(byte).is_err() {
                return;
            }
        }
    });
    keys
}
