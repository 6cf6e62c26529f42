// @ts-check

/**
 * What the page is to do, from its address.
 *
 * @typedef {object} Settings
 * @property {string} relay Where the relay is, such as http://127.0.0.1:8080.
 * @property {string} name Of the person; empty for one of the relay's choice.
 * @property {number} lat Degrees.
 * @property {number} lon Degrees.
 * @property {number} radius Metres.
 * @property {boolean} join Whether to join voice at once.
 * @property {"at_once" | "never"} offer Whether this side offers, or leaves that to others.
 * @property {"default" | "prefer" | "remove"} red What becomes of audio/red.
 * @property {boolean} microphone Whether to have one.
 * @property {boolean} echo Whether the browser cancels echo.
 * @property {boolean} noise Whether it suppresses noise.
 * @property {boolean} gain Whether it controls gain.
 * @property {boolean} relayOnly Whether to connect over TURN only.
 * @property {boolean} count Whether to count payloads by type.
 * @property {string} politeTo Be the one who gives way to this person; empty for whatever comes.
 * @property {string} impoliteTo Be the one who doesn't.
 * @property {string} via HOST:PORT in place of the others' addresses, see `peer.js`.
 */

/**
 * @param {URLSearchParams} query
 * @returns {Settings}
 */
export function settings(query) {
  /** @type {<T extends string>(name: string, ...values: T[]) => T} */
  const choice = (name, ...values) => {
    const given = query.get(name) ?? values[0];
    const value = values.find((value) => value === given);
    if (value === undefined) {
      throw new Error(`${name} is one of ${values.join(", ")}, not ${given}`);
    }
    return value;
  };
  /** @type {(name: string, otherwise: number) => number} */
  const number = (name, otherwise) => {
    const value = Number(query.get(name) ?? otherwise);
    if (!Number.isFinite(value)) {
      throw new Error(`${name} is a number`);
    }
    return value;
  };
  const on = /** @type {(name: string) => boolean} */ (name) => choice(name, "on", "off") === "on";
  const off = /** @type {(name: string) => boolean} */ (name) => choice(name, "off", "on") === "on";
  return {
    relay: query.get("relay") ?? location.origin,
    name: query.get("name") ?? "",
    lat: number("lat", 0),
    lon: number("lon", 0),
    radius: number("radius", 500),
    join: on("join"),
    offer: choice("offer", "at_once", "never"),
    red: choice("red", "default", "prefer", "remove"),
    microphone: on("microphone"),
    echo: on("echo"),
    noise: on("noise"),
    gain: on("gain"),
    relayOnly: off("relay_only"),
    count: off("count"),
    politeTo: query.get("polite_to") ?? "",
    impoliteTo: query.get("impolite_to") ?? "",
    via: query.get("via") ?? "",
  };
}
