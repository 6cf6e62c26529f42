import type { ApiError, PlaceProblem, Reach } from "../backend/types";
import { firstWithPeople } from "../lib/circle";
import type { State } from "./state";

/** The one thing that keeps this person from talking to others, when something does. */
export type Status =
  | { kind: "banned"; until: number | null }
  | { kind: "taken_over" }
  | { kind: "unsupported" }
  | { kind: "relay_unreachable"; relay: string; retryAt: number }
  | { kind: "offline"; waiting: number; retryAt: number }
  | { kind: "first_run" }
  | { kind: "location_denied" }
  | { kind: "location_unavailable"; problem: PlaceProblem }
  | { kind: "finding"; long: boolean }
  | { kind: "location_refused"; error: ApiError; retryAt: number }
  | { kind: "connecting" }
  | { kind: "alone"; wider: Reach }
  | { kind: "alone_everywhere" };

/** Looking for a place indoors takes its time, and then the sentence says so. */
const LONG_SEARCH_MS = 8_000;
/** A connection that is made at once needs no word. */
const QUIET_CONNECT_MS = 1_500;

export function statusOf(state: State, now: number): Status | null {
  const { connection, app } = state;
  if (connection.state === "stopped") {
    switch (connection.reason) {
      case "banned": {
        const ms = connection.retry_after_ms;
        return { kind: "banned", until: ms === null ? null : state.connectionAt + ms };
      }
      case "taken_over":
        return { kind: "taken_over" };
      case "unsupported_protocol":
        return { kind: "unsupported" };
      case "shutdown":
        return { kind: "offline", waiting: waiting(state), retryAt: now };
    }
  }
  if (connection.state === "offline") {
    const retryAt = state.connectionAt + connection.retry_in_ms;
    if (connection.reason === "unreachable" || connection.reason === "not_a_relay") {
      const relay = connection.reason === "unreachable" ? connection.relay : hostOf(app.settings.relay);
      return { kind: "relay_unreachable", relay, retryAt };
    }
    return { kind: "offline", waiting: waiting(state), retryAt };
  }
  switch (app.place.state) {
    case "unasked":
      return { kind: "first_run" };
    case "denied":
      return { kind: "location_denied" };
    case "unavailable": {
      const { state: _, ...problem } = app.place;
      return { kind: "location_unavailable", problem };
    }
    case "finding":
      return {
        kind: "finding",
        long: state.findingSince !== null && now - state.findingSince >= LONG_SEARCH_MS,
      };
  }
  if (state.locationRefused) return { kind: "location_refused", ...state.locationRefused };
  if (connection.state === "connecting") {
    return now - state.connectionSince >= QUIET_CONNECT_MS ? { kind: "connecting" } : null;
  }
  if (state.located && state.order.length === 0) {
    const wider = firstWithPeople(state.radius, state.reach);
    return wider ? { kind: "alone", wider } : { kind: "alone_everywhere" };
  }
  return null;
}

/** Whether somebody could read what is said now, or later. */
export function canWrite(state: State): boolean {
  const placed = state.app.place.state === "live" || state.app.place.state === "by_hand";
  return placed && state.connection.state !== "stopped";
}

function waiting(state: State): number {
  return state.pending.filter((p) => p.state !== "failed").length;
}

/** A relay's address as people know it: its host, and what stands behind it where several share one. */
export function hostOf(address: string): string {
  try {
    const { host, pathname } = new URL(address.includes("://") ? address : `https://${address}`);
    return host + pathname.replace(/\/$/, "");
  } catch {
    return address;
  }
}

/** Whether others on the way to a relay can read along: what goes there is not encrypted, and leaves this machine. */
export function isReadable(address: string): boolean {
  try {
    const { protocol, hostname } = new URL(address.includes("://") ? address : `https://${address}`);
    const isHere = /^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname);
    return /^(http|ws):$/.test(protocol) && !isHere;
  } catch {
    return false;
  }
}
