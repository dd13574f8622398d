// Writes a key, reads it, and watches it change, over trireme.v1.
//
// From this folder, with protoc, protoc-gen-go and protoc-gen-go-grpc at hand:
//
//	protoc -I ../../../../api/proto/proto --go_out=. --go-grpc_out=. \
//	    --go_opt=Mtrireme/v1/store.proto=example/v1 --go_opt=module=example \
//	    --go-grpc_opt=Mtrireme/v1/store.proto=example/v1 --go-grpc_opt=module=example \
//	    trireme/v1/store.proto
//	go run . 127.0.0.1:6443 ../../../../.trireme
//
// The second argument is the folder of a local cluster: its ca.crt, admin.crt and admin.key are used.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	v1 "example/v1"
)

func identity(folder string) (credentials.TransportCredentials, error) {
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "admin.crt"), filepath.Join(folder, "admin.key"))
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}), nil
}

// put writes a key and returns the revision that it took.
func put(ctx context.Context, store v1.StoreClient, key, value string) (uint64, error) {
	op := &v1.Op{Op: &v1.Op_Put{Put: &v1.PutOp{Key: []byte(key), Value: []byte(value)}}}
	answer, err := store.Txn(ctx, &v1.TxnRequest{Then: []*v1.Op{op}})
	return answer.GetRevision(), err
}

func run(address, folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	identity, err := identity(folder)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(identity))
	if err != nil {
		return err
	}
	defer connection.Close()
	store := v1.NewStoreClient(connection)
	const key = "/example/go"
	first, err := put(ctx, store, key, "hello")
	if err != nil {
		return err
	}
	read, err := store.Get(ctx, &v1.GetRequest{Key: []byte(key)})
	if err != nil {
		return err
	}
	fmt.Println("read", string(read.Entry.Value))

	// From the first write on: nothing in between is lost.
	watch, err := store.Watch(ctx, &v1.WatchRequest{Keys: &v1.KeyRange{Start: []byte(key)}, After: &first})
	if err != nil {
		return err
	}
	if _, err := put(ctx, store, key, "world"); err != nil {
		return err
	}
	for {
		message, err := watch.Recv()
		if err != nil {
			return err
		}
		for _, event := range message.Events {
			fmt.Println("saw", string(event.Entry.Value))
			return nil
		}
	}
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
