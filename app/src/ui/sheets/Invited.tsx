export default function Invited(_: Record<string, unknown>) {
  return null;
}
