import type { PeerId } from "../backend/types";

/** How a person's sign looks: the same everywhere, and distinguishable without colour. */
export interface GlyphLook {
  shape: (typeof SHAPES)[number];
  mark: (typeof MARKS)[number];
  /** Degrees of hue. */
  hue: number;
  /** Where the person stands on their ring, in radians. It says nothing: direction is hidden. */
  angle: number;
}

export const SHAPES = [
  "circle",
  "square",
  "diamond",
  "triangle",
  "hexagon",
  "pentagon",
  "drop",
  "flower",
  "shield",
  "half",
] as const;
export const MARKS = ["none", "dot", "bar", "ring", "split", "cross"] as const;

/** Spread evenly in OKLCH, away from the greens of the accent and the amber of speech where they would confuse. */
const HUES = 18;

/** FNV-1a over the id: stable in every client and on every screen. */
export function hash(text: string, seed = 0): number {
  let value = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i += 1) {
    value ^= text.charCodeAt(i);
    value = Math.imul(value, 0x01000193) >>> 0;
  }
  value ^= value >>> 15;
  value = Math.imul(value, 0x2c1b3c6d) >>> 0;
  value ^= value >>> 13;
  return value >>> 0;
}

export function glyphOf(peer: PeerId): GlyphLook {
  const one = hash(peer);
  const shape = SHAPES[one % SHAPES.length] ?? "circle";
  const mark = MARKS[Math.floor(one / SHAPES.length) % MARKS.length] ?? "none";
  const hue = (Math.floor(one / (SHAPES.length * MARKS.length)) % HUES) * (360 / HUES);
  const angle = (hash(peer, 0x9e3779b9) / 0x1_0000_0000) * 2 * Math.PI;
  return { shape, mark, hue, angle };
}

/** The first three characters of a public id: shown beside the name, never changing. */
export function tagOf(peer: PeerId): string {
  return peer.slice(0, 3);
}
