/**
 * Scrolling through 5,000 messages and 300 people: what the main thread does for it, by the
 * browser's own trace. Thread time is held to the bound, since the machine may be busy with
 * something else; wall time is told beside it. What disturbs only ever adds, so that the best of a
 * few runs counts.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { open } from "./lib.mjs";

/** 30 frames a second leave this much. */
const FRAME_MS = 32;
/** Fewer frames in three seconds are no scrolling. */
const FEWEST = 40;
const RUNS = 3;

export async function speed({ browser, base, out, report }) {
  const results = {};
  for (const [what, selector] of [
    ["5,000 messages", "section[aria-label=Messages]"],
    ["300 people", "aside section[aria-label=People] > div"],
  ]) {
    for (let run = 1; run <= RUNS; run += 1) {
      const found = await measure(browser, base, selector);
      if (found.errors.length > 0) report("speed", found.errors.join("; "));
      const { rows, tasks } = found;
      results[what] = { rows, ...tasks };
      console.log(
        `  ${what}: ${tasks.frames} frames, at most ${rows} rows in the document; main thread's longest task ${tasks.thread.max} ms of its own time (median ${tasks.thread.median}, p99 ${tasks.thread.p99}), ${tasks.wall.max} ms on the clock (p99 ${tasks.wall.p99})`,
      );
      if (rows > 120) report("speed", `${what}: ${rows} rows are in the document at once`);
      if (tasks.thread.max <= FRAME_MS && tasks.frames >= FEWEST) break;
      if (run < RUNS) continue;
      if (tasks.frames < FEWEST) report("speed", `${what}: only ${tasks.frames} frames in three seconds`);
      if (tasks.thread.max > FRAME_MS) report("speed", `${what}: a frame took ${tasks.thread.max} ms`);
    }
  }
  writeFileSync(join(out, "speed.json"), JSON.stringify(results, null, 2));
  return Object.keys(results).length;
}

/** Scrolls in a window of its own, and says what that took. */
async function measure(browser, base, selector) {
  const { page, errors } = await open(browser, base, {
    scenario: "crowd",
    size: [1280, 800],
    reduced: false,
    run: 600,
    extra: "&messages=5000",
  });
  const held = await page.evaluate(() => [
    window.__scripted.backend.messages.length,
    window.__scripted.backend.actors.length,
  ]);
  if (held.join() !== "5000,300") errors.push(`there are ${held} messages and people`);
  // Somewhere in the middle, where there is something to both sides.
  await page.evaluate((it) => {
    const element = document.querySelector(it);
    if (element.scrollHeight < element.clientHeight * 4) throw new Error("there is nothing to scroll");
    element.scrollTop = element.scrollHeight / 2;
  }, selector);
  await page.waitForTimeout(700);
  await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline"] });
  const rows = await page.evaluate(scroll, selector);
  const tasks = tasksOf(JSON.parse((await browser.stopTracing()).toString("utf8")).traceEvents);
  await page.close();
  return { errors, rows, tasks };
}

/** How long the renderer's main thread was busy at a time, in milliseconds. */
function tasksOf(events) {
  const main = events.find(
    (e) => e.name === "thread_name" && e.args?.name === "CrRendererMain" && isPage(e, events),
  );
  const tasks = events.filter(
    (e) => e.name === "RunTask" && e.pid === main?.pid && e.tid === main?.tid && e.ph === "X",
  );
  // Only what makes frames: most tasks are empty.
  const long = tasks.filter((e) => e.dur > 1_000);
  const sum = (values) => {
    const sorted = values.sort((a, b) => a - b);
    const at = (part) =>
      Number(
        ((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) / 1_000).toFixed(1),
      );
    return { median: at(0.5), p99: at(0.99), max: at(1) };
  };
  return {
    frames: long.length,
    thread: sum(long.map((e) => e.tdur ?? e.dur)),
    wall: sum(long.map((e) => e.dur)),
  };
}

/** The renderer that did the most is the page's. */
function isPage(thread, events) {
  const busy = (pid, tid) =>
    events.reduce(
      (sum, e) => sum + (e.name === "RunTask" && e.pid === pid && e.tid === tid ? (e.dur ?? 0) : 0),
      0,
    );
  const others = events.filter((e) => e.name === "thread_name" && e.args?.name === "CrRendererMain");
  const mine = busy(thread.pid, thread.tid);
  return others.every((other) => busy(other.pid, other.tid) <= mine);
}

/** Scrolls to and fro for three seconds, about 4,000 px a second, as a hand flings. */
async function scroll(selector) {
  const element = document.querySelector(selector);
  let rows = 0;
  await new Promise((resolve) => {
    const began = performance.now();
    const step = () => {
      const part = (performance.now() - began) / 3_000;
      if (part >= 1) return resolve();
      element.scrollTop += (Math.floor(part * 6) % 2 === 0 ? -1 : 1) * 66;
      rows = Math.max(rows, element.querySelectorAll("li").length);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
  return rows;
}
