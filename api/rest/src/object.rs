//! Objects between JSON values and stored bytes.

use api_kinds::Kind;
use bytes::Bytes;
use raft_state::{Entry, Keyring, Payload};
use serde_json::Value;

use crate::Status;

/// An object serialised for the store: without `resourceVersion`, and with the place where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) json: Bytes,
    pub(crate) splice_at: u32,
    /// What clients get instead, of a kind that is stored as another.
    served: Option<Box<Encoded>>,
}

/// The largest object that is stored, as etcd's clients know it.
pub(crate) const OBJECT_BYTES_MAX: usize = 1_572_864;

/// Serialises an object as it is stored, and as it is served where that differs.
pub(crate) fn encode(kind: &Kind, object: &Value) -> Result<Encoded, Status> {
    encode_with(kind, object, None)
}

/// As [`encode`], of an object whose managedFields are text already and stand nowhere else.
pub(crate) fn encode_with(kind: &Kind, object: &Value, managers: Option<&[u8]>) -> Result<Encoded, Status> {
    let Some(conversion) = &kind.stored_as else { return written(kind, object, managers) };
    let mut stored = object.clone();
    (conversion.to_storage)(&mut stored);
    let stored = written(conversion.storage, &stored, managers)?;
    Ok(Encoded { served: Some(Box::new(written(kind, object, managers)?)), ..stored })
}

/// `kind`, `apiVersion` and `metadata` come first.
fn written(kind: &Kind, object: &Value, managers: Option<&[u8]>) -> Result<Encoded, Status> {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":", kind.kind, kind.api_version()).as_bytes(),
    );
    let splice_at = u32::try_from(out.len() + 1).map_err(Status::internal)?;
    let write = |out: &mut Vec<u8>, value: &Value| serde_json::to_writer(out, value).map_err(Status::internal);
    let empty = Value::Null;
    match object.get("metadata").unwrap_or(&empty) {
        Value::Object(metadata) => {
            out.push(b'{');
            let mut first = true;
            for (name, value) in metadata.iter().filter(|(name, _)| *name != "resourceVersion") {
                if !first {
                    out.push(b',');
                }
                first = false;
                serde_json::to_writer(&mut out, name).map_err(Status::internal)?;
                out.push(b':');
                write(&mut out, value)?;
            }
            if let Some(managers) = managers {
                out.extend_from_slice(b",\"managedFields\":");
                out.extend_from_slice(managers);
            }
            out.push(b'}');
        }
        _ => return Err(Status::internal("an object without metadata")),
    }
    for (name, value) in object.as_object().into_iter().flatten() {
        if matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            continue;
        }
        out.push(b',');
        serde_json::to_writer(&mut out, name).map_err(Status::internal)?;
        out.push(b':');
        write(&mut out, value)?;
    }
    out.push(b'}');
    if out.len() > OBJECT_BYTES_MAX {
        return Err(Status::too_large(OBJECT_BYTES_MAX));
    }
    Ok(Encoded { json: out.into(), splice_at, served: None })
}

impl Encoded {
    /// For the client, of a dry run: there is no revision.
    pub(crate) fn unrevised(&self) -> Bytes {
        self.served.as_ref().map_or(&self.json, |served| &served.json).clone()
    }

    /// For a command.
    pub(crate) fn payload(&self, kind: &Kind, key: &[u8], keyring: &dyn Keyring) -> Payload {
        if kind.sealed {
            keyring.seal(key, &self.json, self.splice_at)
        } else {
            Payload::Object { json: self.json.clone(), splice_at: self.splice_at }
        }
    }

    /// For the client, at its revision.
    pub(crate) fn at(&self, revision: u64) -> Bytes {
        if let Some(served) = &self.served {
            return served.at(revision);
        }
        let at = self.splice_at as usize;
        let mut out = Vec::with_capacity(self.json.len() + 40);
        out.extend_from_slice(&self.json[..at]);
        out.extend_from_slice(format!("\"resourceVersion\":\"{revision}\",").as_bytes());
        out.extend_from_slice(&self.json[at..]);
        out.into()
    }
}

/// A stored object as a value, in the form of a kind.
pub(crate) fn decode(kind: &Kind, entry: &Entry) -> Result<Value, Status> {
    let mut object: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
    if let Some(conversion) = &kind.stored_as {
        (conversion.from_storage)(&mut object);
    }
    Ok(object)
}
