//! Which trace, and which span of it: <https://www.w3.org/TR/trace-context/>.

/// Bytes of a context in a message.
const BYTES: usize = 24;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Of the whole trace.
    pub trace_id: [u8; 16],
    /// Of one span.
    pub span_id: [u8; 8],
}

impl Context {
    /// Of a trace that begins here.
    pub(crate) fn new() -> Self {
        Self { trace_id: rand::random(), span_id: rand::random() }
    }

    /// Of another span of the same trace.
    pub(crate) fn child(self) -> Self {
        Self { span_id: rand::random(), ..self }
    }

    /// Reads the header `traceparent`; and whether its sender records the trace.
    pub fn parse(header: &str) -> Option<(Self, bool)> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Later versions may say more behind these.
        if version.len() != 2 || version == "ff" || version == "00" && parts.next().is_some() {
            return None;
        }
        let context = Self { trace_id: hex(trace)?, span_id: hex(span)? };
        let [flags] = hex(flags)?;
        let is_valid = context.trace_id != [0; 16] && context.span_id != [0; 8];
        is_valid.then_some((context, flags & 1 == 1))
    }

    /// As a message carries it.
    pub fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(&self.trace_id);
        bytes[16..].copy_from_slice(&self.span_id);
        bytes
    }

    /// Out of a message; `None` when it carries none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let mut context = Self::default();
        context.trace_id.copy_from_slice(&bytes[..16]);
        context.span_id.copy_from_slice(&bytes[16..]);
        Some(context)
    }
}

/// Lower-case digits, exactly so many.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_header_is_read_as_the_standard_says() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let check = |header: &str, expected: Option<bool>| {
            assert_eq!(Context::parse(header).map(|(_, recorded)| recorded), expected, "{header}");
        };
        check(&format!("00-{trace}-{span}-01"), Some(true));
        check(&format!("00-{trace}-{span}-00"), Some(false));
        check(&format!("01-{trace}-{span}-01-more"), Some(true));
        check(&format!("00-{trace}-{span}-01-more"), None);
        check(&format!("ff-{trace}-{span}-01"), None);
        check(&format!("00-{}-{span}-01", "0".repeat(32)), None);
        check(&format!("00-{trace}-{}-01", "0".repeat(16)), None);
        check(&format!("00-{}-{span}-01", trace.to_uppercase()), None);
        check(&format!("00-{trace}-{span}"), None);
        check("", None);
    }

    #[test]
    fn a_message_carries_a_context_or_none() {
        let context = Context::new();
        assert_eq!(Context::from_bytes(&context.to_bytes()), Some(context));
        assert_eq!(Context::from_bytes(&[]), None);
        assert_ne!(context.child().span_id, context.span_id);
        assert_eq!(context.child().trace_id, context.trace_id);
    }
}
