// Locks, elections and software transactional memory as etcd's own Go library has them, against the endpoints that are
// given. Prints one line for each recipe that held.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	workers = 4
	rounds  = 5
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func connect() *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(os.Args[1], ","), DialTimeout: 10 * time.Second})
	must(err)
	return client
}

func session(client *clientv3.Client) *concurrency.Session {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(10))
	must(err)
	return session
}

func number(ctx context.Context, client *clientv3.Client, key string) int {
	found, err := client.Get(ctx, key)
	must(err)
	if len(found.Kvs) == 0 {
		return 0
	}
	number, err := strconv.Atoi(string(found.Kvs[0].Value))
	must(err)
	return number
}

// Everybody reads, waits and writes back: without the lock most of it would be lost.
func lock(ctx context.Context) {
	var all sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		all.Add(1)
		go func() {
			defer all.Done()
			client := connect()
			defer client.Close()
			session := session(client)
			defer session.Close()
			mutex := concurrency.NewMutex(session, "/go/lock/")
			for round := 0; round < rounds; round++ {
				must(mutex.Lock(ctx))
				before := number(ctx, client, "/go/counter")
				time.Sleep(5 * time.Millisecond)
				_, err := client.Put(ctx, "/go/counter", strconv.Itoa(before+1))
				must(err)
				must(mutex.Unlock(ctx))
			}
		}()
	}
	all.Wait()
	client := connect()
	defer client.Close()
	fmt.Println("counted under a lock:", number(ctx, client, "/go/counter"))

	holder, waiter := session(client), session(client)
	held := concurrency.NewMutex(holder, "/go/held/")
	must(held.Lock(ctx))
	wanted := concurrency.NewMutex(waiter, "/go/held/")
	if err := wanted.TryLock(ctx); err != concurrency.ErrLocked {
		log.Fatalf("a lock that is held: %v", err)
	}
	// Whoever dies lets go: its lease ends.
	must(holder.Close())
	must(wanted.Lock(ctx))
	fmt.Println("a dead holder let go")
	must(waiter.Close())
}

func election(ctx context.Context) {
	client := connect()
	defer client.Close()
	first, second := session(client), session(client)
	one, two := concurrency.NewElection(first, "/go/chair/"), concurrency.NewElection(second, "/go/chair/")
	must(one.Campaign(ctx, "one"))
	observed := two.Observe(ctx)
	won := make(chan error, 1)
	go func() { won <- two.Campaign(ctx, "two") }()
	seen := <-observed
	fmt.Println("leads:", string(seen.Kvs[0].Value))
	must(one.Proclaim(ctx, "still one"))
	for seen = range observed {
		if string(seen.Kvs[0].Value) == "still one" {
			break
		}
	}
	must(one.Resign(ctx))
	must(<-won)
	leader, err := one.Leader(ctx)
	must(err)
	fmt.Println("leads:", string(leader.Kvs[0].Value))
	must(first.Close())
	must(second.Close())
}

// Money moves between accounts at the same time, and none is made or lost.
func stm(ctx context.Context) {
	client := connect()
	defer client.Close()
	accounts := []string{"/go/account/a", "/go/account/b", "/go/account/c"}
	for _, account := range accounts {
		_, err := client.Put(ctx, account, "100")
		must(err)
	}
	var all sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for round := 0; round < rounds; round++ {
				from, to := accounts[(worker+round)%3], accounts[(worker+round+1)%3]
				_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
					have, _ := strconv.Atoi(stm.Get(from))
					had, _ := strconv.Atoi(stm.Get(to))
					stm.Put(from, strconv.Itoa(have-7))
					stm.Put(to, strconv.Itoa(had+7))
					return nil
				}, concurrency.WithAbortContext(ctx))
				must(err)
			}
		}()
	}
	all.Wait()
	sum := 0
	for _, account := range accounts {
		sum += number(ctx, client, account)
	}
	fmt.Println("in all accounts:", sum)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	lock(ctx)
	election(ctx)
	stm(ctx)
}
