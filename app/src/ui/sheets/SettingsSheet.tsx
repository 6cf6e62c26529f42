import { type ReactNode, useEffect, useId, useState } from "react";
import type { Device, DeviceChoice, Language, RelayCheck } from "../../backend/types";
import { LANGUAGES } from "../../i18n";
import { distance, number } from "../../lib/format";
import { tagOf } from "../../lib/glyph";
import { comboOf, isModifier } from "../../lib/keys";
import { hostOf } from "../../state/status";
import { attempt, command, configureVoice, panic, saveSettings, useApp, world } from "../../state/store";
import { type SettingsSection, show } from "../../state/ui";
import { Glyph } from "../Glyph";
import { useWords } from "../hooks";
import { Button, Slider } from "../kit";
import { levelPart } from "../Voice";
import { SheetFrame } from "./Sheets";
import { Switch } from "./Switch";
import { Update } from "./Update";

const SECTIONS: SettingsSection[] = ["general", "voice", "notifications", "relay", "privacy"];

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

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="pb-4">
      <h3 className="pb-1 text-s font-semibold text-text-3">{title}</h3>
      {children}
    </section>
  );
}

function Select<T extends string>({
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

function General() {
  const { t } = useWords();
  const app = useApp((s) => s.app);
  const { settings } = app;
  return (
    <>
      <Select<Language | "system">
        label={t("settings.language")}
        value={settings.language}
        options={[
          ["system", t("settings.as_system")],
          ...LANGUAGES.map((one) => [one, nameOf(one)] as const),
        ]}
        onChange={(language) => void saveSettings({ language })}
      />
      <Select
        label={t("settings.theme")}
        value={settings.theme}
        options={[
          ["system", t("settings.as_system")],
          ["dark", t("settings.dark")],
          ["light", t("settings.light")],
        ]}
        onChange={(theme) => void saveSettings({ theme })}
      />
      <Switch
        label={t("settings.sounds")}
        hint={t("settings.sounds_hint")}
        checked={settings.sounds}
        onChange={(sounds) => void saveSettings({ sounds })}
      />
      {"vibrate" in navigator && (
        <Switch
          label={t("settings.vibration")}
          hint={t("settings.vibration_hint")}
          checked={settings.vibration}
          onChange={(vibration) => void saveSettings({ vibration })}
        />
      )}
      {app.can_tray && (
        <Switch
          label={t("settings.close_to_tray")}
          hint={t("settings.close_to_tray_hint")}
          checked={settings.close_to_tray}
          onChange={(close_to_tray) => void saveSettings({ close_to_tray })}
        />
      )}
      {app.can_autostart && (
        <Switch
          label={t("settings.autostart")}
          checked={settings.start_with_system}
          onChange={(start_with_system) => void saveSettings({ start_with_system })}
        />
      )}
      <p className="pt-3 text-s text-text-3">{t("settings.version", { version: app.version })}</p>
      {app.can_update && <Update />}
    </>
  );
}

/** A language in its own words. */
function nameOf(language: Language): string {
  const name = new Intl.DisplayNames(language, { type: "language" }).of(language) ?? language;
  return name.charAt(0).toLocaleUpperCase(language) + name.slice(1);
}

function keyOf(choice: DeviceChoice): string {
  return choice.use === "device" ? `device:${choice.id}` : choice.use;
}

function choiceOf(key: string): DeviceChoice {
  if (key.startsWith("device:")) return { use: "device", id: key.slice("device:".length) };
  return key === "nothing" ? { use: "nothing" } : { use: "default" };
}

function Devices({
  label,
  devices,
  choice,
  onChange,
}: {
  label: string;
  devices: Device[];
  choice: DeviceChoice;
  onChange: (choice: DeviceChoice) => void;
}) {
  const { t } = useWords();
  const known = choice.use !== "device" || devices.some((device) => device.id === choice.id);
  return (
    <Select
      label={label}
      value={keyOf(choice)}
      options={[
        ["default", t("settings.default_device")],
        ...devices.map((device) => [`device:${device.id}`, device.name] as const),
        ...(known ? [] : [[keyOf(choice), choice.id] as const]),
        ["nothing", t("settings.no_device")],
      ]}
      onChange={(key) => onChange(choiceOf(key))}
    />
  );
}

function Voice() {
  const { t, language } = useWords();
  const voice = useApp((s) => s.voice.settings);
  const devices = useApp((s) => s.devices);
  const app = useApp((s) => s.app);
  return (
    <>
      <Group title={t("voice.devices")}>
        <Devices
          label={t("settings.input")}
          devices={devices.inputs}
          choice={voice.input}
          onChange={(input) => configureVoice({ input })}
        />
        <MicTest />
        <Devices
          label={t("settings.output")}
          devices={devices.outputs}
          choice={voice.output}
          onChange={(output) => configureVoice({ output })}
        />
      </Group>
      <Group title={t("voice.talk")}>
        <Select
          label={t("settings.mode")}
          value={voice.mode}
          options={[
            ["push_to_talk", t("settings.push_to_talk")],
            ["voice_activity", t("settings.voice_activity")],
            ["open", t("settings.open")],
          ]}
          onChange={(mode) => configureVoice({ mode })}
        />
        {voice.mode === "voice_activity" && (
          <div className="py-1.5">
            <p className="flex justify-between" aria-hidden="true">
              {t("settings.threshold")}
              <span className="tabular">{decibels(voice.activity_dbfs, language)}</span>
            </p>
            <Slider
              label={t("settings.threshold")}
              value={voice.activity_dbfs}
              min={-60}
              max={-20}
              text={decibels(voice.activity_dbfs, language)}
              onChange={(activity_dbfs) => configureVoice({ activity_dbfs })}
            />
          </div>
        )}
        {app.platform !== "android" && app.platform !== "ios" && <TalkKey everywhere={app.can_global_key} />}
        <Switch
          label={t("settings.hide_address")}
          hint={t("settings.hide_address_hint")}
          checked={voice.hide_address}
          onChange={(hide_address) => configureVoice({ hide_address })}
        />
      </Group>
      <Group title={t("settings.processing")}>
        <Switch
          label={t("settings.echo")}
          hint={t("settings.echo_hint")}
          checked={voice.echo_cancellation}
          onChange={(echo_cancellation) => configureVoice({ echo_cancellation })}
        />
        <Switch
          label={t("settings.gain")}
          hint={t("settings.gain_hint")}
          checked={voice.gain_control}
          onChange={(gain_control) => configureVoice({ gain_control })}
        />
        <Select
          label={t("settings.noise")}
          value={voice.noise_suppression}
          options={(["off", "low", "moderate", "high", "very_high"] as const).map(
            (one) => [one, t(`settings.noise_${one}`)] as const,
          )}
          onChange={(noise_suppression) => configureVoice({ noise_suppression })}
        />
        <Select
          label={t("settings.headset")}
          hint={t("settings.headset_hint")}
          value={voice.headset}
          options={(["auto", "on", "off"] as const).map(
            (one) => [one, t(`settings.headset_${one}`)] as const,
          )}
          onChange={(headset) => configureVoice({ headset })}
        />
      </Group>
    </>
  );
}

function decibels(value: number, language: string): string {
  return `${number(value, language)} dB`;
}

/** What others would get, without anybody getting it. */
function MicTest() {
  const { t } = useWords();
  const testing = useApp((s) => s.voice.testing);
  const inVoice = useApp((s) => s.voice.phase !== "off");
  const dbfs = useApp((s) => s.levels.own.dbfs);
  const threshold = useApp((s) =>
    s.voice.settings.mode === "voice_activity" ? s.voice.settings.activity_dbfs : null,
  );
  useEffect(() => {
    // The list of devices comes with the first test; nothing is opened for it when voice is on.
    return () => {
      if (useApp.getState().voice.testing) command({ type: "voice_test", on: false });
    };
  }, []);
  const shown = testing || inVoice;
  return (
    <div className="py-1.5">
      {/* biome-ignore lint/a11y/useSemanticElements: <meter> can't carry the mark of the threshold */}
      <div
        role="meter"
        aria-label={t("voice.level")}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={shown ? Math.round(levelPart(dbfs) * 100) : 0}
        className="relative h-3 overflow-hidden rounded-full bg-surface-3"
      >
        <span
          className="block h-full origin-left rounded-full bg-speak transition-transform duration-100 rtl:origin-right"
          style={{ transform: `scaleX(${shown ? levelPart(dbfs) : 0})` }}
        />
        {threshold !== null && (
          <span
            className="absolute inset-y-0 w-0.5 bg-text-1"
            style={{ insetInlineStart: `${levelPart(threshold) * 100}%` }}
          />
        )}
      </div>
      <div className="flex flex-wrap items-center justify-between gap-x-3 gap-y-1 pt-2">
        <p className="min-w-48 grow basis-0 text-s text-text-3">{t("settings.test_hint")}</p>
        {!inVoice && (
          <Button className="shrink-0" onClick={() => command({ type: "voice_test", on: !testing })}>
            {testing ? t("settings.stop_test") : t("settings.test")}
          </Button>
        )}
      </div>
    </div>
  );
}

/** A key that talks while other windows are in front, where the system has such keys; else in this one. */
function TalkKey({ everywhere }: { everywhere: boolean }) {
  const { t } = useWords();
  const key = useApp((s) => s.app.settings.talk_key);
  const [listening, setListening] = useState(false);
  useEffect(() => {
    if (!listening) return;
    const down = (event: KeyboardEvent) => {
      event.preventDefault();
      event.stopPropagation();
      if (isModifier(event)) return;
      if (event.key !== "Escape") void saveSettings({ talk_key: comboOf(event) });
      setListening(false);
    };
    window.addEventListener("keydown", down, true);
    return () => window.removeEventListener("keydown", down, true);
  }, [listening]);
  return (
    <div className="py-1.5">
      <p>{everywhere ? t("settings.talk_key") : t("settings.talk_key_here")}</p>
      <p className="text-s text-text-3">
        {everywhere ? t("settings.talk_key_hint") : t("settings.talk_key_here_hint")}
      </p>
      <div className="flex gap-2 pt-1">
        <Button className="grow" aria-pressed={listening} onClick={() => setListening(!listening)}>
          <kbd className="font-sans">
            {listening ? t("settings.talk_key_press") : (key ?? t("settings.talk_key_none"))}
          </kbd>
        </Button>
        {key !== null && (
          <Button onClick={() => void saveSettings({ talk_key: null })}>
            {t("settings.talk_key_clear")}
          </Button>
        )}
      </div>
    </div>
  );
}

function Notifications() {
  const { t } = useWords();
  const settings = useApp((s) => s.app.settings);
  return (
    <>
      <Switch
        label={t("settings.notify_mentions")}
        checked={settings.notify_mentions}
        onChange={(notify_mentions) => void saveSettings({ notify_mentions })}
      />
      <Switch
        label={t("settings.notify_messages")}
        checked={settings.notify_messages}
        onChange={(notify_messages) => void saveSettings({ notify_messages })}
      />
      <Switch
        label={t("settings.notify_contents")}
        hint={t("settings.notify_contents_hint")}
        checked={settings.notify_contents}
        onChange={(notify_contents) => void saveSettings({ notify_contents })}
      />
    </>
  );
}

function Relay() {
  const { t } = useWords();
  const present = useApp((s) => s.app.settings.relay);
  const [address, setAddress] = useState(present);
  const [check, setCheck] = useState<RelayCheck | "asking" | null>(null);
  const id = useId();
  const ask = async () => {
    setCheck("asking");
    setCheck(await attempt(world().checkRelay(address.trim())));
  };
  const good = check !== null && check !== "asking" && (check.result === "ok" || check.result === "degraded");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void ask();
      }}
    >
      <p className="pb-2 text-text-2">{t("settings.relay_present", { relay: hostOf(present) })}</p>
      <label className="block pb-1" htmlFor={id}>
        {t("settings.relay_address")}
      </label>
      <div className="flex gap-2">
        <input
          id={id}
          value={address}
          dir="ltr"
          inputMode="url"
          autoComplete="off"
          spellCheck={false}
          aria-describedby={`${id}-hint`}
          className="selectable min-h-12 w-full min-w-0 rounded-ctl border border-line-strong bg-surface-0 px-3 focus:border-accent focus:outline-none"
          onChange={(event) => {
            setAddress(event.target.value);
            setCheck(null);
          }}
        />
        <Button type="submit" disabled={address.trim() === "" || check === "asking"}>
          {t("settings.relay_check")}
        </Button>
      </div>
      <p role="status" className="min-h-6 pt-2 font-semibold">
        {check !== null && relayWords(check, t)}
      </p>
      {good && address.trim() !== present && (
        <Button
          look="primary"
          className="mb-3 w-full"
          onClick={() => {
            show(null);
            void attempt(world().changeRelay(address.trim()));
          }}
        >
          {t("settings.relay_use")}
        </Button>
      )}
      <p id={`${id}-hint`} className="text-s text-text-3">
        {t("settings.relay_hint")}
      </p>
    </form>
  );
}

function relayWords(check: RelayCheck | "asking", t: ReturnType<typeof useWords>["t"]): string {
  if (check === "asking") return t("settings.relay_checking");
  switch (check.result) {
    case "ok":
      return t("settings.relay_ok", { ms: check.round_trip_ms, version: check.version });
    case "degraded":
      return t("settings.relay_degraded", { reason: check.reason });
    default:
      return t(`settings.relay_${check.result}`);
  }
}

function Privacy() {
  const { t, language } = useWords();
  const blocked = useApp((s) => s.blocked);
  const grid = useApp((s) => s.located?.grid_m ?? null);
  return (
    <>
      <Group title={t("settings.known")}>
        <p className="text-text-2">
          {grid === null
            ? t("settings.known_nothing")
            : t("settings.known_hint", { grid: distance(grid, language) })}
        </p>
      </Group>
      <Group title={t("settings.blocked")}>
        {blocked.length === 0 ? (
          <p className="text-text-2">{t("settings.blocked_none")}</p>
        ) : (
          <ul>
            {blocked.map(({ peer, username }) => (
              <li key={peer} className="flex min-h-12 items-center gap-3">
                <Glyph peer={peer} size={24} />
                <bdi className="truncate font-semibold">{username}</bdi>
                <span className="grow text-s text-text-3 tabular">{tagOf(peer)}</span>
                <Button onClick={() => command({ type: "unblock", peer_id: peer })}>
                  {t("person.unblock")}
                </Button>
              </li>
            ))}
          </ul>
        )}
      </Group>
      <Group title={t("settings.panic")}>
        <p className="pb-2 text-text-2">{t("settings.panic_hint")}</p>
        <Button look="danger" onClick={() => void panic()}>
          {t("settings.panic")}
        </Button>
      </Group>
    </>
  );
}
