"""Writes a key, reads it, and watches it change, over trireme.v1.

    pip install grpcio grpcio-tools
    python -m grpc_tools.protoc -I api/proto/proto --python_out=. --grpc_python_out=. trireme/v1/store.proto
    python docs/examples/clients/grpc-python/client.py 127.0.0.1:6443 .trireme

The second argument is the folder of a local cluster: its ca.crt, admin.crt and admin.key are used.
"""

import pathlib
import sys

sys.path.insert(0, ".")

import grpc
from trireme.v1 import store_pb2 as pb
from trireme.v1 import store_pb2_grpc


def put(store, key, value):
    """Writes a key; the revision that it took."""
    operation = pb.Op(put=pb.PutOp(key=key, value=value))
    return store.Txn(pb.TxnRequest(then=[operation]), timeout=10).revision


def main():
    address, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(folder / "ca.crt").read_bytes(),
        private_key=(folder / "admin.key").read_bytes(),
        certificate_chain=(folder / "admin.crt").read_bytes(),
    )
    key = b"/example/python"
    with grpc.secure_channel(address, credentials) as channel:
        store = store_pb2_grpc.StoreStub(channel)
        first = put(store, key, b"hello")
        entry = store.Get(pb.GetRequest(key=key), timeout=10).entry
        print("read", entry.value.decode())

        # From the first write on: nothing in between is lost.
        watch = store.Watch(pb.WatchRequest(keys=pb.KeyRange(start=key), after=first))
        put(store, key, b"world")
        for message in watch:
            for event in message.events:
                print("saw", event.entry.value.decode())
                watch.cancel()
                return


main()
