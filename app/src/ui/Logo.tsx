import { useRef } from "react";
import { panic } from "../state/store";
import { useWords } from "./hooks";

/** How close the three taps must be. */
const WITHIN_MS = 900;

/** Two circles that overlap, and the way out: three taps erase everything. */
export function Logo() {
  const { t } = useWords();
  const taps = useRef<number[]>([]);
  const tap = (at: number) => {
    taps.current = [...taps.current.filter((before) => at - before < WITHIN_MS), at];
    if (taps.current.length >= 3) {
      taps.current = [];
      void panic();
    }
  };
  return (
    <button
      type="button"
      aria-label={t("app.logo")}
      title={t("app.name")}
      className="grid size-11 shrink-0 place-items-center rounded-ctl"
      onClick={(event) => tap(event.timeStamp)}
    >
      <LogoDrawing size={30} />
    </button>
  );
}

export function LogoDrawing({ size }: { size: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <circle cx="12" cy="16" r="9.2" fill="none" stroke="var(--accent)" strokeWidth="2.6" />
      <circle cx="20" cy="16" r="9.2" fill="none" stroke="var(--speak)" strokeWidth="2.6" />
      <path d="M16 7.7a9.2 9.2 0 0 1 0 16.6a9.2 9.2 0 0 1 0-16.6z" fill="var(--accent)" opacity="0.28" />
    </svg>
  );
}
