import type { Device, PersonLevel, Settings, VoicePersonStatus, VoiceStatus } from "../types";
import type { Scenario } from "./scenarios";
import type { ScriptedBackend } from "./scripted";

const INPUTS: Device[] = [
  { id: "built-in", name: "Built-in microphone", is_default: true, is_worn: false },
  { id: "headset", name: "Headset microphone", is_default: false, is_worn: true },
];
const OUTPUTS: Device[] = [
  { id: "speakers", name: "Loudspeakers", is_default: true, is_worn: false },
  { id: "headset-out", name: "Headset", is_default: false, is_worn: true },
];

/** Voice in the script: who is in the call, how loud and how well. */
export class Call {
  status: VoiceStatus;
  readonly people = new Map<string, VoicePersonStatus>();
  /** Whether Talk is held. */
  pressed = false;
  private readonly world: ScriptedBackend;
  private readonly scenario: Scenario;
  private readonly rng: () => number;

  constructor(world: ScriptedBackend, scenario: Scenario, settings: Settings, rng: () => number) {
    this.world = world;
    this.scenario = scenario;
    this.rng = rng;
    this.status = {
      phase: "off",
      testing: false,
      muted: false,
      deafened: false,
      settings: settings.voice,
    };
  }

  tell(patch: Partial<VoiceStatus>): void {
    this.status = { ...this.status, ...patch };
    this.world.tell({ type: "voice", ...this.status });
  }

  join(): void {
    this.tell({ phase: "joining" });
    this.devices();
    this.world.clock.after(this.scenario.joins === false ? 3_600_000 : 300, () => {
      this.tell({ phase: "in_voice" });
      for (const actor of this.world
        .present()
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
        this.people.set(actor.peer, status);
        this.world.tell({ type: "voice_person", ...status });
      }
      this.levels();
      this.quality();
      this.scenario.inVoice?.(this.world);
    });
  }

  list(): void {
    const inputs = this.scenario.input?.state === "unavailable" ? [] : INPUTS;
    this.world.tell({ type: "voice_devices", inputs, outputs: OUTPUTS });
  }

  devices(): void {
    const missing = this.scenario.input;
    this.list();
    this.world.tell({
      type: "voice_device",
      direction: "input",
      status: missing ?? { state: "opened", device: INPUTS[0] as Device, fallback: false },
    });
    this.world.tell({
      type: "voice_device",
      direction: "output",
      status: { state: "opened", device: OUTPUTS[0] as Device, fallback: false },
    });
  }

  open(id: string): void {
    const device = INPUTS.find((one) => one.id === id);
    if (!device) return;
    this.world.tell({
      type: "voice_device",
      direction: "input",
      status: { state: "opened", device, fallback: false },
    });
  }

  levels(): void {
    if (this.status.phase !== "in_voice" && !this.status.testing) return;
    const speaker = [...this.people.keys()][
      this.scenario.speaker ?? Math.floor(this.world.clock.now() / 3_000) % 3
    ];
    const loud = () => -30 + this.rng() * 14;
    const people: PersonLevel[] = [...this.people.keys()].map((peer_id) => {
      const speaking = peer_id === speaker;
      return { peer_id, speaking, dbfs: speaking ? loud() : -72 };
    });
    const pushed = this.status.settings.mode !== "push_to_talk" || this.pressed;
    const talking = pushed && !this.status.muted && this.status.phase === "in_voice";
    const own = { dbfs: talking || this.status.testing ? loud() : -66, speaking: talking, talking };
    this.world.tell({ type: "voice_levels", own, people });
    this.world.clock.after(100, () => this.levels());
  }

  private quality(): void {
    if (this.status.phase !== "in_voice") return;
    const troubled = this.scenario.troubled;
    this.world.tell({
      type: "voice_quality",
      people: [...this.people.keys()].map((peer_id, index) => ({
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
    this.world.clock.after(1_000, () => this.quality());
  }

  leave(): void {
    this.people.clear();
    this.tell({ phase: "off" });
  }

  test(on: boolean): void {
    this.tell({ testing: on });
    this.devices();
    this.levels();
  }

  change(peer: string, patch: Partial<VoicePersonStatus>): void {
    const known = this.people.get(peer);
    if (!known) return;
    const next = { ...known, ...patch };
    this.people.set(peer, next);
    this.world.tell({ type: "voice_person", ...next });
  }
}
