/** Holds the first load to its budget: what a browser must have before it can show anything. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET = 150_000;
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));

const needed = new Set();
function need(key) {
  if (needed.has(key)) return;
  needed.add(key);
  for (const next of manifest[key]?.imports ?? []) need(next);
}
need("index.html");
// The backend is fetched by a dynamic import, and nothing shows before it is there.
for (const key of Object.keys(manifest)) if (/backend\/tauri/.test(key)) need(key);

let total = 0;
for (const key of needed) {
  const size = gzipSync(readFileSync(join(dist, manifest[key].file)), { level: 9 }).length;
  total += size;
  console.log(`${String(size).padStart(8)}  ${manifest[key].file}`);
}
const scripted = Object.keys(manifest).filter((key) => key.includes("scripted"));
if (scripted.length > 0) {
  console.error("the scripted backend is part of the release");
  process.exit(1);
}
console.log(`${String(total).padStart(8)}  of ${BUDGET} bytes of JavaScript, gzipped, before anything shows`);
if (total > BUDGET) process.exit(1);
