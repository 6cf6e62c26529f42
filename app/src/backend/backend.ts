import type {
  AppEvent,
  AppStart,
  Command,
  Event,
  MicrophonePermission,
  Notification,
  RelayCheck,
  Section,
  Settings,
  SettingsPatch,
  Words,
} from "./types";

/** Ends a subscription. */
export type Unlisten = () => void;

/** Settles when it has been done; what with says nothing. */
type Done = Promise<unknown>;

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
  command(command: Command): Done;

  /** Keeps settings, and answers with how they are now. */
  saveSettings(patch: SettingsPatch): Promise<Settings>;
  /** Asks the system for this device's place; `place` events tell what comes of it. */
  useLocation(): Done;
  /** Takes a place that was chosen by hand. */
  placeByHand(lat: number, lon: number, label: string | null): Done;
  /** Asks for the microphone where the system wants that. */
  askMicrophone(): Promise<MicrophonePermission>;
  /** Opens the system's own settings. */
  openSystemSettings(section: Section): Done;
  /** Opens a link outside, after the person has agreed. */
  openLink(url: string): Done;
  /** Asks a relay whether it is one, and whether it is well. */
  checkRelay(address: string): Promise<RelayCheck>;
  /** Leaves the present relay for another. */
  changeRelay(address: string): Done;
  /** A link that brings others to this relay. */
  inviteLink(): Promise<string>;
  /** Asks which version is newer than this one, if any. */
  lookForUpdate(): Promise<string | null>;
  /** Installs what is newer, and starts anew. */
  installUpdate(): Done;
  /** Takes the words that the shell says outside the window. */
  sayWords(words: Words): Done;
  /** Shows a notification of the system. */
  notify(notification: Notification): Done;
  /** Leaves voice and the relay, and forgets everything: session, messages, settings, blocks. */
  panic(): Promise<AppStart>;

  /** Milliseconds that only ever grow. */
  now(): number;
}
