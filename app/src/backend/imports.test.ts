import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, it } from "vitest";

const SOURCE = new URL("..", import.meta.url).pathname;

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : /(?<!\.test)\.tsx?$/.test(path) ? [path] : [];
  });
}

const importers = (of: RegExp) =>
  files(SOURCE)
    .filter((path) => of.test(readFileSync(path, "utf8")))
    .map((path) => relative(SOURCE, path))
    .sort();

it("nothing but the shell's backend knows Tauri", () => {
  expect(importers(/from "@tauri-apps\/|import\("@tauri-apps\//)).toEqual(["backend/bindings.ts"]);
  expect(importers(/^(?!import type|export type).* from ".*\/bindings"|import\(".*\/bindings"/m)).toEqual([
    "backend/tauri.ts",
  ]);
});

it("nothing but the start knows which backend it is", () => {
  expect(importers(/from ".*backend\/(tauri|scripted)|import\(".*backend\/(tauri|scripted)/)).toEqual([
    "main.tsx",
  ]);
});

it("nothing is fetched but by the backend, and no text becomes markup", () => {
  expect(importers(/\bfetch\(|XMLHttpRequest|new WebSocket|dangerouslySetInnerHTML|\.innerHTML\b/)).toEqual(
    [],
  );
});
