import type { TFunction } from "i18next";
import type { DistanceBand } from "../backend/types";

const cache = new Map<string, Intl.NumberFormat>();

function unit(
  language: string,
  name: string,
  display: "short" | "long" | "narrow" = "short",
): Intl.NumberFormat {
  const key = `${language}/${name}/${display}`;
  let format = cache.get(key);
  if (!format) {
    format = new Intl.NumberFormat(language, {
      style: "unit",
      unit: name,
      unitDisplay: display,
      maximumFractionDigits: 1,
    });
    cache.set(key, format);
  }
  return format;
}

/** A distance as it is written: "500 m", "1.5 km". */
export function distance(metres: number, language: string): string {
  return metres >= 1000
    ? unit(language, "kilometer").format(metres / 1000)
    : unit(language, "meter").format(metres);
}

/** A distance as it is said. */
export function spokenDistance(metres: number, language: string): string {
  return metres >= 1000
    ? unit(language, "kilometer", "long").format(metres / 1000)
    : unit(language, "meter", "long").format(metres);
}

/** A band: "100–150 m". */
export function band(between: DistanceBand, language: string): string {
  const format = between.max >= 1000 ? unit(language, "kilometer") : unit(language, "meter");
  const by = between.max >= 1000 ? 1000 : 1;
  return format.formatRange(between.min / by, between.max / by);
}

export function number(value: number, language: string): string {
  return new Intl.NumberFormat(language).format(value);
}

/** A part as a percentage. */
export function percent(value: number, language: string): string {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 }).format(value / 100);
}

/** How long ago something was, in whole minutes: "now", "4 min". */
export function age(ms: number, t: TFunction, language: string): string {
  const minutes = Math.floor(ms / 60_000);
  return minutes < 1 ? t("time.now") : unit(language, "minute", "short").format(minutes);
}

/** How long something lasts yet, in seconds below a minute, else in minutes. */
export function remaining(ms: number, language: string): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 60
    ? unit(language, "second").format(seconds)
    : unit(language, "minute").format(Math.ceil(seconds / 60));
}

/** The time of day, some milliseconds from now; and which day, when it is not today. */
export function clockIn(ms: number, language: string): string {
  const now = Date.now();
  const isToday = new Date(now).toDateString() === new Date(now + ms).toDateString();
  const day = isToday ? {} : ({ weekday: "long", day: "numeric", month: "long" } as const);
  return new Intl.DateTimeFormat(language, { ...day, hour: "numeric", minute: "2-digit" }).format(now + ms);
}
