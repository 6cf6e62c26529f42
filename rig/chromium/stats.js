// @ts-check

/**
 * What a connection says of itself, in few numbers. What there is nothing of is null.
 *
 * @typedef {object} Stats
 * @property {string | null} sends Codec of what is sent, such as audio/opus.
 * @property {string | null} receives Codec of what is received.
 * @property {number} packets_sent
 * @property {number} bytes_sent Of payloads.
 * @property {number} packets_received
 * @property {number} bytes_received Of payloads.
 * @property {number} packets_lost
 * @property {number} fec_packets_received Copies in RED and in Opus that were received.
 * @property {number} total_samples Samples played, at 48 kHz.
 * @property {number} concealed_samples Those of them that were made up.
 * @property {number} buffer_delay_ms What the jitter buffer added, on average.
 * @property {number} buffer_target_ms What it aimed at, on average.
 * @property {number} audio_level Of what is heard, 0 to 1.
 * @property {number} audio_energy Of all that was heard.
 * @property {number} audio_seconds How long was heard.
 * @property {number | null} round_trip_ms
 * @property {string | null} local_candidate Type of the one in use, such as host.
 * @property {string | null} remote_candidate
 */

/**
 * @param {RTCPeerConnection} connection
 * @returns {Promise<Stats>}
 */
export async function stats(connection) {
  const report = await connection.getStats();
  /** @type {any[]} */
  const all = [...report.values()];
  /** @type {(kind: string) => any} */
  const first = (kind) => all.find(({ type }) => type === kind) ?? {};
  /** @type {(id: string | undefined) => any} */
  const named = (id) => (id === undefined ? undefined : report.get(id)) ?? {};

  const inbound = first("inbound-rtp");
  const outbound = first("outbound-rtp");
  const pair = named(first("transport").selectedCandidatePairId);
  const emitted = inbound.jitterBufferEmittedCount ?? 0;
  /** @type {(seconds: number | undefined) => number} */
  const average = (seconds) =>
    emitted === 0 ? 0 : (1000 * (seconds ?? 0)) / emitted;
  return {
    sends: named(outbound.codecId).mimeType ?? null,
    receives: named(inbound.codecId).mimeType ?? null,
    packets_sent: outbound.packetsSent ?? 0,
    bytes_sent: outbound.bytesSent ?? 0,
    packets_received: inbound.packetsReceived ?? 0,
    bytes_received: inbound.bytesReceived ?? 0,
    packets_lost: inbound.packetsLost ?? 0,
    fec_packets_received: inbound.fecPacketsReceived ?? 0,
    total_samples: inbound.totalSamplesReceived ?? 0,
    concealed_samples: inbound.concealedSamples ?? 0,
    buffer_delay_ms: average(inbound.jitterBufferDelay),
    buffer_target_ms: average(inbound.jitterBufferTargetDelay),
    audio_level: inbound.audioLevel ?? 0,
    audio_energy: inbound.totalAudioEnergy ?? 0,
    audio_seconds: inbound.totalSamplesDuration ?? 0,
    round_trip_ms:
      pair.currentRoundTripTime === undefined
        ? null
        : 1000 * pair.currentRoundTripTime,
    local_candidate: named(pair.localCandidateId).candidateType ?? null,
    remote_candidate: named(pair.remoteCandidateId).candidateType ?? null,
  };
}
