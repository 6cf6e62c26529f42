const MODIFIERS = ["Control", "Shift", "Alt", "Meta"];

/** Whether a key is one that only changes what others mean. */
export function isModifier(event: KeyboardEvent): boolean {
  return MODIFIERS.includes(event.key);
}

/** Keys as the system's shortcuts are written: `Ctrl+Shift+Space`. */
export function comboOf(event: KeyboardEvent): string {
  const parts = [];
  if (event.ctrlKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey) parts.push("Shift");
  if (event.metaKey) parts.push("Super");
  parts.push(event.code.replace(/^(Key|Digit)/, ""));
  return parts.join("+");
}

/** Keys that do what a button does, as they are shown and as assistive technology says them. */
export interface KeyCombo {
  code: string;
  shown: string;
  spoken: string;
}

const withCtrlAndShift = (letter: string): KeyCombo => ({
  code: `Key${letter}`,
  shown: `Ctrl+Shift+${letter}`,
  spoken: `Control+Shift+${letter}`,
});

export const MUTE_KEY = withCtrlAndShift("M");
export const DEAFEN_KEY = withCtrlAndShift("D");
