export default function SettingsSheet(_: Record<string, unknown>) {
  return null;
}
