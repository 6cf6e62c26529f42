// @ts-check

/** Samples that are kept of what is heard: the most that an analyser does. */
const SAMPLES = 32_768;

/** @type {AudioContext | null} */
let context = null;

/** Keeps the last two thirds of a second of a stream. */
export class Ear {
  #analyser;
  #source;

  /** @param {MediaStream} stream */
  constructor(stream) {
    // Only once somebody wants to know: it costs a core something.
    context ??= new AudioContext({ sampleRate: 48_000 });
    this.#analyser = new AnalyserNode(context, { fftSize: SAMPLES });
    this.#source = context.createMediaStreamSource(stream);
    this.#source.connect(this.#analyser);
  }

  /** The samples, 32-bit little-endian floats at 48 kHz, in base64. */
  samples() {
    const samples = new Float32Array(SAMPLES);
    this.#analyser.getFloatTimeDomainData(samples);
    let text = "";
    for (const byte of new Uint8Array(samples.buffer)) {
      text += String.fromCharCode(byte);
    }
    return btoa(text);
  }

  close() {
    this.#source.disconnect();
  }
}
