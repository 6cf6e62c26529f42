import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { Backend, Unlisten } from "./backend";
import type { AppEvent, AppStart, Command, Event, MicrophonePermission, RelayCheck, Settings } from "./types";

/** The shell's side of the window. The only file that knows Tauri. */
export function tauriBackend(): Backend {
  const subscribed: Promise<unknown>[] = [];

  function subscribe<T>(name: string, handler: (payload: T) => void): Unlisten {
    const unlisten = listen<T>(name, (event) => handler(event.payload));
    subscribed.push(unlisten);
    return () => void unlisten.then((stop) => stop());
  }

  return {
    listen: (handler) => subscribe<Event>("event", handler),
    listenApp: (handler) => subscribe<AppEvent>("app-event", handler),
    start: async () => {
      // The shell tells everything from here on, so it must be heard first.
      await Promise.all(subscribed);
      return invoke<AppStart>("start");
    },
    command: (command: Command) => invoke("command", { command }),
    saveSettings: (patch) => invoke<Settings>("save_settings", { patch }),
    useLocation: () => invoke("use_location"),
    placeByHand: (lat, lon, label) => invoke("place_by_hand", { lat, lon, label }),
    askMicrophone: () => invoke<MicrophonePermission>("ask_microphone"),
    openSystemSettings: (section) => invoke("open_system_settings", { section }),
    openLink: (url) => invoke("open_link", { url }),
    checkRelay: (address) => invoke<RelayCheck>("check_relay", { address }),
    changeRelay: (address) => invoke("change_relay", { address }),
    inviteLink: () => invoke<string>("invite_link"),
    notify: (notification) => invoke("notify", { notification }),
    panic: () => invoke<AppStart>("panic"),
    now: () => performance.now(),
  };
}
