import type { Person } from "../types";
import { ADJECTIVES, ANIMALS, CAST } from "./cast";
import type { Scenario } from "./scenarios";

/** Somebody in the script, wherever they stand. */
export interface Actor {
  peer: string;
  name: string;
  former: string[];
  metres: number;
  voice: boolean;
  muted: boolean;
  deafened: boolean;
}

/** Who is there in a scenario; `peerId` and `rng` make them up. */
export function castFor(scenario: Scenario, peerId: () => string, rng: () => number): Actor[] {
  if (scenario.people === "none") return [];
  const actors: Actor[] = CAST.map((one) => ({
    peer: peerId(),
    name: one.name,
    former: "was" in one ? [...one.was] : [],
    metres: one.metres,
    voice: one.voice,
    muted: false,
    deafened: false,
  }));
  if (scenario.people === "far") return actors.filter((actor) => actor.metres > 500);
  if (scenario.people !== "crowd") return actors;
  while (actors.length < 300) {
    const pick = (list: readonly string[]) => list[Math.floor(rng() * list.length)] ?? "";
    actors.push({
      peer: peerId(),
      name: `${pick(ADJECTIVES)} ${pick(ANIMALS)}`,
      former: [],
      metres: Math.sqrt(rng()) * 498,
      voice: actors.length % 50 === 0,
      muted: false,
      deafened: false,
    });
  }
  return actors;
}

/** As others are told of them. */
export function personOf(actor: Actor): Person {
  const min = Math.floor(actor.metres / 50) * 50;
  return {
    peer_id: actor.peer,
    username: actor.name,
    former_usernames: actor.former,
    distance: { min, max: min + 50 },
    in_voice: actor.voice,
    muted: actor.muted,
    deafened: actor.deafened,
  };
}
