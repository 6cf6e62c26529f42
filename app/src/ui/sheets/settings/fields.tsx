import { type ReactNode, useId } from "react";

/** Settings that belong together. */
export function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="pb-4">
      <h3 className="pb-1 text-s font-semibold text-text-3">{title}</h3>
      {children}
    </section>
  );
}

/** One of a few, with a name and perhaps a word on it. */
export function Select<T extends string>({
  label,
  hint,
  value,
  options,
  onChange,
}: {
  label: string;
  hint?: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  const id = useId();
  return (
    <div className="py-1.5">
      <label className="block pb-1" htmlFor={id}>
        {label}
      </label>
      <select
        id={id}
        value={value}
        className="min-h-12 w-full rounded-ctl border border-line-strong bg-surface-0 px-3"
        {...(hint !== undefined && { "aria-describedby": `${id}-hint` })}
        onChange={(event) => {
          const chosen = options.find(([one]) => one === event.target.value);
          if (chosen) onChange(chosen[0]);
        }}
      >
        {options.map(([one, words]) => (
          <option key={one} value={one}>
            {words}
          </option>
        ))}
      </select>
      {hint !== undefined && (
        <p id={`${id}-hint`} className="pt-1 text-s text-text-3">
          {hint}
        </p>
      )}
    </div>
  );
}
