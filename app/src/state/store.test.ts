import { beforeEach, expect, it } from "vitest";
import type { Backend } from "../backend/backend";
import type { Command } from "../backend/types";
import { DEFAULT_SETTINGS, initialState } from "./state";
import { connect, sendAgain, sendDraft, talkDown, talkLock, talkUp, useApp } from "./store";
import { useUi } from "./ui";

let asked: Command[] = [];
/** What the engine says to whatever it is asked. */
let refusal: { code: string; message: string } | null = null;

const BACKEND = {
  listen: () => () => {},
  listenApp: () => () => {},
  start: async () => ({
    ...initialState().app,
    settings: { ...DEFAULT_SETTINGS, voice_explained: true, vibration: false },
  }),
  command: async (command: Command) => {
    asked.push(command);
    if (refusal) throw refusal;
  },
  now: () => 0,
} as unknown as Backend;

beforeEach(async () => {
  asked = [];
  refusal = null;
  useApp.setState(initialState(), true);
  useUi.setState(useUi.getInitialState(), true);
  await connect(BACKEND);
});

it("what the engine does not take is not lost, and can be sent again", async () => {
  refusal = { code: "busy", message: "too much at once" };
  useUi.setState({ draft: "Nobody may lose this" });
  sendDraft();
  await Promise.resolve();
  const kept = useApp.getState().pending;
  expect(kept).toMatchObject([{ text: "Nobody may lose this", state: "failed", why: "too_many" }]);
  expect(useApp.getState().notices.map((n) => n.notice.kind)).toEqual(["refused"]);
  refusal = null;
  sendAgain(kept[0]?.id ?? "");
  expect(asked.at(-1)).toMatchObject({ type: "say", text: "Nobody may lose this" });
  expect(useApp.getState().pending).toEqual([]);
});

it("Talk is let go of by what holds it, and by nothing when it is locked", () => {
  useApp.setState((state) => ({ voice: { ...state.voice, phase: "in_voice" } }));
  const pressed = () => asked.filter((it) => it.type === "voice_press").map((it) => it.pressed);
  talkDown("system");
  // A window that is left, as by whoever talks from another.
  talkUp("pointer", "key");
  expect(pressed()).toEqual([true]);
  talkUp("system");
  expect(pressed()).toEqual([true, false]);
  talkDown("key");
  talkUp("pointer");
  expect(pressed()).toEqual([true, false, true]);
  talkLock();
  talkUp("pointer", "key");
  expect(pressed()).toEqual([true, false, true]);
});
