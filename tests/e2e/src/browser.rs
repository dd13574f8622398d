//! A headless Chromium, driven over its debugging pipe.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// Longer than a page takes to show anything, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(50);

/// One browser with one page; gone when dropped.
pub struct Browser {
    child: Child,
    commands: File,
    answers: Receiver<Value>,
    session: String,
    next: u64,
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// The browser's program, where there is one.
pub fn program() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

impl Browser {
    /// Starts it, with a window of this size.
    ///
    /// # Errors
    /// When it does not start or does not answer.
    pub fn start(program: &str, width: u32, height: u32) -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("trireme-browser-").tempdir()?;
        let pipe = |name: &str| profile.path().join(name);
        for name in ["in", "out"] {
            let made = Command::new("mkfifo").arg(pipe(name)).status()?;
            ensure!(made.success(), "mkfifo {}", pipe(name).display());
        }
        // The browser reads commands from descriptor 3 and answers on 4.
        let script = format!(
            "exec {program} --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars \
             --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
             --user-data-dir={profile} --window-size={width},{height} --remote-debugging-pipe about:blank \
             3<{profile}/in 4>{profile}/out",
            profile = profile.path().display()
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let commands = File::options().write(true).open(pipe("in"))?;
        let answers = read(File::open(pipe("out"))?);
        let (session, next, complaints) = (String::new(), 0, Vec::new());
        let mut browser = Self { child, commands, answers, session, next, complaints, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach)?;
        browser.session = session["sessionId"].as_str().context("a session")?.to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}))?;
        }
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.call("Emulation.setDeviceMetricsOverride", &size)?;
        Ok(browser)
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.commands.write_all(format!("{message}\0").as_bytes())?;
        self.commands.flush()?;
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).with_context(|| format!("{method}: no answer"))?;
            if answer["id"] == self.next {
                ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return Ok(answer["result"].clone());
            }
            self.hear(&answer);
        }
    }

    /// Notes what the page complains about.
    fn hear(&mut self, event: &Value) {
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => &event["params"]["exceptionDetails"],
            Some("Log.entryAdded") if event["params"]["entry"]["level"] == "error" => &event["params"]["entry"],
            _ => return,
        };
        self.complaints.push(complaint.to_string());
    }

    /// What the page has complained about so far: exceptions, failed requests, violations of its policy.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Believes servers whose certificates are of an authority that the browser does not know.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn trust_anyone(&mut self) -> Result<()> {
        self.call("Security.setIgnoreCertificateErrors", &json!({"ignore": true})).map(drop)
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn open(&mut self, address: &str) -> Result<()> {
        self.call("Page.navigate", &json!({"url": address})).map(drop)
    }

    /// The value of an expression in the page.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn value(&mut self, expression: &str) -> Result<Value> {
        let answer = self.call("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true}))?;
        Ok(answer["result"]["value"].clone())
    }

    /// The page's text.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn text(&mut self) -> Result<String> {
        Ok(self.value("document.body.innerText")?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Errors
    /// When it does not become so, with what the page shows.
    pub fn wait_for(&mut self, expression: &str) -> Result<()> {
        let begun = Instant::now();
        while self.value(expression)? != true {
            if begun.elapsed() > PATIENCE {
                bail!("{expression} is not so; the page shows:\n{}\n{:?}", self.text()?, self.complaints);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Waits until the page shows all of these words.
    ///
    /// # Errors
    /// When it does not, with what it shows.
    pub fn wait_for_text(&mut self, words: &[&str]) -> Result<()> {
        let words = json!(words);
        self.wait_for(&format!("{words}.every((word) => document.body.innerText.includes(word))"))
    }

    /// Presses a key: `g`, `/`, `Enter`, `Tab`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let text = if key.chars().count() == 1 { key } else { "" };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            _ => 0,
        };
        let down = json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", &down)?;
        self.call("Input.dispatchKeyEvent", &json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}))
            .map(drop)
    }

    /// Pretends that the person prefers `light` or `dark`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn prefer(&mut self, scheme: &str) -> Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features})).map(drop)
    }

    /// Saves what is to be seen as a PNG.
    ///
    /// # Errors
    /// When the browser does not answer or the file cannot be written.
    pub fn screenshot(&mut self, path: &Path) -> Result<()> {
        let answer = self.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        let encoded = answer["data"].as_str().context("no picture")?;
        let mut decoding =
            Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(File::create(path)?).spawn()?;
        decoding.stdin.take().context("a pipe")?.write_all(encoded.as_bytes())?;
        ensure!(decoding.wait()?.success(), "base64 -d");
        Ok(())
    }
}

/// Messages, each ended by a zero byte.
fn read(pipe: File) -> Receiver<Value> {
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(pipe).split(0) {
            let Ok(message) = message else { return };
            let Ok(value) = serde_json::from_slice(&message) else { continue };
            if sender.send(value).is_err() {
                return;
            }
        }
    });
    messages
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("Browser.close", &json!({}));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
