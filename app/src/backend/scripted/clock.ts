/** A clock that somebody else moves: the same script in the same time, always. */
export class VirtualClock {
  private time = 0;
  private sequence = 0;
  private waiting: { at: number; sequence: number; run: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const entry = { at: this.time + Math.max(0, ms), sequence: this.sequence++, run };
    this.waiting.push(entry);
    return () => {
      this.waiting = this.waiting.filter((other) => other !== entry);
    };
  }

  /** Runs everything that is due, in its order. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.waiting.reduce<(typeof this.waiting)[number] | null>((best, entry) => {
        if (entry.at > end) return best;
        if (!best) return entry;
        return entry.at < best.at || (entry.at === best.at && entry.sequence < best.sequence) ? entry : best;
      }, null);
      if (!next) break;
      this.waiting = this.waiting.filter((entry) => entry !== next);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = end;
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
