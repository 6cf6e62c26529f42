import { create } from "zustand";
import type { MessageId, PeerId } from "../backend/types";

export type Tab = "chat" | "around" | "voice";

/** What lies over the screen; one at a time. */
export type Sheet =
  | { kind: "person"; peer: PeerId; message?: MessageId; report?: boolean }
  | { kind: "settings"; section: SettingsSection }
  | { kind: "place" }
  | { kind: "invite" }
  | { kind: "invited"; relay: string }
  | { kind: "link"; url: string }
  | { kind: "rename" }
  | { kind: "voice_ask" };

/** What holds Talk down. The system's key is let go of wherever one looks; the others only in this window. */
export type Holder = "pointer" | "key" | "system";

export type SettingsSection = "general" | "voice" | "notifications" | "relay" | "privacy";

/** What this window alone knows. */
export interface Ui {
  tab: Tab;
  sheet: Sheet | null;
  draft: string;
  /** What is put into the composer from outside of it, and asks for the focus. */
  inserted: number;
  reply: { username: string; text: string } | null;
  /** The newest message is in sight, where messages are. */
  atEnd: boolean;
  /** What voice shows of one stands beside Talk, where whoever presses it reads it. */
  addressSaid: boolean;
  /** Talk is held, or has been locked. */
  talk: "idle" | "held" | "locked";
  /** By what it was held last. */
  heldBy: Holder;
  /** Which pointer pressed it last: other fingers come and go meanwhile. */
  heldPointer: number | null;
  /** Who stands out in the circle and the list, because the pointer is on them. */
  hovered: PeerId | null;
}

export const useUi = create<Ui>()(() => ({
  tab: "chat",
  sheet: null,
  draft: "",
  inserted: 0,
  reply: null,
  atEnd: true,
  addressSaid: false,
  talk: "idle",
  heldBy: "pointer",
  heldPointer: null,
  hovered: null,
}));

/** What had the focus before something lay over it. */
let before: Element | null = null;

export function show(sheet: Sheet | null): void {
  if (sheet && !useUi.getState().sheet) before = document.activeElement;
  useUi.setState({ sheet });
}

/** Gives the focus back, unless something else has taken it. */
export function giveFocusBack(): void {
  if (document.activeElement === document.body && before instanceof HTMLElement) before.focus();
  before = null;
}
