import { SendHorizontal, X } from "lucide-react";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { distance, remaining } from "../lib/format";
import { tagOf } from "../lib/glyph";
import { matching, mentionAt } from "../lib/mentions";
import { lengthOf, quoteOf } from "../lib/text";
import { limits } from "../state/state";
import { canWrite } from "../state/status";
import { command, now, sendDraft, useApp } from "../state/store";
import { useUi } from "../state/ui";
import { Glyph } from "./Glyph";
import { useMedia, useNow, useWords } from "./hooks";
import { IconButton } from "./kit";

/** From here on it is told how many characters are left. */
const COUNTED_FROM = 50;
/** What the key is that belongs to a composition, as in W3C UI Events, "legacy key models". */
const COMPOSING = 229;

/** Where words are written; it says who will read them. */
export function Composer() {
  const { t, language } = useWords();
  const draft = useUi((s) => s.draft);
  const reply = useUi((s) => s.reply);
  const inserted = useUi((s) => s.inserted);
  const writable = useApp(canWrite);
  const stopped = useApp((s) => s.connection.state === "stopped");
  const count = useApp((s) => s.order.length);
  const radius = useApp((s) => s.radius);
  const most = useApp((s) => limits(s).message_max_chars);
  const sendAgainAt = useApp((s) => s.sendAgainAt);
  const people = useApp((s) => s.people);
  const order = useApp((s) => s.order);
  const touch = useMedia("(pointer: coarse)");
  const area = useRef<HTMLTextAreaElement>(null);
  const [caret, setCaret] = useState(0);
  const [active, setActive] = useState(0);
  const [refused, setRefused] = useState<number | null>(null);
  const listId = useId();

  const time = useNow(sendAgainAt === null ? 0 : 1_000);
  const wait = sendAgainAt === null ? 0 : sendAgainAt - (time || now());
  const quoted = reply ? lengthOf(`${quoteOf(reply.username, reply.text)}x`) - 1 : 0;
  const left = most - quoted - lengthOf(draft);
  const sendable = writable && draft.trim() !== "" && left >= 0 && wait <= 0;

  const wanted = mentionAt(draft, caret);
  const suggestions =
    wanted && refused !== wanted.start
      ? matching(
          order.flatMap((peer) => people[peer] ?? []),
          wanted.query,
          5,
        )
      : [];
  const chosen = Math.min(active, suggestions.length - 1);

  // Whoever has just said where they are would write next; a finger says so by itself.
  const before = useRef(writable);
  useEffect(() => {
    const idle = document.activeElement === null || document.activeElement === document.body;
    if (writable && !before.current && idle && !touch) area.current?.focus();
    before.current = writable;
  }, [writable, touch]);

  useEffect(() => {
    const element = area.current;
    if (inserted === 0 || !element) return;
    element.focus();
    element.setSelectionRange(element.value.length, element.value.length);
  }, [inserted]);

  const accept = (username: string) => {
    if (!wanted) return;
    const text = `${draft.slice(0, wanted.start)}@${username} ${draft.slice(caret)}`;
    const end = wanted.start + username.length + 2;
    useUi.setState({ draft: text });
    setActive(0);
    requestAnimationFrame(() => {
      area.current?.focus();
      area.current?.setSelectionRange(end, end);
      setCaret(end);
    });
  };

  const send = () => {
    if (!sendable) return;
    sendDraft();
    area.current?.focus();
  };

  const onKeyDown = (event: React.KeyboardEvent) => {
    // WebKit ends a composition before it tells of the key that ended it.
    if (event.nativeEvent.isComposing || event.keyCode === COMPOSING) return;
    const suggested = suggestions[chosen];
    if (suggested) {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        const by = event.key === "ArrowDown" ? 1 : -1;
        setActive((chosen + by + suggestions.length) % suggestions.length);
        return;
      }
      if (event.key === "Enter" || event.key === "Tab") {
        event.preventDefault();
        accept(suggested.username);
        return;
      }
      if (event.key === "Escape") {
        event.preventDefault();
        setRefused(wanted?.start ?? null);
        return;
      }
    }
    if (event.key === "Enter" && !event.shiftKey && !touch) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && reply) {
      useUi.setState({ reply: null });
    }
  };

  const placeholder = stopped
    ? t("composer.stopped")
    : writable
      ? t("composer.to", { count, radius: distance(radius, language) })
      : t("composer.no_place");

  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = "0";
    element.style.height = `${Math.min(element.scrollHeight, 160)}px`;
    // Either may be what is seen.
    void [draft, placeholder];
  }, [draft, placeholder]);

  return (
    <form
      className="relative min-w-0 grow"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {suggestions.length > 0 && (
        <div
          id={listId}
          role="listbox"
          aria-label={t("composer.suggestions")}
          className="pop absolute bottom-full z-20 mb-2 w-full max-w-sm rounded-card border border-line bg-surface-1 p-1.5 shadow-lift"
        >
          {suggestions.map((person, index) => (
            // biome-ignore lint/a11y/useFocusableInteractive: the focus stays in the text, as aria-activedescendant has it
            <div
              key={person.peer_id}
              id={`${listId}-${index}`}
              role="option"
              aria-selected={index === chosen}
              className={`flex min-h-11 items-center gap-3 rounded-ctl px-3 ${index === chosen ? "filled bg-surface-3" : ""}`}
              onPointerDown={(event) => {
                event.preventDefault();
                accept(person.username);
              }}
            >
              <Glyph peer={person.peer_id} size={22} />
              <bdi className="font-semibold">{person.username}</bdi>
              <span className="text-s text-text-3">{tagOf(person.peer_id)}</span>
            </div>
          ))}
        </div>
      )}
      <div
        className={`rounded-card border bg-surface-1 transition-colors focus-within:border-accent ${left < 0 ? "border-danger" : "border-line-strong"} ${writable ? "" : "opacity-80"}`}
      >
        {reply && (
          <div className="flex items-center gap-2 border-b border-line ps-4">
            <p className="min-w-0 grow truncate text-s text-text-2">
              <span className="font-semibold">{t("composer.replying", { name: reply.username })}</span>{" "}
              {quoteOf(reply.username, reply.text).slice(reply.username.length + 4)}
            </p>
            <IconButton label={t("composer.cancel_reply")} onClick={() => useUi.setState({ reply: null })}>
              <X size={18} />
            </IconButton>
          </div>
        )}
        <div className="flex items-end gap-1">
          <textarea
            ref={area}
            rows={1}
            value={draft}
            disabled={!writable}
            placeholder={placeholder}
            aria-label={`${t("composer.label")}. ${placeholder}`}
            aria-autocomplete="list"
            {...(suggestions.length > 0 && {
              "aria-controls": listId,
              "aria-activedescendant": `${listId}-${chosen}`,
            })}
            dir="auto"
            enterKeyHint={touch ? "enter" : "send"}
            className="selectable min-h-12 w-full resize-none bg-transparent py-3 ps-4 leading-[1.5rem] placeholder:text-text-3 focus:outline-none"
            onChange={(event) => {
              useUi.setState({ draft: event.target.value });
              setCaret(event.target.selectionStart);
              setActive(0);
              setRefused(null);
              command({ type: "typing" });
            }}
            onSelect={(event) => setCaret(event.currentTarget.selectionStart)}
            onKeyDown={onKeyDown}
          />
          {wait > 0 ? (
            <span className="grid h-12 shrink-0 place-items-center px-3 text-s font-semibold text-warn tabular">
              <span role="timer" aria-label={t("composer.wait", { time: remaining(wait, language) })}>
                {remaining(wait, language)}
              </span>
            </span>
          ) : (
            <button
              type="submit"
              disabled={!sendable}
              aria-label={t("composer.send")}
              title={t("composer.send")}
              className="m-1 grid size-10 shrink-0 place-items-center rounded-full bg-accent text-on-accent transition-colors hover:bg-accent-strong disabled:bg-transparent disabled:text-text-3"
            >
              <SendHorizontal size={20} className="rtl:-scale-x-100" />
            </button>
          )}
        </div>
        {left <= COUNTED_FROM && (
          <p
            role="status"
            className={`px-4 pb-1.5 text-end text-s tabular ${left < 0 ? "font-semibold text-danger" : "text-text-3"}`}
          >
            {left < 0 ? t("composer.over", { count: -left }) : t("composer.left", { count: left })}
          </p>
        )}
      </div>
    </form>
  );
}
