import * as RadixSwitch from "@radix-ui/react-switch";
import { useId } from "react";

/** Something that is on or off, with a word about what that means. */
export function Switch({
  label,
  hint,
  checked,
  onChange,
}: {
  label: string;
  hint?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  const id = useId();
  return (
    <div className="flex min-h-12 items-center justify-between gap-4 py-1.5">
      <span>
        <label htmlFor={id} className="cursor-pointer">
          {label}
        </label>
        {hint !== undefined && (
          <span id={`${id}-hint`} className="block text-s text-text-3">
            {hint}
          </span>
        )}
      </span>
      <RadixSwitch.Root
        id={id}
        checked={checked}
        onCheckedChange={onChange}
        {...(hint !== undefined && { "aria-describedby": `${id}-hint` })}
        className="relative h-7 w-12 shrink-0 rounded-full border border-line-strong bg-surface-3 transition-colors data-[state=checked]:border-accent data-[state=checked]:bg-accent"
      >
        <RadixSwitch.Thumb className="ms-0.5 block size-5 rounded-full bg-text-2 transition-transform data-[state=checked]:translate-x-5 data-[state=checked]:bg-on-accent rtl:data-[state=checked]:-translate-x-5" />
      </RadixSwitch.Root>
    </div>
  );
}
