import type { Backend, Unlisten } from "./backend";
import { commands, events } from "./bindings";

/** The shell's side of the window. With the bindings, which it alone uses, all that knows Tauri. */
export function tauriBackend(): Backend {
  const subscribed: Promise<unknown>[] = [];

  function subscribe(unlisten: Promise<Unlisten>): Unlisten {
    subscribed.push(unlisten);
    return () => void unlisten.then((stop) => stop());
  }

  return {
    ...commands,
    listen: (handler) => subscribe(events.event.listen(({ payload }) => handler(payload))),
    listenApp: (handler) => subscribe(events.appEvent.listen(({ payload }) => handler(payload))),
    start: async () => {
      // The shell tells everything from here on, so it must be heard first.
      await Promise.all(subscribed);
      return commands.start();
    },
    now: () => performance.now(),
  };
}
