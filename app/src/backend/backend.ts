import type { AppEvent, AppStart, Command, Event, MicrophonePermission, RelayCheck, Settings } from "./types";

/** Ends a subscription. */
export type Unlisten = () => void;

/**
 * Everything that the window needs of the world. One implementation talks to the shell, another
 * plays a script; nothing else in `src/` knows which.
 */
export interface Backend {
  /** Subscribes; to be called before `start`, so that nothing is missed. */
  listen(handler: (event: Event) => void): Unlisten;
  /** Subscribes to what the shell tells by itself. */
  listenApp(handler: (event: AppEvent) => void): Unlisten;
  /** What the shell knows now. The engine starts by itself and tells a snapshot. */
  start(): Promise<AppStart>;
  /** Asks the engine for something; what comes of it is told by events. */
  command(command: Command): Promise<void>;

  /** Keeps settings, and answers with how they are now. */
  saveSettings(patch: Partial<Settings>): Promise<Settings>;
  /** Asks the system for this device's place; `place` events tell what comes of it. */
  useLocation(): Promise<void>;
  /** Takes a place that was chosen by hand. */
  placeByHand(lat: number, lon: number, label: string | null): Promise<void>;
  /** Asks for the microphone where the system wants that. */
  askMicrophone(): Promise<MicrophonePermission>;
  /** Opens the system's own settings. */
  openSystemSettings(section: "location" | "microphone" | "notifications"): Promise<void>;
  /** Opens a link outside, after the person has agreed. */
  openLink(url: string): Promise<void>;
  /** Asks a relay whether it is one, and whether it is well. */
  checkRelay(address: string): Promise<RelayCheck>;
  /** Leaves the present relay for another. */
  changeRelay(address: string): Promise<void>;
  /** A link that brings others to this relay. */
  inviteLink(): Promise<string>;
  /** Shows a notification of the system. */
  notify(notification: { title: string; body: string; tag: string }): Promise<void>;
  /** Leaves voice and the relay, and forgets everything: session, messages, settings, blocks. */
  panic(): Promise<AppStart>;

  /** Milliseconds that only ever grow. */
  now(): number;
}
