import { useEffect, useState, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { now, useApp } from "../state/store";

interface Ticker {
  listeners: Set<() => void>;
  timer: number;
  at: number;
}

/** Listeners of each period share one timer. */
const tickers = new Map<number, Ticker>();

function tick(ticker: Ticker): void {
  // Nobody sees it; what has passed meanwhile is caught up with at once.
  if (document.hidden) return;
  ticker.at = now();
  for (const each of ticker.listeners) each();
}

function catchUp(): void {
  for (const ticker of tickers.values()) tick(ticker);
}

function subscribeTicks(period: number, listener: () => void): () => void {
  let ticker = tickers.get(period);
  if (!ticker) {
    const made: Ticker = { listeners: new Set(), at: now(), timer: 0 };
    made.timer = window.setInterval(() => tick(made), period);
    if (tickers.size === 0) document.addEventListener("visibilitychange", catchUp);
    ticker = made;
    tickers.set(period, ticker);
  }
  ticker.listeners.add(listener);
  return () => {
    ticker.listeners.delete(listener);
    if (ticker.listeners.size === 0) {
      clearInterval(ticker.timer);
      tickers.delete(period);
      if (tickers.size === 0) document.removeEventListener("visibilitychange", catchUp);
    }
  };
}

/** The time, renewed every so many milliseconds; at 0 it stands still. */
export function useNow(period: number): number {
  useSyncExternalStore(
    (listener) => (period === 0 ? () => {} : subscribeTicks(period, listener)),
    () => (period === 0 ? 0 : Math.floor((tickers.get(period)?.at ?? 0) / period)),
  );
  return now();
}

export function useMedia(query: string): boolean {
  const [list] = useState(() => window.matchMedia(query));
  return useSyncExternalStore(
    (listener) => {
      list.addEventListener("change", listener);
      return () => list.removeEventListener("change", listener);
    },
    () => list.matches,
  );
}

/** A keyboard on the screen leaves no room for both the words and what is around them. */
export const useLow = (): boolean => useMedia("(max-height: 420px)");

export const useWide = (): boolean => useMedia("(min-width: 900px)");

/** Whether the window is in sight and, where there are others, in front, as far as it knows. */
export function useAttention(): boolean {
  const alone = useApp((s) => s.app.platform === "android" || s.app.platform === "ios");
  return useSyncExternalStore(
    (listener) => {
      for (const type of ["focus", "blur"]) window.addEventListener(type, listener);
      document.addEventListener("visibilitychange", listener);
      return () => {
        for (const type of ["focus", "blur"]) window.removeEventListener(type, listener);
        document.removeEventListener("visibilitychange", listener);
      };
    },
    () => !document.hidden && (alone || document.hasFocus()),
  );
}

/** Translation, with the language that is spoken. */
export function useWords() {
  const { t, i18n } = useTranslation();
  return { t, language: i18n.resolvedLanguage ?? "en" };
}

/** Runs something on a key anywhere in the window. */
export function useWindowKey(type: "keydown" | "keyup", handler: (event: KeyboardEvent) => void): void {
  useEffect(() => {
    window.addEventListener(type, handler);
    return () => window.removeEventListener(type, handler);
  }, [type, handler]);
}
