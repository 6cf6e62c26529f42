// @ts-check

/**
 * @typedef {import("../../shared/bindings/wire").ClientFrame} ClientFrame
 * @typedef {import("../../shared/bindings/wire").ServerFrame} ServerFrame
 * @typedef {import("../../shared/bindings/wire").CreatedSession} Session
 * @typedef {import("./settings.js").Settings} Settings
 */

/** A reload of the page is the same person. */
const KEPT = "session";

/** Chances are one in four or better each time, unless somebody asks for what there hardly is. */
const ATTEMPTS = 80;

/**
 * The session from before the reload, or a new one.
 *
 * @param {Settings} settings
 * @returns {Promise<Session>}
 */
export async function session(settings) {
  const kept = sessionStorage.getItem(KEPT);
  if (kept !== null) {
    return JSON.parse(kept);
  }
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const session = await create(settings);
    if (fits(session, settings)) {
      sessionStorage.setItem(KEPT, JSON.stringify(session));
      return session;
    }
  }
  throw new Error("no session came with the role that is wanted");
}

/**
 * @param {Settings} settings
 * @returns {Promise<Session>}
 */
async function create({ relay, name }) {
  const response = await fetch(`${relay}/api/session/create`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(name === "" ? {} : { username: name }),
  });
  if (!response.ok) {
    throw new Error(`no session: ${response.status} ${await response.text()}`);
  }
  return response.json();
}

/**
 * The relay has the one with the lower id give way.
 *
 * @param {Session} session
 * @param {Settings} settings
 */
function fits({ peer_id }, { politeTo, impoliteTo }) {
  return (
    (politeTo === "" || peer_id < politeTo) &&
    (impoliteTo === "" || peer_id > impoliteTo)
  );
}

/** A socket to the relay that has said hello and where it is. */
export class Relay {
  /** @type {WebSocket} */
  #socket;

  /**
   * @param {Session} session
   * @param {Settings} settings
   * @param {(frame: ServerFrame) => void} received
   * @param {(why: string) => void} closed
   */
  constructor(session, { relay, lat, lon, radius }, received, closed) {
    this.#socket = new WebSocket(`${relay.replace(/^http/, "ws")}/ws`);
    this.#socket.onopen = () => {
      this.send({ type: "hello", session_id: session.session_id, protocol: 1 });
      this.send({ type: "locate", lat, lon, radius });
    };
    this.#socket.onmessage = ({ data }) => received(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => closed(`${code} ${reason}`);
  }

  /** @param {ClientFrame} frame */
  send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  /** Leaves for good. */
  leave() {
    sessionStorage.removeItem(KEPT);
    this.#socket.close(1000);
  }
}
