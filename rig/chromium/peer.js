// @ts-check

/**
 * @typedef {import("../../shared/bindings/wire").SignalData} SignalData
 * @typedef {import("./settings.js").Settings} Settings
 */

const COUNTER = "counter.js";

/** How long a candidate may take before an offer is withdrawn without it. */
const PATIENCE_MS = 500;

/** The connection with one other person: perfect negotiation, as the W3C's WebRTC describes it. */
export class Peer {
  /** @type {RTCPeerConnection} */
  connection;
  /** What was said to and fro. */
  counts = {
    offers_sent: 0,
    offers_taken: 0,
    offers_ignored: 0,
    offers_withdrawn: 0,
    answers_sent: 0,
    answers_taken: 0,
    candidates_sent: 0,
    candidates_taken: 0,
  };
  /**
   * Where the other person really is, if that is hidden from the browser.
   * @type {string[]}
   */
  hidden = [];

  /**
   * What counts payloads, if somebody wants to know.
   * @type {Partial<Record<"sent" | "received", Worker>>}
   */
  #counters = {};
  /** Until there is a candidate. @type {Promise<unknown>} */
  #gathering;
  #closing = new AbortController();
  #offering = false;
  #ignoring = false;
  #audio = new Audio();
  /** @type {(data: SignalData) => void} */
  #send;
  /** @type {Settings} */
  #settings;
  #polite;

  /**
   * @param {boolean} polite
   * @param {RTCIceServer[]} iceServers
   * @param {MediaStream | null} microphone
   * @param {Settings} settings
   * @param {(data: SignalData) => void} send
   */
  constructor(polite, iceServers, microphone, settings, send) {
    this.#polite = polite;
    this.#settings = settings;
    this.#send = send;
    const connection = new RTCPeerConnection({
      iceServers,
      iceTransportPolicy: settings.relayOnly ? "relay" : "all",
    });
    this.connection = connection;
    connection.ontrack = ({ streams: [stream], track, transceiver }) => {
      this.#count(transceiver);
      this.#audio.srcObject = stream ?? new MediaStream([track]);
      void this.#audio.play();
    };
    /** @type {(candidate: unknown) => void} */
    let gathered;
    this.#gathering = new Promise((resolve) => {
      gathered = resolve;
    });
    connection.onicecandidate = ({ candidate }) => {
      gathered(candidate);
      // Whoever goes over a detour must not be found directly.
      if (candidate !== null && settings.via === "") {
        this.counts.candidates_sent += 1;
        this.#send({
          kind: "candidate",
          candidate: candidate.candidate,
          sdp_mid: candidate.sdpMid,
          sdp_m_line_index: candidate.sdpMLineIndex,
        });
      }
    };
    connection.onnegotiationneeded = () => {
      const { remoteDescription } = connection;
      // What an offer brought needs an answer, not another offer.
      if (settings.offer === "at_once" || remoteDescription !== null) {
        void this.#offer();
      }
    };
    if (settings.offer === "at_once") {
      this.#ask(microphone);
    }
    this.#microphone = microphone;
  }

  /** @type {MediaStream | null} */
  #microphone;

  /** What is heard of them. @returns {MediaStream | null} */
  get heard() {
    const { srcObject } = this.#audio;
    return srcObject instanceof MediaStream ? srcObject : null;
  }

  /** @param {MediaStream | null} microphone */
  #ask(microphone) {
    const [track] = microphone?.getAudioTracks() ?? [];
    if (microphone !== null && track !== undefined) {
      // What is added so serves an offer of the other side's, too, should they cross.
      this.connection.addTrack(track, microphone);
    } else {
      this.connection.addTransceiver("audio", { direction: "recvonly" });
    }
    for (const transceiver of this.connection.getTransceivers()) {
      this.#count(transceiver);
      this.#prefer(transceiver);
    }
  }

  async #offer() {
    try {
      this.#offering = true;
      await this.connection.setLocalDescription();
      this.#describe();
    } finally {
      this.#offering = false;
    }
  }

  #describe() {
    const { localDescription } = this.connection;
    if (localDescription === null) {
      return;
    }
    const { type, sdp } = localDescription;
    if (type !== "offer" && type !== "answer") {
      return;
    }
    this.counts[type === "offer" ? "offers_sent" : "answers_sent"] += 1;
    this.#send({ kind: "description", sdp_type: type, sdp: this.#bare(sdp) });
  }

  /**
   * Takes in what the other side says.
   *
   * @param {SignalData} data
   */
  async take(data) {
    const { connection } = this;
    switch (data.kind) {
      case "description": {
        const { sdp_type: type, sdp } = data;
        const crossed =
          type === "offer" &&
          (this.#offering || connection.signalingState !== "stable");
        this.#ignoring = !this.#polite && crossed;
        if (this.#ignoring) {
          this.counts.offers_ignored += 1;
          return;
        }
        if (crossed) {
          this.counts.offers_withdrawn += 1;
          await this.#withdraw();
        }
        this.counts[type === "offer" ? "offers_taken" : "answers_taken"] += 1;
        await connection.setRemoteDescription({ type, sdp: this.#detour(sdp) });
        if (type === "offer") {
          await this.#answerWithMicrophone();
          await connection.setLocalDescription();
          this.#describe();
        }
        break;
      }
      case "candidate": {
        if (data.candidate === "") {
          return;
        }
        try {
          await connection.addIceCandidate({
            candidate: this.#detour(data.candidate),
            sdpMid: data.sdp_mid,
            sdpMLineIndex: data.sdp_m_line_index,
          });
          this.counts.candidates_taken += 1;
        } catch (error) {
          if (!this.#ignoring) {
            throw error;
          }
        }
        break;
      }
      case "bye":
        break;
    }
  }

  async #withdraw() {
    // Chromium 156 never gathers for the answer if it has not yet begun for the offer.
    const patience = new Promise((resolve) => {
      setTimeout(resolve, PATIENCE_MS);
    });
    await Promise.race([this.#gathering, patience]);
    // What only listens is in the way of the other side's.
    for (const transceiver of this.connection.getTransceivers()) {
      if (
        transceiver.currentDirection === null &&
        transceiver.direction === "recvonly"
      ) {
        transceiver.stop();
      }
    }
  }

  async #answerWithMicrophone() {
    for (const transceiver of this.connection.getTransceivers()) {
      const [track] = this.#microphone?.getAudioTracks() ?? [];
      if (track !== undefined && transceiver.sender.track === null) {
        await transceiver.sender.replaceTrack(track);
        transceiver.direction = "sendrecv";
      }
      this.#prefer(transceiver);
    }
  }

  /**
   * To be called as soon as there is one: what comes through meanwhile is never counted.
   *
   * @param {RTCRtpTransceiver} transceiver
   */
  #count({ sender, receiver }) {
    if (this.#settings.count && this.#counters.sent === undefined) {
      const [sent, received] = [new Worker(COUNTER), new Worker(COUNTER)];
      sender.transform = new RTCRtpScriptTransform(sent);
      receiver.transform = new RTCRtpScriptTransform(received);
      this.#counters = { sent, received };
    }
  }

  /** Payloads so far, by what is in them, or by number where that has no name. */
  async payloads() {
    if (!this.#settings.count) {
      return null;
    }
    const sdp = this.connection.remoteDescription?.sdp ?? "";
    const lines = sdp.matchAll(/a=rtpmap:(\d+) ([^/\s]+)/g);
    const names = new Map([...lines].map(([, number, name]) => [number, name]));
    /** @param {"sent" | "received"} way */
    const counted = async (way) => {
      const counter = this.#counters[way];
      if (counter === undefined) {
        return {};
      }
      /** @type {Record<string, number>} */
      const counts = await new Promise((resolve) => {
        const answered = /** @param {MessageEvent} event */ ({ data }) =>
          resolve(data);
        counter.addEventListener("message", answered, { once: true });
        this.#closing.signal.addEventListener("abort", () => resolve({}));
        counter.postMessage("count");
      });
      return Object.fromEntries(
        Object.entries(counts).map(([number, count]) => [
          names.get(number) ?? number,
          count,
        ]),
      );
    };
    return { sent: await counted("sent"), received: await counted("received") };
  }

  /** @param {RTCRtpTransceiver} transceiver */
  #prefer(transceiver) {
    const { red } = this.#settings;
    const { codecs } = RTCRtpReceiver.getCapabilities("audio") ?? {
      codecs: [],
    };
    /** @param {{ mimeType: string }} codec */
    const isRed = ({ mimeType }) => mimeType.toLowerCase() === "audio/red";
    const others = codecs.filter((codec) => !isRed(codec));
    if (red === "prefer") {
      transceiver.setCodecPreferences([...codecs.filter(isRed), ...others]);
    } else if (red === "remove") {
      transceiver.setCodecPreferences(others);
    }
  }

  /**
   * Where there is a detour, own addresses are kept to oneself.
   *
   * @param {string} sdp
   */
  #bare(sdp) {
    return this.#settings.via === ""
      ? sdp
      : sdp.replaceAll(/a=candidate:.*\r\n/g, "");
  }

  /**
   * Lines with candidates, with the detour in place of what is in them.
   *
   * @param {string} lines
   */
  #detour(lines) {
    const { via } = this.#settings;
    if (via === "") {
      return lines;
    }
    const [host, port] = via.split(":");
    const candidate = /(candidate:\S+ \d+ udp \d+) (\S+) (\d+) /gi;
    return lines.replaceAll(candidate, (_, start, address, itsPort) => {
      this.hidden.push(`${address}:${itsPort}`);
      return `${start} ${host} ${port} `;
    });
  }

  close() {
    this.#audio.srcObject = null;
    this.connection.close();
    this.#closing.abort();
    for (const counter of Object.values(this.#counters)) {
      counter.terminate();
    }
  }
}
