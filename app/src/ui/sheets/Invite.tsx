export default function Invite(_: Record<string, unknown>) {
  return null;
}
