export default function PlaceSheet(_: Record<string, unknown>) {
  return null;
}
