import type {
  ApiError,
  AppStart,
  ChatMessage,
  ConnectionState,
  Device,
  DeviceStatus,
  LeftReason,
  Limits,
  Me,
  MessageId,
  OwnLevel,
  PeerId,
  Person,
  PersonQuality,
  PlaceState,
  Radius,
  Reach,
  Refusal,
  Settings,
  VoicePersonStatus,
  VoiceSettings,
  VoiceStatus,
  Whereabouts,
} from "../backend/types";

/** A message on this screen. Its end is told by this device's clock, so that no relay's clock is needed. */
export interface ShownMessage {
  message: ChatMessage;
  /** When it is gone, in milliseconds of `Backend.now`. */
  goneAt: number;
  /** Names this person: an own message, or one that speaks to them. */
  mentionsMe: boolean;
}

/** An own message that is not among the others yet. */
export interface Pending {
  id: MessageId;
  text: string;
  state: "queued" | "delayed" | "failed";
  /** When it is tried again, of a delayed one. */
  retryAt: number | null;
  /** Why it will not be sent, of a failed one. */
  why: "expired" | "too_many" | "refused" | null;
  error: ApiError | null;
}

/** Something that is said once and goes by itself. */
export type Notice =
  | { kind: "person_left_call"; peer: PeerId; username: string; reason: LeftReason }
  | { kind: "renamed"; peer: PeerId; from: string; to: string }
  | { kind: "session_replaced"; username: string }
  | { kind: "reported" }
  | { kind: "announcement"; text: string }
  | { kind: "blocked"; username: string; peer: PeerId }
  | { kind: "room_full" }
  | { kind: "speaks_while_muted" }
  | { kind: "no_relay" }
  | { kind: "voice_ended"; message: string }
  | { kind: "device_lost"; direction: "input" | "output"; device: string; message: string }
  | { kind: "device_changed"; direction: "input" | "output"; device: string }
  | { kind: "refused"; error: Refusal }
  | { kind: "copied" };

export interface ShownNotice {
  id: number;
  at: number;
  notice: Notice;
}

export interface State {
  /** Whether the shell has answered; until then there is nothing to show. */
  ready: boolean;
  app: AppStart;

  connection: ConnectionState;
  /** Since when the connection has been as it is. */
  connectionSince: number;
  /** When the last word about it came; what it says of the future counts from here. */
  connectionAt: number;
  me: Me | null;
  located: Whereabouts | null;
  /** Since when the place has been looked for. */
  findingSince: number | null;
  locationRefused: { error: ApiError; retryAt: number } | null;
  /** The radius that was chosen, which the relay may not know yet. */
  radius: Radius;
  people: Record<PeerId, Person>;
  /** Nearest first. */
  order: PeerId[];
  reach: Reach[];
  typing: PeerId[];
  messages: ShownMessage[];
  pending: Pending[];
  /** When messages may be sent again; null: now. */
  sendAgainAt: number | null;
  blocked: { peer: PeerId; username: string }[];

  voice: VoiceStatus;
  voicePeople: Record<PeerId, VoicePersonStatus>;
  /** Who speaks now. Loudness itself is in `levels`, which changes ten times a second. */
  levels: { own: OwnLevel; people: Record<PeerId, { dbfs: number; speaking: boolean }> };
  quality: Record<PeerId, PersonQuality>;
  roomFull: boolean;
  devices: { inputs: Device[]; outputs: Device[] };
  device: { input: DeviceStatus | null; output: DeviceStatus | null };

  notices: ShownNotice[];
  /** Counts upwards; the next notice's id. */
  nextNotice: number;
  /** Whether the person looks at the newest of the chat: what comes then is read. */
  looking: boolean;
  /** Messages that came while nobody looked, and are there yet. */
  unread: MessageId[];
  /** The first of them, where a line stands; it stays when they are read, until one answers or more come. */
  unreadFrom: MessageId | null;
}

export const DEFAULT_VOICE: VoiceSettings = {
  input: { use: "default" },
  output: { use: "default" },
  mode: "push_to_talk",
  activity_dbfs: -45,
  echo_cancellation: true,
  noise_suppression: "moderate",
  gain_control: true,
  headset: "auto",
  hide_address: false,
};

export const DEFAULT_SETTINGS: Settings = {
  relay: "",
  radius: 500,
  language: "system",
  theme: "system",
  notify_mentions: true,
  notify_messages: false,
  notify_contents: false,
  sounds: true,
  vibration: true,
  close_to_tray: false,
  start_with_system: false,
  talk_key: null,
  voice_explained: false,
  voice: DEFAULT_VOICE,
};

/** What is assumed until the relay's `welcome` has told its own. */
export const DEFAULT_LIMITS: Limits = {
  radius_min: 100,
  radius_max: 2000,
  username_min_chars: 3,
  username_max_chars: 20,
  username_changes: 3,
  message_max_chars: 500,
  messages_per_minute: 10,
  message_ttl_ms: 1_800_000,
  location_interval_ms: 10_000,
  location_burst: 3,
  place_ttl_ms: 300_000,
  max_speed_m_s: 150,
  typing_interval_ms: 3_000,
  signals_per_second: 50,
  signals_burst: 200,
  sdp_max_bytes: 32_768,
  frame_max_bytes: 65_536,
  session_ttl_ms: 1_800_000,
};

const SILENT: OwnLevel = { dbfs: -100, speaking: false, talking: false };

export const UNASKED: PlaceState = { state: "unasked" };

export function initialState(): State {
  return {
    ready: false,
    app: {
      platform: "linux",
      version: "",
      settings: DEFAULT_SETTINGS,
      place: UNASKED,
      microphone: "unasked",
      can_global_key: false,
      can_update: false,
      can_tray: false,
      can_autostart: false,
    },
    connection: { state: "connecting" },
    connectionSince: 0,
    connectionAt: 0,
    me: null,
    located: null,
    findingSince: null,
    locationRefused: null,
    radius: DEFAULT_SETTINGS.radius,
    people: {},
    order: [],
    reach: [],
    typing: [],
    messages: [],
    pending: [],
    sendAgainAt: null,
    blocked: [],
    voice: {
      phase: "off",
      testing: false,
      muted: false,
      deafened: false,
      settings: DEFAULT_VOICE,
    },
    voicePeople: {},
    levels: { own: SILENT, people: {} },
    quality: {},
    roomFull: false,
    devices: { inputs: [], outputs: [] },
    device: { input: null, output: null },
    notices: [],
    nextNotice: 1,
    looking: false,
    unread: [],
    unreadFrom: null,
  };
}

export function limits(state: State): Limits {
  return state.me?.limits ?? DEFAULT_LIMITS;
}

/** Whether one of the messages that nobody has looked at speaks to this person. */
export function isMentionUnread(state: State): boolean {
  if (state.unread.length === 0) return false;
  const unread = new Set(state.unread);
  return state.messages.some((m) => m.mentionsMe && unread.has(m.message.id));
}
