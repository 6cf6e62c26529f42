import { type SettingsSection, show } from "../../../state/ui";
import { useWords } from "../../hooks";
import { SheetFrame } from "../Sheets";
import { General } from "./General";
import { Notifications } from "./Notifications";
import { Privacy } from "./Privacy";
import { Relay } from "./Relay";
import { Voice } from "./Voice";

const SECTIONS: SettingsSection[] = ["general", "voice", "notifications", "relay", "privacy"];

/** All that can be chosen, in sections; each has a file of its own. */
export default function SettingsSheet({ section }: { section: SettingsSection }) {
  const { t } = useWords();
  return (
    <SheetFrame title={t("settings.title")}>
      <div className="flex flex-col gap-4 pt-1 wide:h-[60dvh] wide:flex-row wide:gap-6">
        <nav
          aria-label={t("settings.sections")}
          className="-mx-5 flex shrink-0 gap-1 overflow-x-auto px-5 pb-1 wide:mx-0 wide:w-40 wide:flex-col wide:px-0"
        >
          {SECTIONS.map((one) => (
            <button
              key={one}
              type="button"
              aria-current={one === section ? "true" : undefined}
              className={`min-h-11 shrink-0 rounded-ctl px-3 text-start transition-colors ${one === section ? "bg-accent-soft font-semibold" : "text-text-2 hover:bg-surface-2"}`}
              onClick={() => show({ kind: "settings", section: one })}
            >
              {t(`settings.${one}`)}
            </button>
          ))}
        </nav>
        <div className="min-w-0 grow wide:overflow-y-auto wide:pe-2">
          {section === "general" && <General />}
          {section === "voice" && <Voice />}
          {section === "notifications" && <Notifications />}
          {section === "relay" && <Relay />}
          {section === "privacy" && <Privacy />}
        </div>
      </div>
    </SheetFrame>
  );
}
