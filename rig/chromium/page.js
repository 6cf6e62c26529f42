// @ts-check

import { Ear } from "./ear.js";
import { Peer } from "./peer.js";
import { Relay, session } from "./relay.js";
import { settings } from "./settings.js";
import { stats } from "./stats.js";

/**
 * @typedef {import("../../shared/bindings/wire").ServerFrame} ServerFrame
 * @typedef {import("../../shared/bindings/wire").SignalData} SignalData
 */

const wanted = settings(new URLSearchParams(location.search));

/** One person, as the driver sees them: `window.neartalk`. */
class NearTalk {
  /** Who this is; empty before there is a session. */
  peerId = "";
  /** Where this is; empty before the relay knows it. */
  place = "";
  inVoice = false;
  /** What went wrong. @type {string[]} */
  errors = [];
  /** Whoever left, or said bye. @type {string[]} */
  gone = [];
  /** Who is in range, whether or not in voice. @type {Map<string, import("../../shared/bindings/wire").Person>} */
  people = new Map();

  /** @type {Map<string, Peer>} */
  #peers = new Map();
  /** What role this side has with whom. @type {Map<string, boolean>} */
  #polite = new Map();
  /** @type {Map<string, Ear>} */
  #ears = new Map();
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  /** @type {MediaStream | null} */
  #microphone = null;
  /** @type {Relay | null} */
  #relay = null;
  /** What comes is taken in one at a time. */
  #queue = Promise.resolve();

  async start() {
    if (wanted.microphone) {
      this.#microphone = await navigator.mediaDevices.getUserMedia({
        audio: {
          echoCancellation: wanted.echo,
          noiseSuppression: wanted.noise,
          autoGainControl: wanted.gain,
        },
      });
    }
    const mine = await session(wanted);
    this.peerId = mine.peer_id;
    this.#relay = new Relay(
      mine,
      wanted,
      (frame) => this.#soon(() => this.#take(frame)),
      (why) => this.errors.push(`the socket closed: ${why}`),
    );
  }

  /** @param {() => Promise<void>} what */
  #soon(what) {
    this.#queue = this.#queue
      .then(what)
      .catch((error) => void this.errors.push(String(error)));
  }

  /** @param {ServerFrame} frame */
  async #take(frame) {
    switch (frame.type) {
      case "located":
        // Whoever was here before the reload is told twice.
        if (wanted.join && this.place === "") {
          this.join();
        }
        this.place = frame.geohash_prefix;
        break;
      case "nearby":
        this.people = new Map(
          frame.people.map((person) => [person.peer_id, person]),
        );
        break;
      case "person_entered":
      case "person_changed":
        this.people.set(frame.person.peer_id, frame.person);
        break;
      case "person_left":
        this.people.delete(frame.peer_id);
        break;
      case "voice_ready":
        this.#iceServers = frame.ice_servers.map((server) => ({
          urls: server.urls,
          ...(server.username ? { username: server.username } : {}),
          ...(server.credential ? { credential: server.credential } : {}),
        }));
        this.inVoice = true;
        break;
      case "voice_peer":
        this.#polite.set(frame.peer_id, frame.polite);
        this.#close(frame.peer_id);
        if (wanted.offer === "at_once") {
          this.#open(frame.peer_id);
        }
        break;
      case "voice_peer_left":
        this.#polite.delete(frame.peer_id);
        this.#close(frame.peer_id);
        this.gone.push(frame.peer_id);
        break;
      case "signal":
        await this.#signal(frame.from, frame.data);
        break;
      case "error":
        this.errors.push(`${frame.code}: ${frame.message}`);
        break;
    }
  }

  /**
   * @param {string} from
   * @param {SignalData} data
   */
  async #signal(from, data) {
    if (data.kind === "bye") {
      this.#close(from);
      this.gone.push(from);
      return;
    }
    const offered = data.kind === "description" && data.sdp_type === "offer";
    let peer = this.#peers.get(from);
    if (offered && (peer === undefined || isAnother(peer, data.sdp))) {
      peer = this.#open(from);
    }
    await peer?.take(data);
  }

  /** @param {string} id */
  #open(id) {
    this.#close(id);
    const peer = new Peer(
      this.#polite.get(id) ?? false,
      this.#iceServers,
      this.#microphone,
      wanted,
      (data) => this.#relay?.send({ type: "signal", to: id, data }),
    );
    this.#peers.set(id, peer);
    return peer;
  }

  /** @param {string} id */
  #close(id) {
    this.#ears.get(id)?.close();
    this.#ears.delete(id);
    this.#peers.get(id)?.close();
    this.#peers.delete(id);
  }

  join() {
    this.#relay?.send({ type: "voice_join" });
  }

  /** Leaves voice, and stays in range. */
  leave() {
    this.#relay?.send({ type: "voice_leave" });
    for (const id of [...this.#peers.keys()]) {
      this.#close(id);
    }
    this.#polite.clear();
    this.inVoice = false;
  }

  /** Leaves altogether. */
  end() {
    this.leave();
    this.#relay?.leave();
  }

  /** @param {boolean} muted */
  mute(muted) {
    for (const track of this.#microphone?.getAudioTracks() ?? []) {
      track.enabled = !muted;
    }
    this.#relay?.send({ type: "voice_state", muted, deafened: false });
  }

  /** Makes another offer to somebody, for a new path. @param {string} id */
  restartIce(id) {
    this.#peers.get(id)?.connection.restartIce();
  }

  /** How the connection with somebody stands. @param {string} id */
  async peer(id) {
    const peer = this.#peers.get(id);
    if (peer === undefined) {
      return null;
    }
    const { connection, counts, hidden } = peer;
    return {
      state: connection.connectionState,
      polite: this.#polite.get(id) ?? null,
      ...counts,
      hidden,
      payloads: await peer.payloads(),
      ...(await stats(connection)),
    };
  }

  /** The last of what is heard of somebody, see `Ear`. @param {string} id */
  sound(id) {
    const stream = this.#peers.get(id)?.heard ?? null;
    if (stream === null) {
      return null;
    }
    const ear = this.#ears.get(id) ?? new Ear(stream);
    this.#ears.set(id, ear);
    return ear.samples();
  }

  /** What was agreed on with somebody. @param {string} id */
  descriptions(id) {
    const { localDescription, remoteDescription } =
      this.#peers.get(id)?.connection ?? {};
    return {
      local: localDescription?.sdp ?? null,
      remote: remoteDescription?.sdp ?? null,
    };
  }
}

/**
 * Whether an offer is not of the session that there is, but of one anew: then it has another certificate.
 *
 * @param {Peer} peer
 * @param {string} sdp
 */
function isAnother({ connection }, sdp) {
  const known = connection.remoteDescription?.sdp;
  return known !== undefined && fingerprint(known) !== fingerprint(sdp);
}

/** @param {string} sdp */
function fingerprint(sdp) {
  return /a=fingerprint:\S+ (\S+)/.exec(sdp)?.[1];
}

const neartalk = new NearTalk();
Object.assign(window, { neartalk });
neartalk
  .start()
  .catch((error) => void neartalk.errors.push(`can't start: ${error}`));
