import { X } from "lucide-react";
import { useEffect } from "react";
import type { Notice, ShownNotice } from "../state/state";
import { command, dismiss, useApp } from "../state/store";
import { useWords } from "./hooks";

/** How long a notice stays; those that want an answer stay until they have it. */
const STAYS_MS = 6_000;

/** What is said once and goes by itself. */
export function Notices() {
  const { t } = useWords();
  const notices = useApp((s) => s.notices);
  return (
    <section
      aria-label={t("notice.label")}
      aria-live="polite"
      className="pointer-events-none absolute inset-x-0 top-2 z-30 flex flex-col items-center gap-2 px-3"
    >
      {notices.map((shown) => (
        <NoticeCard key={shown.id} shown={shown} />
      ))}
    </section>
  );
}

function NoticeCard({ shown }: { shown: ShownNotice }) {
  const { t } = useWords();
  const { id, notice } = shown;
  const sticky = notice.kind === "session_replaced" || notice.kind === "announcement";
  useEffect(() => {
    if (sticky) return;
    const timer = window.setTimeout(() => dismiss(id), STAYS_MS);
    return () => clearTimeout(timer);
  }, [id, sticky]);
  const action = actionOf(notice, t);
  return (
    <div className="arrive pointer-events-auto flex min-h-12 max-w-full items-center gap-2 rounded-card border border-line bg-surface-3 py-1 ps-4 pe-1 shadow-lift">
      <p className="min-w-0 [overflow-wrap:anywhere]">{wordsOf(notice, t)}</p>
      {action && (
        <button
          type="button"
          className="min-h-10 shrink-0 rounded-ctl px-3 font-semibold text-accent-strong hover:bg-surface-2"
          onClick={() => {
            action.run();
            dismiss(id);
          }}
        >
          {action.label}
        </button>
      )}
      {!sticky && (
        <button
          type="button"
          aria-label={t("notice.dismiss")}
          className="grid size-10 shrink-0 place-items-center rounded-full text-text-2 hover:bg-surface-2"
          onClick={() => dismiss(id)}
        >
          <X size={16} />
        </button>
      )}
    </div>
  );
}

/** Refusals that have words of their own. */
type KnownError =
  | "rate_limited"
  | "invalid_username"
  | "username_changes_exhausted"
  | "implausible_location"
  | "invalid_location"
  | "invalid_message";

type Translate = ReturnType<typeof useWords>["t"];

function actionOf(notice: Notice, t: Translate): { label: string; run: () => void } | null {
  switch (notice.kind) {
    case "session_replaced":
    case "announcement":
      return { label: t("app.ok"), run: () => {} };
    case "speaks_while_muted":
      return { label: t("voice.unmute"), run: () => command({ type: "voice_mute", muted: false }) };
    case "blocked":
      return {
        label: t("notice.undo"),
        run: () => command({ type: "unblock", peer_id: notice.peer }),
      };
    default:
      return null;
  }
}

function wordsOf(notice: Notice, t: Translate): string {
  switch (notice.kind) {
    case "person_left_call":
      return notice.reason === "left"
        ? t("notice.left_call_left", { name: notice.username })
        : t("notice.left_call", { name: notice.username });
    case "renamed":
      return t("notice.renamed", { from: notice.from, to: notice.to });
    case "session_replaced":
      return t("notice.session", { name: notice.username });
    case "blocked":
      return t("notice.blocked", { name: notice.username });
    case "announcement":
      return t("notice.announcement", { text: notice.text });
    case "speaks_while_muted":
      return t("notice.while_muted");
    case "voice_ended":
      return t("notice.ended", { message: notice.message });
    case "device_lost":
      return t("notice.device_lost", { device: notice.device });
    case "device_changed":
      return t("notice.device_changed", { device: notice.device });
    case "reported":
    case "room_full":
    case "no_relay":
    case "copied":
      return t(`notice.${notice.kind}`);
    case "refused": {
      const code = notice.error.code as KnownError;
      switch (code) {
        case "rate_limited":
        case "invalid_username":
        case "username_changes_exhausted":
        case "implausible_location":
        case "invalid_location":
        case "invalid_message":
          return t(`error.${code}`);
        default:
          return t("error.other", { message: notice.error.message });
      }
    }
  }
}
