/** Few and soft: a mention, and voice joined. Made here, so that nothing is loaded. */
const NOTES = {
  mention: [
    [880, 0],
    [1174.7, 0.09],
  ],
  joined: [
    [392, 0],
    [523.3, 0.08],
  ],
} as const;

let context: AudioContext | null = null;

export function chime(which: keyof typeof NOTES): void {
  try {
    context ??= new AudioContext();
    const start = context.currentTime;
    for (const [frequency, after] of NOTES[which]) {
      const tone = context.createOscillator();
      const loudness = context.createGain();
      tone.type = "sine";
      tone.frequency.value = frequency;
      loudness.gain.setValueAtTime(0, start + after);
      loudness.gain.linearRampToValueAtTime(0.08, start + after + 0.01);
      loudness.gain.exponentialRampToValueAtTime(0.0001, start + after + 0.28);
      tone.connect(loudness).connect(context.destination);
      tone.start(start + after);
      tone.stop(start + after + 0.3);
    }
  } catch {
    // No sound here; nothing depends on it.
  }
}
