import type { Command, Settings } from "../types";
import type { VirtualClock } from "./clock";
import { SCENARIOS, type Scenario } from "./scenarios";
import { ScriptedBackend } from "./scripted";

/** What tests and demonstrations can do to the script. */
export interface Puppeteer {
  clock: VirtualClock;
  backend: ScriptedBackend;
  /** Everything that the window asked for, in its order. */
  commands: Command[];
  calls: string[];
}

declare global {
  interface Window {
    __scripted?: Puppeteer;
  }
}

/** The scenario that the address asks for; `frozen` leaves the clock to the tests. */
export function scriptedBackend(query: URLSearchParams): ScriptedBackend {
  const name = query.get("scenario") ?? "first-run";
  const scenario = SCENARIOS[name] ?? SCENARIOS["first-run"] ?? {};
  const asked: Scenario = { ...scenario, settings: { ...scenario.settings } };
  const language = query.get("lang");
  if (language) asked.settings = { ...asked.settings, language: language as Settings["language"] };
  const messages = query.get("messages");
  if (messages) asked.messages = Number(messages);
  const backend = new ScriptedBackend(asked);
  const { clock, commands, calls } = backend;
  window.__scripted = { clock, backend, commands, calls };
  if (!query.has("frozen")) {
    let last = performance.now();
    setInterval(() => {
      const time = performance.now();
      clock.advance(time - last);
      last = time;
    }, 25);
  }
  return backend;
}
