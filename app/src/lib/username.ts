import type { Limits } from "../backend/types";

const ALLOWED = /^[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}]| (?=[\p{L}\p{N}]))*$/u;

/** Letters and digits of any script, single inner spaces: what a relay takes as a name. */
export function isUsername(text: string, limits: Limits): boolean {
  const name = text.normalize("NFC");
  const length = [...name].length;
  return length >= limits.username_min_chars && length <= limits.username_max_chars && ALLOWED.test(name);
}
