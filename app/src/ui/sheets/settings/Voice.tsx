import { useEffect } from "react";
import type { Device, DeviceChoice } from "../../../backend/types";
import { number } from "../../../lib/format";
import { command, configureVoice, useApp } from "../../../state/store";
import { useWords } from "../../hooks";
import { Slider } from "../../kit";
import { Switch } from "../Switch";
import { Group, Select } from "./fields";
import { MicTest } from "./MicTest";
import { TalkKey } from "./TalkKey";

export function Voice() {
  const { t, language } = useWords();
  const voice = useApp((s) => s.voice.settings);
  const devices = useApp((s) => s.devices);
  const app = useApp((s) => s.app);
  // One chooses before one talks.
  useEffect(() => command({ type: "voice_devices" }), []);
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

function decibels(value: number, language: string): string {
  return `${number(value, language)} dB`;
}
