/** What paths have in common. */

export const WIDE = [1280, 800];
export const PHONE = [360, 740];
/** With a keyboard on the screen. */
export const LOW = [360, 380];

/** Presses Tab until something has the focus; says how often. */
export async function tabTo(page, matches, most = 40) {
  for (let presses = 1; presses <= most; presses += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(matches)) return presses;
  }
  throw new Error(`Tab does not lead to ${matches} in ${most} presses`);
}

export const types = (commands) => commands.map((c) => c.type);
export const last = (commands, type) => commands.findLast((c) => c.type === type);

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

/** Holds Talk, as whoever wants to say something does. */
export async function holdTalk(page) {
  const box = await page.locator("#talk").boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  return box;
}
