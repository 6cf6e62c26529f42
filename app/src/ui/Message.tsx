import { Check, CircleAlert, Clock, MoreHorizontal } from "lucide-react";
import { memo, type PointerEvent, useMemo, useRef, useState } from "react";
import type { ChatMessage } from "../backend/types";
import { age, band, remaining } from "../lib/format";
import { tagOf } from "../lib/glyph";
import { isEmojiOnly, pieces, splitQuote, withoutGaps } from "../lib/text";
import { DEFAULT_LIMITS, type Pending, type ShownMessage } from "../state/state";
import { discard, now, replyTo, sendAgain, useApp } from "../state/store";
import { show } from "../state/ui";
import { Glyph } from "./Glyph";
import { useNow, useWords } from "./hooks";

export interface MenuRequest {
  message: ChatMessage;
  x: number;
  y: number;
  /** Where the link leads that was pointed at, if one was. */
  link: string | null;
  /** Asked for by a key, so that a key goes on; and where the focus goes back to. */
  byKey: HTMLElement | null;
}

/** In the last minutes a message pales. */
const PALE_MS = 5 * 60_000;
/** Within this time before its end a message gets ready to dissolve, which then takes this long. */
const ENDS_WITHIN_MS = 20_000;
const DISSOLVE_MS = 400;
/** How far a finger drags a message before it is a reply. */
const SWIPE_PX = 56;

/** The names that may be mentioned; one string, so that messages are drawn anew only when it changes. */
function useNames(text: string): { names: string[]; own: string | null } {
  const own = useApp((s) => s.me?.username ?? null);
  const mentioned = text.includes("@");
  const joined = useApp((s) =>
    mentioned ? s.order.map((peer) => s.people[peer]?.username ?? "").join("\n") : "",
  );
  return { names: joined === "" ? [] : joined.split("\n"), own };
}

/** What was said: quotes, links and mentions made visible, nothing loaded. */
function Text({ text }: { text: string }) {
  const { names, own } = useNames(text);
  const { author, quote, rest } = splitQuote(text);
  return (
    <>
      {quote !== "" && (
        <blockquote className="mb-1 border-s-2 border-accent ps-2 text-s text-text-2">
          {author !== null && <bdi className="font-semibold">{author}</bdi>}
          <span className="line-clamp-2 break-words" dir="auto">
            {quote}
          </span>
        </blockquote>
      )}
      {/* A block, so that its lines begin where those of its own script do. */}
      <span
        className={`block break-words whitespace-pre-wrap ${isEmojiOnly(rest) ? "text-xl" : ""}`}
        dir="auto"
      >
        {pieces(withoutGaps(rest), names, own).map((piece, index) => {
          const key = `${index}-${piece.text}`;
          switch (piece.kind) {
            case "link":
              return (
                <a
                  key={key}
                  href={piece.url}
                  rel="noreferrer noopener"
                  className="text-accent-strong underline decoration-1 underline-offset-2 [overflow-wrap:anywhere]"
                  onClick={(event) => {
                    event.preventDefault();
                    show({ kind: "link", url: piece.url });
                  }}
                  // What the system offers for links would open them here, without a warning.
                  onAuxClick={(event) => event.preventDefault()}
                  onContextMenu={(event) => event.preventDefault()}
                >
                  {piece.text}
                </a>
              );
            case "mention":
              return (
                <strong
                  key={key}
                  className={piece.own ? "rounded bg-speak-soft px-0.5 text-text-1" : "text-accent-strong"}
                >
                  {piece.text}
                </strong>
              );
            default:
              return piece.text;
          }
        })}
      </span>
    </>
  );
}

export const MessageRow = memo(function MessageRow({
  shown,
  index,
  first,
  last,
  onMenu,
}: {
  shown: ShownMessage;
  index: number;
  first: boolean;
  last: boolean;
  onMenu: (request: MenuRequest) => void;
}) {
  const { t, language } = useWords();
  const ttl = useApp((s) => s.me?.limits.message_ttl_ms ?? DEFAULT_LIMITS.message_ttl_ms);
  const time = useNow(10_000);
  const swipe = useSwipe(() => replyTo(message.username, message.text));
  const { message } = shown;
  const left = Math.max(0, shown.goneAt - time);
  const ago = age(ttl - left, t, language);
  const pale = left < PALE_MS;
  const ending = left < ENDS_WITHIN_MS;
  // Told once, since a delay that is told anew would begin anew.
  const dissolve = useMemo(
    () =>
      ending
        ? `dissolve ${DISSOLVE_MS}ms ease-in ${Math.max(0, shown.goneAt - now() - DISSOLVE_MS)}ms both`
        : undefined,
    [ending, shown.goneAt],
  );
  const lone = message.own;

  const menuAt = (x: number, y: number, from: { link?: string; byKey?: HTMLElement } = {}) =>
    onMenu({ message, x, y, link: from.link ?? null, byKey: from.byKey ?? null });
  return (
    // biome-ignore lint/a11y/useSemanticElements: a message is no set of form fields
    <div
      role="group"
      tabIndex={-1}
      data-row={index}
      aria-label={t("chat.said", {
        name: message.own ? t("chat.own") : message.username,
        age: ago,
        text: message.text,
      })}
      className={`group mx-auto flex w-full touch-pan-y max-w-[46rem] items-end gap-2 rounded-ctl ${first ? "pt-3" : "pt-0.5"} ${lone ? "justify-end" : ""}`}
      onContextMenu={(event) => {
        event.preventDefault();
        const link = (event.target as HTMLElement).closest("a")?.href;
        menuAt(event.clientX, event.clientY, link === undefined ? {} : { link });
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || event.target !== event.currentTarget) return;
        event.preventDefault();
        const box = event.currentTarget.getBoundingClientRect();
        menuAt(box.left + Math.min(box.width / 2, 160), box.top + box.height / 2, {
          byKey: event.currentTarget,
        });
      }}
      style={{ animation: dissolve }}
      {...swipe.handlers}
    >
      {!lone && (
        <span className="w-8 shrink-0 self-start">
          {first && (
            <button
              type="button"
              tabIndex={-1}
              className="grid size-8 place-items-center rounded-full"
              aria-label={t("chat.person", { name: message.username })}
              onClick={() => show({ kind: "person", peer: message.from, message: message.id })}
            >
              <Glyph peer={message.from} size={26} />
            </button>
          )}
        </span>
      )}
      <div
        className={`flex min-w-0 max-w-[min(calc(100%-3rem),58ch)] flex-col ${lone ? "items-end" : "items-start"}`}
        style={{ transform: swipe.offset === 0 ? undefined : `translateX(${swipe.offset}px)` }}
      >
        {first && !lone && (
          <p className="flex max-w-full flex-wrap items-baseline gap-x-1.5 px-1 pb-0.5 text-s text-text-3">
            <bdi className="max-w-full truncate font-semibold text-text-1">{message.username}</bdi>
            <span className="shrink-0 tabular">{tagOf(message.from)}</span>
            {message.distance && (
              <span className="shrink-0 tabular">· {band(message.distance, language)}</span>
            )}
            {/* On the narrowest screens the name needs the room; the hair-line tells as much. */}
            <span className="hidden shrink-0 tabular min-[420px]:inline">· {ago}</span>
          </p>
        )}
        <div
          className={`selectable relative max-w-full overflow-hidden rounded-ctl px-3 pt-1.5 pb-2 transition-colors ${
            shown.mentionsMe ? "bg-speak-soft" : lone ? "bg-own" : "bg-bubble"
          } ${pale ? "text-text-2" : "text-text-1"}`}
          style={pale ? { filter: "saturate(0.5)" } : undefined}
        >
          <Text text={message.text} />
          <Life left={left} ttl={ttl} />
        </div>
        {lone && last && <Fate message={message} ago={ago} />}
      </div>
      <button
        type="button"
        tabIndex={-1}
        className={`grid size-8 shrink-0 place-items-center self-center rounded-full text-text-3 opacity-0 transition-opacity group-focus-within:opacity-100 group-hover:opacity-100 hover:bg-surface-3 ${lone ? "order-first" : ""}`}
        aria-label={t("chat.menu", { name: message.username })}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          menuAt(box.left, box.bottom);
        }}
      >
        <MoreHorizontal size={18} />
      </button>
    </div>
  );
});

/** The hair-line under a message: it shortens as the message's life does. */
function Life({ left, ttl }: { left: number; ttl: number }) {
  const { t, language } = useWords();
  const part = Math.max(0, Math.min(1, left / ttl));
  return (
    <span
      aria-hidden="true"
      title={t("chat.left", { time: remaining(left, language) })}
      className="absolute inset-x-0 bottom-0 h-[2px]"
    >
      <span
        className={`block h-full origin-left rounded-full rtl:origin-right ${left < PALE_MS ? "bg-line-strong" : "bg-accent"}`}
        style={{ transform: `scaleX(${part.toFixed(3)})`, opacity: 0.75 }}
      />
    </span>
  );
}

/** What became of an own message. */
function Fate({ message, ago }: { message: ChatMessage; ago: string }) {
  const { t } = useWords();
  return (
    <p className="flex items-center gap-1 px-1 pt-0.5 text-s text-text-3 tabular">
      <Check size={14} aria-hidden="true" />
      {message.reached === undefined ? t("chat.sent") : t("chat.reached", { count: message.reached })}
      <span className="shrink-0">· {ago}</span>
    </p>
  );
}

const FAILED = {
  expired: "chat.failed_expired",
  too_many: "chat.failed_crowded",
  refused: "chat.failed_refused",
} as const;

/** An own message that is not among the others yet. */
export const PendingRow = memo(function PendingRow({
  pending,
  index,
  last,
}: {
  pending: Pending;
  index: number;
  last: boolean;
}) {
  const { t, language } = useWords();
  const online = useApp((s) => s.connection.state === "online");
  const time = useNow(pending.state === "delayed" ? 1_000 : 0);
  const failed = pending.state === "failed";
  const fate = (() => {
    switch (pending.state) {
      case "delayed":
        return t("chat.delayed", { time: remaining((pending.retryAt ?? time) - time, language) });
      case "failed":
        return t(FAILED[pending.why ?? "refused"]);
      default:
        return online ? t("chat.sending") : t("chat.queued");
    }
  })();
  return (
    // biome-ignore lint/a11y/useSemanticElements: a message is no set of form fields
    <div
      role="group"
      tabIndex={-1}
      data-row={index}
      aria-label={t("chat.said", { name: t("chat.own"), age: fate, text: pending.text })}
      className={`mx-auto flex w-full max-w-[46rem] flex-col items-end rounded-ctl ${index === 0 || last ? "pt-1" : "pt-0.5"}`}
    >
      <div
        className={`selectable max-w-[min(calc(100%-3rem),58ch)] rounded-ctl border border-dashed px-3 py-1.5 ${failed ? "border-danger" : "border-line-strong"}`}
      >
        <Text text={pending.text} />
      </div>
      <p
        className={`flex items-center gap-1 px-1 pt-0.5 text-s tabular ${failed ? "text-danger" : "text-text-3"}`}
      >
        {failed ? <CircleAlert size={14} aria-hidden="true" /> : <Clock size={14} aria-hidden="true" />}
        {fate}
      </p>
      {failed && (
        <p className="flex gap-1">
          <button
            type="button"
            className="min-h-9 rounded-ctl px-2 text-s font-semibold text-accent-strong hover:bg-surface-2"
            onClick={() => sendAgain(pending.id)}
          >
            {t("chat.again")}
          </button>
          <button
            type="button"
            className="min-h-9 rounded-ctl px-2 text-s font-semibold text-text-2 hover:bg-surface-2"
            onClick={() => discard(pending.id)}
          >
            {t("chat.discard")}
          </button>
        </p>
      )}
    </div>
  );
});

/** A message dragged sideways by a finger is a reply to it. */
function useSwipe(onSwipe: () => void) {
  const [offset, setOffset] = useState(0);
  const start = useRef<{ x: number; y: number } | null>(null);
  const end = () => {
    if (Math.abs(offset) >= SWIPE_PX) {
      onSwipe();
      navigator.vibrate?.(8);
    }
    start.current = null;
    setOffset(0);
  };
  return {
    offset,
    handlers: {
      onPointerDown: (event: PointerEvent) => {
        if (event.pointerType === "touch") start.current = { x: event.clientX, y: event.clientY };
      },
      onPointerMove: (event: PointerEvent) => {
        if (!start.current) return;
        const dx = event.clientX - start.current.x;
        const dy = event.clientY - start.current.y;
        if (offset === 0 && Math.abs(dy) > Math.abs(dx)) {
          if (Math.abs(dy) > 10) start.current = null;
          return;
        }
        const towards = document.documentElement.dir === "rtl" ? -1 : 1;
        const along = Math.max(0, dx * towards);
        setOffset(along > 8 ? Math.min(SWIPE_PX + 16, along) * towards : 0);
      },
      onPointerUp: end,
      onPointerCancel: end,
    },
  };
}
