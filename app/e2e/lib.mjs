/** A small server for the built demo, and a browser: nothing is loaded from outside. */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "..", "dist-demo");

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
};

/** As the shell sets it: the page must work under it. */
const SHELL = JSON.parse(await readFile(join(here, "../../src-tauri/tauri.conf.json"), "utf8"));
const CSP = Object.entries({ ...SHELL.app.security.csp, "connect-src": "'self'" })
  .map(([what, from]) => `${what} ${from}`)
  .join("; ");

export async function serve() {
  const server = createServer(async (request, response) => {
    const { pathname: path, searchParams: query } = new URL(request.url ?? "/", "http://localhost");
    const file = join(dist, normalize(path === "/" ? "/index.html" : path));
    if (path === "/large.css") {
      response.writeHead(200, { "content-type": TYPES[".css"] }).end("html { font-size: 200% !important }");
      return;
    }
    try {
      if (!file.startsWith(dist)) throw new Error("outside");
      let body = await readFile(file);
      // As if the person had chosen letters twice as large.
      if (query.has("large")) {
        body = String(body).replace("</head>", '<link rel="stylesheet" href="/large.css"></head>');
      }
      response.writeHead(200, {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-security-policy": CSP,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none", "--mute-audio"],
  });
}

/** Does something with each, a few at a time: pages wait more than they work. */
export async function eachOf(list, atOnce, work) {
  const left = [...list];
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Opens a scenario and lets its script run for a while of its own time. */
export async function open(
  browser,
  base,
  {
    scenario,
    size,
    dark = true,
    lang = "en",
    reduced = true,
    frozen = true,
    run = 1_200,
    extra = "",
    ...context
  },
) {
  const page = await browser.newPage({
    viewport: { width: size[0], height: size[1] },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: reduced ? "reduce" : "no-preference",
    locale: lang,
    timezoneId: "UTC",
    ...context,
  });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith("data:")) {
      errors.push(`something was loaded from outside: ${request.url()}`);
    }
  });
  await page.goto(`${base}/?scenario=${scenario}${frozen ? "&frozen" : ""}&lang=${lang}${extra}`);
  await page.waitForFunction(() => window.__scripted && document.querySelector("header"));
  if (frozen) await advance(page, run);
  return { page, errors };
}

/** Moves the script's clock, in small steps, so that the window sees each. */
export async function advance(page, ms) {
  await page.evaluate(async (total) => {
    for (let done = 0; done < total; done += 200) {
      window.__scripted.clock.advance(Math.min(200, total - done));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }, ms);
  // Two frames: what has changed is drawn.
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
}

export const asked = (page) => page.evaluate(() => window.__scripted.commands);
export const calls = (page) => page.evaluate(() => window.__scripted.calls);
