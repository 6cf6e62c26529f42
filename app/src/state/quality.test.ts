import { expect, it } from "vitest";
import type { Person, PersonQuality, VoicePersonStatus } from "../backend/types";
import { isTrouble, voiceWords } from "./quality";

const PERSON: Person = {
  peer_id: "x",
  username: "Blue Fox",
  former_usernames: [],
  distance: { min: 0, max: 50 },
  in_voice: true,
  muted: false,
  deafened: false,
};
const STATUS: VoicePersonStatus = {
  peer_id: "x",
  link: "connected",
  cannot_hear_you: false,
  volume_percent: 100,
  muted_for_me: false,
  same_room: false,
};
const QUALITY: PersonQuality = {
  peer_id: "x",
  loss: 0,
  concealed: 0,
  round_trip_ms: 30,
  delay_ms: 50,
  target_ms: 40,
  send_loss: 0,
  relayed: false,
  first_sound_ms: 80,
};

const words = (
  person: Partial<Person>,
  status: Partial<VoicePersonStatus> | null,
  quality: Partial<PersonQuality> | null,
) =>
  voiceWords(
    { ...PERSON, ...person },
    status ? { ...STATUS, ...status } : undefined,
    quality ? { ...QUALITY, ...quality } : undefined,
  );

it("a good connection is clear", () => {
  expect(words({}, {}, {})).toEqual({ kind: "clear" });
  expect(words({}, {}, null)).toEqual({ kind: "clear" });
  expect(words({}, {}, { relayed: true })).toEqual({ kind: "clear_relayed" });
  // Redundancy hides this much.
  expect(words({}, {}, { loss: 0.07 })).toEqual({ kind: "clear" });
});

it("trouble has its cause, and whose network it is", () => {
  expect(words({}, {}, { loss: 0.12 })).toEqual({ kind: "choppy_here", percent: 12 });
  expect(words({}, {}, { send_loss: 0.2 })).toEqual({ kind: "choppy_there", percent: 20 });
  expect(words({}, {}, { delay_ms: 500, round_trip_ms: 200 })).toEqual({ kind: "late", seconds: 0.6 });
  expect(words({}, { cannot_hear_you: true }, {})).toEqual({ kind: "cannot_hear_you" });
  expect(words({}, { link: "unreachable" }, {})).toEqual({ kind: "unreachable" });
});

it("what somebody chose comes before how their network does", () => {
  expect(words({ muted: true }, {}, { loss: 0.5 })).toEqual({ kind: "muted" });
  expect(words({ deafened: true, muted: true }, {}, {})).toEqual({ kind: "deafened" });
  expect(words({}, { muted_for_me: true }, {})).toEqual({ kind: "muted_for_me" });
});

it("not being in the same call is no trouble", () => {
  expect(words({}, null, null)).toEqual({ kind: "not_connected" });
  expect(isTrouble({ kind: "not_connected" })).toBe(false);
  expect(isTrouble({ kind: "cannot_hear_you" })).toBe(true);
});
