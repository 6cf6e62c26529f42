import { describe, expect, it } from "vitest";
import type { ConnectionState, PlaceState } from "../backend/types";
import { initialState, type State } from "./state";
import { canWrite, hostOf, isReadable, statusOf } from "./status";

function state(place: PlaceState, connection: ConnectionState, more: Partial<State> = {}): State {
  const begun = initialState();
  return { ...begun, ready: true, connection, app: { ...begun.app, place }, ...more };
}

const LIVE: PlaceState = { state: "live", accuracy_m: null };
const ONLINE: ConnectionState = { state: "online" };
const LOCATED = { located: { geohash_prefix: "u33d", radius: 500, grid_m: 100 } };

describe("the status", () => {
  it("begins with the one question", () => {
    expect(statusOf(state({ state: "unasked" }, ONLINE), 0)).toEqual({ kind: "first_run" });
  });

  it("says that looking for a place takes longer, after eight seconds", () => {
    const finding = state({ state: "finding" }, ONLINE, { findingSince: 1_000 });
    expect(statusOf(finding, 8_999)).toEqual({ kind: "finding", long: false });
    expect(statusOf(finding, 9_000)).toEqual({ kind: "finding", long: true });
  });

  it("tells a relay that does not answer from a connection that is gone", () => {
    const unreachable = state(LIVE, {
      state: "offline",
      reason: "unreachable",
      relay: "relay.example.org",
      detail: "",
      retry_in_ms: 5_000,
    });
    expect(statusOf(unreachable, 0)).toEqual({
      kind: "relay_unreachable",
      relay: "relay.example.org",
      retryAt: 5_000,
    });
    const pending = [
      { id: "a", text: "", state: "queued" as const, retryAt: null, why: null, error: null },
      { id: "b", text: "", state: "failed" as const, retryAt: null, why: null, error: null },
    ];
    const lost = state(LIVE, { state: "offline", reason: "lost", retry_in_ms: 5_000 }, { pending });
    expect(statusOf(lost, 0)).toMatchObject({ kind: "offline", waiting: 1 });
  });

  it("puts a ban before everything, with its end on this device's clock", () => {
    const banned = state(
      { state: "unasked" },
      { state: "stopped", reason: "banned", retry_after_ms: 60_000 },
      { connectionAt: 500 },
    );
    expect(statusOf(banned, 0)).toEqual({ kind: "banned", until: 60_500 });
  });

  it("says nothing of a connection that is made at once", () => {
    const connecting = state(LIVE, { state: "connecting" });
    expect(statusOf(connecting, 1_000)).toBeNull();
    expect(statusOf(connecting, 1_500)).toEqual({ kind: "connecting" });
  });

  it("offers the first wider circle with somebody in it", () => {
    const reach = [
      { radius: 500, count: 0 },
      { radius: 1_000, count: 4 },
      { radius: 2_000, count: 9 },
    ];
    expect(statusOf(state(LIVE, ONLINE, { ...LOCATED, reach }), 0)).toEqual({
      kind: "alone",
      wider: { radius: 1_000, count: 4 },
    });
    const nobody = reach.map(({ radius }) => ({ radius, count: 0 }));
    expect(statusOf(state(LIVE, ONLINE, { ...LOCATED, reach: nobody }), 0)).toEqual({
      kind: "alone_everywhere",
    });
  });

  it("is silent when all is well", () => {
    expect(statusOf(state(LIVE, ONLINE, { ...LOCATED, order: ["x"] }), 0)).toBeNull();
  });
});

it("one can write where there is a place, also offline, but not where the relay has ended it", () => {
  expect(canWrite(state({ state: "unasked" }, ONLINE))).toBe(false);
  expect(canWrite(state(LIVE, { state: "offline", reason: "lost", retry_in_ms: 1 }))).toBe(true);
  expect(canWrite(state(LIVE, { state: "stopped", reason: "taken_over" }))).toBe(false);
});

it("a relay is called by its host", () => {
  expect(hostOf("https://relay.example.org/near/")).toBe("relay.example.org/near");
  expect(hostOf("https://relay.example.org/")).toBe("relay.example.org");
  expect(hostOf("http://[2001:db8::1]:8080/")).toBe("[2001:db8::1]:8080");
  expect(hostOf("localhost:8080")).toBe("localhost:8080");
});

it("an address without encryption is one that others can read along at, unless it is this machine", () => {
  for (const open of ["http://relay.example.org", "ws://192.168.1.5:8080", "HTTP://relay.example.org"]) {
    expect(isReadable(open), open).toBe(true);
  }
  for (const closed of [
    "https://a.example",
    "a.example",
    "http://localhost:8080",
    "http://127.0.0.1",
    "http://[::1]:9",
    "two words",
  ]) {
    expect(isReadable(closed), closed).toBe(false);
  }
});
