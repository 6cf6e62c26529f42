import { DEFAULT_LIMITS, DEFAULT_SETTINGS } from "../../state/state";
import type { Backend } from "../backend";
import type {
  AppEvent,
  AppStart,
  ChatMessage,
  Command,
  ConnectionState,
  Device,
  Event,
  MicrophonePermission,
  Person,
  PersonLevel,
  PlaceState,
  Reach,
  RelayCheck,
  Settings,
  VoicePersonStatus,
  VoiceStatus,
  Words,
} from "../types";
import { ADJECTIVES, ANIMALS, CAST, CROWD_LINES, TALK } from "./cast";
import { random, VirtualClock } from "./clock";
import { SCENARIOS, type Scenario } from "./scenarios";

/** Somebody in the script, wherever they stand. */
interface Actor {
  peer: string;
  name: string;
  former: string[];
  metres: number;
  voice: boolean;
  muted: boolean;
  deafened: boolean;
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const REACH_AT = [100, 250, 500, 1000, 2000];
const MINUTE = 60_000;
/** A moment like any other, for times of the relay. */
const EPOCH = 1_764_000_000_000;

const INPUTS: Device[] = [
  { id: "built-in", name: "Built-in microphone", is_default: true, is_worn: false },
  { id: "headset", name: "Headset microphone", is_default: false, is_worn: true },
];
const OUTPUTS: Device[] = [
  { id: "speakers", name: "Loudspeakers", is_default: true, is_worn: false },
  { id: "headset-out", name: "Headset", is_default: false, is_worn: true },
];

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

/** A small world that plays the same way each time. */
export class ScriptedBackend implements Backend {
  readonly clock = new VirtualClock();
  readonly commands: Command[] = [];
  readonly calls: string[] = [];
  private readonly rng = random(7);
  private readonly handlers = new Set<(event: Event) => void>();
  private readonly appHandlers = new Set<(event: AppEvent) => void>();
  private actors: Actor[] = [];
  private readonly scenario: Scenario;
  private settings: Settings;
  private place: PlaceState = { state: "unasked" };
  private microphone: MicrophonePermission = "unasked";
  private me = { peer: "", name: "Quiet Otter", left: 3 };
  private connection: ConnectionState = { state: "online" };
  private located = false;
  private radius = 500;
  private messages: ChatMessage[] = [];
  private readonly blocked = new Set<string>();
  private waiting: { id: string; text: string }[] = [];
  private sentAt: number[] = [];
  private voice: VoiceStatus;
  private readonly ofVoice = new Map<string, VoicePersonStatus>();
  private pressed = false;
  private ids = 0;

  constructor(scenario: Scenario) {
    this.scenario = scenario;
    this.settings = { ...DEFAULT_SETTINGS, relay: "https://relay.example.org", ...scenario.settings };
    this.voice = {
      phase: "off",
      testing: false,
      muted: false,
      deafened: false,
      settings: this.settings.voice,
    };
    this.me.peer = this.peerId();
    this.me.left = scenario.changesLeft ?? 3;
    this.radius = scenario.radius ?? 500;
    this.settings.radius = this.radius;
    this.microphone = scenario.microphone ?? "granted";
    this.place = scenario.place ?? { state: "live", accuracy_m: 25 };
    this.connection = scenario.connection ?? { state: "online" };
    this.actors = this.castFor(scenario);
  }

  // ---- the interface -----------------------------------------------------------------------------

  listen(handler: (event: Event) => void): () => void {
    this.handlers.add(handler);
    return () => this.handlers.delete(handler);
  }

  listenApp(handler: (event: AppEvent) => void): () => void {
    this.appHandlers.add(handler);
    return () => this.appHandlers.delete(handler);
  }

  async start(): Promise<AppStart> {
    this.clock.after(0, () => {
      this.located = this.place.state === "live" || this.place.state === "by_hand";
      if (this.located && this.scenario.talk !== "none") this.recall();
      this.snapshot();
      this.scenario.play?.(this);
      this.forget();
    });
    return this.about();
  }

  async command(command: Command): Promise<void> {
    this.commands.push(command);
    switch (command.type) {
      case "say":
        this.say(command.id, command.text);
        return;
      case "rename":
        this.rename(command.username);
        return;
      case "set_radius":
        this.radius = command.radius;
        this.clock.after(60, () => this.locate());
        return;
      case "report":
        this.clock.after(80, () => this.tell({ type: "reported", peer_id: command.peer_id }));
        return;
      case "block":
        this.blocked.add(command.peer_id);
        this.messages = this.messages.filter((m) => m.from !== command.peer_id);
        this.tell({ type: "blocked", peer_id: command.peer_id, blocked: true });
        return;
      case "unblock":
        this.blocked.delete(command.peer_id);
        this.tell({ type: "blocked", peer_id: command.peer_id, blocked: false });
        this.nearby();
        return;
      case "retry_now":
        this.connect({ state: "connecting" });
        this.clock.after(400, () => this.connect({ state: "online" }));
        return;
      case "snapshot":
        this.snapshot();
        return;
      case "voice_join":
        this.joinVoice();
        return;
      case "voice_leave":
        this.ofVoice.clear();
        this.tellVoice({ phase: "off" });
        return;
      case "voice_mute":
        this.tellVoice({ muted: command.muted });
        return;
      case "voice_deafen":
        this.tellVoice({ deafened: command.deafened });
        return;
      case "voice_press":
        this.pressed = command.pressed;
        return;
      case "voice_configure":
        this.tellVoice({ settings: command.settings });
        if (command.settings.input.use === "device") this.open(command.settings.input.id);
        return;
      case "voice_person":
        this.changeVoice(command.peer_id, {
          volume_percent: command.volume_percent,
          muted_for_me: command.muted,
        });
        return;
      case "voice_test":
        this.tellVoice({ testing: command.on });
        this.devices();
        this.levels();
        return;
      default:
        return;
    }
  }

  async saveSettings(patch: Partial<Settings>): Promise<Settings> {
    this.calls.push(`saveSettings ${Object.keys(patch).join(" ")}`);
    this.settings = { ...this.settings, ...patch };
    return this.settings;
  }

  async useLocation(): Promise<void> {
    this.calls.push("useLocation");
    this.setPlace({ state: "finding" });
    if (this.scenario.finds === false) return;
    this.clock.after(500, () => {
      this.setPlace({ state: "live", accuracy_m: 25 });
      this.recall();
      this.locate();
      this.tell({ type: "history", messages: this.messages });
    });
  }

  async placeByHand(lat: number, lon: number, label: string | null): Promise<void> {
    this.calls.push(`placeByHand ${lat.toFixed(4)} ${lon.toFixed(4)} ${label ?? ""}`.trim());
    this.setPlace({ state: "by_hand", lat, lon, label });
    this.clock.after(100, () => {
      this.recall();
      this.locate();
      this.tell({ type: "history", messages: this.messages });
    });
  }

  async askMicrophone(): Promise<MicrophonePermission> {
    this.calls.push("askMicrophone");
    return this.microphone === "unasked" ? "granted" : this.microphone;
  }

  async openSystemSettings(section: string): Promise<void> {
    this.calls.push(`openSystemSettings ${section}`);
  }

  async openLink(url: string): Promise<void> {
    this.calls.push(`openLink ${url}`);
  }

  async checkRelay(address: string): Promise<RelayCheck> {
    this.calls.push(`checkRelay ${address}`);
    if (!/^\S+$/.test(address)) return { result: "invalid", detail: "white space" };
    if (/down|unreachable/.test(address)) return { result: "unreachable", detail: "connection refused" };
    return { result: "ok", version: "0.1.0", round_trip_ms: 38 };
  }

  async changeRelay(address: string): Promise<void> {
    this.calls.push(`changeRelay ${address}`);
    this.settings = { ...this.settings, relay: address };
    for (const handler of this.appHandlers) handler({ type: "settings", settings: this.settings });
    this.connect({ state: "connecting" });
    this.clock.after(400, () => this.connect({ state: "online" }));
  }

  async inviteLink(): Promise<string> {
    return `neartalk://join?relay=${encodeURIComponent(this.settings.relay)}`;
  }

  async lookForUpdate(): Promise<string | null> {
    this.calls.push("lookForUpdate");
    return this.scenario.update ?? null;
  }

  async installUpdate(): Promise<void> {
    this.calls.push("installUpdate");
  }

  async sayWords(words: Words): Promise<void> {
    this.calls.push(`sayWords ${words.tray.quit}`);
  }

  async notify(notification: { title: string; body: string }): Promise<void> {
    this.calls.push(`notify ${notification.title}`);
  }

  async panic(): Promise<AppStart> {
    this.calls.push("panic");
    this.ofVoice.clear();
    this.messages = [];
    this.blocked.clear();
    this.waiting = [];
    this.located = false;
    this.settings = { ...DEFAULT_SETTINGS, relay: "https://relay.example.org" };
    this.voice = { ...this.voice, phase: "off", testing: false, muted: false, deafened: false };
    this.place = { state: "unasked" };
    this.me = { peer: this.peerId(), name: "Brave Finch", left: 3 };
    this.clock.after(150, () => this.snapshot());
    return this.about();
  }

  now(): number {
    return this.clock.now();
  }

  // ---- what scenarios do -------------------------------------------------------------------------

  tell(event: Event): void {
    for (const handler of this.handlers) handler(event);
  }

  tellApp(event: AppEvent): void {
    for (const handler of this.appHandlers) handler(event);
  }

  setPlace(place: PlaceState): void {
    this.place = place;
    this.tellApp({ type: "place", place });
  }

  connect(connection: ConnectionState): void {
    this.connection = connection;
    this.tell({ type: "connection", ...connection });
    if (connection.state !== "online") return;
    for (const { id, text } of this.waiting.splice(0)) this.deliver(id, text);
  }

  /** The peer id of the actor with that number in the cast. */
  peer(number: number): string {
    return this.actors[number]?.peer ?? "";
  }

  hear(number: number, text: string): void {
    const actor = this.actors[number];
    if (!actor) return;
    const message = this.message(actor, text, 0);
    this.messages.push(message);
    this.tell({ type: "message", message });
  }

  type(number: number, active = true): void {
    this.tell({ type: "typing", peer_id: this.peer(number), active });
  }

  leave(number: number): void {
    const actor = this.actors[number];
    if (!actor) return;
    this.actors = this.actors.filter((other) => other !== actor);
    this.ofVoice.delete(actor.peer);
    this.tell({ type: "person_left", peer_id: actor.peer, username: actor.name, reason: "moved" });
  }

  changeVoice(peer: string, patch: Partial<VoicePersonStatus>): void {
    const known = this.ofVoice.get(peer);
    if (!known) return;
    const next = { ...known, ...patch };
    this.ofVoice.set(peer, next);
    this.tell({ type: "voice_person", ...next });
  }

  change(number: number, patch: Partial<Actor>): void {
    const actor = this.actors[number];
    if (!actor) return;
    Object.assign(actor, patch);
    this.tell({ type: "person_changed", person: this.person(actor) });
  }

  replaceSession(username: string): void {
    const former = this.me;
    this.me = { peer: this.peerId(), name: username, left: 3 };
    this.tell({
      type: "session_replaced",
      former_peer_id: former.peer,
      former_username: former.name,
      username,
    });
    this.tellMe();
  }

  // ---- inside ------------------------------------------------------------------------------------

  private about(): AppStart {
    return {
      platform: "linux",
      version: "0.1.0",
      settings: this.settings,
      place: this.place,
      microphone: this.microphone,
      can_global_key: this.scenario.globalKey ?? true,
      can_update: this.scenario.update !== undefined,
      can_tray: true,
      can_autostart: true,
    };
  }

  private peerId(): string {
    let id = "";
    while (id.length < 26) id += CROCKFORD[Math.floor(this.rng() * 32)];
    return id;
  }

  private castFor(scenario: Scenario): Actor[] {
    if (scenario.people === "none") return [];
    const actors: Actor[] = CAST.map((one) => ({
      peer: this.peerId(),
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
      const pick = (list: readonly string[]) => list[Math.floor(this.rng() * list.length)] ?? "";
      actors.push({
        peer: this.peerId(),
        name: `${pick(ADJECTIVES)} ${pick(ANIMALS)}`,
        former: [],
        metres: Math.sqrt(this.rng()) * 498,
        voice: actors.length % 50 === 0,
        muted: false,
        deafened: false,
      });
    }
    return actors;
  }

  private person(actor: Actor): Person {
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

  private present(): Actor[] {
    if (!this.located) return [];
    return this.actors.filter((a) => a.metres <= this.radius && !this.blocked.has(a.peer));
  }

  private reach(): Reach[] {
    return REACH_AT.map((radius) => ({
      radius,
      count: this.located
        ? this.actors.filter((a) => a.metres <= radius && !this.blocked.has(a.peer)).length
        : 0,
    }));
  }

  private message(actor: Actor | null, text: string, minutesAgo: number): ChatMessage {
    const age = minutesAgo * MINUTE;
    const sent = EPOCH + this.clock.now() - age;
    this.ids += 1;
    return {
      id: `00000000-0000-4000-8000-${String(this.ids).padStart(12, "0")}`,
      from: actor?.peer ?? this.me.peer,
      username: actor?.name ?? this.me.name,
      own: actor === null,
      text,
      sent_at: sent,
      expires_at: sent + 30 * MINUTE,
      expires_in_ms: Math.max(1_000, 30 * MINUTE - age),
      ...(actor ? { distance: this.person(actor).distance } : { reached: 5 }),
    };
  }

  /** What was said before this window opened. */
  private recall(): void {
    if (this.scenario.talk === "long") {
      const count = this.scenario.messages ?? 5_000;
      for (let i = 0; i < count; i += 1) {
        const actor = this.actors[Math.floor(this.rng() * this.actors.length)] ?? null;
        const text = CROWD_LINES[Math.floor(this.rng() * CROWD_LINES.length)] ?? "";
        this.messages.push(
          this.message(this.rng() < 0.05 ? null : actor, text, (29.5 * (count - i)) / count),
        );
      }
      return;
    }
    for (const [who, ago, text] of TALK) {
      const actor = who < 0 ? null : this.actors.find((a) => a.name === CAST[who]?.name);
      if (actor === undefined) continue;
      this.messages.push(this.message(actor, text, ago));
    }
  }

  /** What has lived its 30 minutes goes. */
  private forget(): void {
    const now = EPOCH + this.clock.now();
    const gone = this.messages.filter((m) => m.expires_at <= now);
    if (gone.length > 0) {
      this.messages = this.messages.filter((m) => m.expires_at > now);
      this.tell({ type: "removed", ids: gone.map((m) => m.id), reason: "expired" });
    }
    this.clock.after(1_000, () => this.forget());
  }

  private tellMe(): void {
    this.tell({
      type: "me",
      peer_id: this.me.peer,
      tag: this.me.peer.slice(0, 3),
      username: this.me.name,
      username_changes_left: this.me.left,
      limits: DEFAULT_LIMITS,
    });
  }

  private snapshot(): void {
    this.tell({
      type: "snapshot",
      missed: 0,
      connection: this.connection,
      me: this.scenario.nameless
        ? null
        : {
            peer_id: this.me.peer,
            tag: this.me.peer.slice(0, 3),
            username: this.me.name,
            username_changes_left: this.me.left,
            limits: DEFAULT_LIMITS,
          },
      located: this.located ? { geohash_prefix: "u33d", radius: this.radius, grid_m: 100 } : null,
      radius: this.radius,
      people: this.present().map((actor) => this.person(actor)),
      reach: this.reach(),
      typing: [],
      messages: this.messages,
      waiting: this.waiting,
      blocked: [...this.blocked],
      voice: {
        status: this.voice,
        people: [...this.ofVoice.values()],
        room_full: false,
        inputs: [],
        outputs: [],
        input: null,
        output: null,
      },
    });
  }

  private locate(): void {
    this.located = true;
    const grid_m = this.radius < 250 ? 50 : this.radius < 1000 ? 100 : 200;
    this.tell({ type: "located", geohash_prefix: "u33d", radius: this.radius, grid_m });
    this.nearby();
  }

  private nearby(): void {
    this.tell({
      type: "nearby",
      people: this.present().map((actor) => this.person(actor)),
      reach: this.reach(),
    });
  }

  private say(id: string, text: string): void {
    this.tell({ type: "queued", id, text });
    if (this.connection.state !== "online") {
      this.waiting.push({ id, text });
      return;
    }
    this.deliver(id, text);
  }

  private deliver(id: string, text: string): void {
    const now = this.clock.now();
    this.sentAt = this.sentAt.filter((at) => now - at < MINUTE);
    if (this.sentAt.length >= DEFAULT_LIMITS.messages_per_minute) {
      const retry = MINUTE - (now - (this.sentAt[0] ?? now));
      this.tell({ type: "delayed", id, retry_in_ms: retry });
      this.clock.after(retry, () => this.deliver(id, text));
      return;
    }
    this.sentAt.push(now);
    this.clock.after(120, () => {
      const reached = this.present().length;
      const message = { ...this.message(null, text, 0), id, reached };
      this.messages.push(message);
      this.tell({ type: "sent", message, reached });
    });
  }

  private rename(username: string): void {
    this.clock.after(80, () => {
      if (this.me.left === 0) {
        const error = { code: "username_changes_exhausted", message: "no changes left" };
        this.tell({ type: "refused", error });
        return;
      }
      this.me = { ...this.me, name: username, left: this.me.left - 1 };
      this.tellMe();
    });
  }

  private tellVoice(patch: Partial<VoiceStatus>): void {
    this.voice = { ...this.voice, ...patch };
    this.tell({ type: "voice", ...this.voice });
  }

  joinVoice(): void {
    this.tellVoice({ phase: "joining" });
    this.devices();
    this.clock.after(this.scenario.joins === false ? 3_600_000 : 300, () => {
      this.tellVoice({ phase: "in_voice" });
      for (const actor of this.present()
        .filter((a) => a.voice)
        .slice(0, 8)) {
        const status: VoicePersonStatus = {
          peer_id: actor.peer,
          link: "connected",
          cannot_hear_you: false,
          volume_percent: 100,
          muted_for_me: false,
          same_room: false,
        };
        this.ofVoice.set(actor.peer, status);
        this.tell({ type: "voice_person", ...status });
      }
      this.levels();
      this.quality();
      this.scenario.inVoice?.(this);
    });
  }

  private devices(): void {
    const missing = this.scenario.input;
    this.tell({ type: "voice_devices", inputs: missing ? [] : INPUTS, outputs: OUTPUTS });
    this.tell({
      type: "voice_device",
      direction: "input",
      status: missing ?? { state: "opened", device: INPUTS[0] as Device, fallback: false },
    });
    this.tell({
      type: "voice_device",
      direction: "output",
      status: { state: "opened", device: OUTPUTS[0] as Device, fallback: false },
    });
  }

  private open(id: string): void {
    const device = INPUTS.find((one) => one.id === id);
    if (!device) return;
    this.tell({
      type: "voice_device",
      direction: "input",
      status: { state: "opened", device, fallback: false },
    });
  }

  private levels(): void {
    if (this.voice.phase !== "in_voice" && !this.voice.testing) return;
    const speaker = [...this.ofVoice.keys()][
      this.scenario.speaker ?? Math.floor(this.clock.now() / 3_000) % 3
    ];
    const loud = () => -30 + this.rng() * 14;
    const people: PersonLevel[] = [...this.ofVoice.keys()].map((peer_id) => {
      const speaking = peer_id === speaker;
      return { peer_id, speaking, dbfs: speaking ? loud() : -72 };
    });
    const pushed = this.voice.settings.mode !== "push_to_talk" || this.pressed;
    const talking = pushed && !this.voice.muted && this.voice.phase === "in_voice";
    const own = { dbfs: talking || this.voice.testing ? loud() : -66, speaking: talking, talking };
    this.tell({ type: "voice_levels", own, people });
    this.clock.after(100, () => this.levels());
  }

  private quality(): void {
    if (this.voice.phase !== "in_voice") return;
    const troubled = this.scenario.troubled;
    this.tell({
      type: "voice_quality",
      people: [...this.ofVoice.keys()].map((peer_id, index) => ({
        peer_id,
        loss: index === troubled ? 0.12 : 0.004,
        concealed: index === troubled ? 0.05 : 0,
        round_trip_ms: 28 + index * 7,
        delay_ms: 46 + index * 5,
        target_ms: 40,
        send_loss: 0,
        relayed: index === 3,
        first_sound_ms: 84,
      })),
    });
    this.clock.after(1_000, () => this.quality());
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
