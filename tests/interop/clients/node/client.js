// A stock gRPC client: for each line `NUMBER TARGET` on stdin it makes so many calls, one after the other, and prints who
// answered, in JSON.
"use strict";

const readline = require("node:readline");
const grpc = require("@grpc/grpc-js");

require("@grpc/grpc-js-xds").register(); // the xds scheme and the policies that resources name

// Longer than a client waits for a resource, so that what ends a call is never its deadline.
const DEADLINE_MS = 20_000;

const raw = (bytes) => bytes;

function ask(client) {
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + DEADLINE_MS };
    client.makeUnaryRequest("/demo.Where/Ask", raw, raw, Buffer.alloc(0), options, (failure, answer) => {
      resolve(failure ? `${grpc.status[failure.code]}: ${failure.details}` : answer.toString());
    });
  });
}

async function main() {
  const clients = new Map();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [number, target] = line.split(" ");
    if (!clients.has(target)) {
      clients.set(target, new grpc.Client(target, grpc.credentials.createInsecure()));
    }
    const places = {};
    for (let made = 0; made < Number(number); made++) {
      const place = await ask(clients.get(target));
      places[place] = (places[place] ?? 0) + 1;
    }
    console.log(JSON.stringify(places));
  }
  process.exit(0); // the channels would keep it alive
}

main();
