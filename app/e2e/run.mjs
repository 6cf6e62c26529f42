/**
 * The real window in a real browser, on the scripted backend: each state at each size, dark and
 * light, without violations and without anything covered; the keyboard alone; and scrolling at speed.
 *
 * `npm run e2e` does everything, `npm run e2e:quick` every path and a seventh of the pictures;
 * `node e2e/run.mjs states|paths|speed [name]` a part.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, serve } from "./lib.mjs";
import { paths } from "./paths.mjs";
import { speed } from "./speed.mjs";
import { states } from "./states.mjs";

const words = process.argv.slice(2);
const quick = words.includes("--quick");
const [part, only] = words.filter((word) => word !== "--quick");
const out = join(fileURLToPath(new URL(".", import.meta.url)), "out");
mkdirSync(out, { recursive: true });

const server = await serve();
const browser = await launch();
const problems = [];
const report = (where, what) => {
  problems.push(`${where}: ${what}`);
  console.error(`  ✗ ${where}: ${what}`);
};
try {
  const context = { browser, base: server.url, out, report, only, quick };
  for (const [name, run] of Object.entries({ states, paths, speed })) {
    if (part !== undefined && part !== name) continue;
    const began = performance.now();
    const count = await run(context);
    console.log(`${name}: ${count} checked in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
} finally {
  await browser.close();
  server.close();
}
if (problems.length > 0) {
  console.error(`${problems.length} problems; the pictures are in ${out}`);
  process.exit(1);
}
