import * as RadixSlider from "@radix-ui/react-slider";
import type { ButtonHTMLAttributes, ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { KeyCombo } from "../lib/keys";

type Look = "primary" | "quiet" | "plain" | "warning" | "danger";

const LOOKS: Record<Look, string> = {
  primary: "bg-accent text-on-accent hover:bg-accent-strong disabled:bg-surface-3 disabled:text-text-3",
  quiet: "bg-surface-2 text-text-1 hover:bg-surface-3 disabled:text-text-3",
  plain: "bg-transparent text-text-1 hover:bg-surface-2",
  warning: "bg-surface-2 text-danger hover:bg-danger-soft",
  danger: "bg-danger-soft text-danger hover:bg-danger hover:text-on-danger",
};

/** A button with words on it. */
export function Button({
  look = "quiet",
  className = "",
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { look?: Look }) {
  return (
    <button
      type="button"
      className={`inline-flex min-h-11 items-center justify-center gap-2 rounded-ctl border border-transparent px-4 py-2 font-semibold transition-colors ${LOOKS[look]} ${className}`}
      {...rest}
    />
  );
}

const TONES = {
  usual: "text-text-2 hover:bg-surface-2 hover:text-text-1",
  off: "bg-danger-soft text-danger hover:bg-danger hover:text-on-danger",
  danger: "text-danger hover:bg-danger-soft",
  over: "bg-surface-1 text-text-1 shadow-lift hover:bg-surface-2",
};

/** A button with a picture on it; its name is said and shown on hovering. */
export function IconButton({
  label,
  children,
  keys,
  pressed,
  tone = "usual",
  className = "",
  ...rest
}: Omit<ButtonHTMLAttributes<HTMLButtonElement>, "aria-label" | "title"> & {
  label: string;
  /** A key that does the same. */
  keys?: KeyCombo;
  tone?: keyof typeof TONES;
  pressed?: boolean;
  children: ReactNode;
}) {
  return (
    <button
      type="button"
      aria-label={label}
      title={keys ? `${label} (${keys.shown})` : label}
      aria-keyshortcuts={keys?.spoken}
      {...(pressed !== undefined && { "aria-pressed": pressed })}
      className={`grid size-11 shrink-0 place-items-center rounded-full border border-transparent transition-colors disabled:opacity-40 ${TONES[tone]} ${className}`}
      {...rest}
    >
      {children}
    </button>
  );
}

export function Slider({
  label,
  value,
  min,
  max,
  step = 1,
  text,
  onChange,
  onCommit,
  disabled = false,
}: {
  label: string;
  value: number;
  min: number;
  max: number;
  step?: number;
  /** The value as it is said. */
  text: string;
  onChange: (value: number) => void;
  onCommit?: (value: number) => void;
  disabled?: boolean;
}) {
  const { i18n } = useTranslation();
  return (
    <RadixSlider.Root
      className="relative flex h-11 w-full touch-none items-center"
      value={[value]}
      min={min}
      max={max}
      step={step}
      disabled={disabled}
      dir={i18n.dir()}
      onValueChange={([next]) => next !== undefined && onChange(next)}
      onValueCommit={([next]) => next !== undefined && onCommit?.(next)}
    >
      <RadixSlider.Track className="relative h-1.5 grow rounded-full bg-surface-3 outline outline-transparent">
        <RadixSlider.Range className="filled absolute h-full rounded-full bg-accent data-[disabled]:bg-line-strong" />
      </RadixSlider.Track>
      <RadixSlider.Thumb
        aria-label={label}
        aria-valuetext={text}
        className="block size-6 rounded-full border-[5px] border-accent bg-surface-1 shadow-lift transition-transform hover:scale-110 data-[disabled]:border-line-strong"
      />
    </RadixSlider.Root>
  );
}

/** Said by screen readers, seen by nobody. */
export function Hidden({ children }: { children: ReactNode }) {
  return <span className="sr-only">{children}</span>;
}
