//! What Go's JSON scanner says of text that is no JSON. Runs only after the real parser has refused the text.

/// The message of `encoding/json`; `None` when its scanner finds nothing wrong (the text is bad in another way).
pub fn json_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0 };
    let result = scanner.value(0).and_then(|()| {
        scanner.space();
        match scanner.peek() {
            None => Ok(()),
            Some(byte) => Err(invalid(byte, "after top-level value")),
        }
    });
    result.err()
}

/// Go's own limit.
const DEPTH_MAX: usize = 10_000;

type Scan = Result<(), String>;

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

fn invalid(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        0x20..=0x7e => char::from(byte).to_string(),
        0x80.. => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("invalid character '{shown}' {place}")
}

fn unexpected_end() -> String {
    "unexpected end of JSON input".to_owned()
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte that is no space.
    fn token(&mut self) -> Result<u8, String> {
        self.space();
        self.peek().ok_or_else(unexpected_end)
    }

    fn value(&mut self, depth: usize) -> Scan {
        if depth > DEPTH_MAX {
            return Err("exceeded max depth".to_owned());
        }
        match self.token()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(),
            other => Err(invalid(other, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Scan {
        self.at += 1;
        if self.token()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            match self.token()? {
                b'"' => self.string()?,
                other => return Err(invalid(other, "looking for beginning of object key string")),
            }
            match self.token()? {
                b':' => self.at += 1,
                other => return Err(invalid(other, "after object key")),
            }
            self.value(depth + 1)?;
            match self.token()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                other => return Err(invalid(other, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Scan {
        self.at += 1;
        if self.token()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.token()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                other => return Err(invalid(other, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Scan {
        self.at += 1;
        loop {
            let byte = self.peek().ok_or_else(unexpected_end)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..0x20 => return Err(invalid(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Scan {
        let byte = self.peek().ok_or_else(unexpected_end)?;
        self.at += 1;
        match byte {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let digit = self.peek().ok_or_else(unexpected_end)?;
                    if !digit.is_ascii_hexdigit() {
                        return Err(invalid(digit, "in \\u hexadecimal character escape"));
                    }
                    self.at += 1;
                }
                Ok(())
            }
            other => Err(invalid(other, "in string escape code")),
        }
    }

    /// Go ends the input with a space where a scalar is under way.
    fn scalar_byte(&self) -> u8 {
        self.peek().unwrap_or(b' ')
    }

    fn literal(&mut self, word: &str) -> Scan {
        for expected in word.bytes() {
            let found = self.scalar_byte();
            if found != expected {
                return Err(invalid(found, &format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Scan {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.scalar_byte() {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            other => return Err(invalid(other, "in numeric literal")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn some_digits(&mut self, place: &str) -> Scan {
        let first = self.scalar_byte();
        if !first.is_ascii_digit() {
            return Err(invalid(first, place));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_json_is_explained_as_go_explains_it() {
        let check =
            |text: &str, expected: &str| assert_eq!(json_error(text.as_bytes()).as_deref(), Some(expected), "{text}");
        check("{\"a\":1,}", "invalid character '}' looking for beginning of object key string");
        check("{\"a\" 1}", "invalid character '1' after object key");
        check("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair");
        check("[1,]", "invalid character ']' looking for beginning of value");
        check("{\"a\":tru}", "invalid character '}' in literal true (expecting 'e')");
        check("{\"a\":\"\\x\"}", "invalid character 'x' in string escape code");
        check("{\"a\":\"x", "unexpected end of JSON input");
        check("{\"a\":01}", "invalid character '1' after object key:value pair");
        check("{a:1}", "invalid character 'a' looking for beginning of object key string");
        check("{\"a\":1}}", "invalid character '}' after top-level value");
        check("{\"a\":-}", "invalid character '}' in numeric literal");
        check("nul", "invalid character ' ' in literal null (expecting 'l')");
        check("{\"a\":.5}", "invalid character '.' looking for beginning of value");
        check("{\"a\":\"\n\"}", "invalid character '\\n' in string literal");
        check("{\"a\":[1 2]}", "invalid character '2' after array element");
        check("", "unexpected end of JSON input");
        assert_eq!(json_error(b" {\"a\": [1.5e+3, -0, null, \"\\u00e9\"]} "), None);
    }
}
