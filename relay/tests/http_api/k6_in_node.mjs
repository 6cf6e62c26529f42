// Runs a k6 script without k6, which no package of Debian or npm brings: everybody of its one scenario at once,
// with Node's own fetch and WebSocket, so that every byte goes to a real relay. Prints what was counted.
//
//   node --experimental-websocket k6_in_node.mjs SCRIPT

import { AsyncLocalStorage } from "node:async_hooks";
import { readFile } from "node:fs/promises";

const person = new AsyncLocalStorage();
const counted = {};

class Metric {
  constructor(name) {
    this.name = name;
    counted[name] = { count: 0, sum: 0 };
  }
  add(value) {
    if (!Number.isFinite(value)) throw new Error(`${this.name} gets ${value}`);
    counted[this.name].count += 1;
    counted[this.name].sum += value;
  }
}

async function asyncRequest(method, url, body, { headers }) {
  const answer = await fetch(url, { method, body, headers });
  const text = await answer.text();
  return { status: answer.status, body: text, json: () => JSON.parse(text) };
}

globalThis.__ENV = process.env;
globalThis.k6 = {
  data: { SharedArray: function SharedArray(_name, make) { return JSON.parse(JSON.stringify(make())); } },
  execution: { default: { vu: { get idInTest() { return person.getStore(); } } } },
  http: { default: { asyncRequest } },
  metrics: { Counter: Metric, Trend: Metric },
  timers: { setTimeout },
  websockets: { WebSocket },
};
const source = (await readFile(process.argv[2], "utf8"))
  .replace(/^import (\{.*\}) from "k6\/(\w+)";$/gm, "const $1 = globalThis.k6.$2;")
  .replace(/^import (\w+) from "k6\/(\w+)";$/gm, "const $1 = globalThis.k6.$2.default;");
const script = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);

const { vus } = Object.values(script.options.scenarios)[0];
await Promise.all(Array.from({ length: vus }, (_, index) => person.run(index + 1, script.default)));
for (const name of Object.keys(script.options.thresholds)) {
  if (!(name in counted)) throw new Error(`a threshold is for ${name}, which nothing counts`);
}
console.log(JSON.stringify(counted));
