import { DEFAULT_LIMITS, DEFAULT_SETTINGS } from "../../state/state";
import type { Backend } from "../backend";
import type {
  AppEvent,
  AppStart,
  ChatMessage,
  Command,
  ConnectionState,
  Event,
  MicrophonePermission,
  PlaceState,
  Reach,
  RelayCheck,
  Settings,
  VoicePersonStatus,
  Words,
} from "../types";
import { type Actor, castFor, personOf } from "./actors";
import { Call } from "./call";
import { CAST, CROWD_LINES, TALK } from "./cast";
import { random, VirtualClock } from "./clock";
import type { Scenario } from "./scenarios";

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const REACH_AT = [100, 250, 500, 1000, 2000];
const MINUTE = 60_000;
/** A moment like any other, for times of the relay. */
const EPOCH = 1_764_000_000_000;

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
  private readonly call: Call;
  private ids = 0;

  constructor(scenario: Scenario) {
    this.scenario = scenario;
    this.settings = { ...DEFAULT_SETTINGS, relay: "https://relay.example.org", ...scenario.settings };
    this.call = new Call(this, scenario, this.settings, this.rng);
    this.me.peer = this.peerId();
    this.me.left = scenario.changesLeft ?? 3;
    this.radius = scenario.radius ?? 500;
    this.settings.radius = this.radius;
    this.microphone = scenario.microphone ?? "granted";
    this.place = scenario.place ?? { state: "live", accuracy_m: 25 };
    this.connection = scenario.connection ?? { state: "online" };
    this.actors = castFor(scenario, () => this.peerId(), this.rng);
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
        this.call.join();
        return;
      case "voice_leave":
        this.call.leave();
        return;
      case "voice_mute":
        this.call.tell({ muted: command.muted });
        return;
      case "voice_deafen":
        this.call.tell({ deafened: command.deafened });
        return;
      case "voice_press":
        this.call.pressed = command.pressed;
        return;
      case "voice_configure":
        this.call.tell({ settings: command.settings });
        if (command.settings.input.use === "device") this.call.open(command.settings.input.id);
        return;
      case "voice_person":
        this.call.change(command.peer_id, {
          volume_percent: command.volume_percent,
          muted_for_me: command.muted,
        });
        return;
      case "voice_devices":
        this.call.list();
        return;
      case "voice_test":
        this.call.test(command.on);
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
    this.call.people.clear();
    this.messages = [];
    this.blocked.clear();
    this.waiting = [];
    this.located = false;
    this.settings = { ...DEFAULT_SETTINGS, relay: "https://relay.example.org" };
    this.call.status = { ...this.call.status, phase: "off", testing: false, muted: false, deafened: false };
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
    this.call.people.delete(actor.peer);
    this.tell({ type: "person_left", peer_id: actor.peer, username: actor.name, reason: "moved" });
  }

  changeVoice(peer: string, patch: Partial<VoicePersonStatus>): void {
    this.call.change(peer, patch);
  }

  change(number: number, patch: Partial<Actor>): void {
    const actor = this.actors[number];
    if (!actor) return;
    Object.assign(actor, patch);
    this.tell({ type: "person_changed", person: personOf(actor) });
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

  present(): Actor[] {
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
      ...(actor ? { distance: personOf(actor).distance } : { reached: 5 }),
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

  private aboutMe() {
    return {
      peer_id: this.me.peer,
      tag: this.me.peer.slice(0, 3),
      username: this.me.name,
      username_changes_left: this.me.left,
      limits: DEFAULT_LIMITS,
    };
  }

  private tellMe(): void {
    this.tell({ type: "me", ...this.aboutMe() });
  }

  private snapshot(): void {
    this.tell({
      type: "snapshot",
      missed: 0,
      connection: this.connection,
      me: this.scenario.nameless ? null : this.aboutMe(),
      located: this.located ? { geohash_prefix: "u33d", radius: this.radius, grid_m: 100 } : null,
      radius: this.radius,
      people: this.present().map((actor) => personOf(actor)),
      reach: this.reach(),
      typing: [],
      messages: this.messages,
      waiting: this.waiting,
      blocked: [...this.blocked],
      voice: {
        status: this.call.status,
        people: [...this.call.people.values()],
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
      people: this.present().map((actor) => personOf(actor)),
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
}
