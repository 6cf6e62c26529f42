import { type ReactNode, useMemo } from "react";
import type { PlaceProblem } from "../backend/types";
import { STEPS } from "../lib/circle";
import { clockIn, distance, remaining } from "../lib/format";
import { type Status, statusOf } from "../state/status";
import { attempt, chooseRadius, command, now, openSystemSettings, useApp, world } from "../state/store";
import { show } from "../state/ui";
import { Glyph } from "./Glyph";
import { useNow, useWords } from "./hooks";
import { Button } from "./kit";
import { LogoDrawing } from "./Logo";

/** The present status, renewed each second while it has something to count down. */
export function useStatus(): Status | null {
  const time = useNow(1_000);
  // Compared as text: the state changes ten times a second in a call, the status hardly ever.
  const text = useApp((state) => JSON.stringify(statusOf(state, time)));
  return useMemo(() => JSON.parse(text) as Status | null, [text]);
}

interface Said {
  title: string;
  detail?: string;
  tone: "calm" | "warn" | "danger";
  actions: ReactNode;
}

function byHand(): void {
  show({ kind: "place" });
}

/** Why the place can't be had, and what to do. */
function problemWords(
  problem: PlaceProblem,
  linux: boolean,
  t: ReturnType<typeof useWords>["t"],
  language: string,
): string {
  switch (problem.problem) {
    case "no_service":
      // There one can be installed.
      return linux ? t("unplaced.no_service_linux") : t("unplaced.no_service");
    case "too_coarse":
      return t("unplaced.too_coarse", { accuracy: distance(problem.accuracy_m, language) });
    case "failed":
      return t("unplaced.failed", { detail: problem.detail });
    default:
      return t(`unplaced.${problem.problem}`);
  }
}

/** Each status as a sentence, a cause where there is one to tell, and something to do about it. */
function useSaid(status: Status | null): Said | null {
  const { t, language } = useWords();
  const radius = useApp((s) => s.radius);
  const linux = useApp((s) => s.app.platform === "linux");
  if (!status) return null;
  const changeRelay = (
    <Button look="primary" onClick={() => show({ kind: "settings", section: "relay" })}>
      {t("status.change_relay")}
    </Button>
  );
  const again = (at: number) => t("status.retrying", { time: remaining(at - now(), language) });
  const retry = <Button onClick={() => command({ type: "retry_now" })}>{t("status.retry")}</Button>;
  const chooseByHand = <Button onClick={byHand}>{t("first.by_hand")}</Button>;
  switch (status.kind) {
    case "banned":
      return {
        title:
          status.until === null
            ? t("status.banned")
            : t("status.banned_until", { time: clockIn(status.until - now(), language) }),
        tone: "danger",
        actions: changeRelay,
      };
    case "taken_over":
      return {
        title: t("status.taken_over"),
        tone: "warn",
        actions: (
          <Button look="primary" onClick={() => command({ type: "retry_now" })}>
            {t("status.use_here")}
          </Button>
        ),
      };
    case "unsupported":
      return { title: t("status.unsupported"), tone: "danger", actions: changeRelay };
    case "relay_unreachable":
      return {
        title: t("status.unreachable", { relay: status.relay }),
        detail: again(status.retryAt),
        tone: "warn",
        actions: (
          <>
            {changeRelay}
            {retry}
          </>
        ),
      };
    case "offline":
      return {
        title: t("status.offline", { count: status.waiting }),
        detail: again(status.retryAt),
        tone: "warn",
        actions: retry,
      };
    case "location_denied":
      return {
        title: t("status.denied"),
        tone: "warn",
        actions: (
          <>
            <Button look="primary" onClick={() => openSystemSettings("location")}>
              {t("status.open_settings")}
            </Button>
            <Button onClick={() => void attempt(world().useLocation())}>{t("first.locate")}</Button>
            {chooseByHand}
          </>
        ),
      };
    case "location_unavailable":
      return {
        title: t("status.unavailable"),
        detail: problemWords(status.problem, linux, t, language),
        tone: "warn",
        actions: (
          <Button look="primary" onClick={byHand}>
            {t("first.by_hand")}
          </Button>
        ),
      };
    case "finding":
      return {
        title: status.long ? t("status.finding_long") : t("status.finding"),
        tone: "calm",
        actions: chooseByHand,
      };
    case "location_refused":
      return {
        title: t("status.refused"),
        detail: again(status.retryAt),
        tone: "warn",
        actions: chooseByHand,
      };
    case "connecting":
      return { title: t("status.connecting"), tone: "calm", actions: null };
    case "alone": {
      const wider = STEPS.find((step) => step >= status.wider.radius) ?? status.wider.radius;
      return {
        title: t("status.alone", {
          count: status.wider.count,
          radius: distance(radius, language),
          wider: distance(wider, language),
        }),
        tone: "calm",
        actions: (
          <Button look="primary" onClick={() => chooseRadius(wider)}>
            {t("status.widen", { radius: distance(wider, language) })}
          </Button>
        ),
      };
    }
    case "alone_everywhere":
      return {
        title: t("status.first_here"),
        tone: "calm",
        actions: (
          <Button look="primary" onClick={() => show({ kind: "invite" })}>
            {t("status.invite")}
          </Button>
        ),
      };
    case "first_run":
      return {
        title: t("first.why"),
        tone: "calm",
        actions: (
          <>
            <Button look="primary" onClick={() => void attempt(world().useLocation())}>
              {t("first.locate")}
            </Button>
            {chooseByHand}
          </>
        ),
      };
  }
}

/** The present status as one sentence, for those who hear it. */
export function useStatusSentence(): string {
  return useSaid(useStatus())?.title ?? "";
}

/** Who one is, what happens to words, and the one question that has to be asked. */
export function FirstRun() {
  const { t } = useWords();
  const me = useApp((s) => s.me);
  return (
    <section className="arrive m-auto flex w-full max-w-md flex-col items-center gap-5 px-6 py-8 text-center">
      {me ? <Glyph peer={me.peer_id} size={72} /> : <LogoDrawing size={72} />}
      <h2 className="text-xl font-bold text-balance">
        {me ? t("first.title", { name: me.username }) : t("first.naming")}
      </h2>
      <p className="text-m text-balance text-text-2">{t("first.promise")}</p>
      <div className="flex w-full flex-col gap-2 pt-1">
        <Button look="primary" className="min-h-14" onClick={() => void attempt(world().useLocation())}>
          {t("first.locate")}
        </Button>
        <Button onClick={byHand}>{t("first.by_hand")}</Button>
      </div>
      <p className="text-s text-balance text-text-3">{t("first.why")}</p>
    </section>
  );
}

/** The status in the middle of an empty chat. */
export function StatusCard({ status }: { status: Status }) {
  const said = useSaid(status);
  if (!said) return null;
  return (
    <section className="arrive m-auto flex w-full max-w-md flex-col items-center gap-5 px-6 py-8 text-center">
      <StatusPicture status={status} />
      <div>
        <h2 className="text-l font-semibold text-balance">{said.title}</h2>
        {said.detail !== undefined && <p className="pt-1 text-text-2 tabular">{said.detail}</p>}
      </div>
      {said.actions && <div className="flex flex-wrap justify-center gap-2">{said.actions}</div>}
    </section>
  );
}

/** The status above messages that are there. */
export function StatusBanner({ status }: { status: Status }) {
  const said = useSaid(status);
  if (!said) return null;
  const tones = { calm: "bg-surface-2", warn: "bg-warn-soft", danger: "bg-danger-soft" };
  return (
    <section
      className={`arrive flex flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b border-line px-4 py-2 ${tones[said.tone]}`}
    >
      <p className="min-w-40 grow basis-0">
        <span className="font-semibold">{said.title}</span>{" "}
        {said.detail !== undefined && <span className="text-text-2 tabular">{said.detail}</span>}
      </p>
      {said.actions && <div className="flex flex-wrap gap-2">{said.actions}</div>}
    </section>
  );
}

/** Two circles, as near to each other as the status has it. */
function StatusPicture({ status }: { status: Status }) {
  const lonely = status.kind === "alone" || status.kind === "alone_everywhere";
  const moving = status.kind === "finding" || status.kind === "connecting";
  // Those further out are told of by the relay as a number, and drawn as so many.
  const beyond = status.kind === "alone" ? Math.min(status.wider.count, 12) : 0;
  if (lonely) {
    return (
      <svg width="120" height="120" viewBox="-60 -60 120 120" aria-hidden="true">
        <circle
          r="54"
          fill="none"
          stroke="var(--line-strong)"
          strokeWidth="1.5"
          strokeDasharray="1 6"
          strokeLinecap="round"
        />
        {Array.from({ length: beyond }, (_, index) => {
          const angle = -0.9 + (index * 2 * Math.PI) / Math.max(beyond, 5);
          const key = `${index}`;
          return (
            <circle key={key} r="4" cx={Math.cos(angle) * 43} cy={Math.sin(angle) * 43} fill="var(--speak)" />
          );
        })}
        <circle r="28" fill="var(--circle-edge)" stroke="var(--accent)" strokeWidth="2.5" />
        <circle r="4" fill="var(--accent)" />
      </svg>
    );
  }
  return (
    <svg width="104" height="64" viewBox="-52 -32 104 64" aria-hidden="true">
      <circle
        cx="-14"
        r="24"
        fill="var(--circle-edge)"
        stroke="var(--accent)"
        strokeWidth="2"
        className={moving ? "breathe" : ""}
      />
      <circle
        cx="14"
        r="24"
        fill="none"
        stroke={moving ? "var(--speak)" : "var(--line-strong)"}
        strokeWidth="2"
        strokeDasharray={moving ? undefined : "3 5"}
        strokeLinecap="round"
      />
    </svg>
  );
}
