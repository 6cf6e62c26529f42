import type { ConnectionState, DeviceStatus, MicrophonePermission, PlaceState, Settings } from "../types";
import type { ScriptedBackend } from "./scripted";

/** How a world begins, and what happens in it by itself. */
export interface Scenario {
  people?: "cast" | "none" | "far" | "crowd";
  talk?: "usual" | "none" | "long";
  messages?: number;
  settings?: Partial<Settings>;
  place?: PlaceState;
  /** Whether a search for the place ends. */
  finds?: boolean;
  connection?: ConnectionState;
  radius?: number;
  changesLeft?: number;
  microphone?: MicrophonePermission;
  /** Nobody has given this person a name yet. */
  nameless?: boolean;
  /** Whether the system has keys for all windows; it has, unless this says no. */
  globalKey?: boolean;
  /** A newer version, or none newer; without this the program does not know where there would be any. */
  update?: string | null;
  /** Whether joining voice ends. */
  joins?: boolean;
  /** Instead of a microphone. */
  input?: DeviceStatus;
  /** Who speaks, by number in the call; otherwise they take turns. */
  speaker?: number;
  /** Whose network is bad. */
  troubled?: number;
  play?: (world: ScriptedBackend) => void;
  inVoice?: (world: ScriptedBackend) => void;
}

const EXPLAINED = { voice_explained: true } satisfies Partial<Settings>;
const HEADSET = { id: "usb", name: "USB headset", is_default: false, is_worn: true };

function small(world: ScriptedBackend): void {
  void world.command({ type: "voice_join" });
}

/** Every state that the window can be in, by name. */
export const SCENARIOS: Record<string, Scenario> = {
  "first-run": { place: { state: "unasked" }, microphone: "unasked" },
  /** As on a system that asks about the place, and about no microphone. */
  newcomer: { place: { state: "unasked" } },
  denied: { place: { state: "denied" } },
  unavailable: { place: { state: "unavailable", problem: "no_service" } },
  "too-coarse": { place: { state: "unavailable", problem: "too_coarse", accuracy_m: 25_400 } },
  finding: { place: { state: "finding" } },
  lively: {
    settings: EXPLAINED,
    play: (world) => {
      world.type(1);
      world.clock.after(9_000, () => world.type(1, false));
      world.clock.after(9_100, () => world.hear(1, "Saved you a chair"));
      world.clock.after(21_000, () => world.change(4, { metres: 140 }));
      world.clock.after(30_000, () => world.hear(3, "The piano player takes wishes now"));
    },
  },
  quiet: { talk: "none" },
  voice: {
    settings: EXPLAINED,
    speaker: 0,
    troubled: 2,
    play: small,
    inVoice: (world) => {
      world.change(1, { muted: true });
      world.changeVoice(world.peer(6), { cannot_hear_you: true });
    },
  },
  updates: { settings: EXPLAINED, update: "0.2.0" },
  "own-key": { settings: EXPLAINED, globalKey: false },
  "voice-new": { settings: { voice_explained: false }, microphone: "unasked" },
  "voice-joining": { settings: EXPLAINED, joins: false, play: small },
  "mic-none": {
    settings: EXPLAINED,
    input: { state: "unavailable", message: "No microphone is connected." },
    play: small,
  },
  "mic-denied": { settings: EXPLAINED, microphone: "denied", play: small },
  "mic-refused": {
    settings: EXPLAINED,
    input: { state: "refused", device: HEADSET, message: "Another program has it to itself." },
    play: small,
  },
  "mic-lost": {
    settings: EXPLAINED,
    play: small,
    inVoice: (world) =>
      world.tell({
        type: "voice_device",
        direction: "input",
        status: { state: "lost", device: HEADSET, message: "It has been unplugged." },
      }),
  },
  "moved-out": { settings: EXPLAINED, play: small, inVoice: (world) => world.leave(0) },
  "room-full": {
    settings: EXPLAINED,
    people: "crowd",
    play: small,
    inVoice: (world) => world.tell({ type: "voice_notice", notice: "room_full", full: true }),
  },
  "while-muted": {
    settings: EXPLAINED,
    play: small,
    inVoice: (world) => {
      void world.command({ type: "voice_mute", muted: true });
      world.tell({ type: "voice_notice", notice: "speaks_while_muted" });
    },
  },
  announced: {
    settings: EXPLAINED,
    play: (world) =>
      world.tell({
        type: "announcement",
        text: "Free water at gate B. The relay restarts at 22:00.",
        expires_at: world.clock.now() + 7_200_000,
      }),
  },
  alone: { people: "far", talk: "none" },
  "alone-everywhere": { people: "none", talk: "none" },
  offline: {
    connection: { state: "offline", reason: "lost", retry_in_ms: 8_000 },
    play: (world) => {
      void world.command({ type: "say", id: "10000000-0000-4000-8000-000000000001", text: "Still there?" });
      void world.command({
        type: "say",
        id: "10000000-0000-4000-8000-000000000002",
        text: "I will be at the corner at four",
      });
    },
  },
  unreachable: {
    nameless: true,
    place: { state: "unasked" },
    connection: {
      state: "offline",
      reason: "unreachable",
      relay: "relay.example.org",
      detail: "connection refused",
      retry_in_ms: 15_000,
    },
  },
  connecting: {
    nameless: true,
    place: { state: "live", accuracy_m: 25 },
    talk: "none",
    connection: { state: "connecting" },
  },
  "session-lost": { play: (world) => world.replaceSession("Brave Finch") },
  "renamed-out": { changesLeft: 0 },
  "rate-limited": {
    play: (world) => {
      for (let i = 1; i <= 11; i += 1) {
        const id = `20000000-0000-4000-8000-${String(i).padStart(12, "0")}`;
        void world.command({ type: "say", id, text: `Message number ${i}` });
      }
    },
  },
  failed: {
    play: (world) =>
      world.tell({
        type: "failed",
        id: "30000000-0000-4000-8000-000000000001",
        text: "This one never left",
        reason: "expired",
      }),
  },
  banned: { connection: { state: "stopped", reason: "banned", retry_after_ms: 3_600_000 } },
  "taken-over": { connection: { state: "stopped", reason: "taken_over" } },
  unsupported: { connection: { state: "stopped", reason: "unsupported_protocol" }, talk: "none" },
  implausible: {
    play: (world) =>
      world.tell({
        type: "location_refused",
        error: { code: "implausible_location", message: "The place jumped." },
        retry_in_ms: 60_000,
      }),
  },
  invited: { play: (world) => world.tellApp({ type: "invited", relay: "https://talk.example.net" }) },
  crowd: { people: "crowd", talk: "long", settings: EXPLAINED },
};
