import type { ElementType, ReactNode } from "react";

/**
 * In place of the package of that name, which Radix wants: it writes a style into the page, which the
 * page's policy forbids, to keep what lies under a dialog from scrolling. Here nothing under one
 * scrolls, as the page itself never does.
 */
export function RemoveScroll({
  as: As = "div",
  allowPinchZoom: _,
  shards: __,
  children,
  ...rest
}: {
  as?: ElementType;
  allowPinchZoom?: boolean;
  shards?: unknown[];
  children?: ReactNode;
}) {
  return <As {...rest}>{children}</As>;
}
