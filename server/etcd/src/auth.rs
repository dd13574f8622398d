//! Users and roles: there are none. Who a client is its certificate says.

use api_proto::etcd::etcdserverpb as pb;

use crate::Face;

impl Face {
    pub(crate) fn auth_status(&self) -> pb::AuthStatusResponse {
        pb::AuthStatusResponse { header: Some(self.header_now()), enabled: false, auth_revision: 1 }
    }

    pub(crate) fn auth_disable(&self) -> pb::AuthDisableResponse {
        pb::AuthDisableResponse { header: Some(self.header_now()) }
    }
}
