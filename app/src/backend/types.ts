/**
 * What crosses between the window and the shell: the Rust types, as `bindings.ts` has them, and the few
 * that the window cuts out of them for itself. Nothing but types may stand here.
 */

import type * as shell from "./bindings";

export type * from "./bindings";

/** A language that there is a catalogue of. */
export type Language = Exclude<shell.Language, "system">;

/** Settings to be changed. The relay is none of them: changing it is a move. */
export type SettingsPatch = Partial<Omit<shell.Settings, "relay">>;

/** Why something was not done, by whoever did not do it: a code for programs, a message for people. */
export interface Refusal {
  code: string;
  message: string;
}
