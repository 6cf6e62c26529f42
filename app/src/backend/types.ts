/**
 * What crosses between the window and the engine, in the shape that serde gives the Rust types:
 * `Command`, `Event` and `Snapshot` of `neartalk_client`, and the wire types that they are made of.
 * Written by hand until the shell exports its bindings; nothing but types may stand here.
 */

export type PeerId = string;
export type MessageId = string;
/** Metres, 100 to 2,000. */
export type Radius = number;
/** Milliseconds since the Unix epoch, by the relay's clock. */
export type Timestamp = number;

// ---- wire types (shared/src) -------------------------------------------------------------------

/** Codes that this program acts on; others are shown by their message. */
export type ErrorCode =
  | "invalid_radius"
  | "invalid_location"
  | "implausible_location"
  | "invalid_username"
  | "username_changes_exhausted"
  | "invalid_message"
  | "rate_limited"
  | "not_in_range"
  | "no_location"
  | "banned"
  | "unavailable"
  | (string & {});

export interface ApiError {
  code: ErrorCode;
  /** What happened and what to do, in English. */
  message: string;
  retry_after_ms?: number | null;
}

/** In metres, in steps of 50. */
export interface DistanceBand {
  min: number;
  max: number;
}

export interface Person {
  peer_id: PeerId;
  username: string;
  /** Oldest first. */
  former_usernames: string[];
  distance: DistanceBand;
  in_voice: boolean;
  muted: boolean;
  deafened: boolean;
}

/** How many people would be in range with this radius. */
export interface Reach {
  radius: Radius;
  count: number;
}

export type ReportReason = "spam" | "abuse" | "illegal" | "other";
export type LeftReason = "moved" | "left" | "expired" | "banned";

export interface Limits {
  radius_min: number;
  radius_max: number;
  username_min_chars: number;
  username_max_chars: number;
  username_changes: number;
  message_max_chars: number;
  messages_per_minute: number;
  message_ttl_ms: number;
  location_interval_ms: number;
  location_burst: number;
  place_ttl_ms: number;
  max_speed_m_s: number;
  typing_interval_ms: number;
  signals_per_second: number;
  signals_burst: number;
  sdp_max_bytes: number;
  frame_max_bytes: number;
  session_ttl_ms: number;
}

// ---- what the engine can be asked to do (client/src/command.rs) ----------------------------------

export type Command =
  | { type: "say"; id: MessageId; text: string }
  | { type: "typing" }
  | { type: "rename"; username: string }
  | { type: "set_radius"; radius: Radius }
  | { type: "report"; peer_id: PeerId; reason: ReportReason; message_id?: MessageId }
  | { type: "block"; peer_id: PeerId }
  | { type: "unblock"; peer_id: PeerId }
  | { type: "retry_now" }
  | { type: "snapshot" }
  | { type: "voice_join" }
  | { type: "voice_leave" }
  | { type: "voice_mute"; muted: boolean }
  | { type: "voice_deafen"; deafened: boolean }
  | { type: "voice_press"; pressed: boolean }
  | { type: "voice_configure"; settings: VoiceSettings }
  | { type: "voice_person"; peer_id: PeerId; volume_percent: number; muted: boolean }
  | { type: "voice_test"; on: boolean }
  | { type: "network_changed" }
  | { type: "shutdown" };

// ---- what the engine tells (client/src/event.rs) -------------------------------------------------

export type ConnectionState =
  | { state: "connecting" }
  | { state: "online" }
  | ({ state: "offline"; retry_in_ms: number } & OfflineReason)
  | ({ state: "stopped" } & StopReason);

export type OfflineReason =
  | { reason: "unreachable"; relay: string; detail: string }
  | { reason: "lost" }
  | { reason: "silent" }
  | { reason: "relay_leaving" }
  | { reason: "fell_behind" }
  | { reason: "busy"; detail: string }
  | { reason: "not_a_relay"; detail: string };

export type StopReason =
  | { reason: "shutdown" }
  | { reason: "taken_over" }
  | { reason: "banned"; retry_after_ms: number | null }
  | { reason: "unsupported_protocol" };

export interface Me {
  peer_id: PeerId;
  tag: string;
  username: string;
  username_changes_left: number;
  limits: Limits;
}

export interface Whereabouts {
  geohash_prefix: string;
  radius: Radius;
  grid_m: number;
}

export interface ChatMessage {
  id: MessageId;
  from: PeerId;
  username: string;
  own: boolean;
  text: string;
  sent_at: Timestamp;
  expires_at: Timestamp;
  expires_in_ms: number;
  distance?: DistanceBand;
  reached?: number;
}

export interface Waiting {
  id: MessageId;
  text: string;
}

export type RemovedReason = "expired" | "blocked" | "overflow";

export type FailedReason =
  | { reason: "expired" }
  | { reason: "too_many" }
  | { reason: "refused"; error: ApiError };

export interface Snapshot {
  missed: number;
  connection: ConnectionState;
  me: Me | null;
  located: Whereabouts | null;
  radius: Radius;
  people: Person[];
  reach: Reach[];
  typing: PeerId[];
  messages: ChatMessage[];
  waiting: Waiting[];
  blocked: PeerId[];
  voice: VoiceSnapshot;
}

export type Event =
  | ({ type: "connection" } & ConnectionState)
  | ({ type: "me" } & Me)
  | { type: "session_replaced"; former_peer_id: PeerId; former_username: string; username: string }
  | ({ type: "located" } & Whereabouts)
  | { type: "location_refused"; error: ApiError; retry_in_ms: number }
  | { type: "nearby"; people: Person[]; reach: Reach[] }
  | { type: "reach"; reach: Reach[] }
  | { type: "person_entered"; person: Person }
  | { type: "person_changed"; person: Person; renamed_from?: string }
  | { type: "person_left"; peer_id: PeerId; username: string; reason: LeftReason }
  | { type: "typing"; peer_id: PeerId; active: boolean }
  | { type: "history"; messages: ChatMessage[] }
  | { type: "message"; message: ChatMessage }
  | { type: "removed"; ids: MessageId[]; reason: RemovedReason }
  | { type: "queued"; id: MessageId; text: string }
  | { type: "delayed"; id: MessageId; retry_in_ms: number }
  | { type: "sent"; message: ChatMessage; reached: number }
  | ({ type: "failed"; id: MessageId; text: string } & FailedReason)
  | { type: "reported"; peer_id: PeerId }
  | { type: "blocked"; peer_id: PeerId; blocked: boolean }
  | { type: "refused"; error: ApiError }
  | ({ type: "voice" } & VoiceStatus)
  | ({ type: "voice_person" } & VoicePersonStatus)
  | { type: "voice_person_left"; peer_id: PeerId }
  | { type: "voice_levels"; own: OwnLevel; people: PersonLevel[] }
  | { type: "voice_quality"; people: PersonQuality[] }
  | ({ type: "voice_notice" } & VoiceNotice)
  | { type: "voice_devices"; inputs: Device[]; outputs: Device[] }
  | { type: "voice_device"; direction: Direction; status: DeviceStatus }
  | ({ type: "snapshot" } & Snapshot);

// ---- voice -------------------------------------------------------------------------------------

export type DeviceChoice = { use: "default" } | { use: "device"; id: string } | { use: "nothing" };
export type TalkMode = "open" | "voice_activity" | "push_to_talk";
export type NoiseSuppression = "off" | "low" | "moderate" | "high" | "very_high";
export type Headset = "auto" | "on" | "off";

export interface VoiceSettings {
  input: DeviceChoice;
  output: DeviceChoice;
  mode: TalkMode;
  /** From which loudness on voice activity counts as speech, in dBFS. */
  activity_dbfs: number;
  echo_cancellation: boolean;
  noise_suppression: NoiseSuppression;
  gain_control: boolean;
  headset: Headset;
  /** Relay-only: nobody in the call sees this device's address. */
  hide_address: boolean;
}

export type VoicePhase = "off" | "joining" | "in_voice";

export interface VoiceStatus {
  phase: VoicePhase;
  testing: boolean;
  muted: boolean;
  deafened: boolean;
  settings: VoiceSettings;
}

export type VoiceLink = "waiting" | "connecting" | "connected" | "interrupted" | "unreachable";

export interface VoicePersonStatus {
  peer_id: PeerId;
  link: VoiceLink;
  cannot_hear_you: boolean;
  /** 0 to 200. */
  volume_percent: number;
  muted_for_me: boolean;
  /** So close that their voice reaches this microphone: their stream is ducked. */
  same_room: boolean;
}

export interface OwnLevel {
  /** After processing; -100 is silence. */
  dbfs: number;
  speaking: boolean;
  /** What is said is being sent. */
  talking: boolean;
}

export interface PersonLevel {
  peer_id: PeerId;
  dbfs: number;
  speaking: boolean;
}

export interface PersonQuality {
  peer_id: PeerId;
  /** Of their packets on the way here, 0 to 1. */
  loss: number;
  /** Of what was played, how much had to be made up, 0 to 1. */
  concealed: number;
  round_trip_ms: number | null;
  delay_ms: number;
  target_ms: number;
  /** Of this device's packets on the way there, 0 to 1. */
  send_loss: number | null;
  /** Whether the way leads over a relay, at either end. */
  relayed: boolean | null;
  first_sound_ms: number | null;
}

export type VoiceNotice =
  | { notice: "room_full"; full: boolean }
  | { notice: "speaks_while_muted" }
  | { notice: "no_relay" }
  | { notice: "ended"; message: string };

export interface Device {
  id: string;
  name: string;
  is_default: boolean;
  /** Headphones or a headset. */
  is_worn: boolean;
}

export type Direction = "input" | "output";

export type DeviceStatus =
  | { state: "opened"; device: Device; fallback: boolean }
  | { state: "lost"; device: Device; message: string }
  | { state: "refused"; device: Device; message: string }
  | { state: "unavailable"; message: string };

/** Everything that is known about voice. */
export interface VoiceSnapshot {
  status: VoiceStatus;
  people: VoicePersonStatus[];
  room_full: boolean;
  inputs: Device[];
  outputs: Device[];
  input: DeviceStatus | null;
  output: DeviceStatus | null;
}

// ---- the application around the engine -----------------------------------------------------------

export interface CommandError {
  code: string;
  message: string;
}

export type Language = "en" | "de" | "es" | "fr" | "hi" | "ar";

/** What outlives a start, in the shell's store. */
export interface Settings {
  relay: string;
  radius: Radius;
  language: Language | "system";
  theme: "system" | "light" | "dark";
  notify_mentions: boolean;
  notify_messages: boolean;
  /** Whether a notification may show who said what. */
  notify_contents: boolean;
  sounds: boolean;
  vibration: boolean;
  start_with_system: boolean;
  /** The global push-to-talk key, as `Ctrl+Shift+Space`; null: none. */
  talk_key: string | null;
  /** The sentence about addresses has been read and answered. */
  voice_explained: boolean;
  voice: VoiceSettings;
}

/** How it stands with this device's place. It never holds coordinates of a measured place. */
export type PlaceState =
  | { state: "unasked" }
  | { state: "finding" }
  | { state: "live" }
  | { state: "by_hand"; lat: number; lon: number; label: string | null }
  | { state: "denied" }
  | { state: "unavailable"; message: string };

export type MicrophonePermission = "unasked" | "granted" | "denied";

export type Platform = "linux" | "macos" | "windows" | "android" | "ios" | "web";

/** What the shell knows when the window opens. */
export interface AppStart {
  platform: Platform;
  version: string;
  settings: Settings;
  place: PlaceState;
  microphone: MicrophonePermission;
  /** Whether this system has a global push-to-talk key, and a place to show a tray icon. */
  can_global_key: boolean;
  can_autostart: boolean;
}

/** What the shell tells by itself. */
export type AppEvent =
  | { type: "place"; place: PlaceState }
  | { type: "microphone"; permission: MicrophonePermission }
  | { type: "settings"; settings: Settings }
  /** A `neartalk://join?relay=…` link was opened. */
  | { type: "invited"; relay: string }
  /** A notification or the tray asks for something. */
  | { type: "open"; what: "chat" | "settings" };

export type RelayCheck =
  | { result: "ok"; version: string; round_trip_ms: number }
  | { result: "degraded"; reason: string }
  | { result: "unreachable"; detail: string }
  | { result: "not_a_relay"; detail: string }
  | { result: "invalid"; detail: string };
