import { AudioLines, HeadphoneOff, Headphones, Mic, MicOff, PhoneOff, SlidersHorizontal } from "lucide-react";
import { useRef, useState } from "react";
import type { DeviceStatus } from "../backend/types";
import { DEAFEN_KEY, MUTE_KEY } from "../lib/keys";
import type { MicTrouble } from "../state/quality";
import type { State } from "../state/state";
import {
  command,
  leaveVoice,
  openSystemSettings,
  talkDown,
  talkLock,
  talkToggle,
  talkUp,
  useApp,
} from "../state/store";
import { show, useUi } from "../state/ui";
import { AddressNote } from "./AddressNote";
import { useMedia, useWords } from "./hooks";
import { Button, IconButton } from "./kit";

/** How far up a finger slides to lock Talk. */
const LOCK_PX = 44;
/** Loudness below this is shown as none. */
const QUIET_DBFS = -60;

/** A loudness as a part of the scale that a person fills. */
export function levelPart(dbfs: number): number {
  return Math.max(0, Math.min(1, (dbfs - QUIET_DBFS) / -QUIET_DBFS));
}

export function micTrouble(state: State): MicTrouble {
  if (state.voice.phase === "off") return null;
  if (state.voice.settings.input.use === "nothing") return { kind: "none" };
  const status: DeviceStatus | null = state.device.input;
  if (state.app.microphone === "denied") return { kind: "denied" };
  if (status?.state === "unavailable") return { kind: "none" };
  if (status?.state === "refused" || status?.state === "lost") {
    return { kind: status.state, device: status.device.name };
  }
  return null;
}

function useTalkWords(): { main: string; hint: string } {
  const { t } = useWords();
  const voice = useApp((s) => s.voice);
  const trouble = useApp((s) => micTrouble(s) !== null);
  const inVoice = useApp((s) => s.order.filter((peer) => s.people[peer]?.in_voice).length);
  const online = useApp((s) => s.connection.state === "online");
  const placed = useApp((s) => s.located !== null);
  const stopped = useApp((s) => s.connection.state === "stopped");
  const talk = useUi((s) => s.talk);
  const touch = useMedia("(pointer: coarse)");
  const speaking = useApp((s) => s.levels.own.talking && s.levels.own.speaking);
  if (stopped) return { main: t("voice.talk"), hint: t("composer.stopped") };
  if (voice.phase === "off") {
    return {
      main: t("voice.talk"),
      hint: placed ? t("voice.join_hint", { count: inVoice }) : t("voice.no_place"),
    };
  }
  const main = t("voice.talk");
  if (voice.phase === "joining") {
    return { main, hint: online ? t("voice.joining") : t("voice.reconnecting") };
  }
  if (!online) return { main, hint: t("voice.reconnecting") };
  if (voice.deafened) return { main, hint: t("voice.deafened") };
  if (trouble) return { main, hint: t("voice.listening") };
  if (voice.settings.mode === "push_to_talk") {
    if (talk === "locked") return { main, hint: t("voice.locked") };
    if (talk === "held") return { main, hint: t("voice.slide") };
    return { main, hint: touch ? t("voice.hold") : t("voice.hold_key") };
  }
  if (voice.muted) return { main, hint: t("voice.muted") };
  if (speaking) return { main, hint: t("voice.speaking") };
  return {
    main,
    hint: voice.settings.mode === "open" ? t("voice.open") : t("voice.waiting_for_speech"),
  };
}

/** The biggest thing on the screen: hold to talk, slide up to keep talking. */
export function Talk({ size }: { size: "big" | "medium" | "thumb" }) {
  const { t } = useWords();
  const { hint } = useTalkWords();
  const talk = useUi((s) => s.talk);
  const phase = useApp((s) => s.voice.phase);
  const mode = useApp((s) => s.voice.settings.mode);
  const muted = useApp((s) => s.voice.muted);
  const deafened = useApp((s) => s.voice.deafened);
  const own = useApp((s) => s.levels.own);
  const useless = useApp((s) => s.located === null || s.connection.state === "stopped");
  const trouble = useApp((s) => micTrouble(s) !== null);
  const from = useRef<number | null>(null);
  const [slid, setSlid] = useState(0);

  const wanted = mode === "push_to_talk" ? talk !== "idle" : !muted;
  const on = phase === "in_voice" && !trouble && !deafened && wanted;
  const part = on ? levelPart(own.dbfs) : 0;
  const box = { big: "size-36", medium: "size-24", thumb: "size-14" }[size];
  const icon = { big: 52, medium: 34, thumb: 24 }[size];

  const up = () => {
    from.current = null;
    setSlid(0);
    talkUp("pointer");
  };

  return (
    <button
      type="button"
      id="talk"
      disabled={useless}
      aria-label={`${t("voice.talk")}. ${hint}`}
      aria-pressed={on}
      className={`relative grid ${box} shrink-0 touch-none place-items-center rounded-full transition-[transform,background-color,color] duration-150 ease-spring select-none disabled:bg-surface-3 disabled:text-text-3 ${
        on
          ? "filled scale-105 border-2 border-transparent bg-speak text-on-speak"
          : phase === "in_voice"
            ? "border-2 border-accent bg-accent-soft text-text-1 hover:scale-[1.03]"
            : "border-2 border-transparent bg-accent text-on-accent hover:scale-[1.03] hover:bg-accent-strong"
      } ${phase === "joining" ? "breathe" : ""}`}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        from.current = event.clientY;
        useUi.setState({ heldPointer: event.pointerId });
        talkDown("pointer");
      }}
      onPointerMove={(event) => {
        if (from.current === null || useUi.getState().talk !== "held") return;
        const by = Math.max(0, Math.min(LOCK_PX, from.current - event.clientY));
        setSlid(by);
        if (by >= LOCK_PX) talkLock();
      }}
      onPointerUp={up}
      onPointerCancel={up}
      onContextMenu={(event) => event.preventDefault()}
      onKeyDown={(event) => {
        if (event.repeat) return;
        if (event.key === " ") {
          event.preventDefault();
          talkDown("key");
        } else if (event.key === "Enter") {
          event.preventDefault();
          talkToggle();
        }
      }}
      onKeyUp={(event) => event.key === " " && talkUp("key")}
      onClick={(event) => {
        // Assistive technology presses without a pointer or a key.
        if (
          event.detail === 0 &&
          from.current === null &&
          !(event.nativeEvent instanceof PointerEvent && event.nativeEvent.pointerType !== "")
        )
          talkToggle();
      }}
    >
      {on && (
        <span
          aria-hidden="true"
          className="absolute inset-0 rounded-full bg-speak opacity-30 transition-transform duration-100"
          style={{ transform: `scale(${1 + part * 0.35})` }}
        />
      )}
      {talk === "held" && phase === "in_voice" && (
        <span
          aria-hidden="true"
          className="absolute -top-3 h-1.5 rounded-full bg-speak"
          style={{ width: `${20 + (slid / LOCK_PX) * 60}%`, transform: `translateY(${-slid / 3}px)` }}
        />
      )}
      {talk === "locked" && (
        <span aria-hidden="true" className="absolute inset-1 rounded-full border-2 border-on-speak" />
      )}
      <span className="relative">
        {(muted && mode !== "push_to_talk" && phase === "in_voice") || trouble ? (
          <MicOff size={icon} aria-hidden="true" />
        ) : (
          <Mic size={icon} aria-hidden="true" />
        )}
      </span>
    </button>
  );
}

/** Talk within reach of a thumb, and beside it who is heard. */
export function VoiceStrip() {
  const { t, language } = useWords();
  const { hint } = useTalkWords();
  const inCall = useApp((s) => s.voice.phase === "in_voice");
  const names = useApp((s) =>
    s.order
      .flatMap((peer) => (s.levels.people[peer]?.speaking ? (s.people[peer]?.username ?? []) : []))
      .join("\n"),
  );
  const speaking = inCall && names !== "";
  return (
    <section aria-label={t("voice.title")} className="safe-x border-t border-line bg-surface-1 py-1.5">
      <AddressNote card />
      <div className="flex items-center justify-between gap-3">
        <p className="flex min-w-0 items-center gap-2 ps-2">
          {speaking && <AudioLines size={18} aria-hidden="true" className="shrink-0 text-speak-text" />}
          <span className={`truncate ${speaking ? "font-semibold" : "text-text-2"}`}>
            {speaking ? new Intl.ListFormat(language).format(names.split("\n")) : hint}
          </span>
        </p>
        <Talk size="thumb" />
      </div>
    </section>
  );
}

/** Talk and what belongs to it. */
export function VoiceDock({ big = false }: { big?: boolean }) {
  const { t } = useWords();
  const { main, hint } = useTalkWords();
  const voice = useApp((s) => s.voice);
  const inCall = voice.phase !== "off";
  return (
    <section
      aria-label={t("voice.title")}
      className={`flex flex-col items-center gap-2 px-3 ${big ? "py-6" : "border-t border-line bg-surface-1 pt-3 pb-3"}`}
    >
      <MicBanner />
      <AddressNote />
      <div className="flex w-full items-center justify-center gap-3">
        {inCall && (
          <span className="flex flex-1 justify-end gap-1">
            <IconButton
              label={t("settings.voice")}
              onClick={() => show({ kind: "settings", section: "voice" })}
            >
              <SlidersHorizontal size={20} />
            </IconButton>
            <IconButton
              label={voice.muted ? t("voice.unmute") : t("voice.mute")}
              keys={MUTE_KEY}
              pressed={voice.muted}
              tone={voice.muted ? "off" : "usual"}
              onClick={() => command({ type: "voice_mute", muted: !voice.muted })}
            >
              {voice.muted ? <MicOff size={20} /> : <Mic size={20} />}
            </IconButton>
          </span>
        )}
        <Talk size={big ? "big" : "medium"} />
        {inCall && (
          <span className="flex flex-1 justify-start gap-1">
            <IconButton
              label={voice.deafened ? t("voice.undeafen") : t("voice.deafen")}
              keys={DEAFEN_KEY}
              pressed={voice.deafened}
              tone={voice.deafened ? "off" : "usual"}
              onClick={() => command({ type: "voice_deafen", deafened: !voice.deafened })}
            >
              {voice.deafened ? <HeadphoneOff size={20} /> : <Headphones size={20} />}
            </IconButton>
            <IconButton label={t("voice.leave")} tone="danger" onClick={leaveVoice}>
              <PhoneOff size={20} />
            </IconButton>
          </span>
        )}
      </div>
      <p className="text-center" aria-live="polite">
        <span className="font-semibold">{main}</span>
        <span className="block min-h-[1.125rem] text-s text-text-3">{hint}</span>
      </p>
    </section>
  );
}

/** Without a microphone one can listen; what to do about it. */
export function MicBanner() {
  const { t } = useWords();
  const kind = useApp((s) => micTrouble(s)?.kind ?? null);
  const device = useApp((s) => {
    const trouble = micTrouble(s);
    return trouble && "device" in trouble ? trouble.device : "";
  });
  const deaf = useApp(
    (s) =>
      s.voice.phase !== "off" &&
      (s.device.output?.state === "unavailable" || s.device.output?.state === "lost"),
  );
  const full = useApp((s) => s.roomFull);
  const choose = (label: string) => (
    <Button onClick={() => show({ kind: "settings", section: "voice" })}>{label}</Button>
  );
  return (
    <>
      {kind && (
        <div className="flex w-full flex-wrap items-center justify-between gap-2 rounded-ctl bg-warn-soft px-3 py-2">
          <p className="min-w-32 grow basis-0 font-semibold">
            {kind === "lost" || kind === "refused"
              ? t(`voice.mic_${kind}`, { device })
              : t(`voice.mic_${kind}`)}
          </p>
          {kind === "denied" ? (
            <Button onClick={() => openSystemSettings("microphone")}>{t("status.open_settings")}</Button>
          ) : (
            choose(t("voice.choose_mic"))
          )}
        </div>
      )}
      {deaf && (
        <div className="flex w-full flex-wrap items-center justify-between gap-2 rounded-ctl bg-warn-soft px-3 py-2">
          <p className="min-w-32 grow basis-0 font-semibold">{t("voice.speaker_none")}</p>
          {choose(t("voice.choose_speaker"))}
        </div>
      )}
      {full && <p className="text-s text-text-2">{t("voice.full")}</p>}
    </>
  );
}
