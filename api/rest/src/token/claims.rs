//! What a token says.

use serde_json::{Map, Value, json};

use super::ISSUER;

/// An object that a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// A token's claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) audiences: Vec<String>,
    /// Seconds since the epoch.
    pub(crate) issued_at_s: i64,
    /// Seconds since the epoch.
    pub(crate) expires_at_s: i64,
    /// Of the token itself.
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) account: Reference,
    pub(crate) pod: Option<Reference>,
    pub(crate) secret: Option<Reference>,
    /// Where the pod runs; without a pod, what the token is bound to.
    pub(crate) node: Option<Reference>,
}

impl Claims {
    /// `system:serviceaccount:<namespace>:<name>`
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account.name)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut bound = Map::new();
        bound.insert("namespace".to_owned(), self.namespace.clone().into());
        let account = Some(self.account.clone());
        for (name, reference) in
            [("serviceaccount", &account), ("pod", &self.pod), ("secret", &self.secret), ("node", &self.node)]
        {
            if let Some(Reference { name: of, uid }) = reference {
                bound.insert(name.to_owned(), json!({"name": of, "uid": uid}));
            }
        }
        json!({
            "aud": self.audiences, "exp": self.expires_at_s, "iat": self.issued_at_s, "iss": ISSUER, "jti": self.id,
            "kubernetes.io": bound, "nbf": self.issued_at_s, "sub": self.user(),
        })
    }

    /// Reads claims; `None` for those of somebody else's making.
    pub(super) fn read(claims: &Value) -> Option<Self> {
        if claims["iss"] != ISSUER {
            return None;
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let bound = &claims["kubernetes.io"];
        let reference = |name: &str| {
            let found = bound.get(name)?;
            Some(Reference { name: text(&found["name"])?, uid: text(&found["uid"])? })
        };
        let read = Self {
            audiences: claims["aud"].as_array()?.iter().filter_map(text).collect(),
            issued_at_s: claims["nbf"].as_i64()?,
            expires_at_s: claims["exp"].as_i64()?,
            id: text(&claims["jti"])?,
            namespace: text(&bound["namespace"])?,
            account: reference("serviceaccount")?,
            pod: reference("pod"),
            secret: reference("secret"),
            node: reference("node"),
        };
        (claims["sub"] == read.user().as_str()).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_come_back_as_they_were() {
        let reference = |name: &str| Reference { name: name.to_owned(), uid: format!("uid-{name}") };
        let claims = Claims {
            audiences: vec![ISSUER.to_owned()],
            issued_at_s: 5,
            expires_at_s: 10,
            id: "id".to_owned(),
            namespace: "default".to_owned(),
            account: reference("robot"),
            pod: Some(reference("p")),
            secret: None,
            node: Some(reference("n")),
        };
        let written = claims.to_json();
        assert_eq!(written["sub"], "system:serviceaccount:default:robot");
        assert_eq!(Claims::read(&written), Some(claims));
        for (field, other) in [("iss", json!("https://elsewhere")), ("sub", json!("admin")), ("exp", json!(null))] {
            let mut forged = written.clone();
            forged[field] = other;
            assert_eq!(Claims::read(&forged), None, "{field}");
        }
    }
}
