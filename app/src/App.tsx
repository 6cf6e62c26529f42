import { AudioLines, MessageCircle, Radar } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect } from "react";
import { chosenLanguage, speak } from "./i18n";
import { comboOf, DEAFEN_KEY, MUTE_KEY } from "./lib/keys";
import { isMentionUnread } from "./state/state";
import { attempt, command, panic, talkDown, talkUp, useApp, world } from "./state/store";
import { type Tab, useUi } from "./state/ui";
import { AddressNote } from "./ui/AddressNote";
import { Broken } from "./ui/Broken";
import { Chat, useChatInSight } from "./ui/Chat";
import { Circle } from "./ui/Circle";
import { Composer } from "./ui/Composer";
import { Header } from "./ui/Header";
import { useLow, useMedia, useWide, useWindowKey, useWords } from "./ui/hooks";
import { Live } from "./ui/Live";
import { Notices } from "./ui/Notices";
import { People } from "./ui/People";
import { StatusBanner, useStatus } from "./ui/Status";
import { Talk, VoiceDock, VoiceStrip } from "./ui/Voice";

const Sheets = lazy(() => import("./ui/sheets/Sheets"));

export function App() {
  const ready = useApp((s) => s.ready);
  const wide = useWide();
  const sheet = useUi((s) => s.sheet !== null);
  useAppearance();
  useWordsOutside();
  useKeys();
  if (!ready) return null;
  return (
    // The keys are heard outside of it: erasing everything works whatever has failed.
    <Broken>
      {wide ? <Wide /> : <Narrow />}
      <Live />
      {sheet && (
        <Suspense>
          <Sheets />
        </Suspense>
      )}
    </Broken>
  );
}

function Wide() {
  useChatInSight(true);
  return (
    <div className="grid h-full grid-cols-[minmax(0,1fr)_380px] grid-rows-[auto_minmax(0,1fr)]">
      <div className="col-span-2">
        <Header />
      </div>
      <main className="relative flex min-h-0 flex-col">
        <Notices />
        <Chat />
        {/* As wide as the messages, which have the same gaps beside them. */}
        <div className="mx-auto w-full max-w-[calc(46rem+24px)] px-3 pt-1 pb-3">
          <Composer />
        </div>
      </main>
      <aside className="flex min-h-0 flex-col border-s border-line bg-surface-1 pt-3">
        <Circle />
        <People />
        <VoiceDock />
      </aside>
    </div>
  );
}

function Narrow() {
  const tab = useUi((s) => s.tab);
  useChatInSight(tab === "chat");
  return (
    <div className="flex h-full flex-col">
      <Header />
      <main className="relative flex min-h-0 grow flex-col">
        <Notices />
        {tab === "chat" && (
          <>
            <Chat />
            <div className="safe-x pt-1 pb-1.5">
              <AddressNote card />
              <div className="flex items-end gap-2">
                <Composer />
                <Talk size="thumb" />
              </div>
            </div>
          </>
        )}
        {tab === "around" && (
          <>
            <div className="flex min-h-0 grow flex-col overflow-y-auto">
              <StatusHere />
              {/* Side by side where there is room, so that a low window has some for people. */}
              <div className="flex min-h-0 grow flex-col min-[640px]:flex-row">
                <div className="shrink-0 min-[640px]:w-[340px]">
                  <Circle />
                </div>
                <People />
              </div>
            </div>
            <VoiceStrip />
          </>
        )}
        {tab === "voice" && (
          <>
            <StatusHere />
            <People only="voice" />
            <VoiceDock big />
          </>
        )}
      </main>
      <Tabs />
    </div>
  );
}

/** What keeps one from others is said on every tab; the chat has a place of its own for it. */
function StatusHere() {
  const status = useStatus();
  return status ? <StatusBanner status={status} /> : <span className="pt-3" />;
}

function Tabs() {
  const { t } = useWords();
  const tab = useUi((s) => s.tab);
  const unread = useApp((s) => s.unread.length);
  const mentioned = useApp(isMentionUnread);
  const inVoice = useApp((s) => s.voice.phase === "in_voice");
  const low = useLow();
  if (low) return <span className="safe-bottom" />;
  const entry = (name: Tab, Icon: typeof Radar, badge: boolean) => (
    <button
      type="button"
      aria-current={tab === name ? "page" : undefined}
      className={`relative flex min-h-12 flex-1 flex-col items-center justify-center gap-0.5 rounded-ctl text-s transition-colors ${tab === name ? "font-semibold text-accent-strong" : "text-text-2"}`}
      onClick={() => useUi.setState({ tab: name })}
    >
      <span className="relative">
        <Icon size={22} aria-hidden="true" />
        {badge && (
          <span
            aria-hidden="true"
            className={`filled absolute -end-1.5 -top-0.5 size-2.5 rounded-full ${name === "voice" || mentioned ? "bg-speak" : "bg-accent"}`}
          />
        )}
      </span>
      {t(`nav.${name}`)}
      {badge && name === "chat" && <span className="sr-only">{t("nav.unread", { count: unread })}</span>}
    </button>
  );
  return (
    <nav aria-label={t("nav.label")} className="safe-bottom flex border-t border-line bg-surface-1 px-2 pt-1">
      {entry("chat", MessageCircle, unread > 0 && tab !== "chat")}
      {entry("around", Radar, false)}
      {entry("voice", AudioLines, inVoice && tab !== "voice")}
    </nav>
  );
}

/** Language and light as the person chose, or as the system has it. */
function useAppearance(): void {
  const language = useApp((s) => s.app.settings.language);
  const theme = useApp((s) => s.app.settings.theme);
  const darkSystem = useMedia("(prefers-color-scheme: dark)");
  const dark = theme === "dark" || (theme === "system" && darkSystem);
  useEffect(() => {
    document.documentElement.classList.toggle("dark", dark);
  }, [dark]);
  useEffect(() => {
    void speak(chosenLanguage(language));
  }, [language]);
}

/** The shell says what it says outside the window in the window's language. */
function useWordsOutside(): void {
  const ready = useApp((s) => s.ready);
  const { t } = useWords();
  useEffect(() => {
    if (!ready) return;
    const tray = {
      show: t("tray.show"),
      hide: t("tray.hide"),
      mute: t("voice.mute"),
      unmute: t("voice.unmute"),
      leave_voice: t("voice.leave"),
      quit: t("tray.quit"),
    };
    void attempt(world().sayWords({ tray, talk: t("voice.talk"), call: t("voice.call_on") }));
  }, [ready, t]);
}

/** Whether a key belongs to what has the focus. */
function isBusy(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest(
      "input, textarea, select, button, a, [role=slider], [role=menu], [role=dialog], [data-row]",
    ) !== null
  );
}

/** The key of a combination that is let go when it ends, whichever of its modifiers goes before. */
function lastOf(combo: string): string {
  return combo.slice(combo.lastIndexOf("+") + 1);
}

/** Mutes or deafens, in voice, by its key; false if it is another. */
function actInVoice({ code }: KeyboardEvent): boolean {
  const { voice } = useApp.getState();
  if (voice.phase === "off") return false;
  if (code === MUTE_KEY.code) command({ type: "voice_mute", muted: !voice.muted });
  else if (code === DEAFEN_KEY.code) command({ type: "voice_deafen", deafened: !voice.deafened });
  else return false;
  return true;
}

/** Whether what is typed, or pasted, has no place to go yet; menus and sheets have keys of their own. */
function isAtLarge(event: KeyboardEvent): boolean {
  if (useUi.getState().sheet || event.isComposing || event.altKey) return false;
  const writes = event.ctrlKey || event.metaKey ? event.code === "KeyV" : [...event.key].length === 1;
  return (
    writes &&
    event.key !== " " &&
    !(
      event.target instanceof HTMLElement &&
      event.target.closest("input, textarea, select, [role=menu], [role=dialog]")
    )
  );
}

/**
 * Space talks, wherever nothing else wants it; Ctrl+Shift+X erases everything, with M it mutes and with D it deafens.
 * Letters go to the composer.
 */
function useKeys(): void {
  const down = useCallback((event: KeyboardEvent) => {
    const ctrlShift = event.ctrlKey && event.shiftKey;
    if (ctrlShift && event.code === "KeyX") {
      event.preventDefault();
      void panic();
      return;
    }
    const { app, located } = useApp.getState();
    // Where the system has keys for every window, it takes them from this one too.
    if (!app.can_global_key && app.settings.talk_key === comboOf(event)) {
      event.preventDefault();
      if (!event.repeat && located) talkDown("key");
      return;
    }
    if (ctrlShift && !event.altKey && !event.repeat && actInVoice(event)) {
      event.preventDefault();
      return;
    }
    if (isAtLarge(event)) document.querySelector("textarea")?.focus();
    if (event.code !== "Space" || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (isBusy(event.target) || !located) return;
    event.preventDefault();
    talkDown("key");
  }, []);
  const up = useCallback((event: KeyboardEvent) => {
    const { app } = useApp.getState();
    const own = app.can_global_key ? null : app.settings.talk_key;
    if (event.code === "Space" || (own !== null && comboOf(event).endsWith(lastOf(own)))) talkUp("key");
  }, []);
  useWindowKey("keydown", down);
  useWindowKey("keyup", up);
  useLettingGo();
}

/**
 * Nobody is heard because the window has not been told that Talk was let go: another one has the keyboard by then,
 * or the button is no longer there under the finger.
 */
function useLettingGo(): void {
  useEffect(() => {
    const away = () => talkUp("pointer", "key");
    const hidden = () => document.hidden && away();
    const lifted = (event: PointerEvent) => {
      if (event.pointerId === useUi.getState().heldPointer) talkUp("pointer");
    };
    window.addEventListener("blur", away);
    document.addEventListener("visibilitychange", hidden);
    for (const type of ["pointerup", "pointercancel"] as const) window.addEventListener(type, lifted);
    return () => {
      window.removeEventListener("blur", away);
      document.removeEventListener("visibilitychange", hidden);
      for (const type of ["pointerup", "pointercancel"] as const) window.removeEventListener(type, lifted);
    };
  }, []);
}
