import { CloudOff, MapPin, MapPinned, MapPinOff, QrCode, Settings } from "lucide-react";
import { tagOf } from "../lib/glyph";
import { command, useApp } from "../state/store";
import { show } from "../state/ui";
import { Glyph } from "./Glyph";
import { useWide, useWords } from "./hooks";
import { Hidden, IconButton } from "./kit";
import { Logo } from "./Logo";
import { useStatus } from "./Status";

export function Header() {
  const { t } = useWords();
  const wide = useWide();
  const me = useApp((s) => s.me);
  return (
    <header className="safe-top safe-x flex items-center gap-1 border-b border-line bg-surface-1">
      <h1 className="sr-only">{t("app.name")}</h1>
      <Logo />
      {me && (
        <button
          type="button"
          className="flex min-h-12 min-w-11 items-center gap-2 rounded-ctl px-2 py-1 text-start transition-colors hover:bg-surface-2"
          onClick={() => show({ kind: "rename" })}
        >
          <Glyph peer={me.peer_id} size={28} />
          <span className="min-w-0">
            <span className="flex items-baseline gap-1.5">
              <bdi className="truncate font-semibold">{me.username}</bdi>
              <span className="text-s text-text-3 tabular">{tagOf(me.peer_id)}</span>
            </span>
            <span className="block truncate text-s text-text-3">
              {t("header.changes", { count: me.username_changes_left })}
            </span>
            <Hidden>{t("header.rename")}</Hidden>
          </span>
        </button>
      )}
      <span className="grow" />
      <ConnectionChip wide={wide} />
      <PlaceChip wide={wide} />
      {wide && (
        <IconButton label={t("header.invite")} onClick={() => show({ kind: "invite" })}>
          <QrCode size={20} />
        </IconButton>
      )}
      <IconButton label={t("header.settings")} onClick={() => show({ kind: "settings", section: "general" })}>
        <Settings size={20} />
      </IconButton>
    </header>
  );
}

/** How it stands with the connection, while it is not as it should be; wherever one looks. */
function ConnectionChip({ wide }: { wide: boolean }) {
  const { t } = useWords();
  const kind = useStatus()?.kind;
  const connecting = kind === "connecting";
  if (kind === "offline" || kind === "relay_unreachable" || connecting) {
    const word = connecting ? t("status.connecting") : t("status.offline", { count: 0 });
    return (
      <button
        type="button"
        className={`flex min-h-11 min-w-11 items-center justify-center gap-2 rounded-full px-2.5 text-s font-semibold text-warn transition-colors hover:bg-surface-2 ${connecting ? "breathe" : ""}`}
        aria-label={`${word} ${t("status.retry")}`}
        title={t("status.retry")}
        onClick={() => command({ type: "retry_now" })}
      >
        <CloudOff size={20} aria-hidden="true" />
        {wide && word}
      </button>
    );
  }
  return null;
}

/** Whether the place is known, and how: a full dot, half a dot, an empty one. */
function PlaceChip({ wide }: { wide: boolean }) {
  const { t } = useWords();
  const place = useApp((s) => s.app.place);
  const [word, icon] =
    place.state === "live"
      ? [t("header.place_live"), <PlaceDot key="live" part={1} />]
      : place.state === "by_hand"
        ? [place.label ?? t("header.place_hand"), <PlaceDot key="hand" part={0.5} />]
        : [t("header.place_none"), <PlaceDot key="none" part={0} />];
  return (
    <button
      type="button"
      className="flex min-h-11 min-w-11 items-center justify-center gap-2 rounded-full px-2.5 text-s text-text-2 transition-colors hover:bg-surface-2 hover:text-text-1"
      aria-label={t("header.place_change", { state: word })}
      title={word}
      onClick={() => show({ kind: "place" })}
    >
      {wide && icon}
      {wide ? (
        <span className="max-w-48 truncate">{word}</span>
      ) : place.state === "live" ? (
        <MapPin size={20} className="text-accent" />
      ) : place.state === "by_hand" ? (
        <MapPinned size={20} className="text-accent" />
      ) : (
        <MapPinOff size={20} />
      )}
    </button>
  );
}

function PlaceDot({ part }: { part: number }) {
  return (
    <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true" className="text-accent">
      <circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor" strokeWidth="1.6" />
      {part === 1 && <circle cx="6" cy="6" r="3" fill="currentColor" />}
      {part === 0.5 && <path d="M6 3a3 3 0 0 1 0 6z" fill="currentColor" />}
    </svg>
  );
}
