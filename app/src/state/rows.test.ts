import { expect, it } from "vitest";
import { rowsOf } from "./rows";
import type { Pending, ShownMessage } from "./state";

function shown(id: string, from: string, sent_at: number, more: object = {}): ShownMessage {
  return {
    message: {
      id,
      from,
      username: "Blue Fox",
      own: false,
      text: id,
      sent_at,
      expires_at: 0,
      expires_in_ms: 0,
      ...more,
    },
    goneAt: 0,
    mentionsMe: false,
  };
}

const shape = (rows: ReturnType<typeof rowsOf>) => rows.map((r) => [r.key, r.first, r.last]);

it("what one person says within a minute is one group", () => {
  const rows = rowsOf([shown("a", "x", 0), shown("b", "x", 59_999), shown("c", "x", 119_999)], []);
  expect(shape(rows)).toEqual([
    ["a", true, false],
    ["b", false, true],
    ["c", true, true],
  ]);
});

it("what came while nobody looked begins a group, under a line", () => {
  const rows = rowsOf([shown("a", "x", 0), shown("b", "x", 1), shown("c", "x", 2)], [], "b");
  expect(shape(rows)).toEqual([
    ["a", true, true],
    ["b", true, false],
    ["c", false, true],
  ]);
  expect(rows.map((row) => row.kind === "message" && row.unread)).toEqual([false, true, false]);
  // With nothing above it there is nothing to set it off from.
  expect(rowsOf([shown("a", "x", 0)], [], "a")[0]).toMatchObject({ unread: false });
});

it("another person, name or distance begins another group", () => {
  const rows = rowsOf(
    [
      shown("a", "x", 0),
      shown("b", "y", 1),
      shown("c", "y", 2, { username: "Red Fox" }),
      shown("d", "y", 3, { username: "Red Fox", distance: { min: 50, max: 100 } }),
    ],
    [],
  );
  expect(rows.every((row) => row.first && row.last)).toBe(true);
});

it("what waits stands at the end, as one group", () => {
  const waiting = (id: string): Pending => ({
    id,
    text: "",
    state: "queued",
    retryAt: null,
    why: null,
    error: null,
  });
  expect(shape(rowsOf([shown("a", "x", 0)], [waiting("p"), waiting("q")]))).toEqual([
    ["a", true, true],
    ["p", true, false],
    ["q", false, true],
  ]);
});
