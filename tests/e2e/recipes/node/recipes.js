// Locks and elections as the Node library etcd3 has them, against the endpoints that are given. Prints one line for each
// recipe that held.
'use strict';

const { Etcd3 } = require('etcd3');

const WORKERS = 4;
const ROUNDS = 5;

const connect = () => new Etcd3({ hosts: process.argv[2].split(',') });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The library's lock does not queue: whoever finds it held tries again.
async function held(client, name, work) {
  for (;;) {
    try {
      return await client.lock(name).ttl(10).do(work);
    } catch (error) {
      if (error.constructor.name !== 'EtcdLockFailedError') throw error;
      await pause(3);
    }
  }
}

async function lock() {
  await Promise.all(Array.from({ length: WORKERS }, async () => {
    const client = connect();
    for (let round = 0; round < ROUNDS; round++) {
      await held(client, 'node/lock', async () => {
        const before = Number((await client.get('node/counter').string()) ?? 0);
        await pause(5);
        await client.put('node/counter').value(String(before + 1));
      });
    }
    client.close();
  }));
  const client = connect();
  console.log('counted under a lock:', await client.get('node/counter').string());
  const holder = client.lock('node/held');
  await holder.acquire();
  let refused = false;
  await client.lock('node/held').acquire().catch(() => { refused = true; });
  await holder.release();
  const next = client.lock('node/held');
  await next.acquire();
  await next.release();
  console.log('a held lock was refused:', refused);
  client.close();
}

// Resolves once a campaign is won.
const wins = (campaign) => new Promise((done, failed) => {
  campaign.on('elected', done);
  campaign.on('error', failed);
});

async function election() {
  const client = connect();
  const election = client.election('node/chair', 10);
  const first = election.campaign('one');
  await wins(first);
  console.log('leads:', await election.leader());
  const second = election.campaign('two');
  const won = wins(second);
  await first.resign();
  await won;
  console.log('leads:', await election.leader());
  await second.resign();
  client.close();
}

lock().then(election).catch((error) => {
  console.error(error);
  process.exit(1);
});
