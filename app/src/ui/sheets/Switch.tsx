import * as RadixSwitch from "@radix-ui/react-switch";

/** Something that is on or off, with a word about what that means; the whole line can be pressed. */
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
  return (
    <RadixSwitch.Root
      checked={checked}
      onCheckedChange={onChange}
      className="group flex min-h-12 w-full items-center justify-between gap-4 rounded-ctl py-1.5 text-start"
    >
      <span>
        {label}
        {hint !== undefined && <span className="block text-s text-text-3">{hint}</span>}
      </span>
      <span className="h-7 w-12 shrink-0 rounded-full border border-line-strong bg-surface-3 p-0.5 transition-colors group-data-[state=checked]:filled group-data-[state=checked]:border-accent group-data-[state=checked]:bg-accent">
        <RadixSwitch.Thumb className="block size-[22px] rounded-full border border-transparent bg-text-2 transition-transform data-[state=checked]:translate-x-5 data-[state=checked]:bg-on-accent rtl:data-[state=checked]:-translate-x-5" />
      </span>
    </RadixSwitch.Root>
  );
}
