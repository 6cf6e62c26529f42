import type { Person, PersonQuality, VoicePersonStatus } from "../backend/types";

/** How somebody's voice fares, in words rather than bars. */
export type VoiceWords =
  | { kind: "not_connected" }
  | { kind: "connecting" }
  | { kind: "reconnecting" }
  | { kind: "unreachable" }
  | { kind: "cannot_hear_you" }
  | { kind: "muted_for_me" }
  | { kind: "deafened" }
  | { kind: "muted" }
  | { kind: "choppy_here"; percent: number }
  | { kind: "choppy_there"; percent: number }
  | { kind: "late"; seconds: number }
  | { kind: "same_room" }
  | { kind: "clear" }
  | { kind: "clear_relayed" };

/** Below this much loss redundancy hides it, and nobody hears anything. */
const AUDIBLE_LOSS = 0.08;
const AUDIBLE_CONCEALED = 0.04;
/** From here on people begin to talk at the same time. */
const LATE_MS = 400;

export function voiceWords(
  person: Person,
  status: VoicePersonStatus | undefined,
  quality: PersonQuality | undefined,
): VoiceWords {
  if (!status) return { kind: "not_connected" };
  if (status.link === "unreachable") return { kind: "unreachable" };
  if (status.link === "interrupted") return { kind: "reconnecting" };
  if (status.link === "waiting" || status.link === "connecting") return { kind: "connecting" };
  if (status.cannot_hear_you) return { kind: "cannot_hear_you" };
  if (status.muted_for_me) return { kind: "muted_for_me" };
  if (person.deafened) return { kind: "deafened" };
  if (person.muted) return { kind: "muted" };
  if (quality) {
    if (quality.loss >= AUDIBLE_LOSS || quality.concealed >= AUDIBLE_CONCEALED) {
      return { kind: "choppy_here", percent: percent(Math.max(quality.loss, quality.concealed)) };
    }
    if (quality.send_loss !== null && quality.send_loss >= AUDIBLE_LOSS) {
      return { kind: "choppy_there", percent: percent(quality.send_loss) };
    }
    const late = quality.delay_ms + (quality.round_trip_ms ?? 0) / 2;
    if (late >= LATE_MS) return { kind: "late", seconds: Math.round(late / 100) / 10 };
  }
  if (status.same_room) return { kind: "same_room" };
  return { kind: quality?.relayed ? "clear_relayed" : "clear" };
}

/** Whether the words are about something that hurts. */
export function isTrouble(words: VoiceWords): boolean {
  switch (words.kind) {
    case "reconnecting":
    case "unreachable":
    case "cannot_hear_you":
    case "choppy_here":
    case "choppy_there":
    case "late":
      return true;
    default:
      return false;
  }
}

function percent(part: number): number {
  return Math.round(part * 100);
}

/** What the microphone's absence means: one can still listen. */
export type MicTrouble =
  | { kind: "denied" }
  | { kind: "none" }
  | { kind: "refused" | "lost"; device: string }
  | null;
