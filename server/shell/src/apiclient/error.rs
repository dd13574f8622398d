//! What a call can come to.

use serde_json::Value;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The API refused (`metav1.Status`).
    Refused {
        /// HTTP status.
        code: u16,
        /// `NotFound`, `Conflict` …
        reason: String,
        /// For people.
        message: String,
    },
    /// No master answered, or the connection broke: the request may have had its effect.
    Broken(String),
    /// What came is not what the API sends, or what was to be sent cannot be.
    Malformed(String),
}

impl Error {
    pub(super) fn broken(error: impl std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }

    pub(super) fn from_status(code: u16, body: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        let message =
            if status["message"].is_string() { text("message") } else { String::from_utf8_lossy(body).into_owned() };
        Self::Refused { code, reason: text("reason"), message }
    }

    /// The HTTP status of a refusal; 0 otherwise.
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            _ => 0,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { code, message, .. } => write!(f, "{message} ({code})"),
            Self::Broken(detail) => write!(f, "no API server answers: {detail}"),
            Self::Malformed(detail) => f.write_str(detail),
        }
    }
}

impl std::error::Error for Error {}
