import { ArrowDown } from "lucide-react";
import {
  Fragment,
  lazy,
  Suspense,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { Virtualizer, type VirtualizerHandle } from "virtua";
import { distance } from "../lib/format";
import { type Row, rowsOf } from "../state/rows";
import { look, useApp } from "../state/store";
import { useUi } from "../state/ui";
import { useAttention, useWords } from "./hooks";
import { type MenuRequest, MessageRow, PendingRow } from "./Message";
import { FirstRun, StatusBanner, StatusCard, useStatus } from "./Status";

const MessageMenu = lazy(() => import("./MessageMenu"));

/** How near to the end still counts as being there. */
const NEAR_END_PX = 48;

export function Chat() {
  const status = useStatus();
  const empty = useApp((s) => s.messages.length === 0 && s.pending.length === 0);
  if (status?.kind === "first_run" && empty) {
    return (
      <div className="flex min-h-0 grow flex-col overflow-y-auto">
        <FirstRun />
      </div>
    );
  }
  return (
    <div className="relative flex min-h-0 grow flex-col">
      {status && !empty && <StatusBanner status={status} />}
      {empty ? (
        <div className="flex min-h-0 grow flex-col overflow-y-auto">
          {status ? <StatusCard status={status} /> : <Empty />}
        </div>
      ) : (
        <Messages />
      )}
      <TypingLine />
    </div>
  );
}

/** Nobody has said anything: who would read it. */
function Empty() {
  const { t, language } = useWords();
  const count = useApp((s) => s.order.length);
  const radius = useApp((s) => s.radius);
  const located = useApp((s) => s.located !== null);
  if (!located) return null;
  return (
    <div className="m-auto max-w-sm px-6 py-8 text-center">
      <p className="text-l font-semibold text-balance">
        {t("chat.empty", { count, radius: distance(radius, language) })}
      </p>
      <p className="pt-1 text-text-2">{t("chat.empty_hint")}</p>
    </div>
  );
}

function Messages() {
  const { t } = useWords();
  const messages = useApp((s) => s.messages);
  const pending = useApp((s) => s.pending);
  const unread = useApp((s) => s.unread.length);
  const unreadFrom = useApp((s) => s.unreadFrom);
  const rows = useMemo(() => rowsOf(messages, pending, unreadFrom), [messages, pending, unreadFrom]);
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const atEnd = useRef(true);
  const away = useUi((s) => !s.atEnd);
  const [menu, setMenu] = useState<MenuRequest | null>(null);
  const edges = useRef({ first: "", last: "", count: 0 });

  const first = rows[0]?.key ?? "";
  const last = rows.at(-1)?.key ?? "";
  // What changes at the beginning must not move what is being read.
  const shift = edges.current.first !== first && edges.current.last === last;

  const toEnd = useCallback(() => {
    list.current?.scrollToIndex(edges.current.count - 1, { align: "end" });
  }, []);

  const stay = useCallback((near: boolean) => {
    atEnd.current = near;
    useUi.setState({ atEnd: near });
  }, []);
  const onScroll = useCallback(() => {
    const element = scroller.current;
    if (element) stay(element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX);
  }, [stay]);
  useEffect(() => () => useUi.setState({ atEnd: true }), []);

  useLayoutEffect(() => {
    const before = edges.current;
    const grew = before.last !== last && rows.length > 0;
    edges.current = { first, last, count: rows.length };
    const own = rows.at(-1)?.kind === "pending";
    // Whoever comes back goes on reading where they have not been.
    const line =
      before.count === 0 && useApp.getState().unread.length > 0
        ? rows.findIndex((row) => row.kind === "message" && row.unread)
        : -1;
    if (line > 0) {
      stay(false);
      list.current?.scrollToIndex(line, { align: "start" });
      requestAnimationFrame(onScroll);
    } else if (grew && (atEnd.current || own)) {
      stay(true);
      toEnd();
    }
  }, [rows, first, last, toEnd, stay, onScroll]);

  // A keyboard that opens, or a reply that grows, must not hide the newest.
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      if (atEnd.current) toEnd();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [toEnd]);

  const focusRow = (index: number) => {
    list.current?.scrollToIndex(index, { align: "nearest" });
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`[data-row="${index}"]`)?.focus({ preventScroll: true }),
    );
  };

  const onKeyDown = (event: React.KeyboardEvent) => {
    const from = (event.target as HTMLElement).closest<HTMLElement>("[data-row]")?.dataset.row;
    const at = from === undefined ? rows.length : Number(from);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= rows.length) scroller.current?.focus();
    else if (to >= 0) focusRow(to);
  };

  return (
    <div className="relative min-h-0 grow">
      <section
        ref={scroller}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
        tabIndex={0}
        aria-label={t("chat.title")}
        className="flex h-full flex-col overflow-y-auto overscroll-contain px-3 focus-visible:-outline-offset-2"
        onScroll={onScroll}
        onKeyDown={onKeyDown}
      >
        <div className="grow" />
        <Virtualizer
          ref={list}
          as="ol"
          item="li"
          scrollRef={scroller}
          shift={shift}
          bufferSize={400}
          data={rows}
        >
          {(row: Row, index: number) =>
            row.kind === "message" ? (
              <Fragment key={row.key}>
                {row.unread && <UnreadLine />}
                <MessageRow
                  index={index}
                  shown={row.shown}
                  first={row.first}
                  last={row.last}
                  onMenu={setMenu}
                />
              </Fragment>
            ) : (
              <PendingRow key={row.key} index={index} pending={row.pending} last={row.last} />
            )
          }
        </Virtualizer>
      </section>
      {away && (
        <button
          type="button"
          className="pop absolute inset-x-0 bottom-3 mx-auto flex min-h-11 w-fit items-center gap-2 rounded-full bg-surface-3 px-4 font-semibold shadow-lift"
          onClick={toEnd}
        >
          <ArrowDown size={18} aria-hidden="true" />
          {unread > 0 ? t("chat.new", { count: unread }) : t("chat.to_end")}
        </button>
      )}
      {menu && (
        <Suspense>
          <MessageMenu request={menu} onClose={() => setMenu(null)} />
        </Suspense>
      )}
    </div>
  );
}

/** Above the first message that came while nobody looked. */
function UnreadLine() {
  const { t } = useWords();
  return (
    <p className="mx-auto flex w-full max-w-[46rem] items-center gap-3 pt-3 text-s font-semibold text-speak-text">
      <span aria-hidden="true" className="h-px grow bg-speak-text" />
      {t("chat.unread")}
      <span aria-hidden="true" className="h-px grow bg-speak-text" />
    </p>
  );
}

/** Who is typing; its place is kept, so that nothing jumps. */
function TypingLine() {
  const { t } = useWords();
  const typing = useApp((s) => s.typing);
  const people = useApp((s) => s.people);
  const names = typing.flatMap((peer) => people[peer]?.username ?? []);
  const [name, other] = names;
  const words =
    name === undefined
      ? ""
      : names.length === 1
        ? t("chat.typing_single", { name })
        : names.length === 2
          ? t("chat.typing_pair", { name, other })
          : t("chat.typing_many", { count: names.length });
  return (
    <p className="mx-auto min-h-6 w-full max-w-[46rem] truncate px-5 text-s text-text-3" aria-live="off">
      {words}
    </p>
  );
}

/** What the person looks at is read as it comes. */
export function useChatInSight(inSight: boolean): void {
  const attention = useAttention();
  const atEnd = useUi((s) => s.atEnd);
  useEffect(() => {
    // The list may have found just now that there is more below.
    look(inSight && attention && atEnd && useUi.getState().atEnd);
  }, [inSight, attention, atEnd]);
}
