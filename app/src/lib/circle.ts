import type { Person, Radius, Reach } from "../backend/types";

/** Radii that can be chosen, in metres; the steps feel even. */
export const STEPS = [100, 150, 200, 300, 500, 750, 1000, 1500, 2000] as const;

/** The step that a radius is nearest to. */
export function stepOf(radius: Radius): number {
  let best = 0;
  STEPS.forEach((step, index) => {
    if (Math.abs(step - radius) < Math.abs((STEPS[best] ?? 0) - radius)) best = index;
  });
  return best;
}

export function radiusOf(step: number): Radius {
  return STEPS[Math.max(0, Math.min(STEPS.length - 1, Math.round(step)))] ?? 500;
}

/** How many people there would be: known exactly where `min` and `max` are the same. */
export interface Count {
  min: number;
  max: number;
}

/**
 * How many people would be in range with a radius: as the relay counted, or else as the bands of
 * those in range and the counts around it bound it.
 */
export function countWithin(
  radius: Radius,
  present: { radius: Radius; people: readonly Person[] },
  reach: readonly Reach[],
): Count {
  if (radius === present.radius) return { min: present.people.length, max: present.people.length };
  const told = reach.find((r) => r.radius === radius);
  if (told) return { min: told.count, max: told.count };
  let min = 0;
  let max = Number.POSITIVE_INFINITY;
  for (const r of reach) {
    if (r.radius < radius) min = Math.max(min, r.count);
    if (r.radius > radius) max = Math.min(max, r.count);
  }
  if (radius < present.radius) {
    const surely = present.people.filter((p) => p.distance.max <= radius).length;
    const perhaps = present.people.filter((p) => p.distance.min < radius).length;
    min = Math.max(min, surely);
    max = Math.min(max, perhaps);
  } else {
    min = Math.max(min, present.people.length);
  }
  return { min, max: Math.max(min, Number.isFinite(max) ? max : min) };
}

/** The smallest circle with somebody in it, beyond the present one. */
export function firstWithPeople(radius: Radius, reach: readonly Reach[]): Reach | null {
  const wider = reach.filter((r) => r.radius > radius && r.count > 0);
  wider.sort((a, b) => a.radius - b.radius);
  return wider[0] ?? null;
}

/** Where the rim is drawn, as a part of the half width: it is always in reach of a finger. */
export function rimAt(step: number): number {
  return 0.46 + (0.54 * step) / (STEPS.length - 1);
}

/** The step whose rim is drawn at a part of the half width. */
export function stepAt(part: number): number {
  const step = ((part - 0.46) / 0.54) * (STEPS.length - 1);
  return Math.max(0, Math.min(STEPS.length - 1, Math.round(step)));
}

/** Where a distance is drawn inside a circle, as a part of its rim: near rings get more room. */
export function ringAt(distance: number, radius: Radius): number {
  const inner = 0.2;
  return inner + (1 - inner) * Math.min(1, distance / radius) ** 0.8;
}

/** Somebody in the picture: at a made-up angle, at a part of the half width. */
export interface Placed {
  id: string;
  angle: number;
  at: number;
}

/**
 * Angles at which signs of a size do not cover each other, as far as there is room. The same people
 * get the same angles; whoever is not in somebody's way keeps their own.
 */
export function spread(people: readonly Placed[], size: number): Map<string, number> {
  const TURN = 0.31;
  const taken: { x: number; y: number }[] = [];
  const angles = new Map<string, number>();
  for (const { id, angle, at } of [...people].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    let found = angle;
    for (let tries = 0; tries < 20; tries += 1) {
      // To one side and to the other, ever further.
      const turned = angle + (tries % 2 === 0 ? 1 : -1) * Math.ceil(tries / 2) * TURN;
      const [x, y] = [Math.cos(turned) * at, Math.sin(turned) * at];
      if (taken.every((other) => Math.hypot(other.x - x, other.y - y) >= size)) {
        found = turned;
        break;
      }
    }
    taken.push({ x: Math.cos(found) * at, y: Math.sin(found) * at });
    angles.set(id, found);
  }
  return angles;
}

/** Distances whose rings are drawn: at most `most`, spread evenly. */
export function ringsWithin(radius: Radius, most: number): number[] {
  const smaller = [50, ...STEPS].filter((step) => step < radius && ringAt(step, radius) < 0.9);
  const rings: number[] = [];
  let last = 1;
  for (const step of smaller.reverse()) {
    const at = ringAt(step, radius);
    if (last - at >= 0.75 / (most + 1)) {
      rings.push(step);
      last = at;
    }
  }
  return rings.reverse().slice(-most);
}
