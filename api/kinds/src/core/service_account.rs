//! ServiceAccount.

use crate::Kind;
use crate::kind::{age, column, integer};

/// ServiceAccount.
pub static SERVICE_ACCOUNT: Kind = Kind {
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    schema: "io.k8s.api.core.v1.ServiceAccount",
    columns: &[integer("Secrets"), column("Age")],
    cells: |object, now_us| {
        let count = object["secrets"].as_array().map_or(0, Vec::len);
        vec![count.into(), age(object, now_us)]
    },
    ..Kind::BASE
};
