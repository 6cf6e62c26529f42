import { create } from "zustand";
import type { Backend } from "../backend/backend";
import type {
  Command,
  Event,
  Refusal,
  Section,
  Settings,
  SettingsPatch,
  VoiceSettings,
} from "../backend/types";
import { quoteOf } from "../lib/text";
import { begin, notify, reduce, reduceApp } from "./reduce";
import { initialState, type Notice, type State } from "./state";
import { type Holder, show, useUi } from "./ui";

/** Everything that is shown follows from this. */
export const useApp = create<State>()(() => initialState());

let backend: Backend | null = null;

/** The backend in use. */
export function world(): Backend {
  if (!backend) throw new Error("connect() comes first");
  return backend;
}

export function now(): number {
  return backend?.now() ?? performance.now();
}

/** Takes a backend, hears everything that it tells, and shows what it knows. */
export async function connect(chosen: Backend): Promise<void> {
  backend = chosen;
  chosen.listen((event) => useApp.setState((state) => reduce(state, event, chosen.now()), true));
  chosen.listenApp((event) => {
    useApp.setState((state) => reduceApp(state, event, chosen.now()), true);
    if (event.type === "invited") show({ kind: "invited", relay: event.relay });
    if (event.type === "failed") refuse(event.error);
    if (event.type === "talk") {
      if (!event.pressed) talkUp("system");
      else if (useApp.getState().located) talkFromOutside();
    }
    if (event.type === "open") {
      if (event.what === "chat") useUi.setState({ tab: "chat" });
      else show({ kind: "settings", section: "general" });
    }
  });
  // A window that says what is wrong is better than one that stays empty.
  const app = await attempt(chosen.start());
  useApp.setState((state) => begin(state, app ?? state.app, chosen.now()), true);
}

/** Asks the engine; what it refuses is said. */
export function command(asked: Command): void {
  world().command(asked).catch(refuse);
}

/** Runs something of the shell; what goes wrong is said. */
export async function attempt<T>(doing: Promise<T>): Promise<T | null> {
  try {
    return await doing;
  } catch (error) {
    refuse(error);
    return null;
  }
}

/** Says that something which was asked for can't be done, and why. */
export function refuse(error: unknown): void {
  say({ kind: "refused", error: asError(error) });
}

function asError(error: unknown): Refusal {
  if (typeof error === "object" && error !== null && "message" in error) {
    const code = "code" in error && typeof error.code === "string" ? error.code : "unavailable";
    return { code, message: String(error.message) };
  }
  return { code: "unavailable", message: String(error) };
}

export function say(notice: Notice): void {
  useApp.setState((state) => notify(state, notice, now()), true);
}

export function dismiss(id: number): void {
  useApp.setState((state) => ({ notices: state.notices.filter((n) => n.id !== id) }));
}

/** The person begins to look at the newest of the chat, or looks elsewhere. */
export function look(looking: boolean): void {
  useApp.setState(looking ? { looking, unread: [] } : { looking });
}

// ---- chat ----------------------------------------------------------------------------------------

/** Says something; what the engine does not take is kept, to be tried again. */
function sayWords(text: string): void {
  const id = crypto.randomUUID();
  world()
    .command({ type: "say", id, text })
    .catch((error: unknown) => {
      refuse(error);
      const failed: Event = { type: "failed", id, text, reason: "too_many" };
      useApp.setState((state) => reduce(state, failed, now()), true);
    });
}

/** Sends what stands in the composer. */
export function sendDraft(): boolean {
  const { draft, reply } = useUi.getState();
  const text = draft.trim();
  if (text === "") return false;
  const quote = reply ? quoteOf(reply.username, reply.text) : "";
  sayWords(quote + text);
  useUi.setState({ draft: "", reply: null });
  return true;
}

/** Sends a failed message once more, as a new one. */
export function sendAgain(id: string): void {
  const failed = useApp.getState().pending.find((p) => p.id === id);
  if (!failed) return;
  discard(id);
  sayWords(failed.text);
}

export function discard(id: string): void {
  useApp.setState((state) => ({ pending: state.pending.filter((p) => p.id !== id) }));
}

export function replyTo(username: string, text: string): void {
  useUi.setState((ui) => ({ reply: { username, text }, inserted: ui.inserted + 1, tab: "chat" }));
}

export function mention(username: string): void {
  useUi.setState((ui) => ({
    draft: `${ui.draft}${ui.draft === "" || /\s$/.test(ui.draft) ? "" : " "}@${username} `,
    inserted: ui.inserted + 1,
    tab: "chat",
    sheet: null,
  }));
}

// ---- circle and place ----------------------------------------------------------------------------

export function chooseRadius(radius: number): void {
  if (useApp.getState().radius === radius) return;
  useApp.setState({ radius });
  command({ type: "set_radius", radius });
  void saveSettings({ radius });
}

export async function saveSettings(patch: SettingsPatch): Promise<void> {
  const before = useApp.getState().app.settings;
  takeSettings({ ...before, ...patch });
  const settings = await attempt(world().saveSettings(patch));
  // What is refused is as it was.
  const names = Object.keys(patch) as (keyof Settings)[];
  const undone = Object.fromEntries(names.map((name) => [name, before[name]]));
  takeSettings(settings ?? { ...useApp.getState().app.settings, ...undone });
}

function takeSettings(settings: Settings): void {
  useApp.setState((state) => ({ app: { ...state.app, settings } }));
}

/** Everything is forgotten at once, without a question. */
export async function panic(): Promise<void> {
  // The screen first: whoever looks over a shoulder must see nothing, whatever the shell still does.
  const { app, looking } = useApp.getState();
  useApp.setState(
    { ...initialState(), ready: true, looking, app: { ...initialState().app, platform: app.platform } },
    true,
  );
  useUi.setState(useUi.getInitialState(), true);
  const start = await attempt(world().panic());
  if (start) useApp.setState((state) => begin(state, start, now()), true);
}

/** What has been opened in the system's settings, until the person is back from there. */
let away: Section | null = null;

/** Opens the system's settings, and asks once more when the person is back from there. */
export function openSystemSettings(section: Section): void {
  if (away === null) {
    window.addEventListener("focus", back);
    document.addEventListener("visibilitychange", back);
  }
  away = section;
  void attempt(world().openSystemSettings(section));
}

function back(): void {
  if (document.hidden) return;
  window.removeEventListener("focus", back);
  document.removeEventListener("visibilitychange", back);
  const section = away;
  away = null;
  if (section === "location" && useApp.getState().app.place.state === "denied") {
    void attempt(world().useLocation());
  }
  if (section === "microphone") void askMicrophone();
}

// ---- voice ---------------------------------------------------------------------------------------

export function configureVoice(patch: Partial<VoiceSettings>): void {
  const voice = { ...useApp.getState().voice.settings, ...patch };
  useApp.setState((state) => ({ voice: { ...state.voice, settings: voice } }));
  command({ type: "voice_configure", settings: voice });
  void saveSettings({ voice });
}

/** Asks for the microphone, and remembers what comes of it. */
async function askMicrophone(): Promise<void> {
  const microphone = await attempt(world().askMicrophone());
  if (microphone) useApp.setState((state) => ({ app: { ...state.app, microphone } }));
}

/** Joins voice; the microphone is asked for now, when it is needed. Without one, one listens. */
export async function joinVoice(): Promise<void> {
  const { app, voice } = useApp.getState();
  if (voice.phase !== "off") return;
  if (!app.settings.voice_explained) {
    if (!useUi.getState().addressSaid) {
      show({ kind: "voice_ask" });
      return;
    }
    void saveSettings({ voice_explained: true });
  }
  // Also when it was denied: it may have been allowed since.
  if (app.microphone !== "granted") await askMicrophone();
  command({ type: "voice_join" });
}

export function leaveVoice(): void {
  useUi.setState({ talk: "idle" });
  command({ type: "voice_leave" });
}

/** Talk goes down: joins voice, or begins to send. */
export function talkDown(by: Holder): void {
  const { voice, app } = useApp.getState();
  if (app.settings.vibration) navigator.vibrate?.(12);
  if (voice.phase === "off") {
    const explained = app.settings.voice_explained || useUi.getState().addressSaid;
    useUi.setState({ talk: explained ? "held" : "idle", heldBy: by });
    void joinVoice();
    return;
  }
  if (voice.settings.mode !== "push_to_talk") {
    command({ type: "voice_mute", muted: !voice.muted });
    return;
  }
  if (useUi.getState().talk === "locked") {
    useUi.setState({ talk: "idle" });
    command({ type: "voice_press", pressed: false });
    return;
  }
  useUi.setState({ talk: "held", heldBy: by });
  if (voice.muted) command({ type: "voice_mute", muted: false });
  command({ type: "voice_press", pressed: true });
}

/** The key that talks went down in any window; whoever looks at another has not read what this one says. */
function talkFromOutside(): void {
  if (useApp.getState().app.settings.voice_explained || document.hasFocus()) talkDown("system");
  else show({ kind: "voice_ask" });
}

/** What holds Talk lets go: stops sending, unless it has been locked. */
export function talkUp(...by: Holder[]): void {
  const { talk, heldBy } = useUi.getState();
  if (talk !== "held" || !by.includes(heldBy)) return;
  useUi.setState({ talk: "idle" });
  const { voice } = useApp.getState();
  if (voice.phase !== "off" && voice.settings.mode === "push_to_talk") {
    command({ type: "voice_press", pressed: false });
  }
}

/** Keeps sending without a finger. */
export function talkLock(): void {
  if (useUi.getState().talk !== "held") return;
  useUi.setState({ talk: "locked" });
  if (useApp.getState().app.settings.vibration) navigator.vibrate?.([8, 40, 8]);
}

/** For keys and assistive technology, which press and release as one. */
export function talkToggle(): void {
  const { voice } = useApp.getState();
  talkDown("key");
  if (voice.phase !== "off" && voice.settings.mode === "push_to_talk") talkLock();
  else if (voice.phase === "off") useUi.setState({ talk: "idle" });
}

// A finger that has been on Talk since before voice was there speaks as soon as it is.
useApp.subscribe((state, before) => {
  if (state.voice.phase === "in_voice" && before.voice.phase !== "in_voice") {
    const { talk } = useUi.getState();
    if (talk !== "idle" && state.voice.settings.mode === "push_to_talk") {
      command({ type: "voice_press", pressed: true });
    }
  }
  if (state.voice.phase === "off" && before.voice.phase !== "off") useUi.setState({ talk: "idle" });
});
