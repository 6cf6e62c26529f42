import type { Pending, ShownMessage } from "./state";

/** One line of the chat. */
export type Row =
  | { kind: "message"; key: string; shown: ShownMessage; first: boolean; last: boolean; unread: boolean }
  | { kind: "pending"; key: string; pending: Pending; first: boolean; last: boolean };

const MINUTE_MS = 60_000;

/** Messages in their order, then those that wait; grouped by person and minute, and anew where the unread begin. */
export function rowsOf(
  messages: readonly ShownMessage[],
  pending: readonly Pending[],
  unreadFrom: string | null = null,
): Row[] {
  const rows: Row[] = [];
  messages.forEach((shown, index) => {
    const before = messages[index - 1];
    const unread = before !== undefined && shown.message.id === unreadFrom;
    const first = before === undefined || unread || !together(before, shown);
    const previous = rows.at(-1);
    if (!first && previous) previous.last = false;
    rows.push({ kind: "message", key: shown.message.id, shown, first, last: true, unread });
  });
  pending.forEach((one, index) => {
    const previous = rows.at(-1);
    if (index > 0 && previous) previous.last = false;
    rows.push({ kind: "pending", key: one.id, pending: one, first: index === 0, last: true });
  });
  return rows;
}

function together(a: ShownMessage, b: ShownMessage): boolean {
  const [one, other] = [a.message, b.message];
  return (
    one.from === other.from &&
    one.own === other.own &&
    one.username === other.username &&
    one.distance?.min === other.distance?.min &&
    other.sent_at - one.sent_at < MINUTE_MS
  );
}
